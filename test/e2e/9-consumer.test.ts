import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { after, before, describe, test } from "node:test";
import { find, onAllNodes, trustStore } from "../../lab/inspect";
import * as lab from "../../lab/lab";
import { LabStack } from "../../lab/stack";
import { makeConsumer, npmInstall, pack, type Packed, versionsHere } from "../integration/package/project";
import { configure, runIn, succeed } from "./consumer";
import { expectNoChanges, expectTrust, pemOf } from "./nodes";

describe("a program of somebody else's, with the package from npm", () => {
  const { harbor } = lab.registries();
  const folder = mkdtempSync(path.join(tmpdir(), "tkc-registry-consumer-"));
  const here = path.join(folder, "here");
  let stack = new LabStack("e2e-consumer", { project: here });
  let stores: Record<string, string> = {};
  let packed: Packed;

  const checkOut = async (project: string): Promise<void> => {
    // The lab has the providers of these versions.
    await makeConsumer(
      project,
      packed,
      versionsHere("@pulumi/pulumi", "@pulumi/command", "@pulumi/kubernetes"),
    );
    await npmInstall(project);
  };
  before(async () => {
    packed = await pack(folder);
    await checkOut(here);
    stores = await onAllNodes(trustStore);
    const { host, caSha256, user, password, image } = harbor;
    await configure(stack, { host, caSha256, user, image }, { password });
  });
  after(async () => {
    await stack.destroy();
    rmSync(folder, { recursive: true, force: true });
  });

  test("up makes every node trust the registry, and every node runs its image", async () => {
    await succeed(stack.up());
    await expectTrust(pemOf(harbor.caFile));
    await runIn(stack, ["npx", "tkc-registry", "verify", "--stack", stack.name, "--pull"]);
    const { status } = (await find("workload", "deployment", "default", "consumer")) as {
      status: { readyReplicas?: number };
    };
    assert.equal(status.readyReplicas, 1);
    assert.ok(!(await stack.state()).includes(harbor.password));
  });

  test("a second up changes nothing", async () => {
    expectNoChanges(await stack.up());
  });

  test("destroy from another checkout leaves every trust store byte for byte as before", async () => {
    const elsewhere = path.join(folder, "elsewhere");
    await checkOut(elsewhere);
    rmSync(here, { recursive: true });
    stack = new LabStack(stack.name, { project: elsewhere });
    await succeed(stack.destroy());
    assert.deepEqual(await onAllNodes(trustStore), stores);
    assert.equal(await stack.resourceCount(), 0);
    assert.equal(await find("workload", "deployment", "default", "consumer"), undefined);
  });
});
