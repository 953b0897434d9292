/** The waves of a rollout: which workers are done together, and what comes between two waves. */
import { createHash } from "node:crypto";
import type { TrustSettings } from "../config/settings";
import { matches, parseSelector } from "../kubernetes/selector";
import type { ClusterNode } from "../kubernetes/types";
import { counted } from "../support/text";
import type { Turn, Wave } from "./lanes";
import type { NodePlan } from "./nodes";
import { changesNode } from "./reach";

/** What is between a wave and the next: it waits for all nodes of the wave. */
export interface WaveEnd {
  /** By its place in the settings: from 1 on. */
  readonly wave: number;
  /** The names of its nodes. */
  readonly nodes: readonly string[];
  /** How long the run waits there where it installed anything in the wave. */
  readonly pauseSeconds: number;
  /** Whether it does. */
  readonly works: boolean;
  /** SHA-256 of what is planned for the nodes of the wave. */
  readonly digest: string;
}

/** The waves that the settings have. */
export function wavesOf({ rollout, nodes: { workersAtOnce } }: TrustSettings): Wave<ClusterNode>[] {
  return rollout.waves.map(({ select, workersAtOnce: width = workersAtOnce }) => {
    const selector = parseSelector(select);
    return { isMeant: ({ labels }) => matches(selector, labels), width };
  });
}

/** The ends of all waves but the last, by the waves' numbers. */
export function waveEnds(
  order: readonly Turn<unknown>[],
  decided: readonly (Pick<NodePlan, "command" | "nonce" | "change"> & {
    readonly node: Pick<ClusterNode, "name">;
  })[],
  { waves, pauseSeconds }: TrustSettings["rollout"],
): ReadonlyMap<number, WaveEnd> {
  const gates = new Map(order.flatMap(({ gate }) => (gate ? [[gate.wave, gate] as const] : [])));
  return new Map(
    [...gates.values()].map(({ wave, nodes }): [number, WaveEnd] => {
      const names = new Set(nodes);
      const its = decided.filter(({ node }) => names.has(node.name));
      const planned = its.map(({ node: { name }, command, nonce }) => [name, command, nonce]);
      return [
        wave,
        {
          ...{ wave, nodes },
          pauseSeconds: waves[wave - 1]!.pauseSeconds ?? pauseSeconds,
          works: its.some(({ change }) => changesNode(change)),
          digest: createHash("sha256").update(JSON.stringify(planned)).digest("hex"),
        },
      ];
    }),
  );
}

/** The waves in words, and a warning for each that has no node. */
export function waveFindings(
  nodes: readonly ClusterNode[],
  { rollout, nodes: { workersAtOnce }, setting }: TrustSettings,
): { readonly facts: readonly string[]; readonly warnings: readonly string[] } {
  if (rollout.waves.length === 0) return { facts: [], warnings: [] };
  let left = nodes.filter(({ role }) => role === "worker");
  const [facts, warnings]: [string[], string[]] = [[], []];
  rollout.waves.forEach(({ select, workersAtOnce: width, pauseSeconds = rollout.pauseSeconds }, index) => {
    const selector = parseSelector(select);
    const its = left.filter(({ labels }) => matches(selector, labels));
    left = left.filter((node) => !its.includes(node));
    if (its.length === 0)
      warnings.push(
        `${setting(`rollout.waves[${index}]`)} (${select}) means no worker that no earlier wave means`,
      );
    const atOnce = Math.min(width ?? workersAtOnce, its.length);
    const pause = pauseSeconds > 0 ? `, then ${pauseSeconds} s` : "";
    facts.push(`${index + 1} (${select}): ${counted(its.length, "worker")}, ${atOnce} at once${pause}`);
  });
  if (left.length > 0)
    facts.push(`last: ${counted(left.length, "worker")}, ${Math.min(workersAtOnce, left.length)} at once`);
  return { facts: [`waves: ${facts.join("; ")}`], warnings };
}
