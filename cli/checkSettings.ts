/**
 * `npm run check:settings`: says what a run would find wrong with settings files.
 * It asks no cluster and no registry, runs no Pulumi, decrypts nothing and changes nothing.
 */
import { existsSync, readdirSync } from "node:fs";
import type { Command } from "commander";
import { checkSettings as checkRaw, ownSettings } from "../config/settings";
import { readSettingsText } from "../config/settingsFile";
import { UserError } from "../support/errors";
import { readOperatorFile } from "../support/files";
import { printable } from "../support/text";
import { commandForPeople, readArguments, seeHelp } from "./arguments";
import { projectName } from "./init/settingsFile";
import { cliProblem } from "./problems";

const maxBytes = 1024 * 1024;

const command = (): Command =>
  commandForPeople("check:settings", "[FILE...]")
    .description(
      "Says what a run would find wrong with the settings files named, or with each Pulumi.<stack>.yaml of this folder. Needs no cluster, registry, passphrase or Pulumi. Encrypted values are taken for right, and not compared with others.",
    )
    .argument("[FILE...]")
    .addHelpText(
      "after",
      "\nExit code: 0 if they are right, 1 if one is not, 2 if it could not be found out of one.",
    );

/**
 * Checks one file.
 *
 * @returns The exit code, and what to print.
 */
async function checkFile(file: string, project: string): Promise<{ code: 0 | 1 | 2; said: string }> {
  try {
    const text = (await readOperatorFile(file, { subject: "settings file", maxBytes })).toString();
    const { values: all, encrypted, hasEnvironments } = readSettingsText(text, "settings file", project);
    const { values, problems } = ownSettings(all, project);
    const own = encrypted.flatMap(([key, ...inner]) =>
      key.startsWith(`${project}:`) ? [[key.slice(project.length + 1), ...inner]] : [],
    );
    const secretNames = new Set(own.map(([name]) => String(name)));
    const checked = checkRaw({ values, secretNames, project, encrypted: own });
    const [first, ...rest] = [...problems, ...checked.problems];
    if (!first) return { code: 0, said: "ok" };
    const { message } = new UserError(first, ...rest);
    if (hasEnvironments) return { code: 2, said: `without what its \`environment\` gives: ${message}` };
    return { code: 1, said: message };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { code: 2, said: error.message };
  }
}

/** `npm run check:settings -- …`: see the text of `--help`. */
export async function checkSettings(args: readonly string[]): Promise<void> {
  process.exitCode = 2;
  const read = readArguments("check:settings", command(), args);
  if (!read) {
    process.exitCode = 0;
    return;
  }
  const found = readdirSync(".").filter((name) => /^Pulumi\..+\.yaml$/.test(name));
  const files = read.words.length > 0 ? read.words : found.sort();
  if (files.length === 0) {
    const what = { subject: "FILE", seen: "none is named, and this folder has no Pulumi.<stack>.yaml" };
    throw cliProblem.error("bad-arguments", what, ...seeHelp("check:settings"));
  }
  const project = existsSync("Pulumi.yaml") ? await projectName() : "tkc-registry";
  let worst = 0;
  for (const file of files) {
    const { code, said } = await checkFile(file, project);
    process.stdout.write(`${printable(file, 200)}: ${said}\n`);
    worst = Math.max(worst, code);
  }
  process.exitCode = worst;
}
