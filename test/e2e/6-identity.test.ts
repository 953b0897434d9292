import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { exec } from "../../lab/exec";
import { kubectl, onAllNodes, trustStore } from "../../lab/inspect";
import { projectRoot } from "../../lab/paths";
import { harborSettings } from "../../lab/settings";
import { LabStack, type Run } from "../../lab/stack";
import type { Findings } from "../../cli/verify/findings";
import { expectNoChanges, expectRestarts, starts, storeWrites } from "./nodes";

describe("which stack it is", () => {
  let stack = new LabStack("e2e-identity");
  let stores: Record<string, string> = {};

  const succeed = async (run: Promise<Run>): Promise<string> => {
    const { code, output } = await run;
    assert.equal(code, 0, output);
    return output;
  };
  /** A command for people, as the operator runs it. */
  const people = async (...words: string[]): Promise<Run> => {
    const { env } = await stack.command([]);
    const lines: string[] = [];
    const { code } = await exec("npm", ["run", "--silent", ...words], {
      ...{ cwd: projectRoot, env, allowFailure: true },
      onLine: (line) => lines.push(line),
    });
    return { code, output: lines.join("\n") };
  };
  const verify = async (): Promise<Findings> => {
    const { env } = await stack.command([]);
    const { stdout } = await exec(
      "npm",
      ["run", "--silent", "verify", "--", "--stack", stack.name, "--json"],
      {
        ...{ cwd: projectRoot, env, allowFailure: true },
      },
    );
    return JSON.parse(stdout) as Findings;
  };

  before(async () => {
    stores = await onAllNodes(trustStore);
    await stack.configure(harborSettings());
    await succeed(stack.up());
  });
  after(() => stack.destroy());

  test("a renamed stack is the same one: the next up touches no node, and its id stays", async () => {
    const id = await stack.id();
    stack = await stack.rename("e2e-renamed");
    const [earlier, written] = [await starts(), await storeWrites()];
    await succeed(stack.up());
    await expectRestarts(earlier, []);
    assert.deepEqual(await storeWrites(), written);
    assert.equal(await stack.id(), id);
    expectNoChanges(await stack.up());
    const { ok, nodes, objects } = await verify();
    // The stacks of the other lane have objects in the same namespaces.
    const ours = objects.filter(({ owner }) => /\.e2e-(identity|renamed)$/.test(owner));
    assert.deepEqual([ok, nodes.flatMap(({ records }) => records), ours], [true, [], []]);
  });

  test("another stack of the same name is refused the objects of one whose state is lost, and forget takes off what that left", async () => {
    const lost = await stack.id();
    const settings = harborSettings();
    const { name } = stack;
    await stack.remove();
    stack = new LabStack(name);
    await stack.configure(settings);
    const refused = await stack.up();
    assert.notEqual(refused.code, 0);
    assert.match(
      refused.output,
      new RegExp(`tkc-registry\\.${name} \\(id ${lost}\\).*\\[object-of-another-stack\\]`, "s"),
    );
    await kubectl("supervisor", "-n", "ns1", "delete", "pod", "jumpbox-ubuntu");
    await kubectl("workload", "-n", "default", "delete", "secret", "harbor-svc-pull-secret");
    await kubectl("workload", "-n", "default", "delete", "deployment", "tkc-nginx-harbor-svc-deployment");
    await succeed(stack.up());
    const { ok, nodes } = await verify();
    assert.equal(ok, true);
    for (const { records } of nodes) assert.deepEqual(records.map(({ id }) => id), [lost]); // prettier-ignore

    const forgotten = await people("forget", "--", "--stack", name, "--id", lost, "--yes");
    assert.equal(forgotten.code, 0, forgotten.output);
    assert.ok((await verify()).nodes.every(({ records }) => records.length === 0));
    await succeed(stack.destroy());
    assert.deepEqual(await onAllNodes(trustStore), stores);
  });
});
