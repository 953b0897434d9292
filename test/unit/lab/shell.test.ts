import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { machineCalled, readShellArguments } from "../../../lab/machineShell";
import { environmentCommands, pathWithoutNpm } from "../../../lab/shell";

const gyp = "/usr/lib/node_modules/npm/node_modules/@npmcli/run-script/lib/node-gyp-bin";
const added = ["/home/me/tkc/node_modules/.bin", "/home/me/node_modules/.bin", "/node_modules/.bin", gyp];

test("PATH is as it was before npm ran the script, with the lab's tools first", () => {
  const path = ["/lab/tools/pulumi", ...added, "/home/me/own/node_modules/.bin", "/usr/bin", "/bin"].join(
    ":",
  );
  assert.equal(pathWithoutNpm(path), "/lab/tools/pulumi:/home/me/own/node_modules/.bin:/usr/bin:/bin");
});

test("PATH is clean of npm when one npm script ran another, and each folder is there once", () => {
  const path = ["/tools", ...added, "/tools", ...added, "/usr/bin", "/usr/bin"].join(":");
  assert.equal(pathWithoutNpm(path), "/tools:/usr/bin");
});

test("PATH is left as it is where npm added nothing", () => {
  const path = "/home/me/tkc/node_modules/.bin:/usr/bin";
  assert.equal(pathWithoutNpm(path), path);
});

test("npm itself adds to PATH what is taken away again", () => {
  const env = { PATH: process.env.PATH, HOME: "/nonexistent" };
  const script = execFileSync("npm", ["--silent", "exec", "--call", "echo $PATH"], { env, encoding: "utf8" });
  assert.ok(script.includes("node-gyp-bin"), script);
  assert.equal(pathWithoutNpm(script.trim()), [...new Set(pathWithoutNpm(env.PATH!).split(":"))].join(":"));
});

test("a shell is told what differs, and nothing of npm's", () => {
  const npm = { npm_lifecycle_event: "lab", npm_config_cache: "/cache" };
  const from = { ...npm, PATH: [...added, "/usr/bin"].join(":"), HOME: "/root", PULUMI_STACK: "dev" };
  const to = { ...from, PATH: `/tools:${from.PATH}`, PULUMI_STACK: undefined, IT: "it's" };
  assert.deepEqual(environmentCommands(to, from), [
    "export PATH='/tools:/usr/bin'",
    "unset PULUMI_STACK",
    "export IT='it'\\''s'",
  ]);
});

test("shell takes a machine, and after -- a command with its own options", () => {
  assert.deepEqual(readShellArguments(["worker"]), { machine: "worker" });
  assert.deepEqual(readShellArguments(["worker", "--", "ls", "--", "-l"]), {
    machine: "worker",
    command: ["ls", "--", "-l"],
  });
});

const machines = [
  "supervisor",
  "registries",
  "tkc-cluster-1-control-plane-6wg5h",
  "tkc-cluster-1-workers-pn7j8-5b5498b7d5-frgh4",
  "tkc-cluster-1-workers-pn7j8-5b5498b7d5-6wg5x",
];

const calls: readonly (readonly [wanted: string, machine: string])[] = [
  ["supervisor", "supervisor"],
  ["super", "supervisor"],
  ["control-plane", "tkc-cluster-1-control-plane-6wg5h"],
  ["frgh4", "tkc-cluster-1-workers-pn7j8-5b5498b7d5-frgh4"],
  ["workers-pn7j8-5b5498b7d5-6wg5x", "tkc-cluster-1-workers-pn7j8-5b5498b7d5-6wg5x"],
];
for (const [wanted, machine] of calls) {
  test(`a machine is called ${wanted}`, () => assert.equal(machineCalled(wanted, machines), machine));
}

test("a whole name is that machine's, though it is a part of another's", () => {
  assert.equal(machineCalled("node-1", ["node-1", "node-12"]), "node-1");
});

test("a name that no machine has lists all names, and one that several have lists those", () => {
  for (const name of machines) {
    assert.throws(() => machineCalled("jumpbox", machines), new RegExp(name));
    assert.throws(() => machineCalled("", machines), new RegExp(name));
  }
  assert.throws(
    () => machineCalled("workers", machines),
    ({ message }: Error) => message.includes(machines[3]!) && !message.includes("supervisor"),
  );
});
