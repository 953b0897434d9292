import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { Jumpbox } from "../../components/jumpbox";
import { RemovalCheck } from "../../components/removalCheck";
import { TrustedNodes, type TrustedNodesArgs } from "../../components/trustedNodes";
import type { ClusterNode } from "../../kubernetes/types";
import { readSweepInput } from "../../nodes/protocol/environment";
import { parseCaReport } from "../../nodes/protocol/report";
import type { NodeConnection } from "../../nodes/protocol/spec";
import type { CanaryPlan } from "../../plan/canary";
import { type Installation, nodeCommand } from "../../plan/nodeCommand";
import type { NodePlan } from "../../plan/nodes";
import { planLanes } from "../../plan/lanes";
import { type NodeChange, formatChange, reason } from "../../plan/reasons";
import { jumpboxAccess } from "../integration/nodes/routes/jumpboxAccess";
import { comesAfter, named, perform, record, waitsFor } from "./mocks";
import { sha256, stdout } from "./world";

const node = (name: string, role: ClusterNode["role"]): ClusterNode => ({
  name,
  role,
  uid: `uid-of-${name}`,
  machineId: "0123456789abcdef0123456789abcdef",
  hostName: name,
  address: "198.18.1.10",
  osImage: "VMware Photon OS/Linux",
  containerRuntime: "containerd://1.6.20",
  ready: true,
  labels: {},
  pins: {},
});
const id = "5d1b5d2e-0f0c-4d6f-9a3e-2f7c1b1f0a11";
const connection: NodeConnection = {
  port: 22,
  user: "vmware-system-user",
  access: jumpboxAccess,
  sshKey: { from: "supervisor", context: "ns1", namespace: "ns1", cluster: "tkc-cluster-1" },
  clusterContext: "tkc-cluster-1",
  cluster: { supervisor: "ns1", namespace: "ns1", name: "tkc-cluster-1" },
};
const installation: Installation = {
  certificates: [{ registry: "10.213.208.67", sha256 }],
  trustMode: "system",
  removal: { unreachable: "fail", restart: true },
  scriptSha256: "cd".repeat(32),
  owner: "tkc-registry.test",
  readyTimeoutSeconds: 300,
};
const inOrder = (name: string): NodeChange => ({
  node: name,
  reasons: [reason("in-order")],
  action: "none",
  restart: false,
});
const nodesArgs = (
  nodes: ClusterNode[],
  workersAtOnce = 2,
  change: Partial<NodePlan> = {},
  canary: CanaryPlan = {},
): TrustedNodesArgs => ({
  connection,
  hostKeys: {},
  removal: { unreachable: "fail", restart: true },
  nodes: nodes.map((each) => {
    const { name, uid, machineId, address } = each;
    const target = { name, uid, machineId, address, ...connection, hostKey: `SHA256:${"A".repeat(43)}` };
    return {
      ...{ node: each, target, command: nodeCommand(target, installation), nonce: `nonce-of-${name}` },
      change: inOrder(name),
      repeats: undefined,
      ...change,
    };
  }),
  certificates: installation.certificates,
  script: { text: "main", sha256: "cd".repeat(32) },
  order: planLanes(nodes, workersAtOnce, { first: canary.first }),
  waveEnds: new Map(),
  canary,
  readyTimeoutSeconds: 300,
  owner: "tkc-registry.test",
  id,
});
test("the jumpbox mounts the key read-only, keeps its copy in memory, and has no more rights than it needs", async () => {
  const registered = await record(
    () =>
      new Jumpbox("jumpbox", {
        name: "jumpbox-ubuntu",
        namespace: "ns1",
        image: "ubuntu:latest",
        cluster: "tkc-cluster-1",
        owner: "tkc-registry.test",
        id,
      }),
  );
  const pod = [...registered.values()].find(({ type }) => type === "kubernetes:core/v1:Pod")!;
  assert.match(pod.parent, /tkc-registry:index:Jumpbox::jumpbox$/);
  assert.deepEqual((pod.inputs["metadata"] as { name: string; namespace: string; labels: object }).labels, {
    "app.kubernetes.io/managed-by": "tkc-registry",
    "tkc-registry/stack": "tkc-registry.test",
    "tkc-registry/id": id,
  });
  const spec = pod.inputs["spec"] as {
    automountServiceAccountToken: boolean;
    containers: { securityContext: object; volumeMounts: object[] }[];
    initContainers?: object[];
    volumes: object[];
  };
  assert.equal(spec.automountServiceAccountToken, false);
  assert.deepEqual(spec.volumes, [
    { name: "ssh-key", secret: { secretName: "tkc-cluster-1-ssh", defaultMode: 0o400, optional: true } },
    { name: "ssh-home", emptyDir: { medium: "Memory", sizeLimit: "1Mi" } },
  ]);
  assert.deepEqual(spec.containers[0]!.volumeMounts, [
    { name: "ssh-key", mountPath: "/root/ssh", readOnly: true },
    { name: "ssh-home", mountPath: "/root/.ssh" },
  ]);
  assert.deepEqual(spec.containers[0]!.securityContext, {
    runAsUser: 0,
    allowPrivilegeEscalation: false,
    capabilities: { drop: ["ALL"], add: ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"] },
  });
  // It is Ready as soon as it runs: the SSH client that it installs is for people.
  const waiting = ["readinessProbe", "startupProbe", "lifecycle"];
  assert.deepEqual(
    Object.keys(spec.containers[0]!).filter((key) => waiting.includes(key)),
    [],
  );
  assert.deepEqual([spec.containers.length, spec.initContainers], [1, undefined]);
});

test("nodes wait for the way in, control-plane nodes for each other, workers for their lane", async () => {
  const nodes = [
    node("cp1", "control-plane"),
    node("cp2", "control-plane"),
    node("w1", "worker"),
    node("w2", "worker"),
    node("w3", "worker"),
  ];
  let jumpbox: Jumpbox | undefined;
  const registered = await record(() => {
    jumpbox = new Jumpbox("jumpbox", {
      name: "j",
      namespace: "ns1",
      image: "i",
      cluster: "c",
      owner: "o",
      id,
    });
    return new TrustedNodes("c", nodesArgs(nodes), { dependsOn: [jumpbox] });
  }, stdout);
  const of = (name: string): string[] =>
    comesAfter(registered, name).filter((other) => /-(ca|up)$/.test(other));
  const [cp1, cp2, w1] = ["cp1", "cp2", "w1"].map((name) => [`c-${name}-ca`, `c-${name}-up`]) as [
    string[],
    string[],
    string[],
  ];
  assert.deepEqual(of("c-cp1-ca"), []);
  assert.deepEqual(of("c-cp2-ca"), cp1);
  assert.deepEqual(of("c-w1-ca"), [...cp1, ...cp2]);
  assert.deepEqual(of("c-w2-ca"), [...cp1, ...cp2]);
  assert.deepEqual(of("c-w3-ca"), [...cp1, ...cp2, ...w1]);
  for (const { name } of nodes) {
    assert.ok(of(`c-${name}-up`).includes(`c-${name}-ca`));
    for (const part of ["ca", "up"]) {
      const pod = comesAfter(registered, `c-${name}-${part}`).includes("jumpbox");
      assert.ok(pod, `${name}-${part} does not wait for the jumpbox pod`);
    }
  }
});

test("a node command carries where its node is and what to trust, and no secret", async () => {
  const registered = await record(() => new TrustedNodes("c", nodesArgs([node("w1", "worker")])), stdout);
  const ca = named(registered, "c-w1-ca");
  const environment = ca.inputs["environment"] as Record<string, string>;
  assert.equal(environment["TKC_REGISTRY_NODE"], "w1");
  assert.equal(environment["TKC_REGISTRY_NODE_UID"], "uid-of-w1");
  assert.equal(environment["TKC_REGISTRY_HOST_KEY"], `SHA256:${"A".repeat(43)}`);
  assert.deepEqual(JSON.parse(environment["TKC_REGISTRY_TRUST"]!), [{ registry: "10.213.208.67", sha256 }]);
  assert.equal(environment["TKC_REGISTRY_SCRIPT_SHA256"], "cd".repeat(32));
  assert.equal(environment["TKC_REGISTRY_NONCE"], "nonce-of-w1");
  assert.equal(ca.inputs["stdin"], undefined);
});

test("the containerd command is given what the CA's reported, so that it follows each of its runs", async () => {
  const registered = await record(() => new TrustedNodes("c", nodesArgs([node("w1", "worker")])), stdout);
  const environment = named(registered, "c-w1-up").inputs["environment"] as Record<string, string>;
  assert.deepEqual(Object.keys(environment).sort(), ["TKC_REGISTRY_CA", "TKC_REGISTRY_ID"]);
  assert.equal(parseCaReport(environment["TKC_REGISTRY_CA"]!).node, "w1");
});

test("a changed node is updated in place: replacing would remove the CA after installing it", async () => {
  const registered = await record(() => new TrustedNodes("c", nodesArgs([node("w1", "worker")])), stdout);
  for (const name of ["c-w1-ca", "c-w1-up"]) {
    const { inputs } = named(registered, name);
    // Without an update of its own, a command's create is run again.
    for (const input of ["update", "triggers"]) assert.equal(inputs[input], undefined);
  }
  assert.equal(named(registered, "c-w1-up").inputs["delete"], undefined);
  assert.match(named(registered, "c-w1-ca").inputs["delete"] as string, /v1 ca remove$/);
});

test("the sweep is made before all nodes and so deleted after them, and before the way in", async () => {
  let jumpbox: Jumpbox | undefined;
  const registered = await record(() => {
    jumpbox = new Jumpbox("jumpbox", {
      name: "j",
      namespace: "ns1",
      image: "i",
      cluster: "c",
      owner: "o",
      id,
    });
    return new TrustedNodes("c", nodesArgs([node("cp1", "control-plane"), node("w1", "worker")]), {
      dependsOn: [jumpbox],
    });
  }, stdout);
  for (const name of ["c-cp1-ca", "c-w1-ca"])
    assert.ok(comesAfter(registered, name).includes("c-sweep"), name);
  assert.ok(comesAfter(registered, "c-sweep").includes("jumpbox"));
  const { create, delete: sweep, environment } = named(registered, "c-sweep").inputs;
  assert.deepEqual(
    { create, sweep },
    { create: "true", sweep: `node -e "require('tkc-registry/run')" v1 ca sweep` },
  );
  assert.deepEqual(readSweepInput(environment as Record<string, string>), {
    connection,
    hostKeys: {},
    selections: undefined,
    stack: { owner: "tkc-registry.test", id },
    former: undefined,
    readyTimeout: 300,
  });
});

test("the sweep and the check of a destroy know which nodes are meant, and say nothing of it where all are", async () => {
  const selections = [{}, { exclude: "kubernetes.io/os=windows" }];
  const of = async (change: object): Promise<Record<string, string>[]> => {
    const registered = await record(() => {
      const args = { ...nodesArgs([node("w1", "worker")]), ...change };
      new TrustedNodes("c", args);
      new RemovalCheck("removal-check", args);
    }, stdout);
    return [named(registered, "c-sweep"), named(registered, "removal-check", "Command")].map(
      ({ inputs }) => inputs["environment"] as Record<string, string>,
    );
  };
  for (const environment of await of({ selections }))
    assert.deepEqual(readSweepInput(environment).selections, selections);
  for (const environment of await of({})) assert.ok(!("TKC_REGISTRY_SELECTIONS" in environment));
});

test("a wave is begun when one resource says that all of the one before are done, and there is none without waves", async () => {
  const nodes = ["w1", "w2", "w3", "w4"].map((name) => node(name, "worker"));
  const waveEnd = (wave: number) => ({
    ...{ wave, nodes: ["w1", "w2"], pauseSeconds: 5 },
    ...{ works: true, digest: `digest-${wave}` },
  });
  const isMeant = ({ name }: ClusterNode): boolean => ["w1", "w2"].includes(name);
  const registered = await record(
    () =>
      new TrustedNodes("c", {
        ...nodesArgs(nodes),
        order: planLanes(nodes, 2, { waves: [{ isMeant, width: 2 }] }),
        waveEnds: new Map([[1, waveEnd(1)]]),
      }),
    stdout,
  );
  const { inputs } = named(registered, "c-wave-1");
  assert.match(inputs["create"] as string, /\/client" wave 1$/);
  assert.equal(inputs["delete"], undefined);
  assert.deepEqual(inputs["environment"], { TKC_REGISTRY_ID: id, TKC_REGISTRY_WAVE: "digest-1" });
  for (const name of ["w1", "w2"]) assert.ok(comesAfter(registered, "c-wave-1").includes(`c-${name}-up`));
  for (const name of ["w3", "w4"]) {
    const waits = waitsFor(registered, `c-${name}-ca`);
    assert.deepEqual(
      waits.filter((other) => /-(?:wave|up)/.test(other)),
      ["c-wave-1"],
    );
  }
  // Where the only node that comes after the wave goes first, the wave has its end all the same.
  const three = nodes.slice(0, 3);
  const before = await record(
    () =>
      new TrustedNodes("c", {
        ...nodesArgs(three, 2, {}, { first: "w3" }),
        order: planLanes(three, 2, { waves: [{ isMeant, width: 2 }], first: "w3" }),
        waveEnds: new Map([[1, waveEnd(1)]]),
      }),
    stdout,
  );
  assert.deepEqual(named(before, "c-wave-1").inputs, inputs);
  for (const name of ["w1", "w2"]) {
    assert.ok(comesAfter(before, "c-wave-1").includes(`c-${name}-up`));
    assert.ok(comesAfter(before, `c-${name}-ca`).includes("c-w3-up"));
  }
  const without = await record(() => new TrustedNodes("c", nodesArgs(nodes)), stdout);
  assert.ok([...without.values()].every(({ name }) => !name.includes("-wave-")));
});

test("the check of a destroy comes after everything, so that it is asked first, and needs no program", async () => {
  const registered = await record(() => {
    const jumpbox = new Jumpbox("jumpbox", {
      name: "j",
      namespace: "n",
      image: "i",
      cluster: "c",
      owner: "o",
      id,
    });
    const args = nodesArgs([node("cp1", "control-plane"), node("w1", "worker")]);
    const nodes = new TrustedNodes("c", args, { dependsOn: [jumpbox] });
    return new RemovalCheck(
      "removal-check",
      { ...args, removal: { unreachable: "skip", restart: false } },
      { dependsOn: [jumpbox, nodes] },
    );
  }, stdout);
  const others = [...registered.values()].filter(({ type }) => /^(command|kubernetes):/.test(type));
  const before = comesAfter(registered, "removal-check");
  assert.deepEqual(
    others.map(({ name }) => name).filter((name) => name !== "removal-check" && !before.includes(name)),
    [],
  );
  const { create, update, triggers, delete: asked, environment } = named(registered, "removal-check").inputs;
  assert.deepEqual(
    { create, update, triggers, asked },
    {
      ...{ create: "true", update: undefined, triggers: undefined },
      asked: `node -e "require('tkc-registry/run')" v1 check-removal --unreachable skip`,
    },
  );
  assert.deepEqual(environment, named(registered, "c-sweep").inputs["environment"]);
});

test("how nodes are left is in the words of the commands, for which no program runs", async () => {
  const removal = { unreachable: "skip", restart: false } as const;
  const args = nodesArgs([node("w1", "worker")]);
  const { target } = args.nodes[0]!;
  const command = nodeCommand(target, { ...installation, removal });
  const registered = await record(
    () => new TrustedNodes("c", { ...args, removal, nodes: [{ ...args.nodes[0]!, command }] }),
    stdout,
  );
  for (const name of ["c-w1-ca", "c-sweep"])
    assert.match(named(registered, name).inputs["delete"] as string, / --unreachable skip --no-restart$/);
});

test("a jumpbox in which nothing is installed can change nothing of its image, and is pulled by the secret that is named", async () => {
  const args = { name: "j", namespace: "ns1", image: "i", cluster: "c", owner: "o", id };
  interface Spec {
    imagePullSecrets?: object[];
    containers: [{ command: string[]; securityContext: object }];
  }
  const specOf = async (more: object): Promise<Spec> => {
    const registered = await record(() => new Jumpbox("jumpbox", { ...args, ...more }));
    return [...registered.values()].find(({ type }) => type === "kubernetes:core/v1:Pod")!.inputs[
      "spec"
    ] as Spec;
  };
  const usual = await specOf({ install: true });
  assert.deepEqual(await specOf({}), usual);
  assert.ok(!("imagePullSecrets" in usual));
  // A pod of the release before is the same, or it would be made anew.
  assert.equal(
    createHash("sha256").update(usual.containers[0].command[2]!).digest("hex"),
    "5a48c63eb285fef90babb45dd100e716c49f1d40f10fe06915218f996eb5afb9",
  );
  const { imagePullSecrets, containers } = await specOf({ install: false, pullSecret: "mirror" });
  assert.deepEqual(imagePullSecrets, [{ name: "mirror" }]);
  assert.doesNotMatch(containers[0].command[2]!, /apt/);
  assert.deepEqual(containers[0].securityContext, {
    runAsUser: 0,
    allowPrivilegeEscalation: false,
    capabilities: { drop: ["ALL"] },
    readOnlyRootFilesystem: true,
  });
});

test("a pod that is made in place of one that is gone differs in its container, and so replaces it", async () => {
  const args = { name: "j", namespace: "ns1", image: "i", cluster: "c", owner: "o", id };
  const containerOf = async (replaces?: string): Promise<{ env?: object[] }> => {
    const registered = await record(() => new Jumpbox("jumpbox", { ...args, replaces }));
    const pod = [...registered.values()].find(({ type }) => type === "kubernetes:core/v1:Pod")!;
    return (pod.inputs["spec"] as { containers: [{ env?: object[] }] }).containers[0];
  };
  assert.equal((await containerOf()).env, undefined);
  assert.deepEqual((await containerOf("uid-1")).env, [{ name: "TKC_REGISTRY_REPLACES_POD", value: "uid-1" }]);
});

test("what is done to a node is logged at its resource, and nothing at those in order", async () => {
  const told: NodeChange = {
    node: "w1",
    reasons: [reason("containerd-older")],
    action: "install",
    restart: true,
  };
  const { loggedAt, errors } = await perform(
    () => {
      const nodes = [node("w1", "worker"), node("w2", "worker")];
      const args = nodesArgs(nodes);
      const [first, ...others] = args.nodes;
      return new TrustedNodes("c", {
        ...args,
        nodes: [{ ...first!, change: told }, ...others],
      });
    },
    { outputs: stdout },
  );
  assert.deepEqual(errors, []);
  assert.deepEqual(loggedAt, { "c-w1": [formatChange(told)] });
});

test("a preview shows what a node's command is going to print again, where that is known, and an update what it printed", async () => {
  const given = async (preview: boolean, repeats?: string): Promise<unknown> => {
    const args = nodesArgs([node("w1", "worker")], 2, { repeats });
    const { resources } = await perform(() => new TrustedNodes("c", args), { outputs: stdout, preview });
    const { dependencies, inputs } = named(resources, "c-w1-up");
    assert.ok(dependencies.some((urn) => urn.endsWith("::c-w1-ca")));
    return (inputs["environment"] as Record<string, unknown>)["TKC_REGISTRY_CA"];
  };
  const printed = await given(false);
  const earlier = String(printed).replace("nonce=n", "nonce=earlier");
  assert.equal(await given(true, earlier), earlier);
  assert.equal(await given(false, earlier), printed);
});

test("a node that was skipped is named with the reason, and needs nothing else to be known", async () => {
  let nodes: TrustedNodes | undefined;
  await record(
    () => (nodes = new TrustedNodes("c", nodesArgs([node("w1", "worker")]))),
    (type, inputs) => {
      if (type !== "command:local:Command" || inputs["create"] === "true") return {};
      const kind = (inputs["create"] as string).endsWith("ca apply") ? "ca\nnonce=n" : "containerd";
      return { stdout: `version=1\nreport=${kind}\nnode=w1\nuid=uid-of-w1\nskipped=ssh-timeout` };
    },
  );
  const trust = await new Promise((resolve) => nodes!.nodes.apply(resolve));
  const { name, role, address, osImage } = node("w1", "worker");
  assert.deepEqual(JSON.parse(JSON.stringify(trust)), [
    { name, role, address, osImage, skipped: "ssh-timeout" },
  ]);
});

test("the command lines in state are an interface: they name the package, no stack and no path of a machine", async () => {
  const registered = await record(() => new TrustedNodes("c", nodesArgs([node("w1", "worker")])), stdout);
  const { create, delete: remove } = named(registered, "c-w1-ca").inputs;
  assert.deepEqual(
    { create, remove },
    {
      create: `"\${PULUMI_HOME:-$HOME/.pulumi}/tkc-registry-\${TKC_REGISTRY_ID%-*-*-*}/client" ca apply`,
      remove: `node -e "require('tkc-registry/run')" v1 ca remove`,
    },
  );
});

test("the script that runs on nodes is an input of the component, so that a preview shows its changes", async () => {
  const registered = await record(() => new TrustedNodes("c", nodesArgs([node("w1", "worker")])), stdout);
  assert.deepEqual(named(registered, "c", "TrustedNodes").inputs["script"], {
    text: "main",
    sha256: "cd".repeat(32),
  });
});

test("a node's resource has the node's name without the cluster's, and the name that it had before", async () => {
  const nodes = [node("tkc-cluster-1-cp1", "control-plane"), node("w1", "worker")];
  const registered = await record(() => new TrustedNodes("c", nodesArgs(nodes)), stdout);
  assert.deepEqual(named(registered, "c-cp1").aliases, []);
  assert.deepEqual(named(registered, "c-w1").aliases, [{ name: "w1", atRoot: false }]);
  assert.deepEqual(named(registered, "c-cp1-up").aliases, [{ name: "c-cp1-containerd", atRoot: false }]);
  const { TKC_REGISTRY_NODE: of } = named(registered, "c-cp1-ca").inputs["environment"] as Record<
    string,
    string
  >;
  assert.equal(of, "tkc-cluster-1-cp1");
});
