/**
 * Runs the operator's own `pulumi` for a stack.
 * It never repeats what that prints, but for its last words where it fails.
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { UserError } from "../support/errors";
import { lastWords } from "../support/text";
import { cliProblem } from "./problems";

/** Pulumi's refusals, by what it prints. */
const refusals = [
  ["stack-missing", /no stack named/],
  ["passphrase-missing", /passphrase/i],
  ["pulumi-login", /PULUMI_ACCESS_TOKEN|pulumi login|not logged in/],
] as const;

export interface PulumiResult {
  readonly code: number | null;
  /** The end of what it printed to stderr. */
  readonly stderr: string;
}

/**
 * Runs `pulumi`.
 *
 * @param onLine - Gets each line of stdout.
 * @param env - What it gets beside this process's own environment, which has what opens the stack's state.
 * @throws UserError `pulumi-missing`
 */
export async function capturePulumi(
  args: readonly string[],
  onLine: (line: string) => void,
  env: NodeJS.ProcessEnv = {},
): Promise<PulumiResult> {
  const child = spawn("pulumi", [...args, "--non-interactive", "--color", "never"], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  createInterface({ input: child.stdout }).on("line", onLine);
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-16 * 1024);
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", (error: NodeJS.ErrnoException) => {
      const seen = error.code === "ENOENT" ? "it is not on PATH" : `it cannot be run (${error.code ?? ""})`;
      reject(cliProblem.error("pulumi-missing", { subject: "pulumi", seen }));
    });
    child.on("close", resolve);
  });
  return { code, stderr };
}

/** Why `pulumi` ended as it did for a stack, where its words stand for something that is known. */
export function pulumiRefusal(
  subject: string,
  { code, stderr }: PulumiResult,
  otherwise: "export-failed" | "preview-failed",
): UserError {
  const kind = refusals.find(([, pattern]) => pattern.test(stderr))?.[0];
  const said = lastWords(stderr) || `it ended with code ${code ?? "none"}`;
  const what = { subject, seen: `pulumi said: ${said}` };
  return new UserError(kind ? cliProblem(kind, what) : cliProblem(otherwise, what, "refused"));
}
