/** `npm run docs`: writes docs/errors.md, from what each room's `problems.ts` has. */
import * as path from "node:path";
import { certificateProblem } from "../certificates/problems";
import { cliProblem } from "../cli/problems";
import { configProblem } from "../config/problems";
import { kubernetesProblem } from "../kubernetes/problems";
import { nodeProblem } from "../nodes/problems";
import { reachProblem } from "../nodes/operations/problems";
import { sshProblem } from "../nodes/ssh/problems";
import { planProblem } from "../plan/problems";
import { registryProblem } from "../registry/problems";
import { stateProblem } from "../state/problems";
import { type ProblemKind, remedyText } from "../support/errors";
import { supportProblem } from "../support/problems";
import { vsphereProblem } from "../vsphere/problems";
import { writeAnew } from "./writing";

interface Room {
  readonly title: string;
  readonly kinds: Readonly<Record<string, ProblemKind>>;
}

/** By the file that has them, in the order of the page: the rooms', from top to bottom. */
export const problems: Readonly<Record<string, Room>> = {
  "cli/problems.ts": cliProblem,
  "plan/problems.ts": planProblem,
  "config/problems.ts": configProblem,
  "state/problems.ts": stateProblem,
  "vsphere/problems.ts": vsphereProblem,
  "nodes/problems.ts": nodeProblem,
  "nodes/operations/problems.ts": reachProblem,
  "nodes/ssh/problems.ts": sshProblem,
  "kubernetes/problems.ts": kubernetesProblem,
  "registry/problems.ts": registryProblem,
  "certificates/problems.ts": certificateProblem,
  "support/problems.ts": supportProblem,
};

/** The page. */
export const errorsFile = path.join(__dirname, "errors.md");

const intro = `# Errors

<!-- Written by \`npm run docs\`, from the problems.ts of each folder: change those. -->

Every message ends with a code in brackets. Here is, by that code, why it comes about, and an example of each message: its
subject, what was seen there and, after the arrow, what to do. In the examples, ‹…› stands for what is filled in.`;

/** A message's words as Markdown; what is in backticks is code there too. */
const markdown = (text: string): string =>
  text
    .split("`")
    .map((part, at) => (at % 2 === 0 ? part.replace(/[<*]/g, "\\$&") : part))
    .join("`");

function entry(code: string, { cause, remedy, examples }: ProblemKind): string {
  const messages = examples.map(
    ([subject, seen, ...values]) =>
      `- ${markdown(`${subject}: ${seen}`)}\\\n  → ${markdown(remedyText(remedy, values))}`,
  );
  return [`### \`${code}\``, cause, messages.join("\n")].join("\n\n");
}

/** What docs/errors.md is to be. */
export function errorsPage(): string {
  const rooms = Object.values(problems).map(({ title, kinds }) =>
    [`## ${title}`, ...Object.entries(kinds).map(([code, kind]) => entry(code, kind))].join("\n\n"),
  );
  return `${[intro, ...rooms].join("\n\n")}\n`;
}

if (require.main === module) writeAnew(errorsFile, errorsPage());
