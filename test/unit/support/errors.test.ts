import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { UserError, describeProblem } from "../../../support/errors";
import { printable } from "../../../support/text";

const problem = {
  code: "node-busy" as const,
  subject: "node a\nnode b",
  seen: "\u001b[2J\u202eevil\u2028",
  remedy: "Do it",
};

describe("a problem", () => {
  it("is one line that can be printed, whatever is quoted in it", () => {
    assert.equal(describeProblem(problem), "node a node b: [2J evil. Do it [node-busy]");
    assert.equal(new UserError(problem, problem).message.split("\n").length, 5);
    assert.ok(describeProblem({ ...problem, seen: "x".repeat(1_000_000) }).length < 5000);
  });

  it("is cut between characters", () => {
    assert.equal(printable("ab\u{1f600}cd", 3), "ab…");
    assert.equal(printable("ab\u{1f600}cd", 4), "ab\u{1f600}…");
  });
});
