/** What takes the stack's certificates away again, with no program running. */
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
import { type ClusterName, type NodeTarget, pinOf } from "../protocol/spec";
import { runOnNode } from "./node";
import { type Surroundings, identity, onNode } from "./operations";
import { waitReady } from "./ready";

/** What a removal works with. */
export interface RemovalSurroundings extends Surroundings {
  /** Whether a containerd that has loaded the certificates is restarted once they are gone. */
  readonly restart: boolean;
  /** Lists the workload cluster's nodes, given its context. */
  readonly listNodes: (context: string) => Promise<readonly ClusterNode[]>;
  /**
   * Whether the Supervisor says that there is no such cluster.
   *
   * @throws UserError where it can't be asked, or refuses to tell: that is not "gone".
   */
  readonly isClusterGone: (cluster: ClusterName) => Promise<boolean>;
}

/** What is seen of a cluster that is gone: nothing, a load balancer without it, or another machine at its address. */
const maybeGone: ReadonlySet<string> = new Set<KubernetesCode>([
  "cluster-unreachable",
  "cluster-failing",
  "cluster-certificate",
]);

/**
 * Asks the workload cluster. Where it doesn't answer because it is gone, so is all that was in it.
 *
 * @returns `undefined` where the cluster is gone.
 */
async function unlessClusterGone<T>(
  cluster: ClusterName | undefined,
  { isClusterGone }: RemovalSurroundings,
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

/** A last output that cannot be read must not block a removal for ever: the node proves itself by its machine id too. */
function pinForRemoval(
  environment: Environment,
  target: NodeTarget,
  { tell }: Surroundings,
): string | undefined {
  try {
    return pinnedHostKey(environment, target);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    tell(`${target.name}: its host key is not known: ${error.message}`);
    return undefined;
  }
}

/** @returns whether anything of ours was there; `undefined` where the node was skipped. */
async function removeFromNode(
  input: CommandInput,
  hostKey: string | undefined,
  around: RemovalSurroundings,
): Promise<boolean | undefined> {
  const { target } = input;
  const { restart } = around;
  const tell = (message: string): void => around.tell(`${target.name}: ${message}`);
  const left = "our CA certificate(s), if any, stay on it";
  const report = await onNode(around, target, hostKey, left, (session) =>
    runOnNode(session, { op: "remove", restart, ...identity(input) }),
  );
  if ("skipped" in report) return undefined;
  for (const path of report.alsoTrustedBy) tell(`still trusted by ${path}, which is not ours and stays`);
  if (report.changed) tell("removed our CA certificate(s)");
  if (report.restarted) tell("containerd restarted");
  return report.changed || report.restarted;
}

/**
 * Takes the stack's certificates away again, restarts containerd and waits until the node is Ready; a node that is
 * gone or was replaced is left alone, and so is one whose cluster is gone.
 *
 * @throws UserError of the way to the node, and of what happens there.
 */
export async function removeCa(environment: Environment, around: RemovalSurroundings): Promise<string> {
  const input = readCommandInput(environment);
  const { target, readyTimeout } = input;
  const { name, uid, address, clusterContext, cluster } = target;
  const tell = (message: string): void => around.tell(`${name}: ${message}`);
  const found = await unlessClusterGone(cluster, around, async () => ({
    node: await around.readNode(clusterContext, name),
  }));
  if (!found) {
    tell(`its cluster is gone; nothing to remove`);
  } else if (found.node?.uid !== uid) {
    const others = await around.listNodes(clusterContext).catch(() => []);
    const holder = others.find((node) => node.address === address && node.uid !== uid)?.name;
    tell(
      [
        found.node ? "was replaced by another node of this name" : "is gone",
        ...(holder === undefined || holder === name ? [] : [`its address ${address} is now ${holder}'s`]),
        "nothing to remove",
      ].join("; "),
    );
  } else {
    const removed = await removeFromNode(input, pinForRemoval(environment, target, around), around);
    if (removed === false) tell("nothing of ours was left");
    // Also after a run that was cut off while it waited: the next node must not restart before this one is back.
    if (removed !== undefined) await waitReady(target, readyTimeout, around);
  }
  return "";
}

/** Workers that are swept at once. */
const workersAtOnce = 8;

/**
 * Takes the stack's certificates away from every node that the cluster has: also from those that the state knows nothing
 * of, as a run was killed while it installed them. Workers side by side, then control-plane nodes one at a time; what
 * can't be done on one node doesn't keep it from the others.
 *
 * @throws UserError with the problems of all nodes.
 */
export async function sweep(environment: Environment, around: RemovalSurroundings): Promise<string> {
  const { way, hostKeys, owner, readyTimeout } = readSweepInput(environment);
  const nodes = await unlessClusterGone(way.cluster, around, () => around.listNodes(way.clusterContext));
  if (!nodes) {
    around.tell("the cluster is gone; nothing to remove");
    return "";
  }
  const sweepNode = async ({ name, uid, machineId, address }: ClusterNode): Promise<void> => {
    const target = { name, uid, machineId, address, ...way, hostKey: pinOf(hostKeys, name) };
    try {
      const removed = await removeFromNode({ target, owner, readyTimeout }, target.hostKey, around);
      if (removed === true) await waitReady(target, readyTimeout, around);
    } catch (error) {
      // Nothing was ever installed where nothing can be.
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
