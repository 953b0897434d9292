import { AsyncLocalStorage } from "node:async_hooks";
import { connect, createServer, type Server } from "node:net";
import type { UserError } from "../support/errors";
import { asActivity } from "./activity";
import { labName, makeLabFolder } from "./paths";
import { labProblem } from "./problems";
import { eventually } from "./waiting";

/**
 * A lock is a socket that only one process can listen on. Its address is none of a file's (it begins with a zero byte):
 * the kernel takes it back when the process ends, however it ends, so that there is no lock of a dead one.
 */
const address = (name: string): string => `\0${name}`;
const changeLock = (lab: string): string => `${lab}-lock`;
const testsLock = (lab: string): string => `${lab}-tests`;

/** Takes a lock; gives undefined where another process has it. */
function take(name: string): Promise<Server | undefined> {
  const server = createServer((asking) => asking.on("error", () => {}).end(String(process.pid)));
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(undefined);
      else reject(error);
    });
    server.listen(address(name), () => resolve(server));
  });
}

/** Asks who has a lock; undefined where nobody does. A process that is too busy to answer has no id. */
function holder(name: string): Promise<{ readonly pid?: number } | undefined> {
  return new Promise((resolve) => {
    const asking = connect({ path: address(name), timeout: 3000 });
    const end = (who: { readonly pid?: number } | undefined) => (): void => {
      asking.destroy();
      resolve(who);
    };
    asking.on("data", (pid: Buffer) => end({ pid: parseInt(pid.toString(), 10) })());
    asking.on("error", (error: NodeJS.ErrnoException) =>
      end(error.code === "ECONNREFUSED" ? undefined : {})(),
    );
    for (const event of ["timeout", "close"]) asking.on(event, end({}));
  });
}

const named = (what: string, who: { readonly pid?: number } | undefined): string =>
  who?.pid === undefined ? what : `${what} (process ${who.pid})`;

const holding = new AsyncLocalStorage<string>();
const lastInLine = new Map<string, Promise<unknown>>();

/**
 * Runs what changes the lab, while nothing else does: what this process has going on is waited for, what another has
 * is not. A change may be part of another, and is stopped by `stopActivities`.
 *
 * @throws UserError when another command changes this folder's lab, or the tests have it.
 */
export async function exclusively<T>(run: () => Promise<T>, lab = labName): Promise<T> {
  if (holding.getStore() === lab) return run();
  const turn = (lastInLine.get(lab) ?? Promise.resolve()).then(() =>
    holding.run(lab, () => withLock(lab, () => asActivity(run))),
  );
  lastInLine.set(
    lab,
    turn.catch(() => {}),
  );
  return turn;
}

async function withLock<T>(lab: string, run: () => Promise<T>): Promise<T> {
  const server = await take(changeLock(lab));
  if (!server) {
    const seen = `${named("another command", await holder(changeLock(lab)))} is changing it`;
    throw labProblem.error("lab-busy", { subject: "lab", seen });
  }
  try {
    await assertNotOfTests(lab);
    makeLabFolder();
    return await run();
  } finally {
    server.close();
  }
}

/** The labs that this process keeps from others. */
const heldForTests = new Set<string>();
/** The variable is set for a run of the tests and for all that it starts. */
const isOfTests = (lab: string): boolean =>
  heldForTests.has(lab) || process.env["TKC_REGISTRY_TEST_RUN"] !== undefined;

function inUseByTests(who: { readonly pid?: number } | undefined): UserError {
  const seen = `${named("a run of the end-to-end tests", who)} is using it`;
  return labProblem.error("lab-in-use-by-tests", { subject: "lab", seen });
}

/**
 * Checks that the lab is not that of a run of the end-to-end tests, which use it between their changes of it too. The
 * processes of such a run pass.
 *
 * @throws UserError when it is.
 */
export async function assertNotOfTests(lab = labName): Promise<void> {
  if (isOfTests(lab)) return;
  const who = await holder(testsLock(lab));
  if (who) throw inUseByTests(who);
}

/**
 * Keeps other commands from the lab until this process, a run of the end-to-end tests, ends.
 *
 * @throws UserError when another run of them has it, or another command is changing it.
 */
export async function holdForTests(lab = labName): Promise<void> {
  const server = await take(testsLock(lab));
  if (!server) throw inUseByTests(await holder(testsLock(lab)));
  server.unref();
  heldForTests.add(lab);
  // A command that looked before the lock was there has the other one.
  await exclusively(() => Promise.resolve(), lab);
}

/** Runs something while no other process on this machine, of whatever clone, has the lock of that name; waits for it. */
export async function inTurn<T>(name: string, run: () => Promise<T>, seconds: number): Promise<T> {
  const server = await eventually(
    `no other process has the lock ${name}`,
    async (see) => {
      const taken = await take(name);
      if (!taken) see(named("another command has it", await holder(name)));
      return taken;
    },
    seconds,
  );
  try {
    return await run();
  } finally {
    server.close();
  }
}
