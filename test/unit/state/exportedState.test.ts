import * as assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type DeployedSet, readDeployedStack } from "../../../state/exportedState";
import { problem } from "../../integration/net/server";
import {
  caStdout,
  encrypted,
  exported,
  harbor,
  hostKey,
  ids,
  labels,
  nodeResources,
  owner,
  registriesOutput,
  resource,
  setResources,
  stackResource,
  target,
} from "./state";

const notAfter = "2027-01-01T00:00:00.000Z";
const custom = { registry: "other.example", sha256: "b".repeat(64) };
const placed = (type: string, name: string, namespace: string) =>
  resource(type, `${name}-${namespace}`, {
    inputs: { metadata: { name, namespace }, data: encrypted },
    outputs: { metadata: { name, namespace }, data: encrypted },
  });
const secret = (namespace: string) => placed("kubernetes:core/v1:Secret", "harbor-pull", namespace);
const deployment = placed("kubernetes:apps/v1:Deployment", "nginx", "web");
const declared = (certificates: readonly object[]) =>
  resource("tkc-registry:index:TrustedNodes", "tkc-cluster-1", { inputs: { script: {}, certificates } });

/** The only set of nodes of a stack. */
const only = (state: unknown): DeployedSet => {
  const { sets } = readDeployedStack(state, "dev");
  assert.equal(sets.length, 1);
  return sets[0]!;
};

describe("a deployed stack's state", () => {
  it("gives each node with its pinned host key, and what to trust, with what is known of it", () => {
    const image = "harbor.example:8443/ns1/nginx:1";
    const stack = readDeployedStack(
      exported([
        stackResource({ registries: registriesOutput(notAfter), image, pullSecret: "harbor-pull" }),
        declared([harbor]),
        ...nodeResources(target({ name: "w2", uid: "uid-w2" })),
        ...nodeResources(target()),
        secret("web"),
        deployment,
      ]),
      "dev",
    );
    assert.equal(stack.sets.length, 1);
    const [set] = stack.sets;
    assert.deepEqual([set!.trust, set!.identity], ["tkc-cluster-1", { owner, id: undefined }]);
    assert.deepEqual(
      set!.nodes.map(({ target: { name, address }, hostKey: key }) => [name, address, key]),
      [
        ["w1", "10.0.0.1", hostKey],
        ["w2", "10.0.0.1", hostKey],
      ],
    );
    assert.deepEqual(set!.certificates, [harbor]);
    assert.deepEqual(
      [...set!.facts],
      [[harbor.sha256, { subject: "CN=CA of harbor.example:8443", notAfter }]],
    );
    assert.deepEqual(set!.images, [image]);
    assert.deepEqual(set!.pulls, { namespace: "web", secret: "harbor-pull" });
    assert.deepEqual(stack.warnings, []);
  });

  it("of an update that was cut off wants what that set out to do, and warns", () => {
    const stack = readDeployedStack(
      exported([stackResource({}), declared([harbor, custom]), ...nodeResources(target())], {
        pending_operations: [{ resource: {}, type: "updating" }],
      }),
      "dev",
    );
    assert.deepEqual(stack.sets[0]!.certificates, [harbor, custom]);
    assert.equal(stack.sets[0]!.facts.size, 0);
    assert.deepEqual(
      stack.warnings.map(({ code }) => code),
      ["pending-operations"],
    );
  });

  it("of a program that has no TrustedNodes wants what the nodes' commands say", () => {
    const two = nodeResources(target({ name: "w2", uid: "uid-w2" }), { certificates: [harbor, custom] });
    const { certificates } = only(exported([...nodeResources(target()), ...two]));
    assert.deepEqual(certificates, [harbor, custom]);
  });

  it("passes over what is only to be deleted still, and what is no node's", () => {
    const old = nodeResources(target({ name: "w0" })).map((each) => ({ ...each, delete: true }));
    const account = resource("command:local:Command", "pull-secret-default", {
      inputs: { environment: { TKC_REGISTRY_NAMESPACE: "default" } },
    });
    const bare = resource("command:local:Command", "mine", { inputs: { create: "true" } });
    const set = only(exported([...old, account, bare, ...nodeResources(target())]));
    assert.deepEqual(
      set.nodes.map(({ target: { name } }) => name),
      ["w1"],
    );
  });

  it("is the same with the command of the node that went first, which is no node's", () => {
    const resources = setResources("prod", ids[0]!, target());
    const canary = JSON.stringify({ node: "w1", uid: "uid-w1", nonce: "n" });
    const environment = { TKC_REGISTRY_ID: ids[0], TKC_REGISTRY_CANARY: canary };
    const stdout = "version=1\nreport=canary\nnode=w1\nuid=uid-w1\n";
    const command = resource("command:local:Command", "prod-canary", {
      inputs: { create: "…", environment },
      outputs: { environment, stdout },
    });
    assert.deepEqual(
      readDeployedStack(exported([...resources, command]), "dev"),
      readDeployedStack(exported(resources), "dev"),
    );
  });

  it("has no host key for a node of which nothing was recorded, or which was another one then", () => {
    const [, ca] = nodeResources(target());
    const recorded = (outputs: unknown) => only(exported([{ ...ca, outputs }])).nodes[0];
    assert.equal(recorded({})?.hostKey, undefined);
    assert.equal(recorded({ stdout: "" })?.hostKey, undefined);
    assert.equal(recorded({ stdout: caStdout(target({ uid: "another" })) })?.hostKey, undefined);
    assert.equal(recorded({ stdout: caStdout(target()) })?.hostKey, hostKey);
  });

  it("insists on the host key of the settings before that of the first contact", () => {
    const pin = `SHA256:${"B".repeat(43)}`;
    const { nodes } = only(exported(nodeResources(target({ hostKey: pin }))));
    assert.equal(nodes[0]?.hostKey, pin);
  });

  it("tells where pods pull as the stack's own: beside the Deployment, else where the secret is", () => {
    const pulls = (...more: unknown[]) => only(exported([...nodeResources(target()), ...more])).pulls;
    assert.deepEqual(pulls(), { namespace: "default", secret: undefined });
    assert.deepEqual(pulls(secret("a"), secret("web"), deployment), {
      namespace: "web",
      secret: "harbor-pull",
    });
    assert.deepEqual(pulls(secret("a"), deployment), { namespace: "web", secret: undefined });
    assert.deepEqual(pulls(secret("a"), secret("b")), { namespace: "a", secret: "harbor-pull" });
  });

  it("is refused where nothing is deployed, nothing of ours, or in no form that is known", () => {
    const read = (value: unknown) => () => readDeployedStack(value, "dev");
    const nothing = problem("stack-not-deployed", /stack dev: nothing is deployed/, /pulumi up/);
    assert.throws(read({ version: 3, deployment: { manifest: {} } }), nothing);
    assert.throws(read({ version: 3, deployment: null }), nothing);
    assert.throws(read(exported([])), nothing);
    assert.throws(
      read(exported([stackResource({})])),
      problem("stack-not-deployed", /holds no node of tkc-registry/),
    );
    assert.throws(read([]), problem("state-unreadable"));
    const [, ca] = nodeResources(target());
    const environment = { TKC_REGISTRY_NODE: "w1", TKC_REGISTRY_NODE_UID: encrypted };
    assert.throws(
      read(exported([{ ...ca, inputs: { environment } }])),
      problem("state-unreadable", /w1-ca: TKC_REGISTRY_NODE_UID/, /newer one/),
    );
    const other = nodeResources(target({ name: "w2", clusterContext: "elsewhere" }));
    assert.throws(read(exported([...nodeResources(target()), ...other])), problem("stack-mixed"));
  });
});

describe("the state of a stack with several sets of nodes", () => {
  const [first, second] = ids as [string, string];
  const elsewhere = target({ name: "x1", uid: "uid-x1", clusterContext: "lab" });
  const object = (kind: string, name: string, namespace: string, id?: string) => {
    const metadata = { name, namespace, ...(id === undefined ? {} : { labels: labels(id) }) };
    const type = kind === "Secret" ? "kubernetes:core/v1:Secret" : "kubernetes:apps/v1:Deployment";
    return resource(type, `${name}-${namespace}`, {
      inputs: { metadata },
      outputs: { kind, metadata: { ...metadata, uid: `uid-${name}-${namespace}` } },
    });
  };
  const runs = (name: string, id: string, image: unknown) =>
    resource("tkc-registry:index:RegistryDeployment", name, {
      inputs: { id, owner },
      outputs: { deploymentName: name, image },
    });

  it("gives each with its own nodes, objects, certificates and images, and what is somebody's own to none", () => {
    const image = "harbor.example:8443/ns1/web:1";
    const { sets, claim, unread } = readDeployedStack(
      exported([
        stackResource({ image: "of the program's own outputs", registries: "too" }),
        ...setResources("prod", first, target()),
        ...setResources("lab", second, elsewhere, {
          certificates: [custom],
          notAfter: "2028-01-01T00:00:00.000Z",
        }),
        object("Secret", "own", "mine"),
        object("Deployment", "own", "mine"),
        object("Secret", "pull", "web", first),
        object("Deployment", "web", "web", first),
        object("Secret", "pull", "apps", second),
        runs("web", first, image),
        runs("later", first, encrypted),
        runs("again", first, image),
      ]),
      "dev",
    );
    assert.deepEqual(
      sets.map(({ trust, identity, nodes, objects, certificates, facts, images, pulls }) => ({
        ...{ trust, id: identity.id, certificates, images, pulls },
        nodes: nodes.map((node) => node.target.name),
        objects: objects.map(({ uid }) => uid),
        expiry: [...facts.values()].map((known) => known.notAfter),
      })),
      [
        {
          ...{ trust: "lab", id: second, certificates: [custom], images: [] },
          ...{ pulls: { namespace: "apps", secret: "pull" }, nodes: ["x1"], objects: ["uid-pull-apps"] },
          expiry: ["2028-01-01T00:00:00.000Z"],
        },
        {
          ...{ trust: "prod", id: first, certificates: [harbor], images: [image] },
          ...{ pulls: { namespace: "web", secret: "pull" }, nodes: ["w1"] },
          objects: ["uid-pull-web", "uid-web-web"],
          expiry: [notAfter],
        },
      ],
    );
    assert.deepEqual([...claim.ids].sort(), [...ids].sort());
    assert.deepEqual(unread, []);
  });

  it("keeps two sets apart that one cluster has", () => {
    const { sets } = readDeployedStack(
      exported([
        ...setResources("a", first, target()),
        ...setResources("b", second, target(), { certificates: [custom] }),
      ]),
      "dev",
    );
    assert.deepEqual(
      sets.map(({ trust, nodes, certificates }) => [trust, nodes[0]!.stack.id, certificates]),
      [
        ["a", first, [harbor]],
        ["b", second, [custom]],
      ],
    );
  });

  it("reads the others where one was not deployed, or is reached by several contexts", () => {
    const moved = nodeResources(target({ name: "w2", uid: "uid-w2", clusterContext: "moved" }), {
      id: first,
    });
    const [, begun] = setResources("begun", "00000000-0000-4000-8000-000000000003", target());
    const { sets, unread, claim } = readDeployedStack(
      exported([
        ...setResources("a", first, target()),
        ...moved,
        ...setResources("b", second, elsewhere),
        begun,
      ]),
      "dev",
    );
    assert.deepEqual(
      sets.map(({ trust }) => trust),
      ["b"],
    );
    assert.deepEqual(
      unread.map(({ trust, problem: { code, subject } }) => [trust, code, subject]),
      [
        ["a", "stack-mixed", "stack dev, RegistryTrust a"],
        ["begun", "stack-not-deployed", "stack dev, RegistryTrust begun"],
      ],
    );
    assert.equal(claim.ids.size, 3);
  });

  it("has one set where the first run that makes ids was cut off, by the name that the program gives it", () => {
    const cluster = { supervisor: "ns1", namespace: "ns1", name: "tkc-cluster-1" };
    const [, identity] = setResources("trust", first, target());
    const sweep = resource("command:local:Command", "tkc-cluster-1-sweep", {
      inputs: { environment: { TKC_REGISTRY_OWNER: owner } },
    });
    const old = nodeResources(target({ cluster }));
    const done = nodeResources(target({ name: "w2", uid: "uid-w2", cluster }), { id: first });
    const set = only(exported([identity, sweep, ...old, ...done, secret("web")]));
    assert.deepEqual([set.trust, set.identity.id, set.former], ["trust", first, owner]);
    assert.deepEqual(
      set.nodes.map(({ target: { name }, former }) => [name, former]),
      [
        ["w1", owner],
        ["w2", undefined],
      ],
    );
    assert.deepEqual(set.pulls, { namespace: "web", secret: "harbor-pull" });
    // No node has the id yet.
    const { sets, unread } = readDeployedStack(exported([identity, sweep, ...old]), "dev");
    assert.deepEqual([sets.map(({ trust }) => trust), unread], [["tkc-cluster-1"], []]);
  });
});
