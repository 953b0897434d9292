/** The entry of all commands, whose reader may be gone. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import * as path from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { packageRoot } from "../../../support/build";
import { nodeArguments, runCommand } from "../command";

test("a command whose stdout has no reader, as `head` leaves it, ends without a word", async () => {
  for (const name of ["show-ca", "login", "verify"]) {
    const child = spawn(process.execPath, [...nodeArguments, "v1", name, "--help"], {
      cwd: packageRoot,
      stdio: ["ignore", "pipe", "pipe"],
    });
    child.stdout.destroy();
    const [said, [code]] = await Promise.all([
      text(child.stderr),
      once(child, "close") as Promise<[unknown]>,
    ]);
    assert.equal(said, "");
    assert.equal(code, 0);
  }
});

test("an option that this release does not know is refused in one line", async () => {
  const { code, stdout, stderr } = await runCommand(["v1", "ca", "remove", "--later-release"]);
  assert.equal(code, 1);
  assert.equal(stdout, "");
  assert.match(stderr, /^command "ca": --later-release is unknown\. .*\[unknown-command\]\n$/);
});

test("an installed package has the commands for people, which call themselves as they are run there", async () => {
  const folder = mkdtempSync("/tmp/tkc-registry-installed-");
  const run = async (...words: string[]): Promise<readonly [code: unknown, said: string]> => {
    const child = spawn(process.execPath, [path.join(folder, "bin.js"), ...words], {
      env: { PATH: process.env["PATH"], KUBECONFIG: "/nonexistent/config" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const [out, wrong, [code]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, "close") as Promise<[unknown]>,
    ]);
    return [code, out + wrong];
  };
  try {
    for (const part of ["bin.js", "dist", "package.json"])
      cpSync(path.join(packageRoot, part), path.join(folder, part), { recursive: true });
    symlinkSync(path.join(packageRoot, "node_modules"), path.join(folder, "node_modules"));
    for (const name of ["ca", "forget", "login", "review", "verify"]) {
      const [code, said] = await run(name, "--help");
      assert.equal(code, 0, said);
      assert.match(said, new RegExp(`^Usage: npx tkc-registry ${name} `));
    }
    assert.deepEqual(await run("verify"), [
      2,
      "--stack: it is missing. See `npx tkc-registry verify --help` [bad-arguments]\n",
    ]);
    for (const [word, code] of [
      ["--help", 0],
      ["check-removal", 2],
    ] as const)
      assert.deepEqual(await run(word), [
        code,
        "Usage: npx tkc-registry ca|forget|login|review|verify [options]; each has --help\n",
      ]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
