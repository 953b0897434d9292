import { spawn, type SpawnOptions } from "node:child_process";
import * as path from "node:path";
import { currentActivity, signalGroup } from "./activity";

/** A command line, and what it is to be run with. */
export interface Client {
  readonly argv: readonly [program: string, ...args: string[]];
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

export interface ExecOptions {
  readonly input?: string | Buffer;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Seconds; the process is killed after that, with those that it started. Default: {@link longest}. */
  readonly timeout?: number;
  /** Resolve whatever the exit code is. */
  readonly allowFailure?: boolean;
  /** Called with each line of stdout and stderr as it comes. */
  readonly onLine?: (line: string) => void;
}

export interface ExecResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Seconds: more than the longest program takes on a busy machine, which is a compiler's hour. */
const longest = 2 * 3600;

/** A command of the lab failed: says which, how, and the end of what it printed. */
export class CommandError extends Error {
  constructor(
    command: readonly string[],
    readonly result: ExecResult,
    /** Seconds after which it was killed, if that is why it failed. */
    readonly killedAfter?: number,
  ) {
    const shown = (result.stderr.trim() || result.stdout.trim()).split("\n").slice(-20).join("\n");
    const how =
      killedAfter === undefined
        ? `ended with code ${result.code}`
        : `had not ended after ${killedAfter} s, and was killed`;
    super(`\`${command.join(" ").slice(0, 300)}\` ${how}:\n${shown}`);
    this.name = "CommandError";
    this.program = path.basename(command[0] ?? "");
  }

  /** The program's name. */
  readonly program: string;
}

/**
 * Runs a program without a shell, in a process group of its own, and gives back what it printed.
 *
 * @throws CommandError when it fails, unless `allowFailure`; Interrupted when what it was part of was stopped.
 */
export async function exec(
  command: string,
  args: readonly string[],
  options: ExecOptions = {},
): Promise<ExecResult> {
  const activity = currentActivity();
  activity.assertGoesOn();
  const spawnOptions: SpawnOptions = {
    env: options.env ?? process.env,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    stdio: ["pipe", "pipe", "pipe"],
    detached: true,
  };
  const child = spawn(command, args, spawnOptions);
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    let partial = "";
    child[name]!.setEncoding("utf8").on("data", (chunk: string) => {
      output[name] += chunk;
      if (!options.onLine) return;
      const lines = (partial + chunk).split(/\r?\n/);
      partial = lines.pop() ?? "";
      lines.forEach((line) => options.onLine!(line));
    });
  }
  child.stdin!.on("error", () => {}); // a child that ends without reading its input says so by its exit code
  child.stdin!.end(options.input ?? "");
  const timeout = options.timeout ?? longest;
  let killedAfter: number | undefined;
  const timer = setTimeout(() => {
    killedAfter = timeout;
    if (child.pid !== undefined) signalGroup(child.pid, "SIGKILL");
  }, timeout * 1000);
  const ended = new Promise<number>((resolve) => {
    // A program that is not there ends as a shell tells it.
    child.on("error", (error) => {
      output.stderr += error.message;
      resolve(127);
    });
    child.on("close", (exit, signal) => resolve(exit ?? (signal ? 128 : 1)));
  });
  if (child.pid !== undefined) activity.add(child.pid, ended);
  const code = await ended.finally(() => clearTimeout(timer));
  activity.assertGoesOn();
  const result: ExecResult = { code, ...output };
  if (code !== 0 && options.allowFailure !== true) {
    throw new CommandError([command, ...args], result, killedAfter);
  }
  return result;
}
