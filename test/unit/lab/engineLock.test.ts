import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { isLockStale } from "../../../lab/engineLock";

test(
  "a stack's lock is stale once no engine that has one runs",
  { skip: process.platform !== "linux" },
  async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "engine-lock-"));
    const backend = `file://${folder}?metadata=skip`;
    assert.ok(!isLockStale(backend, "lab"));
    const locks = path.join(folder, ".pulumi", "locks", "organization", "tkc-registry");
    const lock = (stack: string, name: string, text: string): void => {
      mkdirSync(path.join(locks, stack), { recursive: true });
      writeFileSync(path.join(locks, stack, `${name}.json`), text);
    };
    const program = path.join(folder, "pulumi");
    writeFileSync(program, "#!/bin/sh\necho runs\nread line\n", { mode: 0o755 });
    const engine = spawn(program, { stdio: ["pipe", "pipe", "inherit"] });
    const ended = once(engine, "close");
    await once(engine.stdout, "data");

    lock("other", "a", JSON.stringify({ pid: 0 }));
    assert.ok(!isLockStale(backend, "lab"), "another stack's lock");
    lock("lab", "a", JSON.stringify({ pid: engine.pid }));
    assert.ok(!isLockStale(backend, "lab"), "its engine runs");
    engine.stdin.end();
    await ended;
    assert.ok(isLockStale(backend, "lab"), "its engine has ended");
    lock("lab", "a", JSON.stringify({ pid: process.pid }));
    assert.ok(isLockStale(backend, "lab"), "its engine's id is another program's");
    lock("lab", "a", '{"pid":');
    assert.ok(isLockStale(backend, "lab"), "it was cut off");
  },
);
