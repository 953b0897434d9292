/** Objects that the state records and the cluster lacks. */
import type { DeploymentSettings, PullSecretSettings } from "../config/settings";
import type { ClusterNode } from "../kubernetes/types";
import type { PreviousState } from "../state/previousState";
import type { Problem } from "../support/errors";
import { planProblem } from "./problems";

/** An object that the state records and the cluster lacks. */
export interface MissingObject {
  readonly uid: string;
  /** Reported if the run does not recreate the object. */
  readonly problem: Problem;
}

/**
 * Finds objects that the state records and the cluster lacks. Pulumi recreates them only in a run with `--refresh`. The
 * program learns which run it is from the UIDs at the end.
 *
 * @param objects - whether objects that are wanted are there, by `Kind namespace/name`.
 */
export function missingObjects(
  previous: PreviousState,
  nodes: readonly ClusterNode[],
  objects: ReadonlyMap<string, boolean>,
  cluster: string,
): readonly MissingObject[] {
  const missing = previous.objects
    .map(({ kind, namespace, name, uid }) => ({ object: `${kind} ${namespace}/${name}`, uid }))
    .filter(({ object }) => objects.get(object) === false);
  const live = new Set(nodes.map(({ uid }) => uid));
  const recorded = [...previous.nodes.values()];
  const recreated: Problem | undefined =
    recorded.length === 0 || recorded.some(({ uid }) => live.has(uid))
      ? undefined
      : planProblem("cluster-recreated", {
          subject: `cluster ${cluster}`,
          seen: `it was created anew since the last run: none of its nodes of then (${recorded.length}) is there, nor is ${missing.map(({ object }) => object).join(", ")}`,
        });
  return missing.map(({ object, uid }) => ({
    uid,
    problem:
      recreated ?? planProblem("object-gone", { subject: object, seen: "the stack made it, and it is gone" }),
  }));
}

/** Whether the objects that the stack wants are there, by `Kind namespace/name`. */
export function wantedObjects(
  secrets: ReadonlyMap<
    PullSecretSettings,
    readonly { readonly namespace: string; readonly exists: boolean }[]
  >,
  deployments: ReadonlyMap<Pick<DeploymentSettings, "namespace" | "name">, { readonly exists: boolean }>,
): ReadonlyMap<string, boolean> {
  return new Map([
    ...[...secrets].flatMap(([{ name }, places]) =>
      places.map(({ namespace, exists }) => [`Secret ${namespace}/${name}`, exists] as const),
    ),
    ...[...deployments].map(
      ([{ namespace, name }, { exists }]) => [`Deployment ${namespace}/${name}`, exists] as const,
    ),
  ]);
}
