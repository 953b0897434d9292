import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { type CommandResult, runCommand } from "../command";
import { caFingerprints } from "../../../vsphere/identity";
import { FakeApi } from "./fakeApi";

describe("the command service-account", () => {
  let api: FakeApi;
  before(async () => {
    api = await FakeApi.start();
  });
  after(() => api.stop());
  beforeEach(() => api.reset());

  const environment = {
    TKC_REGISTRY_CLUSTER_CONTEXT: "tkc-cluster-1",
    TKC_REGISTRY_NAMESPACE: "default",
    TKC_REGISTRY_SERVICE_ACCOUNT: "default",
    TKC_REGISTRY_PULL_SECRET: "harbor-svc-pull-secret",
  };
  const place = "/api/v1/namespaces/default/serviceaccounts/default";
  const account = (resourceVersion: string, ...names: string[]): void =>
    api.object("tkc-cluster-1", place, {
      metadata: { resourceVersion },
      imagePullSecrets: names.map((name) => ({ name })),
    });
  const run = (verb: string, env: NodeJS.ProcessEnv): Promise<CommandResult> =>
    runCommand(["v1", "service-account", verb], { KUBECONFIG: api.kubeconfig, ...env });

  it("takes what it is about from the environment, and reports what the next run must know", async () => {
    account("7", "a");
    const attached = await run("attach", environment);
    assert.deepEqual(attached, {
      code: 0,
      stdout:
        "namespace=default\nservice-account=default\npull-secret=harbor-svc-pull-secret\npreexisting=false\n",
      stderr: "",
    });
    assert.deepEqual(api.requests, [`tkc-cluster-1 GET ${place}`, `tkc-cluster-1 PATCH ${place}`]);
    assert.match(JSON.stringify(api.patches), /"path":"\/metadata\/resourceVersion","value":"7"/);

    account("8", "a", "harbor-svc-pull-secret");
    const detached = await run("detach", { ...environment, PULUMI_COMMAND_STDOUT: attached.stdout });
    assert.match(detached.stdout, /harbor-svc-pull-secret removed/);
    assert.match(
      JSON.stringify(api.patches[1]),
      /"op":"replace","path":"\/imagePullSecrets","value":\[\{"name":"a"\}\]/,
    );
  });

  it("refuses to run without it", async () => {
    assert.match((await run("attach", {})).stderr, /TKC_REGISTRY_CLUSTER_CONTEXT/);
    assert.match((await run("frobnicate", environment)).stderr, /neither attach nor detach/);
  });

  it("says why the API refuses", async () => {
    api.fail("tkc-cluster-1", 403, "Forbidden", 'User "u" cannot get resource "serviceaccounts"');
    const forbidden = await run("detach", environment);
    assert.deepEqual([forbidden.code, /\[no-rights\]/.test(forbidden.stderr)], [1, true], forbidden.stderr);
    api.fail("tkc-cluster-1", 401, "Unauthorized");
    assert.match((await run("detach", environment)).stderr, /npm run login.*\[login-expired\]/s);
  });

  it("believes no other cluster of the context's name, and leaves its ServiceAccount as it is", async () => {
    account("7", "harbor-svc-pull-secret");
    const kubeSystem = "/api/v1/namespaces/kube-system";
    const recorded = { supervisor: "ns1", namespace: "ns1", name: "tkc-cluster-1", kubeSystem: "system-1" };
    const proof = { uids: { clusters: "cluster-1" }, supervisorCa: caFingerprints(api.ca) };
    const proved = {
      ...environment,
      TKC_REGISTRY_CLUSTER: JSON.stringify({ ...recorded, ...proof }),
      PULUMI_COMMAND_STDOUT:
        "namespace=default\nservice-account=default\npull-secret=harbor-svc-pull-secret\npreexisting=false\n",
    };
    api.cluster("cluster.x-k8s.io", { metadata: { uid: "cluster-1" } });
    api.object("tkc-cluster-1", kubeSystem, { metadata: { uid: "system-2" } });
    for (const verb of ["attach", "detach"]) {
      const refused = await run(verb, proved);
      assert.deepEqual([refused.code, refused.stdout], [1, ""]);
      assert.match(refused.stderr, /system-2, and the state has system-1.*\[other-cluster\]/);
    }
    // Created anew under its name, it is in nobody's way; and nothing is taken out of the new one.
    api.cluster("cluster.x-k8s.io", { metadata: { uid: "cluster-2" } });
    const gone = await run("detach", proved);
    assert.deepEqual([gone.code, gone.stdout], [0, "the cluster is gone: nothing to remove\n"], gone.stderr);
    assert.match((await run("attach", proved)).stderr, /\[cluster-gone\]/);
    assert.deepEqual(api.patches, []);
    api.object("tkc-cluster-1", kubeSystem, { metadata: { uid: "system-1" } });
    assert.match((await run("detach", proved)).stdout, /harbor-svc-pull-secret removed/);
  });

  it("finds nothing to remove where the ServiceAccount is gone", async () => {
    const gone = await run("detach", environment);
    assert.deepEqual([gone.code, /does not exist any more/.test(gone.stdout)], [0, true], gone.stderr);
  });
});
