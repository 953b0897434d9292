import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  containerd,
  breakContainerd,
  eventually,
  find,
  goBundle,
  isolateNode,
  joinNode,
  kubectl,
  mendContainerd,
  onAllNodes,
  setContainerdConfigPath,
  trustStore,
  trusts,
  writes,
} from "../../lab/inspect";
import { namedContexts } from "../../kubernetes/client";
import { kubeletIsWell } from "../../kubernetes/kubelet";
import { harborSettings, labFile } from "../../lab/settings";
import { LabStack } from "../../lab/stack";
import { certificateFileName, remoteCommand } from "../../nodes/script/script";
import { stackOwner } from "../../plan/ownership";
import * as lab from "./lab";
import { expectNoChanges, expectRestarts, expectTrust, pemOf, shownUpdates, starts } from "./nodes";

const namespace = "default";
const certsFolder = "/etc/containerd/certs.d";

const sh = async (node: string, script: string): Promise<string> =>
  await lab.nodeExec(node, ["sh", "-euc", script]);

interface NodeOutput {
  readonly name: string;
  readonly trust?: string;
  readonly skipped?: string;
  readonly certificates?: string[];
}

/** Pulls an image on a node as a pod of the cluster does, by its containerd. Gives what failed. */
async function pull(name: string, node: string, image: string): Promise<string | undefined> {
  const container = {
    name: "c",
    image,
    imagePullPolicy: "Always",
    securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
  };
  const spec = {
    nodeName: node,
    restartPolicy: "Never",
    terminationGracePeriodSeconds: 0,
    imagePullSecrets: [{ name: "harbor-svc-pull-secret" }],
    securityContext: { runAsNonRoot: true, runAsUser: 101, seccompProfile: { type: "RuntimeDefault" } },
    containers: [container],
  };
  const pod = { apiVersion: "v1", kind: "Pod", metadata: { name, namespace }, spec };
  await kubectl("workload", "create", "-f", labFile(`${name}.json`, JSON.stringify(pod)));
  try {
    return await eventually(`${name} has tried to pull`, async () => {
      const { status } = (await find("workload", "pod", namespace, name)) as {
        status: {
          containerStatuses?: {
            imageID: string;
            state: { waiting?: { reason: string; message?: string } };
          }[];
        };
      };
      const [seen] = status.containerStatuses ?? [];
      const { reason = "", message = "" } = seen?.state.waiting ?? {};
      if (/Image/.test(reason)) return { failure: message };
      return seen?.imageID ? { failure: undefined } : undefined;
    }).then(({ failure }) => failure);
  } finally {
    await kubectl("workload", ...["delete", "pod", name, "-n", namespace, "--force", "--grace-period=0"]);
  }
}

/** Pulls on every node again and again. What is pulled is counted; failures are kept. */
class Pulls {
  readonly failures: string[] = [];
  readonly #pulled = new Map<string, number>();
  #goesOn = true;
  #loops: Promise<void>[] = [];

  constructor(nodes: readonly string[], image: string) {
    this.#loops = nodes.map(async (node, index) => {
      for (let count = 0; this.#goesOn; count++) {
        const failure = await pull(`pull-${index}-${count}`, node, image).catch(String);
        if (failure === undefined) this.#pulled.set(node, (this.#pulled.get(node) ?? 0) + 1);
        else this.failures.push(`${node}: ${failure}`);
        await sleep(700); // what is tested needs the processors too
      }
    });
  }

  /** Waits until every node has pulled since. */
  async again(): Promise<void> {
    const earlier = new Map(this.#pulled);
    await eventually("every node pulls", () =>
      Promise.resolve(
        this.#loops.length > 0 &&
          this.#pulled.size === this.#loops.length &&
          [...this.#pulled].every(([node, count]) => count > (earlier.get(node) ?? 0))
          ? true
          : undefined,
      ),
    );
  }

  async end(): Promise<void> {
    this.#goesOn = false;
    await Promise.all(this.#loops);
  }
}

describe("nodes come and go, and people interfere", () => {
  const stack = new LabStack("e2e-life");
  const { harbor } = lab.registries();
  const harborPem = pemOf(harbor.caFile);
  const password = { [lab.registries().custom.host]: lab.registries().custom.password };
  /** A worker that is added on the way. */
  let added = "";

  const ofHarbor = (): object => (harborSettings()["registries"] as object[])[0]!;
  const ofCustom = (...pems: string[]): object => {
    const { host, user } = lab.registries().custom;
    return {
      host,
      kind: "generic",
      ca: { from: "inline", pem: pems.join("\n") },
      credentials: { from: "password", username: user },
    };
  };
  /** Both registries' settings; the custom one's authority is the current one. */
  const both = (more: Record<string, unknown> = {}): Record<string, unknown> =>
    harborSettings({ registries: [ofHarbor(), ofCustom(pemOf(lab.registries().custom.caFile))], ...more });

  const names = async (): Promise<string[]> => (await lab.nodes()).map(({ name }) => name);
  const worker = async (os: lab.NodeOs): Promise<lab.LabNode> =>
    (await lab.nodes()).find((node) => node.role === "worker" && node.os === os)!;
  const outputs = async (): Promise<Map<string, NodeOutput>> =>
    new Map(((await stack.outputs())["nodes"] as NodeOutput[]).map((node) => [node.name, node]));
  const up = async (env: NodeJS.ProcessEnv = {}, options: string[] = []): Promise<string> => {
    const { code, output } = await stack.up(env, options);
    assert.equal(code, 0, output);
    return output;
  };
  /** Takes Harbor's CA out of a node's trust store as its administrator would; containerd has it still. */
  const drop = async (node: string): Promise<void> => {
    await sh(
      node,
      `rm -f /etc/ssl/certs/tkc-registry-${harbor.host}-443-*.pem /usr/local/share/ca-certificates/tkc-registry-${harbor.host}-443-*.crt
       if [ -x /usr/bin/rehash_ca_certificates.sh ]; then rehash_ca_certificates.sh; else update-ca-certificates; fi >/dev/null 2>&1`,
    );
    assert.ok(!(await trusts(node, harborPem)));
  };

  before(async () => {
    await stack.configure(both(), password);
  });
  after(async () => {
    await stack.destroy({ TKC_REGISTRY_UNREACHABLE_NODES: "skip" });
    if (added !== "") await lab.removeNode(added);
  });

  test("two registries come with one up, and one restart of each containerd", async () => {
    const earlier = await starts();
    await up();
    await expectTrust(harborPem, pemOf(lab.registries().custom.caFile));
    await expectRestarts(earlier, await names());
  });

  test("a worker gone and its address a new one's, another replaced under its own: the new machines alone are installed", async () => {
    const gone = await worker("photon");
    await lab.removeNode(gone.name);
    const name = await lab.addWorker({ os: "photon" });
    assert.equal((await lab.nodes()).find((node) => node.name === name)!.address, gone.address);
    // Its host key is another one, too.
    const replaced = await worker("debian");
    assert.equal((await lab.replaceNode(replaced.name)).address, replaced.address);
    for (const anew of [name, replaced.name]) assert.ok(!(await trusts(anew, harborPem)), anew);
    const earlier = await starts();
    const output = await up();
    assert.ok(
      output.includes(
        `nothing to remove, as it is gone; its address ${gone.address} is now ${name}'s: ${gone.name}`,
      ),
      output,
    );
    await expectTrust(harborPem);
    await expectRestarts(earlier, [name, replaced.name]);
    assert.deepEqual([...(await outputs()).keys()].sort(), (await names()).sort());
  });

  test("nodes that can't be reached, or show another host key: preview says why, and up finishes all the others", async () => {
    const { name: silent } = await worker("photon");
    const { name: other } = await worker("debian");
    added = await lab.addWorker({ os: "photon" });
    await isolateNode(added, "rejected");
    await isolateNode(silent, "dropped");
    await sh(
      other,
      `mkdir /root/kept && cp -a /etc/ssh/ssh_host_* /root/kept/ && rm /etc/ssh/ssh_host_*
       ssh-keygen -A >/dev/null && systemctl restart ssh`,
    );
    try {
      const preview = await stack.preview();
      assert.equal(preview.code, 0, preview.output);
      assert.match(preview.output, new RegExp(`warning: node ${silent}.*(timed out|did not answer)`));
      assert.match(preview.output, new RegExp(`warning: node ${added}.*refused`));
      assert.match(preview.output, new RegExp(`warning: node ${other}.*host key`));
      assert.deepEqual(shownUpdates(preview), [other, silent].sort());

      await joinNode(silent);
      await drop(silent);
      const earlier = await starts();
      const written = await writes(other);
      const { code, output } = await stack.up();
      assert.notEqual(code, 0, output);
      assert.match(output, new RegExp(`error: [^]*\\bnode ${added}.*refused`));
      assert.match(output, new RegExp(`error: [^]*\\bnode ${other}.*host key`));
      assert.ok(!(await trusts(added, harborPem)));
      assert.equal(await writes(other), written);
      assert.ok(await trusts(silent, harborPem));
      await expectRestarts(earlier, [silent]);
    } finally {
      await joinNode(silent);
      await sh(other, "mv -f /root/kept/* /etc/ssh/ && rmdir /root/kept && systemctl restart ssh");
    }
  });

  test("unreachableNodes: skip: up succeeds, names them, and installs them as soon as they are reached", async () => {
    const earlier = await starts();
    await stack.configure(both({ unreachableNodes: "skip" }), password);
    assert.match(await up(), new RegExp(`skipped: ${added}, .*refused`));
    const skipped = (await outputs()).get(added)!;
    assert.deepEqual([skipped.skipped, skipped.certificates], ["ssh-refused", undefined]);
    expectNoChanges(await stack.up());
    await expectRestarts(earlier, []);

    await joinNode(added);
    await up();
    await expectTrust(harborPem);
    await expectRestarts(earlier, [added]);
    const reached = (await outputs()).get(added)!;
    assert.deepEqual([reached.skipped, reached.certificates?.length], [undefined, 2]);
  });

  test("an altered CA file, a bundle without it, a containerd from before it: each is seen, and repaired", async () => {
    const nodes = await lab.nodes();
    const [altered, untouched] = nodes.filter((node) => node.role === "worker" && node.os === "photon");
    const bundled = nodes.find((node) => node.role === "control-plane")!.name;
    const { name: stale } = await worker("debian");

    await sh(
      altered!.name,
      `printf x >>/etc/ssl/certs/tkc-registry-${harbor.host}-443-*.pem`.replace(">>", "| tee -a "),
    );
    const bundle = "/etc/pki/tls/certs/ca-bundle.crt";
    const without = (await goBundle(bundled)).replace(`${harborPem}\n`, "");
    await lab.nodeExec(bundled, ["sh", "-c", `cat >${bundle}`], without);
    assert.ok(!(await trusts(bundled, harborPem)));
    // What a run leaves that is cut off between a node's installation and its containerd's restart.
    const earlier = await starts();
    await drop(stale);
    const { command, input } = remoteCommand({
      op: "install",
      machineId: (await lab.nodeExec(stale, ["cat", "/etc/machine-id"])).trim(),
      nodeName: stale,
      ...{ owner: stackOwner("tkc-registry", stack.name), id: await stack.id() },
      nonce: "cut-off",
      certificates: [harbor, lab.registries().custom].map(({ host, caFile }) => {
        const der = new X509Certificate(readFileSync(caFile)).raw;
        const sha256 = createHash("sha256").update(der).digest("hex");
        return { name: certificateFileName(host, sha256), registry: host, sha256, der };
      }),
    });
    await lab.nodeExec(stale, ["sh", "-c", command], input);
    assert.ok(await trusts(stale, harborPem));
    await expectRestarts(earlier, []);

    const touched = [altered!.name, bundled, stale].sort();
    const preview = await stack.preview();
    assert.equal(preview.code, 0, preview.output);
    assert.deepEqual(shownUpdates(preview), touched);
    const written = await writes(untouched!.name);
    await up();
    await expectTrust(harborPem);
    await expectRestarts(earlier, touched);
    assert.equal(await writes(untouched!.name), written);
    expectNoChanges(await stack.up());
  });

  test("a containerd that does not start: up fails with what its unit says, and the next one finishes this node alone", async () => {
    const { name } = await worker("debian");
    await drop(name);
    await breakContainerd(name);
    const earlier = await starts();
    try {
      const { code, output } = await stack.up();
      assert.notEqual(code, 0, output);
      assert.match(
        output,
        new RegExp(`error: [^]*${name}: systemctl restart failed.*failed to load TOML.*"broke"`),
      );
    } finally {
      await mendContainerd(name);
    }
    assert.ok(await trusts(name, harborPem));
    const others = (await names()).filter((each) => each !== name);
    const mended = await containerd(name);
    const output = await up();
    assert.match(output, /\b2 updated/); // its containerd, and the pull that it owes as the node that went first
    assert.doesNotMatch(output, /\d+ (created|replaced|deleted)/);
    for (const other of others) assert.equal((await containerd(other)).pid, earlier[other]!.pid, other);
    assert.equal((await containerd(name)).pid, mended.pid, "it had loaded the CA when it was mended");
  });

  test("a kubelet that is not there is waited for, though the API says Ready; one that answers is not", async () => {
    const { name } = await worker("photon");
    process.env["KUBECONFIG"] = (await lab.operator()).env["KUBECONFIG"];
    const cluster = await namedContexts()("tkc-cluster-1");
    assert.ok(await kubeletIsWell(cluster, name), "a real kubelet's word");
    await drop(name);
    const { pid } = await containerd(name);
    await sh(name, "systemctl stop kubelet");
    const running = stack.up();
    try {
      await eventually("containerd has been restarted", async () =>
        (await containerd(name)).pid === pid ? undefined : true,
      );
      assert.equal(await kubeletIsWell(cluster, name), false);
      const ended = await Promise.race([running, sleep(10_000)]);
      assert.equal(ended, undefined, ended?.output);
    } finally {
      await sh(name, "systemctl start kubelet");
    }
    const { code, output } = await running;
    assert.equal(code, 0, output);
    assert.match(output, new RegExp(`restarted, Ready after \\d+ s: ${name}`));
    assert.ok(await trusts(name, harborPem));
  });

  test("a deleted jumpbox pod: the next up brings it back by itself, and touches no node", async () => {
    const [earlier, written] = [await starts(), await onAllNodes(writes)];
    await kubectl("supervisor", "delete", "pod", "jumpbox-ubuntu", "-n", "ns1");
    await up();
    assert.ok(await find("supervisor", "pod", "ns1", "jumpbox-ubuntu"));
    await expectRestarts(earlier, []);
    assert.deepEqual(await onAllNodes(writes), written);
    expectNoChanges(await stack.up());
  });

  test("an authority changes with overlap: at no moment does a pull fail for want of trust", async () => {
    const { custom } = lab.registries();
    const [old, next] = [pemOf(custom.caFile), pemOf((await lab.nextCa("custom")).caFile)];
    const nodes = await names();
    const pulls = new Pulls(nodes, custom.image);
    try {
      await pulls.again();
      const configure = async (...pems: string[]): Promise<void> => {
        await stack.configure(harborSettings({ registries: [ofHarbor(), ofCustom(...pems)] }), password);
        const earlier = await starts();
        await up();
        await expectRestarts(earlier, nodes);
      };
      await configure(old, next);
      await pulls.again();
      await lab.rotateCa("custom");
      assert.equal(pemOf(lab.registries().custom.caFile), next);
      await pulls.again();
      await configure(next);
      await pulls.again();
    } finally {
      await pulls.end();
    }
    assert.deepEqual(
      pulls.failures.filter((failure) => /x509|certificate/.test(failure)),
      [],
    );
    await expectTrust(harborPem, next);
    for (const [node, store] of Object.entries(await onAllNodes(trustStore))) {
      const file = (pem: string): string =>
        certificateFileName(
          custom.host,
          createHash("sha256").update(new X509Certificate(pem).raw).digest("hex"),
        );
      assert.ok(store.includes(file(next)), node);
      assert.ok(!store.includes(file(old)), `${node} has the old CA still`);
    }
  });

  test("a registry that goes takes its own CA along, and no byte of the other's", async () => {
    const filesOfHarbor = async (): Promise<Record<string, string>> =>
      await onAllNodes((node) =>
        sh(
          node,
          `stat -c '%n %i %Y %Z' $(ls -d /etc/ssl/certs/tkc-registry-${harbor.host}-443-*.pem /usr/local/share/ca-certificates/tkc-registry-${harbor.host}-443-*.crt 2>/dev/null)`,
        ),
      );
    const before = await filesOfHarbor();
    await stack.configure(harborSettings());
    const earlier = await starts();
    await up();
    await expectTrust(harborPem);
    await expectRestarts(earlier, await names());
    const custom = pemOf(lab.registries().custom.caFile);
    for (const [node, bundle] of Object.entries(await onAllNodes(goBundle)))
      assert.ok(!bundle.includes(custom), node);
    const now = await filesOfHarbor();
    for (const { name, os } of await lab.nodes()) {
      const own = (text: string): string[] =>
        text.split("\n").filter((line) => line.includes(os === "photon" ? ".pem" : ".crt"));
      assert.ok(own(now[name]!).length > 0, name);
      assert.deepEqual(own(now[name]!), own(before[name]!), name);
    }
  });

  test("trust: auto takes containerd's folder for the registry where a node has one, with no restart", async () => {
    const { name: switched } = await worker("debian");
    const { name: fresh } = await lab.replaceNode((await worker("photon")).name);
    const others = (await names()).filter((name) => name !== fresh && name !== switched);
    const folder = `${certsFolder}/${harbor.host}`;
    const theirs = [`${folder}/theirs.crt`, `${certsFolder}/registry.other.example/hosts.toml`];
    await sh(
      fresh,
      `mkdir -p ${folder} ${certsFolder}/registry.other.example; echo '# theirs' >${theirs[1]!}`,
    );
    await lab.nodeExec(
      fresh,
      ["sh", "-c", `cat >${theirs[0]!}`],
      `${pemOf(lab.registries().custom.caFile)}\n`,
    );
    try {
      for (const name of [fresh, switched]) await setContainerdConfigPath(name, certsFolder);
      const store = await trustStore(fresh);
      const ways = async (): Promise<(string | undefined)[]> => {
        const all = await outputs();
        return [fresh, switched, ...others].map((name) => all.get(name)!.trust);
      };

      await stack.configure(harborSettings({ trust: "auto" }));
      const earlier = await starts();
      await up();
      assert.deepEqual(await ways(), ["certs.d", "certs.d", ...others.map(() => "system")]);
      // Only what has the CA in its memory from the trust store is started anew, to forget it.
      await expectRestarts(earlier, [switched]);
      for (const name of [fresh, switched]) assert.ok(!(await trusts(name, harborPem)), name);
      for (const name of others) assert.ok(await trusts(name, harborPem), name);
      assert.equal((await trustStore(fresh)).replace("/var/lib/tkc-registry\n", ""), store);
      for (const [index, name] of [fresh, switched, ...others].entries())
        assert.equal(await pull(`certs-d-${index}`, name, harbor.image), undefined, name);
      expectNoChanges(await stack.up());

      await stack.configure(harborSettings());
      await up();
      assert.deepEqual(new Set(await ways()), new Set(["system"]));
      await expectTrust(harborPem);
      for (const name of [fresh, switched]) {
        const left = await sh(name, `find ${certsFolder} -type f 2>/dev/null | sort || true`);
        assert.equal(left, name === fresh ? `${theirs.sort().join("\n")}\n` : "", name);
      }
    } finally {
      for (const name of [fresh, switched]) {
        await setContainerdConfigPath(name, undefined);
        await sh(name, `rm -rf ${certsFolder}`);
      }
    }
    for (const [index, name] of [fresh, switched].entries())
      assert.equal(await pull(`system-${index}`, name, harbor.image), undefined, name);
  });

  test("destroy without the jumpbox pod takes nothing down and says to run up, which brings the pod back", async () => {
    await kubectl("supervisor", "delete", "pod", "jumpbox-ubuntu", "-n", "ns1");
    const earlier = await starts();
    const { code, output } = await stack.destroy();
    assert.notEqual(code, 0, output);
    assert.match(output, /jumpbox[^]*`pulumi up`/);
    // It was asked before anything was taken down.
    await expectTrust(harborPem);
    await up();
    await expectTrust(harborPem);
    await expectRestarts(earlier, []);
  });
});
