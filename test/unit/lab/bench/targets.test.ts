import assert from "node:assert/strict";
import { test } from "node:test";
import { summarize, type Result } from "../../../../lab/bench/figures";
import type { Transport } from "../../../../lab/bench/peers";
import { targets, verdict } from "../../../../lab/bench/targets";

function result(peer: string, first: number, more: Partial<Result> = {}): Result {
  const figures = {
    wallSeconds: first,
    clientCpuSeconds: first,
    machineCpuSeconds: first,
    peakMemoryMb: 1,
    programsMb: { "run/index.js": 200 },
    processes: 1,
    handshakes: 1,
    rehashes: 1,
    restarts: 1,
  };
  const transport: Transport = "direct";
  return { nodes: 64, peer, transport, verified: true, first: summarize([figures]), ...more };
}

const about = (results: readonly Result[], what: RegExp): ReturnType<typeof targets>[number] =>
  targets(results).find((target) => what.test(target.what))!;

test("a target is the proportion of two figures of the same size", () => {
  const results = [
    result("pyinfra", 10),
    result("tkc-registry", 13),
    result("tkc-registry", 99, { nodes: 8 }),
  ];
  const target = about(results, /pyinfra/);
  assert.equal(target.value, 1.3);
  assert.equal(verdict(target), "met");
});

test("one that is missed says by how much", () => {
  const target = about([result("pyinfra", 10), result("tkc-registry", 21)], /pyinfra/);
  assert.equal(verdict(target), "missed by 50 %");
});

test("what wasn't measured, or not verified, is no target met", () => {
  for (const results of [
    [result("tkc-registry", 13)],
    [result("pyinfra", 10), result("tkc-registry", 13, { verified: false })],
  ]) {
    assert.equal(verdict(about(results, /pyinfra/)), "not measured");
  }
});

test("the client's CPU beyond the floor is told for each command", () => {
  const own = result("tkc-registry", 12, { commands: 128 });
  const floor = result("engine-floor", 8, { commands: 128 });
  assert.equal(about([own, floor], /CPU/).value, (4 / 128) * 1000);
});

test("the way by the jumpbox is compared with the direct one", () => {
  const results = [result("tkc-registry", 10), result("tkc-registry", 15, { transport: "jumpbox" })];
  assert.equal(about(results, /jumpbox/).value, 1.5);
});
