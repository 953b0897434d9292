/** Pulumi's own program, which asks for secrets itself: none passes through here. */
import { spawn } from "node:child_process";
import { shellWord } from "../../support/text";
import { cliProblem } from "../problems";

/**
 * Runs pulumi at the terminal of this process, with one list of words after the other.
 *
 * @throws UserError `pulumi-missing`, `pulumi-failed`: later commands are not run.
 */
export async function runPulumi(commands: readonly (readonly string[])[]): Promise<void> {
  for (const words of commands) {
    const child = spawn("pulumi", words, { stdio: "inherit" });
    const code = await new Promise<number | null>((resolve, reject) => {
      child.on("error", ({ code: reason = "" }: NodeJS.ErrnoException) => {
        const seen = reason === "ENOENT" ? "it is not on PATH" : `it cannot be run (${reason})`;
        reject(cliProblem.error("pulumi-missing", { subject: "pulumi", seen }));
      });
      child.on("close", resolve);
    });
    if (code === 0) continue;
    const subject = ["pulumi", ...words].map(shellWord).join(" ");
    throw cliProblem.error("pulumi-failed", { subject, seen: `it ended with code ${code ?? "none"}` });
  }
}
