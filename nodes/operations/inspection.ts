/**
 * Inspects all nodes in parallel: what they trust, and whether containerd has loaded it.
 * It never changes anything on a node.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type Problem, UserError } from "../../support/errors";
import type { ScriptSuccess } from "../protocol/report";
import type { NodeTarget } from "../protocol/spec";
import type { InSession } from "../ssh/pool";
import { runOnNode } from "./node";
import { identity } from "./operations";
import { nodeProblem } from "../problems";

/** The result of inspecting one node. */
export type Observation =
  | { readonly kind: "answered"; readonly report: ScriptSuccess }
  | { readonly kind: "silent"; readonly problem: Problem };

/** A node to inspect. */
export interface InspectionTarget {
  readonly target: NodeTarget;
  /** The pinned host key: from the settings, or recorded by an earlier run. */
  readonly hostKey: string | undefined;
}

/** Seconds for all nodes together, so that a dead node does not hold up a preview. */
const timeout = 30;
/** Seconds to wait for the lock that another run holds on a node. */
const lockWait = 10;

/**
 * Inspects nodes.
 *
 * @returns A promise by node name. Each resolves by itself.
 */
export function inspectNodes(
  targets: readonly InspectionTarget[],
  { owner, inSession }: { readonly owner: string; readonly inSession: InSession },
): ReadonlyMap<string, Promise<Observation>> {
  const over = new AbortController();
  const timedOut = sleep(timeout * 1000, undefined, { signal: over.signal }).then(
    () => undefined,
    () => undefined,
  );
  const ask = async ({ target, hostKey }: InspectionTarget): Promise<Observation> => {
    const late: Observation = {
      kind: "silent",
      problem: nodeProblem("node-silent", {
        subject: `node ${target.name}`,
        seen: `it did not answer within ${timeout} s`,
      }),
    };
    try {
      const answer = inSession(target, hostKey, (session) =>
        runOnNode(session, { op: "status", lockWait, ...identity({ target, owner }) }),
      );
      const report = await Promise.race([answer, timedOut]);
      return report ? { kind: "answered", report } : late;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return { kind: "silent", problem: error.problems[0]! };
    }
  };
  const observations = new Map(targets.map((each) => [each.target.name, ask(each)]));
  void Promise.allSettled(observations.values()).then(() => over.abort());
  return observations;
}
