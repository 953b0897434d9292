import type { Provider } from "@pulumi/kubernetes/provider";
import * as pulumi from "@pulumi/pulumi";
import { trustArguments } from "../config/arguments";
import type { TrustSettings } from "../config/settings";
import { nodeScript } from "../nodes/script/script";
import { Outcomes } from "../nodes/service/outcomes";
import { NodeService } from "../nodes/service/service";
import { formatChange } from "../plan/reasons";
import { clusterProvider } from "./clusterProvider";
import { assertCommandsFindPackage } from "./commandFolder";
import { Identity } from "./identity";
import { knownValues } from "./inputs";
import { Jumpbox } from "./jumpbox";
import {
  aliasNames,
  dependencies,
  givesKubernetes,
  initializing,
  reportedElsewhere,
  withoutDependencies,
} from "./options";
import { logPlan, logWhileChecking } from "./planLog";
import { plannedRun } from "./plannedRun";
import type { ExcludedNode, RegistryTrustArgs, TrustedRegistry } from "./registryTrustArgs";
import { RemovalCheck } from "./removalCheck";
import { tellAtTheEnd } from "./runSummary";
import { prepareSdk, refuse } from "./sdk";
import type { NodeTrust } from "./trustedNode";
import { TrustedNodes } from "./trustedNodes";
import { TrustRun } from "./trustRun";

interface Trusted {
  readonly nodes: pulumi.Output<readonly NodeTrust[]>;
  readonly excludedNodes: readonly ExcludedNode[];
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
 * `dependsOn`; the checks do not wait for the latter, as a preview could not.
 *
 * A `kubernetes` provider among its own options makes the jumpbox pod, and so must be the Supervisor's. A parent's does
 * not, as that is mostly the workload cluster's.
 *
 * A run that the checks refuse ends with a `RunError` that has every problem, with its code and remedy
 * (`docs/errors.md`), and changes nothing.
 */
export class RegistryTrust extends pulumi.ComponentResource<Trusted> {
  /** What each node said when it was last touched, by name. */
  readonly nodes: pulumi.Output<readonly NodeTrust[]>;
  /** The cluster's nodes that `nodes.select` and `nodes.exclude` leave out. */
  readonly excludedNodes: pulumi.Output<readonly ExcludedNode[]>;
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
    const own = "settings" in args;
    const run = new TrustRun(
      own ? Promise.resolve(args.settings) : settingsOf(name, args),
      ({ cluster }) => ({ names: [name, ...aliasNames(opts), ...(own ? [cluster] : [])], alone: own }),
    );
    // The plan is waited for: what it refuses leaves nothing in the state.
    const cluster = reportedElsewhere(
      run.plan.then(() => run.settings).then(({ namespace, cluster }) => `${namespace}/${cluster}`),
    );
    super("tkc-registry:index:RegistryTrust", name, { cluster }, withoutDependencies(opts));
    prepareSdk();
    this.#name = name;
    this.#opts = opts;
    this.#own = own;
    this.run = run;
    // By the URN, so that the SDK knows where these come from.
    const trusted = this.urn.apply(() => this.getData());
    this.nodes = trusted.nodes;
    this.excludedNodes = trusted.excludedNodes;
    this.registries = trusted.registries;
    this.jumpbox = trusted.jumpbox;
    this.id = trusted.id;
  }

  protected override initialize(): Promise<Trusted> {
    return initializing(() =>
      this.#declare().catch((error: unknown) => {
        this.run.giveUp(error);
        throw error;
      }),
    );
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
    await assertCommandsFindPackage(this).catch(refuse);
    await logPlan(plan, unreachable);
    const { cluster, namespace, supervisorContext, clusterContext } = settings;
    const { owner } = run;
    const { retainOnDelete } = this.#opts ?? {};
    const options = {
      ...{ parent: this, dependsOn: dependencies(this.#opts) },
      ...(retainOnDelete === undefined ? {} : { retainOnDelete }),
    };
    const { canary } = plan;
    const after = [...options.dependsOn, plannedRun(name, plan.digest, canary.pull, options)];
    const child = (earlier: string): pulumi.CustomResourceOptions => ({
      ...options,
      ...{ aliases: this.#earlier(earlier), dependsOn: after },
    });

    const outcomes = new Outcomes();
    const { id } = new Identity(
      name,
      async (known) => {
        await NodeService.start({
          stack: { owner, id: known },
          nodes: plan.nodes,
          waves: [...plan.waveEnds.values()],
          readyTimeout: settings.nodes.readyTimeoutSeconds,
          certificates: plan.certificatesBySha256,
          inSession: plan.sessions.use,
          readNode: plan.readNode,
          notePin: plan.notePin,
          controlPlane: plan.controlPlane,
          pullOnCanary: plan.pullOnCanary,
          reach: plan.reach,
          unreachable,
          tell: (line) => void pulumi.log.info(line, this),
          outcomes,
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
            providers: givesKubernetes(this.#opts)
              ? []
              : [clusterProvider(`${name}-supervisor`, supervisorContext, namespace, child("supervisor"))],
          },
        )
      : undefined;

    const allNodes = {
      connection: plan.connection,
      hostKeys: settings.nodes.hostKeys,
      removal: plan.installation.removal,
      readyTimeoutSeconds: settings.nodes.readyTimeoutSeconds,
      owner,
      id,
      former: plan.former,
      selections: plan.selections,
    };
    const trustedNodes = new TrustedNodes(
      name,
      {
        ...allNodes,
        nodes: plan.nodes,
        certificates: plan.installation.certificates,
        script: nodeScript(),
        order: plan.order,
        waveEnds: plan.waveEnds,
        canary,
      },
      { ...child(cluster), dependsOn: [...after, ...(jumpbox ? [jumpbox] : [])] },
    );
    if (canary.fact !== undefined) await pulumi.log.info(canary.fact, trustedNodes);
    if (!pulumi.runtime.isDryRun()) {
      const changes = plan.nodes.map(({ change }) => change);
      trustedNodes.nodes.apply(tellAtTheEnd(() => outcomes.summary(changes), this));
    }
    for (const gone of plan.gone) await pulumi.log.info(formatChange(gone), trustedNodes);

    let provider: Provider | undefined;
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
    // In no component, as what depends on that must not wait for it.
    const commands = this.getProvider("command:local:Command");
    new RemovalCheck(`${name}-removal-check`, allNodes, {
      ...this.#opts,
      parent: pulumi.rootStackResource,
      ...(commands ? { providers: [commands] } : {}),
      aliases: [
        ...this.#earlier("removal-check"),
        ...aliasNames(this.#opts).map((earlier) => ({ name: `${earlier}-removal-check` })),
      ],
      dependsOn: [...(jumpbox ? [jumpbox] : []), trustedNodes, ...run.parts],
    });

    const registries = plan.cas.map((ca) => ({
      host: ca.registry,
      source: ca.source,
      certificates: ca.certificates.map(({ subject, sha256, notAfter }) => ({ subject, sha256, notAfter })),
    }));
    this.registerOutputs({ registries });
    return {
      nodes: trustedNodes.nodes,
      excludedNodes: plan.excluded.map(({ name, by }) => ({ name, by })),
      registries,
      jumpbox: jumpbox?.podName ?? pulumi.output(null),
      id,
    };
  }
}
