/** Programs that a person at the terminal deals with, rather than this process. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { currentActivity, signalGroup } from "./activity";
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

/** What a program is sent when a signal comes to this process. */
type PassedOn = Readonly<Partial<Record<NodeJS.Signals, NodeJS.Signals>>>;

export interface TerminalOptions {
  /** Given each line of the program's stdout and stderr, which has no input then: only Ctrl-C is the program's. */
  readonly onLine?: (line: string) => void;
  /**
   * What becomes of the program when the terminal is closed. "finishes" is for the Pulumi CLI, which SIGHUP would kill:
   * it is asked to end in order, so that it leaves no lock. "hangs up" is for a shell.
   */
  readonly closing: "finishes" | "hangs up";
}

/** A signal that comes again within so many milliseconds is the first one, which npm passes on. */
const sameSignal = 1000;

/** Runs the Pulumi CLI on the terminal and gives its exit code. */
export function onTerminal(client: Client, onLine?: (line: string) => void): Promise<number> {
  return runOnTerminal(client, { closing: "finishes", ...(onLine === undefined ? {} : { onLine }) });
}

/** Runs a program on the terminal and gives its exit code. */
export async function runOnTerminal(
  { argv, cwd, env }: Client,
  { onLine, closing }: TerminalOptions,
): Promise<number> {
  currentActivity().assertGoesOn();
  // The kernel sends SIGHUP to all programs of a terminal that is closed; Go's heed it unless they begin without it.
  const heedless = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh"];
  const [program = "", ...args] = [...(closing === "finishes" ? heedless : []), ...argv];
  // With a terminal, Ctrl-C comes to all its programs. Without one, signals come to this process alone: the program is
  // in a group of its own, so that it gets each of them once.
  const alone = !process.stdin.isTTY;
  const passedOn: PassedOn = {
    SIGTERM: "SIGTERM",
    SIGHUP: closing === "finishes" ? "SIGTERM" : "SIGHUP",
    ...(alone ? { SIGINT: "SIGINT" } : {}),
  };
  const lastPassed = new Map<NodeJS.Signals, number>();
  const passOn = (signal: NodeJS.Signals): void => {
    const name = passedOn[signal];
    // The end of this process is for who has a handler of its own: see `main.ts`.
    if (name === undefined || child.pid === undefined) return;
    const now = performance.now();
    if (now - (lastPassed.get(name) ?? -Infinity) < sameSignal) return;
    lastPassed.set(name, now);
    if (alone) signalGroup(child.pid, name);
    else child.kill(name);
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  // Before the program begins: a signal may come as soon as it does.
  for (const signal of signals) process.on(signal, passOn);
  const child = spawn(program, args, {
    env,
    cwd,
    stdio: onLine ? ["ignore", "pipe", "pipe"] : "inherit",
    detached: alone,
  });
  const ended = new Promise<number>((resolve, reject) => {
    child.on("error", reject).on("close", (exit) => resolve(exit ?? 1));
  });
  if (onLine) {
    for (const stream of [child.stdout!, child.stderr!]) createInterface(stream).on("line", onLine);
  }
  terminalTaken = ended.catch(() => {});
  try {
    await ended;
  } finally {
    terminalTaken = undefined;
    for (const signal of signals) process.off(signal, passOn);
  }
  currentActivity().assertGoesOn();
  return await ended;
}
