import * as command from "@pulumi/command";
import { Secret } from "@pulumi/kubernetes/core/v1/secret";
import * as pulumi from "@pulumi/pulumi";
import { pullSecretArguments } from "../config/arguments";
import type { PullSecretSettings } from "../config/settings";
import { ownerMetadata } from "../plan/ownership";
import type { Planned, PlannedSecret } from "../plan/plan";
import { failOnMissing } from "./missingObjects";
import { childOptions, initializing, reportedElsewhere, shownInputs, withoutDependencies } from "./options";
import type { RegistryTrust } from "./registryTrust";

/** Arguments of {@link PullSecret}. */
export interface PullSecretArgs {
  /** The registries whose logins it has, in whose cluster it is. */
  readonly trust: RegistryTrust;
  /** The namespaces that get the Secret. A plain list, as it decides how many resources there are. Default: `default`. */
  readonly namespaces?: readonly string[];
  /** The Secret's name, the same in every namespace. Default: the component's. */
  readonly name?: string;
  /** Whether each namespace's `default` ServiceAccount is to use it. Default: false. */
  readonly defaultServiceAccount?: boolean;
  /** Whether Secrets that are there already are taken over, with what is in them. Default: false. */
  readonly adopt?: boolean;
  /** Whether Secrets that were taken over are deleted with the stack. Default: false. */
  readonly deleteAdopted?: boolean;
}

/** The arguments as settings of a stack. */
async function settingsOf(name: string, args: Omit<PullSecretArgs, "trust">): Promise<PullSecretSettings> {
  const { adopt, deleteAdopted, ...pullSecret } = await Promise.resolve(args);
  return pullSecretArguments(`PullSecret ${name}`, {
    pullSecret: { ...pullSecret, name: pullSecret.name ?? name },
    adopt,
    deleteAdopted,
  });
}

const serviceAccountCommand = (verb: string): string =>
  `node -e "require('tkc-registry/run')" v1 service-account ${verb}`;

interface Made {
  readonly secretName: pulumi.Output<string>;
}

/**
 * The Secret by which the workload cluster pulls from the registries, in each namespace that wants it. It is made when
 * every node trusts the registries.
 *
 * A `kubernetes` provider among its options, or its parent's, makes the Secrets, and so must be the workload cluster's.
 */
export class PullSecret extends pulumi.ComponentResource<Made> {
  /** The Secret's name. */
  readonly secretName: pulumi.Output<string>;
  /** @internal */
  readonly settings: Promise<PullSecretSettings>;

  readonly #name: string;
  readonly #trust: RegistryTrust;
  readonly #opts: pulumi.ComponentResourceOptions | undefined;
  readonly #planned: Promise<Planned<readonly PlannedSecret[]>>;

  /**
   * @param args - With the settings that a stack's configuration has: this project's own program.
   * @internal
   */
  constructor(
    name: string,
    args: { readonly trust: RegistryTrust; readonly settings: PullSecretSettings },
    opts?: pulumi.ComponentResourceOptions,
  );
  // eslint-disable-next-line @typescript-eslint/unified-signatures -- the package's types leave the other one out
  constructor(name: string, args: PullSecretArgs, opts?: pulumi.ComponentResourceOptions);
  constructor(
    name: string,
    args: PullSecretArgs | { readonly trust: RegistryTrust; readonly settings: PullSecretSettings },
    opts?: pulumi.ComponentResourceOptions,
  ) {
    const { trust, ...own } = args;
    const settings = reportedElsewhere(
      "settings" in own ? Promise.resolve(own.settings) : settingsOf(name, own),
    );
    const { run } = trust;
    const planned = reportedElsewhere(run.planPullSecret(settings));
    const shown = planned.then(async () => {
      const { clusterContext } = await run.settings;
      return { ...(await settings), clusterContext };
    });
    const names = [
      ...(["name", "namespaces", "defaultServiceAccount", "deleteAdopted", "clusterContext"] as const),
    ];
    super("tkc-registry:index:PullSecret", name, shownInputs(shown, names, run), withoutDependencies(opts));
    run.join(this);
    this.#name = name;
    this.#trust = trust;
    this.#opts = opts;
    this.settings = settings;
    this.#planned = planned;
    this.secretName = this.urn.apply(() => this.getData()).secretName;
  }

  protected override initialize(): Promise<Made> {
    return initializing(() => this.#declare());
  }

  async #declare(): Promise<Made> {
    const name = this.#name;
    const { run } = this.#trust;
    const { plan, missing } = await this.#planned; // first, as it tells what is wrong with the settings too
    const [settings, { id, clusterProvider }, { clusterContext }, { connection }] = await Promise.all([
      this.settings,
      run.declared,
      run.settings,
      run.plan,
    ]);
    const child = childOptions(this, [this.#trust], this.#opts, clusterProvider);
    const secrets = plan.map(({ namespace, dockerConfigJson, adopted }) => {
      const secret = new Secret(
        `${name}-${namespace}`,
        {
          metadata: { name: settings.name, namespace, ...ownerMetadata({ owner: run.owner, id }, adopted) },
          type: "kubernetes.io/dockerconfigjson",
          data: {
            ".dockerconfigjson": pulumi
              .secret(dockerConfigJson)
              .apply((json) => Buffer.from(json, "utf8").toString("base64")),
          },
        },
        child(adopted && !settings.deleteAdopted),
      );
      if (settings.defaultServiceAccount) {
        // imagePullSecrets is an atomic list: server-side apply would replace other people's entries, so ours is
        // put in and taken out by a read, a change and a conditional write.
        new command.local.Command(
          `${name}-${namespace}-default`,
          {
            create: serviceAccountCommand("attach"),
            update: serviceAccountCommand("attach"),
            delete: serviceAccountCommand("detach"),
            environment: {
              TKC_REGISTRY_CLUSTER_CONTEXT: clusterContext,
              ...(connection.cluster === undefined
                ? {}
                : { TKC_REGISTRY_CLUSTER: JSON.stringify(connection.cluster) }),
              TKC_REGISTRY_NAMESPACE: namespace,
              TKC_REGISTRY_SERVICE_ACCOUNT: "default",
              TKC_REGISTRY_PULL_SECRET: settings.name,
              // In a cluster that was created anew the ServiceAccount is another one, too.
              TKC_REGISTRY_PULL_SECRET_UID: secret.metadata.uid,
            },
          },
          { parent: this, dependsOn: [secret] },
        );
      }
      return secret;
    });
    failOnMissing(
      secrets.map((secret) => secret.metadata.uid),
      missing,
    );
    const secretName = secrets[0]?.metadata.name ?? pulumi.output(settings.name);
    this.registerOutputs({ secretName });
    return { secretName };
  }
}
