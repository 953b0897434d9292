/** The sessions that one process holds, with real SSH servers. */
import * as assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { NodeTarget } from "../../../../nodes/protocol/spec";
import { throughPod } from "../../../../nodes/routes/relay";
import type { Transport } from "../../../../nodes/routes/transport";
import { transportFor } from "../../../../nodes/routes/transportFor";
import { SessionPool } from "../../../../nodes/ssh/pool";
import type { Credentials } from "../../../../nodes/ssh/endpoint";
import { packageRoot } from "../../../../support/build";
import { UserError } from "../../../../support/errors";
import { jumpboxAccess } from "../routes/jumpboxAccess";
import { PodServer } from "../routes/podServer";
import { SshServer, sshdImpossible } from "./sshServer";

describe("the sessions on nodes", { skip: sshdImpossible() }, () => {
  let server: SshServer;
  let pod: PodServer;
  before(async () => {
    server = await SshServer.start({ hostKeys: ["ed25519", "rsa"] });
    pod = await PodServer.start();
  });
  after(async () => {
    await server.stop();
    await pod.stop();
  });

  const access = jumpboxAccess;
  const target = (change: Partial<NodeTarget> = {}): NodeTarget => ({
    name: "node-1",
    uid: "uid-1",
    machineId: "",
    address: "127.0.0.1",
    port: server.port,
    user: "root",
    access,
    sshKey: { from: "file", path: "/nowhere" },
    clusterContext: "tkc-cluster-1",
    ...change,
  });
  const credentials = (): Credentials => ({
    kind: "key",
    privateKey: server.client.privateKey,
    source: "a key",
  });
  const throughApi = (): Transport => transportFor(access, throughPod(pod.context));
  const direct = (): Transport => transportFor({ kind: "direct" });
  const withPool = async (transport: Transport, act: (pool: SessionPool) => Promise<void>): Promise<void> => {
    const pool = new SessionPool({
      transport,
      credentials: credentials(),
      connect: { attempts: 2, delay: 1 },
    });
    try {
      await act(pool);
    } finally {
      await pool.close();
    }
  };

  it("are one a node, whatever is done there and however much at once", async () => {
    await withPool(direct(), async (pool) => {
      const before = server.logins;
      const shells = await Promise.all(
        Array.from({ length: 5 }, () =>
          pool.use(target(), undefined, async (session) => (await session.exec("echo $PPID")).stdout),
        ),
      );
      assert.equal(new Set(shells).size, 1);
      assert.equal(server.logins, before + 1);
    });
  });

  it("are opened anew when the jumpbox pod was replaced, also under a command", async () => {
    await withPool(throughApi(), async (pool) => {
      const run = (command: string) =>
        pool.use(target(), undefined, async (session) => (await session.exec(command)).stdout);
      assert.equal(await run("echo 1"), "1\n");
      pod.cut();
      assert.equal(await run("echo 2"), "2\n");
      const running = run("sleep 0.5; echo 3");
      setTimeout(() => pod.cut(), 100);
      assert.equal(await running, "3\n");
      const before = server.logins;
      assert.equal(await run("echo 4"), "4\n");
      assert.equal(server.logins, before);
    });
  });

  it("are opened anew where a new one is lost under its first command, so often and no more", async () => {
    await withPool(direct(), async (pool) => {
      const cutUntil = (times: number): string =>
        `n=$(($(cat ${server.folder}/cuts 2>/dev/null || echo 0) + 1)); echo $n >${server.folder}/cuts; ` +
        `[ $n -gt ${times} ] || kill -9 $PPID; echo $n`;
      const run = (uid: string, command: string): Promise<string> =>
        pool.use(target({ uid }), undefined, async (session) => (await session.exec(command)).stdout);
      assert.equal(await run("uid-cut-1", cutUntil(1)), "2\n");
      fs.rmSync(path.join(server.folder, "cuts"));
      const before = server.logins;
      await assert.rejects(run("uid-cut-2", cutUntil(9)), (error: UserError) => {
        assert.equal(error.problems[0]?.code, "ssh-lost");
        return true;
      });
      assert.equal(server.logins, before + 2);
    });
  });

  it("are not lent to who insists on another host key than the one seen", async () => {
    await withPool(direct(), async (pool) => {
      const hostKeyFor = (pin: string | undefined) =>
        pool.use(target(), pin, (session) => Promise.resolve(session.hostKey));
      const seen = await hostKeyFor(undefined);
      assert.equal(seen, server.hostKeys["ed25519"]!.fingerprint);
      // A key of another type that the node has too.
      const rsa = server.hostKeys["rsa"]!.fingerprint;
      assert.equal(await hostKeyFor(rsa), rsa);
      await assert.rejects(hostKeyFor(server.stranger.fingerprint), (error: UserError) => {
        assert.equal(error.problems[0]?.code, "host-key-changed");
        return true;
      });
      assert.equal(await hostKeyFor(rsa), rsa);
    });
  });

  it("do not end by a command's own failure", async () => {
    await withPool(direct(), async (pool) => {
      const before = server.logins;
      await assert.rejects(
        pool.use(target(), undefined, () => Promise.reject(new Error("mine"))),
        /mine/,
      );
      await pool.use(target(), undefined, (session) => session.exec("true"));
      assert.equal(server.logins, before + 1);
    });
  });

  it("are dialled a few at a time, so that an sshd with its default MaxStartups drops none", async () => {
    const transport = { ...direct(), dials: throughApi().dials };
    await withPool(transport, async (pool) => {
      const before = server.logins;
      const most = 40;
      await Promise.all(
        Array.from({ length: most }, (_, index) =>
          pool.use(target({ uid: `uid-${index}` }), undefined, (session) => session.exec("true")),
        ),
      );
      assert.equal(server.logins, before + most);
      assert.equal(server.drops, 0);
    });
  });

  it("do not keep their process alive", async () => {
    const key = path.join(server.folder, "client");
    const script = `
      const { SessionPool } = require("./nodes/ssh/pool");
      const { transportFor } = require("./nodes/routes/transportFor");
      const { throughPod } = require("./nodes/routes/relay");
      const access = ${JSON.stringify(access)};
      const context = { server: ${JSON.stringify(pod.context.server)}, connectionOptions: async () => ({}) };
      const privateKey = require("fs").readFileSync(${JSON.stringify(key)}, "utf8");
      const bastion = ${JSON.stringify({
        ...{ kind: "bastion", host: "127.0.0.1", port: server.port, user: "root" },
        hostKey: server.hostKeys["ed25519"]!.fingerprint,
      })};
      const ways = [{ kind: "direct" }, bastion, { ...bastion, keyFile: ${JSON.stringify(key)} }];
      for (const transport of [...ways.map((way) => transportFor(way)), transportFor(access, throughPod(context))]) {
        const pool = new SessionPool({ transport, credentials: { kind: "key", privateKey, source: "" } });
        pool.use(${JSON.stringify(target())}, undefined, (session) => session.exec("echo done")).then(console.log);
      }`;
    const agent = path.join(server.folder, "agent");
    const agentProcess = spawn("ssh-agent", ["-D", "-a", agent], { stdio: "ignore" });
    while (!fs.existsSync(agent)) await sleep(20);
    execFileSync("ssh-add", ["-q", key], { stdio: "ignore", env: { ...process.env, SSH_AUTH_SOCK: agent } });
    const file = path.join(packageRoot, `.pool-test-${process.pid}.ts`);
    fs.writeFileSync(file, script);
    try {
      const child = spawn(process.execPath, ["--import", "tsx", file], {
        cwd: packageRoot,
        env: { ...process.env, SSH_AUTH_SOCK: agent },
      });
      let output = "";
      child.stdout.on("data", (data: Buffer) => (output += data.toString()));
      child.stderr.on("data", (data: Buffer) => (output += data.toString()));
      const code = await new Promise((resolve) => child.on("close", resolve));
      assert.equal(code, 0, output);
      assert.equal(output.match(/stdout: 'done/g)?.length, 4, output);
    } finally {
      agentProcess.kill();
      fs.rmSync(file);
    }
  });
});
