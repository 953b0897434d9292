import * as assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import * as fs from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { after, afterEach, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import * as path from "node:path";
import { type Connection, Server as PasswordServer, utils } from "ssh2";
import type { BastionAccess } from "../../../../nodes/routes/bastion";
import { throughPod } from "../../../../nodes/routes/relay";
import type { Transport } from "../../../../nodes/routes/transport";
import { transportFor } from "../../../../nodes/routes/transportFor";
import { connect } from "../../../../nodes/ssh/connect";
import type { Credentials, SshEndpoint } from "../../../../nodes/ssh/endpoint";
import { fingerprint } from "../../../../nodes/ssh/hostKeys";
import { Session } from "../../../../nodes/ssh/session";
import { UserError } from "../../../../support/errors";
import { Pki } from "../../certificates/pki";
import { startServer } from "../../net/server";
import { jumpboxAccess } from "../routes/jumpboxAccess";
import { PodServer } from "../routes/podServer";
import { SshImpostor } from "./impostor";
import { SshServer, freePort, sshdImpossible } from "./sshServer";

const quick = { attempts: 2, delay: 1, attemptTimeout: 10_000 };

async function failure(promise: Promise<unknown>): Promise<{ code: string; message: string }> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof UserError, String((error as Error).stack));
    return { code: error.problems[0]!.code, message: error.message };
  }
  throw new Error("it did not fail");
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as { port: number }).port;
}

describe("SSH to a node", { skip: sshdImpossible() }, () => {
  let server: SshServer;
  let pod: PodServer;
  let bastion: SshServer;
  let agent: ChildProcess;
  before(async () => {
    pod = await PodServer.start();
    bastion = await SshServer.start();
    const socket = path.join(bastion.folder, "agent");
    agent = spawn("ssh-agent", ["-D", "-a", socket], { stdio: "ignore" });
    while (!fs.existsSync(socket)) await sleep(20);
    process.env.SSH_AUTH_SOCK = socket;
    execFileSync("ssh-add", ["-q", path.join(bastion.folder, "client")], { stdio: "ignore" });
    server = await SshServer.start({ hostKeys: ["ed25519", "ecdsa", "rsa"] });
  });
  after(async () => {
    await server.stop();
    await bastion.stop();
    agent.kill();
    await pod.stop();
  });
  afterEach(() => {
    pod.path = undefined;
    pod.refusal = undefined;
  });

  const key = (pair = server.client): Credentials => ({
    kind: "key",
    privateKey: pair.privateKey,
    source: "a key",
  });
  const access = jumpboxAccess;
  const jumpbox = (): Transport => transportFor(access, throughPod(pod.context));
  const bastionAccess = (change: Partial<BastionAccess> = {}): BastionAccess => ({
    kind: "bastion",
    host: "127.0.0.1",
    port: bastion.port,
    user: "root",
    hostKey: bastion.hostKeys["ed25519"]!.fingerprint,
    ...change,
  });
  const bastionKey = (pair = "client") => ({ keyFile: path.join(bastion.folder, pair) });
  const ways: Readonly<Record<string, () => Transport>> = {
    direct: () => transportFor({ kind: "direct" }),
    "bastion, with a key": () => transportFor(bastionAccess(bastionKey())),
    "bastion, by the SSH agent": () => transportFor(bastionAccess()),
    jumpbox,
  };
  const endpoint = (change: Partial<SshEndpoint> = {}): SshEndpoint => ({
    node: "node-1",
    address: "127.0.0.1",
    port: server.port,
    user: "root",
    transport: transportFor({ kind: "direct" }),
    credentials: key(),
    ...change,
  });

  for (const [way, transport] of Object.entries(ways)) {
    const to = (change: Partial<SshEndpoint> = {}): SshEndpoint =>
      endpoint({ transport: transport(), ...change });

    describe(way, () => {
      it("runs several commands in one session, with their input, output and exit code", async () => {
        const session = await connect(to());
        try {
          const big = "x".repeat(200_000);
          const [sum, both, code] = await Promise.all([
            session.exec("wc -c", { input: big }),
            session.exec("echo out; echo err >&2"),
            session.exec("exit 7"),
          ]);
          assert.equal(sum.stdout.trim(), String(big.length));
          assert.deepEqual(both, { code: 0, stdout: "out\n", stderr: "err\n" });
          assert.equal(code.code, 7);
          assert.equal((await session.exec("kill -9 $$")).code, undefined);
        } finally {
          await session.close();
        }
        assert.equal(session.open, false);
        assert.equal((await failure(session.exec("true"))).code, "ssh-lost");
      });

      it("accepts any host key at first contact and tells which it was", async () => {
        const session = await connect(to());
        await session.close();
        assert.ok(Object.values(server.hostKeys).some(({ fingerprint }) => fingerprint === session.hostKey));
      });

      it("finds the pinned host key whatever its type", async () => {
        for (const { fingerprint } of Object.values(server.hostKeys)) {
          const session = await connect(to({ hostKey: fingerprint }));
          await session.close();
          assert.equal(session.hostKey, fingerprint);
        }
      });

      it("shows no credentials to a node with another host key", async () => {
        const hostKey = server.stranger.fingerprint;
        const { code, message } = await failure(connect(to({ hostKey }), quick));
        assert.equal(code, "host-key-changed");
        assert.ok(message.includes(hostKey), message);
        assert.match(message, /node-1.*127\.0\.0\.1/);
      });

      it("tells a refused key from everything else", async () => {
        const { code, message } = await failure(connect(to({ credentials: key(server.stranger) }), quick));
        assert.equal(code, "ssh-auth");
        assert.match(message, /a key/);
      });

      it("tells a closed port", async () => {
        const { code, message } = await failure(connect(to({ port: await freePort() }), quick));
        assert.equal(code, "ssh-refused");
        assert.match(message, /2 times/);
      });

      it("does not wait for ever for a node that says nothing", async () => {
        const sockets: Socket[] = [];
        const silent = createServer((socket) => sockets.push(socket.on("error", () => undefined)));
        const port = await listen(silent);
        const { code } = await failure(connect(to({ port }), { ...quick, attemptTimeout: 1500 }));
        assert.equal(code, "ssh-timeout");
        sockets.forEach((socket) => socket.destroy());
        silent.close();
      });

      it("tries again when the connection is dropped before it is an SSH session", async () => {
        let calls = 0;
        const dropping = createServer((socket) => {
          calls += 1;
          socket.on("error", () => undefined).destroy();
        });
        const port = await listen(dropping);
        const { code } = await failure(connect(to({ port }), { ...quick, attempts: 3 }));
        assert.ok(["ssh-lost", "relay-failed"].includes(code), code);
        assert.equal(calls, 3);
        dropping.close();
      });

      it("says so when the connection ends under a command, or the command takes too long", async () => {
        const session = await connect(to());
        assert.equal((await failure(session.exec("sleep 60", { timeout: 300 }))).code, "ssh-exec-timeout");
        assert.equal((await failure(session.exec("yes", { timeout: 20_000 }))).code, "ssh-output");
        assert.equal((await failure(session.exec("kill -9 $PPID", { timeout: 20_000 }))).code, "ssh-lost");
        await session.close();
      });
    });
  }

  it("tells an account that sshd's own words refuse by these words, and tries again where the node only starts", async () => {
    const banner = path.join(server.folder, "banner");
    const refusing = await SshServer.start({ settings: [`Banner ${banner}`] });
    try {
      const endpoint: SshEndpoint = {
        ...{ node: "node-1", address: "127.0.0.1", port: refusing.port, user: "root" },
        ...{
          transport: transportFor({ kind: "direct" }),
          credentials: key(refusing.stranger),
          hostKey: undefined,
        },
      };
      fs.writeFileSync(banner, "Your account has expired; please contact your system administrator.\n");
      const expired = await failure(connect(endpoint, quick));
      assert.equal(expired.code, "ssh-account");
      assert.match(expired.message, /failed: Your account has expired.*chage --expiredate -1 root/);
      fs.writeFileSync(
        banner,
        '"System is booting up. Unprivileged users are not permitted to log in yet."\n',
      );
      const starting = await failure(connect(endpoint, quick));
      assert.equal(starting.code, "ssh-account");
      assert.match(starting.message, /failed 2 times: .*booting up.*run again then/);
      fs.writeFileSync(banner, "Authorized users only. All activity is monitored.\n");
      assert.equal((await failure(connect(endpoint, quick))).code, "ssh-auth");
      // A user who is let in may be greeted with any words.
      fs.writeFileSync(banner, "The account is locked due to 3 failed logins.\n");
      await (await connect({ ...endpoint, credentials: key(refusing.client) }, quick)).close();
    } finally {
      await refusing.stop();
    }
  });

  describe("bastion", () => {
    const through = (change: Partial<BastionAccess>): SshEndpoint =>
      endpoint({ transport: transportFor(bastionAccess(change)) });

    it("carries all nodes' sessions in one of its own, and opens that anew where it was lost", async () => {
      const before = bastion.logins;
      const to = through(bastionKey());
      const sessions = await Promise.all(Array.from({ length: 5 }, () => connect(to, quick)));
      await Promise.all(sessions.map((session) => session.exec("true")));
      assert.equal(bastion.logins, before + 1);
      const running = failure(sessions[0]!.exec("sleep 30"));
      bastion.cutAll();
      assert.equal((await running).code, "ssh-lost");
      await Promise.all(sessions.map((session) => session.close()));
      const again = await connect(to, quick);
      assert.equal((await again.exec("echo again")).stdout, "again\n");
      await again.close();
      assert.equal(bastion.logins, before + 2);
    });

    it("is told apart from the nodes, and never shown a key if it isn't the pinned one", async () => {
      const before = bastion.logins;
      for (const [change, expected] of [
        [{ ...bastionKey(), hostKey: bastion.stranger.fingerprint }, "bastion-host-key-changed"],
        [bastionKey("stranger"), "bastion-ssh-auth"],
        [{ ...bastionKey(), port: await freePort() }, "bastion-ssh-refused"],
        [bastionKey("nothing"), "ssh-key-file"],
      ] as const) {
        const { code, message } = await failure(connect(through(change), { ...quick, attempts: 1 }));
        assert.equal(code, expected, message);
        assert.doesNotMatch(message, /PRIVATE KEY/);
      }
      assert.equal(bastion.logins, before);
    });

    it("says so when there is neither a key file nor an agent", async () => {
      const socket = process.env.SSH_AUTH_SOCK;
      delete process.env.SSH_AUTH_SOCK;
      const { code } = await failure(connect(through({}), quick));
      process.env.SSH_AUTH_SOCK = socket;
      assert.equal(code, "ssh-agent-missing");
    });

    it("says so when it does not forward", async () => {
      const closed = await SshServer.start({ settings: ["AllowTcpForwarding no"] });
      const change = {
        port: closed.port,
        hostKey: closed.hostKeys["ed25519"]!.fingerprint,
        keyFile: path.join(closed.folder, "client"),
      };
      const { code } = await failure(connect(through(change), quick));
      await closed.stop();
      assert.equal(code, "bastion-forwarding-refused");
    });
  });

  describe("jumpbox", () => {
    const to = (change: Partial<SshEndpoint> = {}): SshEndpoint =>
      endpoint({ transport: jumpbox(), ...change });

    const noRelays = async (): Promise<void> => {
      while ([...pod.relays].length > 0) await sleep(20);
    };

    it("leaves no process in the pod when a session ends, at either side", async () => {
      const ended = await connect(to());
      assert.equal(pod.relays.size, 1);
      await ended.close();
      await noRelays();
      const cut = await connect(to());
      await failure(cut.exec("kill -9 $PPID"));
      await cut.close();
      await noRelays();
    });

    it("says what the API's refusals mean", async () => {
      for (const [status, body, expected] of [
        [404, 'pods "jumpbox-ubuntu" not found', "relay-pod-missing"],
        [403, 'pods "jumpbox-ubuntu" is forbidden: User "a" cannot create resource', "no-rights"],
        [401, "Unauthorized", "login-expired"],
        [400, "container x is not valid for pod jumpbox-ubuntu", "relay-container-missing"],
        [500, "cannot exec into a container in a completed pod", "relay-pod-not-running"],
        [500, "error dialing backend: dial tcp 10.0.0.3:10250: connect: connection refused", "relay-failed"],
        [503, "the server is currently unable to handle the request", "cluster-unreachable"],
        [500, "something else", "relay-failed"],
      ] as const) {
        pod.refusal = { status, body };
        const { code, message } = await failure(connect(to(), { ...quick, attempts: 1 }));
        assert.equal(code, expected);
        assert.ok(message.includes(body), message);
      }
    });

    it("says so when the API server is not there", async () => {
      const port = await freePort();
      const gone = { ...pod.context, server: `https://127.0.0.1:${port}` };
      const { code } = await failure(
        connect(endpoint({ transport: throughPod(gone)(access) }), { ...quick, attempts: 1 }),
      );
      assert.equal(code, "cluster-unreachable");
    });

    it("sends nothing to an API server that is not the kubeconfig's", async () => {
      const pki = new Pki();
      const ca = pki.ca("kubernetes");
      const impostor = pki.server("impostor", "IP:127.0.0.1", pki.ca("kubernetes"));
      await using server = await startServer(impostor, (_, response) => response.end());
      const context = {
        ...pod.context,
        server: `https://${server.host}`,
        connectionOptions: () => Promise.resolve({ ca: ca.cert, headers: { authorization: "Bearer t" } }),
      };
      const { code } = await failure(connect(to({ transport: throughPod(context)(access) }), quick));
      assert.equal(code, "cluster-certificate");
      assert.deepEqual(server.received, []);
    });

    it("never takes an address for anything but an address", async () => {
      const folder = fs.mkdtempSync(path.join(bastion.folder, "mark-"));
      const mark = path.join(folder, "mark");
      for (const address of [
        `$(touch ${mark})`,
        `;touch ${mark};`,
        "-e/bin/sh",
        "a b",
        "' || true",
        "127.0.0.1,fork",
      ]) {
        const { code } = await failure(connect(to({ address }), { ...quick, attempts: 1 }));
        assert.equal(code, "relay-failed");
      }
      assert.equal(fs.existsSync(mark), false);
    });

    it("says when the image has nothing to relay with", async () => {
      const folder = fs.mkdtempSync(path.join(bastion.folder, "pod-"));
      fs.symlinkSync("/bin/sh", path.join(folder, "sh"));
      pod.path = folder;
      const { code } = await failure(connect(to(), quick));
      assert.equal(code, "relay-no-tool");
    });
  });

  it("notices a node that no longer answers while a command runs there", async () => {
    // Two seconds, which a node has to answer in: a busy machine needs some of them.
    const session = await connect(endpoint(), { liveness: 2000 });
    const pids = (await session.exec("echo $PPID $(ps -o ppid= -p $PPID)")).stdout.trim().split(/\s+/);
    const signal = (name: NodeJS.Signals): void => pids.forEach((pid) => process.kill(Number(pid), name));
    assert.equal((await session.exec("sleep 4.5; echo there")).stdout, "there\n");
    const running = failure(session.exec("sleep 30"));
    await sleep(100);
    signal("SIGSTOP");
    try {
      assert.equal((await running).code, "ssh-lost");
    } finally {
      signal("SIGCONT");
      await session.close();
    }
  });

  it("is not an SSH server: says that too", async () => {
    const web = createServer((socket) => {
      socket.on("error", () => undefined).end("HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    const port = await listen(web);
    const { code } = await failure(connect(endpoint({ port }), quick));
    assert.ok(["ssh-handshake", "ssh-lost"].includes(code), code);
    web.close();
  });
});

describe("SSH with a password", () => {
  let server: PasswordServer;
  let port: number;
  let pinned: string;
  const methods: string[] = [];
  const connections = new Set<Connection>();
  before(async () => {
    const { private: hostKey, public: shown } = utils.generateKeyPairSync("ecdsa", { bits: 256 });
    pinned = fingerprint(Buffer.from(shown.split(" ")[1]!, "base64"));
    server = new PasswordServer({ hostKeys: [hostKey] }, (client) => {
      connections.add(client);
      client.on("error", () => undefined);
      client.on("authentication", (context) => {
        methods.push(context.method);
        if (context.method === "keyboard-interactive") {
          context.prompt([{ prompt: "Password: ", echo: false }], (answers) =>
            answers[0] === "s3cret" ? context.accept() : context.reject(),
          );
        } else if (context.method === "none") context.reject(["publickey", "keyboard-interactive"]);
        else context.reject(["publickey", "keyboard-interactive"]);
      });
      client.on("ready", () => {
        client.on("session", (accept) => {
          accept().on("exec", (acceptExec) => {
            const channel = acceptExec();
            channel.write("hello\n");
            channel.exit(0);
            channel.end();
          });
        });
      });
    });
    port = await new Promise((resolve) => {
      server.listen(0, "127.0.0.1", () => resolve((server.address() as { port: number }).port));
    });
  });
  after(() => {
    connections.forEach((connection) => connection.end());
    server.close();
  });
  const to = (credentials: Credentials, change: Partial<SshEndpoint> = {}): SshEndpoint => ({
    node: "node-1",
    address: "127.0.0.1",
    port,
    user: "vmware-system-user",
    transport: transportFor({ kind: "direct" }),
    credentials,
    hostKey: pinned,
    ...change,
  });

  it("is for a node that shows its pinned host key: nobody else at its address is sent it, nor anything", async () => {
    const impostor = await SshImpostor.start();
    try {
      const password = { kind: "password", password: "s3cret", source: "a secret" } as const;
      const at = { port: impostor.port };
      const unpinned = await failure(connect(to(password, { ...at, hostKey: undefined })));
      assert.equal(unpinned.code, "ssh-password-unpinned");
      assert.match(unpinned.message, /`nodes\.hostKeys`.*ssh-keygen -l -f/);
      assert.equal(impostor.connections, 0);
      assert.equal((await failure(connect(to(password, at), quick))).code, "host-key-changed");
      assert.deepEqual(impostor.offered, []);
      // A key may be offered: it proves who we are, and stays here.
      const privateKey = utils.generateKeyPairSync("ecdsa", { bits: 256 }).private;
      const key = { kind: "key", privateKey, source: "a key" } as const;
      await (await connect(to(key, { ...at, hostKey: undefined }))).close();
      assert.deepEqual([...new Set(impostor.offered)], ["publickey"]);
    } finally {
      await impostor.stop();
    }
  });

  it("logs in where there is no key, also where PAM asks", async () => {
    const session: Session = await connect(to({ kind: "password", password: "s3cret", source: "a secret" }));
    assert.equal((await session.exec("true")).stdout, "hello\n");
    await session.close();
  });

  it("does not show a wrong password in the error", async () => {
    const { code, message } = await failure(
      connect(to({ kind: "password", password: "wr0ng", source: "a secret" })),
    );
    assert.equal(code, "ssh-auth");
    assert.doesNotMatch(message, /wr0ng/);
  });

  it("never tries a password after a refused key", async () => {
    methods.length = 0;
    const privateKey = utils.generateKeyPairSync("ecdsa", { bits: 256 }).private;
    const { code } = await failure(connect(to({ kind: "key", privateKey, source: "a key" })));
    assert.equal(code, "ssh-auth");
    assert.deepEqual(
      methods.filter((method) => method !== "publickey" && method !== "none"),
      [],
    );
  });
});
