import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { stages } from "../e2e/stages";

test("each end-to-end test file is in one lane, so that `npm test` runs it once", () => {
  const files = readdirSync(path.join(__dirname, "..", "e2e"))
    .filter((name) => name.endsWith(".test.ts"))
    .map((name) => path.basename(name, ".test.ts"));
  assert.deepEqual(stages.flatMap((lanes) => Object.values(lanes).flat()).sort(), files.sort());
});
