import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { summarize, type RunFigures } from "../../../../lab/bench/figures";
import { fillIn, pages, type Record } from "../../../../lab/bench/page";
import { projectRoot } from "../../../../lab/paths";

const docs = path.join(projectRoot, "docs");

test("a line that names a block becomes it, and what is around it stays", () => {
  const text = "Before.\n\n{{one}}\n\nIn a line {{two}} is text.\n{{two}}\n";
  assert.equal(
    fillIn(text, { one: "1 costs $&", two: "2" }),
    "Before.\n\n1 costs $&\n\nIn a line {{two}} is text.\n2\n",
  );
  assert.throws(() => fillIn(text, { one: "1" }), /"two"/);
});

test("docs/benchmark.md and its plots are of the record and the text that there are, and nothing else", () => {
  const record = JSON.parse(readFileSync(path.join(docs, "benchmark.json"), "utf8")) as Record;
  for (const [file, content] of Object.entries(pages(record)))
    assert.ok(readFileSync(path.join(docs, file), "utf8") === content, `${file}: npm run bench -- --redraw`);
});

const run: RunFigures = {
  ...{ wallSeconds: 10, clientCpuSeconds: 2, machineCpuSeconds: 4, peakMemoryMb: 100 },
  ...{ programsMb: { "bin/one": 40 }, processes: 3, handshakes: 64, rehashes: 64, restarts: 64 },
};
const common = { nodes: 64, transport: "direct", verified: true } as const;
const record: Record = {
  conditions: {
    date: "2026-01-02",
    duration: "21 min",
    machine: "a machine",
    versions: { "Node.js": "v20.0.0" },
    pulumiParts: ["CLI 3.1.0 (official)", "language host (a stand-in)", "command provider 1.0.0 (official)"],
    settings: { atOnce: 16, rehashSeconds: 0.5, restartSeconds: 0.3, delayMs: 0 },
  },
  results: [
    { ...common, peer: "sequential", first: summarize([{ ...run, wallSeconds: 80 }]) },
    { ...common, peer: "pyinfra", first: summarize([run, run, run]) },
    {
      ...common,
      peer: "tkc-registry",
      first: summarize([9, 7.5, 8].map((wallSeconds) => ({ ...run, wallSeconds }))),
    },
  ],
};
const page = pages(record)["benchmark.md"]!;

test("the page names each part of Pulumi that was measured with, and how long everything took", () => {
  for (const part of record.conditions.pulumiParts) assert.ok(page.includes(part), part);
  assert.match(page, /:\*\* 21 min\.$/m);
});

test("each row says of how many runs it is, their median and their range", () => {
  assert.match(page, /^\| sequential \| 1 \| 80 \| 80–80 \|/m);
  assert.match(page, /^\| tkc-registry \| 3 \| 8 \| 7\.5–9 \|/m);
});

test("each target is told with what it is to be, how far it stretches, and what it is", () => {
  assert.match(page, /^\| first run, 64 nodes: pyinfra's \| 1× \| 0\.8× \| 0\.8× \| met with stretch \|$/m);
  assert.match(page, /^\| first run, 64 nodes: ansible's \| 0\.33× \| – \| – \| not measured \|$/m);
});
