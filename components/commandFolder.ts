/** Whether the commands in the state will find this package: they name it, and the engine runs them in a folder of its own. */
import { local } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { readFileSync } from "node:fs";
import * as path from "node:path";
import { packageRoot } from "../support/build";
import { supportProblem } from "../support/problems";

/** Prints as JSON where it runs, and what `require('tkc-registry/run')` of a command there loads. */
const find =
  "let run; try { run = require.resolve('tkc-registry/run') } catch {} JSON.stringify({ folder: process.cwd(), run })";

/** The release in a package's folder. */
const release = (folder: string): string =>
  (JSON.parse(readFileSync(path.join(folder, "package.json"), "utf8")) as { version: string }).version;

/**
 * Checks that the engine's commands find this package, by running one. That folder is the project's, which an inline
 * program of the Automation API is not told.
 *
 * @param parent - Whose provider of commands runs it.
 * @throws UserError (`package-not-found`).
 */
export async function assertCommandsFindPackage(parent?: pulumi.Resource): Promise<void> {
  const { stdout } = await local.run(
    { command: `node -p "${find}"`, logging: local.Logging.None },
    parent ? { parent } : {},
  );
  const { folder, run } = JSON.parse(stdout) as { folder: string; run?: string };
  const subject = `folder ${folder}`;
  if (run === undefined) {
    const seen = "commands that the engine runs there do not find the package tkc-registry";
    throw supportProblem.error("package-not-found", { subject, seen }, "absent");
  }
  const [ours, theirs] = [packageRoot, path.dirname(path.dirname(run))].map(release) as [string, string];
  if (theirs === ours) return;
  const seen = `commands that the engine runs there find tkc-registry ${theirs}, and the program runs ${ours}`;
  throw supportProblem.error("package-not-found", { subject, seen }, "other");
}
