import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, readdirSync, rmSync, rmdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { after, describe, test } from "node:test";
import { UserError } from "../../../support/errors";
import { CommandError } from "../../../lab/exec";
import { Engine, volatileFolder } from "../../../lab/podman";
import { told } from "../../../lab/program";
import { inProcesses, needsRoot } from "./children";

describe("the container engine", { skip: needsRoot, concurrency: true }, () => {
  const folder = mkdtempSync(path.join(tmpdir(), "engine-"));
  const name = `test-${process.pid}`;
  const options = { storage: path.join(folder, "storage"), name, temporary: path.join(folder, "tmp") };
  after(() => {
    rmSync(path.join(volatileFolder, name), { recursive: true, force: true });
    if (readdirSync(volatileFolder).length === 0) rmdirSync(volatileFolder); // no lab is up
  });

  /** An engine whose podman is a script, which finds in `$count` how often it was run. */
  function engineWith(script: string): { readonly engine: Engine; readonly runs: () => number } {
    const own = mkdtempSync(path.join(folder, "podman-"));
    const counter = path.join(own, "count");
    writeFileSync(counter, "");
    const text = `#!/bin/sh\necho >>${counter}\ncount=$(wc -l <${counter})\n${script}\n`;
    writeFileSync(path.join(own, "podman"), text, { mode: 0o755 });
    const before = process.env["PATH"];
    process.env["PATH"] = `${own}:${before}`;
    try {
      return { engine: new Engine(options), runs: () => readFileSync(counter, "utf8").length };
    } finally {
      process.env["PATH"] = before;
    }
  }

  const momentary = 'echo "Error: timed out waiting for file: internal libpod error" >&2; exit 125';

  test("one process configures it while others use its configuration", async () => {
    const script = `
      const { readFileSync } = require("node:fs");
      const { Engine, volatileFolder } = require("./lab/podman");
      const options = JSON.parse(process.argv[1]);
      const broken = new Set();
      for (let round = 0; round < 500; round++) {
        new Engine(options);
        for (const [file, last] of [["storage.conf", "graphroot"], ["containers.conf", "lock_type"]]) {
          const text = readFileSync(volatileFolder + "/" + options.name + "/" + file, "utf8");
          if (!text.includes(last)) broken.add(file + ": " + text);
        }
      }
      console.log(JSON.stringify([...broken]));`;
    const results = await inProcesses(4, script, JSON.stringify(options));
    for (const { stdout, stderr } of results) assert.equal(stdout, "[]\n", stderr);
  });

  test("what fails for a moment is done again", async () => {
    const { engine, runs } = engineWith(`[ "$count" -gt 2 ] || { ${momentary}; }\necho done`);
    assert.equal((await engine.podman(["start", "supervisor"])).stdout, "done\n");
    assert.equal(runs(), 3);
  });

  test("what goes on failing is told with what to do, and without a stack", async () => {
    const { engine, runs } = engineWith(momentary);
    const failure = await engine.podman(["start", "supervisor"]).catch((error: unknown) => error);
    assert.ok(failure instanceof CommandError);
    assert.equal(runs(), 4);
    assert.match(told(failure), /^podman: .*timed out waiting for file.*Run it again: it goes on.*\[lab-/);
    assert.doesNotMatch(told(failure), /\n/);
  });

  test("what a container's own program answers is taken as it is", async () => {
    const { engine, runs } = engineWith("exit 3");
    await assert.rejects(engine.podman(["run", "image"]), CommandError);
    assert.equal(runs(), 1);
  });

  test("a container that there is none of isn't one that can't be asked about", async () => {
    const missing = engineWith('echo "Error: no such container supervisor" >&2; exit 125');
    assert.equal(await missing.engine.state("supervisor"), undefined);
    assert.equal(missing.runs(), 1);
    const failing = engineWith(momentary);
    await assert.rejects(failing.engine.state("supervisor"), CommandError);
  });

  test("a container that is on its way down is removed once it is down", async () => {
    const { engine } = engineWith(`
      case $* in
        *inspect*) echo "Error: no such container" >&2; exit 125 ;;
        *rm*) [ "$count" -gt 6 ] || { echo "Error: container state improper" >&2; exit 2; } ;;
      esac`);
    await engine.remove("supervisor");
  });

  test("a program runs inside of a container, with its input, output and exit code", async () => {
    const options = ["--mount", "--uts", "--pid", "--fork", "--kill-child", "--propagation", "private"];
    const boot = "hostname the-machine; mount -t proc proc /proc; echo booted; exec sleep 60";
    const machine = spawn("unshare", [...options, "sh", "-c", boot], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      await once(machine.stdout, "data");
      const [pid] = readFileSync(`/proc/${machine.pid!}/task/${machine.pid!}/children`, "utf8").split(" ");
      const id = readFileSync(`/proc/${pid!}/cgroup`, "utf8").trim().split("\n")[0]!.split(":")[0]!;
      const { engine, runs } = engineWith(`echo ${id} ${pid!} running`);
      const script = 'echo "$(hostname) $(umask) $PWD $(cat)"; exit 7';
      const run = (): Promise<unknown> =>
        engine.exec("the-machine", ["sh", "-c", script], { input: "input", allowFailure: true });
      const expected = { code: 7, stdout: "the-machine 0022 / input\n", stderr: "" };
      assert.deepEqual([await run(), await run()], [expected, expected]);
      assert.equal(runs(), 1, "podman is asked once for the container's process");
      await assert.rejects(engine.exec("the-machine", ["false"]), CommandError);
    } finally {
      machine.kill("SIGKILL"); // it heeds no other signal
    }
  });

  test("a program of a container that doesn't run is refused with what to do", async () => {
    const { engine } = engineWith("echo abc 0 exited");
    await assert.rejects(engine.exec("stopped", ["true"]), (error: unknown) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, /^machine stopped: it does not run\. .*lab -- up/);
      return true;
    });
  });
});
