/**
 * The `environment` of node commands. It is stored in the state, so it is an interface: a `destroy` by a newer release
 * reads what an older one wrote. Names may be added, never changed.
 */
import { createHash } from "node:crypto";
import * as z from "zod";
import type { NodeCode } from "../problems";
import type { SshCode } from "../ssh/problems";
import { freeName, objectName } from "../../support/names";
import { printable } from "../../support/text";

/** How a node's port 22 is reached. */
export const accessSchema = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("jumpbox"),
    /** kubeconfig context of the Supervisor. */
    context: freeName,
    namespace: objectName,
    pod: objectName,
    container: objectName,
  }),
  z.object({
    kind: z.literal("bastion"),
    host: z.string().min(1),
    port: z.number().int().min(1).max(65535),
    user: z.string().min(1),
    /** `SHA256:…` as OpenSSH prints it: the key that it must show. */
    hostKey: z.string().regex(/^SHA256:[A-Za-z0-9+/]{43}$/),
    /** A private key's path. Without it the operator's SSH agent is asked. */
    keyFile: z.string().min(1).optional(),
  }),
  z.object({ kind: z.literal("direct") }),
]);
export type Access = z.infer<typeof accessSchema>;

/** Where the SSH credentials are. The credentials themselves are never stored. */
export const sshKeySchema = z.discriminatedUnion("from", [
  z.object({
    /** Supervisor secret `<cluster>-ssh` (`ssh-privatekey`), or where that is absent `<cluster>-ssh-password`. */
    from: z.literal("supervisor"),
    context: freeName,
    namespace: objectName,
    cluster: objectName,
  }),
  z.object({ from: z.literal("file"), path: z.string().min(1) }),
]);
export type SshKeySource = z.infer<typeof sshKeySchema>;

const uid = z.string().regex(/^[0-9A-Za-z-]{1,64}$/, "is not a UID");

/** A SHA-256 in lower-case hex without colons. */
const sha256 = z.string().regex(/^[0-9a-f]{64}$/, "is not a SHA-256");

/**
 * The workload cluster in the Supervisor, which is asked whether a cluster that does not answer was deleted. What proves
 * that this cluster and this Supervisor are asked is absent where it could not be read, or an earlier release wrote it.
 */
export const clusterSchema = z.object({
  /** kubeconfig context of the Supervisor. */
  supervisor: freeName,
  namespace: objectName,
  name: objectName,
  /** The UIDs of the Supervisor's objects for the cluster. */
  uids: z.object({ clusters: uid.optional(), tanzukubernetesclusters: uid.optional() }).optional(),
  /** The UID of the cluster's namespace kube-system. */
  kubeSystem: uid.optional(),
  /** SHA-256 of each CA certificate that the kubeconfig believes for the Supervisor. */
  supervisorCa: z.array(sha256).min(1).optional(),
});
export type ClusterName = z.infer<typeof clusterSchema>;

/** Whether an unreachable node fails the run or is skipped. */
export const unreachablePolicies = ["fail", "skip"] as const;
export type UnreachablePolicy = (typeof unreachablePolicies)[number];

/**
 * Codes of errors for nodes that are reached and refuse the user. A removal can skip them like unreachable ones: a node
 * that is locked for good must not block `destroy`. An `up` cannot, since somebody has to know.
 */
export const refusalCodes: ReadonlySet<string> = new Set<NodeCode | SshCode>([
  "ssh-auth",
  "ssh-account",
  "node-sudo",
]);

/** Codes of errors for unreachable nodes. A node that refuses the key or shows another host key is reachable. */
export const unreachableCodes: ReadonlySet<string> = new Set<NodeCode | SshCode>([
  "ssh-timeout",
  "ssh-refused",
  "ssh-unreachable",
  "ssh-lost",
  "node-silent",
]);

/** Whether a node with this error is left as it is. */
export const isSkipped = (
  code: string,
  policy: { readonly unreachable: UnreachablePolicy; readonly skipRefusals?: boolean },
): boolean =>
  policy.unreachable === "skip" &&
  (unreachableCodes.has(code) || (policy.skipRefusals === true && refusalCodes.has(code)));

/** How nodes trust a registry: by the system's trust store, by containerd's folder for it, or whichever each can. */
export const trustModes = ["system", "certs.d", "auto"] as const;
export type TrustMode = (typeof trustModes)[number];

/** One certificate to be trusted for one registry. The PEM itself stays with the running program. */
export const trustedCertificateSchema = z.object({
  /** The registry it is trusted for: `host` or `host:port`, as in image names. */
  registry: z.string().regex(/^[0-9A-Za-z[][0-9A-Za-z.:[\]-]*$/, "is neither host nor host:port"),
  /** SHA-256 of the DER, lower-case hex without colons. */
  sha256,
});
export type TrustedCertificate = z.infer<typeof trustedCertificateSchema>;

/**
 * The node that a run does first, and that has to pull before any other node is touched. The state has it twice: with what
 * the run plans, and, in the same words, once the pull succeeded. Not the image, which may be a secret of the program.
 */
export const canarySchema = z.object({
  node: objectName,
  uid,
  /** Identifies what is to be proved: another value makes Pulumi pull again. */
  nonce: z.string().regex(/^[0-9A-Za-z-]{1,64}$/),
});
export type Canary = z.infer<typeof canarySchema>;

/** Whose the certificates on nodes are. */
export interface StackIdentity {
  /** `project.stack`, for people. It is the identity itself where there is no id. */
  readonly owner: string;
  /** A UUID made once for each set of nodes; undefined for stacks of releases that made none. */
  readonly id?: string | undefined;
}

/** A stack in a message: its readable name, and what tells it from others of that name. */
export const describeStack = ({ owner, id }: StackIdentity): string =>
  `the stack ${printable(owner, 63)} (${id === undefined ? "without an id" : `id ${printable(id, 63)}`})`;

/** How to connect to the nodes of a cluster. */
export interface NodeConnection {
  /** SSH port: 22 on every real node. */
  readonly port: number;
  readonly user: string;
  readonly access: Access;
  readonly sshKey: SshKeySource;
  /** kubeconfig context of the workload cluster, for waiting until a node is Ready. */
  readonly clusterContext: string;
  /** Undefined in states of releases that did not record it. */
  readonly cluster?: ClusterName | undefined;
}

/** The node that a command is for, and how to connect to it. */
export interface NodeTarget extends NodeConnection {
  /** The Node object's name. */
  readonly name: string;
  /** The Node object's UID: a rebuilt node has another. */
  readonly uid: string;
  /** `status.nodeInfo.machineID`, compared with `/etc/machine-id` before anything is touched. */
  readonly machineId: string;
  /** The node's host name, which is compared too where several nodes have one machine id. */
  readonly hostName?: string | undefined;
  /** InternalIP. */
  readonly address: string;
  /** `SHA256:…` as OpenSSH prints it, if the settings give it. Otherwise the key is trusted on first use. */
  readonly hostKey?: string | undefined;
  /** The host key that is noted on the Node object. It counts where neither the settings nor the state give one. */
  readonly notedKey?: string | undefined;
}

/** What names the stack in a Node's annotation: its id, or a digest of its name where an earlier release gave it none. */
export const pinName = ({
  owner,
  id,
}: {
  readonly owner: string;
  readonly id?: string | undefined;
}): string => id ?? createHash("sha256").update(owner).digest("hex").slice(0, 16);

/** The host key that the settings give for a node. `hasOwn`, since a node may be named `constructor`. */
export const pinOf = (hostKeys: Readonly<Record<string, string>>, name: string): string | undefined =>
  Object.hasOwn(hostKeys, name) ? hostKeys[name] : undefined;

/**
 * The host names that are to be compared, by node name: of nodes that share their machine id with another one, as
 * machines of one cloned image may.
 */
export function sharedMachineIds(
  nodes: readonly { readonly name: string; readonly machineId: string; readonly hostName: string }[],
): ReadonlyMap<string, string> {
  const isShared = (id: string): boolean => nodes.filter(({ machineId }) => machineId === id).length > 1;
  return new Map(
    nodes.flatMap(({ name, machineId, hostName }) => (isShared(machineId) ? [[name, hostName]] : [])),
  );
}

/** All variables that a node command may be given; script/client.sh has them too. */
export const nodeVariables = [
  "TKC_REGISTRY_NODE",
  "TKC_REGISTRY_NODE_UID",
  "TKC_REGISTRY_NODE_MACHINE_ID",
  "TKC_REGISTRY_NODE_HOST_NAME",
  "TKC_REGISTRY_NODE_ADDRESS",
  "TKC_REGISTRY_NODE_PORT",
  "TKC_REGISTRY_NODE_USER",
  "TKC_REGISTRY_ACCESS",
  "TKC_REGISTRY_SSH_KEY",
  "TKC_REGISTRY_CLUSTER_CONTEXT",
  "TKC_REGISTRY_CLUSTER",
  "TKC_REGISTRY_HOST_KEY",
  "TKC_REGISTRY_OWNER",
  "TKC_REGISTRY_ID",
  "TKC_REGISTRY_READY_TIMEOUT",
  "TKC_REGISTRY_SCRIPT_SHA256",
  "TKC_REGISTRY_TRUST",
  "TKC_REGISTRY_TRUST_BY",
  "TKC_REGISTRY_NONCE",
  "TKC_REGISTRY_CA",
  "TKC_REGISTRY_CANARY",
  "PULUMI_COMMAND_STDOUT",
] as const;

/** Values that a command's environment leaves out: a small state matters, as the engine writes all of it at each step. */
export const defaults = {
  port: 22,
  user: "vmware-system-user",
  readyTimeout: 300,
  trustMode: "system",
} as const;

/** The environment of a node command. All keys begin with `TKC_REGISTRY_`. */
export type NodeEnvironment = Record<`TKC_REGISTRY_${string}`, string>;

/** Writes a connection as a command's environment. */
export function connectionEnvironment(connection: NodeConnection): NodeEnvironment {
  return {
    ...(connection.port === defaults.port ? {} : { TKC_REGISTRY_NODE_PORT: String(connection.port) }),
    ...(connection.user === defaults.user ? {} : { TKC_REGISTRY_NODE_USER: connection.user }),
    TKC_REGISTRY_ACCESS: JSON.stringify(connection.access),
    TKC_REGISTRY_SSH_KEY: JSON.stringify(connection.sshKey),
    TKC_REGISTRY_CLUSTER_CONTEXT: connection.clusterContext,
    ...(connection.cluster === undefined ? {} : { TKC_REGISTRY_CLUSTER: JSON.stringify(connection.cluster) }),
  };
}

/** Writes a target as a command's environment. */
export function nodeEnvironment(target: NodeTarget): NodeEnvironment {
  return {
    TKC_REGISTRY_NODE: target.name,
    TKC_REGISTRY_NODE_UID: target.uid,
    TKC_REGISTRY_NODE_MACHINE_ID: target.machineId,
    ...(target.hostName === undefined ? {} : { TKC_REGISTRY_NODE_HOST_NAME: target.hostName }),
    TKC_REGISTRY_NODE_ADDRESS: target.address,
    ...connectionEnvironment(target),
    ...(target.hostKey === undefined ? {} : { TKC_REGISTRY_HOST_KEY: target.hostKey }),
  };
}
