#!/usr/bin/env node
// `npx tkc-registry COMMAND …`: the commands for people, where the package is installed.
const process = require("node:process");

const commands = { ca: "show-ca", forget: "forget", login: "login", review: "review", verify: "verify" };
const [node, , name = "", ...words] = process.argv;
if (!Object.hasOwn(commands, name)) {
  const help = name === "--help";
  process[help ? "stdout" : "stderr"].write(
    `Usage: npx tkc-registry ${Object.keys(commands).join("|")} [options]; each has --help\n`,
  );
  process.exit(help ? 0 : 2);
}
process.argv = [node, "v1", commands[name], ...words];
require("./dist/run.js");
