/** The locks with which the engine keeps other runs from a stack, in a backend of files. */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import * as path from "node:path";
import { isDefunct } from "./processes";
import { readIfThere } from "./wholeFiles";

/** Whether a process runs that is a Pulumi CLI: an id alone may by now be another's. */
function isEngine(pid: number): boolean {
  return readIfThere(`/proc/${pid}/comm`)?.trim() === "pulumi" && !isDefunct(pid);
}

/** The process that made a lock; undefined where the lock is gone meanwhile, or was cut off when it was written. */
function makerOf(file: string): number | undefined {
  try {
    return (JSON.parse(readFileSync(file, "utf8")) as { pid?: number }).pid;
  } catch {
    return undefined;
  }
}

/**
 * Whether a stack is locked by engines none of which runs any more, as one that was killed leaves it.
 *
 * @param backend - The backend's URL, as in `PULUMI_BACKEND_URL`.
 */
export function isLockStale(backend: string, stack: string): boolean {
  const folder = path.join(new URL(backend).pathname, ".pulumi", "locks");
  if (!existsSync(folder)) return false;
  const locks = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter(
    (file) => file.endsWith(".json") && path.basename(path.dirname(file)) === stack,
  );
  const pids = locks.map((file) => makerOf(path.join(folder, file)));
  return locks.length > 0 && !pids.some((pid) => pid !== undefined && isEngine(pid));
}
