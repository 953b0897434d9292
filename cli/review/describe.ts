/**
 * Writes a review as Markdown for a pull request: what matters first.
 * It never judges. What comes from outside can't become markup, a link or a mention.
 */
import { counted, printable } from "../../support/text";
import type { CertificateReview, ImageReview, NodeReview, ObjectReview, Review } from "./findings";

/** Text from outside as text. */
function plain(text: string): string {
  return printable(text, 2000)
    .replace(/[\\`*_{}[\]<>#|~!&]/g, "\\$&")
    .replace(/[@#]/g, "$&<!-- -->")
    .replace(/(https?|www)(?=[:.])/gi, "$1<!-- -->");
}

/** Text from outside as code, in which nothing is markup. */
const code = (text: string): string => {
  const shown = printable(text, 500).replaceAll("`", "'");
  return shown === "" ? "" : `\`${shown}\``;
};

const namedAtMost = 5;

function list(names: readonly string[]): string {
  const more = names.length - namedAtMost;
  return `${names.slice(0, namedAtMost).map(code).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/** A table; a bar ends a cell also in code. */
const table = (heads: readonly string[], rows: readonly (readonly string[])[]): string =>
  [
    heads,
    heads.map(() => "---"),
    ...rows.map((cells) => cells.map((cell) => cell.replace(/(?<!\\)\|/g, "\\|"))),
  ]
    .map((cells) => `| ${cells.join(" | ")} |`)
    .join("\n");

const section = (title: string, body: string): string[] => (body === "" ? [] : [`## ${title}`, body]);
const bullets = (lines: readonly string[]): string => lines.map((line) => `- ${line}`).join("\n");

/** What happens to the nodes, in one sentence. */
function nodesInWords(nodes: readonly NodeReview[]): string {
  const of = (action: NodeReview["action"]): NodeReview[] => nodes.filter((node) => node.action === action);
  const restarts = (certain: true | null): NodeReview[] =>
    of("install").filter(({ restart }) => restart === certain);
  const roles = (some: readonly NodeReview[]): string => {
    const first = some.filter(({ role }) => role === "control-plane").length;
    const then = some.length - first;
    return [
      ...(first > 0 ? [`${first} control plane`] : []),
      ...(then > 0 ? [counted(then, "worker")] : []),
    ].join(", then ");
  };
  const part = (some: readonly NodeReview[], words: (some: readonly NodeReview[]) => string): string[] =>
    some.length > 0 ? [words(some)] : [];
  const parts = [
    ...part(of("install"), (some) => `${counted(some.length, "node")} installed`),
    ...part(restarts(true), (some) => `containerd restarts on ${roles(some)}`),
    ...part(restarts(null), (some) => `containerd may restart on ${roles(some)}`),
    ...part(of("remove"), (some) => `${counted(some.length, "node")} out of the stack`),
    ...part(of("skip"), (some) => `${counted(some.length, "node")} skipped`),
    ...part(of("none"), (some) => `${counted(some.length, "node")} untouched`),
  ];
  return parts.length > 0 ? `${parts.join("; ")}.` : "";
}

const actions = { install: "install", remove: "leave the stack", none: "none", skip: "skip" } as const;

function restartInWords({ restart }: NodeReview): string {
  return restart === null ? "perhaps" : restart ? "yes" : "no";
}

function nodesTable(nodes: readonly NodeReview[]): string {
  const shown = nodes.filter(
    ({ action, reasons, canary }) => action !== "none" || reasons.length > 0 || canary,
  );
  if (shown.length === 0) return "";
  const several = new Set(nodes.map(({ cluster }) => cluster)).size > 1;
  const heads = ["order", "node", "role", "action", "why", "containerd restarts"];
  const rows = shown.map((node) => [
    node.step === null ? "" : String(node.step),
    ...(several ? [code(node.cluster)] : []),
    code(node.name),
    node.role?.replace("-", " ") ?? "",
    `${actions[node.action]}${node.canary ? ", then pull" : ""}`,
    node.reasons
      .map(({ host, text }) => (host === null ? plain(text) : `${code(host)}: ${plain(text)}`))
      .join("; "),
    restartInWords(node),
  ]);
  const first = shown.some(({ canary }) => canary)
    ? " No other node is touched before the first has pulled an image."
    : "";
  const note = `Nodes of one number in \`order\` go side by side: control-plane nodes one by one, then workers in lanes, wave after wave.${first}`;
  return `${table(several ? ["order", "cluster", ...heads.slice(1)] : heads, rows)}\n\n${note}`;
}

function certificatesTable(certificates: readonly CertificateReview[]): string {
  const rows = certificates.map(({ host, change, sha256, subject, notAfter }) => [
    ...[code(host), change, code(sha256)],
    ...[subject === null ? "not known" : code(subject), notAfter?.slice(0, 10) ?? "not known"],
  ]);
  return rows.length > 0 ? table(["registry", "", "SHA-256", "subject", "expires"], rows) : "";
}

function imagesTable(images: readonly ImageReview[]): string {
  const rows = images.flatMap(({ deployment, before, after }) =>
    [["before", before] as const, ["after", after] as const].map(([when, image]) => [
      ...[code(deployment), when, image ? code(image.reference) : "none, or not known yet"],
      ...[code(image?.tag ?? ""), code(image?.digest ?? "")],
    ]),
  );
  return rows.length > 0 ? table(["Deployment", "", "image", "tag", "digest"], rows) : "";
}

const objectChanges = {
  ...{
    created: "created",
    adopted: "adopted: it is there already",
    updated: "updated",
    replaced: "replaced",
  },
  ...{ deleted: "deleted", left: "left in the cluster, and out of the stack", unchanged: "unchanged" },
} as const;

function objectsTable(objects: readonly ObjectReview[]): string {
  const rows = objects
    .filter(({ change }) => change !== "unchanged")
    .map(({ kind, namespace, name, change }) => [
      `${kind} ${code(`${namespace}/${name}`)}`,
      objectChanges[change],
    ]);
  return rows.length > 0 ? table(["object", ""], rows) : "";
}

function planSection({ plan }: Review): string {
  if (plan === null) return "";
  if (plan.holds) return "Nothing differs: `pulumi up --plan` will do what the plan says.";
  return [
    "The plan does not hold any more, and `pulumi up --plan` would refuse it:",
    bullets(plan.differences.map(({ subject, text }) => `${code(subject)}: ${plain(text)}`)),
  ].join("\n\n");
}

/** The review as Markdown. */
export function describeReview(review: Review): string {
  const { stack, nodes, leftOut, risks, certificates, images, objects, others, warnings } = review;
  const moved = images.some(({ before, after }) => before?.reference !== after?.reference);
  const parts = [
    `# Review of the stack ${code(stack)}`,
    review.changes ? `**Changes.** ${nodesInWords(nodes)}`.trim() : "**Nothing to do.**",
    ...section("What differs from the saved plan", planSection(review)),
    ...section(
      "What matters",
      bullets(risks.map(({ text, subjects, code: name }) => `**${text}**: ${list(subjects)} [${name}]`)),
    ),
    ...section("Nodes", nodesTable(nodes)),
    ...section("Nodes that the settings leave out", bullets(leftOut.map(plain))),
    ...section("Certificates", certificatesTable(certificates)),
    ...section(moved ? "Image" : "Image, unchanged", imagesTable(images)),
    ...section("Objects", objectsTable(objects)),
    ...section(
      "Other resources of the program",
      bullets(others.map(({ type, name, operation }) => `${code(`${type} ${name}`)}: ${plain(operation)}`)),
    ),
    ...section("Warned of, and not checked", bullets(warnings.map(plain))),
    `Previewed at ${review.previewedAt}.`,
  ];
  return `${parts.join("\n\n")}\n`;
}
