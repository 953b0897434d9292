import assert from "node:assert/strict";
import { test } from "node:test";
import * as path from "node:path";
import { exec, type ExecResult } from "../../../lab/exec";
import { projectRoot } from "../../../lab/paths";

function lab(...args: string[]): Promise<ExecResult> {
  const main = path.join(projectRoot, "lab", "main.ts");
  return exec(process.execPath, ["--import", "tsx", main, ...args], { cwd: projectRoot, allowFailure: true });
}

test("--help names every verb", async () => {
  const { code, stdout } = await lab("--help");
  assert.equal(code, 0);
  for (const verb of [
    "up",
    "status",
    "env",
    "login",
    "pulumi",
    "shell",
    "add-worker",
    "remove-node",
    "replace-node",
    "next-ca",
    "rotate-ca",
    "record",
    "down",
  ]) {
    assert.match(stdout, new RegExp(`^ {2}${verb}\\b`, "m"));
  }
  assert.deepEqual(
    stdout.split("\n").filter((line) => line.length > 100),
    [],
  );
});

const mistakes: readonly (readonly [args: string, says: RegExp])[] = [
  ["bring-up", /there is no verb "bring-up"/],
  ["constructor", /there is no verb "constructor"/],
  ["remove-node", /remove-node: NAME is missing/],
  ["up now", /up: there is a word that belongs to no option/],
  ["down --all", /down: .*--all/],
  ["add-worker --os windows", /"windows" is none of photon, debian/],
  ["rotate-ca quay", /"quay" is none of harbor, custom/],
  ["--verbose up", /--verbose is for the demonstration/],
  ["login me", /login: there is a word that belongs to no option/],
  ["shell", /shell needs a machine's name/],
  ["shell -- id", /shell needs a machine's name/],
  ["shell worker id", /shell takes one name, and a command after `--`/],
  ["shell worker --", /shell needs a command after `--`/],
  ["shell --help-me", /shell takes no --help-me/],
];
for (const [args, says] of mistakes) {
  test(`a mistake is told without a stack, and nothing is done: ${args}`, async () => {
    const { code, stderr, stdout } = await lab(...args.split(" "));
    assert.equal(code, 1);
    assert.equal(stdout, "");
    assert.match(stderr, says);
    assert.doesNotMatch(stderr, /\n {4}at /);
  });
}
