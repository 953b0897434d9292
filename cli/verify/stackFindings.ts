/**
 * The findings of a stack, made of those of its sets of nodes.
 * Nothing here asks or judges.
 */
import type { Problem } from "../../support/errors";
import type { Findings } from "./findings";
import type { SetFindings } from "./judge";

/** A set of nodes that could not be asked, and why. */
export interface Unchecked {
  readonly trust: string;
  readonly problems: readonly Problem[];
}

/** The findings of a stack, from those of its sets of nodes. */
export function findingsOf(
  { name, warnings }: { readonly name: string; readonly warnings: readonly Problem[] },
  sets: readonly SetFindings[],
  unchecked: readonly Unchecked[],
  now: Date,
): Findings {
  const problems = [
    ...unchecked.flatMap(({ trust, problems }) =>
      problems.map((problem) => ({ ...problem, registryTrust: trust })),
    ),
    ...sets.flatMap((set) => set.problems),
  ];
  return {
    version: 1,
    stack: name,
    checkedAt: now.toISOString(),
    ok: problems.length === 0,
    registries: sets.flatMap((set) => set.registries),
    nodes: sets.flatMap((set) => set.nodes),
    excluded: sets.flatMap((set) => set.excluded),
    objects: sets.flatMap((set) => set.objects),
    problems,
    warnings: [
      ...warnings.map((warning) => ({ ...warning, registryTrust: null })),
      ...sets.flatMap((set) => set.warnings),
    ],
    notes: sets.flatMap((set) => set.notes),
    unchecked: unchecked.map(({ trust }) => trust),
  };
}
