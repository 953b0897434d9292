/**
 * The lab for tests that run side by side: a change of it waits while another test file changes it, where the lab's own
 * command line would refuse.
 */
import { setTimeout as sleep } from "node:timers/promises";
import * as lab from "../../lab/lab";
import { UserError } from "../../support/errors";

export * from "../../lab/lab";

const isBusy = (error: unknown): boolean =>
  error instanceof UserError && error.problems.some(({ code }) => code === "lab-busy");

/** Minutes: more than any change of the lab takes that another test file makes. */
const longestTurn = 20;

/**
 * The same function, tried again while another process changes the lab: it is refused before it changes anything. The
 * last refusal, which names that process, is thrown.
 */
const inTurn =
  <Args extends unknown[], Result>(change: (...args: Args) => Promise<Result>) =>
  async (...args: Args): Promise<Result> => {
    const end = performance.now() + longestTurn * 60_000;
    for (;;) {
      try {
        return await change(...args);
      } catch (error) {
        if (!isBusy(error) || performance.now() > end) throw error;
        await sleep(200);
      }
    }
  };

export const addWorker = inTurn(lab.addWorker);
export const removeNode = inTurn(lab.removeNode);
export const replaceNode = inTurn(lab.replaceNode);
export const nextCa = inTurn(lab.nextCa);
export const rotateCa = inTurn(lab.rotateCa);
export const setRegistryPassword = inTurn(lab.setRegistryPassword);
export const fleetUp = inTurn(lab.fleetUp);
export const fleetDown = inTurn(lab.fleetDown);
