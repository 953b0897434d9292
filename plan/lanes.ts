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
export function planLanes<N extends { readonly name: string; readonly role: "control-plane" | "worker" }>(
  nodes: readonly N[],
  width: number,
  first?: string,
): { readonly node: N; readonly after: readonly string[] }[] {
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
