import { test } from "node:test";

/** The variable by which `npm run test:all` tells the test files that they run everything. */
export const allVariable = "TKC_REGISTRY_TEST_ALL";

/** Whether also the tests run that repeat what `npm test` proves, at other points or by other means. */
export const all = process.env[allVariable] === "1";

/** A test for `npm run test:all` only. `npm test` doesn't know it: a skipped test counts as a failure on CI. */
export const testOfAll: (name: string, run: () => void | Promise<void>) => void = all
  ? (name, run) => void test(name, run)
  : () => {};
