/** Waiting for what the lab brings up, and trying again what a busy machine made fail: both have an end. */
import { setTimeout as sleep } from "node:timers/promises";
import { UserError } from "../support/errors";
import { currentActivity } from "./activity";
import { CommandError } from "./exec";
import { labProblem } from "./problems";

/**
 * Seconds after which something that is waited for is taken for lost. Nothing takes so long, even where ten times as
 * many programs want to run as there are processors; it only keeps a defect from lasting for ever.
 */
export const patience = 600;

/** Says what was seen of something that isn't as it is wanted yet. */
export type See = (text: string) => void;

/**
 * Asks again and again until the answer isn't undefined. A command that fails meanwhile is an answer that is not there
 * yet.
 *
 * @param what - What is to happen, as in "the API server answers".
 * @throws UserError that says what was waited for, and what was seen last; Interrupted when what waits was stopped.
 */
export async function eventually<T>(
  what: string,
  ask: (see: See) => Promise<T | undefined>,
  seconds = patience,
): Promise<T> {
  const end = performance.now() + seconds * 1000;
  let seen = "";
  const attempt = async (): Promise<T | undefined> => {
    try {
      return await ask((text) => (seen = text.trim()));
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      seen = error.message;
      return undefined;
    }
  };
  for (;;) {
    const answer = await attempt();
    currentActivity().assertGoesOn();
    if (answer !== undefined) return answer;
    if (performance.now() > end) {
      throw labProblem.error("lab-waited", {
        subject: "lab",
        seen: `in ${seconds} s it did not happen that ${what}${seen === "" ? "" : `; seen last: ${seen}`}`,
      });
    }
    await sleep(300);
  }
}

/** Seconds before the second, third and fourth attempt. */
const pauses = [1, 2, 4];

/** Runs a command that may be run again, up to four times, while it fails with what may be of a moment only. */
export async function again<T>(run: () => Promise<T>, mayPass: (error: CommandError) => boolean): Promise<T> {
  for (const pause of pauses) {
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof CommandError) || !mayPass(error)) throw error;
    }
    await sleep(pause * 1000);
    currentActivity().assertGoesOn();
  }
  return await run();
}

/** A command's failure as a problem of the lab's: what is told to people, rather than where in our code it was. */
export function commandProblem(error: CommandError): UserError {
  return labProblem.error("lab-command-failed", { subject: error.program, seen: error.message });
}
