import * as pulumi from "@pulumi/pulumi";
import type { UnreachablePolicy } from "../nodes/protocol/spec";
import { type NodePlan, silenceWarning } from "../plan/nodes";
import { summarize } from "../plan/reasons";
import type { Problem } from "../support/errors";

/** Logs a progress message if the checks take more than two seconds. */
export async function logWhileChecking<T>(checks: Promise<T>): Promise<T> {
  const stillChecking = setTimeout(
    () => void pulumi.log.info("checking clusters, nodes and registries…", undefined, undefined, true),
    2000,
  );
  return await checks.finally(() => clearTimeout(stillChecking));
}

/** Logs the findings of the checks, the nodes that did not answer, and what the run does to all. */
export async function logPlan(
  plan: {
    readonly facts: readonly string[];
    readonly warnings: readonly string[];
    readonly silent: readonly Problem[];
    readonly nodes: readonly Pick<NodePlan, "change">[];
  },
  unreachable: UnreachablePolicy,
): Promise<void> {
  await pulumi.log.info(["checked beforehand:", ...plan.facts].join("\n  "));
  for (const warning of plan.warnings) await pulumi.log.warn(warning);
  for (const problem of plan.silent) await pulumi.log.warn(silenceWarning(problem, unreachable));
  const summary = summarize(plan.nodes.map(({ change }) => change));
  if (summary !== undefined) await pulumi.log.info(summary);
}
