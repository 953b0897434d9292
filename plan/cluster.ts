/** The workload cluster of the run: proved to be the state's, and what the state is to hold of it. */
import type { KubeContext } from "../kubernetes/client";
import type { ClusterName } from "../nodes/protocol/spec";
import type { PreviousState } from "../state/previousState";
import { type ClusterProof, clusterRecord, proveCluster } from "../vsphere/cluster";

/**
 * Refuses a run on another cluster than the state's as long as that one exists, or may: its nodes would be given up.
 *
 * @returns What proves the cluster to later commands.
 * @throws UserError as {@link proveCluster}.
 */
export async function recordCluster(
  { clusters }: PreviousState,
  seen: ClusterProof,
  { supervisor, cluster }: { readonly supervisor: KubeContext; readonly cluster: KubeContext },
): Promise<ClusterProof> {
  let same: ClusterName | undefined;
  for (const recorded of clusters) {
    const standing = await proveCluster(
      () => Promise.resolve(cluster),
      () => Promise.resolve(supervisor),
      recorded,
    );
    if (standing === "there" && recorded.kubeSystem !== undefined) same = recorded;
  }
  return clusterRecord(seen, same);
}
