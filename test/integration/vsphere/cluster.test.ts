/** Which cluster is asked: by the UIDs and the CA that the state has, with two of each. */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { namedContexts } from "../../../kubernetes/client";
import type { ClusterName } from "../../../nodes/protocol/spec";
import { clusterRecord, proveCluster, readCluster } from "../../../vsphere/cluster";
import { FakeApi } from "../kubernetes/fakeApi";
import { problem, unusedPort } from "../net/server";

const kubeSystem = "/api/v1/namespaces/kube-system";
const named = { supervisor: "ns1", namespace: "ns1", name: "tkc-cluster-1" };

describe("the cluster that is asked", () => {
  let api: FakeApi;
  let away: string;
  before(async () => {
    api = await FakeApi.start();
    away = `https://127.0.0.1:${await unusedPort(api.pki.server("away", "IP:127.0.0.1"))}`;
  });
  after(() => api.stop());
  const object = (uid: string): object => ({ metadata: { uid } });
  beforeEach(() => {
    api.reset();
    api.object("tkc-cluster-1", kubeSystem, object("system-1"));
    api.cluster("cluster.x-k8s.io", object("cluster-1"));
    api.cluster("run.tanzu.vmware.com", object("tkc-1"));
  });
  /** As the last `up` left it in the state. */
  const recorded = async (): Promise<ClusterName> => {
    const open = namedContexts();
    const seen = await readCluster(await open("ns1"), await open("tkc-cluster-1"), named);
    return { ...named, ...clusterRecord(seen, undefined) };
  };
  const prove = (state: ClusterName | undefined, context = "tkc-cluster-1"): Promise<"there" | "gone"> => {
    const open = namedContexts();
    return proveCluster(
      () => open(context),
      ({ supervisor }) => open(supervisor),
      state,
    );
  };
  /** The context leads to another cluster, of the same CA: a clone, a restored backup. */
  const another = (): void => api.object("tkc-cluster-1", kubeSystem, object("system-2"));

  it("is known by what a run has read of it", async () => {
    const state = await recorded();
    assert.deepEqual(
      { uids: state.uids, kubeSystem: state.kubeSystem, cas: state.supervisorCa?.length },
      {
        uids: { clusters: "cluster-1", tanzukubernetesclusters: "tkc-1" },
        kubeSystem: "system-1",
        cas: 1,
      },
    );
    assert.equal(await prove(state), "there");
    api.requests.length = 0;
    await prove(state);
    assert.deepEqual(api.requests, [`tkc-cluster-1 GET ${kubeSystem}`], "nobody else need be asked");
  });

  it("is refused where it is another one, and the recorded one is there", async () => {
    const state = await recorded();
    another();
    await assert.rejects(prove(state), problem("other-cluster"));
    for (const left of ["cluster.x-k8s.io", "run.tanzu.vmware.com"] as const) {
      api.cluster("cluster.x-k8s.io", undefined);
      api.cluster("run.tanzu.vmware.com", undefined);
      api.cluster(left, object(left === "cluster.x-k8s.io" ? "cluster-1" : "tkc-1"));
      await assert.rejects(prove(state), problem("other-cluster"), left);
    }
  });

  it("is asked for again by a login that names the contexts, where their names are not the defaults", async () => {
    const state = await recorded();
    another();
    const atSite = { ...state, namespace: "ns2" };
    api.object(
      "ns1",
      "/apis/cluster.x-k8s.io/v1beta1/namespaces/ns2/clusters/tkc-cluster-1",
      object("cluster-1"),
    );
    await assert.rejects(
      prove(atSite),
      problem("other-cluster", /--namespace ns2 --cluster tkc-cluster-1 --supervisor-context ns1`/),
    );
    await assert.rejects(
      prove({ ...state, name: "elsewhere", supervisorCa: ["00"] }),
      problem("other-supervisor", /--cluster elsewhere --cluster-context tkc-cluster-1`/),
    );
  });

  it("is gone where its Supervisor says so, however another one or nobody answers by its name", async () => {
    const state = await recorded();
    const answers = [another, () => api.change({ "tkc-cluster-1": { server: away } })];
    for (const answer of answers) {
      answer();
      // Replaced, deleted, and one of each.
      for (const [cluster, tkc] of [
        ["cluster-2", "tkc-2"],
        [undefined, undefined],
        ["cluster-2", undefined],
      ]) {
        api.cluster("cluster.x-k8s.io", cluster === undefined ? undefined : object(cluster));
        api.cluster("run.tanzu.vmware.com", tkc === undefined ? undefined : object(tkc));
        assert.equal(await prove(state), "gone", String([cluster, tkc]));
      }
      // A Supervisor that has retired a kind, or says nothing of any.
      api.cluster("cluster.x-k8s.io", object("cluster-1"));
      api.kinds("cluster.x-k8s.io");
      await assert.rejects(prove(state));
      api.kinds();
      await assert.rejects(prove(state));
      api.kinds("cluster.x-k8s.io", "run.tanzu.vmware.com");
    }
  });

  it("is gone also for somebody who has logged in since, and has no context of it", async () => {
    const state = await recorded();
    await assert.rejects(prove(state, "nobody"), problem("context-not-found"));
    api.cluster("cluster.x-k8s.io", undefined);
    api.cluster("run.tanzu.vmware.com", undefined);
    assert.equal(await prove(state, "nobody"), "gone");
  });

  it("is gone by no other Supervisor's word: not of another CA, nor of an object without a UID", async () => {
    const state = await recorded();
    another();
    api.cluster("cluster.x-k8s.io", undefined);
    api.cluster("run.tanzu.vmware.com", undefined);
    const elsewhere = { ...state, supervisorCa: ["ab".repeat(32)] };
    await assert.rejects(prove(elsewhere), problem("other-supervisor"));
    assert.equal(
      await prove({ ...elsewhere, supervisorCa: ["ab".repeat(32), ...state.supervisorCa!] }),
      "gone",
    );
    api.cluster("cluster.x-k8s.io", {});
    await assert.rejects(prove(state), problem("other-cluster"));
  });

  it("gives a server of another CA no credential, and believes it nothing", async () => {
    const state = await recorded();
    const strange = { ca: api.pki.ca("kubernetes") };
    api.requests.length = 0;
    api.change({ "tkc-cluster-1": strange });
    await assert.rejects(prove(state), problem("cluster-certificate"));
    assert.deepEqual(
      api.requests.filter((request) => request.startsWith("tkc-cluster-1")),
      [],
    );
    api.cluster("cluster.x-k8s.io", undefined);
    api.cluster("run.tanzu.vmware.com", undefined);
    // The kubeconfig believes another CA for the Supervisor than the state, and then it is not even asked.
    api.requests.length = 0;
    api.change({ "tkc-cluster-1": strange, ns1: strange });
    await assert.rejects(prove(state), problem("other-supervisor"));
    assert.deepEqual(api.requests, []);
  });

  it("is taken as before where a release recorded less: gone if there is none of its name", async () => {
    another();
    assert.equal(await prove(named), "there");
    assert.equal(await prove(undefined), "there");
    api.fail("tkc-cluster-1", 403, "Forbidden", "namespaces is forbidden");
    assert.equal(await prove(named), "there");
    api.fail("tkc-cluster-1");
    api.change({ "tkc-cluster-1": { server: away } });
    api.cluster("cluster.x-k8s.io", object("cluster-2"));
    await assert.rejects(prove(named), problem("cluster-unreachable"));
    await assert.rejects(prove(named, "nobody"), problem("context-not-found"));
    // Without the Supervisor's CA, another UID may be another Supervisor's.
    const unproved = { ...named, uids: { clusters: "cluster-1" } };
    await assert.rejects(prove(unproved), problem("cluster-unreachable"));
    await assert.rejects(prove(undefined), problem("cluster-unreachable"));
    api.cluster("cluster.x-k8s.io", undefined);
    api.cluster("run.tanzu.vmware.com", undefined);
    assert.equal(await prove(named), "gone");
    assert.equal(await prove(unproved), "gone");
  });

  it("is not proved by an expired login, or by a user who may not look", async () => {
    const state = await recorded();
    api.fail("tkc-cluster-1", 401, "Unauthorized");
    await assert.rejects(prove(state), problem("login-expired"));
    api.fail("tkc-cluster-1", 403, "Forbidden", 'namespaces "kube-system" is forbidden');
    await assert.rejects(prove(state), problem("no-rights"));
    api.fail("tkc-cluster-1");
    another();
    api.fail("ns1", 401, "Unauthorized");
    await assert.rejects(prove(state), problem("login-expired"));
  });

  it("is recorded as far as the user may see it, with what the rest costs", async () => {
    const open = namedContexts();
    const both = async (): Promise<ReturnType<typeof readCluster>> =>
      readCluster(await open("ns1"), await open("tkc-cluster-1"), named);
    assert.deepEqual((await both()).warnings, []);
    api.fail("tkc-cluster-1", 403, "Forbidden", "forbidden");
    api.cluster("cluster.x-k8s.io", undefined);
    api.cluster("run.tanzu.vmware.com", undefined);
    const { warnings, uids, kubeSystem: system } = await both();
    assert.deepEqual([uids, system], [undefined, undefined]);
    assert.match(
      warnings.join("\n"),
      /may not get namespaces "kube-system".*\n.*shows no UID of the cluster ns1\//,
    );
    api.fail("tkc-cluster-1", 401, "Unauthorized");
    await assert.rejects(both(), problem("login-expired"));
  });

  it("keeps its record where that still holds, so that two operators do not change the state in turn", async () => {
    const { uids, kubeSystem: system, supervisorCa = [] } = await recorded();
    const seen = { uids, kubeSystem: system, supervisorCa };
    const two = { ...seen, supervisorCa: [...supervisorCa, "ab".repeat(32)] };
    const again = (change: object): object => clusterRecord({ ...seen, ...change }, two);
    assert.deepEqual(again({}), two);
    assert.deepEqual(again({ uids: undefined, kubeSystem: undefined }), two);
    const renewed = ["cd".repeat(32)];
    assert.deepEqual(again({ supervisorCa: renewed }), { ...two, supervisorCa: renewed });
  });
});
