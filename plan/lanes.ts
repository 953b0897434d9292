import type { ClusterNode } from "../kubernetes/types";

/** A node, and the names of those that it must wait for. */
export interface Turn<N> {
  readonly node: N;
  readonly after: readonly string[];
  /** What comes between it and those. */
  readonly gate?: Gate;
}

/** The end of a wave of workers: it comes after all of them, and before the next wave. */
export interface Gate {
  /** Of the wave, by its place in the settings: from 1 on. */
  readonly wave: number;
  /** The names of the wave's nodes. */
  readonly nodes: readonly string[];
}

/** Workers that are done together, before those of later waves. */
export interface Wave<N> {
  readonly isMeant: (node: N) => boolean;
  /** How many at once. */
  readonly width: number;
}

/** Nodes that are done in lanes, all before the next stage. */
interface Stage<N> {
  readonly nodes: readonly N[];
  readonly width: number;
  readonly gate?: Gate;
}

/**
 * The stages in their order: the node that goes first, the control plane, each wave, and the workers of none. A wave has
 * its end whatever goes first: where nothing else is left of it, its end comes after that one.
 */
function stagesOf<N extends Pick<ClusterNode, "name" | "role">>(
  nodes: readonly N[],
  width: number,
  waves: readonly Wave<N>[],
  first: string | undefined,
): Stage<N>[] {
  const sorted = [...nodes].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  let left = sorted.filter(({ role }) => role === "worker");
  const inWaves = waves.map((wave, index): Stage<N> => {
    const its = left.filter((node) => wave.isMeant(node));
    left = left.filter((node) => !its.includes(node));
    return {
      nodes: its,
      width: wave.width,
      gate: { wave: index + 1, nodes: its.map(({ name }) => name) },
    };
  });
  const controlPlane = sorted.filter(({ role }) => role === "control-plane");
  const stages = [{ nodes: controlPlane, width: 1 }, ...inWaves, { nodes: left, width }].filter(
    (stage) => stage.nodes.length > 0,
  );
  const last = stages.at(-1);
  if (last) stages.splice(-1, 1, { nodes: last.nodes, width: last.width });
  const isFirst = ({ name }: N): boolean => name === first;
  const own = stages.find((stage) => stage.nodes.some(isFirst));
  if (!own) return stages;
  const others = { ...own, nodes: own.nodes.filter((node) => !isFirst(node)) };
  const alone = { nodes: own.nodes.filter(isFirst), width: 1 };
  return others.nodes.length > 0
    ? [alone, ...stages.map((stage) => (stage === own ? others : stage))]
    : [{ ...own, ...alone }, ...stages.filter((stage) => stage !== own)];
}

/**
 * The order in which nodes are done: each node's predecessors. Control-plane nodes go one at a time, so that never
 * two of them restart at once; then the workers, wave after wave, in lanes, each lane one node at a time, so that a
 * failed worker stops its own lane only, and the waves after it.
 *
 * @param width how many workers at once, of those that no wave means.
 * @param waves a worker is of the first one that means it.
 * @param first the node that goes before all others, which wait for it.
 * @returns the nodes in an order in which every predecessor comes before its successors, with the names of those
 *   that each must wait for.
 */
export function planLanes<N extends Pick<ClusterNode, "name" | "role">>(
  nodes: readonly N[],
  width: number,
  { waves = [], first }: { readonly waves?: readonly Wave<N>[]; readonly first?: string | undefined } = {},
): Turn<N>[] {
  const order: Turn<N>[] = [];
  let before: Pick<Turn<N>, "after" | "gate"> = { after: [] };
  for (const stage of stagesOf(nodes, width, waves, first)) {
    const names = stage.nodes.map(({ name }) => name);
    stage.nodes.forEach((node, index) => {
      order.push({ node, ...(index < stage.width ? before : { after: [names[index - stage.width]!] }) });
    });
    // The last of each lane, after which all of the stage are done.
    before = { after: names.slice(-stage.width), ...(stage.gate ? { gate: stage.gate } : {}) };
  }
  return order;
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
