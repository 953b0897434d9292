/** The nodes: which there are, what the state has of them, and what they say of themselves. */
import type { Settings } from "../config/settings";
import type { KubeContext } from "../kubernetes/client";
import { checkSystems, discoverNodes } from "../kubernetes/nodes";
import type { ClusterNode } from "../kubernetes/types";
import { type Observation, inspectNodes } from "../nodes/operations/inspection";
import {
  type NodeTarget,
  type NodeConnection,
  type TrustedCertificate,
  type UnreachablePolicy,
  pinOf,
} from "../nodes/protocol/spec";
import type { SessionPool } from "../nodes/ssh/pool";
import type { PreviousState, RecordedNode } from "../state/previousState";
import { nonceOf } from "./drift";

/** One of the nodes that are to trust the registries. */
export interface NodePlan {
  /** The node as the workload cluster's API shows it. */
  readonly node: ClusterNode;
  /** The way to it. */
  readonly target: NodeTarget;
  /** Names its installation: with another one than last time the node is looked after. */
  readonly nonce: string | Promise<string>;
}

/**
 * The cluster's nodes.
 *
 * @throws UserError where there are none, or one is of a system that is not supported.
 */
export async function findNodes(cluster: KubeContext): Promise<readonly ClusterNode[]> {
  const found = await discoverNodes(cluster);
  checkSystems(found);
  return found;
}

/** Each node with the route to it. */
export function nodeTargets(
  nodes: readonly ClusterNode[],
  settings: Settings,
  connection: NodeConnection,
): NodeTarget[] {
  return nodes.map(({ name, uid, machineId, address }) => ({
    ...{ name, uid, machineId, address, ...connection },
    hostKey: pinOf(settings.nodes.hostKeys, name),
  }));
}

/** What the state holds of this very node: another of the same name is a new one. */
function recordOf(
  { nodes }: PreviousState,
  { name, uid }: { name: string; uid: string },
): RecordedNode | undefined {
  const recorded = nodes.get(name);
  return recorded?.uid === uid ? recorded : undefined;
}

/** What the nodes say of themselves. A new one has nothing to say yet, but its session is then there when it is needed. */
export function inspect(
  targets: readonly NodeTarget[],
  previous: PreviousState,
  options: { readonly owner: string; readonly sessions: SessionPool },
): ReadonlyMap<string, Promise<Observation>> {
  const inspected = targets.map((target) => ({
    target,
    hostKey: target.hostKey ?? recordOf(previous, target)?.hostKey,
  }));
  return inspectNodes(inspected, { owner: options.owner, inSession: options.sessions.use });
}

/**
 * What is to be done on each node.
 *
 * @param observed - What nodes say, by name; undefined where they are not asked.
 */
export function planNodes(
  targets: readonly NodeTarget[],
  nodes: readonly ClusterNode[],
  previous: PreviousState,
  observed: ReadonlyMap<string, Promise<Observation>> | undefined,
  wanted: { readonly certificates: readonly TrustedCertificate[]; readonly unreachable: UnreachablePolicy },
): readonly NodePlan[] {
  return nodes.map((node, index) => {
    const before = recordOf(previous, node);
    const answer = observed?.get(node.name);
    // What a new node says makes no difference: it is installed.
    const nonce =
      answer && before
        ? answer.then((observation) => nonceOf(node.uid, before, observation, wanted))
        : nonceOf(node.uid, before, undefined, wanted);
    return { node, target: targets[index]!, nonce };
  });
}

/** How many nodes there are, of which role and system: `5 nodes (1 control plane, 4 workers): VMware Photon OS/Linux`. */
export function nodesFact(nodes: readonly ClusterNode[]): string {
  const workers = nodes.filter(({ role }) => role === "worker").length;
  const systems = [...new Set(nodes.map(({ osImage }) => osImage))].sort().join(", ");
  return `${nodes.length} nodes (${nodes.length - workers} control plane, ${workers} workers): ${systems}`;
}

/** A warning where Pulumi works on fewer resources at once than the settings allow workers. */
export function parallelWarnings(
  nodes: readonly ClusterNode[],
  { nodes: { workersAtOnce } }: Settings,
  parallel: number | undefined,
): readonly string[] {
  const workers = nodes.filter((node) => node.role === "worker").length;
  const atOnce = Math.min(workersAtOnce, workers);
  return parallel !== undefined && atOnce > parallel
    ? [`nodes.workersAtOnce allows ${atOnce} workers at once; Pulumi's --parallel caps them at ${parallel}`]
    : [];
}

/** Host keys of no node, nodes that were not asked, and nodes that are not Ready. */
export function nodeWarnings(
  nodes: readonly ClusterNode[],
  { nodes: { hostKeys, inspect } }: Settings,
  previous: PreviousState,
  asked: boolean,
): readonly string[] {
  const unknown = Object.keys(hostKeys).filter((host) => !nodes.some((node) => node.name === host));
  const notReady = nodes.filter((node) => !node.ready).map((node) => node.name);
  return [
    ...(unknown.length > 0 ? [`nodes.hostKeys names no node of the cluster: ${unknown.join(", ")}`] : []),
    ...(inspect && !asked && previous.nodes.size > 0
      ? ["the nodes were not asked what they trust: the jumpbox pod is not running yet"]
      : []),
    ...(notReady.length > 0 ? [`not Ready at the moment: ${notReady.join(", ")}`] : []),
  ];
}
