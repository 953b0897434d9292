/** The time as far as durations go, for tests that have a time of their own. It never tells the time of day. */
import { setTimeout as sleep } from "node:timers/promises";

export interface Clock {
  /** Milliseconds since some moment. */
  now(): number;
  /** Rejects when the signal is aborted. */
  sleep(seconds: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  sleep: (seconds, signal) => sleep(seconds * 1000, undefined, signal ? { signal } : {}),
};
