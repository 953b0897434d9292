import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { exclusively, holdForTests, inTurn } from "../../../lab/lock";
import { inProcesses, needsRoot } from "./children";

/** A lab of these tests' own: its locks are in nobody's way. */
const lab = `tkc-lab-test-${process.pid}`;

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
        await exclusively(turn, process.argv[2]);
        had++;
      } catch (error) {
        if (!/lab-busy/.test(error.message)) throw error;
        await sleep(5);
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
  await inProcesses(6, contender(100), file, lab);
  assert.equal(turns(file).length, 600);
});

test("a process that was killed has no lock, and only one takes its place", { skip: needsRoot }, async () => {
  const file = log();
  await inProcesses(6, contender(1, 'process.kill(process.pid, "SIGKILL"); await sleep(60_000);'), file, lab);
  assert.equal(new Set(turns(file)).size, 6);
});

test("who is refused is told which process has the lock", { skip: needsRoot }, async () => {
  const script = `
    const { exclusively } = require("./lab/lock");
    exclusively(async () => {}, process.argv[1]).catch((error) => console.log(error.message));`;
  const [refused] = await exclusively(() => inProcesses(1, script, lab), lab);
  assert.match(refused!.stdout, new RegExp(`another command \\(process ${process.pid}\\) is changing it`));
});

test("what one process does waits for its turn, and a part of it does not", { skip: needsRoot }, async () => {
  const said: string[] = [];
  await Promise.all(
    ["a", "b"].map((name) =>
      exclusively(async () => {
        said.push(`${name} begins`);
        await exclusively(() => Promise.resolve(said.push(`part of ${name}`)), lab);
        said.push(`${name} ends`);
      }, lab),
    ),
  );
  assert.deepEqual(
    said,
    ["a", "b"].flatMap((name) => [`${name} begins`, `part of ${name}`, `${name} ends`]),
  );
});

test("the tests' lab is refused to other commands between its changes too", { skip: needsRoot }, async () => {
  const own = `${lab}-held`;
  await holdForTests(own);
  const script = `
    if (process.argv[2] === "other") delete process.env.TKC_REGISTRY_TEST_RUN;
    else process.env.TKC_REGISTRY_TEST_RUN = "a run";
    require("./lab/lock").exclusively(async () => "changed", process.argv[1])
      .then(console.log, (error) => console.log(error.message));`;
  const [other] = await inProcesses(1, script, own, "other");
  assert.match(
    other!.stdout,
    new RegExp(`end-to-end tests \\(process ${process.pid}\\) is using it.*lab-in-use-by-tests`),
  );
  const [part] = await inProcesses(1, script, own, "part");
  assert.equal(part!.stdout, "changed\n");
  await assert.rejects(holdForTests(own), /lab-in-use-by-tests/);
});

test("what a machine does once at a time is waited for", { skip: needsRoot }, async () => {
  const name = `${lab}-turn`;
  const said: string[] = [];
  await Promise.all(
    ["a", "b"].map((who) =>
      inTurn(
        name,
        async () => {
          said.push(`${who} begins`);
          await sleep(20);
          said.push(`${who} ends`);
        },
        60,
      ),
    ),
  );
  assert.deepEqual(
    said.map((each) => each.slice(2)),
    ["begins", "ends", "begins", "ends"],
  );
  await inTurn(
    name,
    () =>
      assert.rejects(
        inTurn(name, async () => {}, 0),
        new RegExp(`process ${process.pid}`),
      ),
    60,
  );
});
