import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import { login } from "../../../vsphere/login";
import { hostile, hostileJson, readOrToldLater, runs, secret } from "../../fuzz";
import { type Identity, Pki } from "../certificates/pki";
import { type TestServer, startServer } from "../net/server";

describe("a hostile answer of a Supervisor", () => {
  let ca: Identity;
  let server: TestServer;
  let answer: (forCluster: boolean, authorization: string) => { status: number; body: string };

  before(async () => {
    const pki = new Pki();
    ca = pki.ca("Root");
    server = await startServer(
      pki.server("127.0.0.1", "IP:127.0.0.1", ca),
      ({ url, body, headers }, response) => {
        if (url === "/readyz") {
          response.end("ok");
          return;
        }
        const { status, body: text } = answer(
          body.includes("guest_cluster_name"),
          headers["authorization"] as string,
        );
        response.writeHead(status).end(text);
      },
    );
  });
  after(() => server[Symbol.asyncDispose]());

  it("is a login where it is one, and else refused in one clear line without password and token", async () => {
    const status = fc.oneof(
      { weight: 5, arbitrary: fc.constant(200) },
      fc.constantFrom(204, 301, 400, 401, 403, 404, 429, 500),
    );
    const value = fc.oneof(hostile, hostileJson);
    const address = fc.oneof(
      hostile,
      fc.constantFrom("1.2.3.4.5", "[::::]", "127.0.0.1:99999", "0x7f.1", "a..b", "-x", "..", "999"),
      fc.stringMatching(/^[A-Za-z0-9.-]{1,20}(:\d{1,5})?$/).filter((text) => /^[\d.x-]+(:\d+)?$/i.test(text)),
    );
    const change = fc.tuple(
      fc.constantFrom("session_id", "guest_cluster_server", "guest_cluster_ca"),
      value,
      address,
    );
    const wanted = {
      namespace: "ns1",
      cluster: "tkc",
      user: "me@vsphere.local",
      waitSeconds: 0,
      report: () => undefined,
    };
    await fc.assert(
      fc.asyncProperty(
        status,
        fc.option(change),
        fc.option(
          fc.oneof(
            hostile,
            value.map((each) => JSON.stringify(each)),
          ),
        ),
        fc.boolean(),
        secret,
        async (code, changed, body, echo, password) => {
          const token = `${password}-token`;
          const good = {
            session_id: token,
            guest_cluster_server: server.host,
            guest_cluster_ca: Buffer.from(ca.cert).toString("base64"),
          };
          let last: Record<string, unknown> = good;
          answer = (forCluster, authorization) => {
            if (!forCluster) return { status: 200, body: JSON.stringify(good) };
            if (changed)
              last = {
                ...good,
                [changed[0]]: changed[0] === "guest_cluster_server" ? changed[2] : changed[1],
              };
            return {
              status: code,
              body: echo && code !== 200 ? `${authorization} ${password}` : (body ?? JSON.stringify(last)),
            };
          };
          const basic = Buffer.from(`${wanted.user}:${password}`).toString("base64");
          const result = await readOrToldLater(
            () =>
              login({
                ...wanted,
                password,
                server: { hostname: "127.0.0.1", port: server.port },
                apiPort: server.port,
                trust: { ca: [ca.cert] },
              }),
            [password, basic],
          );
          if (!result) return;
          assert.match(result.cluster.token, /^[\x21-\x7e]+$/);
          assert.equal(new URL(result.cluster.server).host, server.host);
          assert.ok(result.cluster.ca.length > 0);
        },
      ),
      runs("login answers"),
    );
  });
});
