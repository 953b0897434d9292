import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { planLanes } from "../../../components/lanes";

const role = fc.constantFrom("control-plane" as const, "worker" as const);
const cluster = fc.uniqueArray(fc.record({ name: fc.string({ minLength: 1 }), role }), {
  selector: (node) => node.name,
  minLength: 1,
  maxLength: 40,
});

/** Runs a plan as the engine would: whatever has no unfinished predecessor runs, all at once. */
function* waves(plan: ReturnType<typeof planLanes>): Generator<ReturnType<typeof planLanes>> {
  const done = new Set<string>();
  while (done.size < plan.length) {
    const wave = plan.filter(
      ({ node, after }) => !done.has(node.name) && after.every((name) => done.has(name)),
    );
    assert.notEqual(wave.length, 0, "the plan has a cycle");
    yield wave;
    wave.forEach(({ node }) => done.add(node.name));
  }
}

test("never two control-plane nodes at once, and workers only after the last of them", () => {
  fc.assert(
    fc.property(cluster, fc.integer({ min: 1, max: 8 }), (nodes, width) => {
      let workersBegan = false;
      for (const wave of waves(planLanes(nodes, width))) {
        const controlPlane = wave.filter(({ node }) => node.role === "control-plane").length;
        assert.ok(controlPlane <= 1);
        if (controlPlane === 1) assert.equal(wave.length, 1);
        workersBegan ||= controlPlane === 0;
        assert.ok(!(workersBegan && controlPlane > 0));
      }
    }),
  );
});

test("no more workers at once than the configured width", () => {
  fc.assert(
    fc.property(cluster, fc.integer({ min: 1, max: 8 }), (nodes, width) => {
      for (const wave of waves(planLanes(nodes, width))) assert.ok(wave.length <= width);
    }),
  );
});

test("every node is planned once, after its predecessors, whatever order the API lists them in", () => {
  fc.assert(
    fc.property(cluster, fc.integer({ min: 1, max: 8 }), (nodes, width) => {
      const plan = planLanes(nodes, width);
      assert.deepEqual(plan.map(({ node }) => node.name).sort(), nodes.map((node) => node.name).sort());
      const seen = new Set<string>();
      for (const { node, after } of plan) {
        assert.ok(after.every((name) => seen.has(name)));
        seen.add(node.name);
      }
      assert.deepEqual(planLanes([...nodes].reverse(), width), plan);
    }),
  );
});

test("a failed worker stops its own lane only", () => {
  const nodes = ["a", "b", "c", "d"].map((name) => ({ name, role: "worker" as const }));
  const after = new Map(planLanes(nodes, 2).map((entry) => [entry.node.name, entry.after]));
  assert.deepEqual(Object.fromEntries(after), { a: [], b: [], c: ["a"], d: ["b"] });
});
