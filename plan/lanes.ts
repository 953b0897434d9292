import type { ClusterNode } from "../kubernetes/types";

/** A node, and the names of those that it must wait for. */
export interface Turn<N> {
  readonly node: N;
  readonly after: readonly string[];
}

/**
 * The order in which nodes are done: each node's predecessors. Control-plane nodes go one at a time, so that never
 * two of them restart at once; then the workers in lanes, each lane one node at a time, so that a failed worker
 * stops its own lane only.
 *
 * @param width how many workers at once.
 * @param first the node that goes before all others, which wait for it.
 * @returns the nodes in an order in which every predecessor comes before its successors, with the names of those
 *   that each must wait for.
 */
export function planLanes<N extends Pick<ClusterNode, "name" | "role">>(
  nodes: readonly N[],
  width: number,
  first?: string,
): Turn<N>[] {
  const sorted = [...nodes].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const others = sorted.filter(({ name }) => name !== first);
  const oneByOne = [
    ...sorted.filter(({ name }) => name === first),
    ...others.filter((node) => node.role === "control-plane"),
  ];
  const workers = others.filter((node) => node.role === "worker");
  const last = oneByOne.at(-1);
  return [
    ...oneByOne.map((node, index) => ({
      node,
      after: index === 0 ? [] : [oneByOne[index - 1]!.name],
    })),
    ...workers.map((node, index) => {
      const before = index < width ? last : workers[index - width];
      return { node, after: before ? [before.name] : [] };
    }),
  ];
}

/**
 * When it is whose turn, from 1 on, by name. Nodes that are left alone take no time, and have no turn.
 *
 * @param order As {@link planLanes} returns it.
 */
export function turnsOf(
  order: readonly Turn<{ readonly name: string }>[],
  isTouched: (name: string) => boolean,
): ReadonlyMap<string, number> {
  const ends = new Map<string, number>();
  for (const { node, after } of order) {
    const earlier = Math.max(0, ...after.map((name) => ends.get(name)!));
    ends.set(node.name, earlier + (isTouched(node.name) ? 1 : 0));
  }
  return new Map([...ends].filter(([name]) => isTouched(name)));
}
