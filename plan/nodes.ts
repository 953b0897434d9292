/** Plans the nodes: discovers them, compares them with the state, and inspects them. */
import type { TrustSettings } from "../config/settings";
import type { ExcludedNode } from "../kubernetes/selection";
import type { ClusterNode } from "../kubernetes/types";
import { type Observation, inspectNodes } from "../nodes/operations/inspection";
import {
  type NodeTarget,
  type NodeConnection,
  type UnreachablePolicy,
  isSkipped,
  pinOf,
  sharedMachineIds,
} from "../nodes/protocol/spec";
import type { Credentials } from "../nodes/ssh/endpoint";
import { needsPin, passwordUnpinned } from "../nodes/ssh/failures";
import type { SessionPool } from "../nodes/ssh/pool";
import type { PreviousState, RecordedNode } from "../state/previousState";
import type { RecordedIdentity } from "../state/records";
import { type Problem, UserError, describeProblem } from "../support/errors";
import { counted } from "../support/text";
import { changeOf, nonceOf, repeatedReport } from "./drift";
import { leaves } from "./excluded";
import { type Installation, type NodeCommand, type RemovalArgs, nodeCommand } from "./nodeCommand";
import { type Turn, turnsOf } from "./lanes";
import { type NodeChange, reason } from "./reasons";

/** One of the nodes that are to trust the registries. */
export interface NodePlan {
  /** The node as the workload cluster's API shows it. */
  readonly node: ClusterNode;
  /** How to connect to it. */
  readonly target: NodeTarget;
  /** The host key that it must show, if any is known. */
  readonly hostKey?: string | undefined;
  /** Identifies the installation. A changed nonce makes Pulumi install again. */
  readonly nonce: string;
  /** What it runs there, and with what. */
  readonly command: NodeCommand;
  /** What the run does to the node, why, and when. */
  readonly change: NodeChange;
  /** What its command is going to print again, where that is known. */
  readonly repeats: string | undefined;
  /** The owner under which a release that made no ids recorded what this stack has on the node. */
  readonly former?: string | undefined;
}

/** What is to be done on a node, once it has answered. */
type Decision = Pick<NodePlan, "nonce" | "change" | "repeats">;

/** A node that is being asked. */
export interface AskedNode extends Omit<NodePlan, keyof Decision> {
  readonly decision: Promise<Decision>;
}

/**
 * Each node with its connection.
 *
 * @param stack - The stack's name on Node objects.
 */
export function nodeTargets(
  nodes: readonly ClusterNode[],
  settings: TrustSettings,
  connection: NodeConnection,
  stack: string,
): NodeTarget[] {
  const shared = sharedMachineIds(nodes);
  return nodes.map(({ name, uid, machineId, address, pins }) => ({
    ...{ name, uid, machineId, hostName: shared.get(name), address, ...connection },
    ...{ hostKey: pinOf(settings.nodes.hostKeys, name), notedKey: pins[stack] },
  }));
}

/** The host key that the node must show, if any is known: from the settings, from the state, or from the Node object. */
const pinnedKey = (target: NodeTarget, previous: PreviousState): string | undefined =>
  target.hostKey ?? recordOf(previous, target)?.hostKey ?? target.notedKey;

/**
 * Refuses nodes that a password would be sent to before they have proved who they are.
 *
 * @throws UserError with a problem (`ssh-password-unpinned`) for each.
 */
export function checkPasswords(
  targets: readonly NodeTarget[],
  previous: PreviousState,
  credentials: Credentials,
): void {
  const [first, ...rest] = targets
    .filter((target) => needsPin({ credentials, hostKey: pinnedKey(target, previous) }))
    .map(({ name }) => passwordUnpinned(name));
  if (first) throw new UserError(first, ...rest);
}

/** The state's record of this node. A node with the same name and another UID is new. */
function recordOf(
  { nodes }: PreviousState,
  { name, uid }: { name: string; uid: string },
): RecordedNode | undefined {
  const recorded = nodes.get(name);
  return recorded?.uid === uid ? recorded : undefined;
}

/**
 * Under which former owner a node may have a record of this stack: one of a release that made no ids, or one that such a
 * release made and did not live to put into the state. A node that joins after all others were taken over has none: a
 * record of that name there is another stack's, which such a release still runs.
 */
function formerOf(
  recorded: RecordedNode | undefined,
  identity: RecordedIdentity | undefined,
  { nodes }: PreviousState,
): string | undefined {
  if (recorded) return recorded.former ?? (recorded.skipped ? identity?.former : undefined);
  const underWay =
    identity?.id === undefined || [...nodes.values()].some(({ former }) => former !== undefined);
  return underWay ? identity?.former : undefined;
}

/** Inspects the nodes. A new node has nothing to report, but its session is open when the installation needs it. */
export function inspect(
  targets: readonly NodeTarget[],
  previous: PreviousState,
  options: {
    readonly owner: string;
    readonly identity: RecordedIdentity | undefined;
    readonly sessions: SessionPool;
  },
): ReadonlyMap<string, Promise<Observation>> {
  const { owner, identity, sessions } = options;
  const inspected = targets.map((target) => {
    const former = formerOf(recordOf(previous, target), identity, previous);
    return {
      target,
      hostKey: pinnedKey(target, previous),
      // Without an id, the owner is the identity: after a renaming, the one that it was.
      ...(identity?.id === undefined
        ? { stack: { owner: former ?? owner } }
        : { stack: { owner, id: identity.id }, former }),
    };
  });
  return inspectNodes(inspected, { inSession: sessions.use });
}

/**
 * What is to be done on each node, and why.
 *
 * @param observed - Observations by node name; undefined if nodes are not inspected.
 */
export function planNodes(
  targets: readonly NodeTarget[],
  nodes: readonly ClusterNode[],
  previous: PreviousState,
  observed: ReadonlyMap<string, Promise<Observation>> | undefined,
  wanted: {
    readonly installation: Installation;
    readonly unreachable: UnreachablePolicy;
    readonly identity: RecordedIdentity | undefined;
  },
): readonly AskedNode[] {
  const { installation, unreachable, identity } = wanted;
  return nodes.map((node, index) => {
    const { name, uid } = node;
    const recorded = recordOf(previous, node);
    const target = targets[index]!;
    const hostKey = pinnedKey(target, previous);
    const command = nodeCommand(target, installation);
    const to = { ...installation, unreachable, command, id: identity?.id, pinned: hostKey !== undefined };
    const replaces = recorded === undefined && previous.nodes.has(name);
    const known = (answer: Observation | undefined) => ({ name, uid, recorded, replaces, observed: answer });
    return {
      ...{ node, target, hostKey, command, former: formerOf(recorded, identity, previous) },
      decision: Promise.resolve(observed?.get(name)).then((seen) => ({
        // A new node is installed whatever it reports.
        nonce: nonceOf(known(recorded ? seen : undefined), to),
        change: changeOf(known(seen), to),
        repeats: repeatedReport(known(seen), to),
      })),
    };
  });
}

/** Adds to what is done to nodes when it is the turn of each. */
export function withTurns(
  nodes: readonly NodePlan[],
  order: readonly Turn<ClusterNode>[],
): readonly NodePlan[] {
  const touched = new Set(nodes.flatMap(({ change }) => (change.action === "install" ? change.node : [])));
  const turns = turnsOf(order, (name) => touched.has(name));
  return nodes.map((plan) => {
    const { name, role } = plan.node;
    const turn = turns.get(name);
    return { ...plan, change: { ...plan.change, role, ...(turn === undefined ? {} : { turn }) } };
  });
}

/** Nodes that the stack has, and that the cluster has no longer or the settings leave out. */
export function goneNodes(
  nodes: readonly ClusterNode[],
  excluded: readonly ExcludedNode[],
  previous: PreviousState,
  { restart }: RemovalArgs,
): readonly NodeChange[] {
  return [...previous.nodes.keys()]
    .filter((name) => !nodes.some((node) => node.name === name))
    .sort()
    .map((node): NodeChange => {
      const leaving = excluded.find((each) => each.name === node && leaves(each, previous));
      return leaving
        ? {
            ...{ node, action: "remove", restart },
            reasons: [reason("excluded", { text: `it is left out by ${leaving.by}` })],
          }
        : { node, reasons: [reason("no-longer-in-cluster")], action: "none", restart: false };
    });
}

/** How many nodes there are, of which role and system: `5 nodes (1 control plane, 4 workers): VMware Photon OS/Linux`. */
export function nodesFact(nodes: readonly ClusterNode[]): string {
  const workers = nodes.filter(({ role }) => role === "worker").length;
  const systems = [...new Set(nodes.map(({ osImage }) => osImage))].sort().join(", ");
  return `${counted(nodes.length, "node")} (${nodes.length - workers} control plane, ${counted(workers, "worker")}): ${systems}`;
}

/** Nodes that the stack has and the cluster no longer: their `ca remove` has nothing to do. */
export function goneFacts(changes: readonly NodeChange[]): readonly string[] {
  const gone = changes.filter(({ action }) => action === "none");
  return gone.length > 0
    ? [
        `no longer in the cluster, so that nothing is removed from ${gone.length === 1 ? "it" : "them"}: ${gone.map(({ node }) => node).join(", ")}`,
      ]
    : [];
}

/** The warning of a node that did not answer, with what it means for the run. */
export function silenceWarning(problem: Problem, unreachable: UnreachablePolicy): string {
  const { code, remedy } = problem;
  if (isSkipped(code, { unreachable })) return `skipped: ${describeProblem(problem)}`;
  const skip = isSkipped(code, { unreachable: "skip" })
    ? ", unless `unreachableNodes: skip` (for one run TKC_REGISTRY_UNREACHABLE_NODES=skip) leaves it as it is"
    : "";
  return describeProblem({
    ...problem,
    remedy: `${remedy}. Until then \`pulumi up\` fails at this node${skip}`,
  });
}

/** A warning where Pulumi works on fewer resources at once than the settings allow workers. */
export function parallelWarnings(
  nodes: readonly ClusterNode[],
  { nodes: { workersAtOnce }, setting }: TrustSettings,
  parallel: number | undefined,
): readonly string[] {
  const workers = nodes.filter((node) => node.role === "worker").length;
  const atOnce = Math.min(workersAtOnce, workers);
  return parallel !== undefined && atOnce > parallel
    ? [
        `${setting("nodes.workersAtOnce")} allows ${counted(atOnce, "worker")} at once; Pulumi's --parallel caps them at ${parallel}`,
      ]
    : [];
}

/** A warning where several nodes have one machine id, as machines of one cloned image may: it proves no node alone. */
export function cloneWarnings(nodes: readonly ClusterNode[]): readonly string[] {
  const shared = sharedMachineIds(nodes);
  const clones = new Map<string, string[]>();
  for (const { name, machineId } of nodes)
    if (shared.has(name)) clones.set(machineId, [...(clones.get(machineId) ?? []), name]);
  return [...clones].map(
    ([machineId, names]) =>
      `${names.join(", ")} have one machine id (${machineId}), so each is told by its host name too: empty /etc/machine-id in the image that they were cloned from`,
  );
}

/** Words of the warning that a run does not see what was changed on nodes. */
export const notAskedWords = "the nodes were not asked what they trust";

/** Host keys of no node, nodes that were not asked, and nodes that are not Ready. */
export function nodeWarnings(
  nodes: readonly ClusterNode[],
  { nodes: { hostKeys, inspect }, setting }: TrustSettings,
  previous: PreviousState,
  { asked, excluded }: { readonly asked: boolean; readonly excluded: readonly ExcludedNode[] },
): readonly string[] {
  const listed = [...nodes, ...excluded];
  const unknown = Object.keys(hostKeys).filter((host) => !listed.some(({ name }) => name === host));
  const notReady = nodes.filter((node) => !node.ready).map((node) => node.name);
  return [
    ...(unknown.length > 0
      ? [`${setting("nodes.hostKeys")} names no node of the cluster: ${unknown.join(", ")}`]
      : []),
    ...(inspect && !asked && previous.nodes.size > 0
      ? [`${notAskedWords}: the jumpbox pod is not running yet`]
      : []),
    ...(notReady.length > 0 ? [`not Ready at the moment: ${notReady.join(", ")}`] : []),
  ];
}
