import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { checkPull, type PullCheck } from "../../../registry/pullCheck";
import { Pki, type Identity } from "./pki";
import { problem, startServer, unusedPort, type Handler, type TestServer } from "./server";

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

/** Harbor, whose token service is on the registry's own host and port. */
const harbor = async (realm?: (port: number) => string): Promise<TestServer> => {
  const server: TestServer = await startServer(leaf, ({ method, url, headers, body }, response) => {
    const { pathname, searchParams } = new URL(url, "https://harbor");
    if (pathname === "/service/token") {
      const refresh =
        method === "POST" && new URLSearchParams(body).get("refresh_token") === "identity-token";
      const known = headers.authorization === basic || refresh;
      const scope = searchParams.get("scope") ?? new URLSearchParams(body).get("scope");
      if (!known) response.writeHead(401).end("{}");
      else
        response.end(
          JSON.stringify({ token: scope === "repository:ns1/nginx:pull" ? "the-token" : "no-rights" }),
        );
    } else if (headers.authorization === "Bearer the-token") {
      response.writeHead(200, { "docker-content-digest": digest }).end();
    } else {
      const where = realm?.(server.port) ?? `https://${server.host}/service/token`;
      response
        .writeHead(401, { "www-authenticate": `Bearer realm="${where}",service="harbor-registry"` })
        .end();
    }
  });
  return server;
};

describe("an image's pull, tried before anything changes", () => {
  it("succeeds with the manifest's digest by basic authentication", async () => {
    await using server = await startServer(leaf, basicRegistry);
    assert.deepEqual(await check(server), { digest });
    assert.deepEqual(
      server.received.map(({ method, url }) => `${method} ${url}`),
      ["GET /v2/", "GET /v2/", "HEAD /v2/ns1/nginx/manifests/latest"],
    );
    assert.equal(server.received[0]!.headers.authorization, undefined);
  });

  it("succeeds with a token of the registry's own host, with a password or an identity token", async () => {
    await using server = await harbor();
    assert.deepEqual(await check(server), { digest });
    assert.deepEqual(
      await check(server, { credential: { username: "u", identityToken: "identity-token" } }),
      { digest },
    );
  });

  it("succeeds without a credential where the registry serves anyone", async () => {
    await using server = await startServer(leaf, (_, response) => response.end());
    assert.deepEqual(await check(server, { credential: undefined }), {});
  });

  it("fails on a wrong password, naming the setting and the user", async () => {
    const credential = { username, password: `${password}-wrong` };
    await using server = await startServer(leaf, basicRegistry);
    await using withTokens = await harbor();
    for (const each of [server, withTokens]) {
      await assert.rejects(
        check(each, { credential }),
        refusal("registry-login-failed", /registries\[0\]\.credentials/, /robot\$ns1/, /401/),
      );
    }
    await assert.rejects(
      check(server, { credential: undefined }),
      refusal("registry-login-failed", /no credential is given/),
    );
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
    await assert.rejects(check(server, { ca: [other.cert] }), refusal("registry-certificate"));
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
    assert.match((await check(server)).warning ?? "", /token service is another host: "https:\/\/localhost/);
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
    assert.match(
      tokens.received[0]!.url,
      /^\/token\?a=b&service=harbor-registry&scope=repository%3Ans1%2Fnginx%3Apull$/,
    );
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
