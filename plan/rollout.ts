/** In which order nodes are done, decided once it is known what is to be done on each. */
import type { TrustSettings } from "../config/settings";
import type { KubeContext } from "../kubernetes/client";
import type { ClusterNode } from "../kubernetes/types";
import type { CanaryPuller } from "../nodes/service/service";
import type { RecordedCanary } from "../state/records";
import { type CanaryPlan, type CanaryPulls, canaryPuller, planCanary } from "./canary";
import { type Turn, planLanes } from "./lanes";
import type { Installation } from "./nodeCommand";
import { type AskedNode, type NodePlan, withTurns } from "./nodes";
import { type WaveEnd, waveEnds, wavesOf } from "./waves";

export interface Rollout {
  readonly nodes: readonly NodePlan[];
  /** The order in which they are done. */
  readonly order: readonly Turn<ClusterNode>[];
  /** The ends of waves, by their numbers. */
  readonly waveEnds: ReadonlyMap<number, WaveEnd>;
  /** Which node goes first, and what it pulls. */
  readonly canary: CanaryPlan;
  readonly pullOnCanary: CanaryPuller;
}

/**
 * Waits until all nodes have answered.
 *
 * @param asked - The nodes, in any order.
 * @throws UserError as {@link planCanary}.
 */
export async function planRollout(
  settings: TrustSettings,
  asked: readonly AskedNode[],
  recorded: RecordedCanary,
  installation: Installation,
  pulls: CanaryPulls,
  cluster: KubeContext,
): Promise<Rollout> {
  const decided = await Promise.all(
    asked.map(async ({ decision, ...node }): Promise<NodePlan> => ({ ...node, ...(await decision) })),
  );
  const nodes = decided.map(({ node }) => node);
  const { workersAtOnce } = settings.nodes;
  const waves = wavesOf(settings);
  const without = planLanes(nodes, workersAtOnce, { waves });
  const planOf = new Map(decided.map((plan) => [plan.node.name, plan]));
  const inOrder = without.map(({ node }) => planOf.get(node.name)!);
  const canary = await planCanary(settings, inOrder, recorded, installation, pulls, cluster);
  const order = planLanes(nodes, workersAtOnce, { waves, first: canary.first });
  return {
    ...{ nodes: withTurns(decided, order), order, canary },
    waveEnds: waveEnds(without, decided, settings.rollout),
    pullOnCanary: canaryPuller(cluster, pulls),
  };
}
