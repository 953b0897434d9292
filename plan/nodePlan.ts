import type { ClusterNode } from "../kubernetes/types";
import type { NodeTarget } from "../nodes/protocol/spec";

/** One of the nodes that are to trust the registries. */
export interface NodePlan {
  /** The node as the workload cluster's API shows it. */
  readonly node: ClusterNode;
  /** The way to it. */
  readonly target: NodeTarget;
  /** Names its installation: with another one than last time the node is looked after. */
  readonly nonce: string | Promise<string>;
}
