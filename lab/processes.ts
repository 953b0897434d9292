import { readFileSync } from "node:fs";

/** Whether a process has ended, and its parent has not asked how: it stays in lists, as `<defunct>`, until then. */
export function isDefunct(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return /^ [ZX]/.test(stat.slice(stat.lastIndexOf(")") + 1));
  } catch {
    return false; // there is no such process
  }
}
