import assert from "node:assert/strict";
import { test } from "node:test";
import { Jumpbox } from "../../components/jumpbox";
import { PullSecret } from "../../components/pullSecret";
import { RemovalCheck } from "../../components/removalCheck";
import { RegistryDeployment } from "../../components/registryDeployment";
import { TrustedNodes, type TrustedNodesArgs } from "../../components/trustedNodes";
import type { ClusterNode } from "../../kubernetes/types";
import { readSweepInput } from "../../nodes/protocol/environment";
import { formatReport, parseCaReport } from "../../nodes/protocol/report";
import type { NodeConnection } from "../../nodes/protocol/spec";
import { jumpboxAccess } from "../integration/nodes/routes/jumpboxAccess";
import { comesAfter, markedSecret, record, waitsFor } from "./mocks";

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
  pins: {},
});
const sha256 = "ab".repeat(32);
const id = "5d1b5d2e-0f0c-4d6f-9a3e-2f7c1b1f0a11";
const connection: NodeConnection = {
  port: 22,
  user: "vmware-system-user",
  access: jumpboxAccess,
  sshKey: { from: "supervisor", context: "ns1", namespace: "ns1", cluster: "tkc-cluster-1" },
  clusterContext: "tkc-cluster-1",
  cluster: { supervisor: "ns1", namespace: "ns1", name: "tkc-cluster-1" },
};
const nodesArgs = (nodes: ClusterNode[], workersAtOnce = 2): TrustedNodesArgs => ({
  connection,
  hostKeys: {},
  trustMode: "system",
  removal: { unreachable: "fail", restart: true },
  nodes: nodes.map((each) => ({
    node: each,
    target: {
      name: each.name,
      uid: each.uid,
      machineId: each.machineId,
      address: each.address,
      ...connection,
      hostKey: `SHA256:${"A".repeat(43)}`,
    },
    nonce: `nonce-of-${each.name}`,
  })),
  certificates: [{ registry: "10.213.208.67", sha256 }],
  script: { text: "main", sha256: "cd".repeat(32) },
  workersAtOnce,
  readyTimeoutSeconds: 300,
  owner: "tkc-registry.test",
  id,
});
const parsedNode = (report: string): { node: string; uid: string } => {
  const { node: name, uid } = parseCaReport(report);
  return { node: name, uid };
};

/** What the node commands print, as far as the components read it. */
const stdout = (type: string, inputs: Record<string, unknown>): Record<string, unknown> => {
  if (type !== "command:local:Command" || inputs["create"] === "true") return {};
  const environment = inputs["environment"] as Record<string, string>;
  const { TKC_REGISTRY_NODE: name = "", TKC_REGISTRY_NODE_UID: uid = "" } = environment;
  const common = { version: "1", node: name, uid } as const;
  const report = (inputs["create"] as string).endsWith("ca apply")
    ? formatReport({
        ...common,
        report: "ca",
        hostKey: `SHA256:${"B".repeat(43)}`,
        os: "photon",
        sha256: [sha256],
        alsoTrustedBy: [],
        nonce: "n",
      })
    : formatReport({
        ...common,
        report: "containerd",
        bootId: "01234567-89ab-cdef-0123-456789abcdef",
        containerdStarted: "2026-01-02T03:04:05Z",
        loaded: [sha256],
        ...parsedNode(environment["TKC_REGISTRY_CA"]!),
      });
  return { stdout: report.trimEnd(), stderr: "" };
};

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
    return new TrustedNodes("tkc-cluster-1", nodesArgs(nodes), { dependsOn: [jumpbox] });
  }, stdout);
  const of = (name: string): string[] =>
    comesAfter(registered, name).filter((other) => /-(ca|containerd)$/.test(other));
  const [cp1, cp2, w1] = ["cp1", "cp2", "w1"].map((name) => [`${name}-ca`, `${name}-containerd`]) as [
    string[],
    string[],
    string[],
  ];
  assert.deepEqual(of("cp1-ca"), []);
  assert.deepEqual(of("cp2-ca"), cp1);
  assert.deepEqual(of("w1-ca"), [...cp1, ...cp2]);
  assert.deepEqual(of("w2-ca"), [...cp1, ...cp2]);
  assert.deepEqual(of("w3-ca"), [...cp1, ...cp2, ...w1]);
  for (const { name } of nodes) {
    assert.ok(of(`${name}-containerd`).includes(`${name}-ca`));
    for (const part of ["ca", "containerd"]) {
      const pod = comesAfter(registered, `${name}-${part}`).includes("jumpbox");
      assert.ok(pod, `${name}-${part} does not wait for the jumpbox pod`);
    }
  }
});

test("a node command carries where its node is and what to trust, and no secret", async () => {
  const registered = await record(() => new TrustedNodes("c", nodesArgs([node("w1", "worker")])), stdout);
  const ca = registered.get("w1-ca")!;
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
  const environment = registered.get("w1-containerd")!.inputs["environment"] as Record<string, string>;
  assert.deepEqual(Object.keys(environment).sort(), ["TKC_REGISTRY_CA", "TKC_REGISTRY_ID"]);
  assert.equal(parseCaReport(environment["TKC_REGISTRY_CA"]!).node, "w1");
});

test("a changed node is updated in place: replacing would remove the CA after installing it", async () => {
  const registered = await record(() => new TrustedNodes("c", nodesArgs([node("w1", "worker")])), stdout);
  for (const name of ["w1-ca", "w1-containerd"]) {
    const { inputs } = registered.get(name)!;
    // Without an update of its own, a command's create is run again.
    for (const input of ["update", "triggers"]) assert.equal(inputs[input], undefined);
  }
  assert.equal(registered.get("w1-containerd")!.inputs["delete"], undefined);
  assert.match(registered.get("w1-ca")!.inputs["delete"] as string, /v1 ca remove$/);
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
  for (const name of ["cp1-ca", "w1-ca"]) assert.ok(comesAfter(registered, name).includes("c-sweep"), name);
  assert.ok(comesAfter(registered, "c-sweep").includes("jumpbox"));
  const { create, delete: sweep, environment } = registered.get("c-sweep")!.inputs;
  assert.deepEqual(
    { create, sweep },
    { create: "true", sweep: `node -e "require('tkc-registry/run')" v1 ca sweep` },
  );
  assert.deepEqual(readSweepInput(environment as Record<string, string>), {
    connection,
    hostKeys: {},
    stack: { owner: "tkc-registry.test", id },
    former: undefined,
    readyTimeout: 300,
  });
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
  const { create, update, triggers, delete: asked, environment } = registered.get("removal-check")!.inputs;
  assert.deepEqual(
    { create, update, triggers, asked },
    {
      ...{ create: "true", update: undefined, triggers: undefined },
      asked: `node -e "require('tkc-registry/run')" v1 check-removal --unreachable skip`,
    },
  );
  assert.deepEqual(environment, registered.get("c-sweep")!.inputs["environment"]);
});

test("how nodes are left is in the words of the commands, for which no program runs", async () => {
  const args = {
    ...nodesArgs([node("w1", "worker")]),
    removal: { unreachable: "skip", restart: false },
  } as const;
  const registered = await record(() => new TrustedNodes("c", args), stdout);
  for (const name of ["w1-ca", "c-sweep"])
    assert.match(registered.get(name)!.inputs["delete"] as string, / --unreachable skip --no-restart$/);
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
  const { create, delete: remove } = registered.get("w1-ca")!.inputs;
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
  assert.deepEqual(registered.get("c")!.inputs["script"], { text: "main", sha256: "cd".repeat(32) });
});

const place = (adopted: boolean) => ({ namespace: "default", dockerConfigJson: '{"auths":{}}', adopted });
const pullSecretArgs = (adopted: boolean, deleteAdopted = false, defaultServiceAccount = false) => ({
  name: "harbor-svc-pull-secret",
  places: [place(adopted)],
  defaultServiceAccount,
  deleteAdopted,
  clusterContext: "tkc-cluster-1",
  cluster: { supervisor: "ns1", namespace: "ns1", name: "c", kubeSystem: "uid-1" },
  owner: "o",
  id,
});

test("the pull secret's content is a secret wherever it is recorded", async () => {
  const registered = await record(() => new PullSecret("ps", pullSecretArgs(false)));
  assert.ok(markedSecret(registered.get("ps-default")!.inputs["data"]));
  const shown = registered.get("ps")!.inputs;
  assert.deepEqual(shown["namespaces"], ["default"]);
  assert.equal(shown["places"], undefined);
  assert.equal(registered.get("ps-default")!.inputs["type"], "kubernetes.io/dockerconfigjson");
});

test("adopted objects outlive the stack unless told otherwise, our own don't", async () => {
  const retained = async (adopted: boolean, deleteAdopted: boolean): Promise<boolean> =>
    (await record(() => new PullSecret("ps", pullSecretArgs(adopted, deleteAdopted)))).get("ps-default")!
      .retainOnDelete;
  assert.equal(await retained(true, false), true);
  assert.equal(await retained(true, true), false);
  assert.equal(await retained(false, false), false);
});

test("the default ServiceAccount is changed only where that was asked for, and after the secret is there", async () => {
  assert.equal((await record(() => new PullSecret("ps", pullSecretArgs(false)))).size, 2);
  const registered = await record(() => new PullSecret("ps", pullSecretArgs(false, false, true)));
  assert.deepEqual(waitsFor(registered, "ps-default-default"), ["ps-default"]);
  const { environment } = registered.get("ps-default-default")!.inputs as { environment: object };
  // No program runs at its delete: what proves the cluster travels with it.
  assert.match(JSON.stringify(environment), /"TKC_REGISTRY_CLUSTER":"{.*uid-1/);
});

const deploymentArgs = {
  name: "web",
  namespace: "default",
  replicas: 1,
  pod: {
    app: "web",
    image: "10.213.208.67/ns1/nginx:latest",
    command: [],
    args: [],
    port: 80,
    probe: "tcp",
    runAsUser: 101,
    writablePaths: ["/tmp"],
    env: { TOKEN: "hunter2" },
    resources: { requests: {}, limits: {} },
    imagePullSecrets: ["harbor-svc-pull-secret"],
  },
  timeoutSeconds: 300,
  adopted: false,
  deleteAdopted: false,
  owner: "o",
  id,
} as const;

test("the values of a Deployment's env are secrets where its settings are", async () => {
  const inClear = async (secret: boolean): Promise<string[]> => {
    const registered = await record(
      () => new RegistryDeployment("deployment", { ...deploymentArgs, secret }),
    );
    // A secret is wrapped, with a signature beside its value.
    const withoutSecrets = (_: string, value: unknown): unknown => (markedSecret(value) ? "hidden" : value);
    return [...registered.values()]
      .filter(({ inputs }) => JSON.stringify(inputs, withoutSecrets).includes("hunter2"))
      .map(({ type }) => type);
  };
  assert.deepEqual(await inClear(false), ["kubernetes:apps/v1:Deployment"]);
  assert.deepEqual(await inClear(true), []);
});

test("the Deployment waits for every node and for the pull secret", async () => {
  const registered = await record(() => {
    const nodes = new TrustedNodes("c", nodesArgs([node("w1", "worker"), node("w2", "worker")]));
    const pullSecret = new PullSecret("ps", pullSecretArgs(false), { dependsOn: [nodes] });
    return new RegistryDeployment("deployment", deploymentArgs, { dependsOn: [nodes, pullSecret] });
  }, stdout);
  const deployment = [...registered.values()].find(({ type }) => type === "kubernetes:apps/v1:Deployment")!;
  const urns = deployment.dependencies.join("\n");
  for (const name of ["w1-ca", "w1-containerd", "w2-ca", "w2-containerd", "ps-default"]) {
    assert.ok(urns.includes(`::${name}`), `the Deployment does not wait for ${name}`);
  }
  const secret = registered.get("ps-default")!.dependencies.join("\n");
  assert.ok(secret.includes("::w1-containerd"), "the pull secret does not wait for the nodes");
  const spec = deployment.inputs["spec"] as {
    template: { spec: { imagePullSecrets: object[]; securityContext: { runAsNonRoot: boolean } } };
  };
  assert.deepEqual(spec.template.spec.imagePullSecrets, [{ name: "harbor-svc-pull-secret" }]);
  assert.equal(spec.template.spec.securityContext.runAsNonRoot, true);
});
