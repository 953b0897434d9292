import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { behindTheFleet, stages } from "../e2e/stages";

test("each end-to-end test file is in one lane, so that `npm test` runs it once", () => {
  const files = readdirSync(path.join(__dirname, "..", "e2e"))
    .filter((name) => name.endsWith(".test.ts"))
    .map((name) => path.basename(name, ".test.ts"));
  assert.deepEqual(stages.flatMap((lanes) => Object.values(lanes).flat()).sort(), files.sort());
});

test("each integration test file that runs beside the end-to-end tests is there, and so is its lane", () => {
  for (const name of behindTheFleet)
    assert.ok(existsSync(path.join(__dirname, "..", `${name}.test.ts`)), name);
  assert.ok(stages.some((lanes) => "fleet" in lanes));
});
