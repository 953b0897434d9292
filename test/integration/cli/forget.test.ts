/**
 * `npm run forget` as a person runs it, in a process of its own: with a real sshd and the node script in a node's file
 * system, a `pulumi` that prints a state, and API servers.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import type { NodeTarget } from "../../../nodes/protocol/spec";
import { certificateFileName } from "../../../nodes/script/script";
import { packageRoot } from "../../../support/build";
import { exported, ids, nodeResources, owner, setResources, target } from "../../unit/state/state";
import { nodeArguments } from "../command";
import { FakeApi } from "../kubernetes/fakeApi";
import { jumpboxAccess } from "../nodes/routes/jumpboxAccess";
import {
  type Certificate,
  FakeRoot,
  type Run,
  fakeRootsImpossible,
  makeCertificate,
} from "../nodes/script/fakeRoot";
import { SshServer, sshdImpossible } from "../nodes/ssh/sshServer";

const registry = "harbor.example:8443";
const ours = "5d1b5d2e-0f0c-4d6f-9a3e-2f7c1b1f0a11";
const lost = "00000000-0000-4000-8000-000000000001";

describe("forget", { skip: fakeRootsImpossible() || sshdImpossible() }, () => {
  let server: SshServer;
  let api: FakeApi;
  let root: FakeRoot;
  let [own, others]: Certificate[] = [];
  let programs: string;
  let operator: string;
  before(async () => {
    [own, others] = [makeCertificate("Harbor CA"), makeCertificate("Another CA")];
    programs = fs.mkdtempSync("/tmp/tkc-registry-programs-");
    operator = fs.mkdtempSync("/tmp/tkc-registry-operator-");
    server = await SshServer.start({ programs });
    api = await FakeApi.start();
  });
  after(async () => {
    await server.stop();
    await api.stop();
    for (const folder of [programs, operator]) fs.rmSync(folder, { recursive: true });
  });
  beforeEach(async () => {
    root = new FakeRoot("photon", "bash");
    fs.writeFileSync(
      path.join(programs, "sudo"),
      `#!/bin/sh\n[ "$1" = -n ] && shift\nexec '${root.enter}' "$@"\n`,
      { mode: 0o755 },
    );
    api.reset();
    api.secret("tkc-cluster-1-ssh", { "ssh-privatekey": server.client.privateKey });
    api.node("w1", {
      metadata: { uid: "uid-w1" },
      status: { conditions: [{ type: "Ready", status: "True" }] },
    });
    api.object("tkc-cluster-1", "/api/v1/nodes", {
      items: [
        {
          metadata: { name: "w1", uid: "uid-w1" },
          status: {
            addresses: [{ type: "InternalIP", address: "198.18.1.7" }],
            conditions: [{ type: "Ready", status: "True" }],
            nodeInfo: {
              machineID: root.machineId,
              osImage: "VMware Photon OS/Linux",
              containerRuntimeVersion: "containerd://1.6.20",
            },
          },
        },
      ],
    });
    api.pod.addresses.set("198.18.1.7", "127.0.0.1");
    state(ours);
    await root.succeed({ op: "install", owner, id: ours, nonce: "n", certificates: [installed(own!)] });
    await root.succeed({ op: "restart", owner, id: ours });
  });
  afterEach(() => {
    api.pod.addresses.clear();
    root.remove();
  });

  /** Without the note of when the trust store was last changed. */
  const files = () => {
    const all = Object.entries(root.snapshot());
    return Object.fromEntries(all.filter(([file]) => file !== "var/lib/tkc-registry/changed"));
  };
  const installed = (certificate: Certificate) => ({
    ...{ name: certificateFileName(registry, certificate.sha256), registry },
    ...certificate,
  });
  const node = (): NodeTarget =>
    target({
      ...{ machineId: root.machineId, address: "198.18.1.7", port: server.port, user: "root" },
      access: jumpboxAccess,
    });
  /** The state of the deployed stack; of a release that made no ids where it has none. */
  const state = (id: string | undefined): void => {
    const key = server.hostKeys["ed25519"]!.fingerprint;
    const resources = nodeResources(node(), {
      certificates: [{ registry, sha256: own!.sha256 }],
      key,
      ...(id === undefined ? {} : { id }),
    });
    write(resources);
  };
  const write = (resources: readonly object[]): void => {
    fs.writeFileSync(path.join(operator, "state.json"), JSON.stringify(exported(resources)));
    fs.writeFileSync(path.join(operator, "pulumi"), `#!/bin/sh\ncat '${operator}/state.json'\n`, {
      mode: 0o755,
    });
  };
  const forget = async (words: string): Promise<Run> => {
    const child = spawn(process.execPath, [...nodeArguments, ...`v1 forget ${words}`.trim().split(" ")], {
      cwd: packageRoot,
      env: { PATH: `${operator}:${process.env["PATH"] ?? ""}`, KUBECONFIG: api.kubeconfig },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
    assert.doesNotMatch(stdout + stderr, /PRIVATE KEY|\n\s+at /);
    return { code, stdout, stderr };
  };
  const installAnother = async (stack: { owner: string; id?: string }): Promise<void> => {
    await root.succeed({ op: "install", ...stack, nonce: "n", certificates: [installed(others!)] });
    await root.succeed({ op: "restart", ...stack });
  };

  it("takes off what a stack has whose state is lost, restarts containerd, and leaves our own", async () => {
    const before = files();
    const restarts = root.lines("lab/restarts");
    await installAnother({ owner, id: lost }); // of our own name: a clone
    const changed = files();
    const asked = await forget(`--stack dev --id ${lost}`);
    assert.equal(asked.code, 1, asked.stderr);
    assert.match(asked.stdout, new RegExp(`w1: what the stack ${owner} \\(id ${lost}\\) installed`));
    assert.match(asked.stderr, /no terminal to ask at.*--yes.*\[forget-not-confirmed\]/);
    assert.deepEqual(files(), changed);
    const done = await forget(`--stack dev --id ${lost} --yes`);
    assert.equal(done.code, 0, done.stdout + done.stderr);
    assert.match(done.stderr, /removed our CA, restarted: w1$/m);
    assert.match(done.stdout, /taken off 1 node\n$/);
    assert.deepEqual(files(), before);
    assert.equal(root.lines("lab/restarts"), restarts + 2);
    const again = await forget(`--stack dev --id ${lost} --yes`);
    assert.deepEqual([again.code, again.stdout], [0, "no node that answered has anything of it\n"]);
  });

  it("takes off what a release that made no ids left of a lost stack, by its name", async () => {
    const before = files();
    await installAnother({ owner: "tkc-registry.gone" });
    const done = await forget("--stack dev --owner tkc-registry.gone --yes");
    assert.equal(done.code, 0, done.stdout + done.stderr);
    assert.match(done.stdout, /what the stack tkc-registry\.gone \(without an id\) installed/);
    assert.deepEqual(files(), before);
  });

  it("takes off files of ours that no record claims", async () => {
    const before = files();
    const file = `${certificateFileName(registry, others!.sha256)}.pem`;
    fs.writeFileSync(root.at(root.store, file), others!.pem);
    const done = await forget("--stack dev --unclaimed --yes");
    assert.equal(done.code, 0, done.stdout + done.stderr);
    assert.match(done.stdout, new RegExp(`w1: .*${file}, which no stack's record claims`));
    assert.deepEqual(files(), before);
  });

  it("notes no host key for a stack that nobody comes back for, also where it fails", async () => {
    const file = `${certificateFileName(registry, others!.sha256)}.pem`;
    fs.writeFileSync(root.at(root.store, file), others!.pem);
    root.write("lab/broken", "");
    const failed = await forget("--stack dev --unclaimed --yes");
    assert.equal(failed.code, 1, failed.stdout + failed.stderr);
    assert.match(failed.stderr, /\[node-containerd-failed\]/);
    assert.deepEqual(api.patches, []);
  });

  it("does not take off what the deployed stack has, also where an earlier release made it", async () => {
    const before = root.snapshot(true);
    const own = await forget(`--stack dev --id ${ours} --yes`);
    assert.deepEqual([own.code, own.stdout], [2, ""]);
    assert.match(own.stderr, /--id: it is the id of the stack dev itself.*pulumi destroy.*\[forget-own\]/);
    state(undefined);
    const named = await forget(`--stack dev --owner ${owner} --yes`);
    assert.deepEqual([named.code, /\[forget-own\]/.test(named.stderr)], [2, true], named.stderr);
    assert.deepEqual(root.snapshot(true), before);
  });

  describe("with several sets of nodes", () => {
    const [, second] = ids as [string, string];
    /** Two sets of one cluster, and one whose cluster is not reached. */
    const sets = (): void => {
      const options = {
        certificates: [{ registry, sha256: own!.sha256 }],
        key: server.hostKeys["ed25519"]!.fingerprint,
      };
      const elsewhere = target({ name: "x1", uid: "uid-x1", clusterContext: "moved" });
      write([
        ...setResources("a", ours, node(), options),
        ...setResources("b", second, node(), options),
        ...setResources("far", "00000000-0000-4000-8000-000000000003", elsewhere),
      ]);
    };

    it("takes off what is lost once from each cluster, tells which was not asked, and has --trust name one", async () => {
      sets();
      const before = files();
      await installAnother({ owner, id: lost });
      const done = await forget(`--stack dev --id ${lost} --yes`);
      assert.equal(done.code, 1, done.stdout + done.stderr);
      assert.match(done.stdout, /^a, b:\nto be taken off:\n {2}w1: .*\ntaken off 1 node\nfar:\n$/);
      assert.match(done.stderr, /^context moved: .*\[context-not-found\]$/m);
      assert.deepEqual(files(), before);
      const again = await forget(`--stack dev --trust b --id ${lost} --yes`);
      assert.deepEqual([again.code, again.stdout], [0, "no node that answered has anything of it\n"]);
      const wrong = await forget(`--stack dev --trust c --id ${lost} --yes`);
      assert.deepEqual([wrong.code, wrong.stdout], [2, ""]);
      assert.match(
        wrong.stderr,
        /^--trust: the stack has no RegistryTrust "c"\. .*: a, b, far \[bad-arguments\]$/m,
      );
    });

    it("takes off what no set of the stack has itself, also where only another one is named", async () => {
      sets();
      const before = root.snapshot(true);
      for (const words of [`--id ${ours}`, `--id ${second}`, `--trust b --id ${ours}`]) {
        const { code, stdout, stderr } = await forget(`--stack dev ${words} --yes`);
        assert.deepEqual([code, stdout, /\[forget-own\]/.test(stderr)], [2, "", true], words);
      }
      assert.deepEqual(root.snapshot(true), before);
    });
  });

  it("says so where a node did not answer, and goes to no machine that is another one", async () => {
    const before = root.snapshot(true);
    api.pod.addresses.set("198.18.1.7", "127.0.0.2");
    const silent = await forget(`--stack dev --id ${lost} --yes`);
    assert.equal(silent.code, 1, silent.stdout + silent.stderr);
    assert.match(silent.stderr, /node w1/);
    assert.deepEqual(root.snapshot(true), before);
  });

  it("is refused without what it needs, and has a help text", async () => {
    for (const [words, message] of [
      ["", /2 problems[^]*--stack: it is missing[^]*neither --id/],
      ["--stack dev", /neither --id, --owner nor --unclaimed is given/],
      ["--stack dev --id x", /--id: "x" is not a UUID/],
      [`--stack dev --id ${lost} --owner a.b`, /--owner: --id is given, too/],
      ["--stack dev --owner -x", /--owner lacks its value/],
    ] as const) {
      const { code, stdout, stderr } = await forget(words);
      assert.deepEqual([code, stdout], [2, ""], words);
      assert.match(stderr, message);
    }
    const help = await forget("--help");
    assert.equal(help.code, 0);
    assert.match(help.stdout, /^Usage: npm run forget -- --stack NAME/);
  });
});
