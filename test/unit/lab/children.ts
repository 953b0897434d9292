import { exec, type ExecResult } from "../../../lab/exec";
import { projectRoot } from "../../../lab/paths";

/** Why a test of what the lab does as root on Linux can't run here, or false. */
export const needsRoot =
  process.platform === "linux" && process.getuid?.() === 0
    ? false
    : "it needs root on Linux, as the lab does";

/** Runs the same TypeScript in several processes at once. */
export function inProcesses(count: number, script: string, ...words: string[]): Promise<ExecResult[]> {
  const argv = ["--import", "tsx", "--eval", script, "--", ...words];
  const run = (): Promise<ExecResult> =>
    exec(process.execPath, argv, { cwd: projectRoot, allowFailure: true });
  return Promise.all(Array.from({ length: count }, run));
}
