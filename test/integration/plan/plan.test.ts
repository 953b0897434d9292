import assert from "node:assert/strict";
import { type AddressInfo, createServer } from "node:net";
import { after, before, beforeEach, describe, it } from "node:test";
import type { Settings } from "../../../config/settings";
import { pinName } from "../../../nodes/protocol/spec";
import { planDigest } from "../../../plan/digest";
import { type Plan, makePlan } from "../../../plan/plan";
import { podSpec } from "../../../plan/podTemplate";
import type { PreviousState, RecordedNode } from "../../../state/previousState";
import { recordedNode } from "../../unit/state/state";
import type { RecordedIdentity } from "../../../state/records";
import { UserError, describeProblem } from "../../../support/errors";
import { type TestServer, unusedPort } from "../net/server";
import {
  World,
  administrator,
  base64,
  clusterObject,
  digest,
  fromNow,
  kubeSystem,
  node,
  tokenUntil,
} from "./world";

describe("the plan", () => {
  let world: World;
  let registry: TestServer;
  const settings = (change?: Record<string, unknown>, host?: string): Settings =>
    world.settings(change, host);

  const nothing: PreviousState = {
    ...{ canary: {}, jumpbox: undefined, objects: [], clusters: [] },
    ...{ nodes: new Map(), identity: undefined, identities: new Map(), trusted: new Map() },
  };
  const run = (given = settings(), last = nothing): Promise<Plan> =>
    makePlan(given, { owner: "o", previousState: () => Promise.resolve(last), unreachable: "fail" });
  /** The problems that a run is refused for, one line each. */
  const refused = async (given = settings(), last = nothing): Promise<string[]> => {
    const error: unknown = await run(given, last).then(
      () => assert.fail("it was not refused"),
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof UserError, String(error));
    return error.problems.map((problem) => `[${problem.code}] ${describeProblem(problem)}`);
  };

  before(async () => {
    world = await World.start();
    ({ registry } = world);
  });
  beforeEach(() => world.reset());
  after(() => world[Symbol.asyncDispose]());

  it("finds all well, and says what a review wants to know: logins, nodes, the image's digest", async () => {
    const { facts, warnings, nodes } = await run();
    assert.deepEqual(warnings, []);
    assert.deepEqual(
      nodes.map(({ node: { name } }) => name),
      ["w1", "w2"],
    );
    assert.match(facts.join("\n"), /^the login of context ns1 lasts until 20\S+Z \(9 h 59 min\)$/m);
    assert.match(facts.join("\n"), /^the login of context tkc-cluster-1 lasts until/m);
    assert.ok(
      facts.includes("2 nodes (0 control plane, 2 workers): Ubuntu 22.04.4 LTS, VMware Photon OS/Linux"),
      facts.join("\n"),
    );
    assert.ok(facts.includes(`${registry.host}/ns1/nginx:latest is ${digest}`), facts.join("\n"));
  });

  describe("of objects that have our labels", () => {
    const id = "5d1b5d2e-0f0c-4d6f-9a3e-2f7c1b1f0a11";
    const lost = "00000000-0000-4000-8000-000000000001";
    const secret = (stack: string, itsId?: string): void => {
      const labels = {
        ...{ "app.kubernetes.io/managed-by": "tkc-registry", "tkc-registry/stack": stack },
        ...(itsId === undefined ? {} : { "tkc-registry/id": itsId }),
      };
      world.ofCluster["GET /api/v1/namespaces/default/secrets/harbor-svc-pull-secret"] = {
        body: {
          type: "kubernetes.io/dockerconfigjson",
          metadata: { uid: "uid-of-secret", labels },
          data: {},
        },
      };
    };
    const state = (change: Partial<PreviousState>): PreviousState => ({ ...nothing, ...change });
    const identities = (of: RecordedIdentity): Partial<PreviousState> => ({
      identity: of,
      identities: new Map([["tkc-cluster-1", of]]),
    });
    const recorded = [
      { kind: "Secret", namespace: "default", name: "harbor-svc-pull-secret", uid: "uid-of-secret" },
    ];

    it("refuses those of a clone of the same name, also before the first run, and with adopt", async () => {
      secret("o", lost);
      const own = state(identities({ id, former: undefined }));
      for (const [given, last] of [
        [settings(), own],
        [settings({ adopt: true }), own],
        [settings(), nothing],
      ] as const) {
        assert.match(
          (await refused(given, last)).join("\n"),
          /^\[object-of-another-stack\] secret default\/harbor-svc-pull-secret: it belongs to the stack o \(id 00000000-.*kubectl --context tkc-cluster-1 -n default label secret harbor-svc-pull-secret tkc-registry\/stack- tkc-registry\/id-/,
        );
      }
      secret("o"); // of a clone that an earlier release brought up
      assert.match((await refused(settings(), nothing)).join("\n"), /the stack o \(without an id\)/);
    });

    it("takes its own, whatever it was called, and those of an earlier release by the state or the name of then", async () => {
      secret("called-otherwise", id);
      await run(settings(), state(identities({ id, former: undefined })));
      secret("called-otherwise");
      await run(settings(), state({ objects: recorded }));
      const taken = await run(settings(), state(identities({ id: undefined, former: "called-otherwise" })));
      assert.equal(taken.former, "called-otherwise");
    });

    it("tells the nodes of an earlier release under which name they were installed", async () => {
      const node = recordedNode({ uid: "uid-of-w1", former: "p.old" });
      const formers = async (change: Partial<RecordedNode>, of: RecordedIdentity): Promise<unknown[]> => {
        const last = state({ ...identities(of), nodes: new Map([["w1", { ...node, ...change }]]) });
        return (await run(settings(), last)).nodes.map(({ former }) => former);
      };
      const legacy = { id: undefined, former: "p.old" };
      assert.deepEqual(await formers({}, legacy), ["p.old", "p.old"]); // w2 may be left by a killed run
      // The run that took the others over was cut off.
      assert.deepEqual(await formers({}, { id, former: "p.old" }), ["p.old", "p.old"]);
      // Once all are taken over, a node that joins is no business of the former name's.
      const taken = { former: undefined };
      assert.deepEqual(await formers(taken, { id, former: "p.old" }), [undefined, undefined]);
      assert.deepEqual(await formers({ ...taken, skipped: true }, { id, former: "p.old" }), [
        "p.old",
        undefined,
      ]);
      assert.deepEqual(await formers({ former: undefined }, { id, former: undefined }), [
        undefined,
        undefined,
      ]);
    });
  });

  it("asks, and changes nothing: every request that isn't a question is a dry run", async () => {
    for (const server of [world.supervisor, world.cluster, world.registry]) server.received.length = 0;
    await run();
    const changing = [world.supervisor, world.cluster, world.registry]
      .flatMap(({ received }) => received)
      .filter(
        ({ method, url }) => !["GET", "HEAD"].includes(method) && !url.endsWith("/selfsubjectaccessreviews"),
      );
    assert.ok(changing.length > 0);
    assert.deepEqual(
      changing.filter(({ url }) => !url.endsWith("?dryRun=All")),
      [],
    );
  });

  it("warns of a login that ends within the hour, with the command that renews it", async () => {
    world.kubeconfig({ token: tokenUntil(fromNow(30)) });
    const { warnings } = await run();
    assert.match(
      warnings.join("\n"),
      /^the login of context ns1 lasts until \S+Z, (29|30) minutes from now: [^\n]*`npm run login -- --server 127\.0\.0\.1 --namespace ns1 --cluster tkc-cluster-1`/m,
    );
  });

  it("refuses an expired login, with when it ended and the command that renews it, once for each context", async () => {
    world.kubeconfig({ token: tokenUntil(fromNow(-5)) });
    const problems = await refused();
    assert.equal(problems.length, 2, problems.join("\n"));
    for (const [index, context] of ["ns1", "tkc-cluster-1"].entries()) {
      assert.match(
        problems[index]!,
        new RegExp(
          `^\\[login-expired\\] context ${context}: \\S+ does not accept its login, which expired at 20\\S+Z\\. [^]*--server 127\\.0\\.0\\.1 `,
        ),
      );
    }
  });

  it("finds out once that a cluster is not reached, and tells it once", async () => {
    let connections = 0;
    const mute = createServer((socket) => {
      connections += 1;
      setTimeout(() => socket.destroy(), 200);
    });
    await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", resolve));
    try {
      world.kubeconfig({ clusterServer: `https://127.0.0.1:${(mute.address() as AddressInfo).port}` });
      const problems = await refused();
      assert.equal(problems.length, 1, problems.join("\n"));
      assert.match(problems[0]!, /^\[cluster-unreachable\] context tkc-cluster-1: /);
      assert.equal(connections, 1);
    } finally {
      mute.close();
    }
  });

  it("says nothing of an image that is missing only as its name has a namespace that the Supervisor refuses", async () => {
    world.imageStatus = 404;
    const codes = async (given = settings()): Promise<Set<string | undefined>> =>
      new Set((await refused(given)).map((line) => /^\[(\S+)\]/.exec(line)?.[1]));
    const assertAlone = async (...its: string[]): Promise<void> => {
      assert.deepEqual(await codes(), new Set(its));
      const other = settings({ deployment: { image: `${registry.host}/team/nginx:1` } });
      assert.deepEqual(await codes(other), new Set([...its, "image-not-found"]));
    };
    const secret = "GET /api/v1/namespaces/ns1/secrets/tkc-cluster-1-ssh";
    const pod = "POST /api/v1/namespaces/ns1/pods?dryRun=All";
    const { [secret]: given } = world.ofSupervisor;
    world.ofSupervisor[secret] = { status: 403, body: { message: "secrets is forbidden" } };
    world.forbidden = ["get secrets"];
    await assertAlone("no-rights");
    world.forbidden = [];
    world.ofSupervisor[secret] = given;
    world.ofSupervisor[pod] = { status: 404, body: { message: 'namespaces "ns1" not found' } };
    await assertAlone("namespace-not-found");
    assert.match(
      (await refused()).join("\n"),
      /tkc-registry:namespace: the Supervisor has no namespace ns1\. /,
    );
  });

  it("lists all missing rights of a context at once, and doesn't repeat them", async () => {
    world.forbidden = ["create pods/exec", "list nodes", "patch deployments"];
    world.ofCluster["GET /api/v1/nodes"] = { status: 403, body: { message: "nodes is forbidden" } };
    const problems = await refused();
    assert.deepEqual(
      problems.map((line) => line.replace(/\. .*/, "")),
      [
        "[no-rights] context ns1: the user may not create pods/exec in namespace ns1",
        "[no-rights] context tkc-cluster-1: the user may not list nodes; patch deployments.apps in namespace default",
      ],
    );
  });

  describe("never takes another cluster for the one that is named:", () => {
    const elsewhere = "https://198.18.9.9:6443";
    const secret = "GET /api/v1/namespaces/ns1/secrets/tkc-cluster-1-kubeconfig";
    const object =
      "GET /apis/run.tanzu.vmware.com/v1alpha3/namespaces/ns1/tanzukubernetesclusters/tkc-cluster-1";
    const apiEndpoints = (host: string, port: number): { body: unknown } => ({
      body: { status: { apiEndpoints: [{ host, port }] } },
    });

    it("by the secret with its kubeconfig", async () => {
      world.ofSupervisor[secret] = {
        body: { data: { value: base64(administrator(elsewhere, world.supervisorCa)) } },
      };
      const [problem, ...others] = await refused();
      assert.deepEqual(others, []);
      assert.match(
        problem!,
        /^\[wrong-cluster\] setting tkc-registry:clusterContext: the context tkc-cluster-1 is for https:\/\/127\.0\.0\.1:\d+, and the cluster ns1\/tkc-cluster-1 is at 198\.18\.9\.9:6443 by secret ns1\/tkc-cluster-1-kubeconfig, with another CA\. .*npm run login/,
      );
    });
    it("by the TanzuKubernetesCluster's endpoint, where the secret isn't to be seen", async () => {
      world.ofSupervisor[secret] = { status: 403, body: { message: "forbidden" } };
      world.ofSupervisor[object] = apiEndpoints("198.18.9.9", 6443);
      assert.match(
        (await refused()).join("\n"),
        /^\[wrong-cluster\] .*TanzuKubernetesCluster ns1\/tkc-cluster-1\. /,
      );
      world.ofSupervisor[object] = apiEndpoints("127.0.0.1", world.cluster.port);
      assert.deepEqual((await run()).warnings, []);
    });
    it("but knows it by its CA where its address is another's: a tunnel, a load balancer", async () => {
      world.ofSupervisor[secret] = { body: { data: { value: base64(administrator(elsewhere, world.ca)) } } };
      assert.deepEqual((await run()).warnings, []);
    });
    it("and says so where it can't be told", async () => {
      world.ofSupervisor[secret] = undefined;
      assert.match((await run()).warnings.join("\n"), /^not checked that the context tkc-cluster-1 is of/);
      for (const value of ["", "{", "clusters: []", "\u0000", "clusters: [{cluster: {server: nowhere}}]"]) {
        world.ofSupervisor[secret] = { body: { data: { value: base64(value) } } };
        assert.match((await run()).warnings.join("\n"), /^not checked that/);
      }
    });
  });

  describe("proves the cluster that the state knows:", () => {
    const named = { supervisor: "ns1", namespace: "ns1", name: "tkc-cluster-1" };
    const proof = () => ({
      uids: { clusters: "uid-of-cluster" },
      kubeSystem: "uid-of-kube-system",
      supervisorCa: [world.supervisorCa.sha256],
    });
    const before = (change: object = {}): PreviousState => ({
      ...nothing,
      clusters: [{ ...named, ...proof(), ...change }],
    });

    it("by what a run records of it, the same each time", async () => {
      const first = await run();
      assert.deepEqual(first.connection.cluster, { ...named, ...proof() });
      const again = await run(settings(), {
        ...nothing,
        clusters: [{ ...named, ...first.connection.cluster }],
      });
      assert.equal(JSON.stringify(again.connection), JSON.stringify(first.connection));
      // An earlier release's record is made whole.
      const older = await run(settings(), { ...nothing, clusters: [named] });
      assert.deepEqual(older.connection, first.connection);
    });
    it("another one is refused as long as that is there, or can't be asked for", async () => {
      const other = before({ kubeSystem: "uid-of-another" });
      const [problem, ...others] = await refused(settings(), other);
      assert.deepEqual(others, []);
      assert.match(
        problem!,
        /^\[other-cluster\] context tkc-cluster-1: .* which still exists: .*npm run login/,
      );
      const elsewhere = before({ kubeSystem: "uid-of-another", supervisorCa: [world.ca.sha256] });
      assert.match((await refused(settings(), elsewhere)).join("\n"), /^\[other-supervisor\] context ns1: /);
    });
    it("another one takes its place where it is gone or was replaced, and a renewed CA of the Supervisor too", async () => {
      const replaced = before({ kubeSystem: "uid-of-another", uids: { clusters: "uid-of-another" } });
      assert.deepEqual((await run(settings(), replaced)).connection.cluster, { ...named, ...proof() });
      const renewed = before({ supervisorCa: [world.ca.sha256] });
      assert.deepEqual((await run(settings(), renewed)).connection.cluster, { ...named, ...proof() });
    });
    it("and says what it costs where it may not look", async () => {
      world.ofCluster[kubeSystem] = { status: 403, body: { message: "forbidden" } };
      world.ofSupervisor[clusterObject()] = { status: 403, body: { message: "forbidden" } };
      const { warnings, connection } = await run();
      assert.deepEqual(connection.cluster, { ...named, supervisorCa: [world.supervisorCa.sha256] });
      assert.match(
        warnings.join("\n"),
        /may not get namespaces "kube-system", .*\n.*shows no UID of the cluster/,
      );
      assert.match(
        (await refused(settings(), before())).join("\n"),
        /^\[no-rights\] context tkc-cluster-1: /,
      );
    });
  });

  describe("sends a password to no node that has not proved who it is:", () => {
    const hostKey = `SHA256:${"A".repeat(43)}`;
    beforeEach(() => {
      world.ofSupervisor["GET /api/v1/namespaces/ns1/secrets/tkc-cluster-1-ssh"] = undefined;
      world.ofSupervisor["GET /api/v1/namespaces/ns1/secrets/tkc-cluster-1-ssh-password"] = {
        body: { data: { "ssh-passwordkey": base64("s3cret") } },
      };
    });

    it("all of them are told at once, with how their host keys are found", async () => {
      const problems = await refused();
      assert.deepEqual(
        problems.map((line) => line.replace(/: .*/, "")),
        ["[ssh-password-unpinned] node w1", "[ssh-password-unpinned] node w2"],
      );
      for (const line of problems) assert.match(line, /`nodes\.hostKeys`.*ssh-keygen/);
    });
    it("the settings, the state or the Node object may know its host key", async () => {
      const annotations = { [`tkc-registry/host-key.${pinName({ owner: "o" })}`]: hostKey };
      const noted = node("w1", "198.18.1.11") as { metadata: object };
      world.listNodes(
        { ...noted, metadata: { ...noted.metadata, annotations } },
        node("w2", "198.18.1.12"),
        node("w3", "198.18.1.13"),
      );
      const recorded = recordedNode({ uid: "uid-of-w2", hostKey });
      const last = { ...nothing, nodes: new Map([["w2", recorded]]) };
      const problems = await refused(settings(), last);
      assert.deepEqual(problems.length, 1, problems.join("\n"));
      assert.match(problems[0]!, /^\[ssh-password-unpinned\] node w3: /);
      const given = settings({ nodes: { hostKeys: { w3: hostKey } } });
      const { nodes } = await run(given, last);
      assert.deepEqual(
        nodes.map((each) => each.hostKey),
        [hostKey, hostKey, hostKey],
      );
    });
  });

  it("goes on without the right to patch nodes, and says what that costs", async () => {
    world.forbidden = ["patch nodes"];
    const { warnings } = await run();
    assert.equal(warnings.length, 1, warnings.join("\n"));
    assert.match(warnings[0]!, /^context tkc-cluster-1: the user may not patch nodes: .*`nodes\.hostKeys`/);
  });

  it("refuses an SSH secret that is missing, empty, or no key", async () => {
    const secret = "GET /api/v1/namespaces/ns1/secrets/tkc-cluster-1-ssh";
    world.ofSupervisor[secret] = undefined;
    assert.match((await refused()).join("\n"), /^\[ssh-secret-missing\] secret ns1\/tkc-cluster-1-ssh: /);
    world.ofSupervisor[secret] = { body: { data: {} } };
    assert.match((await refused()).join("\n"), /^\[ssh-secret-empty\]/);
    world.ofSupervisor[secret] = { body: { data: { "ssh-privatekey": base64("not a key") } } };
    const [problem] = await refused();
    assert.match(
      problem!,
      /^\[ssh-key-invalid\] secret ns1\/tkc-cluster-1-ssh: this is not an SSH private key/,
    );
  });

  /** As kubelets of Windows write it: their machine id is a host's name. */
  const windows = (name: string, address: string): object =>
    node(name, address, {
      ...{ os: "Windows Server 2022 Datacenter", machineId: name.toUpperCase() },
      labels: { "kubernetes.io/os": "windows" },
    });
  const linux = { labels: { "kubernetes.io/os": "linux", pool: "a" } };

  it("refuses nodes of a system that it doesn't know, in one line, with the setting that leaves them out", async () => {
    world.listNodes(
      ...[windows("win1", "198.18.1.11"), windows("win2", "198.18.1.12")],
      node("w1", "198.18.1.13", linux),
    );
    assert.deepEqual(await refused(), [
      '[node-os] nodes win1, win2: they run "Windows Server 2022 Datacenter", and only Linux has a trust store that is known. To leave such nodes out, set `nodes.exclude: "kubernetes.io/os=windows"` [node-os]',
    ]);
    const excluding = (await refused(settings({ nodes: { select: "!gone", exclude: "pool=b" } }))).join();
    assert.match(excluding, /set `nodes\.select: "!gone,kubernetes\.io\/os!=windows"`/);
    world.listNodes(node("w1", "198.18.1.11", { os: "Windows Server 2019" }), node("w2", "198.18.1.12"));
    assert.match(
      (await refused()).join("\n"),
      /^\[node-os\] node w1: it runs "Windows Server 2019", .* give them a label of their own \(`kubectl label node w1 trust=none`\), and set `nodes\.exclude: "trust=none"`/,
    );
  });

  it("works on a cluster with Windows nodes that are left out, and says which, whatever they are like", async () => {
    const unlike = { ...windows("win2", ""), status: { nodeInfo: { osImage: "Windows" } } };
    world.listNodes(windows("win1", "198.18.1.11"), unlike, node("w1", "198.18.1.11", linux));
    for (const chosen of [{ exclude: "kubernetes.io/os=windows" }, { select: "pool in (a)" }]) {
      const { nodes, excluded, facts, warnings, gone, selections } = await run(settings({ nodes: chosen }));
      assert.deepEqual(
        nodes.map((each) => each.node.name),
        ["w1"],
      );
      assert.deepEqual([warnings, gone, selections], [[], [], [chosen]]);
      const [[name, selector]] = Object.entries(chosen) as [[string, string]];
      const by = `nodes.${name} (${selector})`;
      assert.deepEqual(
        excluded.map((each) => [each.name, each.by]),
        [
          ["win1", by],
          ["win2", by],
        ],
      );
      assert.ok(facts.includes(`left out by ${by}: win1, win2`), facts.join("\n"));
    }
    assert.match(
      (await refused(settings({ nodes: { exclude: "pool=a", select: "pool" } }))).join("\n"),
      /^\[no-nodes\] context tkc-cluster-1: its 3 nodes are all left out\. Correct `nodes\.select`/,
    );
  });

  it("takes a node that an earlier run did and that is left out now out of the stack, and says so", async () => {
    world.listNodes(node("w1", "198.18.1.11"), node("w2", "198.18.1.12", { labels: { pool: "b" } }));
    const last: PreviousState = {
      ...nothing,
      nodes: new Map(["w1", "w2"].map((name) => [name, recordedNode({ uid: `uid-of-${name}` })])),
      identity: { id: "5d1b5d2e-0f0c-4d6f-9a3e-2f7c1b1f0a11", former: undefined },
    };
    const plan = await run(settings({ nodes: { exclude: "pool=b", inspect: false } }), last);
    assert.deepEqual(
      plan.gone.map(({ node: name, action, restart }) => [name, action, restart]),
      [["w2", "remove", true]],
    );
    assert.ok(
      plan.warnings.includes("left out from now on, so that our CAs are removed from it: w2"),
      plan.warnings.join("\n"),
    );
    assert.deepEqual(plan.selections, [{}, { exclude: "pool=b" }]);
  });

  it("keeps the pods of a Deployment to nodes that are not left out, and says so only then", async () => {
    world.listNodes(node("w1", "198.18.1.11", linux), windows("win1", "198.18.1.12"));
    const chosen = { select: "pool", exclude: "kubernetes.io/os=windows,spot!=x" };
    const given = settings({ nodes: chosen, rollout: { canary: false } });
    world.cluster.received.length = 0;
    const { deployments, facts } = await run(given);
    const [plan] = [...deployments.values()];
    const pool = { key: "pool", operator: "Exists" };
    const nodeAffinity = {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [
          { matchExpressions: [pool, { key: "kubernetes.io/os", operator: "NotIn", values: ["windows"] }] },
          { matchExpressions: [pool, { key: "spot", operator: "In", values: ["x"] }] },
        ],
      },
    };
    assert.deepEqual(podSpec(plan!.pod).affinity, { nodeAffinity });
    assert.match(
      facts.join("\n"),
      /^deployment default\/\S+ waits for all nodes .* its pods are kept to these/m,
    );
    // The API server is asked whether it would admit this pod.
    const tried = world.cluster.received
      .filter(({ url }) => url.endsWith("/pods?dryRun=All"))
      .flatMap(({ body }) => (JSON.parse(body) as { spec: { affinity?: object } }).spec.affinity ?? []);
    assert.deepEqual(tried, [{ nodeAffinity }]);
    world.reset();
    const all = await run();
    assert.ok(!("affinity" in podSpec([...all.deployments.values()][0]!.pod)));
    assert.doesNotMatch(all.facts.join("\n"), /kept to these/);
  });

  it("orders the workers by waves, and has the digest of earlier runs where there are none", async () => {
    const nodes = { inspect: false };
    world.listNodes(
      node("w1", "198.18.1.11", { labels: { pool: "b" } }),
      node("w2", "198.18.1.12", { labels: { pool: "a" } }),
      node("w3", "198.18.1.13"),
    );
    const order = (plan: Plan): unknown[] =>
      plan.order.map(({ node: { name }, after, gate }) => [name, after, gate?.wave]);
    const waves = ["pool=a", { select: "pool=b", pauseSeconds: 5 }];
    const plan = await run(settings({ nodes, rollout: { waves, canary: false } }));
    assert.deepEqual(order(plan), [
      ["w2", [], undefined],
      ["w1", ["w2"], 1],
      ["w3", ["w1"], 2],
    ]);
    assert.deepEqual(
      plan.nodes.map(({ change }) => change.turn),
      [2, 1, 3],
    );
    assert.match(
      plan.facts.join("\n"),
      /^waves: 1 \(pool=a\): 1 worker, 1 at once; 2 \(pool=b\): .*, then 5 s; last: /m,
    );
    const without = await run(settings({ nodes, rollout: { canary: false } }));
    assert.deepEqual([[...plan.waveEnds.keys()], without.waveEnds.size], [[1, 2], 0]);
    const paused = await run(settings({ nodes, rollout: { pauseSeconds: 5, canary: false } }));
    assert.equal(paused.digest, without.digest);
    const excluding = await run(settings({ nodes: { ...nodes, exclude: "pool=none" } }));
    const digests = [plan, without, excluding].map((each) => each.digest);
    assert.equal(new Set(digests).size, 3);
  });

  it("warns of nodes that aren't Ready", async () => {
    world.listNodes(node("w1", "198.18.1.11", { ready: false }), node("w2", "198.18.1.12"));
    assert.deepEqual((await run()).warnings, ["not Ready at the moment: w1"]);
  });

  it("refuses nodes whose container runtime is not containerd, each by name", async () => {
    world.listNodes(
      node("w1", "198.18.1.11", { runtime: "docker://20.10.7" }),
      node("w2", "198.18.1.12", { runtime: "cri-o://1.24.1", os: "Windows Server 2019" }),
      node("w3", "198.18.1.13"),
    );
    assert.deepEqual(
      (await refused()).map((line) => line.replace(/, and .*/, "")),
      [
        '[node-os] node w2: it runs "Windows Server 2019"',
        '[node-runtime] node w1: its container runtime is "docker://20.10.7"',
        '[node-runtime] node w2: its container runtime is "cri-o://1.24.1"',
      ],
    );
  });

  it("warns of nodes that share a machine id, and tells these by their host names too", async () => {
    const machineId = "0".repeat(32);
    world.listNodes(
      node("w1", "198.18.1.11", { machineId }),
      node("w2", "198.18.1.12"),
      node("w3", "198.18.1.13", { machineId }),
    );
    const { warnings, nodes } = await run();
    assert.match(
      warnings.join("\n"),
      /^w1, w3 have one machine id \(0{32}\), so each is told by its host name too/,
    );
    assert.deepEqual(
      nodes.map(({ target }) => target.hostName),
      ["w1", undefined, "w3"],
    );
  });

  it("goes on without the rights to Leases, and says what each of them costs", async () => {
    world.forbidden = ["create leases", "delete leases"];
    const [turns, ...more] = (await run()).warnings;
    assert.match(
      turns!,
      /context tkc-cluster-1: the user may not create leases\.coordination\.k8s\.io in namespace kube-system/,
    );
    assert.match(
      turns!,
      /delete .*tkc-registry-control-plane.*: two runs .* may restart two control-plane nodes at once/,
    );
    assert.deepEqual(more, []);
    world.forbidden = ["get leases"];
    const warnings = (await run()).warnings.join("\n");
    assert.match(warnings, /get leases.* in namespace kube-node-lease: after each restart .* 45 s longer/);
  });

  it("refuses nodes without an address, and a cluster without nodes", async () => {
    world.listNodes({
      ...node("w1", ""),
      status: { ...(node("w1", "") as { status: object }).status, addresses: [] },
    });
    assert.match((await refused()).join("\n"), /^\[node-without-address\] node w1/);
    world.listNodes();
    assert.match((await refused()).join("\n"), /^\[no-nodes\]/);
  });

  it("refuses an image that the credential can't pull, and one that isn't there", async () => {
    world.imageStatus = 403;
    assert.match(
      (await refused()).join("\n"),
      /^\[registry-forbidden\] setting tkc-registry:registries\[0\]\.credentials/,
    );
    world.imageStatus = 404;
    assert.match((await refused()).join("\n"), /^\[image-not-found\] setting tkc-registry:deployment\.image/);
  });

  it("refuses an image whose registry is none of the stack's, port included", () => {
    const image = "127.0.0.1:1/ns1/nginx:latest";
    assert.throws(
      () => settings({ deployment: { image } }),
      /deployment\.image: its registry, 127\.0\.0\.1:1, is none of the stack's/,
    );
  });

  it("says of a registry that isn't reached from here that it wasn't checked, and goes on", async () => {
    const host = `127.0.0.1:${await unusedPort(world.ca)}`;
    const { warnings } = await run(settings({}, host));
    assert.equal(warnings.length, 2, warnings.join("\n"));
    for (const warning of warnings) assert.match(warning, /not checked .* which this machine does not reach/);
  });

  it("pins the image by the digest that the registry has now, and keeps one that is written", async () => {
    const deployment = { pinDigest: true };
    const image = `${registry.host}/ns1/nginx:latest`;
    const imageOf = async (given?: Settings): Promise<string[]> =>
      [...(await run(given)).deployments.values()].map(({ pod }) => pod.image);
    assert.deepEqual(await imageOf(settings({ deployment })), [`${image}@${digest}`]);
    assert.deepEqual(await imageOf(), [image]);
    const written = `${image}@sha256:${"cd".repeat(32)}`;
    assert.deepEqual(await imageOf(settings({ deployment: { ...deployment, image: written } })), [written]);
  });

  it("refuses to pin a digest that it can't see", async () => {
    const host = `127.0.0.1:${await unusedPort(world.ca)}`;
    assert.match(
      (await refused(settings({ deployment: { pinDigest: true } }, host))).join("\n"),
      /^\[image-digest-unknown\] setting tkc-registry:deployment\.pinDigest: .*127\.0\.0\.1:\d+\/ns1\/nginx:latest/,
    );
  });

  it("has one digest for the same plan, whatever its secrets are, and others for any other", async () => {
    const { trust } = settings();
    const plan = await run();
    const first = plan.digest;
    assert.match(first, /^[0-9a-f]{64}$/);
    assert.equal((await run()).digest, first);
    const withPods = (change: object): Plan => ({
      ...plan,
      deployments: new Map(
        [...plan.deployments].map(([key, of]) => [key, { ...of, pod: { ...of.pod, ...change } }]),
      ),
    });
    const env = (value: string): string => planDigest(withPods({ env: { A: value } }), trust);
    assert.equal(env("hunter2"), env("hunter3"));
    const words = (word: string, secret: boolean): string => {
      const made = withPods({ args: [word] });
      const deployments = new Map([...made.deployments].map(([key, of]) => [{ ...key, secret }, of]));
      return planDigest({ ...made, deployments }, trust);
    };
    assert.equal(words("hunter2", true), words("hunter3", true));
    assert.notEqual(words("hunter2", false), words("hunter3", false));
    const otherLogin = new Map(
      [...plan.pullSecrets].map(([key, places]) => [
        key,
        places.map((place) => ({ ...place, dockerConfigJson: "{}" })),
      ]),
    );
    for (const same of [
      { ...plan, pullSecrets: otherLogin },
      { ...plan, nodes: [...plan.nodes].reverse() },
    ])
      assert.equal(planDigest(same, trust), first);
    // What the settings of before had of the jumpbox is all that counts where the later ones are as by default.
    const own = { ...plan, jumpbox: { create: true, replaces: undefined } };
    const ofJumpbox = (jumpbox: object): string =>
      planDigest(own, { ...trust, jumpbox: jumpbox as typeof trust.jumpbox });
    const { name, image, install } = trust.jumpbox;
    assert.equal(install, true);
    assert.equal(ofJumpbox(trust.jumpbox), ofJumpbox({ name, image }));
    const [node] = plan.nodes;
    const others = [
      { ...plan, nodes: plan.nodes.slice(1) },
      { ...plan, nodes: [{ ...node!, nonce: "other" }, ...plan.nodes.slice(1)] },
      { ...plan, jumpbox: { create: true, replaces: "uid-of-pod" } },
      { ...plan, pullSecrets: new Map() },
      withPods({ image: "other" }),
      withPods({ env: { OTHER: "" } }),
    ];
    const digests = [
      first,
      ...others.map((other) => planDigest(other, trust)),
      (await run(settings({ nodes: { readyTimeoutSeconds: 60 } }))).digest,
      (await run(settings({ trust: "auto" }))).digest,
      ofJumpbox({ ...trust.jumpbox, install: false }),
      ofJumpbox({ ...trust.jumpbox, pullSecret: "mirror" }),
    ];
    assert.equal(new Set(digests).size, digests.length);
  });

  it("holds a registry to the CA of its first use, until another is accepted by its fingerprint", async () => {
    const given = (accepted: object = {}): Settings => {
      const ca = { from: "chain", trustOnFirstUse: true, ...accepted };
      return settings({ registries: [{ ...settings().trust.registries[0], ca }] });
    };
    const first = await run(given());
    assert.deepEqual(
      first.installation.certificates.map(({ sha256 }) => sha256),
      [world.ca.sha256],
    );
    assert.match(first.warnings.join("\n"), new RegExp(world.ca.sha256));
    const trusted = (sha256: string): PreviousState => ({
      ...nothing,
      trusted: new Map([[registry.host, [sha256]]]),
    });
    assert.equal((await run(given(), trusted(world.ca.sha256))).installation.certificates.length, 1);
    const [changed, ...others] = await refused(given(), trusted(world.supervisorCa.sha256));
    assert.deepEqual(others, []);
    assert.match(changed!, /^\[ca-changed\] setting tkc-registry:registries\[0\]\.ca: /);
    assert.equal(
      (await run(given({ sha256: world.ca.sha256 }), trusted(world.supervisorCa.sha256))).installation
        .certificates.length,
      1,
    );
  });

  it("refuses an image for other processors than the nodes', and warns of one for some of them", async () => {
    const architectures = (...of: string[]): void =>
      world.listNodes(
        ...of.map((architecture, index) => node(`w${index}`, `198.18.1.1${index}`, { architecture })),
      );
    architectures("amd64", "amd64");
    world.platforms = ["arm64"];
    const [problem, ...others] = await refused();
    assert.deepEqual(others, []);
    assert.match(problem!, /^\[image-architecture\] .*is for linux\/arm64; nodes are amd64/);
    world.platforms = ["arm64", "amd64"];
    assert.deepEqual((await run()).warnings, []);
    architectures("amd64", "arm64");
    world.platforms = ["amd64"];
    assert.match(
      (await run()).warnings.join("\n"),
      /nodes are amd64, arm64: its pods cannot run on all of them/,
    );
  });

  it("warns where an admission webhook takes no dry run, in place of stopping for good", async () => {
    const message = 'admission webhook "policy.example.com" does not support dry run';
    const answer = { status: 400, body: { kind: "Status", message } };
    world.ofCluster["POST /api/v1/namespaces/default/pods?dryRun=All"] = answer;
    world.ofCluster["POST /api/v1/namespaces/default/secrets?dryRun=All"] = answer;
    world.ofSupervisor["POST /api/v1/namespaces/ns1/pods?dryRun=All"] = answer;
    assert.match((await run()).warnings.join("\n"), /cannot be tried beforehand, as an admission webhook/);
    world.ofCluster["POST /api/v1/namespaces/default/pods?dryRun=All"] = {
      status: 400,
      body: { kind: "Status", message: 'admission webhook "policy.example.com" denied the request: no' },
    };
    assert.match((await refused()).join("\n"), /^\[pod-refused\]/);
  });

  it("asks on a cluster with PodSecurityPolicy for the ServiceAccount, as the pods are judged by its policies", async () => {
    const admitted = { metadata: { annotations: { "kubernetes.io/psp": "operators-own" } } };
    world.ofCluster["POST /api/v1/namespaces/default/pods?dryRun=All"] = { status: 201, body: admitted };
    const reviews = "POST /apis/authorization.k8s.io/v1/subjectaccessreviews";
    const list = "GET /apis/policy/v1beta1/podsecuritypolicies";
    world.ofCluster[list] = { body: { items: [{ metadata: { name: "a" } }, { metadata: { name: "b" } }] } };
    world.ofCluster[reviews] = { status: 201, body: { status: { allowed: false } } };
    assert.match(
      (await refused()).join("\n"),
      /^\[pod-security-policy\] .*ServiceAccount default of namespace default/,
    );
    world.ofCluster[reviews] = { status: 201, body: { status: { allowed: true } } };
    assert.deepEqual((await run()).warnings, []);
    world.ofCluster[reviews] = { status: 403, body: { message: "forbidden" } };
    assert.match((await run()).warnings.join("\n"), /not checked that the ServiceAccount default/);
  });

  it("names the bastion where the Supervisor runs no pods, before anything is made", async () => {
    world.ofSupervisor["POST /api/v1/namespaces/ns1/pods?dryRun=All"] = {
      status: 403,
      body: {
        kind: "Status",
        message: 'admission webhook "vds.example.com" denied the request: no pods here',
      },
    };
    assert.match(
      (await refused()).join("\n"),
      /^\[jumpbox-refused\] setting tkc-registry:access: .*no pods here.*`access: bastion`/,
    );
  });

  it("refuses a jumpbox whose pull secret is not there, or has no login for its image", async () => {
    const jumpbox = {
      image: `mirror.example:5000/tools/relay@sha256:${"a".repeat(64)}`,
      pullSecret: "mirror",
    };
    const secret = "GET /api/v1/namespaces/ns1/secrets/mirror";
    const config = (host: string): object => ({
      type: "kubernetes.io/dockerconfigjson",
      data: { ".dockerconfigjson": base64(JSON.stringify({ auths: { [host]: { auth: base64("a:b") } } })) },
    });
    const wanted = (): Settings => settings({ jumpbox });
    const table: [object | undefined, RegExp][] = [
      [undefined, /there is no secret ns1\/mirror .*--docker-server=mirror\.example:5000/],
      [{ type: "Opaque", data: {} }, /is of the type Opaque/],
      [config("mirror.example"), /has no login for mirror\.example:5000/],
      [config("mirror.example:5000/other"), /has no login for/],
    ];
    for (const [body, expected] of table) {
      if (body !== undefined) world.ofSupervisor[secret] = { body };
      const [problem, ...others] = await refused(wanted());
      assert.match(problem!, /^\[jumpbox-pull-secret\] setting tkc-registry:jumpbox\.pullSecret: /);
      assert.match(problem!, expected);
      assert.deepEqual(others, []);
    }
    for (const host of ["mirror.example:5000", "https://mirror.example:5000/v2/", "*.example:5000"]) {
      world.ofSupervisor[secret] = { body: config(host) };
      await run(wanted());
    }
    // Who may not read it is told by the kubelet.
    world.ofSupervisor[secret] = { status: 403, body: { kind: "Status", message: "no" } };
    await run(wanted());
  });

  it("refuses a Secret or Deployment that no update makes what is wanted", async () => {
    const secret = "GET /api/v1/namespaces/default/secrets/harbor-svc-pull-secret";
    const data = { ".dockerconfigjson": base64('{"auths":{}}') };
    const pull = { type: "kubernetes.io/dockerconfigjson", data, metadata: {} };
    const adopting = (): Settings => settings({ adopt: true });
    const table: [object, RegExp][] = [
      [
        { ...pull, type: "Opaque" },
        /^\[adopted-secret-type\] secret default\/harbor-svc-pull-secret: .*Opaque/,
      ],
      [{ ...pull, data: {} }, /^\[adopted-secret-type\]/],
      [{ ...pull, immutable: true }, /^\[adopted-secret-type\] .*immutable/],
      [
        { ...pull, metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" } },
        /^\[object-being-deleted\] secret/,
      ],
    ];
    for (const [body, told] of table) {
      world.ofCluster[secret] = { body };
      assert.match((await refused(adopting())).join("\n"), told);
    }
    world.ofCluster[secret] = { body: pull };
    await run(adopting());
    world.ofCluster["GET /apis/apps/v1/namespaces/default/deployments/tkc-nginx-harbor-svc-deployment"] = {
      body: { metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" } },
    };
    assert.match((await refused(adopting())).join("\n"), /^\[object-being-deleted\] deployment/);
  });

  it("tells everything at once, whatever part of it fails", async () => {
    world.kubeconfig({ contexts: ["ns1"] });
    world.ofSupervisor["GET /api/v1/namespaces/ns1/secrets/tkc-cluster-1-ssh"] = undefined;
    world.forbidden = ["create pods/exec"];
    world.imageStatus = 404;
    const codes = (await refused()).map((line) => /^\[(.*?)\]/.exec(line)![1]);
    assert.deepEqual(codes.sort(), [
      "context-not-found",
      "image-not-found",
      "no-rights",
      "ssh-secret-missing",
    ]);
  });

  it("names each problem on a line of its own, with what to do below it", async () => {
    world.kubeconfig({ contexts: [] });
    const { message } = await run().then(
      () => assert.fail("it was not refused"),
      (error: unknown) => error as Error,
    );
    assert.match(
      message,
      /^2 problems were found:\n {2}1\. setting tkc-registry:supervisorContext: [^\n]*\n {5}→ [^\n]*\n {2}2\. setting tkc-registry:clusterContext: [^\n]*\n {5}→ [^\n]*$/,
    );
  });
});
