import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { chart, spread, ticks } from "../../../../lab/bench/svg";

test("an axis begins below the least value and ends above the most, by round numbers", () => {
  assert.deepEqual(ticks(0.9, 84), [0.5, 1, 2, 5, 10, 20, 50, 100]);
  assert.deepEqual(ticks(5, 5), [5]);
});

test("labels keep their order, and none lies on another", () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 300, noNaN: true })), (places) => {
      const moved = spread(places, 15);
      const sorted = [...moved].sort((a, b) => a - b);
      for (let index = 1; index < sorted.length; index++)
        assert.ok(sorted[index]! - sorted[index - 1]! >= 15 - 1e-9);
      places.forEach((place, index) => assert.ok(moved[index]! >= place));
    }),
  );
});

test("a chart draws every line with its label, and is well-formed whatever the labels are", () => {
  const svg = chart({
    title: "First & second",
    x: "nodes",
    y: "seconds",
    lines: [
      {
        label: "a<b",
        points: [
          [1, 2],
          [64, 30],
        ],
      },
      { label: "one size only", points: [[8, 5]] },
    ],
  });
  assert.equal([...svg.matchAll(/<polyline /g)].length, 2);
  assert.equal([...svg.matchAll(/<circle /g)].length, 3);
  assert.match(svg, />a&lt;b</);
  assert.match(svg, /First &amp; second/);
  assert.doesNotMatch(svg, /NaN|Infinity/);
});
