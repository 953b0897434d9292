/** The workload cluster and its Supervisor, asked by `kubectl`: where no program with a client of its own runs. */
import { z } from "zod";
import { getObject, kubectl, kubectlProblem } from "../kubernetes/kubectl";
import { readNodes } from "../kubernetes/nodes";
import type { ClusterNode } from "../kubernetes/types";
import type { ClusterName } from "../nodes/protocol/spec";
import { UserError } from "../support/errors";

const listSchema = z.object({ items: z.array(z.unknown()) });

/**
 * Lists a cluster's nodes, none where there are none.
 *
 * @throws UserError `cluster-…` when the API can't be asked or refuses to tell, `node-…` for a Node that no kubelet writes.
 */
export async function listNodesByKubectl(context: string): Promise<readonly ClusterNode[]> {
  const subject = `the nodes of context ${context}`;
  const list = await getObject(listSchema, "cluster", subject, context, ["nodes"]);
  if (!list) throw new UserError(kubectlProblem("cluster", subject, context, "failed", "not found"));
  const { items } = list;
  return items.length === 0 ? [] : readNodes(items, context);
}

/** What a Supervisor keeps a workload cluster as: by its release either of them, or both. */
const clusterKinds = ["tanzukubernetesclusters.run.tanzu.vmware.com", "clusters.cluster.x-k8s.io"];

/**
 * Whether the Supervisor, asked with a login that it accepts, says that there is no such cluster.
 *
 * @throws UserError `supervisor-…` when it can't be asked or refuses to tell.
 */
export async function isClusterGone({ supervisor, namespace, name }: ClusterName): Promise<boolean> {
  let known = 0;
  for (const kind of clusterKinds) {
    const result = await kubectl(supervisor, ["get", kind, name, "-n", namespace, "-o", "name"]);
    if (result.ok) return false;
    if (result.reason === "not-found") known += 1;
    else if (!/doesn't have a resource type/.test(result.stderr)) {
      const subject = `cluster ${namespace}/${name}`;
      throw new UserError(kubectlProblem("supervisor", subject, supervisor, result.reason, result.stderr));
    }
  }
  return known > 0;
}
