/**
 * Asks a node what it sees of registries, and judges that by containerd's rules.
 * It never changes anything on a node.
 */
import { X509Certificate } from "node:crypto";
import { goRefusal } from "../../certificates/go/goVerify";
import { fingerprintOf, issuerOf, subjectOf } from "../../certificates/identity";
import type { Problem } from "../../support/errors";
import type { CommandInput } from "../protocol/environment";
import { type Sight, parseReachOutput } from "../protocol/report";
import type { Session } from "../ssh/session";
import { identity, reportOf } from "./node";
import { reachProblem } from "./problems";

/** A registry that nodes are to reach. */
export interface WantedRegistry {
  /** As image names have it. */
  readonly host: string;
  /** Without port and brackets. */
  readonly hostname: string;
  /** What nodes are to trust for it, PEM. */
  readonly ca: readonly string[];
  /** SHA-256 of the certificate that it shows to this machine, where it is reached. */
  readonly served: string | undefined;
  /** Whether a node that does not reach it is a problem, or only told. */
  readonly required: boolean;
  /** How remedies name the setting that decides this. */
  readonly setting: string;
}

/** What a node sees of each registry. */
export type NodeSights = readonly Sight[];

/** How many registries one run of the script looks at: what it prints of them is bounded. */
const atOnce = 4;

/**
 * Asks a node in its session, in one round trip.
 *
 * @throws UserError as `runOnNode`.
 */
export async function lookAtRegistries(
  session: Session,
  asked: Pick<CommandInput, "target" | "stack">,
  registries: readonly string[],
): Promise<NodeSights> {
  const parts = registries.flatMap((_, at) => (at % atOnce === 0 ? [registries.slice(at, at + atOnce)] : []));
  const reports = await Promise.all(
    parts.map((part) =>
      reportOf(session, { op: "reach", registries: part, ...identity(asked) }, parseReachOutput),
    ),
  );
  return reports.flatMap(({ sights }) => sights);
}

/** What is wrong with a registry as nodes see it. Who sees it is told apart, as it may be many. */
export interface Finding {
  readonly registry: WantedRegistry;
  /** A problem without its subject, or something that is only told. */
  readonly problem: Omit<Problem, "subject" | "code"> & { readonly code?: string };
}

function connectionFinding({ outcome, proxy, status }: Sight, { host, setting }: WantedRegistry) {
  const what = (seen: string) => ({ subject: "", seen });
  const whither = proxy === undefined ? host : `the proxy ${proxy} (set for containerd, for ${host})`;
  const by = proxy === undefined ? "direct" : "proxy";
  const unreachable = (seen: string) => reachProblem("node-registry-unreachable", what(seen), by, setting);
  switch (outcome) {
    case "unresolved":
      return reachProblem(
        "node-registry-unresolved",
        what(`the name of ${whither} is not resolved there`),
        by,
        setting,
      );
    case "refused":
      return unreachable(`the connection to ${whither} is refused there`);
    case "no-route":
      return unreachable(`there is no route to ${whither} from there`);
    case "slow":
      return unreachable(`${whither} does not answer there within 10 s`);
    case "lost":
      return unreachable(`the connection to ${whither} fails there`);
    case "denied":
      return reachProblem(
        "node-registry-proxy",
        what(
          status === undefined
            ? `${whither} does not answer as a proxy does`
            : `${whither} answers ${status} to a connection to the registry`,
        ),
        status === 407 ? "login" : "rule",
        setting,
      );
    case "no-tls":
      return reachProblem(
        "node-registry-no-tls",
        what(`${host} does not answer in TLS there${proxy === undefined ? "" : `, by the proxy ${proxy}`}`),
        setting,
      );
    case "chain":
    case "unseen":
      return undefined;
  }
}

function readChain(chain: readonly Buffer[]): readonly X509Certificate[] {
  try {
    return chain.map((der) => new X509Certificate(der));
  } catch {
    return []; // something that is no certificate
  }
}

/** What is to be told of a registry as a node sees it; undefined where containerd would accept it with its CA. */
export function judgeSight(sight: Sight, registry: WantedRegistry, now = new Date()): Finding | undefined {
  const { host, hostname, ca, served, setting } = registry;
  if (sight.outcome !== "chain") {
    const problem = connectionFinding(sight, registry);
    return problem && { registry, problem };
  }
  const chain = readChain(sight.chain);
  const trusted = ca.map((pem) => new X509Certificate(pem));
  const refusal = goRefusal(chain, { trusted, hostname, now });
  if (!refusal) return undefined;
  const [leaf] = chain;
  const shown = leaf
    ? `${host} shows there the certificate ${subjectOf(leaf)} (issued by ${issuerOf(leaf)}, SHA-256 ${fingerprintOf(leaf)})`
    : `${host} shows there what is no certificate`;
  const here =
    served === undefined
      ? "this machine does not reach it"
      : leaf && served === fingerprintOf(leaf)
        ? "to this machine the same"
        : `to this machine another one (SHA-256 ${served})`;
  const by = sight.proxy === undefined ? "" : `, by the proxy ${sight.proxy}`;
  if (sight.known) {
    const seen = `${shown}${by}, and ${here}; it is accepted there without the CA that is to be installed`;
    return { registry, problem: { seen, remedy: "" } };
  }
  const seen = `${shown}${by}, and ${here}; with the CA that is to be installed containerd would refuse it: ${refusal.message}`;
  return {
    registry,
    problem: reachProblem("node-registry-other-chain", { subject: "", seen }, setting),
  };
}

/** What is to be told of the registries, by what a node sees of them. */
export function judgeSights(sights: NodeSights, registries: readonly WantedRegistry[]): readonly Finding[] {
  return registries.flatMap((registry) => {
    const sight = sights.find((each) => each.registry === registry.host);
    return (sight && judgeSight(sight, registry)) ?? [];
  });
}

/** How many nodes a message names. */
const named = 5;

/** `node w1`, `nodes w1, w2 and 38 more`. */
function subjectOfNodes(names: readonly string[]): string {
  if (names.length === 1) return `node ${names[0]!}`;
  const shown = names.length > named ? names.slice(0, 2) : names;
  const more = names.length - shown.length;
  return `nodes ${more > 0 ? `${shown.join(", ")} and ${more} more` : shown.join(", ")}`;
}

/** What stops a run, and what does not. */
export interface Told {
  readonly problems: readonly Problem[];
  readonly warnings: readonly string[];
}

/** Tells what nodes find, each finding once with all of its nodes. */
export function tellFindings(found: ReadonlyMap<string, readonly Finding[]>): Told {
  const groups = new Map<string, { readonly finding: Finding; readonly nodes: string[] }>();
  for (const [node, findings] of found) {
    for (const finding of findings) {
      const key = `${finding.registry.host} ${finding.problem.seen}`;
      const group = groups.get(key) ?? { finding, nodes: [] };
      group.nodes.push(node);
      groups.set(key, group);
    }
  }
  const problems: Problem[] = [];
  const warnings: string[] = [];
  for (const {
    finding: { registry, problem },
    nodes,
  } of groups.values()) {
    const { code } = problem;
    const subject = subjectOfNodes(nodes);
    if (code !== undefined && registry.required) problems.push({ ...problem, code, subject });
    else warnings.push(`${subject}: ${problem.seen}${code === undefined ? "" : ` [${code}]`}`);
  }
  return { problems, warnings };
}
