import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { excludedFacts, leavingWarnings, selectionsOf } from "../../../plan/excluded";
import { goneFacts, goneNodes } from "../../../plan/nodes";
import { formatChange, parseChange } from "../../../plan/reasons";
import type { PreviousState } from "../../../state/previousState";
import { recordedNode } from "../state/state";

const windows = "nodes.exclude (kubernetes.io/os=windows)";
const excluded = [
  { name: "win1", uid: "uid-win1", by: windows },
  { name: "x1", uid: "uid-x1", by: "nodes.select (pool=a)" },
  { name: "win2", uid: "uid-win2", by: windows },
];
const previous = {
  nodes: new Map([
    ["x1", recordedNode({ uid: "uid-x1" })],
    ["win2", recordedNode({ uid: "uid-of-an-earlier-one" })],
    ["gone", recordedNode({ uid: "uid-gone" })],
  ]),
} as Pick<PreviousState, "nodes"> as PreviousState;

describe("nodes that are left out", () => {
  it("are named, each setting that leaves some out in a line", () => {
    assert.deepEqual(excludedFacts([]), []);
    assert.deepEqual(excludedFacts(excluded), [
      `left out by ${windows}: win1, win2`,
      "left out by nodes.select (pool=a): x1",
    ]);
  });

  it("leave the stack where an earlier run did them, and are told from those that are gone", () => {
    for (const restart of [true, false]) {
      const gone = goneNodes([], excluded, previous, { unreachable: "fail", restart });
      assert.deepEqual(
        gone.map(({ node, action, reasons }) => [node, action, reasons[0]!.code]),
        [
          ["gone", "none", "no-longer-in-cluster"],
          ["win2", "none", "no-longer-in-cluster"],
          ["x1", "remove", "excluded"],
        ],
      );
      for (const change of gone) assert.deepEqual(parseChange(formatChange(change)), change);
      assert.deepEqual(goneFacts(gone), [
        "no longer in the cluster, so that nothing is removed from them: gone, win2",
      ]);
    }
    assert.deepEqual(leavingWarnings(excluded, previous), [
      "left out from now on, so that our CAs are removed from it: x1",
    ]);
    assert.deepEqual(leavingWarnings([excluded[0]!], previous), []);
  });

  it("are remembered by what each run meant, the last one's last, and each once", () => {
    const [one, other] = [{ exclude: "a=b" }, { select: "c" }];
    const identity = { id: "i", former: undefined };
    assert.equal(selectionsOf({}, undefined), undefined);
    assert.equal(selectionsOf({}, { ...identity, selections: [one] }), undefined);
    assert.deepEqual(selectionsOf(one, undefined), [one]);
    // Earlier runs meant all nodes.
    assert.deepEqual(selectionsOf(one, identity), [{}, one]);
    // One that was cut off before it came to nodes meant none.
    assert.deepEqual(selectionsOf(one, { ...identity, untouched: true }), [one]);
    assert.deepEqual(selectionsOf(other, { ...identity, selections: [{}, one] }), [{}, one, other]);
    // What stays says the same each time.
    for (const selections of [[one], [{}, one], [other, one]])
      assert.deepEqual(selectionsOf(one, { ...identity, selections }), selections);
    assert.deepEqual(selectionsOf(one, { ...identity, selections: [one, other] }), [other, one]);
  });
});
