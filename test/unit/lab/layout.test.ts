import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { commandLine, commonPrefix, table, width, wrap } from "../../../lab/layout";

const fits = (lines: readonly string[]): void => {
  for (const line of lines) assert.ok(line.length <= width, `${line.length} columns: ${line}`);
};

test("what all nodes' names begin with is left out, up to a hyphen", () => {
  const pool = "pn7j8-5b5498b7d5";
  const workers = [`tkc-cluster-1-workers-${pool}-frgh4`, `tkc-cluster-1-workers-${pool}-frzzz`];
  assert.equal(commonPrefix(["tkc-cluster-1-control-plane-6wg5h", ...workers]), "tkc-cluster-1-");
  assert.equal(commonPrefix(workers), `tkc-cluster-1-workers-${pool}-`);
});

test("one name, or names that have nothing in common, keep all they have", () => {
  assert.equal(commonPrefix([]), "");
  assert.equal(commonPrefix(["tkc-cluster-1-control-plane-6wg5h"]), "");
  assert.equal(commonPrefix(["node", "nodes"]), "");
  assert.equal(commonPrefix(["one-a", "two-a"]), "");
});

test("where a table doesn't fit, its widest column is cut, and says so", () => {
  const lines = table([
    ["A", "B"],
    ["x".repeat(90), "short, and all there"],
  ]);
  fits(lines);
  assert.match(lines[1]!, /^ {2}x+… {2}short, and all there$/);
});

test("tables fit whatever is in them", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.string(), fc.string({ maxLength: 300 }), fc.string()), { minLength: 1 }),
      expectFit,
    ),
  );
  function expectFit(rows: [string, string, string][]): void {
    fits(table(rows));
  }
});

test("lines break at spaces and keep every word, and each line its indentation", () => {
  const text = `error: 3 problems:\n  registries[0].ca.sha256: ${"it is another one, ".repeat(9)}[code]\nend`;
  const lines = wrap(text);
  fits(lines);
  assert.equal(lines[0], "  error: 3 problems:");
  assert.match(lines[1]!, /^ {4}registries/);
  assert.match(lines[2]!, /^ {6}\S/);
  assert.equal(lines.at(-1), "  end");
  assert.deepEqual(lines.join(" ").split(/\s+/).filter(Boolean), text.split(/\s+/));
});

test("a word that is longer than a line is not cut", () => {
  const word = "x".repeat(150);
  assert.deepEqual(wrap(`see ${word} there`), ["  see", `    ${word}`, "    there"]);
});

test("a command line that is long goes on after a backslash, and is the same for a shell", () => {
  assert.deepEqual(commandLine(["pulumi", "up", "--yes"]), ["  $ pulumi up --yes"]);
  const words = ["pulumi", "up", ...Array.from({ length: 20 }, (_, index) => `--option-${index}`)];
  const lines = commandLine(words);
  fits(lines);
  assert.ok(lines.slice(0, -1).every((line) => line.endsWith(" \\")));
  assert.deepEqual(lines.join("\n").replaceAll("\\\n", " ").trim().split(/\s+/), ["$", ...words]);
});
