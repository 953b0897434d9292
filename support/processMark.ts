/**
 * Marks by which a process on the same machine can tell that another one has ended.
 * It never decides anything about a process of another machine or container.
 */
import { readFileSync, readlinkSync } from "node:fs";

/** The fields of `/proc/PID/stat` behind the name, which may contain anything. */
function statOf(pid: number): readonly string[] {
  return readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /s, "")
    .split(" ");
}

/** The time at which a process was started: the 22nd field, in ticks since the boot. */
const startedAt = (stat: readonly string[]): string => stat[19] ?? "";

/** The machine's boot and the PID namespace, in which a PID means the same process. */
function place(): string {
  const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  return `${boot} ${readlinkSync("/proc/self/ns/pid")}`;
}

/** This process's mark; `undefined` where the system has no /proc. */
export function processMark(): string | undefined {
  try {
    return `${place()} ${process.pid} ${startedAt(statOf(process.pid))}`;
  } catch {
    return undefined;
  }
}

/** Whether the process with this mark has certainly ended. A process that is not seen from here may be alive. */
export function hasEnded(mark: string): boolean {
  try {
    const [, where, pid, started] = /^(\S+ \S+) (\d{1,10}) (\d+)$/.exec(mark) ?? [];
    if (where !== place()) return false;
    try {
      process.kill(Number(pid), 0);
    } catch (error) {
      // A process of another user answers EPERM, and /proc may hide it.
      return (error as NodeJS.ErrnoException).code === "ESRCH";
    }
    const stat = statOf(Number(pid));
    return startedAt(stat) !== started || stat[0] === "Z";
  } catch {
    return false;
  }
}
