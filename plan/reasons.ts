/**
 * Says why nodes are touched, or are not: in a fixed vocabulary, and in lines that the engine shows.
 * It never decides: drift.ts does.
 */
import type { ClusterNode } from "../kubernetes/types";
import { counted, printable } from "../support/text";

/** Why a node is touched, or is not, with what is said where there is no more to say. */
const texts = {
  new: "it is new",
  replaced: "it is another node of the same name",
  "file-missing": "its CA file is missing or altered",
  "bundle-rebuilt": "the node's trust store was rebuilt without its CA",
  "containerd-older": "its containerd is older than our change",
  "new-ca": "its CA is new to the node",
  "registry-removed": "it is no longer to be trusted",
  interrupted: "a run that was cut off has worked on it",
  unreachable: "it was not reached",
  skipped: "the last run skipped it",
  "not-asked": "it was not asked what it trusts",
  "script-changed": "the script that runs on nodes changed",
  "settings-changed": "its settings changed",
  "first-contact": "first contact: its host key will be noted",
  "no-longer-in-cluster": "it is no longer in the cluster, so that nothing is removed from it",
  excluded: "it is left out",
  "in-order": "it is in order",
} as const;
export type ReasonCode = keyof typeof texts;
export const reasonCodes = Object.keys(texts) as readonly ReasonCode[];

export interface NodeReason {
  readonly code: ReasonCode;
  /** The registry, where it is one registry's. */
  readonly host?: string;
  /** For people, without the host: `its CA file is missing`. One line without `; `: {@link reason} sees to that. */
  readonly text: string;
}

/** What a run does to a node, and why. */
export interface NodeChange {
  readonly node: string;
  /** Undefined of a node that is gone. */
  readonly role?: ClusterNode["role"];
  /** When it is its turn, from 1 on: nodes of one turn go side by side. Undefined where it is left alone. */
  readonly turn?: number;
  /** At least one. */
  readonly reasons: readonly NodeReason[];
  readonly action: "install" | "none" | "skip" | "remove";
  /** Whether containerd will restart; null where only the node can tell. */
  readonly restart: boolean | null;
}

/** A reason. */
export function reason(
  code: ReasonCode,
  { host, text = texts[code] }: { readonly host?: string; readonly text?: string } = {},
): NodeReason {
  const line = printable(text).replaceAll("; ", ", ");
  return host === undefined ? { code, text: line } : { code, host, text: line };
}

/** What is to be done, in words. */
const actions = {
  "install true": "install, restart containerd",
  "install false": "install, no restart of containerd",
  "install null": "install, restart containerd where it has not loaded the CA",
  "none false": "nothing to do",
  "skip false": "skip it",
  "remove true": "remove our CAs, restart containerd",
  "remove false": "remove our CAs, no restart of containerd",
} as const;
const actionKeys = Object.keys(actions) as (keyof typeof actions)[];

/**
 * A line for people, which {@link parseChange} reads:
 * `w1 (worker, turn 2): HOST: its CA file is missing or altered → … [file-missing HOST]`.
 */
export function formatChange({ node, role, turn, reasons, action, restart }: NodeChange): string {
  const who = [...(role === undefined ? [] : [role]), ...(turn === undefined ? [] : [`turn ${turn}`])];
  const why = reasons.map(({ host, text }) => (host === undefined ? text : `${host}: ${text}`)).join("; ");
  const codes = reasons.map(({ code, host }) => (host === undefined ? code : `${code} ${host}`)).join(", ");
  return `${node}${who.length > 0 ? ` (${who.join(", ")})` : ""}: ${why} → ${actions[`${action} ${restart}` as keyof typeof actions]} [${codes}]`;
}

const codePattern = `(?:${reasonCodes.join("|")})(?: [^\\s,]+)?`;
const linePattern = new RegExp(
  `^([a-z0-9.-]+)(?: \\((?:(control-plane|worker)(?:, |(?=\\))))?(?:turn (\\d{1,6}))?\\))?: (.*) → (${Object.values(actions).join("|")}) \\[(${codePattern}(?:, ${codePattern})*)\\]$`,
);

/** Reads what {@link formatChange} wrote; undefined for any other line. */
export function parseChange(line: string): NodeChange | undefined {
  const [, node, role, turn, why, words, codes] = linePattern.exec(line) ?? [];
  if (node === undefined || why === undefined || codes === undefined) return undefined;
  const said = why.split("; ");
  const named = codes.split(", ");
  if (said.length !== named.length) return undefined;
  const reasons: NodeReason[] = [];
  for (const [index, text] of said.entries()) {
    const [code, host] = named[index]!.split(" ") as [ReasonCode, string | undefined];
    if (host === undefined) reasons.push({ code, text });
    else if (text.startsWith(`${host}: `)) reasons.push({ code, host, text: text.slice(host.length + 2) });
    else return undefined;
  }
  const key = actionKeys.find((each) => actions[each] === words)!;
  const [action, restart] = key.split(" ") as [NodeChange["action"], string];
  return {
    node,
    ...(role === undefined ? {} : { role: role as ClusterNode["role"] }),
    ...(turn === undefined ? {} : { turn: Number(turn) }),
    ...{ reasons, action, restart: JSON.parse(restart) as boolean | null },
  };
}

/** Whether a node's change is told: nodes that are as they should be are passed over. */
export const isTold = ({ action }: NodeChange): boolean => action !== "none";

/** All changes in one line, in the order in which they come: undefined where nothing is to be done. */
export function summarize(changes: readonly NodeChange[]): string | undefined {
  if (!changes.some(isTold)) return undefined;
  const failing = ({ reasons }: NodeChange): boolean => reasons.some(({ code }) => code === "unreachable");
  const which = (action: NodeChange["action"], restart: boolean | null): typeof changes =>
    changes.filter((each) => each.action === action && each.restart === restart && !failing(each));
  const roles = (of: typeof changes): string => {
    const workers = of.filter(({ role }) => role === "worker").length;
    return [
      ...(of.length > workers ? [`${of.length - workers} control plane`] : []),
      ...(workers > 0 ? [counted(workers, "worker")] : []),
    ].join(", then ");
  };
  const parts = [
    ["will restart", roles(which("install", true))],
    ["will restart where the CA is not loaded", roles(which("install", null))],
    ["no restart", roles(which("install", false))],
    ["not reached", roles(changes.filter(failing))],
    ["skipped", roles(which("skip", false))],
  ] as const;
  const untouched = which("none", false).length;
  return [
    ...parts.flatMap(([what, nodes]) => (nodes === "" ? [] : [`${what}: ${nodes}`])),
    ...(untouched > 0 ? [`${counted(untouched, "node")} untouched`] : []),
  ].join("; ");
}
