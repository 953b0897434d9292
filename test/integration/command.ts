/** Runs one of `cli/run.ts`'s commands as `npm run` does, from the sources. */
import { spawn } from "node:child_process";
import * as path from "node:path";

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const root = path.resolve(__dirname, "../..");

/** @param env - All that the command sees of an environment, beside PATH. */
export async function runCommand(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<CommandResult> {
  const child = spawn(
    process.execPath,
    ["--import", "tsx", "-e", `require(${JSON.stringify(path.join(root, "cli", "run.ts"))})`, "--", ...args],
    { cwd: root, env: { PATH: process.env.PATH, ...env }, stdio: ["ignore", "pipe", "pipe"] },
  );
  const output = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk: Buffer) => (output.stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (output.stderr += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { code, ...output };
}
