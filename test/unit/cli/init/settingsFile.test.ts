import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { describe, it } from "node:test";
import { settingsFile, settingsText, writeNew } from "../../../../cli/init/settingsFile";
import { problem } from "../../../integration/net/server";

describe("a new settings file", () => {
  it("is of the stack's last name, as pulumi reads it", () => {
    assert.equal(settingsFile("dev"), "Pulumi.dev.yaml");
    assert.equal(settingsFile("organization/project/dev"), "Pulumi.dev.yaml");
  });

  it("has text as text, also where another reader of YAML takes it for something else", () => {
    const text = settingsText({ namespace: "no", cluster: "0123", access: "12:30:45" }, "mine");
    for (const line of ['mine:namespace: "no"', 'mine:cluster: "0123"', 'mine:access: "12:30:45"'])
      assert.ok(text.includes(`  ${line}\n`), text);
  });

  it("is written whole, or not at all, and never over another", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "tkc-registry-settings-"));
    try {
      const file = path.join(folder, "Pulumi.dev.yaml");
      await writeNew(file, "config: {}\n");
      assert.equal(readFileSync(file, "utf8"), "config: {}\n");
      writeFileSync(file, "mine");
      await assert.rejects(writeNew(file, "other"), problem("stack-file-exists"));
      assert.equal(readFileSync(file, "utf8"), "mine");
      await assert.rejects(
        writeNew(path.join(folder, "absent", "Pulumi.dev.yaml"), "x"),
        problem("stack-file-unwritable", /ENOENT/),
      );
      assert.deepEqual(readdirSync(folder), ["Pulumi.dev.yaml"]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
