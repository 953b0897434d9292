import assert from "node:assert/strict";
import { test } from "node:test";
import { nodesTable, startHeading } from "../../../lab/demonstrate";
import { width } from "../../../lab/layout";
import { controlPlaneName, poolName, workerName } from "../../../lab/topology";

const cases: readonly (readonly [trusting: Record<string, boolean>, stackIsUp: boolean, says: RegExp])[] = [
  [{ a: false, b: false }, false, /^Before: the cluster does not trust the registry$/],
  [{ a: false, b: false }, true, /^Before: the cluster does not trust the registry$/],
  [{ a: true, b: true }, true, /^Where we start: an earlier run has brought trust to all 2 nodes$/],
  [{ a: true, b: false, c: false }, true, /^Where we start: 1 of 3 nodes trust .* cut short/],
  [{ a: true, b: true }, false, /^Where we start: all 2 nodes trust .* not by the lab's own stack$/],
];
for (const [trusting, stackIsUp, says] of cases) {
  test(`the demonstration says from where it starts: ${says.source}`, () =>
    assert.match(startHeading(trusting, stackIsUp), says));
}

test("the nodes' table has 100 columns at most and everything in it, the names' common part once", () => {
  const pool = poolName();
  const names = [controlPlaneName(), workerName(pool), workerName(pool)];
  const osImages = ["VMware Photon OS/Linux", "VMware Photon OS/Linux", "Debian GNU/Linux 12 (bookworm)"];
  const nodes = names.map((name, index) => ({
    name,
    osImage: osImages[index]!,
    trusts: index === 1,
    startedAt: "Fri 2026-11-27 10:02:39 UTC",
  }));
  const lines = nodesTable(nodes, "0123456789abcdef".repeat(4));
  for (const line of lines) assert.ok(line.length <= width, line);
  assert.match(lines[0]!, /^ {2}NODE tkc-cluster-1-… +OS +CA 01234567… +CONTAINERD STARTED$/);
  lines.slice(1).forEach((line, index) => {
    const name = names[index]!.replace("tkc-cluster-1-", "");
    const os = osImages[index]!.replace(" (bookworm)", "");
    const trusted = index === 1 ? "trusted" : "—";
    assert.deepEqual(line.trim().split(/ {2,}/), [name, os, trusted, "2026-11-27 10:02:39 UTC"]);
  });
});
