import * as assert from "node:assert/strict";
import { it } from "node:test";
import { runOnNode } from "../../../../nodes/operations/node";
import type { Session } from "../../../../nodes/ssh/session";
import { UserError } from "../../../../support/errors";

/** A session in which the script says that it failed. */
const failing = (lines: string): Session => {
  const stdout = `protocol=1\n${lines}\nend=failed\n`;
  return { exec: () => Promise.resolve({ code: 1, stdout, stderr: "" }) } as unknown as Session;
};

const problemOf = async (lines: string) => {
  const operation = { op: "status", machineId: "0", nodeName: "w1", owner: "o" } as const;
  const error: unknown = await runOnNode(failing(lines), operation).catch((thrown: unknown) => thrown);
  assert.ok(error instanceof UserError);
  const { code, seen } = error.problems[0]!;
  return [code, seen];
};

it("tells what the script says is wrong by a code of its own, and of what it does not know what the script says", async () => {
  assert.deepEqual(await problemOf("error=busy\ndetail=another run"), ["node-busy", "another run"]);
  assert.deepEqual(await problemOf("error=of-tomorrow\ndetail=it rains"), ["node-internal", "it rains"]);
  assert.deepEqual(await problemOf("error=constructor"), ["node-internal", "constructor"]);
});
