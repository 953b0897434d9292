import * as assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readDeployedStack } from "../../../state/exportedState";
import { problem } from "../../integration/net/server";
import {
  caStdout,
  encrypted,
  exported,
  harbor,
  hostKey,
  nodeResources,
  owner,
  registriesOutput,
  resource,
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
    assert.deepEqual(stack.identity, { owner, id: undefined });
    assert.deepEqual(
      stack.nodes.map(({ target: { name, address }, hostKey: key }) => [name, address, key]),
      [
        ["w1", "10.0.0.1", hostKey],
        ["w2", "10.0.0.1", hostKey],
      ],
    );
    assert.deepEqual(stack.certificates, [harbor]);
    assert.deepEqual(
      [...stack.facts],
      [[harbor.sha256, { subject: "CN=CA of harbor.example:8443", notAfter }]],
    );
    assert.equal(stack.image, image);
    assert.deepEqual(stack.pulls, { namespace: "web", secret: "harbor-pull" });
    assert.deepEqual(stack.warnings, []);
  });

  it("of an update that was cut off wants what that set out to do, and warns", () => {
    const stack = readDeployedStack(
      exported([stackResource({}), declared([harbor, custom]), ...nodeResources(target())], {
        pending_operations: [{ resource: {}, type: "updating" }],
      }),
      "dev",
    );
    assert.deepEqual(stack.certificates, [harbor, custom]);
    assert.equal(stack.facts.size, 0);
    assert.deepEqual(
      stack.warnings.map(({ code }) => code),
      ["pending-operations"],
    );
  });

  it("of a program that has no TrustedNodes wants what the nodes' commands say", () => {
    const two = nodeResources(target({ name: "w2", uid: "uid-w2" }), { certificates: [harbor, custom] });
    const { certificates } = readDeployedStack(exported([...nodeResources(target()), ...two]), "dev");
    assert.deepEqual(certificates, [harbor, custom]);
  });

  it("passes over what is only to be deleted still, and what is no node's", () => {
    const old = nodeResources(target({ name: "w0" })).map((each) => ({ ...each, delete: true }));
    const account = resource("command:local:Command", "pull-secret-default", {
      inputs: { environment: { TKC_REGISTRY_NAMESPACE: "default" } },
    });
    const bare = resource("command:local:Command", "mine", { inputs: { create: "true" } });
    const stack = readDeployedStack(exported([...old, account, bare, ...nodeResources(target())]), "dev");
    assert.deepEqual(
      stack.nodes.map(({ target: { name } }) => name),
      ["w1"],
    );
  });

  it("has no host key for a node of which nothing was recorded, or which was another one then", () => {
    const [, ca] = nodeResources(target());
    const recorded = (outputs: unknown) => readDeployedStack(exported([{ ...ca, outputs }]), "dev").nodes[0];
    assert.equal(recorded({})?.hostKey, undefined);
    assert.equal(recorded({ stdout: "" })?.hostKey, undefined);
    assert.equal(recorded({ stdout: caStdout(target({ uid: "another" })) })?.hostKey, undefined);
    assert.equal(recorded({ stdout: caStdout(target()) })?.hostKey, hostKey);
  });

  it("insists on the host key of the settings before that of the first contact", () => {
    const pin = `SHA256:${"B".repeat(43)}`;
    const { nodes } = readDeployedStack(exported(nodeResources(target({ hostKey: pin }))), "dev");
    assert.equal(nodes[0]?.hostKey, pin);
  });

  it("tells where pods pull as the stack's own: beside the Deployment, else where the secret is", () => {
    const pulls = (...more: unknown[]) =>
      readDeployedStack(exported([...nodeResources(target()), ...more]), "dev").pulls;
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
