/** What the command lines of the lab, the benchmark and the tests have in common: how they are ended, and how they fail. */
import { UserError } from "../support/errors";
import { CommandError } from "./exec";
import { commandProblem } from "./waiting";

/** The exit codes that shells give to who was ended by a signal. */
const codes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129, SIGPIPE: 141 } as const;

let interrupted = false;

/** Whether a signal told this process to end. */
export const isInterrupted = (): boolean => interrupted;

/** A failure for people: the problem and its remedy, and where in our code it was only if that is all that is known. */
export function told(error: unknown): string {
  if (error instanceof UserError) return error.message;
  if (error instanceof CommandError) return commandProblem(error).message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** Says why this process fails; where a signal ended it, that is why. */
export function fail(error: unknown): void {
  process.exitCode = 1;
  if (!interrupted) process.stderr.write(`${told(error)}\n`);
}

/**
 * Ends this process at a signal, once `stop` has put an end to what goes on. A terminal's Ctrl-C may come twice: npm
 * passes it on.
 */
export function endOnSignals(
  stop: (signal: keyof typeof codes) => Promise<void>,
): (signal: keyof typeof codes) => Promise<void> {
  const end = async (signal: keyof typeof codes): Promise<void> => {
    if (interrupted) return;
    interrupted = true;
    await stop(signal).catch((error: unknown) => process.stderr.write(`${told(error)}\n`));
    process.exit(codes[signal]);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => void end(signal));
  return end;
}

/**
 * Ends a process whose stdout has lost its reader (`… | head`), as SIGPIPE would; Node.js ignores that signal.
 * @param end - What {@link endOnSignals} gives.
 */
export function endWithoutReader(end: ReturnType<typeof endOnSignals>): void {
  process.stdout.on("error", () => void end("SIGPIPE"));
  process.stderr.on("error", () => undefined);
}
