import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import * as path from "node:path";
import { describe, it } from "node:test";
import { nodeScript } from "../../../../nodes/script/script";
import { packageRoot } from "../../../../support/build";

const folder = "nodes/script/node";
const files = readdirSync(path.join(packageRoot, folder)).filter((name) => !name.startsWith("."));
const textOf = (name: string): string => readFileSync(path.join(packageRoot, folder, name), "utf8");

/** Stacks pin this. A change of the script changes it, and every node command of a stack is updated for it. */
const released = "a4a25dc85d1680964373fddf3c77bcd2d5d9700b7f618790ceb278f8f3d324a3";

describe("the script for nodes", () => {
  it("is, byte for byte, the one that stacks pin", () => {
    const { text, sha256 } = nodeScript();
    assert.equal(sha256, released);
    assert.equal(createHash("sha256").update(text).digest("hex"), released);
  });

  it("has each part once and whole, in the order of the numbers", () => {
    const { text } = nodeScript();
    let from = 0;
    for (const name of [...files].sort()) {
      const part = textOf(name);
      assert.equal(text.slice(from, from + part.length), part, name);
      from += part.length + 1;
    }
    assert.equal(from, text.length + 1);
  });

  it("is in the package with all its parts", () => {
    const npm = ["pack", "--dry-run", "--json", "--ignore-scripts", "--offline"];
    const output = execFileSync("npm", npm, { cwd: packageRoot, encoding: "utf8" });
    const [packed] = JSON.parse(output) as { files: { path: string }[] }[];
    const paths = packed!.files.map((file) => file.path);
    for (const name of files) assert.ok(paths.includes(`${folder}/${name}`), name);
  });
});
