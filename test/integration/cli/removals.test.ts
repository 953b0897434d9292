/**
 * The commands of a `destroy`, which one process serves: as the engine runs them, with real sshds and API servers that
 * count. Nothing here asserts a time.
 */
import * as assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { type Server, type Socket, createConnection, createServer } from "node:net";
import { hostname } from "node:os";
import * as path from "node:path";
import { createInterface } from "node:readline";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type NodeTarget, connectionEnvironment, nodeEnvironment } from "../../../nodes/protocol/spec";
import { packageRoot } from "../../../support/build";
import { caFingerprints } from "../../../vsphere/identity";
import { nodeArguments } from "../command";
import { FakeApi } from "../kubernetes/fakeApi";
import { jumpboxAccess } from "../nodes/routes/jumpboxAccess";
import {
  type Certificate,
  FakeRoot,
  type Run,
  fakeRootsImpossible,
  file,
  makeCertificate,
} from "../nodes/script/fakeRoot";
import { SshServer, sshdImpossible } from "../nodes/ssh/sshServer";

const owner = "demo.dev";
const id = "5d1b5d2e-0f0c-4d6f-9a3e-2f7c1b1f0a11";
const otherId = "9c2b5d2e-1f0c-4d6f-9a3e-2f7c1b1f0a12";

/** Waits until something is so. The runner ends a test that waits for ever. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await sleep(20);
}

const read = (name: string): string => {
  try {
    return fs.readFileSync(name, "utf8");
  } catch {
    return ""; // a process that ends
  }
};

describe("the removals of a run", { skip: fakeRootsImpossible() || sshdImpossible() }, () => {
  let server: SshServer;
  let bastion: SshServer;
  let api: FakeApi;
  let root: FakeRoot;
  let certificate: Certificate;
  let programs: string;
  let home: string;
  /** The processes that served, since the test began. */
  let seen: Set<number>;
  let watch: NodeJS.Timeout;
  before(async () => {
    certificate = makeCertificate("Harbor CA");
    programs = fs.mkdtempSync("/tmp/tkc-registry-programs-");
    server = await SshServer.start({ programs });
    bastion = await SshServer.start();
    api = await FakeApi.start();
  });
  after(async () => {
    await server.stop();
    await bastion.stop();
    await api.stop();
    fs.rmSync(programs, { recursive: true });
  });
  beforeEach(async () => {
    home = fs.mkdtempSync("/tmp/tkc-registry-home-");
    root = new FakeRoot("photon", "bash");
    const held = path.join(programs, "hold");
    fs.writeFileSync(
      path.join(programs, "sudo"),
      `#!/bin/sh
touch '${path.join(programs, "entered")}'
while [ -e '${held}' ]; do sleep 0.05; done
[ "$1" = -n ] && shift
exec '${root.enter}' "$@"
`,
      { mode: 0o755 },
    );
    api.reset();
    api.secret("tkc-cluster-1-ssh", { "ssh-privatekey": server.client.privateKey });
    api.object("tkc-cluster-1", "/api/v1/namespaces/kube-system", { metadata: { uid: "system-1" } });
    api.object("ns1", "/api/v1/namespaces/ns1/pods/jumpbox-ubuntu", {
      metadata: {},
      status: { phase: "Running" },
    });
    for (const context of ["ns1", "tkc-cluster-1"] as const)
      api.object(context, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {
        status: { allowed: true },
      });
    await root.succeed({ op: "install", nonce: "n-1", certificates: [file(certificate)], owner, id });
    seen = new Set();
    watch = setInterval(() => servers().forEach((pid) => seen.add(pid)), 50);
  });
  afterEach(() => {
    clearInterval(watch);
    letGo();
    release();
    for (const pid of servers()) process.kill(pid, "SIGKILL");
    root.remove();
    fs.rmSync(home, { recursive: true });
  });

  const hold = (): void => {
    fs.rmSync(path.join(programs, "entered"), { force: true });
    fs.writeFileSync(path.join(programs, "hold"), "");
  };
  const release = (): void => fs.rmSync(path.join(programs, "hold"), { force: true });
  /** Until a node is being worked on, and waits. */
  const entered = (): Promise<void> => until(() => fs.existsSync(path.join(programs, "entered")));

  /** The processes that serve the removals of this test. */
  const servers = (): number[] =>
    fs
      .readdirSync("/proc")
      .filter((pid) => /^\d+$/.test(pid) && read(`/proc/${pid}/cmdline`).includes("\0serve-removals\0"))
      .filter((pid) => read(`/proc/${pid}/environ`).split("\0").includes(`PULUMI_HOME=${home}`))
      .map(Number);
  const folder = (of = id): string => path.join(home, `tkc-registry-removals-${of.slice(0, 13)}`);
  const ended = (): Promise<void> => until(() => servers().length === 0);

  const kept: Socket[] = [];
  /** Has a process that serves stay, also where the next command starts late: a connection is enough. */
  const keep = async (place = "0"): Promise<void> => {
    const socket = createConnection(path.join(folder(), place));
    kept.push(socket.on("error", () => undefined));
    await once(socket, "data");
  };
  const letGo = (): void => kept.splice(0).forEach((socket) => socket.destroy());

  const setNodes = (names: readonly string[], labels: Record<string, string> = {}): void => {
    names.forEach((name, index) => {
      const address = `198.18.1.${index + 1}`;
      api.pod.addresses.set(address, "127.0.0.1");
      api.node(name, {
        metadata: { name, uid: `uid-of-${name}`, labels },
        status: {
          conditions: [{ type: "Ready", status: "True" }],
          // They have one machine id, so that their host name is compared, too.
          addresses: [
            { type: "InternalIP", address },
            { type: "Hostname", address: hostname() },
          ],
          nodeInfo: {
            machineID: root.machineId,
            osImage: "VMware Photon OS/Linux",
            containerRuntimeVersion: "containerd://1.6.20",
          },
        },
      });
    });
  };
  const target = (name: string, change: Partial<NodeTarget> = {}): NodeTarget => ({
    ...{ name, uid: `uid-of-${name}`, machineId: root.machineId, address: "127.0.0.1" },
    ...{ port: server.port, user: "root", access: jumpboxAccess, clusterContext: "tkc-cluster-1" },
    sshKey: { from: "supervisor", context: "ns1", namespace: "ns1", cluster: "tkc-cluster-1" },
    cluster: {
      ...{ supervisor: "ns1", namespace: "ns1", name: "tkc-cluster-1" },
      ...{ kubeSystem: "system-1", supervisorCa: caFingerprints(api.ca) },
    },
    ...change,
  });
  const throughBastion = (): Partial<NodeTarget> => ({
    access: {
      ...{ kind: "bastion", host: "127.0.0.1", port: bastion.port, user: "root" },
      ...{ hostKey: bastion.hostKeys.ed25519!.fingerprint, keyFile: path.join(bastion.folder, "client") },
    },
  });
  const stackOf = (of: string): Record<string, string> => ({
    TKC_REGISTRY_OWNER: owner,
    TKC_REGISTRY_ID: of,
  });

  /** A command as the engine runs it. It is over when nobody has its pipes any more. */
  const start = (
    words: string,
    environment: NodeJS.ProcessEnv,
  ): { child: ChildProcess; done: Promise<Run> } => {
    const child = spawn(process.execPath, [...nodeArguments, ...words.split(" ")], {
      cwd: packageRoot,
      env: {
        PATH: process.env.PATH,
        PULUMI_HOME: home,
        KUBECONFIG: process.env.KUBECONFIG,
        ...environment,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    const done = once(child, "close").then(([code]) => ({ code: code as number | null, stdout, stderr }));
    return { child, done };
  };
  const startRemove = (name: string, change: Partial<NodeTarget> = {}, more: NodeJS.ProcessEnv = {}) =>
    start("v1 ca remove", { ...nodeEnvironment(target(name, change)), ...stackOf(id), ...more });
  const remove = async (...of: Parameters<typeof startRemove>): Promise<Run> => {
    const run = await startRemove(...of).done;
    assert.deepEqual([run.code, run.stdout], [0, ""], run.stderr);
    return run;
  };
  const forAll = async (words: string): Promise<Run> => {
    const run = await start(words, { ...connectionEnvironment(target("any")), ...stackOf(id) }).done;
    assert.equal(run.code, 0, run.stderr);
    return run;
  };
  const isInstalled = (): boolean => root.trusted().includes(certificate.sha256);

  it("take one process, one login a node and the connections of one client, and leave nothing behind", async () => {
    const names = ["w1", "w2", "w3", "w4"];
    setNodes(names);
    const [logins, connections] = [server.logins, api.connections];
    assert.match((await forAll("v1 check-removal")).stderr, /^checked before .*: 4 nodes of tkc-cluster-1$/m);
    await keep();
    // Lanes: of each, the second starts when the first has ended.
    const lanes = [names.slice(0, 2), names.slice(2)].map(async ([first, second]) => [
      await remove(first!),
      await remove(second!),
    ]);
    const said = (await Promise.all(lanes)).flat().map(({ stderr }) => stderr);
    for (const [index, name] of names.entries())
      assert.match(said[index]!, new RegExp(`^(removed our CA.*|nothing of ours was left): ${name}$`, "m"));
    assert.equal(said.filter((text) => text.includes("removed our CA")).length, 1); // they have one file system
    const others = said.map((text, index) =>
      names.filter((name) => name !== names[index] && text.includes(`: ${name}\n`)),
    );
    assert.deepEqual(others.flat(), [], "each says what is its own");
    assert.equal(isInstalled(), false);
    await forAll("v1 ca sweep");
    letGo();
    await ended();
    assert.equal(seen.size, 1);
    assert.equal(server.logins - logins, names.length);
    // A stream of the jumpbox for each node; beside them each of both clusters' clients has at most 8.
    assert.ok(api.connections - connections <= names.length + 16, `${api.connections - connections}`);
    assert.equal(api.pod.relays.size, 0);
    assert.deepEqual(fs.readdirSync(home), []);
  });

  it("load one small file in their own processes", async () => {
    setNodes(["w1", "w2"]);
    const hook = path.join(programs, "loaded.cjs");
    const loaded = path.join(programs, "loaded");
    fs.writeFileSync(
      hook,
      `process.on("exit", () => require("node:fs").appendFileSync(${JSON.stringify(loaded)},
        process.pid + " " + Object.keys(require.cache).filter((file) => file !== __filename).join(" ") + "\\n"));\n`,
    );
    const options = { NODE_OPTIONS: `--require=${hook}` };
    const runs = [startRemove("w1", {}, options), startRemove("w2", {}, options)];
    for (const { child, done } of runs) {
      assert.equal((await done).code, 0);
      const line = read(loaded)
        .split("\n")
        .find((each) => each.startsWith(`${child.pid} `));
      assert.equal(line, `${child.pid} ${path.join(packageRoot, "dist", "run.js")}`);
    }
    assert.ok(fs.statSync(path.join(packageRoot, "dist", "run.js")).size < 64 * 1024);
    assert.equal(seen.size, 1);
  });

  it("share the way to the nodes: one session on a bastion", async () => {
    const names = ["w1", "w2", "w3"];
    setNodes(names);
    const [logins, hops] = [server.logins, bastion.logins];
    await Promise.all(names.map((name) => remove(name, throughBastion())));
    assert.deepEqual([server.logins - logins, bastion.logins - hops, seen.size], [3, 1, 1]);
  });

  it("end each by itself: the first does not wait for those that are served after it", async () => {
    setNodes(["w1", "w2"]);
    await remove("w1");
    await keep();
    hold();
    const second = startRemove("w2");
    await entered();
    const third = remove("w1"); // not of this node's file system lock: it is held, too
    release();
    await Promise.all([second.done, third]);
    assert.equal((await second.done).code, 0);
    assert.equal(seen.size, 1);
    // And the one whose process started the server may be the last of all.
    letGo();
    await ended();
    hold();
    const first = startRemove("w1");
    await entered();
    setNodes(["w1"]);
    api.node("w2", undefined);
    assert.match((await remove("w2")).stderr, /nothing to remove, as it is gone.*: w2$/m);
    assert.equal(first.child.exitCode, null);
    release();
    assert.equal((await first.done).code, 0);
  });

  it("are served until nobody calls any more, and then nothing is left", async () => {
    setNodes(["w1"]);
    await remove("w1");
    await keep();
    assert.equal(servers().length, 1);
    const mode = (name: string): number => fs.statSync(path.join(folder(), name)).mode & 0o777;
    assert.deepEqual([mode("."), mode("0"), fs.readdirSync(folder())], [0o700, 0o600, ["0"]]);
    const [pid] = servers();
    // The engine's processes end it no sooner; what it was given says no secret to others.
    assert.notEqual(fs.readFileSync(`/proc/${pid!}/stat`, "utf8").split(" ")[5], String(process.pid));
    assert.doesNotMatch(read(`/proc/${pid!}/cmdline`), /token|KEY|uid-of/);
    letGo();
    await ended();
    assert.deepEqual(fs.readdirSync(home), []);
  });

  it("of two stacks at once have two processes", async () => {
    setNodes(["w1", "w2"]);
    await root.succeed({
      ...{
        op: "install",
        nonce: "n-2",
        certificates: [file(makeCertificate("Other CA"))],
        owner: "other.dev",
      },
      id: otherId,
    });
    const before = root.trusted().length;
    const logins = server.logins;
    await Promise.all([
      remove("w1"),
      remove("w2"),
      remove("w1", {}, { ...stackOf(otherId), TKC_REGISTRY_OWNER: "other.dev" }),
    ]);
    assert.equal(seen.size, 2);
    assert.equal(server.logins - logins, 3);
    assert.equal(root.trusted().length, before - 2);
  });

  it("have nothing in common with those of another environment or kubeconfig", async () => {
    setNodes(["w1"]);
    await remove("w1");
    await keep("0");
    await remove("w1", {}, { AWS_PROFILE: "other" });
    await keep("1");
    assert.deepEqual([servers().length, fs.readdirSync(folder())], [2, ["0", "1"]]);
    // Their own variables are no such difference: each decides for itself.
    await remove("w1", {}, { TKC_REGISTRY_UNREACHABLE_NODES: "skip", PULUMI_COMMAND_STDOUT: "" });
    assert.equal(servers().length, 2);
    // Who has logged in anew meets no client of the old login.
    api.change({ "tkc-cluster-1": { token: "expired" } });
    const refused = await startRemove("w1").done;
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /\[login-expired\]/);
    await keep("2");
    api.change({});
    await remove("w1");
    await keep("3");
    assert.equal(seen.size, 4);
    // No place is left: this one works alone, and says the same.
    assert.match((await remove("w1", {}, { AWS_PROFILE: "third" })).stderr, /nothing of ours was left: w1$/m);
    assert.equal(seen.size, 4);
  });

  it("read anew what one of them failed with", async () => {
    setNodes(["w1"]);
    api.secret("tkc-cluster-1-ssh", undefined);
    const refused = await startRemove("w1").done;
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /ns1\/tkc-cluster-1-ssh.*\[ssh-secret-missing\]$/m);
    await keep();
    api.secret("tkc-cluster-1-ssh", { "ssh-privatekey": server.client.privateKey });
    assert.match((await remove("w1")).stderr, /removed our CA.*: w1$/m);
    assert.equal(seen.size, 1);
  });

  it("refuse by themselves what is not theirs: another cluster, another node, another host key", async () => {
    setNodes(["w1", "w2"]);
    await remove("w2");
    await keep();
    const { code, stderr } = await startRemove("w1", { hostKey: server.stranger.fingerprint }).done;
    assert.deepEqual([code, /\[host-key-changed\]/.test(stderr)], [1, true], stderr);
    const elsewhere = await startRemove("w1", { machineId: "f".repeat(32) }).done;
    assert.deepEqual([elsewhere.code, /machine id/.test(elsewhere.stderr)], [1, true], elsewhere.stderr);
    api.cluster("cluster.x-k8s.io", { metadata: { uid: "cluster-1" } });
    const cluster = { ...target("w1").cluster!, kubeSystem: "system-2" };
    const other = await startRemove("w1", { cluster }).done;
    assert.equal(other.code, 1);
    assert.match(other.stderr, /system-1, and the state has system-2.*\[other-cluster\]$/m);
    const unknown = await start("v1 ca remove --later", { ...stackOf(id) }).done;
    assert.match(unknown.stderr, /^command "ca": --later is unknown\. .*\[unknown-command\]\n$/);
    assert.equal(unknown.code, 1);
    assert.equal(seen.size, 1);
  });

  it("are done by their own processes when the one that serves them is killed", async () => {
    const names = ["w1", "w2", "w3"];
    setNodes(names);
    hold();
    const runs = names.map((name) => startRemove(name));
    await entered();
    const [pid] = servers();
    process.kill(pid!, "SIGKILL");
    await until(() => !fs.existsSync(`/proc/${pid!}`));
    assert.deepEqual(fs.readdirSync(folder()), ["0"], "what it listened at is still there");
    release();
    for (const { done } of runs) {
      const { code, stderr } = await done;
      assert.equal(code, 0, stderr);
    }
    assert.equal(isInstalled(), false);
    assert.equal(root.lines("lab/restarts"), 1);
    // The next one takes the place of the one that was killed.
    await remove("w1");
    await keep();
    assert.deepEqual([servers().length, fs.readdirSync(folder())], [1, ["0"]]);
    process.kill(servers()[0]!, "SIGTERM");
    await ended();
    assert.deepEqual(fs.readdirSync(home), []);
  });

  it("that were cancelled are not begun, and keep nobody waiting", async () => {
    setNodes(["c1", "c2"], { "node-role.kubernetes.io/control-plane": "" });
    const logins = server.logins;
    hold();
    const first = startRemove("c1");
    await entered();
    const second = startRemove("c2"); // waits for the first one's turn
    await until(() => api.requests.includes("tkc-cluster-1 GET /api/v1/nodes/c2"));
    second.child.kill("SIGKILL");
    await second.done;
    release();
    assert.equal((await first.done).code, 0);
    await ended();
    assert.equal(server.logins - logins, 1);
    assert.equal(seen.size, 1);
  });

  it("send nothing to a socket in a folder of another user, or before whoever listens has spoken", async () => {
    setNodes(["w1"]);
    let heard = "";
    let listening: Server | undefined;
    const listen = async (answer: (socket: Socket) => void): Promise<void> => {
      fs.mkdirSync(folder(), { recursive: true, mode: 0o700 });
      listening = createServer((socket) => {
        socket.on("error", () => undefined).on("data", (data) => (heard += data.toString()));
        answer(socket);
      });
      await new Promise<void>((resolve) => listening!.listen(path.join(folder(), "0"), resolve));
    };
    const stop = async (): Promise<void> => {
      await new Promise((resolve) => listening!.close(resolve));
      fs.rmSync(folder(), { recursive: true });
    };
    await listen((socket) => socket.write('{"kind":"ready"}\n'));
    fs.chownSync(folder(), 1, 1);
    await remove("w1");
    assert.equal(heard, "");
    await stop();
    for (const answer of [
      (socket: Socket) => void socket.end(),
      (socket: Socket) => void socket.write("HTTP/1.1 200 OK\r\n\r\n"),
      (socket: Socket) => void socket.write('{"kind":"end"'),
    ]) {
      await listen((socket) => {
        answer(socket);
        setTimeout(() => socket.destroy(), 500);
      });
      await remove("w1");
      assert.equal(heard, "");
      await stop();
    }
    assert.equal(seen.size, 0);
  });

  it("are not served to another process that has not the same surroundings, whatever it sends", async () => {
    setNodes(["w1"]);
    await remove("w1");
    await keep();
    const logins = server.logins;
    const ask = async (message: string): Promise<string[]> => {
      const socket = createConnection(path.join(folder(), "0"));
      const lines: string[] = [];
      createInterface(socket).on("line", (line) => {
        lines.push(line);
        if (lines.length === 1) socket.write(`${message}\n`);
        else socket.destroy();
      });
      socket.on("error", () => undefined);
      await once(socket, "close");
      return lines.map((line) => (JSON.parse(line) as { kind: string }).kind);
    };
    const call = { words: ["v1", "ca", "sweep"], own: stackOf(id), surroundings: { stack: id } };
    assert.deepEqual(await ask(JSON.stringify(call)), ["ready", "refused"]);
    assert.deepEqual(await ask("GET / HTTP/1.1"), ["ready"]);
    assert.equal((await ask("null"))[0], "ready");
    assert.equal(server.logins, logins);
    assert.match((await remove("w1")).stderr, /nothing of ours was left: w1$/m);
    assert.equal(seen.size, 1);
  });

  it("work alone where no socket can be", async () => {
    setNodes(["w1"]);
    const long = path.join(home, "x".repeat(100));
    for (const environment of [
      { PULUMI_HOME: long },
      { PULUMI_HOME: __filename },
      { PULUMI_HOME: "" },
      { TKC_REGISTRY_ID: undefined },
    ])
      assert.match(
        (await remove("w1", {}, environment)).stderr,
        /^(removed our CA.*|nothing of ours was left): w1$/m,
      );
    assert.equal(seen.size, 0);
    assert.deepEqual(fs.readdirSync(home), []);
  });
});
