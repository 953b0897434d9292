import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, readdirSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { exec } from "../../../lab/exec";
import { createFile, readIfThere, replaceFile, replacingProgram } from "../../../lab/wholeFiles";
import { inProcesses } from "./children";

const newFile = (): string => path.join(mkdtempSync(path.join(tmpdir(), "whole-")), "deep", "file");

test("a file that is so already is left alone, and one that isn't is another file", () => {
  const file = newFile();
  replaceFile(file, "one");
  const first = statSync(file);
  assert.equal(first.mode & 0o777, 0o600);
  replaceFile(file, "one");
  assert.equal(statSync(file).ino, first.ino);
  replaceFile(file, "two");
  assert.notEqual(statSync(file).ino, first.ino);
  assert.equal(readFileSync(file, "utf8"), "two");
  assert.deepEqual(readdirSync(path.dirname(file)), ["file"]);
});

test("a file has the mode that was asked for, also where its content stays", () => {
  const file = newFile();
  replaceFile(file, "#!/bin/sh\n", 0o755);
  assert.equal(statSync(file).mode & 0o777, 0o755);
  chmodSync(file, 0o644);
  replaceFile(file, "#!/bin/sh\n", 0o755);
  assert.equal(statSync(file).mode & 0o777, 0o755);
});

test("there is no text of a file that isn't there", () => {
  assert.equal(readIfThere(newFile()), undefined);
  assert.throws(() => readIfThere("/"), { code: "EISDIR" });
});

test("of many processes that create a file one does, and all find that one's", async () => {
  const file = newFile();
  const script = `
    const { createFile, readIfThere } = require("./lab/wholeFiles");
    const did = createFile(process.argv[1], String(process.pid));
    console.log(did, readIfThere(process.argv[1]));`;
  const said = (await inProcesses(6, script, file)).map(({ stdout }) => stdout.trim().split(" "));
  assert.equal(said.filter(([did]) => did === "true").length, 1);
  assert.deepEqual(new Set(said.map(([, content]) => content)), new Set([readFileSync(file, "utf8")]));
  assert.equal(createFile(file, "another"), false);
});

test("a machine's file is replaced by its own programs in the same way", async () => {
  const file = newFile();
  replaceFile(file, "before");
  const { ino } = statSync(file);
  const [program, ...words] = replacingProgram(file, 0o640) as [string, ...string[]];
  await exec(program, words, { input: "after\n" });
  assert.equal(readFileSync(file, "utf8"), "after\n");
  assert.equal(statSync(file).mode & 0o777, 0o640);
  assert.notEqual(statSync(file).ino, ino);
  assert.deepEqual(readdirSync(path.dirname(file)), ["file"]);
});
