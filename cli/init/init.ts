/**
 * `npm run init`: writes the settings file of a new environment, from options, answers and what clusters and registries
 * show, and then makes the checks that a run begins with.
 * It never overwrites a file, never writes a password, and pins no CA that nobody confirmed.
 */
import { UserError } from "../../support/errors";
import { shellWord } from "../../support/text";
import { withProgress } from "../progress";
import { Answers } from "./answers";
import { readRequest } from "./arguments";
import { makeDraft } from "./draft";
import { type NewStack, preflight } from "./preflight";
import { runPulumi } from "./pulumi";
import {
  type Draft,
  checkDraft,
  projectName,
  readDraft,
  refuseExisting,
  settingsFile,
  settingsText,
  withoutPassword,
  writeNew,
} from "./settingsFile";

const say = (...lines: readonly string[]): void => void process.stdout.write(`${lines.join("\n")}\n`);

/** `npm run init -- …`: see the text of `--help`. */
export async function init(args: readonly string[]): Promise<void> {
  process.exitCode = 2; // until the file is written
  const request = readRequest(args);
  if (!request) {
    process.exitCode = 0;
    return;
  }
  const { stack, from, yes } = request;
  const file = settingsFile(stack);
  refuseExisting(file);
  const project = await projectName();
  const base: { draft: Draft; secrets: readonly string[] } =
    from === undefined ? { draft: {}, secrets: [] } : await readDraft(from, project);
  if (from !== undefined) checkBase(base.draft, project, settingsFile(from));
  const answers = new Answers(yes);
  const draft = await makeDraft(request, base.draft, answers);
  const settings = checkDraft(draft, project);
  await writeNew(file, settingsText(draft, project));
  process.exitCode = 1; // until all is well
  say(`wrote ${file}`);
  const unset = withoutPassword(draft);
  const code = await check({ settings, project, stack, unset });

  const secrets = [...base.secrets.filter((name) => !name.startsWith("passwords")), ...withPath(unset)];
  const toSet = ["--stack", stack];
  const first = [
    ["stack", "init", stack],
    ...secrets.map((name) => ["config", "set", "--secret", "--path", name, ...toSet]),
  ];
  const then = [
    ["preview", "--diff", ...toSet],
    ["up", "--continue-on-error", ...toSet],
  ];
  const commands = [...first, ...then].map((words) => `  ${["pulumi", ...words].map(shellWord).join(" ")}`);
  say("", code === 0 ? "Next:" : "Once these are put right:", ...commands);
  if (secrets.length > 0)
    say("", "`pulumi config set` asks for the value, or reads it from stdin. It is never an argument.");
  if (answers.asks && (await answers.confirmed("Run those up to `preview` now?"))) await runPulumi(first);
  process.exitCode = code;
}

/** A file that a run would refuse is nothing to start from. */
function checkBase(draft: Draft, project: string, file: string): void {
  try {
    checkDraft(draft, project);
  } catch (error) {
    process.stderr.write(`in ${file}:\n`);
    throw error;
  }
}

const withPath = (hosts: readonly string[]): string[] =>
  hosts.map((host) => `passwords[${JSON.stringify(host)}]`);

/** @returns The exit code. */
async function check(made: NewStack): Promise<number> {
  try {
    const { facts, warnings } = await withProgress(
      preflight(made),
      () => "Checking clusters, nodes and registries",
    );
    say(["checked:", ...facts].join("\n  "));
    for (const warning of warnings) process.stderr.write(`Warning: ${warning}\n`);
    for (const host of made.unset)
      say(`not checked, as its password is not set yet: the login to ${host}, and a Deployment from it`);
    return 0;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return 1;
  }
}
