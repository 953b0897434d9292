import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { find, onAllNodes, trustStore } from "../../lab/inspect";
import * as lab from "../../lab/lab";
import { harborSettings } from "../../lab/settings";
import { LabStack } from "../../lab/stack";
import { expectNoChanges, expectRestarts, expectTrust, pemOf, starts } from "./nodes";

const namespace = "default";

/** The operator's logins go with the cluster, for every stack: nothing else runs beside these. */
describe("the cluster goes", () => {
  const stack = new LabStack("e2e-cluster");
  const harborPem = pemOf(lab.registries().harbor.caFile);
  const up = async (env: NodeJS.ProcessEnv = {}, options: string[] = []): Promise<string> => {
    const { code, output } = await stack.up(env, options);
    assert.equal(code, 0, output);
    return output;
  };

  before(async () => {
    await stack.configure(harborSettings());
    await up();
  });
  after(async () => {
    await stack.destroy();
    await lab.createCluster();
  });

  test("a cluster created anew under its name: up says so, and up --refresh brings everything", async () => {
    const nodes = (await lab.nodes()).length;
    await lab.deleteCluster();
    await lab.createCluster();
    const stores = await onAllNodes(trustStore);
    const earlier = await starts();
    // As `up` makes one first, it is refused before anything is touched.
    const refused = await stack.preview();
    assert.notEqual(refused.code, 0, refused.output);
    assert.match(refused.output, /created anew/);
    assert.match(refused.output, /`pulumi up --refresh`/);
    assert.deepEqual(await onAllNodes(trustStore), stores);

    await up({}, ["--refresh"]);
    await expectTrust(harborPem);
    await expectRestarts(
      earlier,
      (await lab.nodes()).map(({ name }) => name),
    );
    assert.equal(((await stack.outputs())["nodes"] as unknown[]).length, nodes);
    assert.ok(await find("workload", "secret", namespace, "harbor-svc-pull-secret"));
    assert.ok(await find("workload", "deployment", namespace, "tkc-nginx-harbor-svc-deployment"));
    expectNoChanges(await stack.up());
  });

  test("a cluster deleted before the stack: destroy ends well, told that what was in it is gone", async () => {
    await up();
    await lab.deleteCluster();
    const { code, output } = await stack.destroy();
    assert.notEqual(code, 0, output);
    assert.match(output, /the cluster is gone; nothing is to be removed from its nodes/);
    const ended = await stack.destroy({ PULUMI_K8S_DELETE_UNREACHABLE: "true" });
    assert.equal(ended.code, 0, ended.output);
    assert.equal(await stack.resourceCount(), 0);
    assert.equal(await find("supervisor", "pod", "ns1", "jumpbox-ubuntu"), undefined);
  });
});
