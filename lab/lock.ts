import { AsyncLocalStorage } from "node:async_hooks";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import { UserError } from "../support/errors";
import { asActivity } from "./activity";
import { labFolder, makeLabFolder } from "./paths";

const lockFile = path.join(labFolder, "lock");

/** What tells a process from a later one of the same id: when it was started, in ticks since boot. */
function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}

/** The process that holds the lock, if it still runs. */
function holder(): number | undefined {
  try {
    const [pid, started] = readFileSync(lockFile, "utf8").trim().split(" ");
    return started !== undefined && startTime(Number(pid)) === started ? Number(pid) : undefined;
  } catch {
    return undefined;
  }
}

function take(): boolean {
  try {
    writeFileSync(lockFile, `${process.pid} ${startTime(process.pid) ?? ""}\n`, { flag: "wx", mode: 0o600 });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

const holding = new AsyncLocalStorage<true>();
let lastInLine: Promise<unknown> = Promise.resolve();

/**
 * Runs what changes the lab, while nothing else does: what this process has going on is waited for, what another has
 * is not. A change may be part of another, and is stopped by `stopActivities`. A lock of a process that was killed
 * counts for nothing.
 *
 * @throws UserError when another command changes this folder's lab.
 */
export async function exclusively<T>(run: () => Promise<T>): Promise<T> {
  if (holding.getStore()) return run();
  const turn = lastInLine.then(() => holding.run(true, () => withLock(() => asActivity(run))));
  lastInLine = turn.catch(() => {});
  return turn;
}

async function withLock<T>(run: () => Promise<T>): Promise<T> {
  makeLabFolder();
  takeOver();
  const release = (): void => rmSync(lockFile, { force: true });
  process.once("exit", release);
  try {
    return await run();
  } finally {
    process.off("exit", release);
    release();
  }
}

function takeOver(): void {
  while (!take()) {
    const pid = holder();
    if (pid !== undefined) {
      throw new UserError({
        code: "lab-busy",
        subject: "lab",
        seen: `another command (process ${pid}) is changing it`,
        remedy: "Wait until it has ended, then try again",
      });
    }
    rmSync(lockFile, { force: true });
  }
}
