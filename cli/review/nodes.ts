/**
 * What a preview says of nodes: what the engine does with each, why, and when it is its turn.
 * It never guesses a reason: the program gives them, at the node's resource.
 */
import * as z from "zod";
import { type NodeChange, type NodeReason, parseChange, reason } from "../../plan/reasons";
import { environmentOf, readRecordedCanary, resourceTypes } from "../../state/records";
import type { NodeReview } from "./findings";
import { type Preview, type Step, changes } from "./preview";

const nodeRecord = z.object({ node: z.string() });

/** What the program says of nodes: at the resource of each, or of one that is gone, at that of all. */
function changesSaid({ diagnostics }: Preview): (urn: string, node: string) => readonly NodeChange[] {
  const said = diagnostics.flatMap(({ urn, message }) => {
    const change = parseChange(message);
    return change ? [{ urn, change }] : [];
  });
  return (urn, node) =>
    said.filter(({ urn: at, change }) => at === urn && change.node === node).map(({ change }) => change);
}

/** The names of nodes, by the URNs of their resources. */
export function nodeNames({ steps }: Pick<Preview, "steps">): ReadonlyMap<string, string> {
  return new Map(
    steps.flatMap(({ urn, type, before, after }) => {
      const record =
        type === resourceTypes.node ? nodeRecord.safeParse((after ?? before)?.inputs).data : undefined;
      return record ? [[urn, record.node] as const] : [];
    }),
  );
}

/** The variables of a command that differ, by name: their values may be anything. */
function changedVariables(before: unknown, after: unknown): string[] {
  const [old, now] = [environmentOf(before), environmentOf(after)];
  return [...new Set([...Object.keys(old), ...Object.keys(now)])]
    .filter((name) => name.startsWith("TKC_REGISTRY_") && old[name] !== now[name])
    .sort();
}

/** The reason of a node that is touched, where the program gives none: as of a program of an earlier release. */
function plainReason(node: Step, commands: readonly Step[]): NodeReason {
  if (!node.before) return reason("new");
  const names = commands.flatMap(({ before, after }) => changedVariables(before?.inputs, after?.inputs));
  const what = names.length > 0 ? `: ${[...new Set(names)].join(", ")}` : "";
  return reason("settings-changed", { text: `what its commands are given changes${what}` });
}

function reviewNode(
  node: Step,
  set: Step,
  commands: readonly Step[],
  saidOf: ReturnType<typeof changesSaid>,
): NodeReview {
  const name = nodeRecord.safeParse((node.after ?? node.before)?.inputs).data?.node ?? node.name;
  const said = [node, set].flatMap(({ urn }) => saidOf(urn, name));
  const of = <What extends "role" | "turn">(what: What): NonNullable<NodeChange[What]> | null =>
    said.find((change) => change[what] !== undefined)?.[what] ?? null;
  const common = { cluster: set.name, name, role: of("role"), step: null, canary: false };
  const shown = (reasons: readonly NodeReason[]): NodeReview["reasons"] =>
    reasons.map(({ code, host, text }) => ({ code, host: host ?? null, text }));
  const reasons = said.flatMap((change) => change.reasons);
  if (!node.after) {
    const given = reasons.length > 0 ? reasons : [reason("no-longer-in-cluster")];
    return set.after
      ? {
          ...{
            ...common,
            action: "remove",
            restart: said.some(({ action, restart }) => action === "remove" && restart),
          },
          reasons: shown(given),
        }
      : {
          ...{ ...common, action: "remove", restart: null },
          reasons: shown([reason("settings-changed", { text: "its cluster leaves the stack" })]),
        };
  }
  if (commands.some(changes))
    return {
      ...{ ...common, action: "install", step: of("turn") },
      reasons: shown(reasons.length > 0 ? reasons : [plainReason(node, commands)]),
      restart: said.find(({ action }) => action === "install")?.restart ?? null,
    };
  const action = said.some((change) => change.action === "skip") ? "skip" : "none";
  return { ...common, action, reasons: shown(reasons), restart: false };
}

/** The node that goes first and has to pull, where one does: its command is a child of the nodes' component. */
const canaryOf = (set: Step, commands: readonly Step[]): string | undefined =>
  commands.flatMap(({ urn, after, ...step }) =>
    after && changes(step)
      ? (readRecordedCanary({ urn, outputs: after.inputs }, [set.name])?.pulled?.node ?? [])
      : [],
  )[0];

/** All nodes, those that are touched first, in the order of their turns. */
export function reviewNodes(preview: Preview): NodeReview[] {
  const said = changesSaid(preview);
  const childrenOf = (parent: string, type: string): Step[] =>
    preview.steps.filter((step) => step.parent === parent && step.type === type);
  return preview.steps
    .filter(({ type }) => type === resourceTypes.nodes)
    .flatMap((set) => {
      const nodes = childrenOf(set.urn, resourceTypes.node).map((node) =>
        reviewNode(node, set, childrenOf(node.urn, resourceTypes.command), said),
      );
      const canary = canaryOf(set, childrenOf(set.urn, resourceTypes.command));
      return nodes
        .map((node) => ({ ...node, canary: node.name === canary }))
        .sort((a, b) => (a.step ?? Infinity) - (b.step ?? Infinity) || (a.name < b.name ? -1 : 1));
    });
}
