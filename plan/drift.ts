/**
 * Decides which nodes need an installation, and why. The nonce is an input of the node's command: Pulumi runs the command
 * only if the nonce differs from the recorded one, or another of its inputs does.
 */
import { createHash } from "node:crypto";
import type { Observation } from "../nodes/operations/inspection";
import type { ScriptSuccess } from "../nodes/protocol/report";
import {
  type TrustMode,
  type TrustedCertificate,
  type UnreachablePolicy,
  isSkipped,
} from "../nodes/protocol/spec";
import type { RecordedNode } from "../state/previousState";
import type { NodeCommand } from "./nodeCommand";
import { type NodeChange, type NodeReason, type ReasonCode, reason } from "./reasons";

/** What is known of a node. */
export interface KnownNode {
  readonly name: string;
  readonly uid: string;
  /** The state's record of this node; undefined if there is none. */
  readonly recorded: RecordedNode | undefined;
  /** Whether the state's record of the name is another node's. */
  readonly replaces: boolean;
  /** The node's observation; undefined if it was not inspected. */
  readonly observed: Observation | undefined;
}

/** What a node is to be. */
export interface WantedNode {
  readonly certificates: readonly TrustedCertificate[];
  readonly trustMode: TrustMode;
  readonly unreachable: UnreachablePolicy;
  readonly command: NodeCommand;
  /** The stack's id; undefined before its first run. */
  readonly id: string | undefined;
  /** Whether a host key is known that it must show. */
  readonly pinned: boolean;
}

/** What a report says of the CAs that the node was to trust already: each registry once. */
function lostTrust(recorded: RecordedNode, { trusted, present, trust }: ScriptSuccess): NodeReason[] {
  const lost = new Map<string, NodeReason>();
  for (const { registry: host, sha256 } of recorded.certificates) {
    if (trusted.includes(sha256)) continue;
    if (!present.includes(sha256)) lost.set(host, reason("file-missing", { host }));
    else if (!lost.has(host))
      lost.set(
        host,
        reason("bundle-rebuilt", {
          host,
          ...(trust === "certs.d" ? { text: "containerd no longer reads its CA" } : {}),
        }),
      );
  }
  return [...lost.values()];
}

/** Why a recorded node that answered needs an installation for its own sake. */
function driftReasons(recorded: RecordedNode, report: ScriptSuccess, wanted: WantedNode): NodeReason[] {
  const stillWanted = recorded.certificates.filter(({ registry, sha256 }) =>
    wanted.certificates.some((each) => each.registry === registry && each.sha256 === sha256),
  );
  // A node without a record of ours has no nonce.
  const unknownRun = report.trust !== undefined && report.nonce !== recorded.nonce;
  return [
    ...(recorded.skipped ? [reason("skipped")] : []),
    ...(!recorded.skipped && (unknownRun || !recorded.settled) ? [reason("interrupted")] : []),
    ...lostTrust({ ...recorded, certificates: stillWanted }, report),
    ...(report.loaded === true ? [] : [reason("containerd-older")]),
  ];
}

/** How people call the inputs that settings decide. */
const inputNames: Readonly<Record<string, string>> = {
  TKC_REGISTRY_NODE_MACHINE_ID: "its machine id",
  TKC_REGISTRY_NODE_HOST_NAME: "its host name",
  TKC_REGISTRY_NODE_ADDRESS: "its address",
  TKC_REGISTRY_NODE_USER: "the SSH user",
  TKC_REGISTRY_NODE_PORT: "the SSH port",
  TKC_REGISTRY_ACCESS: "the way to it",
  TKC_REGISTRY_SSH_KEY: "the SSH key's place",
  TKC_REGISTRY_CLUSTER_CONTEXT: "the kubeconfig context",
  TKC_REGISTRY_CLUSTER: "what proves the cluster",
  TKC_REGISTRY_HOST_KEY: "its host key in the settings",
  TKC_REGISTRY_OWNER: "the stack's name",
  TKC_REGISTRY_ID: "the stack's id",
  TKC_REGISTRY_TRUST: "the order of the registries",
  TKC_REGISTRY_TRUST_BY: "the trust mode",
  TKC_REGISTRY_READY_TIMEOUT: "how long it may take to be Ready",
  create: "the command that installs",
  delete: "how the CAs are removed",
};

/** Why the CAs that a node is to trust differ from those that it was to trust. */
function certificateReasons(
  before: readonly TrustedCertificate[],
  now: readonly TrustedCertificate[],
): NodeReason[] {
  const of = (host: string, all: readonly TrustedCertificate[]): readonly string[] =>
    all.filter(({ registry }) => registry === host).map(({ sha256 }) => sha256);
  return [...new Set([...before, ...now].map(({ registry }) => registry))].flatMap((host) => {
    const [had, wants] = [of(host, before), of(host, now)];
    if (wants.length === 0) return reason("registry-removed", { host });
    if (wants.some((sha256) => !had.includes(sha256))) return reason("new-ca", { host });
    return had.every((sha256) => wants.includes(sha256))
      ? []
      : reason("settings-changed", { host, text: "one of its CA certificates is no longer to be trusted" });
  });
}

/** Why a recorded node's command differs from the recorded one. */
function changedInputs(recorded: RecordedNode, { command, certificates, id }: WantedNode): NodeReason[] {
  const inputsOf = ({ create, delete: remove, environment }: RecordedNode["command"]) =>
    new Map<string, string | undefined>([
      ...Object.entries(environment),
      ["create", create],
      ["delete", remove],
    ]);
  const before = inputsOf(recorded.command);
  const now = inputsOf(command).set("TKC_REGISTRY_ID", id);
  before.delete("TKC_REGISTRY_NONCE");
  const changed = new Set(
    [...new Set([...before.keys(), ...now.keys()])].filter((name) => before.get(name) !== now.get(name)),
  );
  if (id === undefined) changed.add("TKC_REGISTRY_ID"); // made by this run
  const reasons = changed.has("TKC_REGISTRY_TRUST")
    ? certificateReasons(recorded.certificates, certificates)
    : [];
  if (reasons.length > 0) changed.delete("TKC_REGISTRY_TRUST");
  if (changed.delete("TKC_REGISTRY_SCRIPT_SHA256")) reasons.push(reason("script-changed"));
  const names = new Set([...changed].map((name) => inputNames[name] ?? "what an earlier release recorded"));
  if (names.size > 0) reasons.push(reason("settings-changed", { text: `changed: ${[...names].join(", ")}` }));
  return reasons;
}

/** A nonce that tells why, in a form that node commands take. */
function derived(why: ReasonCode, ...from: readonly unknown[]): string {
  return `${why}-${createHash("sha256").update(JSON.stringify(from)).digest("hex").slice(0, 16)}`;
}

/**
 * @returns A nonce derived from these alone, so that preview and update agree:
 *   - the recorded nonce if the node is in order, was not inspected, or is unreachable and skipped;
 *   - the node's own nonce if it is in order, and an interrupted run installed it without recording it;
 *   - a new nonce if the node needs an installation, as one does that was skipped and is reachable again.
 */
export function nonceOf({ uid, recorded, replaces, observed }: KnownNode, wanted: WantedNode): string {
  if (recorded === undefined) return derived(replaces ? "replaced" : "new", uid);
  if (observed === undefined) return recorded.skipped ? derived("skipped", recorded.nonce) : recorded.nonce;
  if (observed.kind === "silent") {
    const { code } = observed.problem;
    return isSkipped(code, wanted) ? recorded.nonce : derived("unreachable", recorded.nonce, code);
  }
  const { trusted, loaded, nonce } = observed.report;
  const well = loaded === true && wanted.certificates.every(({ sha256 }) => trusted.includes(sha256));
  if (well && nonce !== undefined && !recorded.skipped) return nonce;
  const [why] = [...driftReasons(recorded, observed.report, wanted), ...changedInputs(recorded, wanted)];
  return derived(why?.code ?? "interrupted", recorded.nonce, trusted, loaded, nonce, recorded.skipped);
}

/** Whether containerd will restart where the node is installed: it does when the trust store changes. */
function restarts(
  observed: Observation | undefined,
  { certificates, trustMode }: WantedNode,
): boolean | null {
  if (observed?.kind !== "answered") return null;
  const { trusted, present, loaded, trust, records } = observed.report;
  if (loaded !== true) return true;
  const way = trustMode === "auto" ? trust : trustMode;
  const all = new Set(certificates.map(({ sha256 }) => sha256));
  const asWanted =
    [...all].every((sha256) => trusted.includes(sha256)) &&
    [...trusted, ...present].every((sha256) => all.has(sha256));
  if (way === "certs.d" ? trust !== "system" : trust === "system" && asWanted) return false;
  // What is missing here may be another stack's too, and then there already.
  return way === undefined || records.length > 0 ? null : true;
}

/** Why a node is touched, or is not. */
function reasonsOf({ recorded, replaces, observed }: KnownNode, wanted: WantedNode): NodeReason[] {
  const reasons = recorded ? changedInputs(recorded, wanted) : [reason(replaces ? "replaced" : "new")];
  if (observed === undefined) {
    if (recorded?.skipped) reasons.unshift(reason("skipped"));
    else if (recorded?.settled === false) reasons.unshift(reason("interrupted"));
    if (recorded) reasons.push(reason("not-asked"));
  } else if (observed.kind === "silent") {
    const { code, seen } = observed.problem;
    const text = `${seen} (${code})`;
    reasons.unshift(reason(isSkipped(code, wanted) ? "skipped" : "unreachable", { text }));
  } else if (recorded) {
    reasons.unshift(...driftReasons(recorded, observed.report, wanted));
  } else if (observed.report.trust !== undefined) {
    reasons.push(reason("interrupted"));
  }
  if (!wanted.pinned && observed?.kind !== "silent") {
    const shown = observed?.report.hostKey;
    reasons.push(
      reason(
        "first-contact",
        shown === undefined ? {} : { text: `first contact: its host key ${shown} will be noted` },
      ),
    );
  }
  return reasons;
}

/** What a run does to a node, and why. */
export function changeOf(known: KnownNode, wanted: WantedNode): NodeChange {
  const { name: node, observed } = known;
  const reasons = reasonsOf(known, wanted);
  if (observed?.kind === "silent" && isSkipped(observed.problem.code, wanted))
    return { node, reasons, action: "skip", restart: false };
  return reasons.every(({ code }) => code === "not-asked")
    ? { node, reasons: reasons.length > 0 ? reasons : [reason("in-order")], action: "none", restart: false }
    : { node, reasons, action: "install", restart: restarts(observed, wanted) };
}

/**
 * What the node's command is going to print again, as nothing of the installation changes: only how it is kept in the
 * state. Undefined where that is not known beforehand.
 */
export function repeatedReport(known: KnownNode, wanted: WantedNode): string | undefined {
  const { recorded, observed } = known;
  const same = ["TKC_REGISTRY_TRUST", "TKC_REGISTRY_TRUST_BY"].every(
    (name) => recorded?.command.environment[name] === wanted.command.environment[name],
  );
  return observed?.kind === "answered" &&
    same &&
    !recorded?.skipped &&
    changeOf(known, wanted).restart === false
    ? recorded?.report
    : undefined;
}
