/**
 * Writes findings for people: a table, the problems and warnings, one sentence at the end.
 * It never judges; the findings say whether the stack is in order.
 */
import { parseImageReference } from "../../registry/host";
import { type Problem, describeProblem } from "../../support/errors";
import { counted } from "../../support/text";
import type { Answer, Findings, ProblemFinding, PullFinding, RegistryFinding } from "./findings";

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

/** Groups equal problems into one line: a missing jumpbox is listed once, not once for each node. */
function grouped(problems: readonly Problem[]): string[] {
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

const withWarnings = ({ warnings }: Findings): string =>
  warnings.length > 0 ? `, with ${counted(warnings.length, "warning")}` : "";

/** The last sentence where there are several sets of nodes. */
function summaryOfSets(findings: Findings, sets: readonly string[]): string {
  const { ok, nodes, problems, unchecked } = findings;
  if (ok) {
    const pull = nodes.some(({ pulls }) => pulls.length > 0) ? " and can pull" : "";
    return `All is well${withWarnings(findings)}: the nodes of ${sets.join(" and ")} trust their registries${pull}.`;
  }
  const bad = sets.filter((set) => problems.some(({ registryTrust }) => registryTrust === set));
  const well = sets.filter((set) => !bad.includes(set));
  return `Not well: ${[
    ...(bad.length > 0 ? [`something is wrong with ${bad.join(" and ")}`] : []),
    ...(unchecked.length > 0 ? [`${unchecked.join(" and ")} could not be checked`] : []),
    ...(well.length > 0 ? [`all is well with ${well.join(" and ")}`] : []),
  ].join("; ")}.`;
}

function summary(findings: Findings): string {
  const { ok, nodes, registries } = findings;
  const tried = nodes.some(({ pulls }) => pulls.length > 0);
  if (ok) {
    const all = registries.length === 1 ? registries[0]!.host : `all ${registries.length} registries`;
    return `All is well${withWarnings(findings)}: ${counted(nodes.length, "node")} trust${nodes.length === 1 ? "s" : ""} ${all}${tried ? " and can pull" : ""}.`;
  }
  const bad = nodes.filter((node) => !node.ok).length;
  const refused = registries.filter(({ verifies }) => verifies === false).length;
  const expired = registries.filter(({ certificates }) =>
    certificates.some(({ validity }) => validity === "expired"),
  ).length;
  const what = [
    ...(bad > 0 ? [`${bad} of ${counted(nodes.length, "node")}`] : []),
    ...(expired > 0 ? [`the CA of ${counted(expired, "registry", "registries")}`] : []),
    ...(refused > 0 ? [`what ${counted(refused, "registry serves", "registries serve")}`] : []),
  ].join(" and ");
  return `Not well: something is wrong with ${what}.`;
}

/** Of which registries it is known that the nodes' CAs verify them: of the others, problems or warnings say why. */
function verified(registries: readonly RegistryFinding[]): string[] {
  const hosts = registries.filter(({ verifies }) => verifies === true).map(({ host }) => host);
  return hosts.length === 0 ? [] : ["", `The nodes' CAs verify what is served here by ${hosts.join(", ")}.`];
}

/** The table of a set of nodes: a line for each node and registry. */
function table({ nodes, registries }: Pick<Findings, "nodes" | "registries">, tried: boolean): string[] {
  const heads = ["NODE", "REGISTRY", "REACHED", "HOST KEY", "CA FILE", "READ", "LOADED", "CA EXPIRES"];
  const rows = nodes.flatMap((node) =>
    node.registries.map(({ host, caFile, read, loaded }) => [
      ...[node.name, host, yesNo(node.reachable), yesNo(node.hostKeyAsPinned)],
      ...[yesNo(caFile), yesNo(read), yesNo(loaded)],
      expiry(registries.find((registry) => registry.host === host)!),
      ...(tried ? [yesNo(pulled(node.pulls, host))] : []),
    ]),
  );
  return [...aligned([[...heads, ...(tried ? ["PULL"] : [])], ...rows]), ...verified(registries)];
}

/** The nodes that are left out, each setting that does so in a line. */
function leftOut(excluded: Findings["excluded"], several: boolean): string[] {
  const lines = new Map<string, string[]>();
  for (const { by, inStack, name, registryTrust } of excluded) {
    const which = several ? `${registryTrust}: ${by}` : by;
    const still = inStack ? " (its CA has yet to be removed: run `pulumi up`)" : "";
    lines.set(which, [...(lines.get(which) ?? []), `${name}${still}`]);
  }
  return [...lines].map(([by, names]) => `  by ${by}: ${names.join(", ")}`);
}

/** Writes findings for people: a table for each set of nodes, what is the matter, and one sentence at the end. */
export function describeFindings(findings: Findings): string {
  const { nodes, excluded, registries, problems, warnings, notes, unchecked } = findings;
  const tried = nodes.some(({ pulls }) => pulls.length > 0);
  const sets = [...new Set(nodes.map(({ registryTrust }) => registryTrust))];
  const several = sets.length + unchecked.length > 1;
  const tables = sets.map((name) => {
    const ofSet = <T extends { readonly registryTrust: string }>(list: readonly T[]): T[] =>
      list.filter(({ registryTrust }) => registryTrust === name);
    const lines = table({ nodes: ofSet(nodes), registries: ofSet(registries) }, tried);
    return several ? [`${name}:`, ...lines, ""] : lines;
  });
  const named = ({ registryTrust: name, ...problem }: ProblemFinding): Problem =>
    several && name !== null ? { ...problem, subject: `${name}: ${problem.subject}` } : problem;
  const section = (title: string, list: readonly ProblemFinding[]): string[] =>
    list.length === 0 ? [] : ["", `${title}:`, ...grouped(list.map(named))];
  return [
    ...tables.flat().slice(0, several ? -1 : undefined),
    ...section("Problems", problems),
    ...section("Warnings", warnings),
    ...section("Also there", notes),
    ...(excluded.length > 0 ? ["", "Left out, and not asked:", ...leftOut(excluded, several)] : []),
    "",
    several ? summaryOfSets(findings, sets) : summary(findings),
    "",
  ].join("\n");
}
