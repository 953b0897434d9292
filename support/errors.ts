/**
 * Problems and the error that carries them to people.
 * It never imports another room: every room throws these.
 */
import { withoutSecrets } from "./secrets";
import { printable } from "./text";

/** One thing that is wrong, with all that an operator needs to put it right. */
export interface Problem {
  /** The stable name of this kind of problem, from a room's `problems.ts`. docs/errors.md lists it. */
  readonly code: string;
  /** What the problem is about: a setting (`registries[0].ca.sha256`), a node, an object, a file. */
  readonly subject: string;
  /** What was found there. A value that may be a secret is described, never repeated. */
  readonly seen: string;
  /** What to do next. */
  readonly remedy: string;
}

/** A text, a function that makes a text from values, or several of these by the name of the variant. */
type Remedy = string | ((...values: never[]) => string) | { readonly [variant: string]: Remedy };

/** The arguments that select and fill in a remedy: names of variants, then the values. */
type ValuesOf<R> = R extends string
  ? []
  : R extends (...values: infer V) => string
    ? V
    : { [K in keyof R]: [variant: K, ...ValuesOf<R[K]>] }[keyof R];

/** What all problems of one code have in common. */
export interface ProblemKind {
  /** Why it occurs. For docs/errors.md; no message has it. */
  readonly cause: string;
  readonly remedy: Remedy;
  /** For docs/errors.md: subject, what was seen, and the arguments of the remedy. */
  readonly examples: readonly (readonly [subject: string, seen: string, ...values: unknown[]])[];
}

type Kinds = Readonly<Record<string, ProblemKind>>;

type WithExamples<D extends Kinds> = {
  readonly [K in keyof D]: {
    readonly examples: readonly (readonly [subject: string, seen: string, ...ValuesOf<D[K]["remedy"]>])[];
  };
};

type MakerOf<D extends Kinds, T> = <K extends keyof D & string>(
  code: K,
  what: Pick<Problem, "subject" | "seen">,
  ...values: ValuesOf<D[K]["remedy"]>
) => T;

/** Makes the problems of one room. */
export type ProblemMaker<D extends Kinds> = MakerOf<D, Problem> & {
  /** Makes the problem, and an error that carries it. */
  readonly error: MakerOf<D, UserError>;
  readonly title: string;
  readonly kinds: D;
};

/** The arguments that {@link ProblemMaker} takes for the remedy of a code. */
export type RemedyOf<M extends { readonly kinds: Kinds }, C extends keyof M["kinds"]> = ValuesOf<
  M["kinds"][C]["remedy"]
>;

export type CodeOf<M extends { readonly kinds: Kinds }> = keyof M["kinds"] & string;

/** Fills in a remedy. */
export function remedyText(remedy: Remedy, values: readonly unknown[]): string {
  if (typeof remedy === "string") return remedy;
  if (typeof remedy === "function") return remedy(...(values as never[]));
  const [variant, ...rest] = values;
  return remedyText(remedy[variant as string]!, rest);
}

/**
 * Defines the problems of a room by their codes, in the order of docs/errors.md.
 *
 * @returns A function that makes a problem of a code.
 */
export function defineProblems<const D extends Kinds>(
  title: string,
  kinds: D & WithExamples<D>,
): ProblemMaker<D> {
  const make: MakerOf<D, Problem> = (code, { subject, seen }, ...values) => ({
    code,
    // A library's error text may quote what the library was given.
    subject: withoutSecrets(subject),
    seen: withoutSecrets(seen),
    remedy: remedyText(kinds[code].remedy, values),
  });
  const error: MakerOf<D, UserError> = (code, what, ...values) => new UserError(make(code, what, ...values));
  return Object.assign(make, { error, title, kinds });
}

/** The most characters of a part of a problem: enough for a list of missing rights. */
const partLimit = 4000;

/** The parts of a problem, each made printable on one line, since they may quote text from outside. */
function partsOf({ code, subject, seen, remedy }: Problem): { about: string; then: string } {
  const [about, what, then] = [subject, seen, remedy].map((part) => printable(part, partLimit));
  return { about: `${about!}: ${what!}`, then: `${then!} [${code}]` };
}

/** Formats a problem on one line: `subject: what was seen. What to do [code]` */
export function describeProblem(problem: Problem): string {
  const { about, then } = partsOf(problem);
  return `${about}. ${then}`;
}

/** Formats one of several problems, with the remedy on a line of its own. */
function listProblem(problem: Problem, number: number): string {
  const { about, then } = partsOf(problem);
  return `  ${number}. ${about}\n     → ${then}`;
}

/**
 * The error for everything that an operator can put right. It is printed without a stack. It carries all problems that
 * were found, since to report one at a time would cost a run each.
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
 * Waits for all checks and throws one {@link UserError} with the problems of all that failed, without duplicates. It
 * rethrows an error of another kind unchanged: a defect, or an error that the caller handles.
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
