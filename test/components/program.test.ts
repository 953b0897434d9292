import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { PullSecret } from "../../components/pullSecret";
import { RegistryDeployment } from "../../components/registryDeployment";
import { RegistryTrust } from "../../components/registryTrust";
import type { RegistryTrustArgs } from "../../components/registryTrustArgs";
import { formatReport } from "../../nodes/protocol/report";
import type { World } from "../integration/plan/world";
import {
  type Performed,
  type Resources,
  comesAfter,
  customNames,
  inClear,
  markedSecret,
  named,
  perform,
  waitsFor,
} from "./mocks";
import { startWorld, stdout, trustArgs } from "./world";

const id = "5d1b5d2e-0f0c-4d6f-9a3e-2f7c1b1f0a11";

describe("a program of the three components", () => {
  let world: World;
  before(async () => {
    world = await startWorld();
  });
  beforeEach(() => world.reset());
  after(() => world[Symbol.asyncDispose]());

  const args = (change?: Partial<RegistryTrustArgs>): RegistryTrustArgs => trustArgs(world, change);
  const image = (): string => `${world.registry.host}/ns1/nginx:1`;
  const performed = async (program: () => unknown, state: object = {}): Promise<Performed> => {
    const result = await perform(program, { outputs: stdout, state });
    assert.deepEqual(result.errors, []);
    return result;
  };
  const resources = async (program: () => unknown, state?: object): Promise<Resources> =>
    (await performed(program, state)).resources;
  /** A program as the README has it, with something else that needs the nodes. */
  const whole = (): void => {
    const trust = new RegistryTrust("prod", args());
    const pullSecret = new PullSecret("pull", { trust });
    new RegistryDeployment("web", { trust, pullSecret, image: image(), port: 8080 });
    new command.local.Command("other", { create: "other" }, { dependsOn: trust });
  };
  const nodeCommands = ["prod-w1-ca", "prod-w1-up", "prod-w2-ca", "prod-w2-up"];

  /** `parent > type name` of each resource. */
  const tree = (of: Resources): string[] =>
    [...of.values()]
      .map(({ parent, type, name }) => {
        const above = of.get(parent);
        const short = type.replace(/^tkc-registry:index:/, "").replace(/^.*[:/]/, "");
        return `${above ? above.type.replace("tkc-registry:index:", "") + " " + above.name + " > " : ""}${short} ${name}`;
      })
      .sort();

  it("changes nothing of the state of a program that leaves no node out, and tells the sweep of one that does", async () => {
    const made = async (
      nodes: RegistryTrustArgs["nodes"],
    ): Promise<{ excluded: unknown; all: Resources }> => {
      let excluded: unknown;
      const all = await resources(() => {
        const trust = new RegistryTrust("prod", args({ nodes: { inspect: false, ...nodes } }));
        trust.excludedNodes.apply((found) => (excluded = found));
      });
      return { excluded, all };
    };
    const none = await made({});
    assert.deepEqual(none.excluded, []);
    assert.doesNotMatch(JSON.stringify([...none.all.values()]), /SELECTIONS|-wave-/);
    const select = "!kubernetes.io/os";
    const { environment } = named((await made({ select })).all, "prod-sweep").inputs;
    const { TKC_REGISTRY_SELECTIONS: given } = environment as Record<string, string>;
    assert.deepEqual(JSON.parse(given!), [{ select }]);
  });

  it("declares each thing under the component that it is of, and the check of a destroy at the root", async () => {
    assert.deepEqual(
      tree(await resources(whole)),
      [
        "Command other",
        "RegistryTrust prod",
        "RegistryTrust prod > Command prod-plan",
        "RegistryTrust prod > Command prod-identity",
        "RegistryTrust prod > kubernetes prod-supervisor",
        "RegistryTrust prod > kubernetes prod-cluster",
        "RegistryTrust prod > Jumpbox prod-jumpbox",
        "Jumpbox prod-jumpbox > Pod prod-jumpbox",
        "RegistryTrust prod > TrustedNodes prod",
        "TrustedNodes prod > Command prod-sweep",
        "TrustedNodes prod > Command prod-canary",
        ...["w1", "w2"].flatMap((node) => [
          `TrustedNodes prod > TrustedNode prod-${node}`,
          `TrustedNode prod-${node} > Command prod-${node}-ca`,
          `TrustedNode prod-${node} > Command prod-${node}-up`,
        ]),
        "PullSecret pull",
        "PullSecret pull > Secret pull-default",
        "RegistryDeployment web",
        "RegistryDeployment web > Deployment web",
        "RemovalCheck prod-removal-check",
        "RemovalCheck prod-removal-check > Command prod-removal-check",
      ].sort(),
    );
  });

  /** A cluster has two, and so they may say more. */
  const isProvider = (type: string): boolean => type.startsWith("pulumi:providers:");

  it("tells the engine where the program declares a thing, and not where in this package another is declared", async () => {
    const made = await resources(whole);
    const told = [...made.values()].filter(({ files, type }) => files.length > 0 && !isProvider(type));
    assert.deepEqual(told.map(({ type, name }) => `${type.replace(/^.*:/, "")} ${name}`).sort(), [
      "Command other",
      "PullSecret pull",
      "RegistryDeployment web",
      "RegistryTrust prod",
    ]);
    for (const { files } of told) assert.match(files[0]!, /program\.test\.ts$/);
  });

  it("makes what needs the nodes after every one of them, and the check of a destroy after everything", async () => {
    const made = await resources(whole);
    for (const name of ["pull-default", "web", "other"]) {
      const before = comesAfter(made, name);
      for (const each of nodeCommands) assert.ok(before.includes(each), `${name} does not wait for ${each}`);
      assert.ok(!before.includes("prod-removal-check"), `${name} waits for the check of a destroy`);
    }
    assert.ok(waitsFor(made, "web").includes("pull-default"));
    assert.deepEqual(
      customNames(made).filter((name) => !comesAfter(made, "prod-removal-check").includes(name)),
      ["other", "prod-removal-check"], // what other components declare is not known to it
    );
    const waiting = [...made.values()].filter(({ name }) => name !== "prod-removal-check");
    for (const { name, dependencies } of waiting)
      assert.ok(!dependencies.some((urn) => urn.includes("removal-check")), name);
  });

  describe("with something to install", () => {
    const environmentOf = (of: Resources, name: string): Record<string, string | undefined> =>
      named(of, name).inputs["environment"] as Record<string, string>;
    const canaryOf = (of: Resources, name = "prod-canary"): unknown =>
      JSON.parse(environmentOf(of, name)["TKC_REGISTRY_CANARY"] ?? "null");
    const withDeployment = (change?: Partial<RegistryTrustArgs>) => (): void => {
      const trust = new RegistryTrust("prod", args(change));
      new RegistryDeployment("web", { trust, image: image() });
    };
    const hasCanary = (of: Resources): boolean => customNames(of).includes("prod-canary");
    /** The state that a run leaves, but for some of its commands. */
    const stateAfter = (made: Resources, without: readonly string[] = []): object => {
      const itsId = environmentOf(made, "prod-w1-ca")["TKC_REGISTRY_ID"];
      return Object.fromEntries(
        [...made.values()]
          .filter(({ name, type }) => type === commandType && !without.includes(name))
          .map(({ urn: of, type, name, inputs }) => {
            const printed = name === "prod-identity" ? { stdout: itsId } : stdout(type, inputs);
            return [of, { type, outputs: { ...inputs, ...printed } }];
          }),
      );
    };

    it("does one worker first, has it pull, and nothing else before", async () => {
      const { resources: made, logged } = await performed(withDeployment());
      assert.deepEqual(waitsFor(made, "prod-canary"), ["prod-identity", "prod-w1-up"]);
      for (const name of ["prod-w2-ca", "web", "prod-removal-check"])
        assert.ok(comesAfter(made, name).includes("prod-canary"), name);
      const { create, update, delete: remove, environment } = named(made, "prod-canary").inputs;
      assert.match(String(create), /client" canary pull$/);
      assert.deepEqual([update, remove], [undefined, undefined]);
      const { nonce, ...node } = canaryOf(made) as { nonce: string };
      assert.deepEqual(node, { node: "w1", uid: "uid-of-w1" });
      assert.match(nonce, /^[0-9a-f]{16}$/);
      assert.deepEqual(canaryOf(made, "prod-plan"), canaryOf(made));
      assert.deepEqual(Object.keys(environment as object).sort(), ["TKC_REGISTRY_CANARY", "TKC_REGISTRY_ID"]);
      const line = `w1 goes first: no other node is touched before it has pulled ${image()}`;
      assert.ok(logged.info.includes(line), logged.info.join("\n"));
    });

    it("is the same afterwards, where there is nothing to do, and nobody waits for the pull", async () => {
      const first = await resources(withDeployment());
      const { resources: again, logged } = await performed(withDeployment(), stateAfter(first));
      assert.deepEqual(named(again, "prod-plan").inputs, named(first, "prod-plan").inputs);
      const [recorded, declared] = [first, again].map((of) => environmentOf(of, "prod-canary"));
      assert.equal(declared!["TKC_REGISTRY_CANARY"], recorded!["TKC_REGISTRY_CANARY"]);
      assert.ok(!comesAfter(again, "prod-w2-ca").includes("prod-canary"));
      assert.ok(!logged.info.some((line) => line.includes("goes first")));
    });

    it("has none in a stack of an earlier release, where there is nothing to do", async () => {
      const first = await resources(withDeployment({ rollout: { canary: false } }));
      assert.ok(!hasCanary(first));
      assert.equal(environmentOf(first, "prod-plan")["TKC_REGISTRY_CANARY"], undefined);
      const again = await resources(withDeployment(), stateAfter(first));
      assert.ok(!hasCanary(again));
      assert.deepEqual(named(again, "prod-plan").inputs, named(first, "prod-plan").inputs);
    });

    it("tries the same node again after a pull that failed, also where nothing else is to be done", async () => {
      const first = await resources(withDeployment());
      const failed = stateAfter(first, ["prod-canary", "prod-w2-ca", "prod-w2-up"]);
      const again = await resources(withDeployment(), failed);
      const { node } = canaryOf(again) as { node: string };
      assert.equal(node, "w1");
      assert.ok(comesAfter(again, "prod-w2-ca").includes("prod-canary"));
      const alone = await resources(withDeployment(), stateAfter(first, ["prod-canary"]));
      assert.deepEqual(canaryOf(alone), canaryOf(first));
      assert.deepEqual(named(alone, "prod-plan").inputs, named(first, "prod-plan").inputs);
      assert.ok(comesAfter(alone, "web").includes("prod-canary"));
      const joined = stateAfter(first, ["prod-w2-ca", "prod-w2-up"]); // it had pulled
      assert.equal((canaryOf(await resources(withDeployment(), joined)) as { node: string }).node, "w2");
    });

    it("pulls the image of the arguments in place of the Deployments', and is left out where it is told so", async () => {
      const other = `${world.registry.host}/ns1/canary:1`;
      const rollout = { canary: { image: pulumi.output(other) } };
      const { resources: made, logged } = await performed(() => new RegistryTrust("prod", args({ rollout })));
      assert.ok(hasCanary(made));
      assert.ok(logged.info.some((line) => line.endsWith(`has pulled ${other}`)));
      const off = await resources(withDeployment({ rollout: { canary: false } }));
      assert.ok(!hasCanary(off));
      assert.ok(!comesAfter(off, "prod-w2-ca").includes("prod-w1-ca"));
    });

    it("does one node first and says that there was nothing to pull, where it knows no image", async () => {
      const { resources: made, logged } = await performed(() => new RegistryTrust("prod", args()));
      assert.ok(!hasCanary(made));
      assert.ok(comesAfter(made, "prod-w2-ca").includes("prod-w1-up"));
      const [line] = logged.info.filter((each) => each.startsWith("w1 goes first"));
      assert.match(line!, /^w1 goes first, and pulls nothing: .*`rollout\.canary\.image`/);
    });

    it("is refused before anything is made where the pull could not be, and not where there is none to make", async () => {
      world.forbidden = ["delete pods"];
      const direct = { access: "direct" } as const;
      const { errors, resources: made } = await perform(withDeployment(direct), { outputs: stdout });
      assert.equal(errors.length, 1, errors.map(String).join("\n"));
      assert.match(
        String(errors[0]),
        /may not delete pods in namespace default.*`rollout\.canary: false` \[canary-rights\]/,
      );
      assert.deepEqual(customNames(made), []);
      const first = await resources(withDeployment({ ...direct, rollout: { canary: false } }));
      await resources(withDeployment(direct), stateAfter(first));
    });
  });

  it("makes the pods that its arguments describe, by the pull secret's name", async () => {
    const made = await resources(whole);
    const { spec, metadata } = named(made, "web").inputs as {
      metadata: { name: string; namespace: string };
      spec: {
        template: { spec: { imagePullSecrets: object[]; containers: object[]; securityContext: object } };
      };
    };
    assert.deepEqual([metadata.name, metadata.namespace], ["web", "default"]);
    const { containers, imagePullSecrets, securityContext } = spec.template.spec;
    assert.deepEqual(imagePullSecrets, [{ name: "pull" }]);
    assert.equal((securityContext as { runAsNonRoot: boolean }).runAsNonRoot, true);
    const [container] = containers as [{ name: string; image: string; ports: object[] }];
    assert.deepEqual([container.name, container.image], ["web", image()]);
    assert.match(JSON.stringify(container.ports), /"containerPort":8080/);
    assert.equal((named(made, "prod-jumpbox").inputs["metadata"] as { name: string }).name, "prod-jumpbox");
  });

  it("tells what it made", async () => {
    const valueOf = <T>(output: pulumi.Output<T>): Promise<T> =>
      new Promise((resolve) => output.apply((value) => resolve(value)));
    let told: unknown;
    await performed(async () => {
      const trust = new RegistryTrust("prod", args());
      const pull = new PullSecret("pull", { trust, name: "theirs" });
      const web = new RegistryDeployment("web", { trust, image: image() });
      const [nodes, registries] = [await valueOf(trust.nodes), await valueOf(trust.registries)];
      told = {
        nodes: nodes.map(({ name, trustStore }) => [name, trustStore]),
        registries: registries.map(({ host, certificates }) => [
          host,
          certificates.map((each) => each.sha256),
        ]),
        others: await Promise.all(
          [trust.jumpbox, pull.secretName, web.deploymentName, web.image].map((output) =>
            valueOf<string | null>(output),
          ),
        ),
      };
      assert.match(await valueOf(trust.id), /^[0-9a-f-]{36}$/);
    });
    assert.deepEqual(told, {
      nodes: [
        ["w1", "photon"],
        ["w2", "photon"],
      ],
      registries: [[world.registry.host, [world.ca.sha256]]],
      others: ["prod-jumpbox", "theirs", "web", image()],
    });
  });

  it("has no jumpbox where nodes are reached without", async () => {
    const made = await resources(() => new RegistryTrust("prod", args({ access: "direct" })));
    assert.deepEqual(
      customNames(made).filter((name) => /jumpbox|supervisor|cluster/.test(name)),
      [],
    );
  });

  it("plans what it declares later by itself", async () => {
    const late = async (): Promise<void> => {
      const trust = new RegistryTrust("prod", args());
      await new Promise((resolve) => trust.nodes.apply(resolve));
      const pullSecret = new PullSecret("pull", { trust });
      new RegistryDeployment("web", { trust, pullSecret, image: image() });
    };
    const made = await resources(late);
    for (const name of ["pull-default", "web"])
      for (const each of nodeCommands) assert.ok(comesAfter(made, name).includes(each), name);
    assert.ok(waitsFor(made, "web").includes("pull-default"));
    assert.ok(!comesAfter(made, "prod-removal-check").includes("web"));
    world.imageStatus = 404;
    const { errors, resources: others } = await perform(late, { outputs: stdout });
    assert.equal(errors.length, 1);
    assert.ok(pulumi.RunError.isInstance(errors[0]));
    assert.match(errors[0].message, /RegistryDeployment web: image: .*\[image-not-found\]/s);
    assert.ok(customNames(others).includes("pull-default"));
    assert.ok(!customNames(others).includes("web"));
  });

  it("waits for a plan that is refused, and then declares nothing, and says so once", async () => {
    world.imageStatus = 404;
    world.ofSupervisor["GET /api/v1/namespaces/ns1/secrets/tkc-cluster-1-ssh"] = undefined;
    const { errors, resources: made, logged } = await perform(whole, { outputs: stdout });
    assert.equal(errors.length, 1, errors.map(String).join("\n---\n"));
    const [error] = errors;
    assert.ok(pulumi.RunError.isInstance(error), String(error));
    assert.match(error.message, /^2 problems were found:/);
    assert.match(error.message, /\[image-not-found\]/);
    assert.match(error.message, /\[ssh-secret-missing\]/);
    assert.equal(error.stack, undefined);
    assert.deepEqual(tree(made), []);
    assert.deepEqual(logged, { info: [], warn: [] });
  });

  it("declares nothing where its commands will not find the package, and says so once", async () => {
    const { errors, resources: made } = await perform(whole, { outputs: stdout, run: undefined });
    assert.equal(errors.length, 1, errors.map(String).join("\n---\n"));
    assert.match((errors[0] as Error).message, /\[package-not-found\]$/);
    assert.deepEqual(customNames(made), []);
  });

  describe("for two clusters whose nodes have the same names", () => {
    const second = { namespace: "ns1", name: "tkc-cluster-2" };
    beforeEach(() => {
      world.addCluster("tkc-cluster-2", "uid-of-cluster-2");
      world.kubeconfig({ contexts: ["ns1", "tkc-cluster-1", "tkc-cluster-2"] });
    });
    const both = (): void => {
      for (const [name, cluster] of [
        ["a", args().cluster],
        ["b", second],
      ] as const) {
        const trust = new RegistryTrust(name, args({ cluster }));
        const pullSecret = new PullSecret(`pull-${name}`, { trust });
        new RegistryDeployment(`web-${name}`, { trust, pullSecret, image: image() });
      }
    };

    it("gives each its own names, pod, providers and id", async () => {
      const made = await resources(both);
      const names = customNames(made);
      assert.equal(new Set(names).size, names.length);
      for (const name of ["a", "b"]) {
        assert.equal(
          (named(made, `${name}-jumpbox`).inputs["metadata"] as { name: string }).name,
          `${name}-jumpbox`,
        );
        assert.match(named(made, `web-${name}`).provider, new RegExp(`::${name}-cluster::`));
        assert.match(named(made, `pull-${name}-default`).provider, new RegExp(`::${name}-cluster::`));
        assert.match(named(made, `${name}-jumpbox`).provider, new RegExp(`::${name}-supervisor::`));
        // Neither waits for the other.
        const other = name === "a" ? "b" : "a";
        assert.deepEqual(
          comesAfter(made, `${name}-removal-check`).filter((each) =>
            new RegExp(`^${other}-|-${other}(-|$)`).test(each),
          ),
          [],
        );
      }
      const contexts = ["a", "b"].map((name) => named(made, `${name}-cluster`).inputs["context"]);
      assert.deepEqual(contexts, ["tkc-cluster-1", "tkc-cluster-2"]);
      const ids = ["a", "b"].map(
        (name) =>
          (named(made, `${name}-w1-ca`).inputs["environment"] as Record<string, string>)["TKC_REGISTRY_ID"],
      );
      assert.equal(new Set(ids).size, 2);
    });

    it("takes the state of one not for the other's", async () => {
      const nonces = (of: Resources): unknown[] =>
        ["a", "b"].map(
          (name) =>
            (named(of, `${name}-w1-ca`).inputs["environment"] as Record<string, string>)[
              "TKC_REGISTRY_NONCE"
            ],
        );
      const other = "00000000-0000-4000-8000-000000000001";
      const state = { ...stateOf("a", id, "nonce-of-a"), ...stateOf("b", other, "nonce-of-b") };
      assert.deepEqual(nonces(await resources(both, state)), ["nonce-of-a", "nonce-of-b"]);
      const [known, fresh] = nonces(await resources(both, stateOf("a", id, "nonce-of-a")));
      assert.equal(known, "nonce-of-a");
      assert.notEqual(fresh, "nonce-of-a");
    });
  });

  it("finds the nodes of one that had another name, by its alias", async () => {
    const nonce = async (opts?: pulumi.ComponentResourceOptions): Promise<string | undefined> => {
      const made = await resources(
        () => new RegistryTrust("new", args(), opts),
        stateOf("old", id, "nonce-of-old"),
      );
      return (named(made, "new-w1-ca").inputs["environment"] as Record<string, string>)["TKC_REGISTRY_NONCE"];
    };
    assert.notEqual(await nonce(), "nonce-of-old");
    assert.equal(await nonce({ aliases: [{ name: "old" }] }), "nonce-of-old");
    const urn = "urn:pulumi:test::tkc-registry::tkc-registry:index:RegistryTrust::old";
    assert.equal(await nonce({ aliases: [urn] }), "nonce-of-old");
  });

  describe("that is this project's own", () => {
    const own = (): void => {
      const { trust: settings, pullSecrets, deployments } = world.settings({ nodes: { inspect: false } });
      const trust = new RegistryTrust("trust", { settings });
      const [pullSecret] = pullSecrets.map(
        (each) => new PullSecret("pull-secret", { trust, settings: each }),
      );
      for (const each of deployments)
        new RegistryDeployment("deployment", { trust, pullSecret, settings: each });
    };
    const former = (of: Resources, role: string): unknown =>
      (named(of, role).inputs["environment"] as Record<string, string>)["TKC_REGISTRY_FORMER_OWNER"];

    it("has what earlier releases had at the root, which the library never had", async () => {
      const made = await resources(own);
      const earlier = (of: Resources): object =>
        Object.fromEntries(
          [...of.values()].flatMap(({ name, type, aliases }) => {
            const atRoot = aliases.filter((alias) => alias.atRoot).map((alias) => alias.name);
            return atRoot.length === 0 ? [] : [[`${type.replace(/^.*:/, "")} ${name}`, atRoot]];
          }),
        );
      assert.deepEqual(earlier(made), {
        "Command trust-identity": ["tkc-cluster-1-identity"],
        "kubernetes trust-supervisor": ["supervisor"],
        "kubernetes trust-cluster": ["cluster"],
        "Jumpbox trust-jumpbox": ["jumpbox"],
        "TrustedNodes trust": ["tkc-cluster-1"],
        "RemovalCheck trust-removal-check": ["removal-check"],
      });
      assert.deepEqual(earlier(await resources(whole)), {});
      // At the root already, under these names.
      assert.deepEqual(
        ["PullSecret pull-secret", "RegistryDeployment deployment"].filter(
          (line) => !tree(made).includes(line),
        ),
        [],
      );
    });

    it("finds the nodes of those releases, which named them after the cluster", async () => {
      const old = { TKC_REGISTRY_OWNER: "p.old" };
      const sweep = { [urn("tkc-cluster-1-sweep")]: { type: commandType, outputs: { environment: old } } };
      assert.equal(former(await resources(own, sweep), "trust-sweep"), "p.old");
      assert.equal(former(await resources(whole, sweep), "prod-sweep"), undefined);
    });
  });

  it("keeps what the pull secret and the environment have as secrets, wherever they are recorded", async () => {
    const { resources: made } = await performed(() => {
      const trust = new RegistryTrust("prod", args());
      new PullSecret("pull", { trust });
      const env = { TOKEN: pulumi.secret("hunter2-token"), PLAIN: "beside-a-secret" };
      new RegistryDeployment("web", { trust, image: image(), env });
      new RegistryDeployment("plain", { trust, image: image(), env: { PLAIN: "in-clear" } });
    });
    assert.ok(markedSecret(named(made, "pull-default").inputs["data"]));
    assert.equal(named(made, "pull-default").inputs["type"], "kubernetes.io/dockerconfigjson");
    assert.deepEqual(inClear(made, "hunter2-token"), []);
    assert.deepEqual(inClear(made, "beside-a-secret"), []);
    assert.deepEqual(inClear(made, "in-clear").sort(), [
      "kubernetes:apps/v1:Deployment",
      "tkc-registry:index:RegistryDeployment",
    ]);
    const shown = named(made, "pull", "PullSecret").inputs;
    assert.deepEqual(shown["namespaces"], ["default"]);
    assert.deepEqual(Object.keys(shown).sort(), [
      ...["clusterContext", "defaultServiceAccount", "deleteAdopted", "name", "namespaces", "owner"],
    ]);
  });

  it("changes the default ServiceAccount only where that was asked for, when the Secret is there", async () => {
    const account = async (defaultServiceAccount?: boolean): Promise<Resources> =>
      await resources(() => {
        const trust = new RegistryTrust("prod", args());
        new PullSecret("pull", { trust, ...(defaultServiceAccount ? { defaultServiceAccount } : {}) });
      });
    assert.deepEqual(
      customNames(await account()).filter((name) => name.startsWith("pull")),
      ["pull-default"],
    );
    const made = await account(true);
    assert.deepEqual(waitsFor(made, "pull-default-default"), ["pull-default"]);
    const { environment } = named(made, "pull-default-default").inputs;
    // No program runs at its delete: what proves the cluster travels with it.
    assert.match(JSON.stringify(environment), /"TKC_REGISTRY_CLUSTER":"{.*uid-of-kube-system/);
  });

  it("lets adopted objects outlive the stack unless told otherwise, and its own not", async () => {
    const auths = Buffer.from('{"auths":{}}').toString("base64");
    const retained = async (there: boolean, deleteAdopted: boolean): Promise<boolean> => {
      world.ofCluster["GET /api/v1/namespaces/default/secrets/pull"] = there
        ? {
            body: {
              type: "kubernetes.io/dockerconfigjson",
              metadata: {},
              data: { ".dockerconfigjson": auths },
            },
          }
        : undefined;
      const made = await resources(() => {
        const trust = new RegistryTrust("prod", args());
        new PullSecret("pull", { trust, adopt: true, deleteAdopted });
      });
      return named(made, "pull-default").retainOnDelete;
    };
    assert.equal(await retained(true, false), true);
    assert.equal(await retained(true, true), false);
    assert.equal(await retained(false, false), false);
  });
});

const commandType = "command:local:Command";
const urn = (name: string): string => `urn:pulumi:test::tkc-registry::${commandType}::${name}`;

/** The state of a set of nodes that has w1. */
function stateOf(name: string, itsId: string, nonce: string): object {
  const report = formatReport({
    ...{ version: "1", report: "ca", node: "w1", uid: "uid-of-w1", os: "photon", nonce: "n" },
    ...{ hostKey: `SHA256:${"A".repeat(43)}`, sha256: [], alsoTrustedBy: [] },
  });
  const environment = { TKC_REGISTRY_ID: itsId, TKC_REGISTRY_NONCE: nonce };
  return {
    [urn(`${name}-identity`)]: { type: commandType, outputs: { stdout: itsId } },
    [urn(`${name}-w1-ca`)]: { type: commandType, outputs: { stdout: report.trimEnd(), environment } },
  };
}
