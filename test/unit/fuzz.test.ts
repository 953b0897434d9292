import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { cases } from "../fuzz";

test("at least 10,000 cases of hostile input are tried, each kind by a test that is there", (t) => {
  const root = path.join(__dirname, "..");
  const sources = readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".fuzz.test.ts"))
    .map((file) => readFileSync(path.join(root, file), "utf8"))
    .join("\n");
  const used = [...sources.matchAll(/\bruns\(\s*"([^"]+)"/g)].map(([, name]) => name);
  assert.deepEqual(used.sort(), Object.keys(cases).sort());
  const total = Object.values(cases).reduce((sum, count) => sum + count, 0);
  t.diagnostic(`${total} cases of ${used.length} properties`);
  assert.ok(total >= 10_000, `${total} cases`);
});
