/** Programs of other people on the lab: projects that have the package from npm, with settings of their own. */
import assert from "node:assert/strict";
import { exec } from "../../lab/exec";
import type { LabStack, Run } from "../../lab/stack";

/** Runs a program in the folder of a stack's project, with the stack's environment, and gives what it printed. */
export async function runIn(
  stack: LabStack,
  [program, ...args]: readonly [string, ...string[]],
  input?: string,
): Promise<string> {
  const { cwd, env } = await stack.command([]);
  return (await exec(program, args, { cwd, env, ...(input === undefined ? {} : { input }) })).stdout;
}

/** Makes the stack, and sets its configuration: texts as they are, everything else as JSON. */
export async function configure(
  stack: LabStack,
  values: Readonly<Record<string, unknown>>,
  secrets: Readonly<Record<string, string>> = {},
): Promise<void> {
  await stack.configure({});
  const plain = Object.entries(values).flatMap(([name, value]) => [
    "--plaintext",
    `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  ]);
  await runIn(stack, (await stack.command(["config", "set-all", ...plain])).argv);
  for (const [name, secret] of Object.entries(secrets))
    await runIn(stack, (await stack.command(["config", "set", "--secret", name])).argv, secret);
}

/** The output of a run that must succeed. */
export async function succeed(run: Promise<Run>): Promise<string> {
  const { code, output } = await run;
  assert.equal(code, 0, output);
  return output;
}
