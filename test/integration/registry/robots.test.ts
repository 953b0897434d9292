import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { type RobotQuestion, type RobotStatus, robotStatus } from "../../../registry/robots";
import { Pki, type Identity } from "../certificates/pki";
import { problem, startServer, unusedPort, type TestServer } from "../net/server";

const now = new Date("2026-11-25T12:00:00Z");
const password = "hunter2$x";
const subject = "registries[0].credentials";
const seconds = (date: string): number => Date.parse(date) / 1000;

/** A robot as Harbor's swagger has it. */
const robot = (name: string, change: { expires_at?: number; disable?: boolean } = {}): object => ({
  id: 7,
  name,
  level: name.includes("+") ? "project" : "system",
  duration: 30,
  editable: true,
  disable: false,
  expires_at: seconds("2026-12-20T15:00:00Z"),
  creation_time: "2026-11-20T15:00:00.000Z",
  update_time: "2026-11-20T15:00:00.000Z",
  permissions: [{ kind: "project", namespace: "ns1", access: [{ resource: "repository", action: "pull" }] }],
  ...change,
});

describe("a robot account of Harbor", () => {
  let root: Identity;
  let other: Identity;
  let leaf: Identity;
  before(() => {
    const pki = new Pki();
    root = pki.ca("Example Root");
    other = pki.ca("Other Root");
    leaf = pki.server("harbor", "IP:127.0.0.1", root);
  });

  /** Lists these robots to whom may log in: those of project ns1, and of the system. */
  const harbor = (robots: { system?: object[]; ns1?: object[] }): Promise<TestServer> =>
    startServer(leaf, ({ method, url, headers }, response) => {
      const { pathname, searchParams } = new URL(url, "https://harbor");
      const refuse = (status: number, code: string): void =>
        void response
          .writeHead(status)
          .end(JSON.stringify({ errors: [{ code, message: code.toLowerCase() }] }));
      const given = Buffer.from(
        (headers.authorization as string | undefined)?.slice(6) ?? "",
        "base64",
      ).toString();
      const list = { "/api/v2.0/robots": robots.system, "/api/v2.0/projects/ns1/robots": robots.ns1 }[
        pathname
      ];
      if (method !== "GET" || !given.endsWith(`:${password}`)) {
        refuse(401, "UNAUTHORIZED");
        return;
      }
      if (!list) {
        refuse(403, "FORBIDDEN");
        return;
      }
      // Unquoted a second time, as Harbor does.
      const name = /^name=~(.*)$/.exec(
        decodeURIComponent((searchParams.get("q") ?? "").replaceAll("+", " ")),
      )?.[1];
      if (name === undefined) {
        refuse(400, "BAD_REQUEST");
        return;
      }
      response
        .writeHead(200, { "content-type": "application/json", "x-total-count": String(list.length) })
        .end(JSON.stringify(list.filter((each) => (each as { name: string }).name.includes(name))));
    });
  const ask = (
    { host }: { host: string },
    username: string,
    change: Partial<RobotQuestion> = {},
  ): Promise<RobotStatus> =>
    robotStatus({ host, ca: [root.cert], credential: { username, password }, subject, now, ...change });

  it("of a project or of the system is known by its whole name, and the day it expires is told", async () => {
    await using server = await harbor({
      ns1: [robot("robot$ns1+pull-2", { disable: true }), robot("robot$ns1+pull")],
      system: [robot("robot$pull", { expires_at: seconds("2026-11-26T00:00:00Z") })],
    });
    assert.deepEqual(await ask(server, "robot$ns1+pull"), {
      expires: new Date("2026-12-20T15:00:00Z"),
      warning: "the robot account robot$ns1+pull expires on 2026-12-20, in 25 days",
    });
    assert.deepEqual(await ask(server, "robot$pull"), {
      expires: new Date("2026-11-26T00:00:00Z"),
      warning: "the robot account robot$pull expires on 2026-11-26, within a day",
    });
    assert.deepEqual(
      server.received.map(({ url, headers }) => [url, headers["x-is-resource-name"]]),
      [
        ["/api/v2.0/projects/ns1/robots?q=name%3D%7Epull&page_size=100", "true"],
        ["/api/v2.0/robots?q=name%3D%7Epull&page_size=100", "true"],
      ],
    );
  });

  it("may have another prefix than `robot$`", async () => {
    await using server = await harbor({ ns1: [robot("svc$ns1+pull")] });
    assert.match((await ask(server, "svc$ns1+pull")).warning ?? "", /svc\$ns1\+pull expires/);
  });

  it("that expires in a month or more, or never, is no reason for a warning", async () => {
    await using server = await harbor({
      system: [
        robot("robot$later", { expires_at: seconds("2026-12-25T12:00:00Z") }),
        robot("robot$never", { expires_at: -1 }),
      ],
    });
    assert.deepEqual(await ask(server, "robot$later"), { expires: new Date("2026-12-25T12:00:00Z") });
    assert.deepEqual(await ask(server, "robot$never"), {});
  });

  it("that has expired, or is disabled, is refused with what to do", async () => {
    await using server = await harbor({
      ns1: [
        robot("robot$ns1+old", { expires_at: seconds("2026-11-25T11:00:00Z") }),
        robot("robot$ns1+off", { disable: true }),
      ],
    });
    await assert.rejects(
      ask(server, "robot$ns1+old"),
      problem(
        "robot-expired",
        /^registries\[0\]\.credentials: .*"robot\$ns1\+old" expired on 2026-11-25\. Prolong/,
      ),
    );
    await assert.rejects(
      ask(server, "robot$ns1+off"),
      problem("robot-disabled", /^registries\[0\]\.credentials: .*"robot\$ns1\+off" is disabled\. Enable/),
    );
  });

  it("of which Harbor tells nothing is passed over", async () => {
    await using silent = await harbor({});
    assert.deepEqual(await ask(silent, "robot$ns1+pull"), {});
    assert.deepEqual(await ask(silent, "robot$pull"), {});
    await using empty = await harbor({ system: [robot("robot$pull-2")] });
    assert.deepEqual(await ask(empty, "robot$pull"), {});
    for (const body of [
      "<html>",
      "null",
      "{}",
      '[{"name":5}]',
      '[{"name":"robot$pull","expires_at":"soon"}]',
    ]) {
      await using garbled = await startServer(leaf, (_, response) => response.end(body));
      assert.deepEqual(await ask(garbled, "robot$pull"), {}, body);
    }
    assert.deepEqual(await ask({ host: `127.0.0.1:${await unusedPort(leaf)}` }, "robot$pull"), {});
    await using slow = await startServer(leaf, () => {});
    assert.deepEqual(await ask(slow, "robot$pull", { limits: { seconds: 0.3, bytes: 1000 } }), {});
  });

  it("is asked for only with a robot's name, of the registry itself, once its certificate has verified", async () => {
    await using server = await harbor({ system: [] });
    for (const username of [
      "alana",
      "robot",
      "robot$",
      "robot$A B",
      "robot$a,Level=project",
      "a$b+c+d",
      "$../x",
    ]) {
      assert.deepEqual(await ask(server, username), {});
    }
    assert.deepEqual(await ask(server, "robot$pull", { ca: [other.cert] }), {});
    assert.deepEqual(server.received, []);
    await using elsewhere = await startServer(leaf, (_, response) => response.end("[]"));
    await using redirecting = await startServer(leaf, (_, response) =>
      response.writeHead(302, { location: `https://${elsewhere.host}/` }).end(),
    );
    assert.deepEqual(await ask(redirecting, "robot$pull"), {});
    assert.deepEqual(elsewhere.received, []);
  });

  describe("whose password is a token, as Harbor made them before 2.2", () => {
    const token = (claims: unknown): string =>
      [{ alg: "RS256", typ: "JWT" }, claims]
        .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
        .concat("c2lnbmF0dXJl")
        .join(".");

    it("is known to expire with it, and Harbor is not asked", async () => {
      await using server = await harbor({ system: [] });
      const expiring = (exp: number): Partial<RobotQuestion> => ({
        credential: { username: "robot$pull", password: token({ exp, iat: 1, id: 7, pid: 2, access: [] }) },
      });
      assert.deepEqual(await ask(server, "", expiring(seconds("2026-12-01T12:00:00Z"))), {
        expires: new Date("2026-12-01T12:00:00Z"),
        warning: "the robot account robot$pull expires on 2026-12-01, in 6 days",
      });
      await assert.rejects(
        ask(server, "", expiring(seconds("2026-11-01T12:00:00Z"))),
        problem("robot-expired", /expired on 2026-11-01/),
      );
      assert.deepEqual(server.received, []);
    });
  });
});
