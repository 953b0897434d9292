/** What the program changes in Pulumi's SDK: what it logs, what it keeps of its promises, how it prints an error. */
import * as pulumi from "@pulumi/pulumi";
import { UserError } from "../support/errors";

/**
 * The SDK's debug messages repeat what the engine answers, secrets in clear, and `--debug` shows them: `RegisterResource
 * RPC finished: …; err: …, resp: …` (`runtime/resource.js` and `invoke.js` of SDK 3.228). They go without the answer.
 */
export function hideAnswers(): void {
  const log = pulumi.log as { debug: typeof pulumi.log.debug };
  const { debug } = log;
  log.debug = (message, ...rest) => debug(message.replace(/, resp: [^]*/, ", resp: not shown"), ...rest);
}

interface StackFrame {
  getFileName(): string | undefined | null;
  toString(): string;
}

/** V8's hook; Pulumi's language host has set one, which maps a stack to its sources. */
export interface StackHooks {
  prepareStackTrace?: ((error: Error, frames: readonly StackFrame[]) => unknown) | undefined;
}

const promiseWrapper = /@pulumi[\\/]pulumi[\\/]runtime[\\/]debuggable\.js$/;

/**
 * The SDK formats and keeps the stack of each of its promises, several a resource, for looking for those that leak: 256
 * nodes' take 6 s and 130 MB. Only those are left out; `PULUMI_DEBUG_PROMISE_LEAKS` keeps them, as it prints them.
 */
export function skipPromiseStacks(): void {
  if (process.env["PULUMI_DEBUG_PROMISE_LEAKS"]) return;
  const hooks = Error as unknown as StackHooks;
  const format = hooks.prepareStackTrace;
  hooks.prepareStackTrace = (error, frames) => {
    if (promiseWrapper.test(frames[0]?.getFileName() ?? "")) return "";
    return format
      ? format(error, frames)
      : [String(error), ...frames.map((frame) => frame.toString())].join("\n    at ");
  };
}

/**
 * An error for Pulumi to print. One for the operator goes without a stack, which the SDK would print, and take twenty
 * seconds for; any other is a defect and keeps it.
 */
export function printableError(error: unknown): unknown {
  if (!(error instanceof UserError)) return error;
  const printed = new pulumi.RunError(error.message);
  delete printed.stack;
  return printed;
}
