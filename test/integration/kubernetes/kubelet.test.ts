/** What a node's kubelet says, by way of an API server; and whatever else answers in its place. */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import type { KubeContext } from "../../../kubernetes/client";
import { namedContexts } from "../../../kubernetes/client";
import { kubeletIsWell, kubeletRenewal } from "../../../kubernetes/kubelet";
import { FakeApi } from "./fakeApi";

describe("a kubelet", () => {
  let api: FakeApi;
  let cluster: KubeContext;
  before(async () => {
    api = await FakeApi.start();
  });
  after(() => api.stop());
  beforeEach(async () => {
    api.reset();
    cluster = await namedContexts()("tkc-cluster-1");
  });

  it("renewed its Lease at a time, where that may be read", async () => {
    assert.equal(await kubeletRenewal(cluster, "node-1"), undefined);
    api.node("node-1", {});
    const before = Date.now();
    assert.ok((await kubeletRenewal(cluster, "node-1"))!.getTime() >= before);
    api.kubelet("node-1", new Date("2026-01-01T10:00:00Z"));
    assert.equal((await kubeletRenewal(cluster, "node-1"))?.toISOString(), "2026-01-01T10:00:00.000Z");
    api.refusedOnLeases.add("get");
    assert.equal(await kubeletRenewal(cluster, "node-1"), undefined);
  });

  it("is well by its own health check's word alone", async () => {
    assert.equal(await kubeletIsWell(cluster, "node-1"), false);
    api.kubeletHealth("node-1", "ok");
    assert.equal(await kubeletIsWell(cluster, "node-1"), true);
    for (const other of [
      "",
      "okay",
      "<html>ok</html>",
      "[+]ping ok\n[-]syncloop failed\nhealthz check failed",
    ]) {
      api.kubeletHealth("node-1", other);
      assert.equal(await kubeletIsWell(cluster, "node-1"), false, other);
    }
    api.kubeletHealth("node-1", "ok");
    // As an API server says of a kubelet that can't be reached, that is not well, and that the user may not ask.
    for (const status of [503, 502, 500, 403, 405]) {
      api.fail("tkc-cluster-1", status, "ServiceUnavailable");
      assert.equal(await kubeletIsWell(cluster, "node-1"), false, String(status));
    }
  });
});
