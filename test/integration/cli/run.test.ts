/** The entry of all commands, whose reader may be gone. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { packageRoot } from "../../../support/build";
import { nodeArguments } from "../command";

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
