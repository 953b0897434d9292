/** The state of the running stack as the previous run left it, read through the engine. */
import * as pulumi from "@pulumi/pulumi";
import * as z from "zod";
import { readRecordedCluster, readTrust } from "../nodes/protocol/environment";
import { parseCaReport, parseContainerdReport } from "../nodes/protocol/report";
import type { ClusterName, TrustedCertificate } from "../nodes/protocol/spec";
import type { RegistryHost } from "../registry/types";
import { UserError } from "../support/errors";
import { idLabel } from "../support/names";
import {
  type RecordedCanary,
  type RecordedIdentity,
  commandOf,
  environmentOf,
  formerOwner,
  identityOf,
  nameOf,
  objectRecord,
  readIdentities,
  readRecordedCanary,
  replacedUid,
  resourceTypes,
  stdoutOf,
  trustedNodesRecord,
  unreadableState,
} from "./records";

/** What the state holds of a node. */
export interface RecordedNode {
  readonly uid: string;
  /** The host key that it showed, `SHA256:…`; undefined where it was never reached. */
  readonly hostKey: string | undefined;
  /** The nonce of its last installation. */
  readonly nonce: string;
  /** Whether it could not be reached, and was skipped, before it was done. */
  readonly skipped: boolean;
  /** The owner under which a release that made no ids installed it. */
  readonly former: string | undefined;
  /** Its command, as the state has it. */
  readonly command: {
    readonly create: string | undefined;
    readonly delete: string | undefined;
    readonly environment: Readonly<Record<string, string>>;
  };
  /** What it was to trust; nothing where that cannot be read. */
  readonly certificates: readonly TrustedCertificate[];
  /** What its installation printed. */
  readonly report: string;
  /** Whether its containerd was looked after since that installation. */
  readonly settled: boolean;
}

/** A Kubernetes object that the state holds. */
export interface RecordedObject {
  /** `Pod`, `Secret`, `Deployment`. */
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/** The jumpbox pod that the state holds. */
export interface RecordedPod extends RecordedObject {
  /** The UID of the pod that it was made in place of. */
  readonly replaces: string | undefined;
}

/** Which part of a state is asked for: a set of nodes, with what was made for it. */
export interface NodeSet {
  /** The set's name, and those that earlier runs gave it. */
  readonly names: readonly string[];
  /** Whether it is the only one of the stack: then all that the state has is of it. */
  readonly alone: boolean;
}

/** What the state held of a set of nodes when this run began. */
export interface PreviousState {
  /** The set's own identity; undefined before its first run. */
  readonly identity: RecordedIdentity | undefined;
  readonly canary: RecordedCanary;
  /** The stack's own jumpbox pod. */
  readonly jumpbox: RecordedPod | undefined;
  /** What the stack has in workload clusters, of all sets. */
  readonly objects: readonly RecordedObject[];
  /** By node name. */
  readonly nodes: ReadonlyMap<string, RecordedNode>;
  /** Of each set of nodes, by its name. */
  readonly identities: ReadonlyMap<string, RecordedIdentity>;
  /** The set's workload cluster, with what proves it: several where a run was cut off that took up another one. */
  readonly clusters: readonly ClusterName[];
  /** SHA-256 of the certificates that nodes were to trust, by registry. */
  readonly trusted: ReadonlyMap<RegistryHost, readonly string[]>;
}

const resources = z.record(z.string(), z.object({ type: z.string(), outputs: z.unknown() }));
const objectTypes: ReadonlySet<string> = new Set([resourceTypes.secret, resourceTypes.deployment]);

/** Unreadable output does not fail the run: the node is then installed as a new one. */
function unlessUnreadable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

/**
 * Parses the engine's answer: the stack's resources by URN.
 *
 * @throws UserError `state-unreadable`
 */
export function readPreviousState(answer: unknown, { names, alone }: NodeSet): PreviousState {
  const parsed = resources.safeParse(answer);
  if (!parsed.success) {
    throw unreadableState("the stack's state", "what the engine says of it is not understood", "engine");
  }
  const commands = Object.entries(parsed.data)
    .filter(([, { type }]) => type === resourceTypes.command)
    .map(([urn, { outputs }]) => ({ urn, inputs: outputs, outputs }));
  const identities = readIdentities(commands);
  const identity = identityOf(identities, names);
  const isOfSet = (id: unknown): boolean => alone || (id !== undefined && id === identity?.id);
  const nodes = new Map<string, RecordedNode>();
  const notRestarted = new Set<string>();
  const settled = new Set<string>();
  const objects: RecordedObject[] = [];
  const ofNodes = new Map<RegistryHost, Set<string>>();
  let ofStack: Map<RegistryHost, Set<string>> | undefined;
  let jumpbox: RecordedPod | undefined;
  const clusters = new Map<string, ClusterName>();
  let canary: RecordedCanary = {};
  for (const [urn, { type, outputs }] of Object.entries(parsed.data)) {
    if (type === resourceTypes.command) {
      canary = { ...canary, ...readRecordedCanary({ urn, outputs }, names) };
      const environment = environmentOf(outputs);
      if (!isOfSet(environment["TKC_REGISTRY_ID"])) continue;
      const { TKC_REGISTRY_NONCE: nonce, TKC_REGISTRY_CA: ca } = environment;
      const stdout = stdoutOf(outputs) ?? "";
      const certificates = unlessUnreadable(() => readTrust(environment).certificates) ?? [];
      const installed = nonce === undefined ? undefined : unlessUnreadable(() => parseCaReport(stdout));
      if (installed && nonce !== undefined) {
        const { node, uid, hostKey } = installed;
        const former = formerOwner(environment);
        nodes.set(node, {
          ...{ uid, hostKey, nonce, skipped: "skipped" in installed, former, certificates },
          ...{ command: commandOf(outputs), report: stdout, settled: false },
        });
      }
      const cluster = unlessUnreadable(() => readRecordedCluster(environment));
      if (cluster) clusters.set(JSON.stringify(cluster), cluster);
      addCertificates(ofNodes, certificates);
      const loaded = ca === undefined ? undefined : unlessUnreadable(() => parseContainerdReport(stdout));
      if (loaded && "skipped" in loaded) notRestarted.add(loaded.uid);
      if (ca !== undefined) settled.add(ca);
    } else if (type === resourceTypes.nodes) {
      const found = trustedNodesRecord.safeParse(outputs).data;
      if (found && (alone || names.includes(nameOf(urn))))
        ofStack = addCertificates(new Map(), found.certificates);
    } else if (type === resourceTypes.pod || objectTypes.has(type)) {
      const found = objectRecord.safeParse(outputs).data;
      if (!found) continue;
      const { labels, ...metadata } = found.metadata;
      const object: RecordedObject = { kind: found.kind, ...metadata };
      if (type !== resourceTypes.pod) objects.push(object);
      else if (isOfSet(labels?.[idLabel])) jumpbox = { ...object, replaces: replacedUid(outputs) };
    }
  }
  for (const [name, node] of nodes) {
    const skipped = node.skipped || notRestarted.has(node.uid);
    nodes.set(name, { ...node, skipped, settled: settled.has(node.report) });
  }
  // An interrupted run may have changed nodes before it registered the certificates of the stack.
  const trusted = [...(ofStack ?? ofNodes)].map(([registry, sha256]) => [registry, [...sha256]] as const);
  return {
    ...{ canary, jumpbox, objects, nodes, identity, identities, clusters: [...clusters.values()] },
    trusted: new Map(trusted),
  };
}

function addCertificates(
  to: Map<RegistryHost, Set<string>>,
  more: readonly TrustedCertificate[],
): Map<RegistryHost, Set<string>> {
  for (const { registry, sha256 } of more) to.set(registry, (to.get(registry) ?? new Set()).add(sha256));
  return to;
}

/** Asks the engine for what the state of the running stack has of a set of nodes, as the previous run left it. */
export async function previousState(set: NodeSet): Promise<PreviousState> {
  const stackName = `${pulumi.getOrganization()}/${pulumi.getProject()}/${pulumi.getStack()}`;
  // What `StackReference` asks for is the stack's outputs, which a run that failed has not set.
  const { outputs } = (await pulumi.runtime.invoke("pulumi:pulumi:readStackResourceOutputs", {
    stackName,
  })) as { outputs: unknown };
  return readPreviousState(outputs, set);
}
