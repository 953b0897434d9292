/** The nodes that the settings leave out: what is said of them, and which runs have meant which nodes. */
import type { ExcludedNode, NodeSelection } from "../kubernetes/selection";
import type { PreviousState } from "../state/previousState";
import type { RecordedIdentity } from "../state/records";

/** Words by which a review finds what is said of nodes that are left out. */
export const leftOutWords = "left out by ";

/** The nodes that are left out, each setting that does so in a line. */
export function excludedFacts(excluded: readonly ExcludedNode[]): readonly string[] {
  const settings = [...new Set(excluded.map(({ by }) => by))].sort();
  return settings.map((by) => {
    const names = excluded.filter((node) => node.by === by).map(({ name }) => name);
    return `${leftOutWords}${by}: ${names.join(", ")}`;
  });
}

/** Whether the state has a node that is left out now. */
export const leaves = (
  { name, uid }: Pick<ExcludedNode, "name" | "uid">,
  { nodes }: Pick<PreviousState, "nodes">,
): boolean => nodes.get(name)?.uid === uid;

/** A warning where nodes that earlier runs did are left out now. */
export function leavingWarnings(
  excluded: readonly ExcludedNode[],
  previous: Pick<PreviousState, "nodes">,
): readonly string[] {
  const names = excluded.filter((node) => leaves(node, previous)).map(({ name }) => name);
  return names.length === 0
    ? []
    : [
        `left out from now on, so that our CAs are removed from ${names.length === 1 ? "it" : "them"}: ${names.join(", ")}`,
      ];
}

/**
 * Which nodes the runs of a stack have meant, the present one's last: a run that was killed may have left something on
 * each of them. `undefined` where this run means all nodes.
 */
export function selectionsOf(
  { select, exclude }: NodeSelection,
  identity: RecordedIdentity | undefined,
): readonly NodeSelection[] | undefined {
  if (select === undefined && exclude === undefined) return undefined;
  const now: NodeSelection = {
    ...(select === undefined ? {} : { select }),
    ...(exclude === undefined ? {} : { exclude }),
  };
  const earlier = identity === undefined || identity.untouched ? [] : (identity.selections ?? [{}]);
  return [...earlier.filter((each) => each.select !== select || each.exclude !== exclude), now];
}
