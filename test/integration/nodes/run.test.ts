/** The commands as the stack runs them: own processes, a real sshd, and the node script in a node's file system. */
import * as assert from "node:assert/strict";
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { packageRoot } from "../../../build";
import { parseCaReport, parseContainerdReport } from "../../../nodes/report";
import { nodeScript } from "../../../nodes/script";
import { type NodeTarget, nodeEnvironment } from "../../../nodes/spec";
import { FakeKubectl } from "./fakeKubectl";
import { type Certificate, FakeRoot, type Run, fakeRootsImpossible, makeCertificate } from "./fakeRoot";
import { SshServer, sshdImpossible } from "./sshServer";

async function command(words: string, environment: NodeJS.ProcessEnv, stdin = ""): Promise<Run> {
  const start = ["--import", "tsx", "-e", `require(${JSON.stringify(path.join(packageRoot, "run.ts"))})`];
  const child = spawn(process.execPath, [...start, ...words.split(" ")], {
    cwd: packageRoot,
    env: { PATH: process.env.PATH, ...environment },
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  child.stdin.on("error", () => undefined);
  child.stdin.end(stdin);
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { code, stdout, stderr };
}

describe("the node commands", { skip: fakeRootsImpossible() || sshdImpossible() }, () => {
  let server: SshServer;
  let kubectl: FakeKubectl;
  let root: FakeRoot;
  let certificate: Certificate;
  let programs: string;
  before(async () => {
    certificate = makeCertificate("Harbor CA");
    programs = fs.mkdtempSync("/tmp/tkc-registry-programs-");
    server = await SshServer.start({ programs });
  });
  after(async () => {
    await server.stop();
    fs.rmSync(programs, { recursive: true });
  });
  beforeEach(() => {
    root = new FakeRoot("photon", "bash");
    fs.writeFileSync(
      path.join(programs, "sudo"),
      `#!/bin/sh\n[ "$1" = -n ] && shift\nexec '${root.enter}' "$@"\n`,
      {
        mode: 0o755,
      },
    );
    kubectl = new FakeKubectl();
    kubectl.secret("tkc-cluster-1-ssh", { "ssh-privatekey": server.client.privateKey });
    setNode("uid-1", "True");
  });
  afterEach(() => {
    kubectl.remove();
    root.remove();
  });

  const setNode = (uid: string, ready: string): void =>
    kubectl.object("node", "node-1", {
      metadata: { uid },
      status: { conditions: [{ type: "Ready", status: ready, message: "PLEG is not healthy" }] },
    });
  const environment = (change: Partial<NodeTarget> = {}): Record<string, string> => ({
    ...nodeEnvironment({
      name: "node-1",
      uid: "uid-1",
      machineId: root.machineId,
      address: "127.0.0.1",
      port: server.port,
      user: "root",
      access: {
        kind: "jumpbox",
        context: "ns1",
        namespace: "ns1",
        pod: "jumpbox-ubuntu",
        container: "ubuntu",
      },
      sshKey: { from: "supervisor", context: "ns1", namespace: "ns1", cluster: "tkc-cluster-1" },
      clusterContext: "tkc-cluster-1",
      ...change,
    }),
    TKC_REGISTRY_OWNER: "demo.dev",
    TKC_REGISTRY_SCRIPT_SHA256: nodeScript().sha256,
    TKC_REGISTRY_TRUST: JSON.stringify([{ registry: "harbor.example:8443", sha256: certificate.sha256 }]),
  });
  const apply = (change: NodeJS.ProcessEnv = {}): Promise<Run> =>
    command("v1 ca apply", { ...environment(), ...change }, certificate.pem);
  const succeed = async (run: Promise<Run>): Promise<Run> => {
    const result = await run;
    assert.equal(result.code, 0, result.stderr);
    return result;
  };

  it("install, load, say the same the second time, and leave no trace", async () => {
    const before = root.snapshot();
    const installed = await succeed(apply());
    const ca = parseCaReport(installed.stdout);
    assert.equal(ca.hostKey, server.hostKeys.ed25519!.fingerprint);
    assert.deepEqual(ca.sha256, [certificate.sha256]);
    assert.deepEqual(ca.file, [
      `/etc/ssl/certs/tkc-registry-harbor.example-8443-${certificate.sha256.slice(0, 16)}.pem`,
    ]);
    assert.equal(fs.existsSync(root.at(ca.file[0]!)), true);
    assert.match(installed.stderr, /first contact/);

    const restart = (): Promise<Run> =>
      succeed(command("v1 containerd restart", { ...environment(), TKC_REGISTRY_CA: installed.stdout }));
    const restarted = await restart();
    const containerd = parseContainerdReport(restarted.stdout);
    assert.deepEqual(containerd.loaded, [certificate.sha256]);
    assert.equal(root.lines("lab/restarts"), 1);

    const files = root.snapshot(true);
    const again = await succeed(apply({ PULUMI_COMMAND_STDOUT: installed.stdout.trimEnd() }));
    assert.notEqual(parseCaReport(again.stdout).nonce, ca.nonce);
    assert.match(again.stderr, /nothing written/);
    assert.equal((await restart()).stdout, restarted.stdout);
    assert.deepEqual(root.snapshot(true), files);
    assert.equal(root.lines("lab/restarts"), 1);

    const removed = await succeed(
      command("v1 ca remove", { ...environment(), PULUMI_COMMAND_STDOUT: again.stdout }),
    );
    assert.match(removed.stderr, /containerd restarted/);
    assert.deepEqual(root.snapshot(), before);
    for (const text of [kubectl.calls, installed.stdout, installed.stderr])
      assert.doesNotMatch(text, /PRIVATE KEY/);
  });

  it("leave a node alone that is gone or was replaced, without going there", async () => {
    await succeed(apply());
    const files = root.snapshot(true);
    setNode("uid-2", "True");
    const replaced = await succeed(command("v1 ca remove", environment({ port: 1 })));
    assert.match(replaced.stderr, /replaced/);
    kubectl.forget("node", "node-1");
    const gone = await succeed(command("v1 ca remove", environment({ port: 1 })));
    assert.match(gone.stderr, /gone/);
    assert.deepEqual(root.snapshot(true), files);
  });

  it("do not take an expired login for a node that is gone", async () => {
    kubectl.fail("error: You must be logged in to the server (Unauthorized)");
    const { code, stderr } = await command("v1 ca remove", environment());
    assert.equal(code, 1);
    assert.match(stderr, /npm run login/);
    kubectl.fail(
      "The connection to the server 198.18.0.10:6443 was refused - did you specify the right host or port?",
    );
    assert.equal((await command("v1 ca remove", environment())).code, 1);
  });

  it("insist on the host key of last time on the same node, and only there", async () => {
    const { stdout } = await succeed(apply());
    const other = stdout.replace(/SHA256:.*/, server.stranger.fingerprint);
    const changed = await apply({ PULUMI_COMMAND_STDOUT: other });
    assert.equal(changed.code, 1);
    assert.match(changed.stderr, /host key/);
    await succeed(apply({ PULUMI_COMMAND_STDOUT: other.replace("uid-1", "uid-0") }));
    const configured = await apply({
      TKC_REGISTRY_HOST_KEY: server.stranger.fingerprint,
      PULUMI_COMMAND_STDOUT: stdout,
    });
    assert.equal(configured.code, 1);
  });

  it("touch nothing when what they are given does not fit together", async () => {
    const before = root.snapshot();
    const stale = await apply({ TKC_REGISTRY_SCRIPT_SHA256: "0".repeat(64) });
    assert.match(stale.stderr, /preview/);
    const other = await command("v1 ca apply", environment(), makeCertificate("Other").pem);
    assert.match(other.stderr, /none that is to be trusted/);
    const none = await command("v1 ca apply", environment(), "<html>");
    assert.match(none.stderr, /missing/);
    const wrongNode = await apply({ TKC_REGISTRY_NODE_MACHINE_ID: "f".repeat(32) });
    assert.match(wrongNode.stderr, /machine id/);
    const noCa = await command("v1 containerd restart", environment());
    assert.match(noCa.stderr, /ca apply/);
    for (const { code, stdout } of [stale, other, none, wrongNode, noCa])
      assert.deepEqual([code, stdout], [1, ""]);
    assert.deepEqual(root.snapshot(), before);
  });

  it("name every variable that is missing or wrong", async () => {
    const empty = await command("v1 ca apply", {});
    assert.equal(empty.code, 1);
    assert.match(empty.stderr, /TKC_REGISTRY_NODE_ADDRESS: the variable is not set/);
    assert.doesNotMatch(empty.stderr, /at .*\.ts/);
    const wrong = await apply({ TKC_REGISTRY_NODE_ADDRESS: "-oProxyCommand=id", TKC_REGISTRY_ACCESS: "{" });
    assert.match(wrong.stderr, /TKC_REGISTRY_NODE_ADDRESS: is neither/);
    assert.match(wrong.stderr, /TKC_REGISTRY_ACCESS: is not JSON/);
  });

  it("fail when the node does not become Ready in time", async () => {
    const { stdout } = await succeed(apply());
    setNode("uid-1", "False");
    const late = await command("v1 containerd restart", {
      ...environment(),
      TKC_REGISTRY_CA: stdout,
      TKC_REGISTRY_READY_TIMEOUT: "1",
    });
    assert.equal(late.code, 1);
    assert.match(late.stderr, /not Ready after 1 s: PLEG is not healthy/);
  });

  it("say which secret they looked for", async () => {
    kubectl.forget("secret", "tkc-cluster-1-ssh");
    const { code, stderr } = await apply();
    assert.equal(code, 1);
    assert.match(stderr, /ns1\/tkc-cluster-1-ssh.*tkc-cluster-1-ssh-password/);
  });
});
