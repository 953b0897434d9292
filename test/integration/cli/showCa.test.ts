import assert from "node:assert/strict";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { before, describe, it } from "node:test";
import { parseSettings } from "../../../config/settings";
import { Pki, curve, type Identity } from "../certificates/pki";
import { type CommandResult, runCommand } from "../command";
import { startServer, unusedPort, type Handler } from "../net/server";

const v2 = "/api/v2.0/systeminfo/getcert";

describe("npm run ca", () => {
  let pki: Pki;
  let root: Identity;
  let other: Identity;
  let leaf: Identity;

  before(() => {
    pki = new Pki();
    root = pki.ca("Example Root");
    other = pki.ca("Other Root");
    leaf = pki.server("registry", "DNS:localhost,IP:127.0.0.1", root);
  });

  const run = (...args: string[]): Promise<CommandResult> => runCommand(["v1", "show-ca", ...args]);
  const json = async (...args: string[]) => {
    const { code, stdout, stderr } = await run("--json", ...args);
    assert.equal(stderr, "");
    return { code, ...(JSON.parse(stdout) as Record<string, never>) } as {
      code: number;
      served: { subject: string; role: string; key: string; signature: string; sha256: string }[];
      offered: { source: string; verifiesServed: boolean } | null;
      problems: { code: string; seen: string; remedy: string }[];
      warnings: string[];
      configuration: { kind: string; ca: { from: string; sha256: string } } | null;
    };
  };
  const offering =
    (body: string | undefined, status = 200): Handler =>
    ({ url }, response) =>
      url === v2 && body !== undefined ? response.writeHead(status).end(body) : response.writeHead(404).end();
  const codes = ({ problems }: { problems: { code: string }[] }): string[] =>
    problems.map(({ code }) => code);

  it("shows what Harbor serves and offers, that they agree, and the settings to paste", async () => {
    await using server = await startServer(leaf, offering(root.cert));
    const { code, stdout, stderr } = await run(server.host);
    assert.equal(code, 0, stdout + stderr);
    for (const pattern of [
      /^127\.0\.0\.1:\d+ serves:\n {2}CN=registry\n {4}role +server\n {4}issuer +CN=Example Root\n/,
      /\n {4}for +DNS:localhost, IP Address:127\.0\.0\.1\n {4}valid +\d{4}-.*Z to \d{4}-.*Z \(36\d days left\)\n/,
      new RegExp(`\n {4}SHA-256 +${leaf.sha256}\n {4}key +EC prime256v1, signed with SHA256-ECDSA\n`),
      /\n\nIt offers \(harbor getcert v2\):\n {2}CN=Example Root\n {4}role +CA\n/,
      /\nThe two agree: nodes that trust what is offered take what is served\.\n/,
      /compare the fingerprint with the one that the registry's administrator tells you, by another way/,
    ])
      assert.match(stdout, pattern);
    assert.doesNotMatch(stdout, /Problems|Warnings/);
    const { loadYaml } = await import("@kubernetes/client-node");
    const pasted = loadYaml<Record<string, unknown>>(
      stdout.slice(stdout.indexOf("  tkc-registry:registries")),
    );
    const registries = JSON.stringify(pasted["tkc-registry:registries"]);
    const { trust } = parseSettings({ namespace: "ns1", cluster: "c1", registries }, new Set());
    const [registry] = trust.registries;
    assert.equal(registry?.host, server.host);
    assert.deepEqual(registry.ca, { from: "harbor", sha256: root.sha256 });
  });

  it("sends nothing but questions", async () => {
    await using server = await startServer(leaf, offering(root.cert));
    await run(server.host);
    assert.ok(server.received.length > 0);
    for (const { method, headers, body } of server.received) {
      assert.deepEqual([method, body], ["GET", ""]);
      assert.deepEqual(Object.keys(headers).sort(), ["connection", "host"]);
    }
  });

  it("tells programs the same as JSON", async () => {
    await using server = await startServer(leaf, offering(root.cert), [root]);
    const shown = await json(server.host);
    assert.equal(shown.code, 0);
    assert.deepEqual(
      shown.served.map(({ subject, role }) => [subject, role]),
      [
        ["CN=registry", "server"],
        ["CN=Example Root", "CA"],
      ],
    );
    assert.deepEqual([shown.offered?.source, shown.offered?.verifiesServed], ["harbor getcert v2", true]);
    assert.deepEqual(shown.configuration?.ca, { from: "harbor", sha256: root.sha256 });
    assert.deepEqual([shown.problems, shown.warnings], [[], []]);
  });

  it("offers the chain's root where there is no Harbor, or one that offers another CA", async () => {
    await using generic = await startServer(leaf, offering(undefined), [root]);
    const plain = await json(generic.host);
    assert.deepEqual([plain.code, plain.offered, codes(plain)], [0, null, []]);
    assert.deepEqual(plain.configuration?.ca, { from: "chain", sha256: root.sha256 });
    assert.equal(plain.configuration.kind, "generic");

    await using stale = await startServer(leaf, offering(other.cert), [root]);
    const shown = await json(stale.host);
    assert.deepEqual([shown.code, shown.offered?.verifiesServed], [0, false]);
    assert.deepEqual(codes(shown), ["ca-does-not-verify"]);
    assert.match(shown.problems[0]!.seen, /with what getcert offers trusted, nodes would refuse it/);
    assert.deepEqual(shown.configuration?.ca, { from: "chain", sha256: root.sha256 });
    assert.equal(shown.configuration.kind, "harbor");
  });

  it("knows Harbor without getcert by where it sends for tokens", async () => {
    const challenge = `Bearer realm="https://localhost/service/token",service="harbor-registry"`;
    const handle: Handler = ({ url }, response) =>
      url === "/v2/"
        ? response.writeHead(401, { "www-authenticate": challenge }).end()
        : response.writeHead(404).end();
    await using server = await startServer(leaf, handle, [root]);
    const shown = await json(server.host);
    assert.deepEqual([shown.configuration?.kind, shown.configuration?.ca.from], ["harbor", "chain"]);
  });

  it("fails where neither what is served nor what is offered would do, with what to ask for", async () => {
    await using bare = await startServer(leaf, offering(undefined));
    const nothing = await run(bare.host);
    assert.equal(nothing.code, 1);
    assert.match(nothing.stdout, /offers none that did: CN=Example Root\. Ask its administrator/);
    assert.doesNotMatch(nothing.stdout, /tkc-registry:registries/);

    await using broken = await startServer(leaf, offering("{}", 500));
    assert.deepEqual(codes(await json(broken.host)), ["ca-getcert-failed", "ca-not-served"]);

    await using page = await startServer(leaf, offering("<html>"));
    assert.deepEqual(codes(await json(page.host)), ["ca-not-pem", "ca-not-served"]);
  });

  it("tells what nodes would refuse whatever they trust", async () => {
    const elsewhere = pki.server("elsewhere", "DNS:elsewhere.example.com", root);
    await using whole = await startServer(elsewhere, offering(root.cert), [root]);
    const shown = await json(whole.host);
    assert.deepEqual([shown.code, shown.configuration], [1, null]);
    for (const { code, seen, remedy } of shown.problems) {
      assert.equal(code, "ca-does-not-verify");
      assert.match(seen, /is for DNS:elsewhere\.example\.com and not for 127\.0\.0\.1/);
      assert.match(remedy, /by a name that the certificate is for, and by the registry's own port/);
    }
    // The CA is there: it did issue this certificate, which is for another address.
    await using served = await startServer(elsewhere, offering(root.cert));
    assert.deepEqual([...new Set(codes(await json(served.host)))], ["ca-does-not-verify"]);
    await using alone = await startServer(elsewhere, offering(undefined));
    assert.deepEqual(codes(await json(alone.host)), ["ca-does-not-verify", "ca-not-served"]);
  });

  it("warns as the stack would", async () => {
    const selfSigned = pki.server("alone", "IP:127.0.0.1");
    await using server = await startServer(selfSigned, offering(undefined));
    const shown = await json(server.host);
    assert.equal(shown.code, 0);
    assert.equal(shown.served[0]?.role, "self-signed server");
    assert.match(shown.warnings.join(), /self-signed server certificate/);
  });

  it("takes what Go takes: a self-signed server that may not sign, and a CA's new key that its old one signed", async () => {
    const extensions = ["basicConstraints=CA:FALSE", "keyUsage=critical,digitalSignature"];
    const bare = pki.server("bare", "IP:127.0.0.1", undefined, { extensions });
    await using server = await startServer(bare, offering(undefined));
    const alone = await json(server.host);
    assert.deepEqual([alone.code, codes(alone), alone.served[0]?.role], [0, [], "self-signed server"]);
    assert.deepEqual(alone.configuration?.ca, { from: "chain", sha256: bare.sha256 });

    const key = curve("prime256v1");
    const fresh = pki.ca("Rolled Root", undefined, { key });
    const rollover = pki.ca("Rolled Root", pki.ca("Rolled Root"), { key });
    const rolled = pki.server("rolled", "IP:127.0.0.1", fresh);
    await using both = await startServer(rolled, offering(rollover.cert + fresh.cert));
    const shown = await json(both.host);
    assert.deepEqual([shown.code, codes(shown), shown.offered?.verifiesServed], [0, [], true]);
    assert.deepEqual(shown.configuration?.ca, { from: "harbor", sha256: fresh.sha256 });
    await using linked = await startServer(rolled, offering(rollover.cert));
    const link = await json(linked.host);
    assert.deepEqual(link.configuration?.ca, { from: "harbor", sha256: rollover.sha256 });
    assert.match(link.warnings.join(), /signed by another key than its own/);
  });

  it("fails where the registry is not reached", async () => {
    const host = `127.0.0.1:${await unusedPort(leaf)}`;
    const { code, stdout } = await run(host);
    assert.equal(code, 1);
    assert.match(stdout, /^Problems:\n.*the connection is refused.*\n$/);
    const shown = await json(host);
    assert.deepEqual([shown.code, shown.served, codes(shown)], [1, [], ["registry-unreachable"]]);
  });

  it("says what it waits for", async () => {
    const sockets: Socket[] = [];
    const server = createServer((socket) => void sockets.push(socket));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
      const { code, stdout, stderr } = await run("--timeout", "3", host);
      assert.equal(code, 1);
      assert.equal(stderr, `Asking ${host}, for at most 3 s each time\n`);
      assert.match(stdout, /does not answer within 3 s/);
    } finally {
      sockets.forEach((socket) => socket.destroy());
      server.close();
    }
  });

  it("refuses arguments that it does not understand, and explains itself", async () => {
    const cases: [string[], RegExp][] = [
      [[], /HOST: it is missing/],
      [["a.example", "b.example"], /HOST: there are 2 of them/],
      [["https://a.example"], /HOST: "https:\/\/a\.example" has a scheme/],
      [["--insecure", "a.example"], /--insecure is unknown/],
      [["--timeout", "0", "a.example"], /--timeout: "0" is not a whole number of seconds/],
    ];
    for (const [args, pattern] of cases) {
      const { code, stdout, stderr } = await run(...args);
      assert.deepEqual([code, stdout], [1, ""]);
      assert.match(stderr, pattern);
      assert.doesNotMatch(stderr, /\n\s+at /);
    }
    const { code, stdout } = await run("--help");
    assert.equal(code, 0);
    assert.match(stdout, /^Usage: npm run ca -- HOST/);
  });
});
