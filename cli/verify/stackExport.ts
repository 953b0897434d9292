/**
 * The state of a stack, exported by the operator's own `pulumi`.
 * It never decrypts secrets, and never interprets the state.
 */
import { cliProblem } from "../problems";
import { pulumiRefusal, capturePulumi } from "../pulumi";

/** Exports the stack's state; what is secret in it stays encrypted. */
export async function exportState(stack: string): Promise<unknown> {
  const subject = `stack ${stack}`;
  const lines: string[] = [];
  const result = await capturePulumi(["stack", "export", "--stack", stack], (line) => lines.push(line));
  if (result.code !== 0) throw pulumiRefusal(subject, result, "export-failed");
  try {
    return JSON.parse(lines.join("\n"));
  } catch {
    const seen = "what `pulumi stack export` printed is not JSON";
    throw cliProblem.error("export-failed", { subject, seen }, "notJson");
  }
}
