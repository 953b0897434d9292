import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { prunePartials } from "../../../lab/image";

test(
  "what a killed build wrote aside goes, what a running one writes stays",
  { skip: process.platform !== "linux" },
  () => {
    const folder = mkdtempSync(path.join(tmpdir(), "tools-"));
    const { pid: ended } = spawnSync("true");
    const kept = ["go-1.24.1", "images-0123.partial", `pulumi.partial-${process.pid}`];
    for (const name of [...kept, `provider.partial-${ended}`, `go-1.24.1.partial-${ended}`])
      mkdirSync(path.join(folder, name, "bin"), { recursive: true });
    prunePartials(folder);
    assert.deepEqual(readdirSync(folder).sort(), kept);
  },
);
