/** The entry of all commands, whose reader may be gone. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
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
