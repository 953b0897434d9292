import * as pulumi from "@pulumi/pulumi";
import type { Observation } from "../nodes/operations/inspection";
import type { UnreachablePolicy } from "../nodes/protocol/spec";
import { silenceWarning } from "../plan/nodes";

/** Logs a progress message if the checks take more than two seconds. */
export async function logWhileChecking<T>(checks: Promise<T>): Promise<T> {
  const stillChecking = setTimeout(
    () => void pulumi.log.info("checking clusters, nodes and registries…", undefined, undefined, true),
    2000,
  );
  return await checks.finally(() => clearTimeout(stillChecking));
}

/** Logs the findings of the checks at once, and unreachable nodes as their inspections end. */
export async function logPlan(
  plan: {
    readonly facts: readonly string[];
    readonly warnings: readonly string[];
    readonly observed: readonly Promise<Observation>[];
  },
  unreachable: UnreachablePolicy,
): Promise<void> {
  await pulumi.log.info(["checked beforehand:", ...plan.facts].join("\n  "));
  for (const warning of plan.warnings) await pulumi.log.warn(warning);
  for (const observation of plan.observed) {
    void observation.then(async (seen) => {
      if (seen.kind === "silent") await pulumi.log.warn(silenceWarning(seen.problem, unreachable));
    });
  }
}
