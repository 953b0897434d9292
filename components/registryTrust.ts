import type * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { trustArguments } from "../config/arguments";
import type { TrustSettings } from "../config/settings";
import type { TrustMode, UnreachablePolicy } from "../nodes/protocol/spec";
import { nodeScript } from "../nodes/script/script";
import { NodeService } from "../nodes/service/service";
import { clusterProvider } from "./clusterProvider";
import { Identity } from "./identity";
import { knownValues } from "./inputs";
import { Jumpbox } from "./jumpbox";
import { aliasNames, dependencies, initializing, removalCheckAliases, withoutDependencies } from "./options";
import { logPlan, logWhileChecking } from "./planLog";
import { RemovalCheck } from "./removalCheck";
import { prepareSdk } from "./sdk";
import type { NodeTrust } from "./trustedNode";
import { TrustedNodes } from "./trustedNodes";
import { TrustRun } from "./trustRun";

/** The workload cluster, and how the operator's kubeconfig names its contexts. All are plain: they decide what is asked. */
export interface ClusterArgs {
  /** The Supervisor namespace that holds the cluster, such as `ns1`. */
  readonly namespace: string;
  /** The Tanzu Kubernetes cluster's name, such as `tkc-cluster-1`. */
  readonly name: string;
  /** The kubeconfig context of the Supervisor. Default: the namespace, as `kubectl vsphere login` names it. */
  readonly supervisorContext?: string;
  /** The kubeconfig context of the workload cluster. Default: the cluster's name. */
  readonly context?: string;
}

/** Where a registry's CA certificate comes from. `sha256` is its fingerprint: 64 hexadecimal digits, with colons or without. */
export type CaArgs =
  /** Harbor's own download (`/api/v2.0/systeminfo/getcert`). */
  | {
      readonly from: "harbor";
      readonly sha256?: pulumi.Input<string>;
      /** Believe what the registry shows the first time, and insist on it afterwards. Needed where `sha256` is left out. */
      readonly trustOnFirstUse?: boolean;
    }
  /** The last certificate of the chain that the registry shows. */
  | {
      readonly from: "chain";
      readonly sha256?: pulumi.Input<string>;
      /** As with `harbor`. */
      readonly trustOnFirstUse?: boolean;
    }
  /** A PEM file, by its path on the machine that runs the program. */
  | { readonly from: "file"; readonly path: string; readonly sha256?: pulumi.Input<string> }
  /** PEM text. */
  | { readonly from: "inline"; readonly pem: pulumi.Input<string>; readonly sha256?: pulumi.Input<string> };

/** How to log in to a registry. */
export type CredentialsArgs =
  | {
      /** A user, or a robot account, without colon. */
      readonly username: pulumi.Input<string>;
      /** Kept as a secret, whether it is marked as one or not. */
      readonly password: pulumi.Input<string>;
    }
  /** Docker's `config.json`, with its credential helpers. Default path: as docker looks for it. */
  | { readonly from: "dockerConfig"; readonly path?: string }
  /** The registry wants no login. */
  | { readonly from: "none" };

/** A registry that the nodes are to trust. */
export interface RegistryArgs {
  /** Its name as image names have it: `host` or `host:port`. Plain: it names files on the nodes. */
  readonly host: string;
  /** Default: `harbor`. */
  readonly kind?: "harbor" | "generic";
  readonly ca: CaArgs;
  /** Default: docker's config. */
  readonly credentials?: CredentialsArgs;
}

/** A bastion, through which nodes are reached by SSH. */
export interface BastionArgs {
  /** Its address or host name. */
  readonly host: string;
  /** Default: 22. */
  readonly port?: number;
  readonly user: string;
  /** Its host key as `ssh-keygen -lf` prints it: `SHA256:` and 43 characters. */
  readonly hostKey: string;
  /** A private key's path. Default: that of the nodes. */
  readonly sshKeyFile?: string;
}

/** How nodes are reached and done. */
export interface NodesArgs {
  /** The SSH user. Default: `vmware-system-user`. */
  readonly user?: string;
  /** A private key's path. Default: the key in the Supervisor's secret `<cluster>-ssh`. */
  readonly sshKeyFile?: string;
  /** Host keys by node name, `SHA256:…`. Others are noted at the first contact. */
  readonly hostKeys?: Readonly<Record<string, string>>;
  /** How many workers are done at once, 1 to 256. Default: 8. Control-plane nodes go one at a time. */
  readonly workersAtOnce?: number;
  /** Whether a preview asks every node what it trusts. Default: true. */
  readonly inspect?: boolean;
  /** Seconds that a node may take to be Ready after a restart of containerd, 10 to 3600. Default: 300. */
  readonly readyTimeoutSeconds?: number;
}

/** Arguments of {@link RegistryTrust}. */
export interface RegistryTrustArgs {
  readonly cluster: ClusterArgs;
  /** At least one. A plain list: it decides what is on the nodes. */
  readonly registries: readonly RegistryArgs[];
  /** How nodes are reached: through a pod in the Supervisor namespace, a bastion, or directly. Default: `jumpbox`. */
  readonly access?: "jumpbox" | "bastion" | "direct";
  /** Needed where `access` is `bastion`. */
  readonly bastion?: BastionArgs;
  /** The pod. Default name: the component's with `-jumpbox`. The image needs bash, nc or socat. Default: `ubuntu:latest`. */
  readonly jumpbox?: { readonly name?: string; readonly image?: pulumi.Input<string> };
  readonly nodes?: NodesArgs;
  /** By the system's trust store, by containerd's folder for the registry, or the latter where there is one. Default: `system`. */
  readonly trust?: TrustMode;
  /** What a node that can't be reached does to the run. Default: `fail`. */
  readonly unreachableNodes?: UnreachablePolicy;
  /** Whether containerd is restarted when the certificates are removed. Default: true. */
  readonly restartOnRemoval?: boolean;
  /** Whether a jumpbox pod that is there already is used. Default: false. */
  readonly adopt?: boolean;
}

/** A registry that the nodes trust. */
export interface TrustedRegistry {
  readonly host: string;
  /** Where its CA came from, in words. */
  readonly source: string;
  readonly certificates: readonly {
    readonly subject: string;
    /** The fingerprint, in hexadecimal digits. */
    readonly sha256: string;
    /** ISO 8601. */
    readonly notAfter: string;
  }[];
}

interface Trusted {
  readonly nodes: pulumi.Output<readonly NodeTrust[]>;
  readonly registries: readonly TrustedRegistry[];
  readonly jumpbox: pulumi.Output<string | null>;
  readonly id: pulumi.Output<string>;
}

/** The arguments as settings of a stack, and what their values are. */
async function settingsOf(name: string, args: RegistryTrustArgs): Promise<TrustSettings> {
  const component = `RegistryTrust ${name}`;
  return trustArguments(component, { ...(await knownValues(component, args)) }, `${name}-jumpbox`);
}

/**
 * The trust of a workload cluster's nodes in private registries: each node has the registries' CAs, and a containerd that
 * has loaded them. It checks everything before it changes anything, finds the nodes by the cluster's API, and reaches
 * them over SSH.
 *
 * What depends on it waits until every node is done. It waits for nothing of the program but its arguments and its
 * `dependsOn`. A `kubernetes` provider among its options makes the jumpbox pod, and so must be the Supervisor's.
 *
 * A run that the checks refuse ends with a `RunError` that has every problem, with its code and remedy
 * (`docs/errors.md`), and changes nothing.
 */
export class RegistryTrust extends pulumi.ComponentResource<Trusted> {
  /** What each node said when it was last touched, by name. */
  readonly nodes: pulumi.Output<readonly NodeTrust[]>;
  /** The registries, with the certificates that the nodes trust. */
  readonly registries: pulumi.Output<readonly TrustedRegistry[]>;
  /** The jumpbox pod's name; null where the stack has none of its own. */
  readonly jumpbox: pulumi.Output<string | null>;
  /** A UUID, made once: nodes and objects are recorded under it. Unknown in the first preview. */
  readonly id: pulumi.Output<string>;
  /** @internal */
  readonly run: TrustRun;

  readonly #name: string;
  readonly #opts: pulumi.ComponentResourceOptions | undefined;
  /** Whether the settings are those of this project's own program, which had no RegistryTrust in earlier releases. */
  readonly #own: boolean;

  /**
   * @param args - With the settings that a stack's configuration has: this project's own program.
   * @internal
   */
  constructor(
    name: string,
    args: { readonly settings: TrustSettings },
    opts?: pulumi.ComponentResourceOptions,
  );
  // eslint-disable-next-line @typescript-eslint/unified-signatures -- the package's types leave the other one out
  constructor(name: string, args: RegistryTrustArgs, opts?: pulumi.ComponentResourceOptions);
  constructor(
    name: string,
    args: RegistryTrustArgs | { readonly settings: TrustSettings },
    opts?: pulumi.ComponentResourceOptions,
  ) {
    super("tkc-registry:index:RegistryTrust", name, {}, withoutDependencies(opts));
    prepareSdk();
    this.#name = name;
    this.#opts = opts;
    this.#own = "settings" in args;
    this.run = new TrustRun(
      "settings" in args ? Promise.resolve(args.settings) : settingsOf(name, args),
      ({ cluster }) => ({
        names: [name, ...aliasNames(opts), ...(this.#own ? [cluster] : [])],
        alone: this.#own,
      }),
      this,
    );
    // By the URN, so that the SDK knows where these come from.
    const trusted = this.urn.apply(() => this.getData());
    this.nodes = trusted.nodes;
    this.registries = trusted.registries;
    this.jumpbox = trusted.jumpbox;
    this.id = trusted.id;
  }

  protected override initialize(): Promise<Trusted> {
    return initializing(() => this.#declare());
  }

  /** Under which name earlier releases had a resource, at the root. */
  #earlier(name: string): pulumi.Alias[] {
    return this.#own ? [{ name, parent: pulumi.rootStackResource }] : [];
  }

  async #declare(): Promise<Trusted> {
    const { run } = this;
    const name = this.#name;
    const plan = await logWhileChecking(run.plan); // first, as it tells what is wrong with the settings too
    const [settings, unreachable] = await Promise.all([run.settings, run.unreachable]);
    await logPlan(plan, unreachable);
    const { cluster, namespace, supervisorContext, clusterContext } = settings;
    const { owner } = run;
    const { retainOnDelete } = this.#opts ?? {};
    const child = (earlier: string): pulumi.CustomResourceOptions => ({
      ...{ parent: this, aliases: this.#earlier(earlier), dependsOn: dependencies(this.#opts) },
      ...(retainOnDelete === undefined ? {} : { retainOnDelete }),
    });

    const { id } = new Identity(
      name,
      async (known) => {
        await NodeService.start({
          stack: { owner, id: known },
          nodes: plan.nodes,
          readyTimeout: settings.nodes.readyTimeoutSeconds,
          certificates: plan.certificatesBySha256,
          inSession: plan.sessions.use,
          readNode: plan.readNode,
          notePin: plan.notePin,
          controlPlane: plan.controlPlane,
          unreachable,
        });
      },
      child(`${cluster}-identity`),
    );

    const jumpbox = plan.jumpbox.create
      ? new Jumpbox(
          `${name}-jumpbox`,
          { ...settings.jumpbox, namespace, cluster, owner, id, replaces: plan.jumpbox.replaces },
          {
            ...child("jumpbox"),
            providers: this.getProvider("kubernetes:core/v1:Pod")
              ? []
              : [clusterProvider(`${name}-supervisor`, supervisorContext, namespace, child("supervisor"))],
          },
        )
      : undefined;

    const allNodes = {
      connection: plan.connection,
      hostKeys: settings.nodes.hostKeys,
      removal: { unreachable: settings.unreachableNodes, restart: settings.restartOnRemoval },
      readyTimeoutSeconds: settings.nodes.readyTimeoutSeconds,
      owner,
      id,
      former: plan.former,
    };
    const trustedNodes = new TrustedNodes(
      name,
      {
        ...allNodes,
        nodes: plan.nodes,
        certificates: plan.certificates,
        trustMode: settings.trust,
        script: nodeScript(),
        workersAtOnce: settings.nodes.workersAtOnce,
      },
      { ...child(cluster), dependsOn: [...dependencies(this.#opts), ...(jumpbox ? [jumpbox] : [])] },
    );

    let provider: k8s.Provider | undefined;
    run.declare({
      id,
      clusterProvider: () =>
        (provider ??= clusterProvider(
          `${name}-cluster`,
          clusterContext,
          `${namespace}/${cluster}`,
          child("cluster"),
        )),
    });
    // Beside this component, as what depends on the component must not wait for it.
    new RemovalCheck(`${name}-removal-check`, allNodes, {
      ...this.#opts,
      aliases: [...this.#earlier("removal-check"), ...removalCheckAliases(this.#opts)],
      dependsOn: [...(jumpbox ? [jumpbox] : []), trustedNodes, ...run.parts],
    });

    const registries = plan.cas.map((ca) => ({
      host: ca.registry,
      source: ca.source,
      certificates: ca.certificates.map(({ subject, sha256, notAfter }) => ({ subject, sha256, notAfter })),
    }));
    this.registerOutputs({ registries });
    return { nodes: trustedNodes.nodes, registries, jumpbox: jumpbox?.podName ?? pulumi.output(null), id };
  }
}
