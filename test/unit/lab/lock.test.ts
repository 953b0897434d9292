import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { exclusively } from "../../../lab/lock";
import { inProcesses, needsRoot } from "./children";

const log = (): string => {
  const file = path.join(mkdtempSync(path.join(tmpdir(), "lock-")), "log");
  writeFileSync(file, "");
  return file;
};

/** Takes the lock so many times, each as soon as it can be had; says when it has it and when it gives it back. */
const contender = (times: number, whileHeld = ""): string => `
  const { appendFileSync } = require("node:fs");
  const { setTimeout: sleep } = require("node:timers/promises");
  const { exclusively } = require("./lab/lock");
  const say = (what) => appendFileSync(process.argv[1], what + " " + process.pid + "\\n");
  const turn = async () => {
    say("has");
    await sleep(1);
    say("gives");
    ${whileHeld}
  };
  (async () => {
    for (let had = 0; had < ${times}; ) {
      try {
        await exclusively(turn);
        had++;
      } catch (error) {
        if (!/lab-busy/.test(error.message)) throw error;
      }
    }
  })();`;

/** What was said, as who had the lock from beginning to end. */
function turns(file: string): string[] {
  const lines = readFileSync(file, "utf8").trim().split("\n");
  const begun = lines.filter((_, index) => index % 2 === 0).map((line) => line.replace("has ", ""));
  assert.deepEqual(
    lines,
    begun.flatMap((pid) => [`has ${pid}`, `gives ${pid}`]),
  );
  return begun;
}

test("one process at a time changes the lab", { skip: needsRoot }, async () => {
  const file = log();
  await inProcesses(6, contender(100), file);
  assert.equal(turns(file).length, 600);
});

test("a process that was killed has no lock, and only one takes its place", { skip: needsRoot }, async () => {
  const file = log();
  await inProcesses(6, contender(1, 'process.kill(process.pid, "SIGKILL"); await sleep(60_000);'), file);
  assert.equal(new Set(turns(file)).size, 6);
});

test("who is refused is told which process has the lock", { skip: needsRoot }, async () => {
  const script = `
    require("./lab/lock").exclusively(async () => {}).catch((error) => console.log(error.message));`;
  const [refused] = await exclusively(() => inProcesses(1, script));
  assert.match(refused!.stdout, new RegExp(`another command \\(process ${process.pid}\\) is changing it`));
});

test("what one process does waits for its turn, and a part of it does not", { skip: needsRoot }, async () => {
  const said: string[] = [];
  await Promise.all(
    ["a", "b"].map((name) =>
      exclusively(async () => {
        said.push(`${name} begins`);
        await exclusively(() => Promise.resolve(said.push(`part of ${name}`)));
        said.push(`${name} ends`);
      }),
    ),
  );
  assert.deepEqual(
    said,
    ["a", "b"].flatMap((name) => [`${name} begins`, `part of ${name}`, `${name} ends`]),
  );
});
