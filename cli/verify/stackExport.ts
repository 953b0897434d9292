/**
 * The state of a stack, exported by the operator's own `pulumi`.
 * It never decrypts secrets, and never interprets the state.
 */
import { spawn } from "node:child_process";
import { UserError } from "../../support/errors";
import { lastWords } from "../../support/text";

/** Pulumi's refusals, by what it prints. */
const refusals = [
  ["stack-missing", /no stack named/],
  ["passphrase-missing", /passphrase/i],
  ["pulumi-login", /PULUMI_ACCESS_TOKEN|pulumi login|not logged in/],
] as const;

/** What to do then; the last is for every other failure. */
const refusalRemedies = {
  "stack-missing": "Name a stack that is there (`pulumi stack ls`)",
  "passphrase-missing": "Set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE, as for `pulumi up`",
  "pulumi-login": "Log in to where the stack's state is (`pulumi login`), as for `pulumi up`",
  "export-failed": "Run `pulumi stack export` by hand to see more",
} as const;

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
      reject(
        new UserError({ code: "pulumi-missing", subject: "pulumi", seen, remedy: "Install the Pulumi CLI" }),
      );
    });
    child.on("close", resolve);
  });
  if (code !== 0) {
    const kind = refusals.find(([, pattern]) => pattern.test(stderr))?.[0] ?? "export-failed";
    const said = lastWords(stderr) || `it ended with code ${code ?? "none"}`;
    const remedy = refusalRemedies[kind];
    throw new UserError({ code: kind, subject, seen: `pulumi said: ${said}`, remedy });
  }
  try {
    return JSON.parse(Buffer.concat(stdout).toString("utf8"));
  } catch {
    const seen = "what `pulumi stack export` printed is not JSON";
    throw new UserError({ code: "export-failed", subject, seen, remedy: "Run it by hand to see more" });
  }
}
