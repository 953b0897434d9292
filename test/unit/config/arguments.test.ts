import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { deploymentArguments, pullSecretArguments, trustArguments } from "../../../config/arguments";

const sha256 = "ab".repeat(32);
const credentials = { username: "robot$a+b", password: "hunter2-of-a-robot" };
const minimal = {
  cluster: { namespace: "ns1", name: "tkc-cluster-1" },
  registries: [{ host: "10.213.208.67", ca: { from: "harbor", sha256 } }],
};
const parse = (change: object = {}) =>
  trustArguments("RegistryTrust prod", { ...minimal, ...change }, "prod-jumpbox");

describe("the arguments of the components", () => {
  it("are two for the nodes' trust, and the rest is as in the settings, but for the jumpbox's name", () => {
    const settings = parse();
    const { namespace, cluster, supervisorContext, clusterContext, jumpbox, access } = settings;
    assert.deepEqual(
      { namespace, cluster, supervisorContext, clusterContext, jumpbox, access },
      {
        ...{
          namespace: "ns1",
          cluster: "tkc-cluster-1",
          supervisorContext: "ns1",
          clusterContext: "tkc-cluster-1",
        },
        ...{ jumpbox: { name: "prod-jumpbox", image: "ubuntu:latest", install: true }, access: "jumpbox" },
      },
    );
    assert.deepEqual(settings.registries[0]?.credentials, { from: "dockerConfig" });
    assert.deepEqual(parse({ jumpbox: { image: "u:1" } }).jumpbox, {
      name: "prod-jumpbox",
      image: "u:1",
      install: true,
    });
    assert.equal(parse({ jumpbox: { name: "mine" } }).jumpbox.name, "mine");
  });

  it("name a context of the cluster as they are given", () => {
    const settings = parse({ cluster: { ...minimal.cluster, supervisorContext: "s", context: "c" } });
    assert.deepEqual([settings.supervisorContext, settings.clusterContext], ["s", "c"]);
    const subjects = ["clusterContext", "namespace", "nodes.user", "registries[0]"].map(settings.subject);
    assert.deepEqual(
      subjects,
      ["cluster.context", "cluster.namespace", "nodes.user", "registries[0]"].map(
        (name) => `RegistryTrust prod: ${name}`,
      ),
    );
    assert.equal(settings.setting("clusterContext"), "cluster.context");
  });

  it("find a registry's password however its host is written", () => {
    for (const [host, canonical] of [
      ["Harbor.Example.com", "harbor.example.com"],
      ["127.0.0.1:5000", "127.0.0.1:5000"],
      ["[fd00::1]:5000", "[fd00::1]:5000"],
    ] as const) {
      const { registries, passwords } = parse({
        registries: [{ ...minimal.registries[0], host, credentials }],
      });
      assert.equal(registries[0]?.host, canonical);
      assert.deepEqual(registries[0].credentials, { from: "password", username: credentials.username });
      assert.deepEqual(passwords, { [canonical]: credentials.password });
    }
  });

  it("of a pull secret and a Deployment have names that need no section", () => {
    const secret = pullSecretArguments("PullSecret pull", { pullSecret: { name: "pull" } });
    assert.deepEqual(
      [secret.namespaces, secret.subject("namespaces")],
      [["default"], "PullSecret pull: namespaces"],
    );
    assert.deepEqual([secret.subject(""), secret.setting("name")], ["PullSecret pull", "name"]);
    const { registries } = parse();
    const image = "10.213.208.67/a/b:1";
    const deployment = deploymentArguments(
      "RegistryDeployment web",
      { deployment: { name: "web", app: "web", image } },
      { secret: false, pullSecret: "pull", registries },
    );
    assert.deepEqual(
      [deployment.image, deployment.pullSecret, deployment.subject("image")],
      [image, "pull", "RegistryDeployment web: image"],
    );
  });
});
