import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { replaceBlocks } from "../../../../lab/bench/page";
import { projectRoot } from "../../../../lab/paths";
import { UserError } from "../../../../support/errors";

const page = `Before.

<!-- bench:one -->
old
<!-- bench:end -->

Between.

<!-- bench:two -->
<!-- bench:end -->

After.
`;

test("blocks are written anew, and what people wrote around them stays", () => {
  const once = replaceBlocks(page, { one: "1", two: "2" });
  assert.equal(once, page.replace("old\n", "\n1\n\n").replace("two -->\n", "two -->\n\n2\n\n"));
  assert.equal(replaceBlocks(once, { one: "1", two: "2" }), once);
});

test("a block that the page has no place for is not lost silently", () => {
  assert.throws(() => replaceBlocks(page, { three: "3" }), UserError);
});

test("docs/performance.md has a place for every block", () => {
  const text = readFileSync(path.join(projectRoot, "docs/performance.md"), "utf8");
  replaceBlocks(text, { conditions: "", targets: "", plots: "", results: "" });
});
