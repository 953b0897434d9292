import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { asActivity, Interrupted, sideBySide, stopActivities } from "../../../lab/activity";
import { CommandError, exec } from "../../../lab/exec";

const forever = ["-c", "echo started; sleep 3600 & wait"];

/** Runs a program that doesn't end by itself, and resolves `started` when it runs. */
function endless(): { readonly started: Promise<void>; readonly ended: Promise<unknown> } {
  let ended: Promise<unknown> = Promise.resolve();
  const started = new Promise<void>((resolve) => {
    ended = exec("sh", forever, { onLine: () => resolve(), allowFailure: true });
    ended.catch(() => {});
  });
  return { started, ended };
}

test("an activity that is stopped fails, with the programs that it runs, and starts nothing more", async () => {
  const failures: unknown[] = [];
  let running: (() => void) | undefined;
  const isRunning = new Promise<void>((resolve) => (running = resolve));
  const activity = asActivity(async () => {
    const program = endless();
    await program.started;
    running!();
    await program.ended.catch((error: unknown) => failures.push(error));
    await exec("true", []).catch((error: unknown) => failures.push(error));
    throw new Error("it went on");
  });
  const failed = assert.rejects(activity, /it went on/);
  await isRunning;
  await stopActivities();
  await failed;
  assert.deepEqual(
    failures.map((failure) => failure instanceof Interrupted),
    [true, true],
  );
});

test("what is begun after that is not concerned, inside of an activity or outside", async () => {
  const program = endless();
  await program.started;
  await stopActivities();
  await assert.rejects(program.ended, Interrupted);
  assert.equal((await exec("echo", ["outside"])).stdout, "outside\n");
  assert.equal((await asActivity(() => exec("echo", ["inside"]))).stdout, "inside\n");
});

test("an activity that fails takes with it what it did side by side", async () => {
  let beside: Promise<unknown> | undefined;
  const activity = asActivity(async () => {
    const program = endless();
    beside = program.ended;
    await program.started;
    await Promise.all([program.ended, exec("false", [])]);
  });
  await assert.rejects(activity, CommandError);
  await assert.rejects(beside!, Interrupted);
});

test("of two side by side, the one that goes on is stopped and has cleaned up before the failure is told", async () => {
  const said: string[] = [];
  const failing = asActivity(async () => {
    let fail: (() => void) | undefined;
    const started = new Promise<void>((resolve) => (fail = resolve));
    await sideBySide(
      () => started.then(() => exec("false", [])),
      async () => {
        const program = endless();
        await program.started;
        fail!();
        try {
          await program.ended;
        } catch (error) {
          await sleep(50);
          said.push(error instanceof Interrupted ? "cleaned up" : String(error));
        }
      },
    );
  });
  await assert.rejects(failing, CommandError);
  assert.deepEqual(said, ["cleaned up"]);
});
