/**
 * Judges what the clusters and the nodes reported: which certificates, nodes and pulls are in order, and why not.
 * It never asks anything; the evidence is given to it.
 */
import { pullFault } from "../../kubernetes/pullPods";
import type { ExcludedNode } from "../../kubernetes/selection";
import type { ClusterNode } from "../../kubernetes/types";
import type { Observation } from "../../nodes/operations/inspection";
import type { ScriptSuccess } from "../../nodes/protocol/report";
import type { DeployedSet, DeployedStack, StackNode } from "../../state/exportedState";
import type { SshCode } from "../../nodes/ssh/problems";
import type { Problem } from "../../support/errors";
import { counted } from "../../support/text";
import type {
  Answer,
  CertificateFinding,
  ExcludedFinding,
  Findings,
  NodeFinding,
  ObjectFinding,
  ProblemFinding,
  PullFinding,
  RegistryFinding,
  TrustFinding,
} from "./findings";
import { certificateProblem } from "../../certificates/problems";
import { shellQuote } from "../../nodes/script/script";
import { describeStack } from "../../nodes/protocol/spec";
import { isOurs } from "../../plan/ownership";
import { parseImageReference } from "../../registry/host";
import { cliProblem } from "../problems";
import type { Labelled } from "./labelled";
import type { Served } from "./served";
import { nodeProblem } from "../../nodes/problems";

/** The evidence of a set of nodes: what its clusters and its nodes answered. */
export interface Evidence {
  /** The name that the operator gave the stack. */
  readonly name: string;
  readonly set: DeployedSet;
  readonly stack: DeployedStack;
  /** The cluster's nodes, but for those that are left out. */
  readonly listed: readonly ClusterNode[];
  /** The nodes that the settings of the last run leave out. */
  readonly excluded: readonly ExcludedNode[];
  /** By node name; of the nodes that were asked. */
  readonly observed: ReadonlyMap<string, Observation>;
  /** By node name. */
  readonly pulls: ReadonlyMap<string, readonly PullFinding[]>;
  /** By registry: what it serves to this machine. */
  readonly served: ReadonlyMap<string, Served>;
  /** What has our labels in the clusters. */
  readonly labelled: Labelled;
  readonly now: Date;
  /** Days. */
  readonly expiresWithin: number;
}

const dayMs = 24 * 60 * 60 * 1000;

/** The nodes of the stack that the cluster still has, and whose host key is known: those that can be asked. */
export function nodesToAsk(set: DeployedSet, listed: readonly ClusterNode[]): StackNode[] {
  const uids = new Map(listed.map(({ name, uid }) => [name, uid]));
  return set.nodes.filter(
    ({ target, hostKey }) => hostKey !== undefined && uids.get(target.name) === target.uid,
  );
}

/** The registries of the set, in the order of its certificates. */
export function registryHosts({ certificates }: DeployedSet): string[] {
  return [...new Set(certificates.map(({ registry }) => registry))];
}

/** The SHA-256 of each registry's certificates. */
export const trustedByHost = (set: DeployedSet): Map<string, readonly string[]> =>
  new Map(registryHosts(set).map((host) => [host, certificatesOf(set, host)]));

const certificatesOf = ({ certificates }: DeployedSet, host: string): string[] =>
  certificates.filter(({ registry }) => registry === host).map(({ sha256 }) => sha256);

function judgeCertificate(sha256: string, { set, now, expiresWithin }: Evidence): CertificateFinding {
  const facts = set.facts.get(sha256);
  if (!facts) return { sha256, subject: null, notAfter: null, daysLeft: null, validity: "unknown" };
  const left = new Date(facts.notAfter).getTime() - now.getTime();
  const daysLeft = Math.floor(left / dayMs);
  const validity = left <= 0 ? "expired" : left <= expiresWithin * dayMs ? "expiring" : "valid";
  return { sha256, subject: facts.subject, notAfter: facts.notAfter, daysLeft, validity };
}

function judgeRegistries(evidence: Evidence, problems: Problem[], warnings: Problem[]): RegistryFinding[] {
  return registryHosts(evidence.set).map((host) => {
    const certificates = certificatesOf(evidence.set, host).map((sha256) =>
      judgeCertificate(sha256, evidence),
    );
    for (const { sha256, subject, notAfter, daysLeft, validity } of certificates) {
      const about = `registry ${host}`;
      const named = `its CA certificate ${subject ?? ""}`;
      if (validity === "expired") {
        problems.push(
          certificateProblem(
            "ca-expired",
            { subject: about, seen: `${named} expired at ${notAfter!}` },
            "deployed",
          ),
        );
      } else if (validity === "expiring") {
        const seen = `${named} expires in ${counted(daysLeft!, "day")}, at ${notAfter!}`;
        warnings.push(cliProblem("ca-expires", { subject: about, seen }));
      } else if (validity === "unknown") {
        const seen = `the state does not know when the certificate ${sha256.slice(0, 16)}… expires: the last run did not come to its end`;
        warnings.push(cliProblem("ca-expiry-unknown", { subject: about, seen }));
      }
    }
    const served = evidence.served.get(host);
    const about = { subject: `registry ${host}` };
    if (served?.verifies === false)
      problems.push(cliProblem("registry-not-verified", { ...about, seen: served.seen }, host));
    if (served?.verifies === null)
      warnings.push(cliProblem("registry-not-told", { ...about, seen: served.seen }));
    return { host, registryTrust: evidence.set.trust, certificates, verifies: served?.verifies ?? null };
  });
}

/** The part of a finding that the node itself reports. */
type Seen = Pick<NodeFinding, "reachable" | "hostKeyAsPinned" | "trust" | "containerdStarted" | "registries">;

/** Of a node that reported nothing. */
function notObserved(set: DeployedSet, reachable: Answer, hostKeyAsPinned: Answer): Seen {
  const nothing = { ok: false, caFile: null, read: null, loaded: null };
  return {
    ...{ reachable, hostKeyAsPinned, trust: null, containerdStarted: null },
    registries: registryHosts(set).map((host) => ({ host, ...nothing })),
  };
}

/** Failures that come after the host key was checked. */
const afterLogin: ReadonlySet<string> = new Set<SshCode>([
  "ssh-auth",
  "ssh-account",
  "ssh-exec-timeout",
  "ssh-output",
]);

/** A node that did not report: how far the connection to it got. */
function judgeSilence({ code }: Problem, set: DeployedSet): Seen {
  if (code === "host-key-changed") return notObserved(set, true, false);
  if (code === "ssh-handshake") return notObserved(set, true, null);
  const byTheNode = code.startsWith("node-") && code !== "node-silent";
  return byTheNode || afterLogin.has(code) ? notObserved(set, true, true) : notObserved(set, false, null);
}

function judgeTrust(host: string, wanted: readonly string[], report: ScriptSuccess): TrustFinding {
  const { trusted, present, loaded = false } = report;
  const read = wanted.every((sha256) => trusted.includes(sha256));
  // A trusted certificate has its file in place.
  const caFile = wanted.every((sha256) => present.includes(sha256) || trusted.includes(sha256));
  return { host, ok: read && loaded, caFile, read: caFile ? read : null, loaded };
}

function explainTrust(
  name: string,
  { host, caFile, read }: TrustFinding,
  trustMode: string,
): Problem | undefined {
  const subject = `node ${name}`;
  if (caFile === false)
    return cliProblem("ca-file-missing", {
      subject,
      seen: `the CA file of ${host} is missing, or not what it was`,
    });
  if (read === true) return undefined;
  const where =
    trustMode === "certs.d" ? "not in the folder that containerd reads" : "not in the bundle that Go reads";
  return cliProblem("ca-not-read", { subject, seen: `the CA of ${host} is in place, but ${where}` });
}

function judgeReport(name: string, report: ScriptSuccess, set: DeployedSet, problems: Problem[]): Seen {
  const registries = registryHosts(set).map((host) => judgeTrust(host, certificatesOf(set, host), report));
  for (const finding of registries) {
    const problem = explainTrust(name, finding, report.trust ?? "system");
    if (problem) problems.push(problem);
  }
  if (report.loaded !== true) {
    problems.push(
      cliProblem("containerd-not-restarted", {
        subject: `node ${name}`,
        seen: "containerd has not been started since the CA was last changed, or does not run",
      }),
    );
  }
  return {
    reachable: true,
    hostKeyAsPinned: true,
    trust: report.trust ?? null,
    containerdStarted: report.containerdStarted ?? null,
    registries,
  };
}

/** Why a node of the cluster or of the state cannot be inspected. */
function explainAbsence(
  name: string,
  recorded: StackNode | undefined,
  listed: ClusterNode | undefined,
): Problem | undefined {
  const subject = `node ${name}`;
  if (!recorded) return cliProblem("node-not-in-stack", { subject, seen: "it is not in the stack" });
  if (!listed)
    return nodeProblem(
      "node-gone",
      { subject, seen: "the stack has it, and the cluster no longer" },
      "listed",
    );
  if (listed.uid !== recorded.target.uid)
    return cliProblem("node-replaced", { subject, seen: "the stack has an earlier node of this name" });
  if (recorded.hostKey === undefined)
    return cliProblem("node-not-installed", { subject, seen: "its installation never came to its end" });
  return undefined;
}

/** What is on a node beside this stack's own. */
function explainOthers(
  subject: string,
  { records, unclaimed }: Pick<ScriptSuccess, "records" | "unclaimed">,
  { name }: Evidence,
  { warnings, notes }: Said,
): void {
  for (const { owner, id } of records) {
    const of =
      id === undefined ? `--owner ${/^[\w.-]+$/.test(owner) ? owner : shellQuote(owner)}` : `--id ${id}`;
    const seen = `it also has what ${describeStack({ owner, id })} installed`;
    notes.push(cliProblem("other-stack-on-node", { subject, seen }, name, of));
  }
  for (const file of unclaimed)
    warnings.push(
      cliProblem("unclaimed-file", { subject, seen: `no stack's record there claims ${file}` }, name),
    );
}

/** The objects with our labels that the state does not have. */
function judgeObjects({ stack, set, labelled }: Evidence, { warnings, notes }: Said): ObjectFinding[] {
  warnings.push(...labelled.problems);
  const { claim } = stack;
  return labelled.objects
    .filter(({ uid }) => !claim.uids.has(uid))
    .map(({ kind, namespace, name, uid, stack: of }) => {
      const ours = isOurs(uid, of, claim);
      const what = { subject: `${kind} ${namespace}/${name}`, seen: `it belongs to ${describeStack(of)}` };
      if (ours)
        warnings.push(cliProblem("object-not-in-state", { ...what, seen: "the state does not have it" }));
      else notes.push(cliProblem("other-stack-in-cluster", what));
      return { kind, namespace, name, owner: of.owner, id: of.id ?? null, ours, registryTrust: set.trust };
    });
}

/** What is said beside the findings themselves. */
interface Said {
  readonly problems: Problem[];
  readonly warnings: Problem[];
  readonly notes: Problem[];
}

function judgeNode(name: string, evidence: Evidence, said: Said): NodeFinding {
  const { set, stack } = evidence;
  const recorded = set.nodes.find(({ target }) => target.name === name);
  const listed = evidence.listed.find((node) => node.name === name);
  const mine: Problem[] = [];
  const absence = explainAbsence(name, recorded, listed);
  const observation = absence ? undefined : evidence.observed.get(name);
  let seen = notObserved(set, null, null);
  if (absence) mine.push(absence);
  else if (observation?.kind === "answered") seen = judgeReport(name, observation.report, set, mine);
  else if (observation) {
    const { problem } = observation;
    seen = judgeSilence(problem, set);
    const moved = listed!.address !== recorded!.target.address;
    const also = `; the cluster has it at ${listed!.address} by now: run \`pulumi up\``;
    mine.push({ ...problem, subject: `node ${name}`, remedy: `${problem.remedy}${moved ? also : ""}` });
  }
  const pulls = evidence.pulls.get(name) ?? [];
  for (const { image, ok, message } of pulls) {
    if (ok) continue;
    const what = {
      subject: `node ${name}`,
      seen: `${image} could not be pulled: ${message ?? "no reason was given"}`,
    };
    const { host } = parseImageReference(image, { subject: "image" });
    mine.push(
      pullFault(message ?? "") === "authority"
        ? cliProblem("pull-failed", what, "authority", host)
        : cliProblem("pull-failed", what, "other"),
    );
  }
  said.problems.push(...mine);
  const { records: all, unclaimed } =
    observation?.kind === "answered" ? observation.report : { records: [], unclaimed: [] };
  const records = all.filter(({ id }) => id === undefined || !stack.claim.ids.has(id));
  explainOthers(`node ${name}`, { records, unclaimed }, evidence, said);
  return {
    name,
    registryTrust: set.trust,
    role: listed?.role ?? null,
    ok: mine.length === 0,
    inCluster: listed !== undefined,
    inStack: recorded !== undefined && (!listed || listed.uid === recorded.target.uid),
    ...seen,
    pulls,
    records: records.map(({ owner, id }) => ({ owner, id: id ?? null })),
    unclaimed,
  };
}

/** The nodes that are left out are told, and not judged. */
const excludedFindings = ({ excluded, set }: Evidence): ExcludedFinding[] =>
  excluded.map(({ name, uid, by }) => ({
    ...{ name, by },
    inStack: set.nodes.some(({ target }) => target.name === name && target.uid === uid),
    registryTrust: set.trust,
  }));

/** The findings of one set of nodes. */
export type SetFindings = Pick<
  Findings,
  "registries" | "nodes" | "excluded" | "objects" | "problems" | "warnings" | "notes"
>;

/** Derives the findings of a set of nodes from the evidence. */
export function judge(evidence: Evidence): SetFindings {
  const { set, listed } = evidence;
  const excluded = excludedFindings(evidence);
  const leftOut = new Set(excluded.map(({ name }) => name));
  const said: Said = { problems: [], warnings: [], notes: [] };
  const registries = judgeRegistries(evidence, said.problems, said.warnings);
  const names = [
    ...new Set([...set.nodes.map(({ target }) => target.name), ...listed.map((node) => node.name)]),
  ]
    .filter((node) => !leftOut.has(node))
    .sort();
  const nodes = names.map((node) => judgeNode(node, evidence, said));
  for (const node of listed) {
    if (node.ready) continue;
    said.warnings.push(
      nodeProblem(
        "node-not-ready",
        { subject: `node ${node.name}`, seen: "it is not Ready at the moment" },
        "now",
      ),
    );
  }
  const objects = judgeObjects(evidence, said);
  const ofSet = (list: readonly Problem[]): ProblemFinding[] =>
    list.map((problem) => ({ ...problem, registryTrust: set.trust }));
  return {
    ...{ registries, nodes, excluded, objects },
    problems: ofSet(said.problems),
    warnings: ofSet(said.warnings),
    notes: ofSet(said.notes),
  };
}
