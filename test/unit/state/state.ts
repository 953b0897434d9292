/** Exported states for the tests of `npm run verify`. */
import { formatReport } from "../../../nodes/protocol/report";
import type { RecordedNode } from "../../../state/previousState";
import { type NodeTarget, nodeEnvironment } from "../../../nodes/protocol/spec";

export const hostKey = `SHA256:${"A".repeat(43)}`;
export const harbor = { registry: "harbor.example:8443", sha256: "a".repeat(64) };
export const owner = "tkc-registry.dev";

export const target = (change: Partial<NodeTarget> = {}): NodeTarget => ({
  name: "w1",
  uid: "uid-w1",
  machineId: "0123456789abcdef0123456789abcdef",
  address: "10.0.0.1",
  port: 22,
  user: "vmware-system-user",
  access: { kind: "direct" },
  sshKey: { from: "supervisor", context: "ns1", namespace: "ns1", cluster: "tkc-cluster-1" },
  clusterContext: "tkc-cluster-1",
  ...change,
});

/** What a state holds of a node that is in order. */
export const recordedNode = (change: Partial<RecordedNode> = {}): RecordedNode => ({
  ...{ uid: "uid", hostKey: undefined, nonce: "recorded", skipped: false, former: undefined },
  ...{ command: { create: undefined, delete: undefined, environment: {} }, certificates: [] },
  ...{ report: "", settled: true },
  ...change,
});

interface ResourceOptions {
  readonly inputs?: unknown;
  readonly outputs?: unknown;
  readonly delete?: boolean;
}

export const resource = (type: string, name: string, more: ResourceOptions = {}) => ({
  urn: `urn:pulumi:dev::tkc-registry::${type}::${name}`,
  custom: true,
  type,
  ...more,
});

export const caStdout = (node: NodeTarget, key = hostKey, certificates = [harbor]): string =>
  formatReport({
    version: "1",
    report: "ca",
    node: node.name,
    uid: node.uid,
    hostKey: key,
    os: "photon",
    sha256: certificates.map(({ sha256 }) => sha256),
    alsoTrustedBy: [],
    nonce: "of-the-run",
  });

/** A node's two commands, as the engine keeps them. */
export const nodeResources = (
  node: NodeTarget,
  {
    certificates = [harbor],
    key = hostKey,
    id,
  }: { certificates?: (typeof harbor)[]; key?: string; id?: string } = {},
) => {
  const stdout = caStdout(node, key, certificates);
  const environment = {
    ...nodeEnvironment(node),
    TKC_REGISTRY_OWNER: owner,
    ...(id === undefined ? {} : { TKC_REGISTRY_ID: id }),
    TKC_REGISTRY_TRUST: JSON.stringify(certificates),
    TKC_REGISTRY_SCRIPT_SHA256: "0".repeat(64),
    TKC_REGISTRY_NONCE: "of-the-installation",
  };
  return [
    resource("tkc-registry:index:TrustedNode", node.name),
    resource("command:local:Command", `${node.name}-ca`, {
      inputs: { create: "…", environment },
      outputs: { environment, stdout },
    }),
    resource("command:local:Command", `${node.name}-containerd`, {
      inputs: { create: "…", environment: { TKC_REGISTRY_CA: stdout } },
      outputs: {},
    }),
  ];
};

export const registriesOutput = (notAfter: string, certificates = [harbor]) =>
  certificates.map(({ registry, sha256 }) => ({
    host: registry,
    source: "file ca.crt",
    certificates: [{ subject: `CN=CA of ${registry}`, sha256, notAfter }],
  }));

export const stackResource = (outputs: unknown) =>
  resource("pulumi:pulumi:Stack", "tkc-registry-dev", { outputs });

/** What pulumi writes where a value is secret. */
export const encrypted = {
  "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
  ciphertext: "v1:x:y",
};

export const exported = (resources: readonly unknown[], more: object = {}) => ({
  version: 3,
  deployment: { manifest: {}, resources, ...more },
});

export const ids = ["5d1b5d2e-0f0c-4d6f-9a3e-2f7c1b1f0a11", "00000000-0000-4000-8000-000000000002"];

/** Labels of an object that a set of nodes has. */
export const labels = (id: string) => ({
  "app.kubernetes.io/managed-by": "tkc-registry",
  "tkc-registry/stack": owner,
  "tkc-registry/id": id,
});

/** What a program's `RegistryTrust` has in the state, with one node. */
export const setResources = (
  name: string,
  id: string,
  node: NodeTarget,
  {
    certificates = [harbor],
    key = hostKey,
    notAfter = "2027-01-01T00:00:00.000Z",
  }: { certificates?: (typeof harbor)[]; key?: string; notAfter?: string } = {},
) => [
  resource("tkc-registry:index:RegistryTrust", name, {
    outputs: { registries: registriesOutput(notAfter, certificates) },
  }),
  resource("command:local:Command", `${name}-identity`, { inputs: {}, outputs: { stdout: id } }),
  resource("tkc-registry:index:TrustedNodes", name, { inputs: { script: {}, certificates } }),
  resource("command:local:Command", `${name}-sweep`, {
    inputs: { environment: { TKC_REGISTRY_OWNER: owner, TKC_REGISTRY_ID: id } },
  }),
  ...nodeResources(node, { certificates, key, id }),
];
