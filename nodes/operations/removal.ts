/** Removes the stack's certificates from nodes. At `destroy` no program runs, so all input comes from the state. */
import pLimit from "p-limit";
import { isKnownSystem } from "../../kubernetes/nodes";
import { type ListedNode, leftOutBy } from "../../kubernetes/selection";
import type { ClusterNode } from "../../kubernetes/types";
import { UserError, allChecks } from "../../support/errors";
import {
  type CommandInput,
  type Environment,
  type SweepInput,
  pinnedHostKey,
  readCommandInput,
  readSweepInput,
} from "../protocol/environment";
import type { ScriptSuccess } from "../protocol/report";
import {
  type ClusterName,
  type NodeConnection,
  type NodeTarget,
  describeStack,
  pinName,
  pinOf,
  sharedMachineIds,
} from "../protocol/spec";
import type { Session } from "../ssh/session";
import { inTurn } from "./controlPlane";
import { identity, runOnNode } from "./node";
import { type OperationContext, keepingPin, onNode, told } from "./operations";
import { waitReady } from "./ready";

/** What a removal is given besides its input. */
export interface RemovalContext extends OperationContext {
  /** Whether to restart a containerd that has loaded the certificates after they are removed. */
  readonly restart: boolean;
  /** Lists the workload cluster's nodes, given its context: those that are meant. Nothing else is read of the others. */
  readonly listNodes: (
    clusterContext: string,
    isMeant?: (node: ListedNode) => boolean,
  ) => Promise<readonly ClusterNode[]>;
  /**
   * Proves that the context leads to the recorded cluster, before anything that it says is believed.
   *
   * @returns `gone` where the recorded Supervisor says that the recorded cluster is gone, or replaced.
   * @throws UserError where neither can be proved: the cluster may still exist.
   */
  readonly proveCluster: (
    clusterContext: string,
    cluster: ClusterName | undefined,
  ) => Promise<"there" | "gone">;
}

/** Unreadable output of the last run must not block a removal for ever: the machine id identifies the node too. */
function pinForRemoval(
  environment: Environment,
  target: NodeTarget,
  { log }: OperationContext,
): string | undefined {
  try {
    return pinnedHostKey(environment, target);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    log(`${target.name}: the report of its host key cannot be read: ${error.message}`);
    return target.notedKey;
  }
}

/** A removal begins no trust: that it is in the right place is proved without the key. */
const unknownKey = (hostKey: string): string =>
  `its host key is not known, and it shows ${hostKey}: that this is the node is proved by its machine id`;

/** How a removal from one node goes. */
interface RemovalOptions {
  readonly controlPlane: boolean;
  /** Whether to wait until the node is Ready, given whether anything was removed. */
  readonly ready: (removed: boolean) => boolean;
  /** Is given the session, for its host key. */
  readonly saw: (session: Session) => void;
  /** Whether files with our prefix that no record claims are removed, too. */
  readonly unclaimed?: boolean;
  /** Whether it is said too that there was nothing to remove. */
  readonly tellsNothing?: boolean;
}

/**
 * @returns Whether anything was removed; `undefined` for a skipped node.
 */
async function removeFromNode(
  input: CommandInput,
  hostKey: string | undefined,
  context: RemovalContext,
  { controlPlane, ready, saw, unclaimed = false, tellsNothing = false }: RemovalOptions,
): Promise<boolean | undefined> {
  const { target, readyTimeout } = input;
  const { restart } = context;
  const log = (message: string): void => context.log(told(message, target));
  const left = "our CA, if it is there, stays on it";
  return await inTurn(input, controlPlane && restart, context, async (turn) => {
    const remove = async (session: Session): Promise<ScriptSuccess> => {
      saw(session);
      await turn.begin();
      const { former } = input;
      return await runOnNode(session, { op: "remove", restart, former, unclaimed, ...identity(input) });
    };
    const report = await onNode(context, target, hostKey, left, remove, unknownKey);
    if ("skipped" in report) return undefined;
    for (const path of report.alsoTrustedBy) log(`still trusted by ${path}, which is not ours and stays`);
    const removed = report.changed || report.restarted;
    if (removed) {
      const [changed, restarted] = [report.changed && "removed our CA", report.restarted && "restarted"];
      log([changed, restarted].filter((each) => each !== false).join(", "));
    }
    if (!removed && tellsNothing) log("nothing of ours was left");
    if (removed || tellsNothing)
      for (const other of report.records) log(`what ${describeStack(other)} installed stays`);
    if (ready(removed)) await waitReady(target, readyTimeout, context, report.containerdStarted);
    turn.settled();
    return removed;
  });
}

/**
 * Removes the stack's certificates, restarts containerd and waits until the node is Ready. Does nothing if the node or
 * its cluster was deleted, or the node was replaced.
 *
 * @throws UserError for the connection to the node, and the operation itself.
 */
export async function removeCa(environment: Environment, context: RemovalContext): Promise<string> {
  const { target: named, ...rest } = readCommandInput(environment);
  const { name, uid, address, clusterContext, cluster } = named;
  const log = (message: string): void => context.log(told(message, named));
  if ((await context.proveCluster(clusterContext, cluster)) === "gone") {
    log("nothing to remove, as its cluster is gone");
    return "";
  }
  const node = await context.readNode(clusterContext, name);
  if (node?.uid !== uid) {
    const others = await context.listNodes(clusterContext).catch(() => []);
    const holder = others.find((other) => other.address === address && other.uid !== uid)?.name;
    log(
      [
        `nothing to remove, as ${node ? "it was replaced" : "it is gone"}`,
        ...(holder === undefined || holder === name ? [] : [`its address ${address} is now ${holder}'s`]),
      ].join("; "),
    );
  } else {
    // The sweep comes last and has no report of the node: the note that it needs is left, or made.
    const target = { ...named, notedKey: node.pins[pinName(rest.stack)] };
    const input = { target, ...rest };
    const hostKey = pinForRemoval(environment, target, context);
    await keepingPin(input, context, async (saw) => {
      await removeFromNode(input, hostKey, context, {
        controlPlane: node.controlPlane,
        // Also when nothing was removed: an interrupted run may have left the node restarting, and the next one must wait.
        ready: () => true,
        saw,
        tellsNothing: true,
      });
    });
  }
  return "";
}

/** All nodes of a cluster, also those that no command of the state is for, with the host keys that are known of them. */
export function sweptTargets(
  nodes: readonly ClusterNode[],
  connection: NodeConnection,
  hostKeys: Readonly<Record<string, string>>,
  stack: string,
): NodeTarget[] {
  const shared = sharedMachineIds(nodes);
  return nodes.map(({ name, uid, machineId, address, pins }) => ({
    ...{ name, uid, machineId, hostName: shared.get(name), address, ...connection },
    ...{ hostKey: pinOf(hostKeys, name), notedKey: pins[stack] },
  }));
}

/**
 * Whether a node may have something of a stack: also one that the settings leave out, where the stack noted its host key,
 * or where an earlier run meant it, which may have been killed there. No run works on a node of an unknown system.
 *
 * @param passed - Is told of each node that has nothing of it.
 */
export function mayHaveOurs(
  { selections, stack }: Pick<SweepInput, "selections" | "stack">,
  passed: (node: ListedNode, by: string) => void = () => undefined,
): (node: ListedNode) => boolean {
  return (node) => {
    const by = leftOutBy(node.labels, selections?.at(-1) ?? {});
    if (by === undefined || node.pins[pinName(stack)] !== undefined) return true;
    const wasMeant = selections!.some((each) => leftOutBy(node.labels, each) === undefined);
    if (wasMeant && isKnownSystem(node)) return true;
    passed(node, by);
    return false;
  };
}

/** What is said of nodes that were passed over. */
export const passedOver = (name: string, by: string): string =>
  `${name}: left out by ${by}, and so left alone`;

/** Workers swept at once. */
const workersAtOnce = 8;

/**
 * Removes the stack's certificates from every node of the cluster, also from nodes that a killed run did not record.
 *
 * @throws UserError with the problems of all nodes.
 */
export async function sweep(environment: Environment, context: RemovalContext): Promise<string> {
  return await sweepNodes(readSweepInput(environment), context);
}

/**
 * Removes a stack's certificates from every node of the cluster.
 * Sweeps workers in parallel, then control-plane nodes one at a time. A failure on one node does not stop the others.
 *
 * @param only - Whether to go to a node; to all by default.
 * @param unclaimed - Whether files with our prefix that no record claims are removed, too.
 * @throws UserError with the problems of all nodes.
 */
export async function sweepNodes(
  { connection, hostKeys, selections, ...input }: SweepInput,
  context: RemovalContext,
  {
    only = () => true,
    unclaimed = false,
  }: { only?: (node: ClusterNode) => boolean; unclaimed?: boolean } = {},
): Promise<string> {
  const { clusterContext, cluster } = connection;
  if ((await context.proveCluster(clusterContext, cluster)) === "gone") {
    context.log("the cluster is gone; nothing to remove");
    return "";
  }
  const all = await context.listNodes(
    clusterContext,
    mayHaveOurs({ selections, stack: input.stack }, ({ name }, by) => context.log(passedOver(name, by))),
  );
  const targets = sweptTargets(all, connection, hostKeys, pinName(input.stack));
  const nodes = all.map((node, index) => ({ ...node, target: targets[index]! })).filter(only);
  const known: RemovalContext = { ...context, hostKeyOf: ({ name }) => pinOf(hostKeys, name) };
  const sweepNode = async ({ role, target }: (typeof nodes)[number]): Promise<void> => {
    try {
      const swept = { target, ...input };
      const work = (saw: (session: Session) => void): Promise<boolean | undefined> =>
        removeFromNode(swept, target.hostKey ?? target.notedKey, known, {
          controlPlane: role === "control-plane",
          ready: (removed) => removed,
          saw,
          unclaimed,
        });
      await keepingPin(swept, context, work, { last: true });
    } catch (error) {
      // Nothing can be installed on an unknown operating system.
      if (!(error instanceof UserError) || error.problems[0]!.code !== "node-unknown-os") throw error;
    }
  };
  const lanes = (width: number, role: ClusterNode["role"]): Promise<void>[] => {
    const limit = pLimit(width);
    return nodes.filter((node) => node.role === role).map((node) => limit(() => sweepNode(node)));
  };
  const workers = lanes(workersAtOnce, "worker");
  await Promise.allSettled(workers);
  await allChecks([...workers, ...lanes(1, "control-plane")]);
  return "";
}
