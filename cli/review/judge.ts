/**
 * Judges a preview: what changes, and what a reviewer should know of.
 * Nothing here asks a cluster, a node or a registry, or prints.
 */
import { leafWords } from "../../certificates/certificates";
import { leftOutWords } from "../../plan/excluded";
import { notAskedWords } from "../../plan/nodes";
import { firstUseWords } from "../../registry/ca";
import { resourceTypes } from "../../state/records";
import { printable } from "../../support/text";
import type { Difference, NodeReview, Review, Risk } from "./findings";
import { reviewNodes } from "./nodes";
import { isOurs, reviewCertificates, reviewImages, reviewObjects } from "./objects";
import { type Preview, changes } from "./preview";

/** A CA that expires sooner is a risk. */
const warnDays = 90;

/** Whether the program of this project is told not to ask its nodes. */
function inspectionIsOff(config: Preview["config"]): boolean {
  return Object.entries(config).some(([name, value]) => {
    if (!/:nodes$/.test(name)) return false;
    try {
      return (JSON.parse(value) as { inspect?: unknown } | null)?.inspect === false;
    } catch {
      return false; // encrypted, or another program's
    }
  });
}

/** What the program and the engine warn of, but not what other resources of the program do. */
function warningsOf({ diagnostics, steps }: Preview): string[] {
  const foreign = new Set(
    steps.flatMap((step) => (isOurs(step) || step.type === resourceTypes.stack ? [] : step.urn)),
  );
  const told = diagnostics.filter(
    ({ severity, urn }) => severity === "warning" && (urn === undefined || !foreign.has(urn)),
  );
  return [...new Set(told.map(({ message }) => message))];
}

/** What the program says of nodes that are left out, among what it checked. */
const leftOut = ({ diagnostics }: Preview): string[] => [
  ...new Set(
    diagnostics
      .flatMap(({ message }) => message.split("\n"))
      .map((line) => line.trim())
      .filter((line) => line.startsWith(leftOutWords))
      .map((line) => printable(line, 2000)),
  ),
];

type Judged = Pick<Review, "nodes" | "leftOut" | "certificates" | "images" | "warnings" | "protected">;

function risksOf(judged: Judged, preview: Preview, now: Date): Risk[] {
  const { nodes, certificates, images, warnings } = judged;
  const because = (code: NodeReview["reasons"][number]["code"]): string[] =>
    nodes.filter(({ reasons }) => reasons.some((reason) => reason.code === code)).map(({ name }) => name);
  const risk = (code: Risk["code"], text: string, subjects: readonly string[]): Risk[] =>
    subjects.length > 0 ? [{ code, text, subjects: [...subjects] }] : [];
  const warned = (words: string): string[] => warnings.filter((warning) => warning.includes(words));

  const touched = nodes.filter(({ action }) => action === "install" || action === "remove");
  const controlPlane = touched.filter(({ role, action }) => role === "control-plane" && action === "install");
  const expiring = certificates.flatMap(({ host, change, notAfter }) => {
    if (change === "removed" || notAfter === null) return [];
    const days = Math.floor((Date.parse(notAfter) - now.getTime()) / (24 * 60 * 60 * 1000));
    return days < warnDays ? [`${host} (${notAfter.slice(0, 10)})`] : [];
  });
  const notAsked =
    warned(notAskedWords).length > 0 || because("not-asked").length > 0 || inspectionIsOff(preview.config);
  const byTag = images.flatMap(({ after }) =>
    after !== null && after.digest === null ? [after.reference] : [],
  );
  return [
    ...risk(
      "trust-on-first-use",
      "Nothing vouches for the CA: compare its fingerprint with what the registry's administrator tells you",
      warned(firstUseWords),
    ),
    ...risk(
      "ca-is-leaf",
      "The CA is a server's own certificate: nodes need its successor",
      warned(leafWords),
    ),
    ...risk("ca-expires", `The CA expires within ${warnDays} days, or has`, [...new Set(expiring)]),
    ...risk("ca-removed", "Nodes will no longer trust a CA of this registry", [
      ...new Set(certificates.filter(({ change }) => change === "removed").map(({ host }) => host)),
    ]),
    ...risk(
      "control-plane",
      "Control-plane nodes are touched, one by one",
      controlPlane.map(({ name }) => name),
    ),
    ...risk("node-replaced", "A node was made anew under its old name", because("replaced")),
    ...risk(
      "first-contact",
      "Nothing vouches for the node's host key yet: it is noted at the first contact",
      because("first-contact"),
    ),
    ...risk("unreachable", "The node can't be reached", [
      ...new Set([
        ...because("unreachable"),
        ...nodes.flatMap(({ name, action }) => (action === "skip" ? name : [])),
      ]),
    ]),
    ...(notAsked
      ? risk("no-drift-check", "What was changed on nodes is not seen, as they were not asked", [
          ...new Set(nodes.map(({ cluster }) => cluster)),
        ])
      : []),
    ...(judged.protected
      ? risk(
          "image-by-tag",
          "The environment is protected, and the image is named by a tag, which may move",
          byTag,
        )
      : []),
  ];
}

/** What a preview means. */
export function judge(
  preview: Preview,
  request: {
    readonly stack: string;
    readonly isProtected: boolean;
    readonly now: Date;
    readonly differences: readonly Difference[] | undefined;
  },
): Review {
  const { stack, isProtected, now, differences } = request;
  const judged: Judged = {
    protected: isProtected,
    nodes: reviewNodes(preview),
    leftOut: leftOut(preview),
    certificates: reviewCertificates(preview.steps),
    images: reviewImages(preview.steps),
    warnings: warningsOf(preview),
  };
  const others = preview.steps.filter(
    (step) => changes(step) && !isOurs(step) && !step.type.startsWith("pulumi:"),
  );
  return {
    version: 1,
    stack,
    previewedAt: now.toISOString(),
    changes: preview.steps.some(changes),
    risks: risksOf(judged, preview, now),
    ...judged,
    objects: reviewObjects(preview.steps),
    others: others.map(({ type, name, operations }) => ({ type, name, operation: operations[0]! })),
    plan: differences ? { holds: differences.length === 0, differences: [...differences] } : null,
  };
}
