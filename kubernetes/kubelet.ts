/** What a node's kubelet says: by the Lease that it renews, and by its own health check. */
import * as z from "zod";
import { UserError } from "../support/errors";
import type { KubeContext } from "./client";
import { leases } from "./lease";

const renewedSchema = z.object({ spec: z.object({ renewTime: z.coerce.date() }) });

/**
 * When a node's kubelet last renewed its Lease, which it does every ten seconds.
 *
 * @returns `undefined` where there is none, or the user may not read it.
 */
export async function kubeletRenewal(cluster: KubeContext, node: string): Promise<Date | undefined> {
  const namespace = "kube-node-lease";
  try {
    const found = await cluster.find<unknown>(
      { verb: "get", resource: "leases", namespace, name: node },
      () => cluster.custom.getNamespacedCustomObject({ ...leases, namespace, name: node }),
    );
    return renewedSchema.safeParse(found).data?.spec.renewTime;
  } catch (error) {
    if (error instanceof UserError && error.problems[0]!.code === "no-rights") return undefined;
    throw error;
  }
}

/**
 * Whether a node's kubelet answers now that it is well: the API server asks its `/healthz`, which fails where its sync
 * loop has stood still for two minutes (kubelet's `SyncLoopHealthCheck`).
 *
 * @returns `false`, too, where the user may not ask (`get` on `nodes/proxy`).
 */
export async function kubeletIsWell(cluster: KubeContext, node: string): Promise<boolean> {
  try {
    const said = await cluster.find<unknown>({ verb: "get", resource: "nodes/proxy", name: node }, () =>
      cluster.core.connectGetNodeProxyWithPath({ name: node, path: "healthz" }),
    );
    return said === "ok";
  } catch (error) {
    if (error instanceof UserError) return false;
    throw error;
  }
}
