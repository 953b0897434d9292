/** Programs that a person at the terminal deals with, rather than this process. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { currentActivity } from "./activity";
import type { Client } from "./exec";

/** When the program that has the terminal ends; undefined while none has it. */
let terminalTaken: Promise<unknown> | undefined;

/**
 * Gives, while a program has the terminal, a promise of when it ends: until then Ctrl-C is the program's. The Pulumi CLI
 * ends the update that it runs in order, and a second Ctrl-C ends it at once.
 */
export function cliOnTerminal(): Promise<unknown> | undefined {
  return terminalTaken;
}

/** Signals that come to this process alone. Ctrl-C comes to all programs of a terminal. */
const passedOn: readonly NodeJS.Signals[] = ["SIGTERM", "SIGHUP"];

/**
 * Runs a program on the terminal and gives its exit code. With `onLine`, only Ctrl-C is the program's: it has no input,
 * and each line of its stdout and stderr goes there.
 */
export async function onTerminal(
  { argv: [program, ...args], cwd, env }: Client,
  onLine?: (line: string) => void,
): Promise<number> {
  currentActivity().assertGoesOn();
  const child = spawn(program, args, { env, cwd, stdio: onLine ? ["ignore", "pipe", "pipe"] : "inherit" });
  const ended = new Promise<number>((resolve, reject) => {
    child.on("error", reject).on("close", (exit) => resolve(exit ?? 1));
  });
  if (onLine) {
    for (const stream of [child.stdout!, child.stderr!]) createInterface(stream).on("line", onLine);
  }
  const passOn = (signal: NodeJS.Signals): void => void child.kill(signal);
  // The end of this process is for who has a handler of its own: see `main.ts`.
  const ignore = (): void => {};
  process.on("SIGINT", ignore);
  for (const signal of passedOn) process.on(signal, passOn);
  terminalTaken = ended.catch(() => {});
  try {
    await ended;
  } finally {
    terminalTaken = undefined;
    process.off("SIGINT", ignore);
    for (const signal of passedOn) process.off(signal, passOn);
  }
  currentActivity().assertGoesOn();
  return await ended;
}
