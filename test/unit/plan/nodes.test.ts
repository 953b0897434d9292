import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ClusterNode } from "../../../kubernetes/types";
import { goneFacts, goneNodes, nodesFact, silenceWarning } from "../../../plan/nodes";
import type { PreviousState } from "../../../state/previousState";
import { recordedNode } from "../state/state";

const node = (name: string, role: ClusterNode["role"]): ClusterNode => ({
  ...{
    name,
    role,
    uid: `uid-${name}`,
    machineId: "m",
    hostName: name,
    address: "10.0.0.1",
    osImage: "Photon",
  },
  ...{ containerRuntime: "containerd://1.6.20", ready: true, pins: {}, labels: {} },
});

describe("what is said of nodes", () => {
  it("counts them in words that fit the number", () => {
    assert.equal(nodesFact([node("w1", "worker")]), "1 node (0 control plane, 1 worker): Photon");
    assert.equal(
      nodesFact([node("cp1", "control-plane"), node("w1", "worker"), node("w2", "worker")]),
      "3 nodes (1 control plane, 2 workers): Photon",
    );
  });

  it("names those that the stack has and the cluster no longer, from which nothing is removed", () => {
    const previous = (...names: string[]) =>
      ({ nodes: new Map(names.map((name) => [name, recordedNode()])) }) as Pick<
        PreviousState,
        "nodes"
      > as PreviousState;
    const there = [node("w1", "worker")];
    const facts = (last: PreviousState): readonly string[] =>
      goneFacts(goneNodes(there, [], last, { unreachable: "fail", restart: true }));
    assert.deepEqual(facts(previous("w1")), []);
    assert.deepEqual(facts(previous("w1", "w2")), [
      "no longer in the cluster, so that nothing is removed from it: w2",
    ]);
    assert.deepEqual(facts(previous("w3", "w2")), [
      "no longer in the cluster, so that nothing is removed from them: w2, w3",
    ]);
  });

  it("tells of one that does not answer whether the run fails there, and how it is passed over", () => {
    const problem = {
      code: "ssh-timeout",
      subject: "node w1",
      seen: "no answer",
      remedy: "Check that it runs",
    };
    assert.match(
      silenceWarning(problem, "fail"),
      /^node w1: no answer\. Check that it runs\. Until then `pulumi up` fails at this node, unless `unreachableNodes: skip` .*\[ssh-timeout\]$/,
    );
    assert.equal(
      silenceWarning(problem, "skip"),
      "skipped: node w1: no answer. Check that it runs [ssh-timeout]",
    );
    // No setting passes over a node that is reached and refuses.
    for (const policy of ["fail", "skip"] as const) {
      const warning = silenceWarning({ ...problem, code: "host-key-changed" }, policy);
      assert.match(warning, /\. Until then `pulumi up` fails at this node \[host-key-changed\]$/);
    }
  });
});
