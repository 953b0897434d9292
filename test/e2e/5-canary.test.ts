import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { containerdStarts, eventually, kubectl, onAllNodes, trustStore, trusts } from "../../lab/inspect";
import { harborSettings } from "../../lab/settings";
import { LabStack } from "../../lab/stack";
import * as lab from "./lab";
import { expectNoChanges, pemOf } from "./nodes";

/** What the node that goes first proves, on real nodes. */
describe("the first node of a run", () => {
  const stack = new LabStack("e2e-canary");
  const { harbor } = lab.registries();
  const pem = pemOf(harbor.caFile);
  let stores: Record<string, string>;
  let first: string;
  const absent = `${harbor.host}/ns1/there-is-no-such-image:1`;
  const trusted = async (): Promise<string[]> =>
    Object.entries(await onAllNodes((node) => trusts(node, pem)))
      .filter(([, does]) => does)
      .map(([node]) => node);
  /** No pod of a pull is left, and no Secret that was made for one; a pod takes its time to end. */
  const expectNoLeftovers = async (): Promise<void> => {
    const words = ["get", "pods,secrets", "-A", "-o", "name", "-l", "tkc-registry/purpose=verify-pull"];
    await eventually("no pod of a pull is left", async () =>
      (await kubectl("workload", ...words)).trim() === "" ? true : undefined,
    );
  };

  before(async () => {
    stores = await onAllNodes(trustStore);
    const workers = (await lab.nodes()).filter(({ role }) => role === "worker").map(({ name }) => name);
    first = workers.sort()[0]!;
  });
  after(async () => {
    await stack.destroy();
  });

  test("that can't pull stops the run there, twice, with the kubelet's words, and one node is touched", async () => {
    const starts = await onAllNodes(containerdStarts);
    await stack.configure(harborSettings({ rollout: { canary: { image: absent } } }));
    for (let run = 1; run <= 2; run += 1) {
      const { code, output } = await stack.up();
      assert.notEqual(code, 0, output);
      assert.match(output, new RegExp(`node ${first}: the canary could not pull ${absent}: `));
      assert.match(output, /not found.*\[canary-failed\]/);
      assert.deepEqual(await trusted(), [first]);
      for (const [node, count] of Object.entries(await onAllNodes(containerdStarts)))
        assert.equal(count - starts[node]!, node === first ? 1 : 0, node);
      await expectNoLeftovers();
    }
  });

  test("is left by destroy as it was, and so are all others", async () => {
    const { code, output } = await stack.destroy();
    assert.equal(code, 0, output);
    assert.deepEqual(await onAllNodes(trustStore), stores);
  });

  test("that can pull lets the others be done, and a run with nothing to do has no pull", async () => {
    await stack.configure(harborSettings());
    const { code, output } = await stack.up();
    assert.equal(code, 0, output);
    assert.ok(output.includes(`${first} goes first: no other node is touched before it has pulled`), output);
    assert.equal((await trusted()).length, (await lab.nodes()).length);
    await expectNoLeftovers();
    expectNoChanges(await stack.up());
  });
});
