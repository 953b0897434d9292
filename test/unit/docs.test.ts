import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import * as path from "node:path";
import { test } from "node:test";

const root = path.join(__dirname, "..", "..");

test("each test that docs/reliability.md names is there", () => {
  const page = readFileSync(path.join(root, "docs", "reliability.md"), "utf8");
  const named = [...page.matchAll(/`((?:unit|integration|e2e)\/[\w/-]+)`: ([^·|\n]+)/g)];
  assert.ok(named.length > 30);
  const missing = named.filter(([, file, name]) => {
    const source = readFileSync(path.join(root, "test", `${file!}.test.ts`), "utf8");
    return !source.includes(name!.trim());
  });
  assert.deepEqual(
    missing.map(([text]) => text),
    [],
  );
});
