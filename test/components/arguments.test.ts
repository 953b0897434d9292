import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { PullSecret, type PullSecretArgs } from "../../components/pullSecret";
import { RegistryDeployment, type RegistryDeploymentArgs } from "../../components/registryDeployment";
import { RegistryTrust } from "../../components/registryTrust";
import type { CredentialsArgs, RegistryTrustArgs } from "../../components/registryTrustArgs";
import { type World, login } from "../integration/plan/world";
import { type Performed, comesAfter, customNames, inClear, named, perform } from "./mocks";
import { startWorld, stdout, trustArgs } from "./world";

describe("the arguments of the components", () => {
  let world: World;
  before(async () => {
    world = await startWorld();
  });
  beforeEach(() => world.reset());
  after(() => world[Symbol.asyncDispose]());

  const image = (): string => `${world.registry.host}/ns1/nginx:1`;
  interface Arguments {
    readonly trust?: unknown;
    readonly pullSecret?: unknown;
    readonly deployment?: unknown;
  }
  /** A program of all three, with arguments that TypeScript may not have seen. */
  const program =
    ({ trust: change, pullSecret: secret, deployment }: Arguments) =>
    (): void => {
      const trust = new RegistryTrust("prod", trustArgs(world, change as Partial<RegistryTrustArgs>));
      const pullSecret = new PullSecret("pull", { trust, ...(secret as Omit<PullSecretArgs, "trust">) });
      const own = deployment as Partial<RegistryDeploymentArgs>;
      new RegistryDeployment("web", { trust, pullSecret, image: image(), ...own });
    };
  /** The message with which a program ends that is refused once and has declared nothing. */
  const refusal = ({ resources, errors, logged }: Performed): string => {
    assert.equal(errors.length, 1, errors.map(String).join("\n---\n"));
    const [error] = errors;
    assert.ok(pulumi.RunError.isInstance(error), String(error));
    assert.equal(error.stack, undefined);
    assert.deepEqual(customNames(resources), []);
    assert.deepEqual(logged.warn, []);
    return error.message;
  };
  const refused = async (given: Arguments): Promise<string> =>
    refusal(await perform(program(given), { outputs: stdout }));
  const registry = (change: object): object => ({
    ...{ host: world.registry.host, kind: "generic", ca: { from: "inline", pem: world.ca.cert } },
    ...change,
  });

  it("are refused where they are wrong, by the component's name and their own, without a secret", async () => {
    const password = "hunter2-in-arguments";
    const table: [given: Arguments, told: RegExp][] = [
      [
        { trust: { registries: [registry({ ca: { from: "chain", sha256: "AB" } })] } },
        /^RegistryTrust prod: registries\[0\]\.ca\.sha256: "AB" has 2 hexadecimal digits instead of 64\. .*\[bad-setting\]$/,
      ],
      [
        { trust: { registries: [registry({ ca: { from: "chain" } })] } },
        /^RegistryTrust prod: registries\[0\]\.ca\.sha256: it is missing\. .*trustOnFirstUse.*\[missing-setting\]$/,
      ],
      [
        { trust: { cluster: { namespace: "ns1", name: "No Name" } } },
        /^RegistryTrust prod: cluster\.name: it is "No Name"\. .*\[bad-setting\]$/,
      ],
      [
        { trust: { cluster: { namespace: "ns1" } } },
        /^RegistryTrust prod: cluster\.name: it is missing\. .*\[missing-setting\]$/,
      ],
      [
        { trust: { cluster: { namespace: "ns1", name: "c", context: "ns1" } } },
        /^RegistryTrust prod: cluster\.context: it is ns1, and so is the Supervisor's/,
      ],
      [
        { trust: { registries: [registry({ credentials: { username: "u", password: "" } })] } },
        /^RegistryTrust prod: registries\[0\]\.credentials\.password: its value is not of the right shape\. .*\[bad-setting\]$/,
      ],
      [
        {
          trust: {
            registries: [
              registry({}),
              registry({ host: "h.example", credentials: { username: "u", password: 5 } }),
            ],
          },
        },
        /^RegistryTrust prod: registries\[1\]\.credentials\.password: its value is not of the right shape\. /,
      ],
      [
        { trust: { registries: [registry({ credentials: { username: `u:${password}`, password } })] } },
        /^RegistryTrust prod: registries\[0\]\.credentials\.username: its value is not of the right shape\. .*no colon/,
      ],
      [
        { trust: { registries: [registry({ credentials: { username: "u", password, pass: password } })] } },
        /^RegistryTrust prod: registries\[0\]\.credentials\.pass: there is no such setting\. .*\[unknown-setting\]$/,
      ],
      [
        { trust: { cluster: undefined } },
        /^2 problems .*RegistryTrust prod: cluster\.name: it is missing\n/s,
      ],
      [
        { trust: { cluster: { namespace: "ns1", name: "c", nmae: "c" } } },
        /^RegistryTrust prod: cluster\.nmae: there is no such setting\. .*namespace, name, supervisorContext, context \[unknown-setting\]$/,
      ],
      [
        { trust: { registries: undefined } },
        /^RegistryTrust prod: registries: it is missing\. Give a list of reg/,
      ],
      [{ trust: { registries: [null] } }, /^RegistryTrust prod: registries\[0\]: /],
      [{ trust: { constructor: 1 } }, /^RegistryTrust prod: constructor: there is no such setting\. /],
      [{ trust: { jumpbox: { name: "A" } } }, /^RegistryTrust prod: jumpbox\.name: it is "A"\. /],
      [
        { trust: { acess: "direct" } },
        /^RegistryTrust prod: acess: there is no such setting\. Write `access`/,
      ],
      [
        { deployment: { image: "elsewhere.example/a/b:1" } },
        /^RegistryDeployment web: image: its registry, elsewhere\.example, is none of the stack's\. .*\[bad-setting\]$/,
      ],
      [{ deployment: { image: "" } }, /^RegistryDeployment web: image: it is ""\. /],
      [{ deployment: { port: 0 } }, /^RegistryDeployment web: port: it is 0\. /],
      [
        { deployment: { env: { A: { nested: password } } } },
        /^RegistryDeployment web: env\.A: its value is not of the right shape\. /,
      ],
      [{ pullSecret: { namespaces: ["a", "B"] } }, /^PullSecret pull: namespaces\[1\]: it is "B"\. /],
      [{ pullSecret: { namespaces: ["a", "a"] } }, /^PullSecret pull: namespaces\[1\]: a is named twice\. /],
      [{ pullSecret: { namespaces: [] } }, /^PullSecret pull: namespaces: it is a list\. Give at least one/],
    ];
    for (const [given, told] of table) {
      const message = await refused(given);
      assert.match(message, told);
      assert.ok(!message.includes(password), message);
    }
  });

  it("are refused with all that is wrong in one go", async () => {
    const message = await refused({
      trust: { trust: "sistem", nodes: { workersAtOnce: 0 } },
      pullSecret: { namespaces: ["A"] },
    });
    assert.match(message, /^3 problems were found:\n/);
    for (const subject of ["RegistryTrust prod: trust", "RegistryTrust prod: nodes.workersAtOnce"])
      assert.ok(message.includes(`${subject}: `), message);
    assert.match(message, /PullSecret pull: namespaces\[0\]: it is "A"/);
    const others = await refused({ pullSecret: { namespaces: ["A"] }, deployment: { replicas: -1 } });
    assert.match(others, /^2 problems were found:\n/);
    assert.match(others, /PullSecret pull: namespaces\[0\]/);
    assert.match(others, /RegistryDeployment web: replicas/);
  });

  it("say of all three components what is wrong in one go", async () => {
    const message = await refused({
      trust: { trust: "sistem" },
      pullSecret: { namespaces: ["A"] },
      deployment: { replicas: -1 },
    });
    for (const subject of [
      "RegistryTrust prod: trust",
      "PullSecret pull: namespaces[0]",
      "RegistryDeployment web: replicas",
    ])
      assert.ok(message.includes(`${subject}: `), message);
    assert.match(message, /^3 problems were found:\n/);
  });

  it("name no object twice: whichever component went would take it away from the other", async () => {
    const twice = (): void => {
      const trust = new RegistryTrust("prod", trustArgs(world));
      new PullSecret("pull", { trust, namespaces: ["default", "web"] });
      new PullSecret("other", { trust, name: "pull", namespaces: ["web"] });
    };
    const message = refusal(await perform(twice, { outputs: stdout }));
    assert.match(message, /^PullSecret other: name: another component declares Secret web\/pull too\. /);
  });

  it("are named by the checks too", async () => {
    const cluster = { namespace: "ns1", name: "tkc-cluster-1", context: "nowhere" };
    assert.match(
      await refused({ trust: { cluster } }),
      /^RegistryTrust prod: cluster\.context: .*\[context-not-found\]$/,
    );
    world.imageStatus = 404;
    assert.match(await refused({}), /^RegistryDeployment web: image: .*\[image-not-found\]$/);
    world.imageStatus = 403;
    assert.match(
      await refused({}),
      /^RegistryTrust prod: registries\[0\]\.credentials: .*\[registry-forbidden\]$/,
    );
  });

  it("have passwords that appear in clear nowhere, whether they are marked as secrets or not", async () => {
    const { password, username } = login;
    const forms: (() => CredentialsArgs)[] = [
      () => ({ username, password }),
      () => ({ username, password: pulumi.output(password) }),
      () => ({ username, password: pulumi.secret(password) }),
      () => ({ username: pulumi.secret(username), password: Promise.resolve(password) }),
      () => {
        const made = new command.local.Command(
          "made",
          { create: "make" },
          { additionalSecretOutputs: ["stdout"] },
        );
        return { username, password: made.stdout.apply(() => password) };
      },
    ];
    const auth = Buffer.from(`${username}:${password}`).toString("base64");
    for (const form of forms) {
      const { resources, errors, logged } = await perform(
        () => program({ trust: { registries: [registry({ credentials: form() })] } })(),
        { outputs: stdout },
      );
      assert.deepEqual(errors, []);
      assert.ok(customNames(resources).includes("pull-default"));
      for (const text of [
        `"${password}"`,
        `:${password}`,
        auth,
        Buffer.from(`"auth":"${auth}"`).toString("base64"),
      ])
        assert.deepEqual(inClear(resources, text), [], text);
      assert.ok(!JSON.stringify(logged).includes(auth));
    }
  });

  it("of a Deployment that are secrets appear in clear nowhere, whichever they are", async () => {
    const secret = "hunter2-of-a-deployment";
    const table: ((hidden: pulumi.Output<string>) => Partial<RegistryDeploymentArgs>)[] = [
      (hidden) => ({ args: ["--token", pulumi.interpolate`--token=${hidden}`] }),
      (hidden) => ({ command: pulumi.output(["sh", "-c", hidden]) }),
      (hidden) => ({ env: pulumi.output({ A: hidden }) }),
      (hidden) => ({ image: pulumi.interpolate`${world.registry.host}/ns1/${hidden}:1` }),
    ];
    for (const [index, given] of table.entries()) {
      const { resources, errors } = await perform(
        () => program({ deployment: given(pulumi.secret(secret)) })(),
        { outputs: stdout },
      );
      assert.deepEqual(errors, []);
      assert.match(JSON.stringify(named(resources, "web").inputs), new RegExp(secret), String(index));
      assert.deepEqual(inClear(resources, secret), [], String(index));
    }
  });

  it("that are undefined are those that are not given", async () => {
    const { resources, errors } = await perform(
      program({
        trust: { jumpbox: { name: undefined } },
        pullSecret: { name: undefined, namespaces: undefined },
        deployment: { name: undefined, namespace: undefined, app: undefined, env: undefined },
      }),
      { outputs: stdout },
    );
    assert.deepEqual(errors, []);
    for (const [resource, name] of [
      ["prod-jumpbox", "prod-jumpbox"],
      ["pull-default", "pull"],
      ["web", "web"],
    ] as const)
      assert.equal((named(resources, resource).inputs["metadata"] as { name: string }).name, name);
  });

  describe("that come from a resource", () => {
    /** What a command prints that is made in the program; in a preview it is not known. */
    const fromResource = (value: string): pulumi.Output<string> =>
      new command.local.Command("made", { create: "make" }).stdout.apply(() => value);

    it("are waited for where the plan needs them, and refused in the preview before they are there", async () => {
      const given = (): Arguments => ({
        trust: {
          registries: [registry({ ca: { from: "inline", pem: fromResource(world.ca.cert) }, ...withLogin })],
        },
      });
      const withLogin = { credentials: login };
      const { resources, errors } = await perform(() => program(given())(), { outputs: stdout });
      assert.deepEqual(errors, []);
      assert.ok(customNames(resources).includes("web"));
      const preview = await perform(() => program(given())(), { outputs: stdout, preview: true });
      assert.equal(preview.errors.length, 1, preview.errors.map(String).join("\n"));
      assert.match(
        (preview.errors[0] as Error).message,
        /^RegistryTrust prod: registries\[0\]\.ca\.pem: a resource gives it that is not made yet.*\[unknown-at-preview\]$/,
      );
      assert.deepEqual(customNames(preview.resources), ["made"]);
    });

    it("are refused in the preview, each by its name, also where they are a Deployment's", async () => {
      const given = (): Arguments => ({ deployment: { env: { A: fromResource("a") } } });
      const { resources, errors } = await perform(() => program(given())(), { outputs: stdout });
      assert.deepEqual(errors, []);
      assert.ok(customNames(resources).includes("web"));
      const preview = await perform(() => program(given())(), { outputs: stdout, preview: true });
      assert.equal(preview.errors.length, 1, preview.errors.map(String).join("\n"));
      assert.match(
        (preview.errors[0] as Error).message,
        /^RegistryDeployment web: env\.A: a resource gives it .*\[unknown-at-preview\]$/,
      );
    });

    it("let a Deployment be planned by itself when its image is known", async () => {
      const { resources, errors, logged } = await perform(
        () => program({ deployment: { image: fromResource(image()) } })(),
        { outputs: stdout },
      );
      assert.deepEqual(errors, []);
      assert.deepEqual(logged.warn, []);
      assert.match(JSON.stringify(named(resources, "web").inputs["spec"]), /\/ns1\/nginx:1"/);
      assert.ok(comesAfter(resources, "web").includes("made"));
      world.imageStatus = 404;
      const missing = await perform(() => program({ deployment: { image: fromResource(image()) } })(), {
        outputs: stdout,
      });
      assert.equal(missing.errors.length, 1, missing.errors.map(String).join("\n"));
      assert.match(
        (missing.errors[0] as Error).message,
        /^RegistryDeployment web: image: .*\[image-not-found\]$/,
      );
      // What it has to do with nothing is made.
      assert.ok(customNames(missing.resources).includes("prod-w2-up"));
      assert.ok(!customNames(missing.resources).includes("web"));
    });

    it("let a preview show a Deployment whose image is not known yet, with a warning", async () => {
      const { resources, errors, logged } = await perform(
        () => program({ deployment: { image: fromResource(image()) } })(),
        { outputs: stdout, preview: true },
      );
      assert.deepEqual(errors, []);
      assert.deepEqual(logged.warn, [
        "RegistryDeployment web: image: it is not known yet, and so not looked for",
      ]);
      const { spec } = named(resources, "web").inputs as {
        spec: { template: { spec: { containers: { image?: unknown; name: string }[] } } };
      };
      const [container] = spec.template.spec.containers;
      assert.equal(container?.name, "web");
      const unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"; // as the engine has it
      assert.ok(pulumi.isUnknown(container.image) || container.image === unknown, String(container.image));
      const shown = named(resources, "web", "RegistryDeployment").inputs["pod"] as { image?: unknown };
      assert.ok(pulumi.isUnknown(shown.image) || shown.image === unknown, String(shown.image));
    });

    it("may be the trust's own outputs, for which nothing waits in vain", async () => {
      const { resources, errors } = await perform(
        () => {
          const trust = new RegistryTrust("prod", trustArgs(world));
          const own = trust.registries.apply(([first]) => `${first!.host}/ns1/nginx:1`);
          new RegistryDeployment("web", { trust, image: own });
        },
        { outputs: stdout },
      );
      assert.deepEqual(errors, []);
      assert.match(JSON.stringify(named(resources, "web").inputs["spec"]), /\/ns1\/nginx:1"/);
      assert.ok(customNames(resources).includes("prod-removal-check"));
    });

    it("are waited for by nobody else, also where only a function tells of the resource", async () => {
      const within = (inner: () => pulumi.Output<string>): pulumi.Output<string> =>
        pulumi.output("").apply(inner);
      const ofTrust = await perform(
        () => {
          const trust = new RegistryTrust("prod", trustArgs(world));
          const host = within(() => trust.registries.apply(([first]) => first!.host));
          new RegistryDeployment("web", { trust, image: pulumi.interpolate`${host}/ns1/nginx:1` });
        },
        { outputs: stdout },
      );
      assert.deepEqual(ofTrust.errors, []);
      assert.ok(customNames(ofTrust.resources).includes("web"));
      const unknown = await perform(
        () => program({ deployment: { image: within(() => fromResource(image())) } })(),
        { outputs: stdout, preview: true },
      );
      assert.deepEqual(unknown.errors, []);
      assert.equal(unknown.logged.warn.length, 1);
    });
  });
});
