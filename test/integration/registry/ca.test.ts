import assert from "node:assert/strict";
import { X509Certificate, createPrivateKey } from "node:crypto";
import type { ServerResponse } from "node:http";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { before, describe, it } from "node:test";
import { httpsRequest } from "../../../net/https";
import { obtainCa } from "../../../registry/ca";
import type { CaSource, TrustedCa } from "../../../registry/types";
import { Pki, curve, type Identity } from "../certificates/pki";
import { problem, startServer, unusedPort, type Handler, type TestServer } from "../net/server";

const subject = "registries[0].ca";
const v2 = "/api/v2.0/systeminfo/getcert";
const v1 = "/api/systeminfo/getcert";

let pki: Pki;
let root: Identity;
let other: Identity;
let leaf: Identity;
let selfSigned: Identity;

before(() => {
  pki = new Pki();
  root = pki.ca("Example Root");
  other = pki.ca("Other Root");
  leaf = pki.server("registry", "DNS:localhost,IP:127.0.0.1", root);
  selfSigned = pki.server("alone", "DNS:localhost,IP:127.0.0.1");
});

const obtain = (
  host: string,
  source: CaSource,
  seconds = 30,
  known?: readonly string[],
): Promise<TrustedCa> => obtainCa(host, source, { subject, limits: { seconds, bytes: 64 * 1024 }, known });

const fingerprints = (ca: TrustedCa): string[] => ca.certificates.map(({ sha256 }) => sha256);

/** Harbor that answers these bodies on these paths, and 404 elsewhere. */
const serving =
  (answers: Record<string, string | Buffer>): Handler =>
  ({ url }, response) => {
    const body = answers[url];
    response.writeHead(body === undefined ? 404 : 200).end(body);
  };

/** Writes for as long as it is read. */
function endless(response: ServerResponse): void {
  while (response.write("-----BEGIN CERTIFICATE-----\n".repeat(100)));
  response.once("drain", () => endless(response));
}

const harbor = (handle: Handler): Promise<TestServer> => startServer(leaf, handle);

describe("a CA from Harbor", () => {
  it("is taken from v2's getcert when it is the pinned one, and proven against what Harbor serves", async () => {
    await using server = await harbor(serving({ [v2]: root.cert }));
    const ca = await obtain(server.host, { from: "harbor", sha256: root.sha256.toUpperCase() });
    assert.deepEqual(
      ca.certificates.map(({ sha256 }) => sha256),
      [root.sha256],
    );
    assert.deepEqual([ca.registry, ca.source, ca.warnings], [server.host, "harbor getcert v2", []]);
    assert.deepEqual(
      server.received.map(({ url }) => url),
      [v2],
    );
    assert.equal(server.received[0]!.headers.authorization, undefined);
  });

  it("is taken from v1's getcert where v2's is absent", async () => {
    await using server = await harbor(serving({ [v1]: root.cert.trimEnd().replaceAll("\n", "\r\n") }));
    const ca = await obtain(server.host, { from: "harbor", sha256: root.sha256 });
    assert.equal(ca.source, "harbor getcert v1");
    assert.match(ca.certificates[0]!.pem, /-----END CERTIFICATE-----\n$/);
  });

  it("that is not the pinned one is refused, with the observed fingerprint and the setting to change", async () => {
    await using server = await harbor(serving({ [v2]: root.cert }));
    await assert.rejects(
      obtain(server.host, { from: "harbor", sha256: other.sha256 }),
      problem(
        "ca-fingerprint-mismatch",
        /registries\[0\]\.ca\.sha256/,
        new RegExp(root.sha256),
        /another way than this connection/,
      ),
    );
  });

  it("among other certificates is the only one that is trusted", async () => {
    await using server = await harbor(serving({ [v2]: other.cert + root.cert }));
    const ca = await obtain(server.host, { from: "harbor", sha256: root.sha256 });
    assert.deepEqual(
      ca.certificates.map(({ sha256 }) => sha256),
      [root.sha256],
    );
  });

  it("that Harbor does not have is told", async () => {
    await using server = await harbor(serving({}));
    await assert.rejects(
      obtain(server.host, { from: "harbor", sha256: root.sha256 }),
      problem("ca-getcert-absent", /404/, /from: file/),
    );
    assert.deepEqual(
      server.received.map(({ url }) => url),
      [v2, v1],
    );
  });

  it("of a server, or an authority, without a name is used, and shown as one without a name", async () => {
    const nameless = pki.ca("");
    const served = pki.server("", "IP:127.0.0.1", nameless);
    for (const [identity, authority] of [
      [served, nameless],
      [pki.server("", "IP:127.0.0.1", root), root],
    ] as const) {
      await using server = await startServer(identity, (_, response) => response.end(), [authority]);
      const { certificates } = await obtain(server.host, { from: "chain", sha256: authority.sha256 });
      assert.deepEqual(
        certificates.map(({ sha256 }) => sha256),
        [authority.sha256],
      );
      await assert.rejects(
        obtain(server.host, { from: "chain", sha256: "ab".repeat(32) }),
        problem("ca-fingerprint-mismatch", /\(\(no name\)\)/),
      );
    }
  });

  it("is refused with what was answered instead", async () => {
    const cases: [string, Handler, string, RegExp][] = [
      [
        "500",
        (_, response) => response.writeHead(500).end("{}"),
        "ca-getcert-failed",
        /answers 500: Harbor cannot read/,
      ],
      ["503", (_, response) => response.writeHead(503).end(), "ca-getcert-failed", /answers 503/],
      [
        "a redirect",
        (_, response) =>
          response
            .writeHead(302, { location: "https://u:p@login.example.com/login?auth=Basic%20c2VjcmV0" })
            .end(),
        "ca-getcert-failed",
        /redirects to https:\/\/login\.example\.com\. /,
      ],
      ["HTML", (_, response) => response.end("<!doctype html><html>"), "ca-not-pem", /web page/],
      ["JSON", (_, response) => response.end("{}"), "ca-not-pem", /JSON/],
      ["nothing", (_, response) => response.end(), "ca-not-pem", /is empty/],
      [
        "too much",
        (_, response) => response.end("x".repeat(65 * 1024)),
        "ca-getcert-failed",
        /longer than 65536 bytes/,
      ],
      ["an answer without end", (_, response) => endless(response), "ca-getcert-failed", /longer than 65536/],
      ["DER", (_, response) => response.end(new X509Certificate(root.cert).raw), "ca-der", /DER/],
      ["a leaf", (_, response) => response.end(leaf.cert), "ca-is-leaf", /issued by CN=Example Root/],
    ];
    for (const [what, handle, code, pattern] of cases) {
      await using server = await harbor(handle);
      const pin = what === "a leaf" ? leaf.sha256 : root.sha256;
      await assert.rejects(
        obtain(server.host, { from: "harbor", sha256: pin }),
        problem(code, pattern),
        what,
      );
    }
  });

  it("that does not come in time is given up", async () => {
    await using server = await harbor((_, response) => response.write("-----BEGIN"));
    await assert.rejects(
      obtain(server.host, { from: "harbor", sha256: root.sha256 }, 0.5),
      problem("registry-unreachable", /does not answer within 0\.5 s/),
    );
  });

  it("that did not issue Harbor's certificate is refused", async () => {
    await using server = await harbor(serving({ [v2]: other.cert }));
    await assert.rejects(
      obtain(server.host, { from: "harbor", sha256: other.sha256 }),
      problem("ca-does-not-verify", /CN=Other Root trusted/, /CN=registry, issued by CN=Example Root/),
    );
  });

  it("of a Harbor that is not reached is told as such", async () => {
    const port = await unusedPort(leaf);
    await assert.rejects(
      obtain(`127.0.0.1:${port}`, { from: "harbor", sha256: root.sha256 }),
      problem("registry-unreachable", /connection is refused/),
    );
  });

  it("of a server that speaks no TLS is told as such", async () => {
    const plain = createServer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    await new Promise<void>((resolve) => plain.listen(0, "127.0.0.1", resolve));
    try {
      await assert.rejects(
        obtain(`127.0.0.1:${(plain.address() as AddressInfo).port}`, { from: "harbor", sha256: root.sha256 }),
        problem("registry-unreachable", /does not answer in TLS/),
      );
    } finally {
      plain.close();
    }
  });
});

describe("a CA that is trusted on first use", () => {
  const nothing: Handler = (_, response) => response.end();
  const fromHarbor = { from: "harbor", trustOnFirstUse: true } as const;
  const fromChain = { from: "chain", trustOnFirstUse: true } as const;

  it("is Harbor's, told with its fingerprint and whom to ask", async () => {
    await using server = await harbor(serving({ [v2]: leaf.cert + root.cert }));
    for (const known of [undefined, []]) {
      const ca = await obtain(server.host, fromHarbor, 30, known);
      assert.deepEqual(fingerprints(ca), [root.sha256]);
      const warning = ca.warnings.find((text) => text.includes("trusted on first use"));
      assert.match(warning ?? "", new RegExp(`SHA-256 ${root.sha256} \\(CN=Example Root\\)`));
      assert.match(warning ?? "", /administrator tells you, by another way/);
    }
  });

  it("is the certificate of the chain that is nearest to the root", async () => {
    const intermediate = pki.ca("Example Intermediate", root);
    const below = pki.server("below", "IP:127.0.0.1", intermediate);
    await using whole = await startServer(below, nothing, [intermediate, root]);
    await using rootless = await startServer(below, nothing, [intermediate]);
    await using single = await startServer(selfSigned, nothing);
    assert.deepEqual(fingerprints(await obtain(whole.host, fromChain)), [root.sha256]);
    const partial = await obtain(rootless.host, fromChain);
    assert.deepEqual(fingerprints(partial), [intermediate.sha256]);
    assert.match(partial.warnings.join(), /intermediate authority/);
    const itself = await obtain(single.host, fromChain);
    assert.deepEqual(fingerprints(itself), [selfSigned.sha256]);
    assert.match(itself.warnings.join(), /self-signed server certificate/);
  });

  it("is never a server's certificate that another has issued", async () => {
    await using server = await startServer(leaf, nothing);
    await assert.rejects(obtain(server.host, fromChain), problem("ca-is-leaf", /issued by CN=Example Root/));
  });

  it("is taken without a word as long as it stays the same", async () => {
    await using server = await startServer(leaf, serving({ [v2]: root.cert + other.cert }), [root]);
    const chain = await obtain(server.host, fromChain, 30, [root.sha256]);
    assert.deepEqual([fingerprints(chain), chain.warnings], [[root.sha256], []]);
    const both = await obtain(server.host, fromHarbor, 30, [other.sha256, root.sha256]);
    assert.deepEqual([fingerprints(both), both.warnings], [[root.sha256, other.sha256], []]);
  });

  it("is refused once it is another, more or less, with the way to accept it", async () => {
    await using server = await startServer(leaf, serving({ [v2]: root.cert }), [root]);
    const more = [root.sha256, other.sha256];
    for (const [source, known] of [
      [fromHarbor, [other.sha256]],
      [fromChain, [other.sha256]],
      [fromHarbor, more],
    ] as const) {
      await assert.rejects(
        obtain(server.host, source, 30, known),
        problem(
          "ca-changed",
          new RegExp(`is ${root.sha256} \\(CN=Example Root\\).*have trusted .*${other.sha256}`),
          new RegExp(`accept it by setting \`sha256: ${root.sha256}\``),
        ),
      );
    }
  });

  it("is accepted anew by its fingerprint", async () => {
    await using server = await harbor(serving({ [v2]: root.cert }));
    const source = { ...fromHarbor, sha256: root.sha256 };
    const ca = await obtain(server.host, source, 30, [other.sha256]);
    assert.deepEqual([fingerprints(ca), ca.warnings], [[root.sha256], []]);
    await assert.rejects(
      obtain(server.host, { ...source, sha256: other.sha256 }, 30, [root.sha256]),
      problem("ca-fingerprint-mismatch"),
    );
  });

  it("is asked for, or else a fingerprint is needed", async () => {
    for (const from of ["harbor", "chain"] as const) {
      for (const trustOnFirstUse of [undefined, false]) {
        await assert.rejects(
          obtain("127.0.0.1:1", { from, trustOnFirstUse }),
          problem("missing-setting", /ca\.sha256/, /trustOnFirstUse: true/),
        );
      }
    }
  });
});

describe("a CA from the served chain", () => {
  const nothing: Handler = (_, response) => response.end();

  it("is the pinned certificate of it", async () => {
    await using server = await startServer(leaf, nothing, [root]);
    const ca = await obtain(server.host, { from: "chain", sha256: root.sha256 });
    assert.deepEqual(
      ca.certificates.map(({ sha256 }) => sha256),
      [root.sha256],
    );
    assert.deepEqual(server.received, []);
  });

  it("may be the server's own certificate where that is self-signed", async () => {
    await using server = await startServer(selfSigned, nothing);
    const ca = await obtain(server.host, { from: "chain", sha256: selfSigned.sha256 });
    assert.match(ca.warnings.join(), /self-signed server certificate/);
  });

  it("may be an intermediate, as containerd takes it", async () => {
    const intermediate = pki.ca("Example Intermediate", root);
    const below = pki.server("below", "IP:127.0.0.1", intermediate);
    await using server = await startServer(below, nothing, [intermediate]);
    const ca = await obtain(server.host, { from: "chain", sha256: intermediate.sha256 });
    assert.match(ca.warnings.join(), /intermediate authority/);
  });

  it("is refused where the pin is of none, with each fingerprint that is served", async () => {
    await using server = await startServer(leaf, nothing);
    await assert.rejects(
      obtain(server.host, { from: "chain", sha256: root.sha256 }),
      problem("ca-fingerprint-mismatch", new RegExp(leaf.sha256), /does not serve its root/),
    );
  });

  it("is never a server's certificate that another has issued", async () => {
    await using server = await startServer(leaf, nothing, [root]);
    await assert.rejects(obtain(server.host, { from: "chain", sha256: leaf.sha256 }), problem("ca-is-leaf"));
  });
});

describe("a CA from a file or inline", () => {
  const nothing: Handler = (_, response) => response.end();

  it("is proven against the registry, by address and by name", async () => {
    await using server = await startServer(leaf, nothing);
    const file = pki.file("root.crt", root.cert);
    for (const host of [server.host, `localhost:${server.port}`]) {
      const ca = await obtain(host, { from: "file", path: file });
      assert.deepEqual([ca.certificates.length, ca.warnings], [1, []]);
    }
    const inline = await obtain(server.host, { from: "inline", pem: root.cert, sha256: root.sha256 });
    assert.equal(inline.source, "inline");
  });

  it("is taken with a warning where the registry is not reached from here", async () => {
    const port = await unusedPort(leaf);
    const ca = await obtain(`127.0.0.1:${port}`, { from: "inline", pem: root.cert });
    assert.match(
      ca.warnings.join(),
      /not checked against 127\.0\.0\.1:\d+, which this machine does not reach/,
    );
  });

  it("is refused where the registry's certificate is another CA's, or for another host, or for none", async () => {
    const elsewhere = pki.server("elsewhere", "DNS:elsewhere.example.com", root);
    const nameless = pki.server("localhost", undefined, root);
    await using wrongCa = await startServer(leaf, nothing);
    await using wrongHost = await startServer(elsewhere, nothing);
    await using noNames = await startServer(nameless, nothing);
    await assert.rejects(
      obtain(wrongCa.host, { from: "inline", pem: other.cert }),
      problem("ca-does-not-verify", /authority that is not trusted/),
    );
    await assert.rejects(
      obtain(wrongHost.host, { from: "inline", pem: root.cert }),
      problem("ca-does-not-verify", /DNS:elsewhere\.example\.com and not for 127\.0\.0\.1/),
    );
    await assert.rejects(
      obtain(`localhost:${noNames.port}`, { from: "inline", pem: root.cert }),
      problem("ca-does-not-verify", /no subject alternative name/),
    );
  });

  it("is refused where the registry's certificate has an address for a name, or no address at all", async () => {
    const named = pki.server("named", "DNS:127.0.0.1,DNS:localhost", root);
    await using server = await startServer(named, nothing);
    await assert.rejects(
      obtain(server.host, { from: "inline", pem: root.cert }),
      problem("ca-does-not-verify", /not for 127\.0\.0\.1, which must be among its IP addresses/),
    );
  });

  it("is refused where containerd would refuse it and OpenSSL would not", async () => {
    const partial = pki.server("partial", "DNS:local*", root);
    await using server = await startServer(partial, nothing);
    await assert.rejects(
      obtain(`localhost:${server.port}`, { from: "inline", pem: root.cert }),
      problem("ca-does-not-verify", /is for DNS:local\* and not for localhost/),
    );
  });

  it("is the intermediate alone where its root is not in it, as containerd takes it", async () => {
    const intermediate = pki.ca("Example Intermediate", root);
    const below = pki.server("below", "IP:127.0.0.1", intermediate);
    await using server = await startServer(below, nothing);
    const ca = await obtain(server.host, { from: "inline", pem: below.cert + intermediate.cert });
    assert.deepEqual(fingerprints(ca), [intermediate.sha256]);
    assert.match(ca.warnings.join(), /intermediate authority \(issued by CN=Example Root\)/);
  });

  it("of another fingerprint than the one set is refused", async () => {
    const file = pki.file("other.crt", other.cert);
    await assert.rejects(
      obtain("127.0.0.1:1", { from: "file", path: file, sha256: root.sha256 }),
      problem("ca-fingerprint-mismatch", new RegExp(other.sha256)),
    );
  });

  it("that is missing or no certificate is refused with the setting named", async () => {
    await assert.rejects(
      obtain("127.0.0.1:1", { from: "file", path: "/nonexistent/ca.crt" }),
      problem("file-unreadable", /registries\[0\]\.ca\.path/, /does not exist/),
    );
    await assert.rejects(
      obtain("127.0.0.1:1", { from: "inline", pem: "" }),
      problem("ca-not-pem", /registries\[0\]\.ca\.pem/),
    );
    await assert.rejects(
      obtain("127.0.0.1:1", { from: "file", path: pki.file("big.crt", "x".repeat(65 * 1024)) }),
      problem("file-too-large"),
    );
  });
});

describe("a CA that Go takes, and OpenSSL not in every way", () => {
  /** Each CA, what serves with it, and what it is warned of. */
  const cases = (): Record<
    string,
    { given: Identity[]; server: Identity; chain: Identity[]; warning: RegExp }
  > => {
    const names = "DNS:localhost,IP:127.0.0.1";
    const identifiers = ["subjectKeyIdentifier=hash", "authorityKeyIdentifier=keyid,issuer:always"];
    const bare = pki.server("bare", names, undefined, {
      extensions: ["basicConstraints=CA:FALSE", "keyUsage=critical,digitalSignature,keyEncipherment"],
    });
    const extensions = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign", ...identifiers];
    const old = pki.ca("Rolled Root", undefined, { extensions });
    const key = curve("prime256v1");
    const rollover = pki.ca("Rolled Root", old, { extensions, key });
    const fresh = pki.ca("Rolled Root", undefined, { extensions, key });
    const rolled = pki.server("rolled", names, fresh);
    const renewed = pki.ca("Rolled Root", old, { extensions, key: createPrivateKey(old.key) });
    const other = /signed by another key than its own/;
    return {
      "a self-signed server": { given: [bare], server: bare, chain: [], warning: /OpenSSL before 3\.0/ },
      "a rollover": { given: [rollover], server: rolled, chain: [rollover], warning: other },
      "a rollover and the new root": {
        given: [rollover, fresh],
        server: rolled,
        chain: [fresh],
        warning: other,
      },
      "the new root and a rollover": {
        given: [fresh, rollover],
        server: rolled,
        chain: [rollover],
        warning: other,
      },
      "a renewed root": {
        given: [renewed],
        server: pki.server("renewed", names, old),
        chain: [renewed],
        warning: /names another one than itself as its issuer/,
      },
    };
  };

  it("is taken with a warning from each source, and what it issued is believed then", async () => {
    for (const [name, { given, server: identity, chain, warning }] of Object.entries(cases())) {
      const pem = given.map(({ cert }) => cert).join("");
      await using server = await startServer(identity, serving({ [v2]: pem, "/v2/": "{}" }), chain);
      const [{ sha256 }] = given as [Identity];
      const served = chain.at(-1) ?? identity;
      const sources: [CaSource, readonly Identity[]][] = [
        [{ from: "inline", pem }, given],
        [{ from: "file", path: pki.file("given.crt", pem) }, given],
        [{ from: "harbor", sha256 }, given.slice(0, 1)],
        [{ from: "harbor", trustOnFirstUse: true }, given],
        [{ from: "chain", sha256: served.sha256 }, [served]],
        [{ from: "chain", trustOnFirstUse: true }, [served]],
      ];
      for (const [source, expected] of sources) {
        const about = `${name}, ${JSON.stringify(source).slice(0, 40)}`;
        const ca = await obtain(server.host, source);
        assert.deepEqual(
          fingerprints(ca),
          expected.map((each) => each.sha256),
          about,
        );
        if (expected === given) assert.match(ca.warnings.join(), warning, about);
        const trust = { ca: ca.certificates.map((each) => each.pem) };
        const limits = { seconds: 30, bytes: 1024 };
        const { status } = await httpsRequest(
          { hostname: "127.0.0.1", port: server.port },
          { method: "GET", path: "/v2/", trust, limits },
        );
        assert.equal(status, 200, about);
      }
    }
  });
});

describe("a registry that is asked for its CA", () => {
  /** A server that takes connections and says nothing. */
  async function mute(): Promise<{ server: Server; port: number; sockets: Socket[] }> {
    const sockets: Socket[] = [];
    const server = createServer((socket) => void sockets.push(socket));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return { server, port: (server.address() as AddressInfo).port, sockets };
  }

  it("and does not even shake hands is given up", async () => {
    const { server, port, sockets } = await mute();
    try {
      for (const from of ["harbor", "chain"] as const) {
        await assert.rejects(
          obtain(`127.0.0.1:${port}`, { from, sha256: root.sha256 }, 0.3),
          problem("registry-unreachable", /does not answer within 0\.3 s/),
        );
      }
    } finally {
      sockets.forEach((socket) => socket.destroy());
      server.close();
    }
  });

  it("is reached directly, whatever proxy is set", async () => {
    const proxy = await mute();
    const url = `http://127.0.0.1:${proxy.port}`;
    const before = process.env;
    const names = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    const proxies = Object.fromEntries(names.map((name) => [name, url]));
    process.env = { ...before, ...proxies, NO_PROXY: "", no_proxy: "" };
    try {
      await using server = await startServer(leaf, serving({ [v2]: root.cert }), [root]);
      for (const from of ["harbor", "chain"] as const)
        assert.deepEqual(fingerprints(await obtain(server.host, { from, sha256: root.sha256 })), [
          root.sha256,
        ]);
      assert.equal(proxy.sockets.length, 0);
      await assert.rejects(
        obtain(`127.0.0.1:${await unusedPort(leaf)}`, { from: "harbor", sha256: root.sha256 }),
        problem("registry-unreachable", /https_proxy is set, and is not used/),
      );
    } finally {
      process.env = before;
      proxy.server.close();
    }
  });
});
