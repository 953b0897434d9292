/**
 * Inspects all nodes in parallel: what they trust, and whether containerd has loaded it.
 * It never changes anything on a node.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type Problem, UserError } from "../../support/errors";
import type { ScriptSuccess } from "../protocol/report";
import type { NodeTarget, StackIdentity } from "../protocol/spec";
import type { InSession } from "../ssh/pool";
import type { Session } from "../ssh/session";
import { becomeRoot, identity, runOnNode } from "./node";
import { type NodeSights, lookAtRegistries } from "./reach";
import { nodeProblem } from "../problems";

/** A node to inspect. */
export interface InspectionTarget {
  readonly target: NodeTarget;
  /** The pinned host key: from the settings, or recorded by an earlier run. */
  readonly hostKey: string | undefined;
}

/** A node to ask what a stack has there. */
export interface InspectedNode extends InspectionTarget {
  readonly stack: StackIdentity;
  /** The owner under which a release that made no ids recorded what this stack has on the node. */
  readonly former?: string | undefined;
}

/** Seconds for all nodes together, so that a dead node does not hold up a preview. */
const timeout = 30;
/** Seconds to wait for the lock that another run holds on a node. */
const lockWait = 10;

/** What a node answered, or why it did not. */
type Answer<T> =
  { readonly kind: "answered"; readonly report: T } | { readonly kind: "silent"; readonly problem: Problem };

/** The result of inspecting one node. */
export type Observation = Answer<
  ScriptSuccess & {
    /** The host key that it showed: `SHA256:…`. */
    readonly hostKey?: string;
  }
>;

/** Asks all nodes at once, and waits for all of them together no longer than the limit. */
function askAll<N extends InspectionTarget, T extends object>(
  targets: readonly N[],
  inSession: InSession,
  question: (asked: N, session: Session) => Promise<T>,
): ReadonlyMap<string, Promise<Answer<T>>> {
  const over = new AbortController();
  const timedOut = sleep(timeout * 1000, undefined, { signal: over.signal }).then(
    () => undefined,
    () => undefined,
  );
  const ask = async (asked: N): Promise<Answer<T>> => {
    const { target, hostKey } = asked;
    const late: Answer<T> = {
      kind: "silent",
      problem: nodeProblem("node-silent", {
        subject: `node ${target.name}`,
        seen: `it did not answer within ${timeout} s`,
      }),
    };
    try {
      const answer = inSession(target, hostKey, (session) => question(asked, session));
      const report = await Promise.race([answer, timedOut]);
      return report ? { kind: "answered", report } : late;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return { kind: "silent", problem: error.problems[0]! };
    }
  };
  const answers = new Map(targets.map((each) => [each.target.name, ask(each)]));
  void Promise.allSettled(answers.values()).then(() => over.abort());
  return answers;
}

/**
 * Inspects nodes.
 *
 * @param options.bodies - Whether they report the certificates themselves too.
 * @returns A promise by node name. Each resolves by itself.
 */
export function inspectNodes(
  targets: readonly InspectedNode[],
  { inSession, bodies = false }: { readonly inSession: InSession; readonly bodies?: boolean },
): ReadonlyMap<string, Promise<Observation>> {
  return askAll(targets, inSession, async ({ target, stack, former }, session) => ({
    ...(await runOnNode(session, {
      ...{ op: "status", lockWait, former, bodies },
      ...identity({ target, stack }),
    } as const)),
    hostKey: session.hostKey,
  }));
}

/**
 * Asks nodes what they see of registries.
 *
 * @returns By node name, and undefined for one that did not answer. Each resolves by itself.
 */
export function askNodesForRegistries(
  targets: readonly (InspectionTarget & Pick<InspectedNode, "stack">)[],
  registries: readonly string[],
  inSession: InSession,
): ReadonlyMap<string, Promise<NodeSights | undefined>> {
  const answers = askAll(targets, inSession, (asked, session) =>
    lookAtRegistries(session, asked, registries),
  );
  return new Map(
    [...answers].map(([name, answer]) => [
      name,
      answer.then((said) => (said.kind === "answered" ? said.report : undefined)),
    ]),
  );
}

/**
 * Logs in to nodes and becomes root there, and does nothing.
 *
 * @returns By node name, why it was not possible; each resolves by itself.
 */
export function reachNodes(
  targets: readonly InspectionTarget[],
  inSession: InSession,
): ReadonlyMap<string, Promise<Problem | undefined>> {
  const answers = askAll(targets, inSession, async ({ target }, session) => {
    await becomeRoot(session, target.name);
    return session;
  });
  return new Map(
    [...answers].map(([name, answer]) => [
      name,
      answer.then((said) => (said.kind === "silent" ? said.problem : undefined)),
    ]),
  );
}
