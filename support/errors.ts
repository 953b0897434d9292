/**
 * Problems and the error that carries them to people.
 * It never imports another room: every room throws these.
 */
import { withoutSecrets } from "./secrets";
import { printable } from "./text";

/** One thing that is wrong, told so that a reader can act on it without reading our code. */
export interface Problem {
  /** A stable name of the kind of problem, for tests, logs and docs/errors.md: one of a room's `problems.ts`. */
  readonly code: string;
  /** What the problem is about: a setting (`registries[0].ca.sha256`), a node, an object, a file. */
  readonly subject: string;
  /** What was seen there, with the shape of a value rather than the value where it could be a secret. */
  readonly seen: string;
  /** What to do next. */
  readonly remedy: string;
}

/** What to do: a text, one that is made of values, or several of them by name. */
type Remedy = string | ((...values: never[]) => string) | { readonly [variant: string]: Remedy };

/** What it takes to write a remedy: the names on the way to a text, then the values that go into it. */
type ValuesOf<R> = R extends string
  ? []
  : R extends (...values: infer V) => string
    ? V
    : { [K in keyof R]: [variant: K, ...ValuesOf<R[K]>] }[keyof R];

/** What all problems of one code have in common. */
export interface ProblemKind {
  /** Why it comes about; the messages say what was seen and what to do. */
  readonly cause: string;
  readonly remedy: Remedy;
  /** For docs/errors.md: subject, what was seen, and the values of the remedy. */
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
  /** The same, as an error to throw. */
  readonly error: MakerOf<D, UserError>;
  readonly title: string;
  readonly kinds: D;
};

/** What {@link ProblemMaker} takes for the remedy of a code. */
export type RemedyOf<M extends { readonly kinds: Kinds }, C extends keyof M["kinds"]> = ValuesOf<
  M["kinds"][C]["remedy"]
>;

export type CodeOf<M extends { readonly kinds: Kinds }> = keyof M["kinds"] & string;

/** Writes a remedy with the values that it takes. */
export function remedyText(remedy: Remedy, values: readonly unknown[]): string {
  if (typeof remedy === "string") return remedy;
  if (typeof remedy === "function") return remedy(...(values as never[]));
  const [variant, ...rest] = values;
  return remedyText(remedy[variant as string]!, rest);
}

/**
 * Lists the problems of a room by their codes, in the order of docs/errors.md.
 *
 * @returns What makes one of them where it is found.
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
