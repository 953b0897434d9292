import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { before, describe, it } from "node:test";
import { checkPull, type PullCheck } from "../../../registry/pullCheck";
import { Pki, type Identity } from "../certificates/pki";
import { problem, startServer, unusedPort, type Handler, type TestServer } from "../net/server";

const digest = `sha256:${"ab".repeat(32)}`;
const username = "robot$ns1";
const password = "hunter2$x";
const basic = `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
const subject = { image: "deployment.image", credential: "registries[0].credentials" };

let root: Identity;
let other: Identity;
let leaf: Identity;

before(() => {
  const pki = new Pki();
  root = pki.ca("Example Root");
  other = pki.ca("Other Root");
  leaf = pki.server("registry", "DNS:localhost,IP:127.0.0.1", root);
});

const check = (server: { host: string }, change: Partial<PullCheck> = {}): ReturnType<typeof checkPull> =>
  checkPull({
    host: server.host,
    ca: [root.cert],
    credential: { username, password },
    image: { repository: "ns1/nginx", reference: "latest" },
    subject,
    limits: { seconds: 30, bytes: 65536 },
    ...change,
  });

/** What every refusal promises: no password, encoded or not, and no token. */
const refusal =
  (code: string, ...patterns: RegExp[]) =>
  (error: Error): boolean => {
    for (const secret of [password, basic.slice(6), "the-token"]) assert.ok(!error.message.includes(secret));
    return problem(code, ...patterns)(error);
  };

/** docker-registry with htpasswd. */
const basicRegistry: Handler = ({ method, url, headers }, response) => {
  if (headers.authorization !== basic) {
    response.writeHead(401, { "www-authenticate": 'Basic realm="Registry"' }).end();
  } else if (url === "/v2/") response.end("{}");
  else if (
    method === "HEAD" &&
    url === "/v2/ns1/nginx/manifests/latest" &&
    /oci\.image\.index/.test(String(headers.accept))
  ) {
    response.writeHead(200, { "docker-content-digest": digest }).end();
  } else response.writeHead(url.includes("/secret/") ? 403 : 404).end();
};

/**
 * Harbor, whose token service is on the registry's own host and port, and who gives a token to anyone who asks for a scope:
 * with no rights in it for a stranger, unless the project is public.
 */
const harbor = async (
  realm?: (port: number) => string,
  open: readonly string[] = [],
): Promise<TestServer> => {
  const server: TestServer = await startServer(leaf, ({ url, headers }, response) => {
    const { pathname, searchParams } = new URL(url, "https://harbor");
    if (open.includes(pathname)) response.end("{}");
    else if (pathname === "/service/token") {
      const known = headers.authorization === basic;
      const scope = searchParams.get("scope");
      const rights =
        scope === "repository:public/nginx:pull" || (known && scope === "repository:ns1/nginx:pull");
      if (scope === null && !known) response.writeHead(401).end("{}");
      else response.end(JSON.stringify({ token: rights ? "the-token" : "no-rights" }));
    } else if (headers.authorization === "Bearer the-token") {
      response.writeHead(200, { "docker-content-digest": digest }).end();
    } else {
      const where = realm?.(server.port) ?? `https://${server.host}/service/token`;
      const scope = /^\/v2\/(.+)\/manifests\//.exec(pathname)?.[1];
      response
        .writeHead(401, {
          "www-authenticate": `Bearer realm="${where}",service="harbor-registry"${scope ? `,scope="repository:${scope}:pull"` : ""}`,
        })
        .end();
    }
  });
  return server;
};

const requests = ({ received }: TestServer): string[] =>
  received.map(({ method, url }) => `${method} ${url}`);
const manifestPath = "/v2/ns1/nginx/manifests/latest";

describe("an image's pull, tried before anything changes", () => {
  it("succeeds with the manifest's digest by basic authentication, which is sent where it is challenged for", async () => {
    await using server = await startServer(leaf, basicRegistry);
    assert.deepEqual(await check(server), { digest });
    assert.deepEqual(
      server.received.map(({ method, url, headers }) => [method, url, headers.authorization]),
      [
        ["GET", "/v2/", undefined],
        ["GET", "/v2/", basic],
        ["HEAD", manifestPath, undefined],
        ["HEAD", manifestPath, basic],
      ],
    );
  });

  it("succeeds with the manifest's digest by a token of the registry's own host", async () => {
    await using server = await harbor();
    assert.deepEqual(await check(server), { digest });
    assert.deepEqual(requests(server), [
      "GET /v2/",
      "GET /service/token?service=harbor-registry",
      `HEAD ${manifestPath}`,
      "GET /service/token?service=harbor-registry&scope=repository%3Ans1%2Fnginx%3Apull",
      `HEAD ${manifestPath}`,
    ]);
    assert.equal(server.received[4]!.headers.authorization, "Bearer the-token");
  });

  it("succeeds without a credential where the registry serves anyone, by /v2/ or by a token", async () => {
    await using server = await startServer(leaf, (_, response) =>
      response.writeHead(200, { "docker-content-digest": digest }).end(),
    );
    assert.deepEqual(await check(server, { credential: undefined }), { digest });
    await using withTokens = await harbor();
    const image = { repository: "public/nginx", reference: "latest" };
    assert.deepEqual(await check(withTokens, { credential: undefined, image }), { digest });
  });

  it("tries the credential where /v2/ is open to everyone and the repository is not", async () => {
    const open: Handler = (request, response) =>
      request.url === "/v2/" ? response.end("{}") : basicRegistry(request, response);
    await using server = await startServer(leaf, open);
    await using withTokens = await harbor(undefined, ["/v2/"]);
    for (const each of [server, withTokens]) {
      assert.deepEqual(await check(each), { digest });
      await assert.rejects(
        check(each, { credential: { username, password: `${password}-wrong` } }),
        refusal("registry-login-failed", /registries\[0\]\.credentials/, /robot\$ns1/, /401/),
      );
      await assert.rejects(
        check(each, { credential: undefined }),
        refusal(each === server ? "registry-login-failed" : "registry-forbidden", /no credential is given/),
      );
    }
  });

  it("fails on a wrong password, naming the setting and the user, also where the image is everyone's", async () => {
    const credential = { username, password: `${password}-wrong` };
    await using server = await startServer(leaf, basicRegistry);
    await using withTokens = await harbor();
    const everyones = { repository: "public/nginx", reference: "latest" };
    for (const [each, image] of [
      [server, undefined],
      [withTokens, undefined],
      [withTokens, everyones],
    ] as const) {
      await assert.rejects(
        check(each, { credential, ...(image ? { image } : {}) }),
        refusal("registry-login-failed", /registries\[0\]\.credentials/, /robot\$ns1/, /401/),
      );
    }
    await assert.rejects(
      check(server, { credential: undefined }),
      refusal("registry-login-failed", /no credential is given/),
    );
    await assert.rejects(
      check(withTokens, { credential: undefined }),
      refusal("registry-forbidden", /is not for everyone, and no credential is given/),
    );
  });

  it("tells a password that is an expired token of Harbor's for what it is", async () => {
    const token = (exp: number): string =>
      ["{}", JSON.stringify({ exp, id: 7 }), "signature"]
        .map((part) => Buffer.from(part).toString("base64url"))
        .join(".");
    const expired = { username, password: token(Date.UTC(2020, 1, 3) / 1000) };
    await using server = await harbor();
    const told = refusal(
      "robot-expired",
      /registries\[0\]\.credentials: .*robot\$ns1" expired on 2020-02-03/,
    );
    await assert.rejects(check(server, { credential: expired }), told);
    await assert.rejects(
      check({ host: `127.0.0.1:${await unusedPort(leaf)}` }, { credential: expired }),
      told,
    );
    await assert.rejects(
      check(server, { credential: { username, password: token(Date.now() / 1000 + 3600) } }),
      refusal("registry-login-failed"),
    );
  });

  describe("of a manifest", () => {
    const manifest = JSON.stringify({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.index.v1+json",
    });
    const hashed = `sha256:${createHash("sha256").update(manifest).digest("hex")}`;
    const serving = (head: number, body: string, headers: Record<string, string> = {}): Handler => {
      return ({ method, url }, response) => {
        if (url === "/v2/") response.end("{}");
        else if (method === "HEAD") response.writeHead(head, headers).end();
        else response.end(body);
      };
    };

    it("whose digest the registry does not say, or says wrongly, hashes what is served", async () => {
      for (const headers of [{}, { "docker-content-digest": "latest" }]) {
        await using server = await startServer(leaf, serving(200, manifest, headers));
        assert.deepEqual(await check(server), { digest: hashed });
        assert.deepEqual(requests(server), ["GET /v2/", `HEAD ${manifestPath}`, `GET ${manifestPath}`]);
      }
    });

    it("of a registry that does no HEAD asks by GET, as containerd does", async () => {
      await using server = await startServer(leaf, serving(405, manifest));
      assert.deepEqual(await check(server), { digest: hashed });
    });

    it("fails where something else than a manifest is served, or more than one may be", async () => {
      for (const body of ["<html>log in</html>", "{}", "null", ""]) {
        await using server = await startServer(leaf, serving(200, body));
        await assert.rejects(check(server), refusal("registry-not-a-registry", /without a manifest/));
      }
      await using server = await startServer(leaf, serving(200, manifest + " ".repeat(65536)));
      await assert.rejects(check(server), refusal("registry-not-a-registry", /longer than 65536 bytes/));
    });

    it("that is elsewhere is left open with a warning, and the credential is not sent there", async () => {
      await using elsewhere = await startServer(leaf, (_, response) => response.end(manifest));
      await using server = await startServer(leaf, (request, response) => {
        if (request.url === "/v2/" || request.headers.authorization !== basic)
          basicRegistry(request, response);
        else
          response
            .writeHead(307, { location: `https://u:p@${elsewhere.host}/x?auth=Basic%20c2VjcmV0` })
            .end();
      });
      assert.match((await check(server)).warning ?? "", /which redirects to https:\/\/127\.0\.0\.1:\d+$/);
      assert.deepEqual(elsewhere.received, []);
    });

    it("that is challenged for without a way to log in fails", async () => {
      await using server = await startServer(leaf, serving(401, manifest));
      await assert.rejects(check(server), refusal("registry-not-a-registry", /401/));
    });
  });

  it("tells each refusal by what it means, in the words of the registry", async () => {
    const errors = (code: string, message?: string): string =>
      JSON.stringify({ errors: [{ code, message }] });
    const policy = errors("PROJECTPOLICYVIOLATION", "current image with 3 vulnerabilities cannot be pulled");
    const table: [status: number, body: string, code: string, ...words: RegExp[]][] = [
      [
        400,
        errors("NAME_INVALID", "invalid repository name"),
        "registry-refused",
        /400 .*NAME_INVALID: invalid/,
      ],
      [400, "<html>The plain HTTP request was sent to HTTPS port", "registry-not-a-registry", /400/],
      [403, errors("DENIED", "quota exceeded"), "registry-forbidden", /403 DENIED: quota exceeded/],
      [403, "", "registry-forbidden", /\(403\)/],
      [404, errors("NAME_UNKNOWN"), "image-not-found", /has no /],
      [407, "", "registry-refused", /407/, /proxy/],
      [408, "", "registry-failing", /408/],
      [412, policy, "registry-refused", /3 vulnerabilities cannot be pulled/, /project's policies/],
      [412, "", "registry-refused", /\(412\)/],
      [418, "", "registry-not-a-registry", /418/],
      [421, "", "registry-refused", /421/],
      [429, errors("TOOMANYREQUESTS"), "registry-failing", /429 .*TOOMANYREQUESTS/],
      [451, "", "registry-refused", /451/, /project's policies/],
      [500, errors("UNKNOWN", "unknown error"), "registry-failing", /UNKNOWN: unknown error/],
      [503, "<html>Service Unavailable", "registry-failing", /503/],
    ];
    for (const [status, body, code, ...words] of table) {
      await using server = await startServer(leaf, ({ method, url }, response) => {
        if (url === "/v2/") response.end("{}");
        else response.writeHead(status).end(method === "HEAD" ? undefined : body);
      });
      await assert.rejects(
        check(server, { credential: undefined }),
        refusal(code, ...words),
        `${status} ${body}`,
      );
    }
  });

  it("names the platforms of an index, and no attestation", async () => {
    const platform = (os: string, architecture: string) => ({ platform: { os, architecture } });
    const index = JSON.stringify({
      schemaVersion: 2,
      manifests: [platform("linux", "arm64"), platform("unknown", "unknown"), platform("linux", "amd64"), {}],
    });
    const type = "application/vnd.oci.image.index.v1+json";
    const digest = `sha256:${"a".repeat(64)}`;
    await using server = await startServer(leaf, ({ method, url }, response) => {
      response.writeHead(200, { "content-type": type, "docker-content-digest": digest });
      response.end(method === "HEAD" || url === "/v2/" ? undefined : index);
    });
    assert.deepEqual(await check(server), { digest, platforms: ["linux/arm64", "linux/amd64"] });
  });

  it("of Harbor whose token service is elsewhere says that nodes mostly fail there too", async () => {
    await using server = await startServer(leaf, (_, response) =>
      response
        .writeHead(401, {
          "www-authenticate": 'Bearer realm="https://old.example.com/service/token?x=secret"',
        })
        .end(),
    );
    const warning = (await check(server, { kind: "harbor" })).warning ?? "";
    assert.match(warning, /another host: https:\/\/old\.example\.com; .*external_url/);
    assert.doesNotMatch((await check(server)).warning ?? "", /external_url|secret/);
  });

  it("fails on an image that is not there or not this user's", async () => {
    await using server = await startServer(leaf, basicRegistry);
    await assert.rejects(
      check(server, { image: { repository: "ns1/nginx", reference: "v9" } }),
      refusal("image-not-found", /ns1\/nginx:v9/, /deployment\.image/),
    );
    await assert.rejects(
      check(server, { image: { repository: "secret/nginx", reference: "latest" } }),
      refusal("registry-forbidden", /403/),
    );
    await using withTokens = await harbor();
    await assert.rejects(
      check(withTokens, { image: { repository: "other/nginx", reference: "latest" } }),
      refusal("registry-forbidden", /401/),
    );
  });

  it("tries the login alone where no image is asked for", async () => {
    await using server = await startServer(leaf, basicRegistry);
    const login = { host: server.host, ca: [root.cert], subject };
    assert.deepEqual(await checkPull({ ...login, credential: { username, password } }), {});
    await assert.rejects(
      checkPull({ ...login, credential: { username, password: "wrong" } }),
      refusal("registry-login-failed"),
    );
  });

  it("fails where nodes would refuse the certificate, before the password is sent", async () => {
    await using server = await startServer(leaf, basicRegistry);
    await assert.rejects(check(server, { ca: [other.cert] }), refusal("ca-does-not-verify"));
    assert.deepEqual(server.received, []);
  });

  it("fails where something answers that is no registry, or one that is unwell", async () => {
    const cases: [number, string][] = [
      [404, "registry-not-a-registry"],
      [302, "registry-not-a-registry"],
      [401, "registry-not-a-registry"],
      [502, "registry-failing"],
    ];
    for (const [status, code] of cases) {
      await using server = await startServer(leaf, (_, response) => response.writeHead(status).end());
      await assert.rejects(check(server), refusal(code, new RegExp(String(status))));
    }
  });

  it("is left open with a warning where the registry is not reached from here", async () => {
    const host = `127.0.0.1:${await unusedPort(leaf)}`;
    assert.match(
      (await check({ host })).warning ?? "",
      /not checked at 127\.0\.0\.1:\d+, which this machine does not reach/,
    );
    await using silent = await startServer(leaf, () => {});
    assert.match(
      (await check(silent, { limits: { seconds: 0.3, bytes: 1000 } })).warning ?? "",
      /within 0\.3 s/,
    );
  });

  it("sends no credential to a token service on another host, or without TLS", async () => {
    await using elsewhere = await startServer(leaf, (_, response) => response.end('{"token":"the-token"}'));
    await using server = await harbor(() => `https://localhost:${elsewhere.port}/service/token`);
    assert.match(
      (await check(server)).warning ?? "",
      /token service is another host: https:\/\/localhost:\d+; the credential was not sent/,
    );
    assert.deepEqual(elsewhere.received, []);

    await using plain = await harbor((port) => `http://127.0.0.1:${port}/service/token`);
    assert.match((await check(plain)).warning ?? "", /not an HTTPS URL/);
    assert.ok(plain.received.every(({ headers }) => headers.authorization === undefined));
  });

  it("takes a token service on another port of the registry's host", async () => {
    await using tokens = await startServer(leaf, ({ headers }, response) =>
      response.end(headers.authorization === basic ? '{"access_token":"the-token"}' : "{}"),
    );
    await using server = await harbor(() => `https://127.0.0.1:${tokens.port}/token?a=b`);
    assert.deepEqual(await check(server), { digest });
    assert.deepEqual(requests(tokens), [
      "GET /token?a=b&service=harbor-registry",
      "GET /token?a=b&service=harbor-registry&scope=repository%3Ans1%2Fnginx%3Apull",
    ]);
  });

  it("fails where the token service gives no token", async () => {
    await using server = await startServer(leaf, ({ url }, response) => {
      if (url.startsWith("/token")) response.end('{"token":"a\\r\\nb"}');
      else
        response.writeHead(401, { "www-authenticate": `Bearer realm="https://${server.host}/token"` }).end();
    });
    await assert.rejects(check(server), refusal("registry-not-a-registry", /without a token/));
  });
});
