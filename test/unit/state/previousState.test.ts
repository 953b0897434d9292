import * as assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatReport } from "../../../nodes/protocol/report";
import { type PreviousState, readPreviousState } from "../../../state/previousState";
import { problem } from "../../integration/net/server";

const stdout = formatReport({
  version: "1",
  report: "ca",
  node: "w1",
  uid: "uid-1",
  hostKey: `SHA256:${"A".repeat(43)}`,
  os: "photon",
  sha256: [],
  alsoTrustedBy: [],
  nonce: "of-the-run",
}).trimEnd();
const command = (outputs: unknown) => ({ type: "command:local:Command", outputs });
const environment = { TKC_REGISTRY_NONCE: "of-the-installation" };

const ca = (printed: string) =>
  command({ stdout: printed, environment, create: "install", delete: "remove" });

const metadata = { namespace: "ns1", name: "jumpbox-ubuntu", uid: "uid-of-pod" };
const pod = (env?: object[]) => ({
  type: "kubernetes:core/v1:Pod",
  outputs: { kind: "Pod", metadata, spec: { containers: [{ env }] } },
});
const w1 = {
  uid: "uid-1",
  hostKey: `SHA256:${"A".repeat(43)}`,
  nonce: "of-the-installation",
  skipped: false,
  former: undefined,
  command: { create: "install", delete: "remove", environment },
  certificates: [],
  report: stdout,
  settled: false,
};
const id = "5d1b5d2e-0f0c-4d6f-9a3e-2f7c1b1f0a11";

const [ab, cd, ef] = ["ab", "cd", "ef"].map((byte) => byte.repeat(32)) as [string, string, string];

/** The state of a stack that has one set of nodes. */
const read = (answer: unknown): PreviousState => readPreviousState(answer, { names: ["c1"], alone: true });

describe("what the state holds", () => {
  it("is each node's UID, host key and nonce, the jumpbox pod, and what is in the cluster", () => {
    const secret = { namespace: "default", name: "harbor-svc-pull-secret", uid: "uid-of-secret" };
    const { nodes, jumpbox, objects } = read({
      "urn:stack": { type: "pulumi:pulumi:Stack", outputs: { jumpbox: "other" } },
      "urn:w1-ca": ca(stdout),
      "urn:pod": pod(),
      "urn:secret": {
        type: "kubernetes:core/v1:Secret",
        outputs: { kind: "Secret", metadata: secret, data: {} },
      },
    });
    assert.deepEqual(jumpbox, { kind: "Pod", ...metadata, replaces: undefined });
    assert.deepEqual(objects, [{ kind: "Secret", ...secret }]);
    assert.deepEqual([...nodes], [["w1", w1]]);
  });

  it("of which the engine says what nobody understands is told so", () => {
    for (const answer of [undefined, null, "x", { "urn:x": { type: 5 } }])
      assert.throws(() => read(answer), problem("state-unreadable"));
  });

  it("tells which pod the jumpbox was made in place of", () => {
    const env = [
      { name: "OTHER", value: "1" },
      { name: "TKC_REGISTRY_REPLACES_POD", value: "uid-0" },
    ];
    assert.equal(read({ "urn:pod": pod(env) }).jumpbox?.replaces, "uid-0");
  });

  it("tells which nodes were skipped, before or after their installation", () => {
    const skippedCa = "version=1\nreport=ca\nnode=w1\nuid=uid-1\nskipped=ssh-timeout\nnonce=n";
    const skippedRestart = "version=1\nreport=containerd\nnode=w1\nuid=uid-1\nskipped=ssh-lost";
    const never = read({ "urn:w1-ca": ca(skippedCa) });
    assert.deepEqual(never.nodes.get("w1"), {
      ...w1,
      ...{ hostKey: undefined, skipped: true, report: skippedCa },
    });
    const later = read({
      "urn:w1-containerd": command({ stdout: skippedRestart, environment: { TKC_REGISTRY_CA: stdout } }),
      "urn:w1-ca": ca(stdout),
    });
    assert.deepEqual(later.nodes.get("w1"), { ...w1, skipped: true, settled: true });
  });

  it("tells which nodes' containerds were looked after since their installation", () => {
    const settled = (given: string): boolean | undefined =>
      read({
        "urn:w1-ca": ca(stdout),
        "urn:w1-containerd": command({ stdout: "", environment: { TKC_REGISTRY_CA: given } }),
      }).nodes.get("w1")?.settled;
    assert.equal(settled(stdout), true);
    assert.equal(settled(stdout.replace("of-the-run", "of-an-earlier-run")), false);
  });

  it("is the certificates that nodes were to trust, even of a run that was cut off", () => {
    const harbor = { registry: "10.0.0.1", sha256: ab };
    const cut = command({
      stdout,
      environment: { ...environment, TKC_REGISTRY_TRUST: JSON.stringify([harbor]) },
    });
    assert.deepEqual([...read({ "urn:w1-ca": cut }).trusted], [["10.0.0.1", [ab]]]);
    const certificates = [
      { registry: "10.0.0.1", sha256: cd },
      { registry: "10.0.0.1", sha256: ef },
    ];
    const component = { type: "tkc-registry:index:TrustedNodes", outputs: { certificates } };
    const { trusted } = read({ "urn:w1-ca": cut, "urn:nodes": component });
    assert.deepEqual([...trusted], [["10.0.0.1", [cd, ef]]]);
  });

  it("is the id of each set of nodes, and the owner of a release that made none", () => {
    const urn = (name: string) => `urn:pulumi:dev::tkc-registry::command:local:Command::${name}`;
    const [sweep, identity] = [urn("c1-sweep"), urn("c1-identity")];
    const old = { TKC_REGISTRY_OWNER: "p.old" };
    const made = command({ stdout: id });
    const of = (resources: object) => {
      const { identity, identities } = read(resources);
      assert.deepEqual(identity, identities.get("c1"));
      return identity;
    };
    assert.deepEqual(of({ [sweep]: command({ environment: old }) }), { id: undefined, former: "p.old" });
    // The run that introduced the id was cut off before it told the sweep, or after.
    assert.deepEqual(of({ [sweep]: command({ environment: old }), [identity]: made }), {
      id,
      former: "p.old",
    });
    const told = { TKC_REGISTRY_OWNER: "p.new", TKC_REGISTRY_ID: id };
    const since = command({ environment: { ...told, TKC_REGISTRY_FORMER_OWNER: "p.old" } });
    assert.deepEqual(of({ [sweep]: since, [identity]: made }), { id, former: "p.old" });
    assert.deepEqual(of({ [sweep]: command({ environment: told }), [identity]: made }), {
      id,
      former: undefined,
    });
    const begun = { former: undefined, untouched: true }; // no node before the sweep
    assert.deepEqual(of({ [identity]: command({ stdout: "" }) }), { id: undefined, ...begun });
    assert.deepEqual(of({ [identity]: made }), { id, ...begun });
    const renamed = { [identity]: made, [urn("c2-sweep")]: command({ environment: old }) };
    const { identity: both } = readPreviousState(renamed, { names: ["c1", "c2"], alone: false });
    assert.deepEqual(both, { id, former: "p.old" });
    assert.equal(of({ [urn("c2-identity")]: made }), undefined);
    const legacy = { ...environment, ...old };
    const node = (more: object) =>
      read({ "urn:w1-ca": command({ stdout, environment: { ...legacy, ...more } }) }).nodes.get("w1");
    assert.equal(node({})?.former, "p.old");
    assert.equal(node({ TKC_REGISTRY_ID: id })?.former, undefined);
  });

  it("is each cluster that commands were made for, also by an earlier release, and none of what is no cluster", () => {
    const named = { supervisor: "ns1", namespace: "ns1", name: "tkc-cluster-1" };
    const proved = { ...named, uids: { clusters: "c" }, kubeSystem: "k", supervisorCa: [ab] };
    const made = (cluster: string) => command({ environment: { TKC_REGISTRY_CLUSTER: cluster } });
    const { clusters } = read({
      older: made(JSON.stringify(named)),
      sweep: made(JSON.stringify(proved)),
      other: made(JSON.stringify(proved)),
      changed: made(JSON.stringify({ ...proved, kubeSystem: "$(id)" })),
      garbled: made("{"),
    });
    assert.deepEqual(clusters, [named, proved]);
  });

  it("is each set's own where there are several, by its id", () => {
    const urn = (name: string) => `urn:pulumi:dev::p::command:local:Command::${name}`;
    const other = "00000000-0000-4000-8000-000000000001";
    const named = (name: string) => ({ supervisor: "ns1", namespace: "ns1", name });
    const set = (name: string, its: string, sha256: string) => {
      const trust = JSON.stringify([{ registry: "10.0.0.1", sha256 }]);
      const cluster = JSON.stringify(named(`cluster-${name}`));
      const ids = { TKC_REGISTRY_ID: its, TKC_REGISTRY_CLUSTER: cluster };
      const node = { ...ids, TKC_REGISTRY_NONCE: `nonce-of-${name}`, TKC_REGISTRY_TRUST: trust };
      const labels = { "tkc-registry/id": its };
      return {
        [urn(`${name}-identity`)]: command({ stdout: its }),
        [urn(`${name}-sweep`)]: command({ environment: { ...ids, TKC_REGISTRY_FORMER_OWNER: `p.${name}` } }),
        [urn(`${name}-w1-ca`)]: command({ stdout, environment: node }),
        [`urn:pod-${name}`]: {
          type: "kubernetes:core/v1:Pod",
          outputs: { kind: "Pod", metadata: { ...metadata, uid: `uid-of-pod-${name}`, labels } },
        },
      };
    };
    const nodes = (name: string, sha256: string) => ({
      [`urn:pulumi:dev::p::tkc-registry:index:TrustedNodes::${name}`]: {
        type: "tkc-registry:index:TrustedNodes",
        outputs: { certificates: [{ registry: "10.0.0.1", sha256 }] },
      },
    });
    const secret = { namespace: "default", name: "pull", uid: "uid-of-secret" };
    const state = {
      ...set("a", id, ab),
      ...set("b", other, cd),
      ...nodes("b", ef),
      "urn:secret": { type: "kubernetes:core/v1:Secret", outputs: { kind: "Secret", metadata: secret } },
    };
    const of = (...names: string[]) => readPreviousState(state, { names, alone: false });
    for (const [name, its, trusted] of [
      ["a", id, [ab]],
      ["b", other, [ef]],
    ] as const) {
      const found = of("new-name", name);
      assert.deepEqual(found.identity, { id: its, former: `p.${name}` });
      assert.deepEqual(
        [...found.nodes].map(([node, { nonce }]) => [node, nonce]),
        [["w1", `nonce-of-${name}`]],
      );
      assert.equal(found.jumpbox?.uid, `uid-of-pod-${name}`);
      assert.deepEqual(found.clusters, [named(`cluster-${name}`)]);
      assert.deepEqual([...found.trusted], [["10.0.0.1", trusted]]);
      // Whose an object is that has our labels is asked of all sets.
      assert.deepEqual([...found.identities.keys()].sort(), ["a", "b"]);
      assert.deepEqual(found.objects, [{ kind: "Secret", ...secret }]);
    }
    const none = of("c");
    assert.deepEqual(
      [none.identity, none.nodes.size, none.jumpbox, none.clusters, none.trusted.size],
      [...[undefined, 0, undefined, [], 0]],
    );
  });

  it("is the node that the last run did first, and whether it has pulled: of the set that is asked for", () => {
    const canary = { node: "w1", uid: "uid-1", nonce: "n" };
    const told = (set: string, role: "plan" | "canary", value: unknown = canary): object => ({
      [`urn:pulumi:dev::p::command:local:Command::${set}-${role}`]: command({
        environment: { TKC_REGISTRY_CANARY: typeof value === "string" ? value : JSON.stringify(value) },
      }),
    });
    assert.deepEqual(read(told("c1", "plan")).canary, { planned: canary });
    const both = read({ ...told("c1", "plan"), ...told("c1", "canary"), ...told("c2", "plan") });
    assert.deepEqual(both.canary, { planned: canary, pulled: canary });
    assert.equal(both.nodes.size, 0);
    for (const other of [
      told("c2", "canary"),
      told("c1", "plan", "{"),
      told("c1", "plan", { ...canary, node: "-rf" }),
      { "urn:c1-plan": command({ environment: { TKC_REGISTRY_PLAN: "x" } }) },
    ])
      assert.deepEqual(read(other).canary, {});
  });

  it("is nothing where there is nothing, or what is there is of another kind", () => {
    assert.deepEqual(read({}), {
      canary: {},
      jumpbox: undefined,
      objects: [],
      nodes: new Map(),
      identity: undefined,
      identities: new Map(),
      clusters: [],
      trusted: new Map(),
    });
    const odd = {
      failed: command({ environment }),
      older: command({ stdout, environment: {} }),
      garbled: command({ stdout: "?", environment }),
      other: command({ stdout: "hello", environment: { A: "b" } }),
      none: command(null),
      pending: { type: "kubernetes:core/v1:Secret", outputs: {} },
    };
    const { nodes, objects } = read(odd);
    assert.deepEqual([nodes.size, objects.length], [0, 0]);
  });
});
