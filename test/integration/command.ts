/** Runs the package's commands as `npm run` and the commands in the state do: from what is built. */
import { spawn } from "node:child_process";
import { assertBuildIsFresh, packageRoot } from "../../support/build";

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

assertBuildIsFresh();

/** What comes before a command's words. Its working directory is the package's. */
export const nodeArguments = ["-e", "require('tkc-registry/run')", "--"] as const;

/** @param env - All that the command sees of an environment, beside PATH. */
export async function runCommand(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<CommandResult> {
  const child = spawn(process.execPath, [...nodeArguments, ...args], {
    cwd: packageRoot,
    env: { PATH: process.env.PATH, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk: Buffer) => (output.stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (output.stderr += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { code, ...output };
}
