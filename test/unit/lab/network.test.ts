import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { awaitNoInterface, removeNetwork } from "../../../lab/network";
import { projectRoot } from "../../../lab/paths";

/** Runs with an `ip` that is a script, which finds in `$shown` how often the interface was shown; says how often. */
async function withIp(script: string, run: () => Promise<void>): Promise<number> {
  const folder = mkdtempSync(path.join(tmpdir(), "ip-"));
  const counter = path.join(folder, "count");
  writeFileSync(counter, "");
  const text = `#!/bin/sh
case $* in *show*) echo >>${counter} ;; esac
shown=$(wc -l <${counter})
show() { echo '[{"ifalias":"'"$1"'"}]'; exit 0; }
missing() { echo "Cannot find device" >&2; exit 1; }
${script}
`;
  writeFileSync(path.join(folder, "ip"), text, { mode: 0o755 });
  const before = process.env["PATH"];
  process.env["PATH"] = `${folder}:${before}`;
  try {
    await run();
  } finally {
    process.env["PATH"] = before;
  }
  return readFileSync(counter, "utf8").length;
}

const mark = projectRoot.slice(-255);

test("an interface that goes with its switch a moment later is waited for, another lab's is not", async () => {
  const going = `case $shown in 1) show ${mark} ;; 2) echo '[{}]' ;; *) missing ;; esac`;
  assert.equal(await withIp(going, awaitNoInterface), 3);
  assert.equal(await withIp("show /somewhere/else", awaitNoInterface), 1);
});

test("an interface that went by itself is removed, one that stays is told", async () => {
  const gone = `case $*,$shown in *show*,1) show ${mark} ;; *) missing ;; esac`;
  await withIp(gone, removeNetwork);
  const stays = `case $* in *show*) show ${mark} ;; *) echo "Operation not permitted" >&2; exit 2 ;; esac`;
  await assert.rejects(withIp(stays, removeNetwork), /Operation not permitted/);
});
