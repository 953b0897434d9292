import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import type { ClientFigures } from "../../../../lab/bench/measure";
import { projectRoot } from "../../../../lab/paths";

const impossible = ((): string | false => {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "needs root on Linux";
  return spawnSync("python3", ["--version"]).status === 0 ? false : "needs python3";
})();

const figuresFile = path.join(mkdtempSync(path.join(tmpdir(), "measure-")), "figures.json");

function measure(script: string): { readonly code: number | null; readonly figures: ClientFigures } {
  const program = path.join(projectRoot, "lab/bench/measure.py");
  const { status } = spawnSync("python3", [program, figuresFile, "sh", "-c", script]);
  return { code: status, figures: JSON.parse(readFileSync(figuresFile, "utf8")) as ClientFigures };
}

test("every process of a client is counted, and no thread", { skip: impossible }, () => {
  const threads = `python3 -c 'import threading; threading.Thread(target=print).start()'`;
  const { figures } = measure(`env true; env true; ${threads}; :`);
  assert.equal(figures.processes, 4); // sh, twice env, python3
});

test("what a client leaves running is counted, and ended", { skip: impossible }, () => {
  const mark = "86399.5"; // seconds that nobody else sleeps
  const { code, figures } = measure(`setsid sleep ${mark} & exit 3`);
  assert.equal(code, 3);
  assert.equal(figures.processes, 2);
  assert.ok(figures.wallSeconds < 60);
  const running = execFileSync("ps", ["-eo", "args"], { encoding: "utf8" });
  assert.ok(!running.split("\n").includes(`sleep ${mark}`));
});

test("the client's CPU is that of all its processes", { skip: impossible }, () => {
  const busy = `python3 -c 'import time\nwhile time.process_time() < 0.3: pass'`;
  const { figures } = measure(`${busy} & ${busy}; wait`);
  assert.ok(figures.clientCpuSeconds >= 0.6, String(figures.clientCpuSeconds));
  assert.ok(figures.machineCpuSeconds > 0.3);
});

test("memory is told by program, and for all together", { skip: impossible }, () => {
  const { figures } = measure(`python3 -c 'import time; kept = b"x" * 80_000_000; time.sleep(1)'`);
  assert.ok(figures.peakMemoryMb > 70 && figures.peakMemoryMb < 200, String(figures.peakMemoryMb));
  const [[program, most]] = Object.entries(figures.programsMb).sort(([, a], [, b]) => b - a) as [
    [string, number],
  ];
  assert.match(program, /python3/);
  assert.ok(most > 70);
});

test(
  "ssh that holds a connection for others counts as one program, whatever its socket is",
  { skip: impossible },
  () => {
    const holding = (socket: string): string => `bash -c 'exec -a "ssh: /tmp/${socket} [mux]" sleep 1'`;
    const { figures } = measure(`${holding("one")} & ${holding("two")}; wait`);
    const named = Object.keys(figures.programsMb).filter((name) => name.includes("[mux]"));
    assert.deepEqual(named, ["ssh [mux]"]);
  },
);
