import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import * as pulumi from "@pulumi/pulumi";
import { type StackHooks, printableError, skipStacks } from "../../components/sdk";
import { UserError } from "../../support/errors";

const hooks = Error as unknown as StackHooks;
const { prepareStackTrace } = hooks;
afterEach(() => {
  hooks.prepareStackTrace = prepareStackTrace;
});

/** A module of the SDK that has no types. */
const sdkModule = (name: string): string => `@pulumi/pulumi/${name}`;

/** What the SDK prints of an error that ends a program (`cmd/run/error.js`), without its colours. */
async function printed(error: unknown): Promise<string> {
  const { defaultErrorMessage } = (await import(sdkModule("cmd/run/error"))) as {
    defaultErrorMessage: (error: unknown) => string;
  };
  return stripVTControlCharacters(defaultErrorMessage(error));
}

class Declared extends pulumi.ComponentResource {
  constructor(name: string) {
    super("test:index:Declared", name, {});
    this.registerOutputs({});
  }
}

function aDefect(): never {
  throw new TypeError("nobody thought of this");
}

/** The error that a program ends with which declares a resource and then fails. */
async function endOf(fail: () => never): Promise<unknown> {
  await pulumi.runtime.setMocks(
    { newResource: ({ name }) => ({ id: name, state: {} }), call: () => ({}) },
    "tkc-registry",
    "test",
    false,
  );
  try {
    const { urn } = new Declared("first");
    await new Promise((resolve, reject) => {
      urn.apply(() => {
        try {
          resolve(fail());
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      });
    });
  } catch (error) {
    return printableError(error);
  }
  assert.fail("it did not fail");
}

test("a defect after resources were declared is printed with its stack", async () => {
  skipStacks();
  const text = await printed(await endOf(aDefect));
  assert.match(text, /TypeError: nobody thought of this\n\s+at aDefect \(.*sdk\.test\.ts:\d+:\d+\)/);
});

test("an error for the operator is printed as its message alone", async () => {
  skipStacks();
  const error = new UserError({ code: "no-nodes", subject: "it", seen: "seen", remedy: "Do" });
  const end = await endOf(() => {
    throw error;
  });
  assert.ok(pulumi.RunError.isInstance(end));
  assert.equal(end.message, error.message);
  assert.equal(end.stack, undefined);
});

test("the SDK's promises keep no stack", async () => {
  const { debuggablePromise } = (await import(sdkModule("runtime/debuggable"))) as {
    debuggablePromise: (promise: Promise<void>, context: string) => Promise<void>;
  };
  const stackOf = async (): Promise<unknown> => {
    const promise = Promise.resolve();
    await debuggablePromise(promise, "test");
    return (promise as { _debugStackTrace?: unknown })._debugStackTrace;
  };
  assert.match(String(await stackOf()), /debuggable/);
  skipStacks();
  assert.equal(await stackOf(), "");
});
