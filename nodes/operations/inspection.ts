/** What all nodes say of themselves, asked side by side: changes nothing there. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Problem, UserError } from "../../support/errors";
import type { ScriptSuccess } from "../protocol/report";
import type { NodeTarget } from "../protocol/spec";
import type { InSession } from "../ssh/pool";
import { runOnNode } from "./node";
import { identity } from "./operations";
import { nodeProblem } from "../problems";

/** What became of the question to one node. */
export type Observation =
  | { readonly kind: "answered"; readonly report: ScriptSuccess }
  | { readonly kind: "silent"; readonly problem: Problem };

/** A node to be asked. */
export interface Question {
  readonly target: NodeTarget;
  /** The host key that it showed last time, or that the settings give. */
  readonly hostKey: string | undefined;
}

/** Seconds that all nodes together have: a preview that waits for a dead one is not run. */
const patience = 30;
/** Seconds to wait for another run that is at work on a node. */
const lockWait = 10;

/**
 * Asks nodes what they trust, and whether containerd has loaded it.
 *
 * @returns by node name; each as soon as it is known, so that who waits for one need not wait for all.
 */
export function inspectNodes(
  questions: readonly Question[],
  { owner, inSession }: { readonly owner: string; readonly inSession: InSession },
): ReadonlyMap<string, Promise<Observation>> {
  const over = new AbortController();
  const timeOut = sleep(patience * 1000, undefined, { signal: over.signal }).then(
    () => undefined,
    () => undefined,
  );
  const ask = async ({ target, hostKey }: Question): Promise<Observation> => {
    const late: Observation = {
      kind: "silent",
      problem: nodeProblem("node-silent", {
        subject: `node ${target.name}`,
        seen: `it did not answer within ${patience} s`,
      }),
    };
    try {
      const answer = inSession(target, hostKey, (session) =>
        runOnNode(session, { op: "status", lockWait, ...identity({ target, owner }) }),
      );
      const report = await Promise.race([answer, timeOut]);
      return report ? { kind: "answered", report } : late;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return { kind: "silent", problem: error.problems[0]! };
    }
  };
  const observations = new Map(questions.map((question) => [question.target.name, ask(question)]));
  void Promise.allSettled(observations.values()).then(() => over.abort());
  return observations;
}
