import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { runOnNode } from "../../../../nodes/operations/node";
import { nodeState } from "../../../../nodes/operations/ready";
import type { Session } from "../../../../nodes/ssh/session";
import { problem } from "../../../integration/net/server";

describe("an answer that nobody expects", () => {
  it("of the API about a node is told as one that no kubelet writes", () => {
    for (const object of [null, {}, { metadata: "", status: {} }])
      assert.throws(() => nodeState(object), problem("node-malformed"));
  });

  it("of a node's script with a name for its failure that nobody knows is told as a step that failed", async () => {
    const stdout = "protocol=1\nerror=constructor\ndetail=x\nend=failed\n";
    const session = { exec: () => Promise.resolve({ code: 1, stdout, stderr: "" }) } as unknown as Session;
    await assert.rejects(
      runOnNode(session, { op: "status", machineId: "", nodeName: "n", owner: "o" }),
      problem("node-internal", /node n: x. Run again/),
    );
  });
});
