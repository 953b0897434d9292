/**
 * What this process is doing to the lab, so that it can be stopped as a whole: an activity is a function with all
 * that it waits for, side by side or one after the other, and the programs that it has running.
 */
import { AsyncLocalStorage } from "node:async_hooks";

/** What an activity that was stopped fails with, wherever it was. */
export class Interrupted extends Error {
  constructor() {
    super("It was interrupted");
    this.name = "Interrupted";
  }
}

/** Seconds that programs have to end when they are asked to; then they are killed. */
const patience = 30;

/** Sends a signal to a program of a process group of its own, and to those that it started. */
export function signalGroup(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(-pid, name);
  } catch {
    // It has ended meanwhile.
  }
}

class Activity {
  #stopped = false;
  #force: NodeJS.Timeout | undefined;
  readonly #programs = new Map<number, Promise<unknown>>();
  /** When the activity's own function has ended, however. */
  ended: Promise<unknown> = Promise.resolve();

  assertGoesOn(): void {
    if (this.#stopped) throw new Interrupted();
  }

  /** A program of a process group of its own, and when it has ended. */
  add(pid: number, ended: Promise<unknown>): void {
    this.#programs.set(pid, ended);
    const remove = (): void => void this.#programs.delete(pid);
    ended.then(remove, remove);
  }

  #signal(name: NodeJS.Signals): void {
    for (const pid of this.#programs.keys()) signalGroup(pid, name);
  }

  /** Has it start nothing more, ends its programs with those that they started, and waits until they have ended. */
  async stop(): Promise<void> {
    if (!this.#stopped) {
      this.#stopped = true;
      this.#signal("SIGTERM");
      this.#force = setTimeout(() => this.#signal("SIGKILL"), patience * 1000);
    }
    await Promise.allSettled(this.#programs.values());
    clearTimeout(this.#force);
  }
}

const own = new AsyncLocalStorage<Activity>();
const running = new Set<Activity>();
/** Of what is done outside all of them. */
let common = new Activity();

/** The activity that the caller is part of. */
export function currentActivity(): Pick<Activity, "assertGoesOn" | "add"> {
  return own.getStore() ?? common;
}

/** Runs a function as an activity. Where it fails, it has ended with all that it had going on. */
export async function asActivity<T>(run: () => Promise<T>): Promise<T> {
  const activity = new Activity();
  running.add(activity);
  const result = own.run(activity, run);
  activity.ended = result.catch(() => {});
  try {
    return await result;
  } catch (error) {
    await activity.stop(); // what it did side by side with what failed
    throw error;
  } finally {
    running.delete(activity);
  }
}

/**
 * Runs two functions side by side. Where one fails, the other is stopped, and both have ended, with what they do at their
 * end, before this fails.
 */
export async function sideBySide<A, B>(first: () => Promise<A>, second: () => Promise<B>): Promise<[A, B]> {
  return await asActivity(async () => {
    const runs = [first(), second()] as const;
    try {
      return await Promise.all(runs);
    } catch (error) {
      await own.getStore()!.stop();
      await Promise.allSettled(runs);
      throw error;
    }
  });
}

/**
 * Stops all that is going on, and waits until it has given up; what is begun from then on isn't concerned. To be
 * called from outside of every activity, which would wait for itself.
 */
export async function stopActivities(): Promise<void> {
  const stopped = [...running, common];
  common = new Activity();
  await Promise.all(stopped.map(async (activity) => Promise.all([activity.stop(), activity.ended])));
}
