import { Deployment } from "@pulumi/kubernetes/apps/v1/deployment";
import * as pulumi from "@pulumi/pulumi";
import { deploymentArguments } from "../config/arguments";
import type { DeploymentSettings, LateDeploymentSettings } from "../config/settings";
import type { DeploymentPlan } from "../plan/deployment";
import { ownerMetadata } from "../plan/ownership";
import type { Planned } from "../plan/plan";
import { podLabels, podSpec } from "../plan/podTemplate";
import { areKnown, knownValues, valuesOf } from "./inputs";
import { failOnMissing } from "./missingObjects";
import { childOptions, initializing, reportedElsewhere, shownInputs, withoutDependencies } from "./options";
import type { PullSecret } from "./pullSecret";
import type { RegistryTrust } from "./registryTrust";

/** A container's resources, in Kubernetes' quantities: `50m`, `64Mi`. */
export interface ResourcesArgs {
  /** What the scheduler sets aside, by resource: `cpu`, `memory`. */
  readonly requests?: Readonly<Record<string, pulumi.Input<string>>>;
  /** What it may use at most. */
  readonly limits?: Readonly<Record<string, pulumi.Input<string>>>;
}

/** Arguments of {@link RegistryDeployment}. Where no default is told, it is the one of the settings (`docs/settings.md`). */
export interface RegistryDeploymentArgs {
  /** The nodes that it waits for; its image comes from one of their registries. */
  readonly trust: RegistryTrust;
  /** The pull secret of its pods, for which it waits too. */
  readonly pullSecret?: PullSecret | undefined;
  /** The image with its registry: `host[:port]/repository[:tag][@digest]`. */
  readonly image: pulumi.Input<string>;
  /** Whether the image's digest at the registry is put into the pod. Default: false. */
  readonly pinDigest?: boolean;
  /** The Deployment's name. Default: the component's. */
  readonly name?: string;
  /** Default: `default`. */
  readonly namespace?: string;
  /** The value of the label `app`, by which it finds its pods, and the container's name. Default: the Deployment's name. */
  readonly app?: string;
  /** 0 to 1000. Default: 1. */
  readonly replicas?: pulumi.Input<number>;
  /** The words of the container's command, in place of the image's entry point. */
  readonly command?: pulumi.Input<pulumi.Input<string>[]>;
  /** The words that follow it. */
  readonly args?: pulumi.Input<pulumi.Input<string>[]>;
  /** The port at which the container listens. Default: 80. */
  readonly port?: pulumi.Input<number>;
  /** How kubelet sees that it is ready: by a connection to its port, or not at all. Default: `tcp`. */
  readonly probe?: pulumi.Input<"tcp" | "none">;
  /** The user id, not 0. Default: 101, the user of nginx's images. */
  readonly runAsUser?: pulumi.Input<number>;
  /** Absolute paths that are writable, in memory: the rest of the file system is not. */
  readonly writablePaths?: pulumi.Input<pulumi.Input<string>[]>;
  /** Environment variables. Where any argument is a secret, these, the image and the command line are kept as secrets. */
  readonly env?: pulumi.Input<Record<string, pulumi.Input<string>>>;
  /** What the container asks for and may use. Default: 50m of a CPU and 64Mi, at most 256Mi. */
  readonly resources?: pulumi.Input<ResourcesArgs>;
  /** Seconds that the rollout may take, 10 to 3600. Default: 300. */
  readonly timeoutSeconds?: number;
  /** Whether a Deployment that is there already is taken over. Default: false. */
  readonly adopt?: boolean;
  /** Whether a Deployment that was taken over is deleted with the stack. Default: false. */
  readonly deleteAdopted?: boolean;
}

type Own = Omit<RegistryDeploymentArgs, "trust" | "pullSecret">;

/** The arguments as settings of a stack. */
async function settingsOf(
  name: string,
  args: Own,
  { trust, pullSecret }: { readonly trust: RegistryTrust; readonly pullSecret: PullSecret | undefined },
): Promise<LateDeploymentSettings> {
  const component = `RegistryDeployment ${name}`;
  const secret = await pulumi.isSecret(pulumi.output(args));
  const { image: given, ...known } = args;
  const image = await valuesOf(given);
  const { adopt, deleteAdopted, ...deployment } = await knownValues(component, known);
  const own = deployment.name ?? name;
  const app = deployment.app ?? own;
  return deploymentArguments(
    component,
    {
      deployment: { ...deployment, name: own, app, image: pulumi.isUnknown(image) ? undefined : image },
      ...{ adopt, deleteAdopted },
    },
    {
      secret,
      // What is wrong with the others' settings, they tell themselves.
      registries: await trust.run.settings.then(
        ({ registries }) => registries,
        () => undefined,
      ),
      pullSecret: await pullSecret?.settings.then(
        (settings) => settings.name,
        () => undefined,
      ),
    },
  );
}

interface Made {
  readonly deploymentName: pulumi.Output<string>;
  readonly image: pulumi.Output<string>;
}

/**
 * A Deployment whose image comes from the private registry. It is made when every node trusts the registry and the pull
 * secret is there.
 *
 * A `kubernetes` provider among its options, or its parent's, makes the Deployment, and so must be the workload cluster's.
 */
export class RegistryDeployment extends pulumi.ComponentResource<Made> {
  /** The Deployment's name. */
  readonly deploymentName: pulumi.Output<string>;
  /** The image that it runs. */
  readonly image: pulumi.Output<string>;

  readonly #name: string;
  readonly #trust: RegistryTrust;
  readonly #pullSecret: PullSecret | undefined;
  readonly #opts: pulumi.ComponentResourceOptions | undefined;
  readonly #settings: Promise<LateDeploymentSettings>;
  readonly #image: pulumi.Input<string> | undefined;
  readonly #planned: Promise<Planned<DeploymentPlan>>;

  /**
   * @param args - With the settings that a stack's configuration has: this project's own program.
   * @internal
   */
  constructor(
    name: string,
    args: Pick<RegistryDeploymentArgs, "trust" | "pullSecret"> & { readonly settings: DeploymentSettings },
    opts?: pulumi.ComponentResourceOptions,
  );
  // eslint-disable-next-line @typescript-eslint/unified-signatures -- the package's types leave the other one out
  constructor(name: string, args: RegistryDeploymentArgs, opts?: pulumi.ComponentResourceOptions);
  constructor(
    name: string,
    args: Pick<RegistryDeploymentArgs, "trust" | "pullSecret"> &
      (Own | { readonly settings: DeploymentSettings }),
    opts?: pulumi.ComponentResourceOptions,
  ) {
    const { trust, pullSecret, ...own } = args;
    const { run } = trust;
    const settings = reportedElsewhere(
      "settings" in own ? Promise.resolve(own.settings) : settingsOf(name, own, { trust, pullSecret }),
    );
    const known = "settings" in own ? Promise.resolve(true) : areKnown(own);
    const planned = reportedElsewhere(run.planDeployment(settings, known));
    const image = "settings" in own ? undefined : own.image;
    const shown = planned.then(async ({ plan: { pod, adopted } }) => {
      const { secret, ...all } = await settings;
      const { env, command, args } = pod;
      const image: unknown = all.image === undefined ? pulumi.unknown : pod.image;
      const hidden: Readonly<Record<string, unknown>> = { env, command, args, image };
      const kept = Object.entries(hidden).map(
        ([key, value]) => [key, secret ? pulumi.secret(value) : value] as const,
      );
      return { ...all, adopted, pod: { ...pod, ...Object.fromEntries(kept) } };
    });
    const names = [
      ...(["name", "namespace", "replicas", "timeoutSeconds", "pod", "adopted", "deleteAdopted"] as const),
    ];
    super(
      "tkc-registry:index:RegistryDeployment",
      name,
      shownInputs(shown, names, run),
      withoutDependencies(opts),
    );
    run.join(this);
    this.#name = name;
    this.#trust = trust;
    this.#pullSecret = pullSecret;
    this.#opts = opts;
    this.#settings = settings;
    this.#planned = planned;
    this.#image = image;
    const made = this.urn.apply(() => this.getData());
    this.deploymentName = made.deploymentName;
    this.image = made.image;
  }

  protected override initialize(): Promise<Made> {
    return initializing(() => this.#declare());
  }

  async #declare(): Promise<Made> {
    const { run } = this.#trust;
    const { plan, missing } = await this.#planned; // first, as it tells what is wrong with the settings too
    const [settings, { id, clusterProvider }] = await Promise.all([this.#settings, run.declared]);
    const after = [this.#trust, ...(this.#pullSecret ? [this.#pullSecret] : [])];
    const child = childOptions(this, after, this.#opts, clusterProvider);
    const hidden = <T>(value: T): pulumi.Input<T> =>
      settings.secret ? (pulumi.secret(value) as pulumi.Output<T>) : value;
    const spec = podSpec(plan.pod);
    // By what was given, which may be unknown in a preview, or a secret, and tells what the Deployment depends on.
    const image = pulumi.output(this.#image ?? plan.pod.image).apply(() => plan.pod.image);
    const containers = spec.containers.map(({ command, args, env, ...container }) => ({
      ...container,
      image,
      ...(command ? { command: hidden(command) } : {}),
      ...(args ? { args: hidden(args) } : {}),
      ...(env ? { env: env.map(({ name, value }) => ({ name, value: hidden(value) })) } : {}),
    }));
    const labels = podLabels(plan.pod);
    const owned = ownerMetadata({ owner: run.owner, id }, plan.adopted);
    const deployment = new Deployment(
      this.#name,
      {
        metadata: {
          name: settings.name,
          namespace: settings.namespace,
          labels: { ...labels, ...owned.labels },
          annotations: {
            ...owned.annotations,
            "pulumi.com/timeoutSeconds": String(settings.timeoutSeconds),
          },
        },
        spec: {
          replicas: settings.replicas,
          selector: { matchLabels: labels },
          template: { metadata: { labels }, spec: { ...spec, containers } },
        },
      },
      child(plan.adopted && !settings.deleteAdopted),
    );
    failOnMissing([deployment.metadata.uid], missing);
    this.registerOutputs({ deploymentName: deployment.metadata.name, image });
    return { deploymentName: deployment.metadata.name, image };
  }
}
