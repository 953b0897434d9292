/** Removes the stack's certificates from nodes. At `destroy` no program runs, so all input comes from the state. */
import pLimit from "p-limit";
import type { ClusterNode } from "../../kubernetes/types";
import type { KubernetesCode } from "../../kubernetes/problems";
import { UserError, allChecks } from "../../support/errors";
import {
  type CommandInput,
  type Environment,
  pinnedHostKey,
  readCommandInput,
  readSweepInput,
} from "../protocol/environment";
import { type ClusterName, type NodeTarget, pinOf, sharedMachineIds } from "../protocol/spec";
import { inTurn } from "./controlPlane";
import { identity, runOnNode } from "./node";
import { type OperationContext, onNode } from "./operations";
import { waitReady } from "./ready";

/** What a removal is given besides its input. */
export interface RemovalContext extends OperationContext {
  /** Whether to restart a containerd that has loaded the certificates after they are removed. */
  readonly restart: boolean;
  /** Lists the workload cluster's nodes, given its context. */
  readonly listNodes: (clusterContext: string) => Promise<readonly ClusterNode[]>;
  /**
   * Whether the Supervisor says that there is no such cluster.
   *
   * @throws UserError when the Supervisor does not answer or refuses: the cluster may still exist.
   */
  readonly isClusterGone: (cluster: ClusterName) => Promise<boolean>;
}

/** How a deleted cluster appears: no answer, a load balancer without a backend, or another machine at its address. */
const maybeGone: ReadonlySet<string> = new Set<KubernetesCode>([
  "cluster-unreachable",
  "cluster-failing",
  "cluster-certificate",
]);

/**
 * Sends a request to the workload cluster, and tells a deleted cluster from one that does not answer.
 *
 * @returns `undefined` where the cluster is gone.
 */
async function unlessClusterGone<T>(
  cluster: ClusterName | undefined,
  { isClusterGone }: RemovalContext,
  ask: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    const suspect = error instanceof UserError && maybeGone.has(error.problems[0]!.code);
    if (suspect && cluster && (await isClusterGone(cluster))) return undefined;
    throw error;
  }
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
    log(`${target.name}: its host key is not known: ${error.message}`);
    return undefined;
  }
}

/**
 * @param ready - Whether to wait until the node is Ready, given whether anything was removed.
 * @returns Whether anything was removed; `undefined` for a skipped node.
 */
async function removeFromNode(
  input: CommandInput,
  hostKey: string | undefined,
  context: RemovalContext,
  { controlPlane, ready }: { readonly controlPlane: boolean; readonly ready: (removed: boolean) => boolean },
): Promise<boolean | undefined> {
  const { target, readyTimeout } = input;
  const { restart } = context;
  const log = (message: string): void => context.log(`${target.name}: ${message}`);
  const left = "our CA certificate(s), if any, stay on it";
  return await inTurn(input, controlPlane && restart, context, async (turn) => {
    const report = await onNode(context, target, hostKey, left, async (session) => {
      await turn.begin();
      return await runOnNode(session, { op: "remove", restart, ...identity(input) });
    });
    if ("skipped" in report) return undefined;
    for (const path of report.alsoTrustedBy) log(`still trusted by ${path}, which is not ours and stays`);
    if (report.changed) log("removed our CA certificate(s)");
    if (report.restarted) log("containerd restarted");
    const removed = report.changed || report.restarted;
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
  const input = readCommandInput(environment);
  const { target } = input;
  const { name, uid, address, clusterContext, cluster } = target;
  const log = (message: string): void => context.log(`${name}: ${message}`);
  const found = await unlessClusterGone(cluster, context, async () => ({
    node: await context.readNode(clusterContext, name),
  }));
  if (!found) {
    log(`its cluster is gone; nothing to remove`);
  } else if (found.node?.uid !== uid) {
    const others = await context.listNodes(clusterContext).catch(() => []);
    const holder = others.find((node) => node.address === address && node.uid !== uid)?.name;
    log(
      [
        found.node ? "was replaced by another node of this name" : "is gone",
        ...(holder === undefined || holder === name ? [] : [`its address ${address} is now ${holder}'s`]),
        "nothing to remove",
      ].join("; "),
    );
  } else {
    const removed = await removeFromNode(input, pinForRemoval(environment, target, context), context, {
      controlPlane: found.node.controlPlane,
      // Also when nothing was removed: an interrupted run may have left the node restarting, and the next one must wait.
      ready: () => true,
    });
    if (removed === false) log("nothing of ours was left");
  }
  return "";
}

/** Workers swept at once. */
const workersAtOnce = 8;

/**
 * Removes the stack's certificates from every node of the cluster, also from nodes that a killed run did not record.
 * Sweeps workers in parallel, then control-plane nodes one at a time. A failure on one node does not stop the others.
 *
 * @throws UserError with the problems of all nodes.
 */
export async function sweep(environment: Environment, context: RemovalContext): Promise<string> {
  const { connection, hostKeys, owner, readyTimeout } = readSweepInput(environment);
  const nodes = await unlessClusterGone(connection.cluster, context, () =>
    context.listNodes(connection.clusterContext),
  );
  if (!nodes) {
    context.log("the cluster is gone; nothing to remove");
    return "";
  }
  const shared = sharedMachineIds(nodes);
  const sweepNode = async ({ name, uid, machineId, address, role }: ClusterNode): Promise<void> => {
    const hostName = shared.get(name);
    const target = { name, uid, machineId, hostName, address, ...connection, hostKey: pinOf(hostKeys, name) };
    try {
      await removeFromNode({ target, owner, readyTimeout }, target.hostKey, context, {
        controlPlane: role === "control-plane",
        ready: (removed) => removed,
      });
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
