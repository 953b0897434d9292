/**
 * Which of a cluster's nodes a stack is about: those that `nodes.select` names, without those that `nodes.exclude` does.
 * It is decided by labels alone, before anything else of a node is read.
 */
import * as z from "zod";
import { printable } from "../support/text";
import { pinsOf } from "./pins";
import { type Labels, type Requirement, SelectorError, matches, negated, parseSelector } from "./selector";

/** The settings `nodes.select` and `nodes.exclude`, as `kubectl -l` takes them. Without both, all nodes are meant. */
export interface NodeSelection {
  readonly select?: string | undefined;
  readonly exclude?: string | undefined;
}

/** What is wrong with a selector. One that is empty is refused: it might mean all nodes, or none. */
export function selectorFault(text: string): string | undefined {
  try {
    return parseSelector(text).length > 0 ? undefined : "it is empty";
  } catch (error) {
    if (error instanceof SelectorError) return printable(error.message);
    throw error;
  }
}

const selectorText = z
  .string()
  .refine((text) => selectorFault(text) === undefined, "is not a label selector");
export const selectionSchema = z.object({
  select: selectorText.optional(),
  exclude: selectorText.optional(),
}) satisfies z.ZodType<NodeSelection>;

/** What is read of each node, also of those that are left out: nothing of it has to have any shape. */
export interface ListedNode {
  readonly name: string;
  readonly uid: string;
  readonly labels: Labels;
  readonly osImage: string;
  readonly pins: Readonly<Record<string, string>>;
}

/** A node of the cluster that the stack leaves alone. */
export interface ExcludedNode {
  readonly name: string;
  readonly uid: string;
  /** `nodes.exclude (kubernetes.io/os=windows)`: the setting that leaves it out. */
  readonly by: string;
}

const text = z.string().catch("");
const texts = z.record(z.string(), z.string()).catch({});
const listedSchema = z.object({
  metadata: z.object({ name: text, uid: text, labels: texts, annotations: texts }),
  status: z.object({ nodeInfo: z.object({ osImage: text }).catch({ osImage: "" }) }).catch({
    nodeInfo: { osImage: "" },
  }),
});

/** Reads what is read of each node; `undefined` of what is no object at all. */
export function listedNode(item: unknown): ListedNode | undefined {
  const { metadata, status } = listedSchema.safeParse(item).data ?? {};
  return (
    metadata && {
      name: printable(metadata.name, 253),
      uid: metadata.uid,
      labels: metadata.labels,
      osImage: printable(status!.nodeInfo.osImage, 100),
      pins: pinsOf(metadata.annotations),
    }
  );
}

/** The setting that leaves out a node with these labels; `undefined` where none does. */
export function leftOutBy(labels: Labels, { select, exclude }: NodeSelection): string | undefined {
  if (exclude !== undefined && matches(parseSelector(exclude), labels)) return `nodes.exclude (${exclude})`;
  if (select !== undefined && !matches(parseSelector(select), labels)) return `nodes.select (${select})`;
  return undefined;
}

/** Conditions on the labels of the nodes that are meant: all of one term hold. `undefined` where all nodes are meant. */
export function selectionTerms({
  select,
  exclude,
}: NodeSelection): readonly (readonly Requirement[])[] | undefined {
  if (select === undefined && exclude === undefined) return undefined;
  const selected = select === undefined ? [] : parseSelector(select);
  // Not all of the requirements of `exclude` hold: at least one does not.
  return exclude === undefined
    ? [selected]
    : parseSelector(exclude).flatMap((requirement) =>
        negated(requirement).map((instead) => [...selected, instead]),
      );
}

/** Labels by which people tell kinds of nodes; others come after them, and what names a single node comes last. */
const telling = ["kubernetes.io/os", "run.tanzu.vmware.com/kubernetesDistributionVersion"];
const namesOne = "kubernetes.io/hostname";

/**
 * A selector, of one requirement, that all of some nodes match and none of the others.
 *
 * @returns With its negation; `undefined` where no label tells them apart.
 */
export function separating(
  apart: readonly ListedNode[],
  others: readonly ListedNode[],
): { readonly is: string; readonly isNot: string } | undefined {
  const rank = (key: string): number =>
    key === namesOne ? Infinity : telling.includes(key) ? telling.indexOf(key) : telling.length;
  const keys = Object.keys(apart[0]?.labels ?? {}).sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  for (const key of keys) {
    const values = [...new Set(apart.map(({ labels }) => labels[key]))].sort();
    if (values.includes(undefined) || others.some(({ labels }) => values.includes(labels[key]))) continue;
    const [first, ...rest] = values as [string, ...string[]];
    return rest.length === 0
      ? { is: `${key}=${first}`, isNot: `${key}!=${first}` }
      : { is: `${key} in (${values.join(",")})`, isNot: `${key} notin (${values.join(",")})` };
  }
  return undefined;
}
