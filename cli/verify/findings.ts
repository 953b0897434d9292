/**
 * What `npm run verify` found, and what it amounts to. {@link Findings} is what `--json` prints: an interface. Fields
 * may be added, never changed.
 */
import type { ClusterNode } from "../../kubernetes/types";
import type { Observation } from "../../nodes/operations/inspection";
import type { ScriptSuccess } from "../../nodes/protocol/report";
import { parseImageReference } from "../../registry/host";
import type { DeployedStack, StackNode } from "../../state/exportedState";
import type { ProblemCode } from "../../support/catalog";
import { type Problem, describeProblem } from "../../support/errors";

/** `null` wherever a check could not be made, or wasn't. */
export type Answer = boolean | null;

/** A certificate that nodes are to trust. */
export interface CertificateFinding {
  /** SHA-256 of the DER, lower-case hex. */
  readonly sha256: string;
  /** `null` where the last run never came to the end, so that the state doesn't know. */
  readonly subject: string | null;
  /** ISO 8601; `null` as above. */
  readonly notAfter: string | null;
  /** Whole days from now; negative once it has expired. */
  readonly daysLeft: number | null;
  readonly validity: "valid" | "expiring" | "expired" | "unknown";
}

export interface RegistryFinding {
  /** As in image names. */
  readonly host: string;
  readonly certificates: readonly CertificateFinding[];
}

/** One registry's CA on one node: true only where it is so for each of its certificates. */
export interface TrustFinding {
  readonly host: string;
  /** All of the below. */
  readonly ok: boolean;
  /** Its file is there, of the expected content. */
  readonly caFile: Answer;
  /** It is where containerd reads it: in the bundle that Go programs read, or in the registry's folder (`trust`). */
  readonly read: Answer;
  /** containerd was started after our last change of what it reads. */
  readonly loaded: Answer;
}

/** A pull that was tried. */
export interface PullFinding {
  readonly image: string;
  readonly ok: boolean;
  /** What the kubelet said of a failed one. */
  readonly message: string | null;
}

export interface NodeFinding {
  readonly name: string;
  /** `null` for a node that is gone. */
  readonly role: ClusterNode["role"] | null;
  /** Nothing of what was looked at is wrong. */
  readonly ok: boolean;
  /** Whether the cluster has it, and the stack: the very same, by its UID. */
  readonly inCluster: boolean;
  readonly inStack: boolean;
  /** SSH answered. */
  readonly reachable: Answer;
  /** It showed the host key that the state, or the settings, pin. */
  readonly hostKeyAsPinned: Answer;
  /** By which way it trusts: its trust store, or containerd's folders. */
  readonly trust: "system" | "certs.d" | null;
  /** ISO 8601. */
  readonly containerdStarted: string | null;
  readonly registries: readonly TrustFinding[];
  /** Empty without `--pull`. */
  readonly pulls: readonly PullFinding[];
}

/** All that was found. */
export interface Findings {
  readonly version: 1;
  readonly stack: string;
  /** When it was asked, ISO 8601. */
  readonly checkedAt: string;
  /** There is no problem. The exit code is 0 then, and otherwise 1. */
  readonly ok: boolean;
  readonly registries: readonly RegistryFinding[];
  /** In the order of their names. */
  readonly nodes: readonly NodeFinding[];
  readonly problems: readonly Problem[];
  /** What doesn't make `ok` false. */
  readonly warnings: readonly Problem[];
}

/** What the clusters and the nodes were asked, and said. */
export interface Evidence {
  /** The name that the operator gave. */
  readonly name: string;
  readonly stack: DeployedStack;
  /** The cluster's nodes. */
  readonly listed: readonly ClusterNode[];
  /** By node name; of the nodes that were asked. */
  readonly observed: ReadonlyMap<string, Observation>;
  /** By node name. */
  readonly pulls: ReadonlyMap<string, readonly PullFinding[]>;
  readonly now: Date;
  /** Days. */
  readonly expiresWithin: number;
}

const dayMs = 24 * 60 * 60 * 1000;
const runUp = "Run `pulumi up`";

/** The nodes of the stack that the cluster still has, and whose host key is known: those that can be asked. */
export function nodesToAsk(stack: DeployedStack, listed: readonly ClusterNode[]): StackNode[] {
  const uids = new Map(listed.map(({ name, uid }) => [name, uid]));
  return stack.nodes.filter(
    ({ target, hostKey }) => hostKey !== undefined && uids.get(target.name) === target.uid,
  );
}

/** The registries of the stack, in the order of its certificates. */
export function registryHosts({ certificates }: DeployedStack): string[] {
  return [...new Set(certificates.map(({ registry }) => registry))];
}

const certificatesOf = ({ certificates }: DeployedStack, host: string): string[] =>
  certificates.filter(({ registry }) => registry === host).map(({ sha256 }) => sha256);

function judgeCertificate(sha256: string, { stack, now, expiresWithin }: Evidence): CertificateFinding {
  const facts = stack.facts.get(sha256);
  if (!facts) return { sha256, subject: null, notAfter: null, daysLeft: null, validity: "unknown" };
  const left = new Date(facts.notAfter).getTime() - now.getTime();
  const daysLeft = Math.floor(left / dayMs);
  const validity = left <= 0 ? "expired" : left <= expiresWithin * dayMs ? "expiring" : "valid";
  return { sha256, subject: facts.subject, notAfter: facts.notAfter, daysLeft, validity };
}

function judgeRegistries(evidence: Evidence, problems: Problem[], warnings: Problem[]): RegistryFinding[] {
  return registryHosts(evidence.stack).map((host) => {
    const certificates = certificatesOf(evidence.stack, host).map((sha256) =>
      judgeCertificate(sha256, evidence),
    );
    for (const { sha256, subject, notAfter, daysLeft, validity } of certificates) {
      const about = { subject: `registry ${host}` };
      const named = `its CA certificate ${subject ?? ""}`;
      const renew = `Give the stack the registry's present CA, then run \`pulumi up\``;
      if (validity === "expired") {
        problems.push({
          code: "ca-expired",
          ...about,
          seen: `${named} expired at ${notAfter!}`,
          remedy: renew,
        });
      } else if (validity === "expiring") {
        const seen = `${named} expires in ${daysLeft!} day(s), at ${notAfter!}`;
        warnings.push({ code: "ca-expires", ...about, seen, remedy: renew });
      } else if (validity === "unknown") {
        const seen = `the state does not know when the certificate ${sha256.slice(0, 16)}… expires: the last run did not come to its end`;
        warnings.push({ code: "ca-expiry-unknown", ...about, seen, remedy: runUp });
      }
    }
    return { host, certificates };
  });
}

type Seen = Pick<NodeFinding, "reachable" | "hostKeyAsPinned" | "trust" | "containerdStarted" | "registries">;

function unknown(stack: DeployedStack, reachable: Answer, hostKeyAsPinned: Answer): Seen {
  const nothing = { ok: false, caFile: null, read: null, loaded: null };
  return {
    ...{ reachable, hostKeyAsPinned, trust: null, containerdStarted: null },
    registries: registryHosts(stack).map((host) => ({ host, ...nothing })),
  };
}

/** What fails only once keys were exchanged, and so after the host key was seen to be the one insisted on. */
const afterLogin: ReadonlySet<string> = new Set<ProblemCode>(["ssh-auth", "ssh-exec-timeout", "ssh-output"]);

/** A node that did not tell: how far the way to it goes. */
function judgeSilence({ code }: Problem, stack: DeployedStack): Seen {
  if (code === "host-key-changed") return unknown(stack, true, false);
  if (code === "ssh-handshake") return unknown(stack, true, null);
  const byTheNode = code.startsWith("node-") && code !== "node-silent";
  return byTheNode || afterLogin.has(code) ? unknown(stack, true, true) : unknown(stack, false, null);
}

function judgeTrust(host: string, wanted: readonly string[], report: ScriptSuccess): TrustFinding {
  const { trusted, present, loaded = false } = report;
  const read = wanted.every((sha256) => trusted.includes(sha256));
  // What counts as trusted has its file in place.
  const caFile = wanted.every((sha256) => present.includes(sha256) || trusted.includes(sha256));
  return { host, ok: read && loaded, caFile, read: caFile ? read : null, loaded };
}

function explainTrust(name: string, { host, caFile, read }: TrustFinding, way: string): Problem | undefined {
  const about = { subject: `node ${name}`, remedy: `${runUp}, which puts it right` };
  if (caFile === false)
    return {
      code: "ca-file-missing",
      ...about,
      seen: `the CA file of ${host} is missing, or not what it was`,
    };
  if (read === true) return undefined;
  const where =
    way === "certs.d" ? "not in the folder that containerd reads" : "not in the bundle that Go reads";
  return { code: "ca-not-read", ...about, seen: `the CA of ${host} is in place, but ${where}` };
}

function judgeReport(name: string, report: ScriptSuccess, stack: DeployedStack, problems: Problem[]): Seen {
  const registries = registryHosts(stack).map((host) =>
    judgeTrust(host, certificatesOf(stack, host), report),
  );
  for (const finding of registries) {
    const problem = explainTrust(name, finding, report.trust ?? "system");
    if (problem) problems.push(problem);
  }
  if (report.loaded !== true) {
    problems.push({
      code: "containerd-not-restarted",
      subject: `node ${name}`,
      seen: "containerd has not been started since the CA was last changed, or does not run",
      remedy: `${runUp}, which restarts it`,
    });
  }
  return {
    reachable: true,
    hostKeyAsPinned: true,
    trust: report.trust ?? null,
    containerdStarted: report.containerdStarted ?? null,
    registries,
  };
}

/** Why a node of the cluster or of the state is not one that can be asked. */
function explainAbsence(
  name: string,
  recorded: StackNode | undefined,
  listed: ClusterNode | undefined,
): Problem | undefined {
  const about = { subject: `node ${name}`, remedy: runUp };
  if (!recorded) return { code: "node-not-in-stack", ...about, seen: "it is not in the stack" };
  if (!listed) return { code: "node-gone", ...about, seen: "the stack has it, and the cluster no longer" };
  if (listed.uid !== recorded.target.uid)
    return { code: "node-replaced", ...about, seen: "the stack has an earlier node of this name" };
  if (recorded.hostKey === undefined)
    return { code: "node-not-installed", ...about, seen: "its installation never came to its end" };
  return undefined;
}

function judgeNode(name: string, evidence: Evidence, problems: Problem[]): NodeFinding {
  const { stack } = evidence;
  const recorded = stack.nodes.find(({ target }) => target.name === name);
  const listed = evidence.listed.find((node) => node.name === name);
  const mine: Problem[] = [];
  const absence = explainAbsence(name, recorded, listed);
  const observation = absence ? undefined : evidence.observed.get(name);
  let seen = unknown(stack, null, null);
  if (absence) mine.push(absence);
  else if (observation?.kind === "answered") seen = judgeReport(name, observation.report, stack, mine);
  else if (observation) {
    const { problem } = observation;
    seen = judgeSilence(problem, stack);
    const moved = listed!.address !== recorded!.target.address;
    const also = `; the cluster has it at ${listed!.address} by now: run \`pulumi up\``;
    mine.push({ ...problem, subject: `node ${name}`, remedy: `${problem.remedy}${moved ? also : ""}` });
  }
  const pulls = evidence.pulls.get(name) ?? [];
  for (const { image, ok, message } of pulls) {
    if (ok) continue;
    mine.push({
      code: "pull-failed",
      subject: `node ${name}`,
      seen: `${image} could not be pulled: ${message ?? "no reason was given"}`,
      remedy: "Look at what it says",
    });
  }
  problems.push(...mine);
  return {
    name,
    role: listed?.role ?? null,
    ok: mine.length === 0,
    inCluster: listed !== undefined,
    inStack: recorded !== undefined && (!listed || listed.uid === recorded.target.uid),
    ...seen,
    pulls,
  };
}

/** Says what the evidence amounts to. */
export function judge(evidence: Evidence): Findings {
  const { name, stack, listed, now } = evidence;
  const problems: Problem[] = [];
  const warnings = [...stack.warnings];
  const registries = judgeRegistries(evidence, problems, warnings);
  const names = [
    ...new Set([...stack.nodes.map(({ target }) => target.name), ...listed.map((node) => node.name)]),
  ].sort();
  const nodes = names.map((node) => judgeNode(node, evidence, problems));
  for (const node of listed) {
    if (node.ready) continue;
    warnings.push({
      code: "node-not-ready",
      subject: `node ${node.name}`,
      seen: "it is not Ready at the moment",
      remedy: "Look at it with `kubectl describe node`",
    });
  }
  return {
    version: 1,
    stack: name,
    checkedAt: now.toISOString(),
    ok: problems.length === 0,
    registries,
    nodes,
    problems,
    warnings,
  };
}

const yesNo = (answer: Answer): string => (answer === null ? "-" : answer ? "yes" : "NO");

function expiry({ certificates }: RegistryFinding): string {
  if (certificates.some(({ validity }) => validity === "expired")) return "EXPIRED";
  const days = certificates.flatMap(({ daysLeft }) => daysLeft ?? []);
  return days.length < certificates.length || days.length === 0 ? "-" : `in ${Math.min(...days)} d`;
}

/** The pulls of a registry's images: all of them, or `null` for none. */
function pulled(pulls: readonly PullFinding[], host: string): Answer {
  const own = pulls.filter(({ image }) => parseImageReference(image, { subject: "image" }).host === host);
  return own.length === 0 ? null : own.every(({ ok }) => ok);
}

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join("  ")
      .trimEnd(),
  );
}

const namedAtMost = 5;

/** One line for what is the matter with several alike: a jumpbox that is gone is not told once for each node. */
function told(problems: readonly Problem[]): string[] {
  const alike = new Map<string, Problem[]>();
  for (const problem of problems) {
    const words = describeProblem({ ...problem, subject: "" });
    alike.set(words, [...(alike.get(words) ?? []), problem]);
  }
  return [...alike.values()].map((same) => {
    const more = same.length - namedAtMost;
    const named = same
      .slice(0, namedAtMost)
      .map(({ subject }) => subject)
      .join(", ");
    return `  ${describeProblem({ ...same[0]!, subject: `${named}${more > 0 ? ` and ${more} more` : ""}` })}`;
  });
}

function summary({ ok, nodes, registries, warnings }: Findings): string {
  const count = (number: number, word: string): string => `${number} ${word}${number === 1 ? "" : "s"}`;
  const tried = nodes.some(({ pulls }) => pulls.length > 0);
  if (ok) {
    const all = registries.length === 1 ? registries[0]!.host : `all ${registries.length} registries`;
    const also = warnings.length > 0 ? `, with ${count(warnings.length, "warning")}` : "";
    return `All is well${also}: ${count(nodes.length, "node")} trust${nodes.length === 1 ? "s" : ""} ${all}${tried ? " and can pull" : ""}.`;
  }
  const bad = nodes.filter((node) => !node.ok).length;
  const expired = registries.filter(({ certificates }) =>
    certificates.some(({ validity }) => validity === "expired"),
  ).length;
  const what = [
    ...(bad > 0 ? [`${bad} of ${count(nodes.length, "node")}`] : []),
    ...(expired > 0 ? [`the CA of ${expired === 1 ? "1 registry" : `${expired} registries`}`] : []),
  ].join(" and ");
  return `Not well: something is wrong with ${what}.`;
}

/** Writes findings for people: a line for each node and registry, what is the matter, and one sentence at the end. */
export function describeFindings(findings: Findings): string {
  const { nodes, registries, problems, warnings } = findings;
  const tried = nodes.some(({ pulls }) => pulls.length > 0);
  const heads = ["NODE", "REGISTRY", "REACHED", "HOST KEY", "CA FILE", "READ", "LOADED", "CA EXPIRES"];
  const rows = nodes.flatMap((node) =>
    node.registries.map(({ host, caFile, read, loaded }) => [
      ...[node.name, host, yesNo(node.reachable), yesNo(node.hostKeyAsPinned)],
      ...[yesNo(caFile), yesNo(read), yesNo(loaded)],
      expiry(registries.find((registry) => registry.host === host)!),
      ...(tried ? [yesNo(pulled(node.pulls, host))] : []),
    ]),
  );
  const section = (title: string, list: readonly Problem[]): string[] =>
    list.length === 0 ? [] : ["", `${title}:`, ...told(list)];
  return [
    ...aligned([[...heads, ...(tried ? ["PULL"] : [])], ...rows]),
    ...section("Problems", problems),
    ...section("Warnings", warnings),
    "",
    summary(findings),
    "",
  ].join("\n");
}
