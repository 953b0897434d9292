import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { OperationContext } from "../../../../nodes/operations/operations";
import { nodeProblem } from "../../../../nodes/problems";
import { Outcomes } from "../../../../nodes/service/outcomes";

describe("what became of a run's nodes", () => {
  const install = (...nodes: string[]) => nodes.map((node) => ({ node, action: "install" as const }));
  const ran = async (
    outcomes: Outcomes,
    name: string,
    act: (log: (line: string) => void) => string,
    isLast = true,
  ): Promise<string[]> => {
    const logged: string[] = [];
    const context = { log: (line) => void logged.push(line) } as OperationContext;
    await outcomes
      .follow(
        { name },
        context,
        ({ log }) => Promise.resolve().then(() => act(log)),
        () => isLast,
      )
      .catch(() => undefined);
    return logged;
  };
  const restart = (outcomes: Outcomes, name: string) =>
    ran(outcomes, name, (log) => {
      log("waiting");
      log(`restarted, Ready after 14 s: ${name}`);
      return "report=containerd\n";
    });
  const fail = (outcomes: Outcomes, name: string) =>
    ran(outcomes, name, () => {
      throw nodeProblem.error(
        "node-not-ready",
        { subject: `node ${name}`, seen: "it was not Ready" },
        "waited",
      );
    });

  it("is not told where none was touched", () => {
    const nodes = [
      ...install("w1"),
      { node: "w2", action: "skip" } as const,
      { node: "w3", action: "none" } as const,
    ];
    assert.equal(new Outcomes().summary(nodes), undefined);
  });

  it("is each node's last line where all is done, which its command logs too", async () => {
    const outcomes = new Outcomes();
    assert.deepEqual(await restart(outcomes, "w1"), ["waiting", "restarted, Ready after 14 s: w1"]);
    assert.equal(
      outcomes.summary([...install("w1"), { node: "w2", action: "none" }]),
      "1 node done\n  restarted, Ready after 14 s: w1",
    );
  });

  it("is how many are done, failed, skipped and waiting, which these are, and how to go on", async () => {
    const outcomes = new Outcomes();
    await ran(outcomes, "w1", () => "report=ca\n", false);
    await restart(outcomes, "w1");
    await ran(outcomes, "w2", () => "report=ca\n", false);
    await fail(outcomes, "w2");
    await ran(outcomes, "w3", () => "report=ca\nskipped=ssh-timeout\nnonce=n\n");
    assert.equal(
      outcomes.summary([...install("w1", "w2", "w3", "w4", "w5"), { node: "w6", action: "skip" }]),
      [
        "1 node done, 1 failed, 2 skipped, 2 waiting: mend what failed, then run `pulumi up` again",
        "restarted, Ready after 14 s: w1",
        "failed [node-not-ready]: w2",
        "skipped [ssh-timeout]: w3",
        "skipped: w6",
        "waiting: w4, w5",
      ].join("\n  "),
    );
  });

  it("is what a node's last command says, or else the one before", async () => {
    const outcomes = new Outcomes();
    await restart(outcomes, "w1");
    await ran(outcomes, "w1", () => "report=canary\n");
    assert.match(outcomes.summary(install("w1"))!, /^1 node done\n {2}restarted, Ready after 14 s: w1$/);
    await fail(outcomes, "w1");
    assert.match(
      outcomes.summary(install("w1", "w2"))!,
      /^0 nodes done, 1 failed, 1 waiting: mend what failed/,
    );
  });

  it("counts a node as waiting whose containerd has not been looked after", async () => {
    const outcomes = new Outcomes();
    await ran(outcomes, "w1", () => "report=ca\n", false);
    assert.equal(
      outcomes.summary(install("w1")),
      "0 nodes done, 1 waiting: run `pulumi up` again to go on\n  waiting: w1",
    );
  });

  it("names no remedy but to wait for those that were skipped", async () => {
    const outcomes = new Outcomes();
    await restart(outcomes, "w1");
    const text = outcomes.summary([...install("w1"), { node: "w2", action: "skip" }]);
    assert.match(text!, /^1 node done, 1 skipped: run `pulumi up` again when the skipped can be reached$/m);
  });
});
