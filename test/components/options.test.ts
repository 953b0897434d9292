import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import * as command from "@pulumi/command";
import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { PullSecret } from "../../components/pullSecret";
import { RegistryDeployment } from "../../components/registryDeployment";
import { RegistryTrust } from "../../components/registryTrust";
import type { World } from "../integration/plan/world";
import { type Registered, type Resources, comesAfter, customNames, named, perform } from "./mocks";
import { startWorld, stdout, trustArgs } from "./world";

class Group extends pulumi.ComponentResource {
  constructor(name: string, opts?: pulumi.ComponentResourceOptions) {
    super("test:index:Group", name, {}, opts);
    this.registerOutputs({});
  }
}

/** Options for each of the three components. */
interface Options {
  readonly trust?: pulumi.ComponentResourceOptions;
  readonly pullSecret?: pulumi.ComponentResourceOptions;
  readonly deployment?: pulumi.ComponentResourceOptions;
}

describe("the options of the components", () => {
  let world: World;
  before(async () => {
    world = await startWorld();
  });
  beforeEach(() => world.reset());
  after(() => world[Symbol.asyncDispose]());

  /** @param given - Makes the options, in the program. */
  const declared = async (given: () => Options): Promise<Resources> => {
    const { resources, errors } = await perform(
      () => {
        const opts = given();
        const trust = new RegistryTrust("prod", trustArgs(world), opts.trust);
        const pullSecret = new PullSecret("pull", { trust }, opts.pullSecret);
        const image = `${world.registry.host}/ns1/nginx:1`;
        new RegistryDeployment("web", { trust, pullSecret, image }, opts.deployment);
      },
      { outputs: stdout },
    );
    assert.deepEqual(errors, []);
    return resources;
  };
  const names = (of: Resources, which: (each: Registered) => boolean): string[] =>
    customNames(new Map([...of].filter(([, each]) => which(each)))).sort();
  const parentOf = (of: Resources, name: string, type: string): string | undefined =>
    of.get(named(of, name, type).parent)?.name;
  const ofTrust = [
    ...[
      "prod-canary",
      "prod-cluster",
      "prod-identity",
      "prod-jumpbox",
      "prod-plan",
      "prod-removal-check",
      "prod-supervisor",
      "prod-sweep",
    ],
    ...["prod-w1-ca", "prod-w1-containerd", "prod-w2-ca", "prod-w2-containerd"],
  ];

  it("put them under a parent, but not the check of a destroy", async () => {
    const made = await declared(() => {
      const parent = new Group("platform");
      return { trust: { parent }, pullSecret: { parent }, deployment: { parent: new Group("team") } };
    });
    for (const [name, type, parent] of [
      ["prod", "RegistryTrust", "platform"],
      ["prod-removal-check", "RemovalCheck", undefined],
      ["pull", "PullSecret", "platform"],
      ["web", "RegistryDeployment", "team"],
    ] as const)
      assert.equal(parentOf(made, name, type), parent);
  });

  it("let the others wait for the component that has the nodes", async () => {
    const made = await declared(() => {
      const platform = new Group("platform");
      return {
        trust: { parent: platform },
        pullSecret: { dependsOn: platform },
        deployment: { dependsOn: [platform] },
      };
    });
    for (const name of ["pull-default", "web"])
      assert.ok(comesAfter(made, name).includes("prod-w2-containerd"), name);
    assert.ok(comesAfter(made, "prod-removal-check").includes("web"));
  });

  it("let all that they make wait for something else", async () => {
    const made = await declared(() => {
      const [first, second] = ["first", "second"].map(
        (name) => new command.local.Command(name, { create: name }),
      );
      return { trust: { dependsOn: first! }, pullSecret: { dependsOn: [second!] } };
    });
    for (const name of ofTrust) assert.ok(comesAfter(made, name).includes("first"), name);
    assert.ok(comesAfter(made, "pull-default").includes("second"));
    assert.ok(!comesAfter(made, "prod-sweep").includes("second"));
    assert.ok(comesAfter(made, "prod-removal-check").includes("second"));
  });

  it("protect what they make", async () => {
    const made = await declared(() => ({ trust: { protect: true }, deployment: { protect: true } }));
    assert.deepEqual(
      names(made, (each) => each.protect),
      [...ofTrust, "web"],
    );
  });

  it("let what they make outlive the stack", async () => {
    const made = await declared(() => ({
      trust: { retainOnDelete: true },
      pullSecret: { retainOnDelete: true },
    }));
    // The engine lets a resource inherit this from its parent.
    const retained = (each: Registered): boolean => {
      const parent = made.get(each.parent);
      return each.retainOnDelete || (parent !== undefined && retained(parent));
    };
    assert.deepEqual(names(made, retained), [...ofTrust, "pull-default"].sort());
  });

  it("transform what they make", async () => {
    const seen = new Set<string>();
    const transformation: pulumi.ResourceTransformation = ({ name, type, props, opts }) => {
      seen.add(name);
      return type === "kubernetes:core/v1:Pod" || type === "kubernetes:core/v1:Secret"
        ? { props: { ...(props as object), metadata: { name: "renamed" } }, opts }
        : undefined;
    };
    const transformations = [transformation];
    const made = await declared(() => ({ trust: { transformations }, pullSecret: { transformations } }));
    for (const name of [...ofTrust, "pull-default"]) assert.ok(seen.has(name), name);
    assert.ok(!seen.has("web"));
    for (const name of ["prod-jumpbox", "pull-default"])
      assert.deepEqual(named(made, name).inputs["metadata"], { name: "renamed" });
  });

  it("leave the jumpbox to the Supervisor's provider where only a parent gives one", async () => {
    const made = await declared(() => {
      const cluster = new k8s.Provider("theirs", { context: "tkc-cluster-1" });
      return { trust: { parent: new Group("platform", { providers: [cluster] }) } };
    });
    assert.match(named(made, "prod-jumpbox").provider, /::prod-supervisor::/);
  });

  it("give a provider, directly or by a parent: then no other is made", async () => {
    const made = await declared(() => {
      const supervisor = new k8s.Provider("supervisor", { context: "ns1" });
      const cluster = new k8s.Provider("theirs", { context: "tkc-cluster-1" });
      const local = new command.Provider("local");
      return {
        trust: { providers: [supervisor], parent: new Group("platform", { providers: [local, cluster] }) },
        pullSecret: { parent: new Group("team", { providers: [cluster] }) },
        deployment: { provider: cluster },
      };
    });
    const providerOf = (name: string): string | undefined =>
      /::([^:]+)::[^:]+$/.exec(named(made, name).provider)?.[1];
    assert.deepEqual(["prod-jumpbox", "pull-default", "web"].map(providerOf), [
      "supervisor",
      "theirs",
      "theirs",
    ]);
    const commands = [...made.values()].filter(({ type }) => type === "command:local:Command");
    for (const { name } of commands) assert.equal(providerOf(name), "local", name);
    assert.deepEqual(
      names(made, ({ type }) => type.startsWith("pulumi:providers:")),
      ["local", "supervisor", "theirs"],
    );
  });

  it("make one provider of the cluster for all that have none", async () => {
    const made = await declared(() => ({}));
    assert.deepEqual(
      names(made, ({ type }) => type.startsWith("pulumi:providers:")),
      ["prod-cluster", "prod-supervisor"],
    );
    for (const [name, context] of [
      ["prod-cluster", "tkc-cluster-1"],
      ["prod-supervisor", "ns1"],
    ] as const) {
      const { inputs } = named(made, name);
      assert.deepEqual([inputs["context"], inputs["kubeconfig"]], [context, undefined]);
    }
  });

  it("tell the check of a destroy its earlier names too, as it is not among the children", async () => {
    const check = async (alias: pulumi.Alias | string): Promise<Registered["aliases"]> =>
      named(await declared(() => ({ trust: { aliases: [alias] } })), "prod-removal-check", "RemovalCheck")
        .aliases;
    assert.deepEqual(await check({ name: "old" }), [{ name: "old-removal-check", atRoot: false }]);
    const urn = "urn:pulumi:s::p::test:index:Group$tkc-registry:index:RegistryTrust::old";
    assert.deepEqual(await check(urn), [{ name: "old-removal-check", atRoot: false }]);
    assert.deepEqual(await check({ parent: pulumi.rootStackResource }), []);
  });
});
