import { AsyncLocalStorage } from "node:async_hooks";
import { connect, createServer, type Server } from "node:net";
import { asActivity } from "./activity";
import { labName, makeLabFolder } from "./paths";
import { labProblem } from "./problems";

/**
 * The lock is a socket that only one process can listen on. Its name is none of a file's (it begins with a zero byte):
 * the kernel takes it back when the process ends, however it ends, so that there is no lock of a dead one.
 */
const lock = `\0${labName}-lock`;

/** Takes the lock; gives undefined where another process has it. */
function take(): Promise<Server | undefined> {
  const server = createServer((asking) => asking.on("error", () => {}).end(String(process.pid)));
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(undefined);
      else reject(error);
    });
    server.listen(lock, () => resolve(server));
  });
}

/** Asks who has the lock, for people; it may be busy, or have given it back. */
function holder(): Promise<string> {
  return new Promise((resolve) => {
    const asking = connect({ path: lock, timeout: 3000 });
    const end = (who: string) => (): void => {
      asking.destroy();
      resolve(who);
    };
    asking.on("data", (pid: Buffer) => end(`another command (process ${parseInt(pid.toString(), 10)})`)());
    for (const event of ["timeout", "error", "close"]) asking.on(event, end("another command"));
  });
}

const holding = new AsyncLocalStorage<true>();
let lastInLine: Promise<unknown> = Promise.resolve();

/**
 * Runs what changes the lab, while nothing else does: what this process has going on is waited for, what another has
 * is not. A change may be part of another, and is stopped by `stopActivities`.
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
  const server = await take();
  if (!server) {
    throw labProblem.error("lab-busy", { subject: "lab", seen: `${await holder()} is changing it` });
  }
  try {
    makeLabFolder();
    return await run();
  } finally {
    server.close();
  }
}
