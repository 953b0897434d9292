/**
 * The commands as the stack runs them: a shell's, which hand over to the program, and those of a process of their own;
 * with a real sshd, and the node script in a node's file system.
 */
import * as assert from "node:assert/strict";
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { namedContexts } from "../../../kubernetes/client";
import { writePin } from "../../../kubernetes/pins";
import { reachProblem } from "../../../nodes/operations/problems";
import type { PinWriter, ReachGuard } from "../../../nodes/operations/operations";
import { controlPlaneOf } from "../../../nodes/operations/controlPlane";
import { nodeReader } from "../../../nodes/operations/ready";
import { type InstalledReport, parseCaReport } from "../../../nodes/protocol/report";
import {
  type Canary,
  type NodeTarget,
  type UnreachablePolicy,
  nodeEnvironment,
  pinName,
  connectionEnvironment,
} from "../../../nodes/protocol/spec";
import { throughPod } from "../../../nodes/routes/relay";
import { transportFor } from "../../../nodes/routes/transportFor";
import { certificateFileName, nodeScript } from "../../../nodes/script/script";
import { Outcomes } from "../../../nodes/service/outcomes";
import { type CanaryPuller, NodeService, type ServedWave } from "../../../nodes/service/service";
import { serviceCommand, serviceFolder } from "../../../nodes/service/serviceProtocol";
import { readCredentials, secretReader } from "../../../nodes/ssh/key";
import { SessionPool } from "../../../nodes/ssh/pool";
import { planProblem } from "../../../plan/problems";
import { caFingerprints } from "../../../vsphere/identity";
import { packageRoot } from "../../../support/build";
import { UserError } from "../../../support/errors";
import { nodeArguments } from "../command";
import { FakeApi } from "../kubernetes/fakeApi";
import { unusedPort } from "../net/server";
import { jumpboxAccess } from "../nodes/routes/jumpboxAccess";
import {
  type Certificate,
  FakeRoot,
  type Run,
  fakeRootsImpossible,
  makeCertificate,
} from "../nodes/script/fakeRoot";
import { SshImpostor } from "../nodes/ssh/impostor";
import { SshServer, freePort, sshdImpossible } from "../nodes/ssh/sshServer";

async function run(program: string, args: readonly string[], environment: NodeJS.ProcessEnv): Promise<Run> {
  const child = spawn(program, args, {
    cwd: packageRoot,
    env: {
      PATH: process.env.PATH,
      PULUMI_HOME: process.env.PULUMI_HOME,
      KUBECONFIG: process.env.KUBECONFIG,
      ...environment,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { code, stdout, stderr };
}

/** A command that is a process of its own, and works alone as it has no place for a socket. */
const command = (words: string, environment: NodeJS.ProcessEnv): Promise<Run> =>
  run(process.execPath, [...nodeArguments, ...words.split(" ")], { ...environment, PULUMI_HOME: undefined });

const owner = "demo.dev";
const id = "5d1b5d2e-0f0c-4d6f-9a3e-2f7c1b1f0a11";

/** The stack's name on Node objects. */
const stack = pinName({ owner, id });

const notePin: PinWriter = async (target, name, hostKey) =>
  writePin(await namedContexts()(target.clusterContext), target, name, hostKey);

/** Nodes that reach all registries. */
const reached: ReachGuard = { all: () => Promise.resolve(), one: () => Promise.resolve([]) };

/** A command that the program serves, as the engine runs it. */
const borrowed = (words: string, environment: NodeJS.ProcessEnv): Promise<Run> =>
  run("/bin/sh", ["-c", serviceCommand(words)], { TKC_REGISTRY_ID: id, ...environment });

describe("the node commands", { skip: fakeRootsImpossible() || sshdImpossible() }, () => {
  let server: SshServer;
  let api: FakeApi;
  let root: FakeRoot;
  let certificate: Certificate;
  let programs: string;
  let pool: SessionPool | undefined;
  let service: NodeService | undefined;
  const pulumiHome = process.env.PULUMI_HOME;
  before(async () => {
    certificate = makeCertificate("Harbor CA");
    process.env.PULUMI_HOME = fs.mkdtempSync("/tmp/tkc-registry-home-");
    programs = fs.mkdtempSync("/tmp/tkc-registry-programs-");
    server = await SshServer.start({ programs });
    api = await FakeApi.start();
  });
  after(async () => {
    await server.stop();
    await api.stop();
    fs.rmSync(programs, { recursive: true });
    fs.rmSync(process.env.PULUMI_HOME!, { recursive: true });
    process.env.PULUMI_HOME = pulumiHome;
  });
  beforeEach(async () => {
    root = new FakeRoot("photon", "bash");
    fs.writeFileSync(
      path.join(programs, "sudo"),
      `#!/bin/sh\n[ "$1" = -n ] && shift\nexec '${root.enter}' "$@"\n`,
      {
        mode: 0o755,
      },
    );
    api.reset();
    api.secret("tkc-cluster-1-ssh", { "ssh-privatekey": server.client.privateKey });
    setNode("uid-1", "True");
    await serve(target());
  });
  afterEach(async () => {
    await stop();
    api.pod.addresses.clear();
    root.remove();
  });

  const setNode = (uid: string, ready: string): void =>
    api.node("node-1", {
      metadata: { uid },
      status: { conditions: [{ type: "Ready", status: ready, message: "PLEG is not healthy" }] },
    });
  const target = (change: Partial<NodeTarget> = {}): NodeTarget => ({
    name: "node-1",
    uid: "uid-1",
    machineId: root.machineId,
    address: "127.0.0.1",
    port: server.port,
    user: "root",
    access: jumpboxAccess,
    sshKey: { from: "supervisor", context: "ns1", namespace: "ns1", cluster: "tkc-cluster-1" },
    clusterContext: "tkc-cluster-1",
    cluster: { supervisor: "ns1", namespace: "ns1", name: "tkc-cluster-1" },
    ...change,
  });
  const environment = (change: Partial<NodeTarget> = {}): Record<string, string> => ({
    ...nodeEnvironment(target(change)),
    TKC_REGISTRY_OWNER: owner,
    TKC_REGISTRY_ID: id,
    TKC_REGISTRY_SCRIPT_SHA256: nodeScript().sha256,
    TKC_REGISTRY_TRUST: JSON.stringify([{ registry: "harbor.example:8443", sha256: certificate.sha256 }]),
    TKC_REGISTRY_NONCE: "first",
  });
  const serve = async (
    served: NodeTarget,
    {
      known = [certificate],
      readyTimeout = 300,
      unreachable = "fail",
      former,
      repeats,
      reach = reached,
      waves = [],
    }: {
      waves?: readonly ServedWave[];
      known?: readonly Certificate[];
      readyTimeout?: number;
      unreachable?: UnreachablePolicy;
      former?: string | undefined;
      repeats?: string | undefined;
      reach?: ReachGuard;
    } = {},
  ): Promise<void> => {
    await stop();
    const context = namedContexts();
    pool = new SessionPool({
      transport: transportFor(served.access, throughPod(await context("ns1"))),
      credentials: await readCredentials(served.sshKey, secretReader(context)),
      connect: { attempts: 2, delay: 1 },
    });
    service = await NodeService.start({
      ...{
        stack: { owner, id },
        nodes: [{ target: served, former, repeats }],
        waves,
        readyTimeout,
      },
      certificates: new Map(known.map((each) => [each.sha256, each])),
      ...{
        inSession: pool.use,
        readNode: nodeReader(context),
        notePin,
        controlPlane: controlPlaneOf(context),
        pullOnCanary,
        reach,
      },
      unreachable,
      tell: (line) => void told.push(line),
      outcomes: (outcomes = new Outcomes()),
    });
  };
  /** What the service tells at once. */
  const told: string[] = [];
  /** Of the service that was started last. */
  let outcomes: Outcomes;
  /** What was pulled, or is to be refused. */
  const pulled: Canary[] = [];
  let noPull: UserError | undefined;
  const pullOnCanary: CanaryPuller = (canary, _, { log }) => {
    if (noPull) return Promise.reject(noPull);
    pulled.push(canary);
    log("pulled it");
    return Promise.resolve();
  };
  const stop = async (): Promise<void> => {
    await service?.close();
    await pool?.close();
    service = undefined;
  };
  const apply = (change: NodeJS.ProcessEnv = {}): Promise<Run> =>
    borrowed("ca apply", { ...environment(), ...change });
  const restart = (ca: string): Promise<Run> => borrowed("containerd restart", { TKC_REGISTRY_CA: ca });
  const succeed = async (run: Promise<Run>): Promise<Run> => {
    const result = await run;
    assert.equal(result.code, 0, result.stderr);
    return result;
  };

  it("install, load, say the same the second time, and leave no trace", async () => {
    const before = root.snapshot();
    const installed = await succeed(apply());
    const ca = parseCaReport(installed.stdout) as InstalledReport;
    assert.equal(ca.hostKey, server.hostKeys.ed25519!.fingerprint);
    assert.deepEqual(ca.sha256, [certificate.sha256]);
    const file = `${certificateFileName("harbor.example:8443", certificate.sha256)}.pem`;
    assert.equal(fs.existsSync(root.at(`/etc/ssl/certs/${file}`)), true);
    assert.match(installed.stderr, /first contact: trusting its host key/);
    assert.match(installed.stderr, /^installed 1 CA certificate in the trust store: node-1$/m);

    const restarted = await succeed(restart(installed.stdout));
    assert.match(restarted.stdout, new RegExp(`^loaded=${certificate.sha256}$`, "m"));
    assert.equal(root.lines("lab/restarts"), 1);

    const files = root.snapshot(true);
    const again = await succeed(apply({ PULUMI_COMMAND_STDOUT: installed.stdout.trimEnd() }));
    assert.notEqual(parseCaReport(again.stdout).nonce, ca.nonce);
    assert.match(again.stderr, /^1 CA certificate in the trust store already; nothing written: node-1$/m);
    assert.equal((await succeed(restart(installed.stdout))).stdout, restarted.stdout);
    assert.deepEqual(root.snapshot(true), files);
    assert.equal(root.lines("lab/restarts"), 1);

    const removed = await succeed(
      command("v1 ca remove", { ...environment(), PULUMI_COMMAND_STDOUT: again.stdout }),
    );
    assert.match(removed.stderr, /^removed our CA, restarted: node-1$/m);
    assert.deepEqual(root.snapshot(), before);
    for (const text of [installed.stdout, installed.stderr, removed.stdout, removed.stderr])
      assert.doesNotMatch(text, /PRIVATE KEY/);
  });

  it("print what a run said earlier where they were to change nothing, and did not", async () => {
    const first = (await succeed(apply())).stdout.trimEnd();
    await succeed(restart(first));
    await serve(target(), { repeats: first });
    assert.equal((await succeed(apply({ TKC_REGISTRY_READY_TIMEOUT: "60" }))).stdout, first);
    // Since it was asked, the node has lost what it had.
    const file = `${certificateFileName("harbor.example:8443", certificate.sha256)}.pem`;
    fs.rmSync(root.at(`/etc/ssl/certs/${file}`));
    const repaired = (await succeed(apply())).stdout;
    assert.notEqual(parseCaReport(repaired).nonce, parseCaReport(first).nonce);
    // As is what differs in anything but the nonce.
    await serve(target(), { repeats: first.replace("os=photon", "os=debian") });
    await succeed(restart(repaired));
    assert.match((await succeed(apply())).stdout, /^os=photon$/m);
  });

  it("leave a node alone that is gone or was replaced, without going there", async () => {
    await succeed(apply());
    const files = root.snapshot(true);
    setNode("uid-2", "True");
    const replaced = await succeed(command("v1 ca remove", environment({ port: 1 })));
    assert.match(replaced.stderr, /replaced/);
    api.node("node-1", undefined);
    const gone = await succeed(command("v1 ca remove", environment({ port: 1 })));
    assert.match(gone.stderr, /gone/);
    assert.deepEqual(root.snapshot(true), files);
  });

  it("do not take an expired login for a node that is gone", async () => {
    api.fail("tkc-cluster-1", 401, "Unauthorized");
    const { code, stderr } = await command("v1 ca remove", environment());
    assert.equal(code, 1);
    assert.match(stderr, /npm run login.*\[login-expired\]/s);
    api.fail("tkc-cluster-1", 403, "Forbidden", 'nodes "node-1" is forbidden: User "u" cannot get resource');
    const forbidden = await command("v1 ca remove", environment());
    assert.deepEqual([forbidden.code, /\[no-rights\]/.test(forbidden.stderr)], [1, true], forbidden.stderr);
  });

  it("say how many certificates are new, and how many are there already", async () => {
    await succeed(apply());
    const second = makeCertificate("Second CA");
    const third = makeCertificate("Third CA");
    const all = [certificate, second, third];
    await serve(target(), { known: all });
    const trust = all.map(({ sha256 }) => ({ registry: "harbor.example:8443", sha256 }));
    const more = await succeed(apply({ TKC_REGISTRY_TRUST: JSON.stringify(trust) }));
    assert.match(
      more.stderr,
      /^installed 2 CA certificates in the trust store; 1 CA certificate in the trust store already: node-1$/m,
    );
  });

  it("begin no trust at a removal of a node whose host key is not known", async () => {
    const removed = await succeed(command("v1 ca remove", environment()));
    assert.doesNotMatch(removed.stderr, /first contact|trusting/);
    assert.match(removed.stderr, /^its host key is not known, and it shows SHA256:.* machine id: node-1$/m);
    assert.match(removed.stderr, /^nothing of ours was left: node-1$/m);
  });

  it("insist on the host key of last time on the same node, and only there", async () => {
    const { stdout } = await succeed(apply());
    const other = stdout.replace(/SHA256:.*/, server.stranger.fingerprint);
    const changed = await apply({ PULUMI_COMMAND_STDOUT: other });
    assert.equal(changed.code, 1);
    assert.match(changed.stderr, /host key/);
    await succeed(apply({ PULUMI_COMMAND_STDOUT: other.replace("uid-1", "uid-0") }));
    await serve(target({ hostKey: server.stranger.fingerprint }));
    const configured = await apply({ PULUMI_COMMAND_STDOUT: stdout });
    assert.equal(configured.code, 1);
  });

  it("touch nothing when what they are given does not fit together", async () => {
    const before = root.snapshot();
    const stale = await apply({ TKC_REGISTRY_SCRIPT_SHA256: "0".repeat(64) });
    assert.match(stale.stderr, /preview/);
    const unknown = await apply({ TKC_REGISTRY_NODE_UID: "uid-2" });
    assert.match(unknown.stderr, /node node-1: this run is not about it/);
    const noCa = await restart("");
    assert.match(noCa.stderr, /ca apply/);
    await serve(target(), { known: [makeCertificate("Other")] });
    const other = await apply();
    assert.match(other.stderr, /to be trusted for harbor.example:8443, is missing/);
    await serve(target({ machineId: "f".repeat(32) }));
    const wrongNode = await apply();
    assert.match(wrongNode.stderr, /machine id/);
    for (const { code, stdout } of [stale, unknown, other, wrongNode, noCa])
      assert.deepEqual([code, stdout], [1, ""]);
    assert.deepEqual(root.snapshot(), before);
  });

  it("name every variable that is missing or wrong", async () => {
    const empty = await borrowed("ca apply", {});
    assert.equal(empty.code, 1);
    assert.match(empty.stderr, /TKC_REGISTRY_NODE: the variable is not set/);
    assert.match(empty.stderr, /TKC_REGISTRY_NODE_UID: the variable is not set/);
    assert.doesNotMatch(empty.stderr, /at .*\.ts/);
    const wrong = await command("v1 ca remove", {
      ...environment(),
      TKC_REGISTRY_NODE_ADDRESS: "-oProxyCommand=id",
      TKC_REGISTRY_ACCESS: "{",
    });
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /TKC_REGISTRY_NODE_ADDRESS: is neither/);
    assert.match(wrong.stderr, /TKC_REGISTRY_ACCESS: is not JSON/);
  });

  it("fail when the node does not become Ready in time", async () => {
    const { stdout } = await succeed(apply());
    setNode("uid-1", "False");
    await serve(target(), { readyTimeout: 1 });
    const late = await restart(stdout);
    assert.equal(late.code, 1);
    assert.match(late.stderr, /not Ready after 1 s: PLEG is not healthy/);
  });

  it("hand over to the program where there is no curl, too", async () => {
    const folder = fs.mkdtempSync("/tmp/tkc-registry-path-");
    try {
      fs.symlinkSync(process.execPath, path.join(folder, "node"));
      const { stdout } = await succeed(apply({ PATH: folder }));
      assert.equal(parseCaReport(stdout).uid, "uid-1");
      await serve(target({ machineId: "f".repeat(32) }));
      const wrong = await apply({ PATH: folder });
      assert.deepEqual([wrong.code, wrong.stdout], [1, ""]);
      assert.match(wrong.stderr, /machine id/);
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
  });

  it("write nothing on a node where any of the run's does not reach the registry, or this one does not", async () => {
    const problem = reachProblem(
      "node-registry-unreachable",
      { subject: "nodes node-1, node-2", seen: "there is no route to harbor.example:8443 from there" },
      ...(["direct", "registries[0].requireReachable"] as const),
    );
    const refuse = (): Promise<never> => Promise.reject(new UserError(problem));
    const before = root.snapshot(true);
    for (const reach of [
      { ...reached, all: refuse },
      { ...reached, one: refuse },
    ]) {
      await serve(target(), { reach });
      const { code, stdout, stderr } = await apply();
      assert.deepEqual([code, stdout], [1, ""]);
      assert.match(stderr, /nodes node-1, node-2: there is no route to .*\[node-registry-unreachable\]/);
      assert.deepEqual(root.snapshot(true), before);
    }
    await serve(target(), { reach: { ...reached, one: () => Promise.resolve(["it may come later"]) } });
    assert.match((await succeed(apply())).stderr, /^it may come later$/m);
  });

  it("say so when the program is no longer there", async () => {
    const folder = serviceFolder(id, process.env);
    const client = fs.readFileSync(path.join(folder, "client"));
    await stop();
    assert.equal(fs.existsSync(folder), false);
    fs.mkdirSync(folder);
    fs.writeFileSync(path.join(folder, "client"), client, { mode: 0o700 });
    const { code, stdout, stderr } = await apply();
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(stderr, /does not answer. Run `pulumi up` again/);
    await serve(target());
    await succeed(apply());
  });

  it("have the program pull on the node that goes first, of this run, and fail with what it says", async () => {
    const canary = { node: "node-1", uid: "uid-1", nonce: "n" };
    const pull = (change: object = {}): Promise<Run> =>
      borrowed("canary pull", { TKC_REGISTRY_CANARY: JSON.stringify({ ...canary, ...change }) });
    const { stdout, stderr } = await succeed(pull());
    assert.deepEqual([stdout, stderr], ["version=1\nreport=canary\nnode=node-1\nuid=uid-1\n", "pulled it\n"]);
    assert.throws(() => parseCaReport(stdout), UserError); // it is no node's installation
    assert.deepEqual(pulled, [canary]);
    // What became of the node is what was said of it before.
    assert.doesNotMatch(outcomes.summary([])!, /pulled it/);
    for (const other of [{ uid: "uid-2" }, { node: "node-2" }, { nonce: "" }]) {
      const { code, stderr: said } = await pull(other);
      assert.deepEqual([code, /\[bad-environment\]/.test(said)], [1, true], said);
    }
    noPull = planProblem.error(
      "canary-failed",
      { subject: "node node-1", seen: "no" },
      "absent",
      "a.example",
    );
    const refused = await pull();
    noPull = undefined;
    assert.deepEqual([refused.code, refused.stdout], [1, ""]);
    assert.match(refused.stderr, /^node node-1: no\. Push the image .* \[canary-failed\]\n$/);
    assert.equal(pulled.length, 1);
  });

  it("wait at the end of a wave where anything was done in it, with curl and without", async () => {
    const wave = (number: number, works: boolean, pauseSeconds = 0.2): ServedWave => ({
      ...{ wave: number, pauseSeconds, works },
    });
    await serve(target(), { waves: [wave(1, true), wave(2, false, 1e6), wave(3, true, 0)] });
    told.length = 0;
    for (const number of [1, 2, 3]) {
      const run = await succeed(borrowed(`wave ${number}`, { TKC_REGISTRY_ID: id }));
      assert.deepEqual(run, { code: 0, stdout: "", stderr: "" });
    }
    assert.deepEqual(told, ["wave 1 is done; the next begins in 0.2 s"]);
    const service = serviceFolder(id, process.env);
    const bare = command("v1 wave 1", { TKC_REGISTRY_ID: id, TKC_REGISTRY_SERVICE: service });
    await succeed(bare);
    assert.equal(told.length, 2);
    const unknown = await borrowed("wave 4", { TKC_REGISTRY_ID: id });
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /command "wave 4"/);
  });

  it("are served to nobody else, and for one run of a stack at a time", async () => {
    const folder = serviceFolder(id, process.env);
    const mode = (file: string): number => fs.statSync(path.join(folder, file)).mode & 0o777;
    assert.deepEqual([mode("."), mode("socket"), mode("client")], [0o700, 0o600, 0o700]);
    const again = (): Promise<NodeService> =>
      NodeService.start({
        ...{ stack: { owner, id }, nodes: [], readyTimeout: 1, certificates: new Map() },
        ...{ inSession: pool!.use, readNode: nodeReader(namedContexts()), notePin, unreachable: "fail" },
        ...{ controlPlane: controlPlaneOf(namedContexts()), reach: reached, pullOnCanary },
        outcomes: new Outcomes(),
      });
    await assert.rejects(again(), /another run of it is going on/);
    await stop();
    fs.mkdirSync(folder);
    fs.chownSync(folder, 1, 1);
    await assert.rejects(again(), /belongs to another user/);
    fs.rmdirSync(folder);
    fs.symlinkSync("/tmp", folder);
    await assert.rejects(again(), /not a folder/);
    fs.rmSync(folder);
  });

  it("pass over a node that can't be reached where it is to be skipped, and install it when it is there", async () => {
    const away = target({ port: await freePort() });
    await serve(away, { unreachable: "skip" });
    const skipped = await succeed(apply());
    assert.match(
      skipped.stderr,
      /^skipped: node-1, to be installed by the first run that reaches it: .*refused/m,
    );
    assert.match(skipped.stdout, /^skipped=ssh-refused$/m);
    const restarted = await succeed(restart(skipped.stdout));
    assert.match(restarted.stdout, /^skipped=ssh-refused$/m);
    assert.equal(root.lines("lab/restarts"), 0);
    const canary = JSON.stringify({ node: "node-1", uid: "uid-1", nonce: "n" });
    const { code, stderr } = await borrowed("canary pull", { TKC_REGISTRY_CANARY: canary });
    assert.equal(code, 1);
    assert.match(stderr, /^node node-1: .*was skipped.*another node goes first.* \[canary-skipped\]$/m);

    await serve(target(), { unreachable: "skip" });
    const installed = await succeed(apply({ PULUMI_COMMAND_STDOUT: skipped.stdout.trimEnd() }));
    // Later the node is away again, while its certificates change: its host key stays known.
    await serve(away, { unreachable: "skip" });
    const again = await succeed(apply({ PULUMI_COMMAND_STDOUT: installed.stdout.trimEnd() }));
    assert.equal(parseCaReport(again.stdout).hostKey, server.hostKeys.ed25519!.fingerprint);

    await serve(away, { unreachable: "fail" });
    const failed = await apply();
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /refused/);
  });

  it("never skip a node that is reached and is not the one that it was", async () => {
    await serve(target({ hostKey: server.stranger.fingerprint }), { unreachable: "skip" });
    const changed = await apply();
    assert.equal(changed.code, 1);
    assert.match(changed.stderr, /host key/);
    api.secret("tkc-cluster-1-ssh", { "ssh-privatekey": server.stranger.privateKey });
    await serve(target(), { unreachable: "skip" });
    const refused = await apply();
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /refused the credentials/);
  });

  it("remove from a node that can't be reached: an error, or skipped by the command's word or the environment's", async () => {
    const away = { ...environment({ port: await freePort() }) };
    // Its stderr has no reader.
    const words = [process.execPath, ...nodeArguments, ..."v1 ca remove --unreachable skip".split(" ")];
    const unread = run("bash", ["-c", 'exec "$@" 2> >(:)', "bash", ...words], away);
    const failed = await command("v1 ca remove", away);
    assert.equal(failed.code, 1);
    await succeed(unread);
    for (const run of [
      command("v1 ca remove --unreachable skip", away),
      command("v1 ca remove", { ...away, TKC_REGISTRY_UNREACHABLE_NODES: "skip" }),
    ]) {
      assert.match((await succeed(run)).stderr, /^skipped: node-1, our CA, if it is there, stays on it/m);
    }
    const overridden = { ...away, TKC_REGISTRY_UNREACHABLE_NODES: "fail" };
    assert.equal((await command("v1 ca remove --unreachable skip", overridden)).code, 1);
    const wrong = await command("v1 ca remove", { ...away, TKC_REGISTRY_UNREACHABLE_NODES: "maybe" });
    assert.match(wrong.stderr, /TKC_REGISTRY_UNREACHABLE_NODES: it is "maybe". Set it to one of fail, skip/);
  });

  it("remove from a node that refuses its user: told as what it is, skipped only where that was asked for", async () => {
    const words = "sudo: Account or password is expired, reset your password and try again";
    fs.writeFileSync(path.join(programs, "sudo"), `#!/bin/sh\necho '${words}' >&2\nexit 1\n`, {
      mode: 0o755,
    });
    const failed = await command("v1 ca remove", environment());
    assert.equal(failed.code, 1);
    assert.match(
      failed.stderr,
      /node-1: .*Account or password is expired.*chage --maxdays -1 root.*\[ssh-account\]/,
    );
    const skipped = await succeed(command("v1 ca remove --unreachable skip", environment()));
    assert.match(skipped.stderr, /^skipped: node-1, our CA, if it is there, stays on it: .*expired/m);
    await serve(target(), { unreachable: "skip" });
    const applied = await apply();
    assert.deepEqual([applied.code, /\[ssh-account\]/.test(applied.stderr)], [1, true], applied.stderr);
  });

  it("restart a control-plane node in a turn, only while the others are Ready, and leave no Lease behind", async () => {
    const labels = { "node-role.kubernetes.io/control-plane": "" };
    const controlPlane = (name: string, uid: string, address: string, ready = "True") => {
      const object = nodeObject(name, uid, address, uid.padEnd(32, "0").replace(/[^0-9a-f]/g, "0"));
      const status = { ...object.status, conditions: [{ type: "Ready", status: ready, message: "said" }] };
      return { metadata: { ...object.metadata, labels }, status };
    };
    const cluster = (ready: string): void => {
      const nodes = [
        controlPlane("node-1", "uid-1", "198.18.1.7"),
        controlPlane("node-2", "uid-2", "198.18.1.8", ready),
      ];
      api.object("tkc-cluster-1", "/api/v1/nodes", { items: nodes });
      for (const node of nodes) api.node(node.metadata.name, node);
    };
    const writes = (): string[] =>
      api.requests.flatMap((request) => /(POST|PUT|DELETE) \S+kube-system\/leases/.exec(request)?.[1] ?? []);
    const { stdout } = await succeed(apply());
    cluster("False");
    await serve(target(), { readyTimeout: 1 });
    const refused = await restart(stdout);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /node node-1: after 1 s other control-plane nodes are not Ready: node-2/);
    assert.equal(root.lines("lab/restarts"), 0);
    assert.deepEqual(writes(), ["POST", "DELETE"]);

    cluster("True");
    await serve(target());
    api.requests.length = 0;
    await succeed(restart(stdout));
    assert.equal(root.lines("lab/restarts"), 1);
    assert.deepEqual(writes(), ["POST", "PUT", "DELETE"]);
    api.requests.length = 0;
    await succeed(command("v1 ca remove", environment()));
    assert.equal(root.lines("lab/restarts"), 2);
    assert.deepEqual(writes(), ["POST", "PUT", "DELETE"]);
  });

  it("wait for a kubelet that has said nothing since containerd was started", async () => {
    const { stdout } = await succeed(apply());
    api.kubelet("node-1", new Date(Date.now() - 3_600_000));
    await serve(target(), { readyTimeout: 1 });
    const late = await restart(stdout);
    assert.equal(late.code, 1);
    assert.match(late.stderr, /its kubelet has said nothing since containerd was started at 20/);
    api.kubeletHealth("node-1", "ok");
    await succeed(restart(stdout));
  });

  it("leave containerd alone on removal where that was asked for", async () => {
    await succeed(restart((await succeed(apply())).stdout));
    assert.equal(root.lines("lab/restarts"), 1);
    await succeed(command("v1 ca remove --no-restart", environment()));
    assert.equal(root.lines("lab/restarts"), 1);
  });

  const nodeObject = (name: string, uid: string, address: string, machineID = root.machineId) => ({
    metadata: { name, uid },
    status: {
      addresses: [{ type: "InternalIP", address }],
      conditions: [{ type: "Ready", status: "True" }],
      nodeInfo: {
        machineID,
        osImage: "VMware Photon OS/Linux",
        containerRuntimeVersion: "containerd://1.6.20",
      },
    },
  });

  it("say to whom the address of a node that is gone belongs now, and do nothing there", async () => {
    await succeed(apply());
    const files = root.snapshot(true);
    api.node("node-1", undefined);
    api.object("tkc-cluster-1", "/api/v1/nodes", { items: [nodeObject("node-2", "uid-2", "198.18.1.7")] });
    const { stderr } = await succeed(command("v1 ca remove", environment({ address: "198.18.1.7" })));
    assert.match(
      stderr,
      /^nothing to remove, as it is gone; its address 198\.18\.1\.7 is now node-2's: node-1$/m,
    );
    assert.deepEqual(root.snapshot(true), files);
  });

  it("take a cluster for gone only where its Supervisor says so", async () => {
    const away = { server: `https://127.0.0.1:${await unusedPort(api.pki.server("away", "IP:127.0.0.1"))}` };
    const sweep = { ...connectionEnvironment(target()), TKC_REGISTRY_OWNER: owner, TKC_REGISTRY_ID: id };
    api.change({ "tkc-cluster-1": away });
    const gone = await succeed(command("v1 ca remove", environment()));
    assert.match(gone.stderr, /^nothing to remove, as its cluster is gone: node-1$/m);
    assert.match((await succeed(command("v1 ca sweep", sweep))).stderr, /cluster is gone/);

    for (const group of ["run.tanzu.vmware.com", "cluster.x-k8s.io"] as const) {
      api.cluster(group, {});
      const there = await command("v1 ca remove", environment());
      assert.deepEqual([there.code, /\[cluster-unreachable\]/.test(there.stderr)], [1, true], group);
      api.cluster(group, undefined);
    }
    api.kinds("cluster.x-k8s.io");
    await succeed(command("v1 ca remove", environment()));
    api.kinds();
    assert.equal((await command("v1 ca remove", environment())).code, 1);
    api.fail("ns1", 401, "Unauthorized");
    const expired = await command("v1 ca remove", environment());
    assert.equal(expired.code, 1);
    assert.match(expired.stderr, /npm run login/);
    api.fail("ns1");
    api.change({ "tkc-cluster-1": away, ns1: away });
    assert.equal((await command("v1 ca remove", environment())).code, 1);
  });

  it("give an API server that is not of the kubeconfig's CA no credential, and do not believe it", async () => {
    await succeed(apply());
    const files = root.snapshot(true);
    const others = api.pki.ca("kubernetes");
    api.requests.length = 0;
    api.node("node-1", undefined); // what the impostor would say
    api.cluster("run.tanzu.vmware.com", {});
    api.change({ "tkc-cluster-1": { ca: others } });
    const impostor = await command("v1 ca remove", environment());
    assert.deepEqual([impostor.code, /\[cluster-certificate\]/.test(impostor.stderr)], [1, true]);
    assert.deepEqual(
      api.requests.filter((request) => request.startsWith("tkc-cluster-1")),
      [],
    );
    api.cluster("run.tanzu.vmware.com", undefined);
    api.change({ "tkc-cluster-1": { ca: others }, ns1: { ca: others } });
    const both = await command("v1 ca remove", environment());
    assert.deepEqual([both.code, /\[cluster-certificate\]/.test(both.stderr)], [1, true]);
    assert.deepEqual(root.snapshot(true), files);
  });

  it("sweep what a run left on nodes that the state does not know", async () => {
    const before = root.snapshot();
    await succeed(apply());
    api.object("tkc-cluster-1", "/api/v1/nodes", {
      items: [
        nodeObject("node-1", "uid-1", "198.18.1.7"),
        nodeObject("node-0", "uid-0", "198.18.1.8", "f".repeat(32)),
      ],
    });
    api.node("node-0", { metadata: { uid: "uid-0" }, status: {} });
    const sweep = {
      ...connectionEnvironment(target()),
      TKC_REGISTRY_OWNER: owner,
      TKC_REGISTRY_ID: id,
    };
    api.pod.addresses.set("198.18.1.7", "127.0.0.1").set("198.18.1.8", "127.0.0.2");
    const failed = await command("v1 ca sweep", sweep);
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /^removed our CA.*: node-1$/m);
    assert.match(failed.stderr, /node node-0/);
    assert.deepEqual(root.snapshot(), before);
    assert.doesNotMatch((await succeed(command("v1 ca sweep --unreachable skip", sweep))).stderr, /removed/);
  });

  /** What a release that made no ids left on the node, for a stack of this name. */
  const installedByName = async (name: string): Promise<void> => {
    const file = certificateFileName("harbor.example:8443", certificate.sha256);
    const certificates = [{ name: file, registry: "harbor.example:8443", ...certificate }];
    await root.succeed({ op: "install", owner: name, nonce: "of-then", certificates });
    await root.succeed({ op: "restart", owner: name });
  };

  it("take over what a release that made no ids left, whatever the stack was called then, with no restart", async () => {
    const before = root.snapshot();
    await installedByName("demo.old");
    await serve(target(), { former: "demo.old" });
    const installed = await succeed(apply());
    assert.match(installed.stderr, /nothing written/);
    await succeed(restart(installed.stdout));
    assert.equal(root.lines("lab/restarts"), 1);
    await succeed(command("v1 ca remove", environment()));
    assert.deepEqual(root.snapshot(), before);
  });

  it("leave the certificate to another stack of the same name", async () => {
    await installedByName(owner); // a clone that another release has brought up
    const installed = await succeed(apply());
    await succeed(restart(installed.stdout));
    const sweep = { ...connectionEnvironment(target()), TKC_REGISTRY_OWNER: owner, TKC_REGISTRY_ID: id };
    api.object("tkc-cluster-1", "/api/v1/nodes", { items: [nodeObject("node-1", "uid-1", "198.18.1.7")] });
    api.pod.addresses.set("198.18.1.7", "127.0.0.1");
    const theirs = `what the stack ${owner} \\(without an id\\) installed stays`;
    const removed = await succeed(command("v1 ca remove", environment()));
    assert.match(removed.stderr, new RegExp(`nothing of ours was left: node-1\n${theirs}: node-1\n`));
    assert.doesNotMatch((await succeed(command("v1 ca sweep", sweep))).stderr, /stays/);
    const { trusted, records } = await root.succeed({ op: "status", owner: "o" });
    assert.deepEqual([trusted, records], [[], [{ id: undefined, owner }]]);
    const status = await root.succeed({ op: "status", owner });
    assert.deepEqual(status.trusted, [certificate.sha256]);
  });

  it("leave what another set of nodes of the same stack has there", async () => {
    const theirs = { owner, id: "00000000-0000-4000-8000-000000000002" };
    const registry = "other.example";
    const another = makeCertificate("Another CA");
    const name = certificateFileName(registry, another.sha256);
    await root.succeed({
      ...{ op: "install", ...theirs, nonce: "n" },
      certificates: [{ name, registry, ...another }],
    });
    await root.succeed({ op: "restart", ...theirs });
    const files = (): object => ({ ...root.snapshot(), "var/lib/tkc-registry/changed": undefined });
    const before = files();
    listNode();
    const apart = async (command: () => Promise<unknown>): Promise<void> => {
      await succeed(restart((await succeed(apply())).stdout));
      assert.notDeepEqual(files(), before);
      await command();
      assert.deepEqual(files(), before);
      const { trusted } = await root.succeed({ op: "status", ...theirs });
      assert.deepEqual(trusted, [another.sha256]);
    };
    await apart(() => succeed(command("v1 ca remove", environment())));
    await apart(() => succeed(sweep()));
  });

  it("sweep what only the name of then has, where no run has reached the node since", async () => {
    const before = root.snapshot();
    await installedByName("demo.old");
    api.object("tkc-cluster-1", "/api/v1/nodes", { items: [nodeObject("node-1", "uid-1", "198.18.1.7")] });
    api.pod.addresses.set("198.18.1.7", "127.0.0.1");
    const sweep = { ...connectionEnvironment(target()), TKC_REGISTRY_OWNER: owner, TKC_REGISTRY_ID: id };
    await succeed(command("v1 ca sweep", sweep));
    assert.notDeepEqual(root.snapshot(), before);
    await succeed(command("v1 ca sweep", { ...sweep, TKC_REGISTRY_FORMER_OWNER: "demo.old" }));
    assert.deepEqual(root.snapshot(), before);
  });

  it("serve no command of another stack", async () => {
    const other = id.replace(/.$/, "0"); // whose folder is the same
    const { code, stderr } = await apply({ TKC_REGISTRY_ID: other });
    assert.equal(code, 1);
    assert.match(stderr, /TKC_REGISTRY_ID: it is another stack's/);
  });

  const noted = (uid = "uid-1"): string | undefined =>
    (nodes.get(uid)! as { metadata: { annotations?: Record<string, string> } }).metadata.annotations?.[
      `tkc-registry/host-key.${stack}`
    ];
  const nodes = new Map<string, object>();
  /** A Node as the API lists it, which keeps what is noted on it. */
  const listNode = (name = "node-1", uid = "uid-1", address = "198.18.1.7"): void => {
    const object = nodeObject(name, uid, address);
    nodes.set(uid, object);
    api.node(name, object);
    api.pod.addresses.set(address, "127.0.0.1");
  };
  const sweepOf = (change: Partial<NodeTarget> = {}): Record<string, string> => ({
    ...connectionEnvironment(target(change)),
    TKC_REGISTRY_OWNER: owner,
    TKC_REGISTRY_ID: id,
  });
  const sweep = (change: Partial<NodeTarget> = {}): Promise<Run> => command("v1 ca sweep", sweepOf(change));

  it("note the host key that they saw on the Node object, also where the installation then fails", async () => {
    listNode();
    const good = server.hostKeys.ed25519!.fingerprint;
    const failed = await apply({
      TKC_REGISTRY_TRUST: JSON.stringify([{ registry: "h", sha256: "0".repeat(64) }]),
    });
    assert.deepEqual([failed.code, noted()], [1, undefined], "there was no contact yet");
    fs.writeFileSync(path.join(programs, "sudo"), "#!/bin/sh\necho sudo: no >&2\nexit 1\n", { mode: 0o755 });
    assert.match((await apply()).stderr, /node-sudo/);
    assert.equal(noted(), good);
    // What is noted is insisted on by the next one, which has no report.
    await serve(target({ notedKey: server.stranger.fingerprint }));
    assert.match((await apply()).stderr, /\[host-key-changed\]/);
    await serve(target({ notedKey: good }));
    api.patches.length = 0;
    await apply();
    assert.deepEqual(api.patches, [], "it is noted already");
  });

  it("note no key of a machine that is another node, and none where the right is missing", async () => {
    listNode();
    await serve(target({ machineId: "f".repeat(32) }));
    assert.match((await apply()).stderr, /machine id/);
    assert.equal(noted(), undefined);
    await serve(target());
    api.fail("tkc-cluster-1", 403, "Forbidden", 'nodes "node-1" is forbidden');
    const installed = await succeed(apply());
    assert.match(
      installed.stderr,
      /^the note of its host key on the Node object of node-1 .* \[no-rights\]/m,
    );
  });

  it("sweep with the host key that the removal knew, though they have no report, and take the note off", async () => {
    listNode();
    const before = root.snapshot();
    const { stdout } = await succeed(apply());
    listNode(); // as an earlier release left it: nothing is noted
    assert.equal(noted(), undefined);
    await succeed(command("v1 ca remove", { ...environment(), PULUMI_COMMAND_STDOUT: stdout }));
    assert.equal(noted(), server.hostKeys.ed25519!.fingerprint);
    const swept = await succeed(sweep());
    assert.doesNotMatch(swept.stderr, /first contact/);
    assert.equal(noted(), undefined);
    assert.deepEqual(root.snapshot(), before);
  });

  it("show an impostor at a node's address nothing, neither on removal nor in the sweep", async () => {
    const impostor = await SshImpostor.start();
    const { stdout } = await succeed(apply());
    try {
      listNode();
      api.secret("tkc-cluster-1-ssh", undefined);
      api.secret("tkc-cluster-1-ssh-password", { "ssh-passwordkey": "s3cret" });
      const there = { port: impostor.port, address: "198.18.1.7" };
      const removed = await command("v1 ca remove", { ...environment(there), PULUMI_COMMAND_STDOUT: stdout });
      assert.match(removed.stderr, /\[host-key-changed\]/);
      const unknown = await command("v1 ca remove", environment(there));
      assert.match(unknown.stderr, /\[ssh-password-unpinned\]/);
      const unpinned = await sweep(there);
      assert.match(unpinned.stderr, /node node-1: .*\[ssh-password-unpinned\]/);
      await notePin(target(), stack, server.hostKeys.ed25519!.fingerprint);
      const pinned = await sweep(there);
      assert.match(pinned.stderr, /\[host-key-changed\]/);
      assert.equal(noted(), server.hostKeys.ed25519!.fingerprint);
      for (const { code } of [removed, unknown, unpinned, pinned]) assert.equal(code, 1);
      assert.deepEqual(impostor.offered, []);
    } finally {
      await impostor.stop();
    }
  });

  it("believe no other cluster that a node is gone, and leave all as it is", async () => {
    listNode();
    const { stdout } = await succeed(apply());
    const files = root.snapshot(true);
    const cluster = { ...target().cluster!, uids: { clusters: "cluster-1" }, kubeSystem: "system-1" };
    api.cluster("cluster.x-k8s.io", { metadata: { uid: "cluster-1" } });
    api.object("tkc-cluster-1", "/api/v1/namespaces/kube-system", { metadata: { uid: "system-2" } });
    api.node("node-1", undefined);
    const remove = (): Promise<Run> =>
      command("v1 ca remove", { ...environment({ cluster }), PULUMI_COMMAND_STDOUT: stdout });
    for (const refused of [await remove(), await sweep({ cluster })]) {
      assert.deepEqual([refused.code, refused.stdout], [1, ""]);
      assert.match(
        refused.stderr,
        /context tkc-cluster-1: .* system-2, and the state has system-1.*\[other-cluster\]/,
      );
      assert.doesNotMatch(refused.stderr, /nothing to remove/);
    }
    assert.deepEqual(root.snapshot(true), files);
    // Deleted, or created anew under its name, it is in nobody's way.
    const supervisorCa = caFingerprints(api.ca);
    const proved = { ...cluster, supervisorCa };
    for (const now of [undefined, { metadata: { uid: "cluster-2" } }]) {
      api.cluster("cluster.x-k8s.io", now);
      const environmentNow = { ...environment({ cluster: proved }), PULUMI_COMMAND_STDOUT: stdout };
      assert.match((await succeed(command("v1 ca remove", environmentNow))).stderr, /its cluster is gone/);
      assert.match((await succeed(sweep({ cluster: proved }))).stderr, /the cluster is gone/);
    }
    // A Supervisor whose CA was renewed is believed by the operator's word.
    const renewed = { ...proved, supervisorCa: ["ab".repeat(32)] };
    assert.match((await sweep({ cluster: renewed })).stderr, /\[other-supervisor\]/);
    const word = { ...sweepOf({ cluster: renewed }), TKC_REGISTRY_SUPERVISOR_CA: supervisorCa[0]! };
    await succeed(command("v1 ca sweep", word));
  });

  it("say which secret they looked for", async () => {
    await succeed(apply());
    api.secret("tkc-cluster-1-ssh", undefined);
    const { code, stderr } = await command("v1 ca remove", environment());
    assert.equal(code, 1);
    assert.match(stderr, /ns1\/tkc-cluster-1-ssh.*tkc-cluster-1-ssh-password/);
  });
});
