/** Removes the stack's certificates from nodes. At `destroy` no program runs, so all input comes from the state. */
import pLimit from "p-limit";
import type { ClusterNode } from "../../kubernetes/types";
import type { KubernetesCode } from "../../kubernetes/problems";
import { UserError, allChecks } from "../../support/errors";
import {
  type CommandInput,
  type Environment,
  type SweepInput,
  pinnedHostKey,
  readCommandInput,
  readSweepInput,
} from "../protocol/environment";
import { type ClusterName, type NodeTarget, pinOf } from "../protocol/spec";
import { runOnNode } from "./node";
import { type OperationContext, identity, onNode } from "./operations";
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
 * @param unclaimed - Whether files with our prefix that no record claims are removed, too.
 * @returns Whether anything was removed; `undefined` for a skipped node.
 */
async function removeFromNode(
  input: CommandInput,
  hostKey: string | undefined,
  context: RemovalContext,
  unclaimed = false,
): Promise<boolean | undefined> {
  const { target } = input;
  const { restart } = context;
  const log = (message: string): void => context.log(`${target.name}: ${message}`);
  const left = "our CA certificate(s), if any, stay on it";
  const report = await onNode(context, target, hostKey, left, (session) =>
    runOnNode(session, { op: "remove", restart, unclaimed, former: input.former, ...identity(input) }),
  );
  if ("skipped" in report) return undefined;
  for (const path of report.alsoTrustedBy) log(`still trusted by ${path}, which is not ours and stays`);
  if (report.changed) log("removed our CA certificate(s)");
  if (report.restarted) log("containerd restarted");
  return report.changed || report.restarted;
}

/**
 * Removes the stack's certificates, restarts containerd and waits until the node is Ready. Does nothing if the node or
 * its cluster was deleted, or the node was replaced.
 *
 * @throws UserError for the connection to the node, and the operation itself.
 */
export async function removeCa(environment: Environment, context: RemovalContext): Promise<string> {
  const input = readCommandInput(environment);
  const { target, readyTimeout } = input;
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
    const removed = await removeFromNode(input, pinForRemoval(environment, target, context), context);
    if (removed === false) log("nothing of ours was left");
    // Also when nothing was removed: an interrupted run may have left the node restarting, and the next one must wait.
    if (removed !== undefined) await waitReady(target, readyTimeout, context);
  }
  return "";
}

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
 * @param input.unclaimed - Whether files with our prefix that no record claims are removed, too.
 * @throws UserError with the problems of all nodes.
 */
export async function sweepNodes(
  {
    connection,
    hostKeys,
    stack,
    former,
    readyTimeout,
    unclaimed,
  }: SweepInput & { readonly unclaimed?: boolean },
  context: RemovalContext,
): Promise<string> {
  const nodes = await unlessClusterGone(connection.cluster, context, () =>
    context.listNodes(connection.clusterContext),
  );
  if (!nodes) {
    context.log("the cluster is gone; nothing to remove");
    return "";
  }
  const sweepNode = async ({ name, uid, machineId, address }: ClusterNode): Promise<void> => {
    const target = { name, uid, machineId, address, ...connection, hostKey: pinOf(hostKeys, name) };
    try {
      const input = { target, stack, former, readyTimeout };
      const removed = await removeFromNode(input, target.hostKey, context, unclaimed);
      if (removed === true) await waitReady(target, readyTimeout, context);
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
