/**
 * Problems and the error that carries them to people.
 * It never imports another room: every room throws these.
 */
import type { LabCode, ProblemCode } from "./catalog";
import { printable } from "./text";

/** One thing that is wrong, told so that a reader can act on it without reading our code. */
export interface Problem {
  /** A stable name of the kind of problem, for tests, logs and docs/errors.md. */
  readonly code: ProblemCode | LabCode;
  /** What the problem is about: a setting (`registries[0].ca.sha256`), a node, an object, a file. */
  readonly subject: string;
  /** What was seen there, with the shape of a value rather than the value where it could be a secret. */
  readonly seen: string;
  /** What to do next. */
  readonly remedy: string;
}

/** Characters for each part of a problem: enough for a list of rights that are missing. */
const partLimit = 4000;

/** A problem's parts, each fit for one line whatever is quoted in it. */
function partsOf({ code, subject, seen, remedy }: Problem): { about: string; then: string } {
  const [about, what, then] = [subject, seen, remedy].map((part) => printable(part, partLimit));
  return { about: `${about!}: ${what!}`, then: `${then!} [${code}]` };
}

/** Writes a problem as one line: `subject: what was seen. What to do [code]` */
export function describeProblem(problem: Problem): string {
  const { about, then } = partsOf(problem);
  return `${about}. ${then}`;
}

/** Writes one of several problems on two lines: the remedy below what was seen. */
function listProblem(problem: Problem, number: number): string {
  const { about, then } = partsOf(problem);
  return `  ${number}. ${about}\n     → ${then}`;
}

/**
 * The error for everything that an operator can put right: it is shown without a stack. It carries every problem
 * that was found, since being told of one at a time costs a run each.
 */
export class UserError extends Error {
  readonly problems: readonly Problem[];

  constructor(...problems: [Problem, ...Problem[]]) {
    super(
      problems.length === 1
        ? describeProblem(problems[0])
        : [
            `${problems.length} problems were found:`,
            ...problems.map((problem, index) => listProblem(problem, index + 1)),
          ].join("\n"),
    );
    this.name = "UserError";
    this.problems = problems;
  }
}

/**
 * Waits for all checks and throws one {@link UserError} with the problems of every one that failed; what several of
 * them failed for is told once. An error of
 * another kind is a defect of ours, or one that the caller must see as it is, and is thrown unchanged.
 */
export async function allChecks<T extends readonly unknown[]>(
  checks: readonly [...{ [K in keyof T]: PromiseLike<T[K]> }],
): Promise<T> {
  const results = await Promise.allSettled(checks as readonly PromiseLike<unknown>[]);
  const problems = new Map<string, Problem>();
  for (const result of results) {
    if (result.status === "fulfilled") continue;
    if (!(result.reason instanceof UserError)) throw result.reason;
    for (const problem of result.reason.problems) problems.set(describeProblem(problem), problem);
  }
  const [first, ...rest] = problems.values();
  if (first) throw new UserError(first, ...rest);
  return results.map((result) => (result as PromiseFulfilledResult<unknown>).value) as unknown as T;
}
