import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { projectRoot } from "../../../lab/paths";

/** A program that says which signals it gets, and ends at the first that asks it to. */
const program = `
  trap "echo got INT" INT
  trap "echo got TERM; exit 5" TERM
  trap "echo got HUP; exit 6" HUP
  echo begun
  while :; do sleep 0.1; done`;

/** What the program gets when its runner, which has no terminal, gets a signal, and the runner's exit code. */
async function passed(
  signals: readonly NodeJS.Signals[],
  closing: "finishes" | "hangs up",
): Promise<readonly [said: string, code: unknown]> {
  const script = `
    const { runOnTerminal } = require("./lab/terminal");
    runOnTerminal({ argv: ["sh", "-c", process.argv[1]] }, { closing: process.argv[2] })
      .then((code) => (process.exitCode = code));`;
  const argv = ["--import", "tsx", "--eval", script, "--", program, closing];
  // Its own group, so that a signal can be sent to all of it, as the kernel does when a terminal is closed.
  const stdio = ["ignore", "pipe", "inherit"] as const;
  const runner = spawn(process.execPath, argv, { cwd: projectRoot, stdio: [...stdio], detached: true });
  const ended = once(runner, "close") as Promise<[unknown]>;
  let said = "";
  const reading = runner.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
  const awaitText = async (text: string): Promise<void> => {
    while (!said.includes(text)) await once(reading, "data");
  };
  await awaitText("begun\n");
  for (const signal of signals) {
    process.kill(-runner.pid!, signal);
    await awaitText(signal === "SIGINT" ? "got INT" : "got ");
  }
  const [code] = await ended;
  return [said.replace("begun\n", ""), code];
}

test("a closed terminal has the engine end in order, and SIGTERM is passed on", async () => {
  assert.deepEqual(await passed(["SIGHUP"], "finishes"), ["got TERM\n", 5]);
  assert.deepEqual(await passed(["SIGTERM"], "finishes"), ["got TERM\n", 5]);
});

test("without a terminal SIGINT is passed on", async () => {
  assert.deepEqual(await passed(["SIGINT", "SIGTERM"], "finishes"), ["got INT\ngot TERM\n", 5]);
});

test("a closed terminal hangs a shell up", async () => {
  assert.deepEqual(await passed(["SIGHUP"], "hangs up"), ["got HUP\n", 6]);
});
