import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { projectRoot } from "../../../lab/paths";

/** Runs a command line of the lab's kind, which waits; gives what it says once signals came, and its exit code. */
async function signalled(...signals: NodeJS.Signals[]): Promise<readonly [said: string, code: unknown]> {
  const script = `
    const { endOnSignals, fail } = require("./lab/program");
    const { setTimeout: sleep } = require("node:timers/promises");
    let giveUp;
    const work = new Promise((_, reject) => (giveUp = reject));
    endOnSignals(async (signal) => {
      giveUp(new Error("gave up"));
      await sleep(300);
      console.log("stopped by " + signal);
    });
    console.log("begun");
    const alive = setInterval(() => {}, 1000);
    work.catch(fail);`;
  const child = spawn(process.execPath, ["--import", "tsx", "--eval", script], { cwd: projectRoot });
  let said = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (said += text));
  await once(child.stdout, "data");
  for (const signal of signals) child.kill(signal);
  const [code] = (await once(child, "close")) as [unknown];
  return [said.replace("begun\n", ""), code];
}

test("a signal ends a command once it has stopped what goes on, and why it then fails is not told", async () => {
  assert.deepEqual(await signalled("SIGTERM"), ["stopped by SIGTERM\n", 143]);
});

test("a second Ctrl-C changes nothing", async () => {
  assert.deepEqual(await signalled("SIGINT", "SIGINT"), ["stopped by SIGINT\n", 130]);
});
