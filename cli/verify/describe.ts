/**
 * Writes findings for people: a table, the problems and warnings, one sentence at the end.
 * It never judges; the findings say whether the stack is in order.
 */
import { parseImageReference } from "../../registry/host";
import { type Problem, describeProblem } from "../../support/errors";
import { counted } from "../../support/text";
import type { Answer, Findings, PullFinding, RegistryFinding } from "./findings";

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

function summary({ ok, nodes, registries, warnings }: Findings): string {
  const tried = nodes.some(({ pulls }) => pulls.length > 0);
  if (ok) {
    const all = registries.length === 1 ? registries[0]!.host : `all ${registries.length} registries`;
    const also = warnings.length > 0 ? `, with ${counted(warnings.length, "warning")}` : "";
    return `All is well${also}: ${counted(nodes.length, "node")} trust${nodes.length === 1 ? "s" : ""} ${all}${tried ? " and can pull" : ""}.`;
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

/** Writes findings for people: a line for each node and registry, what is the matter, and one sentence at the end. */
export function describeFindings(findings: Findings): string {
  const { nodes, registries, problems, warnings, notes } = findings;
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
    list.length === 0 ? [] : ["", `${title}:`, ...grouped(list)];
  return [
    ...aligned([[...heads, ...(tried ? ["PULL"] : [])], ...rows]),
    ...verified(registries),
    ...section("Problems", problems),
    ...section("Warnings", warnings),
    ...section("Also there", notes),
    "",
    summary(findings),
    "",
  ].join("\n");
}
