import assert from "node:assert/strict";
import { test } from "node:test";
import { largestProgram, median, summarize, type RunFigures } from "../../../../lab/bench/figures";

const run: RunFigures = {
  wallSeconds: 10,
  clientCpuSeconds: 2,
  machineCpuSeconds: 4,
  peakMemoryMb: 100,
  programsMb: { "bin/one": 40 },
  processes: 3,
  handshakes: 8,
  rehashes: 8,
  restarts: 8,
};

test("the median is the middle value, or between the two that are in the middle", () => {
  assert.equal(median([9, 1, 5]), 5);
  assert.equal(median([4, 1, 2, 3]), 2.5);
});

test("a summary has each figure's median, and of the wall time the range, too", () => {
  const summary = summarize([
    run,
    { ...run, wallSeconds: 12, clientCpuSeconds: 7 },
    { ...run, wallSeconds: 30, clientCpuSeconds: 3, programsMb: { "bin/one": 50, "bin/two": 60 } },
  ]);
  assert.equal(summary.runs, 3);
  assert.deepEqual(summary.wallSeconds, { min: 10, median: 12, max: 30 });
  assert.equal(summary.clientCpuSeconds, 3);
  assert.equal(summary.handshakes, 8);
  assert.deepEqual(summary.programsMb, { "bin/one": 50, "bin/two": 60 });
  assert.deepEqual(largestProgram(summary), ["bin/two", 60]);
});

test("when the engine first told of a resource is summarized where there is an engine", () => {
  assert.ok(!("firstResourceSeconds" in summarize([run])));
  assert.equal(summarize([{ ...run, firstResourceSeconds: 2 }]).firstResourceSeconds, 2);
});
