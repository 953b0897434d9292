import { setTimeout as sleep } from "node:timers/promises";
import { currentActivity } from "./activity";

/**
 * Asks again and again until the answer isn't undefined.
 *
 * @throws Error that names what was waited for, after `seconds`; Interrupted when what waits was stopped.
 */
export async function until<T>(what: string, seconds: number, ask: () => Promise<T | undefined>): Promise<T> {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const answer = await ask();
    currentActivity().assertGoesOn();
    if (answer !== undefined) return answer;
    if (performance.now() > end) throw new Error(`After ${seconds} s still waiting for ${what}`);
    await sleep(300);
  }
}
