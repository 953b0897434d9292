/** When an object is ready, and what keeps it from being so, in the words of the API server and the kubelet. */
import type { Properties } from "../rpc/values";
import type { Kubectl } from "./kubectl";
import { metadataOf } from "./object";

interface ContainerStatus {
  readonly name: string;
  readonly ready?: boolean;
  readonly state?: {
    readonly waiting?: { readonly reason?: string; readonly message?: string };
    readonly terminated?: { readonly reason?: string; readonly exitCode?: number; readonly message?: string };
  };
}
interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
}
interface PodStatus {
  readonly phase?: string;
  readonly conditions?: readonly Condition[];
  readonly initContainerStatuses?: readonly ContainerStatus[];
  readonly containerStatuses?: readonly ContainerStatus[];
}
interface DeploymentStatus {
  readonly observedGeneration?: number;
  readonly replicas?: number;
  readonly updatedReplicas?: number;
  readonly availableReplicas?: number;
  readonly conditions?: readonly Condition[];
}

/** Undefined when the object is ready; otherwise what it is waiting for. Kinds that need no time are always ready. */
export function pending(object: Properties): string[] | undefined {
  if (object.kind === "Pod") return pendingPod((object.status ?? {}) as PodStatus);
  if (object.kind === "Deployment") return pendingDeployment(object);
  return undefined;
}

function pendingPod(status: PodStatus): string[] | undefined {
  if (status.phase === "Succeeded") return undefined;
  const ready = status.conditions?.find(({ type }) => type === "Ready");
  if (status.phase === "Running" && ready?.status === "True") return undefined;
  const containers = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])];
  const reasons = containers.flatMap(({ name, state }) => {
    const { reason = "", message = "" } = state?.waiting ?? state?.terminated ?? {};
    return reason === "" || reason === "Completed"
      ? []
      : [`container ${name}: [${reason}] ${message}`.trimEnd()];
  });
  const unscheduled = status.conditions?.find(
    ({ type, status: s }) => type === "PodScheduled" && s === "False",
  );
  if (unscheduled)
    reasons.push(`[${unscheduled.reason ?? "Unschedulable"}] ${unscheduled.message ?? ""}`.trimEnd());
  return reasons.length > 0 ? reasons : [`pod is ${status.phase ?? "not started"}, not Ready`];
}

function pendingDeployment(object: Properties): string[] | undefined {
  const status = (object.status ?? {}) as DeploymentStatus;
  const wanted = (object.spec as { replicas?: number } | undefined)?.replicas ?? 1;
  const { replicas = 0, updatedReplicas = 0, availableReplicas = 0 } = status;
  const seen = (status.observedGeneration ?? 0) >= (metadataOf(object).generation ?? 0);
  if (seen && updatedReplicas === wanted && replicas === wanted && availableReplicas === wanted)
    return undefined;
  const reasons = (status.conditions ?? [])
    .filter(({ type, status: s }) =>
      type === "ReplicaFailure" ? s === "True" : type === "Progressing" && s === "False",
    )
    .map(({ reason = "", message = "" }) => `[${reason}] ${message}`);
  return [`${availableReplicas} of ${wanted} pods of the new version are available`, ...reasons];
}

/** All that can be learnt about why an object is not ready: its own state, its pods', and their warning events. */
export async function explain(
  kubectl: Kubectl,
  object: Properties,
  reasons: readonly string[],
): Promise<string[]> {
  const { name = "", namespace = "" } = metadataOf(object);
  const labels = (object.spec as { selector?: { matchLabels?: Record<string, string> } } | undefined)
    ?.selector?.matchLabels;
  const pods = object.kind === "Deployment" && labels ? await kubectl.list("pods", namespace, labels) : [];
  const ofPods = await Promise.all(
    pods.map(async (pod) => {
      const podName = metadataOf(pod).name ?? "";
      const found = [...(pending(pod) ?? []), ...(await kubectl.warnings(podName, namespace))];
      return found.map((reason) => `pod ${podName}: ${reason}`);
    }),
  );
  return [...new Set([...reasons, ...(await kubectl.warnings(name, namespace)), ...ofPods.flat()])];
}
