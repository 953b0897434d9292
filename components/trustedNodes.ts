import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import {
  type NodeConnection,
  type TrustMode,
  type TrustedCertificate,
  connectionEnvironment,
} from "../nodes/protocol/spec";
import { planLanes } from "../plan/lanes";
import type { NodePlan } from "../plan/nodes";
import { dependencies } from "./options";
import {
  type NodeTrust,
  type RemovalArgs,
  TrustedNode,
  readyTimeoutEnvironment,
  removalCommand,
} from "./trustedNode";

/** Arguments of {@link TrustedNodes}. */
export interface TrustedNodesArgs {
  /** The cluster's nodes; at least one. A plain list, as it decides how many resources there are. */
  readonly nodes: readonly NodePlan[];
  /** The way to the nodes that will be there when the stack goes. */
  readonly connection: NodeConnection;
  /** Host keys by node name, `SHA256:…`, where the settings give them. */
  readonly hostKeys: Readonly<Record<string, string>>;
  /** What each of them is to trust. */
  readonly certificates: readonly TrustedCertificate[];
  /** How they trust it. */
  readonly trustMode: TrustMode;
  /** How they are left. */
  readonly removal: RemovalArgs;
  /** What runs on the nodes; `preview --diff` shows what changed in it. Each command runs only what has this SHA-256. */
  readonly script: { readonly text: string; readonly sha256: string };
  /** How many workers are done at once. Control-plane nodes always go one at a time. */
  readonly workersAtOnce: number;
  /** How long a node may take to be Ready after a restart of containerd. */
  readonly readyTimeoutSeconds: number;
  /** The stack's identity. */
  readonly owner: string;
}

/**
 * All nodes of a workload cluster, each with the registries' CAs in its trust store and loaded by containerd. The
 * program has to run a `NodeService` for the commands of these nodes.
 */
export class TrustedNodes extends pulumi.ComponentResource {
  /** What each node said when it was last touched, by name. */
  readonly nodes: pulumi.Output<readonly NodeTrust[]>;

  constructor(name: string, args: TrustedNodesArgs, opts?: pulumi.ComponentResourceOptions) {
    const { certificates, trustMode, removal, script, owner, readyTimeoutSeconds } = args;
    // What a review is about. Nodes come and go, and show by themselves.
    super("tkc-registry:index:TrustedNodes", name, { script, certificates }, opts);

    const plans = new Map(args.nodes.map((plan) => [plan.node.name, plan]));
    // Made before all nodes and so deleted after them: a run that is killed leaves nodes that the state doesn't know of.
    const sweep = new command.local.Command(
      `${name}-sweep`,
      {
        create: "true",
        delete: removalCommand("sweep", removal),
        environment: {
          ...connectionEnvironment(args.connection),
          TKC_REGISTRY_OWNER: owner,
          ...(Object.keys(args.hostKeys).length === 0
            ? {}
            : { TKC_REGISTRY_HOST_KEYS: JSON.stringify(args.hostKeys) }),
          ...readyTimeoutEnvironment(readyTimeoutSeconds),
        },
        logging: command.local.Logging.Stderr,
      },
      { parent: this, dependsOn: dependencies(opts) },
    );
    const trusted = new Map<string, TrustedNode>();
    const lanes = planLanes(
      args.nodes.map(({ node }) => node),
      args.workersAtOnce,
    );
    for (const { node, after } of lanes) {
      const trustedNode = new TrustedNode(
        node.name,
        {
          ...plans.get(node.name)!,
          certificates,
          trustMode,
          removal,
          scriptSha256: script.sha256,
          owner,
          readyTimeoutSeconds,
          // Those after others wait for what these waited for.
          after: after.length === 0 ? [sweep] : after.map((name) => trusted.get(name)!.done),
        },
        { parent: this },
      );
      trusted.set(node.name, trustedNode);
    }

    this.nodes = pulumi.all([...trusted.values()].map((node) => node.trust));
    // The engine writes the whole state at each step: the nodes are in the stack's outputs once. Those are only set by a
    // run that came to its end; what later runs hold a registry to is kept from the first moment.
    this.registerOutputs({ certificates });
  }
}
