import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { planLanes, turnsOf } from "../../../plan/lanes";

const role = fc.constantFrom("control-plane" as const, "worker" as const);
const cluster = fc.uniqueArray(fc.record({ name: fc.string({ minLength: 1 }), role }), {
  selector: (node) => node.name,
  minLength: 1,
  maxLength: 40,
});
/** A cluster, and the name of the node that goes first, or none. */
const clusterWithFirst = cluster.chain((nodes) =>
  fc.tuple(
    fc.constant(nodes),
    fc.option(fc.constantFrom(...nodes.map(({ name }) => name)), { nil: undefined }),
  ),
);

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
    fc.property(clusterWithFirst, fc.integer({ min: 1, max: 8 }), ([nodes, first], width) => {
      let workersBegan = false;
      const [before, ...others] = [...waves(planLanes(nodes, width, { first }))];
      if (first !== undefined)
        assert.deepEqual(
          before!.map(({ node }) => node.name),
          [first],
        );
      for (const wave of first === undefined ? [before!, ...others] : others) {
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
    fc.property(clusterWithFirst, fc.integer({ min: 1, max: 8 }), ([nodes, first], width) => {
      for (const wave of waves(planLanes(nodes, width, { first }))) assert.ok(wave.length <= width);
    }),
  );
});

test("every node is planned once, after its predecessors, whatever order the API lists them in", () => {
  fc.assert(
    fc.property(clusterWithFirst, fc.integer({ min: 1, max: 8 }), ([nodes, first], width) => {
      const plan = planLanes(nodes, width, { first });
      assert.deepEqual(plan.map(({ node }) => node.name).sort(), nodes.map((node) => node.name).sort());
      const seen = new Set<string>();
      for (const { node, after } of plan) {
        assert.ok(after.every((name) => seen.has(name)));
        seen.add(node.name);
      }
      assert.deepEqual(planLanes([...nodes].reverse(), width, { first }), plan);
    }),
  );
});

type Plan = ReturnType<typeof planLanes>;
interface Step {
  /** What is under way. */
  readonly running: ReadonlySet<string>;
  readonly failed: ReadonlySet<string>;
}

/**
 * Runs a plan as the engine does with `--continue-on-error`: what has no unfinished predecessor begins, what is under way
 * ends one at a time in any order, and what depends on a failure is never begun. `forwards` is `up`; `destroy` runs the
 * edges backwards.
 */
function* schedule(
  plan: Plan,
  next: () => number,
  fails: ReadonlySet<string>,
  forwards: boolean,
): Generator<Step> {
  const before = new Map(plan.map(({ node, after }) => [node.name, forwards ? after : []]));
  if (!forwards) {
    for (const { node, after } of plan) {
      for (const name of after) before.set(name, [...before.get(name)!, node.name]);
    }
  }
  const [done, failed, running] = [new Set<string>(), new Set<string>(), new Set<string>()];
  for (;;) {
    for (const [name, waitsFor] of before) {
      if (done.has(name) || failed.has(name) || running.has(name)) continue;
      if (waitsFor.every((other) => done.has(other))) running.add(name);
    }
    yield { running: new Set(running), failed: new Set(failed) };
    if (running.size === 0) return;
    const ended = [...running][next() % running.size]!;
    running.delete(ended);
    (fails.has(ended) ? failed : done).add(ended);
  }
}

test("whatever fails and in whatever order nodes end, never two control-plane nodes are under way, on up or destroy", () => {
  fc.assert(
    fc.property(
      ...[clusterWithFirst, fc.integer({ min: 1, max: 8 }), fc.infiniteStream(fc.nat()), fc.boolean()],
      fc.func(fc.boolean()),
      ([nodes, first], width, order, forwards, failing) => {
        const roles = new Map(nodes.map((node) => [node.name, node.role]));
        const fails = new Set(nodes.map(({ name }) => name).filter((name) => failing(name)));
        const next = (): number => order.next().value as number;
        for (const { running, failed } of schedule(
          planLanes(nodes, width, { first }),
          next,
          fails,
          forwards,
        )) {
          const of = (role: string): number => [...running].filter((name) => roles.get(name) === role).length;
          assert.ok(of("control-plane") <= 1);
          assert.ok(of("worker") <= width || !forwards);
          if (of("control-plane") === 1) assert.equal(of("worker"), 0);
          // A control-plane node that isn't well again is the last that is begun.
          const broken = [...failed].some((name) => roles.get(name) === "control-plane");
          if (broken) assert.equal(running.size, 0);
        }
      },
    ),
  );
});

test("a failed worker stops its own lane only", () => {
  const nodes = ["a", "b", "c", "d"].map((name) => ({ name, role: "worker" as const }));
  const after = new Map(planLanes(nodes, 2).map((entry) => [entry.node.name, entry.after]));
  assert.deepEqual(Object.fromEntries(after), { a: [], b: [], c: ["a"], d: ["b"] });
});

test("a node's turn comes after those that it waits for, and those that are left alone take none", () => {
  const nodes = ["cp1", "cp2", "w1", "w2", "w3", "w4"].map((name) => ({
    name,
    role: name.startsWith("cp") ? ("control-plane" as const) : ("worker" as const),
  }));
  const order = planLanes(nodes, 2);
  assert.deepEqual(
    [...turnsOf(order, () => true)],
    [
      ["cp1", 1],
      ["cp2", 2],
      ["w1", 3],
      ["w2", 3],
      ["w3", 4],
      ["w4", 4],
    ],
  );
  assert.deepEqual(
    [...turnsOf(order, (name) => ["cp2", "w1", "w4"].includes(name))],
    [
      ["cp2", 1],
      ["w1", 2],
      ["w4", 2],
    ],
  );
});

const pool = fc.constantFrom("a", "b", "c");
const pools = fc.uniqueArray(fc.record({ name: fc.string({ minLength: 1 }), role, pool }), {
  selector: (node) => node.name,
  minLength: 1,
  maxLength: 40,
});
const widths = fc.array(fc.record({ pool, width: fc.integer({ min: 1, max: 5 }) }), { maxLength: 3 });

test("waves of workers go one after another, each in its own width, and those of none come last", () => {
  fc.assert(
    fc.property(pools, fc.integer({ min: 1, max: 5 }), widths, (nodes, width, given) => {
      const order = planLanes(nodes, width, {
        waves: given.map((wave) => ({
          isMeant: (node: (typeof nodes)[number]) => node.pool === wave.pool,
          width: wave.width,
        })),
      });
      assert.deepEqual(order.map(({ node }) => node.name).sort(), nodes.map(({ name }) => name).sort());
      /** 0 for the control plane, then the wave, from 1 on; the last for workers of none. */
      const stageOf = (node: (typeof nodes)[number]): number => {
        const at = given.findIndex((wave) => wave.pool === node.pool);
        return node.role === "control-plane" ? 0 : at < 0 ? given.length + 1 : at + 1;
      };
      let stage = 0;
      for (const together of waves(order)) {
        const stages = new Set(together.map(({ node }) => stageOf(node as (typeof nodes)[number])));
        assert.equal(stages.size, 1, "nodes of two waves are under way");
        const [now] = [...stages] as [number];
        assert.ok(now >= stage, "an earlier wave is not done");
        stage = now;
        assert.ok(together.length <= (now === 0 ? 1 : (given[now - 1]?.width ?? width)));
      }
      for (const { node, gate, after } of order) {
        if (!gate) continue;
        assert.ok(after.length > 0 && after.every((name) => gate.nodes.includes(name)));
        assert.ok(!gate.nodes.includes(node.name));
      }
    }),
  );
});

test("whatever fails in a wave, no node of a later one is begun", () => {
  fc.assert(
    fc.property(
      ...[pools, fc.integer({ min: 1, max: 5 }), fc.infiniteStream(fc.nat()), fc.func(fc.boolean())],
      (nodes, width, order, failing) => {
        const poolOf = new Map(nodes.map((node) => [node.name, node.pool]));
        const roles = new Map(nodes.map((node) => [node.name, node.role]));
        const plan = planLanes(nodes, width, {
          waves: [{ isMeant: (node: (typeof nodes)[number]) => node.pool === "a", width }],
        });
        const fails = new Set(nodes.map(({ name }) => name).filter((name) => failing(name)));
        for (const { running, failed } of schedule(plan, () => order.next().value as number, fails, true)) {
          const isFirst = (name: string): boolean => roles.get(name) === "worker" && poolOf.get(name) === "a";
          if ([...failed].some(isFirst)) assert.ok([...running].every(isFirst));
        }
      },
    ),
  );
});
