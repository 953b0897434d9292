/**
 * The state of a stack, exported by the operator's own `pulumi`.
 * It never decrypts secrets, and never interprets the state.
 */
import { spawn } from "node:child_process";
import { UserError } from "../../support/errors";
import { lastWords } from "../../support/text";
import { cliProblem } from "../problems";

/** Pulumi's refusals, by what it prints. */
const refusals = [
  ["stack-missing", /no stack named/],
  ["passphrase-missing", /passphrase/i],
  ["pulumi-login", /PULUMI_ACCESS_TOKEN|pulumi login|not logged in/],
] as const;

/** Exports the stack's state; what is secret in it stays encrypted. */
export async function exportState(stack: string): Promise<unknown> {
  const subject = `stack ${stack}`;
  const args = ["stack", "export", "--stack", stack, "--non-interactive", "--color", "never"];
  const child = spawn("pulumi", args, { stdio: ["ignore", "pipe", "pipe"] });
  const stdout: Buffer[] = [];
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
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
  if (code !== 0) {
    const kind = refusals.find(([, pattern]) => pattern.test(stderr))?.[0];
    const said = lastWords(stderr) || `it ended with code ${code ?? "none"}`;
    const what = { subject, seen: `pulumi said: ${said}` };
    throw new UserError(kind ? cliProblem(kind, what) : cliProblem("export-failed", what, "refused"));
  }
  try {
    return JSON.parse(Buffer.concat(stdout).toString("utf8"));
  } catch {
    const seen = "what `pulumi stack export` printed is not JSON";
    throw cliProblem.error("export-failed", { subject, seen }, "notJson");
  }
}
