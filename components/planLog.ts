import * as pulumi from "@pulumi/pulumi";
import type { Observation } from "../nodes/operations/inspection";
import type { UnreachablePolicy } from "../nodes/protocol/spec";
import { type NodePlan, silenceWarning } from "../plan/nodes";
import { type NodeChange, formatChange, isTold, summarize } from "../plan/reasons";
import { initializing } from "./options";

/** Logs a progress message if the checks take more than two seconds. */
export async function logWhileChecking<T>(checks: Promise<T>): Promise<T> {
  const stillChecking = setTimeout(
    () => void pulumi.log.info("checking clusters, nodes and registries…", undefined, undefined, true),
    2000,
  );
  return await checks.finally(() => clearTimeout(stillChecking));
}

/** Logs at a resource what the run does to a node, and why, where it does anything. */
export async function logChange(change: Promise<NodeChange>, at: pulumi.Resource): Promise<void> {
  await initializing(async () => {
    const told = await change;
    if (isTold(told)) await pulumi.log.info(formatChange(told), at);
  });
}

/** Logs what the run does to all nodes. */
async function logSummary(nodes: readonly Pick<NodePlan, "change">[]): Promise<void> {
  await initializing(async () => {
    const summary = summarize(await Promise.all(nodes.map(({ change }) => change)));
    if (summary !== undefined) await pulumi.log.info(summary);
  });
}

/** Logs the findings of the checks at once, and the nodes as their inspections end. */
export async function logPlan(
  plan: {
    readonly facts: readonly string[];
    readonly warnings: readonly string[];
    readonly observed: readonly Promise<Observation>[];
    readonly nodes: readonly Pick<NodePlan, "change">[];
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
  void logSummary(plan.nodes);
}
