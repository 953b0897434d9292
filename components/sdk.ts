/** Changes to Pulumi's SDK: its debug log, the stacks of its promises and resources, how it prints an error. */
import * as path from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { UserError } from "../support/errors";
import { cleanError, cleanUncaughtErrors, withoutSecrets } from "../support/secrets";

/**
 * Keeps secrets out of all that the SDK logs and prints.
 *
 * Its debug messages repeat the engine's answers with secrets in clear, and `--debug` shows them: `RegisterResource RPC
 * finished: …; err: …, resp: …` (`runtime/resource.js` and `invoke.js` of SDK 3.228). The answer is cut out.
 */
export function hideSecrets(): void {
  const log = pulumi.log as Pick<typeof pulumi.log, "debug" | "info" | "warn" | "error">;
  const { debug, info, warn, error } = log;
  log.debug = (message, ...rest) =>
    debug(withoutSecrets(message.replace(/, resp: [^]*/, ", resp: not shown")), ...rest);
  log.info = (message, ...rest) => info(withoutSecrets(message), ...rest);
  log.warn = (message, ...rest) => warn(withoutSecrets(message), ...rest);
  log.error = (message, ...rest) => error(withoutSecrets(message), ...rest);
  cleanUncaughtErrors();
}

let prepared = false;

/** Changes the SDK once in a process, before anything secret is known. */
export function prepareSdk(): void {
  if (prepared) return;
  prepared = true;
  hideSecrets();
  skipStacks();
}

interface StackFrame {
  getFileName(): string | undefined | null;
  getFunctionName(): string | null;
  toString(): string;
}

/** V8's hook; Pulumi's language host has set one, which maps a stack to its sources. */
export interface StackHooks {
  prepareStackTrace?: ((error: Error, frames: readonly StackFrame[]) => unknown) | undefined;
}

const fileOf = (frame: StackFrame | undefined): string => frame?.getFileName() ?? "";

/** The SDK formats and keeps a stack for each of its promises, to find leaks: 6 s and 130 MB for 256 nodes. */
const isOfPromise = ([first]: readonly StackFrame[]): boolean =>
  /@pulumi[\\/]pulumi[\\/]runtime[\\/]debuggable\.js$/.test(fileOf(first));

/**
 * The SDK asks where in the program a resource is declared, and the engine keeps that in the state: a sixth of a node's
 * share. Of what our files declare it tells nobody anything. Above whoever declares a resource are its type's constructor,
 * that of components or custom resources, that of all resources, and two more functions of the SDK.
 */
const isOfOwnResource = (frames: readonly StackFrame[]): boolean =>
  frames[0]?.getFunctionName() === "callsites" &&
  /@pulumi[\\/]pulumi[\\/]resource\.js$/.test(fileOf(frames[0])) &&
  path.dirname(fileOf(frames[5])) === __dirname;

/** Skips these stacks only. `PULUMI_DEBUG_PROMISE_LEAKS` prints those of promises, and so keeps them. */
export function skipStacks(): void {
  const keepsPromises = Boolean(process.env["PULUMI_DEBUG_PROMISE_LEAKS"]);
  const hooks = Error as unknown as StackHooks;
  const format = hooks.prepareStackTrace;
  hooks.prepareStackTrace = (error, frames) => {
    if ((!keepsPromises && isOfPromise(frames)) || isOfOwnResource(frames)) return "";
    return format
      ? format(error, frames)
      : [String(error), ...frames.map((frame) => frame.toString())].join("\n    at ");
  };
}

/**
 * An error for Pulumi to print. A {@link UserError} loses its stack, which the SDK would take twenty seconds to print.
 * Any other error is a defect and keeps its stack.
 */
export function printableError(error: unknown): unknown {
  if (!(error instanceof UserError)) return cleanError(error);
  const printed = new pulumi.RunError(error.message);
  delete printed.stack;
  return printed;
}

/** For `catch`: throws the error as {@link printableError} makes it. */
export const refuse = (error: unknown): never => {
  throw printableError(error);
};
