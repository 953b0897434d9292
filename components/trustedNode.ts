import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { NodeSelection } from "../kubernetes/selection";
import type { ClusterNode } from "../kubernetes/types";
import { parseCaReport, parseContainerdReport } from "../nodes/protocol/report";
import { type NodeConnection, connectionEnvironment } from "../nodes/protocol/spec";
import { serviceCommand } from "../nodes/service/serviceProtocol";
import { type NodeCommand, readyTimeoutEnvironment } from "../plan/nodeCommand";

/** What a command for all nodes of the cluster needs, also for nodes that the state does not know. */
export interface AllNodesArgs {
  /** How to connect to the nodes that exist when the stack is destroyed. */
  readonly connection: NodeConnection;
  /** Host keys by node name, `SHA256:…`, where the settings give them. */
  readonly hostKeys: Readonly<Record<string, string>>;
  /** How long a node may take to be Ready after a restart of containerd. */
  readonly readyTimeoutSeconds: number;
  /** The stack's readable name. */
  readonly owner: string;
  /** The id of these nodes: an `Identity`'s. */
  readonly id: pulumi.Input<string>;
  /** The owner under which a release that made no ids recorded what the stack has on nodes. */
  readonly former?: string | undefined;
  /** Which nodes the stack's runs have meant, this one's last. Left out where this one means all. */
  readonly selections?: readonly NodeSelection[] | undefined;
}

/** The environment of such a command. */
export function allNodesEnvironment({
  connection,
  hostKeys,
  readyTimeoutSeconds,
  owner,
  id,
  former,
  selections,
}: AllNodesArgs): Record<string, pulumi.Input<string>> {
  return {
    ...connectionEnvironment(connection),
    TKC_REGISTRY_OWNER: owner,
    TKC_REGISTRY_ID: id,
    ...(former === undefined ? {} : { TKC_REGISTRY_FORMER_OWNER: former }),
    ...(selections === undefined ? {} : { TKC_REGISTRY_SELECTIONS: JSON.stringify(selections) }),
    ...(Object.keys(hostKeys).length === 0 ? {} : { TKC_REGISTRY_HOST_KEYS: JSON.stringify(hostKeys) }),
    ...readyTimeoutEnvironment(readyTimeoutSeconds),
  };
}

/** Arguments of {@link TrustedNode}. */
export interface TrustedNodeArgs {
  /** The node as the workload cluster's API shows it. */
  readonly node: ClusterNode;
  /** What it runs there, and with what. */
  readonly command: NodeCommand;
  /** Identifies the installation. A changed nonce makes Pulumi install again. */
  readonly nonce: pulumi.Input<string>;
  /** What its command is going to print again, where that is known. */
  readonly repeats: string | undefined;
  /** The stack's id, under which the node records what was installed. */
  readonly id: pulumi.Input<string>;
  /** What must be there before the node is touched, and outlive it. */
  readonly after: readonly pulumi.Input<pulumi.Resource>[];
}

/** A node and its report from the last run that reached it. */
export interface NodeTrust extends Pick<ClusterNode, "name" | "role" | "address" | "osImage"> {
  /** Why the node was left as it was, as an error's code: it could not be reached. The rest is then unknown. */
  readonly skipped?: string;
  /** `photon`, `debian` or `rhel`: how the node's trust store is kept. */
  readonly trustStore?: string;
  /** `system`: by the trust store. `certs.d`: by containerd's folder for the registry. */
  readonly trust?: string | undefined;
  /** The host key, `SHA256:…`, that later runs insist on. */
  readonly hostKey?: string | undefined;
  /** SHA-256 of each certificate installed. */
  readonly certificates?: readonly string[];
  /** Files, not ours, by which the node trusts one of them too. */
  readonly alsoTrustedBy?: readonly string[];
  /** When the containerd that has loaded them was started, ISO 8601. */
  readonly containerdStarted?: string;
}

/**
 * One node's trust: the CA in its trust store, and a containerd that has loaded it. Deleting it takes the CA out
 * again and restarts containerd. The program has to run a `NodeService` for its commands.
 */
export class TrustedNode extends pulumi.ComponentResource {
  /** The node and its last report. */
  readonly trust: pulumi.Output<NodeTrust>;
  /** Exists when the node is done: what comes after the node need wait for nothing else of it. */
  readonly done: pulumi.Resource;

  constructor(name: string, args: TrustedNodeArgs, opts?: pulumi.ComponentResourceOptions) {
    // Its commands record all the rest, and the engine writes the whole state at each step.
    super("tkc-registry:index:TrustedNode", name, { node: args.node.name }, opts);
    // What changes runs `create` again in place; `triggers` would replace the command, whose delete runs after its
    // create, and so takes out the CA that was just installed. The delete runs with no program: all that it needs is
    // in the environment.
    const ca = new command.local.Command(
      `${name}-ca`,
      {
        ...args.command,
        environment: {
          ...args.command.environment,
          TKC_REGISTRY_ID: args.id,
          TKC_REGISTRY_NONCE: args.nonce,
        },
        logging: command.local.Logging.Stderr,
      },
      { parent: this, dependsOn: [...args.after] },
    );
    // The engine knows in no preview what a command that it runs will print. By the URN, so that the SDK knows the source.
    const { repeats } = args;
    const printed = ca.urn.apply(() =>
      pulumi.runtime.isDryRun() && repeats !== undefined ? pulumi.output(repeats) : ca.stdout,
    );
    // No delete: the CA's own takes it out, restarts containerd and waits, in that order. Its name is short, as the
    // engine's table shows what became of it behind the longest name.
    const containerd = new command.local.Command(
      `${name}-up`,
      {
        create: serviceCommand("containerd restart"),
        environment: { TKC_REGISTRY_ID: args.id, TKC_REGISTRY_CA: printed },
        logging: command.local.Logging.Stderr,
      },
      { parent: this, aliases: [{ name: `${name}-containerd` }] },
    );
    this.done = containerd;

    this.trust = pulumi
      .all([ca.stdout, containerd.stdout])
      .apply(([caOutput, containerdOutput]): NodeTrust => {
        // Not the runtime: right after a restart kubelet reports `containerd://Unknown`, and the next run a change.
        const { name, role, address, osImage } = args.node;
        const node = { name, role, address, osImage };
        const installed = parseCaReport(caOutput);
        const { hostKey } = installed;
        if ("skipped" in installed) return { ...node, skipped: installed.skipped, hostKey };
        const loaded = parseContainerdReport(containerdOutput);
        return {
          ...node,
          trustStore: installed.os,
          trust: installed.trust,
          hostKey,
          certificates: installed.sha256,
          alsoTrustedBy: installed.alsoTrustedBy,
          ...("skipped" in loaded
            ? { skipped: loaded.skipped }
            : { containerdStarted: loaded.containerdStarted }),
        };
      });
    // The stack's outputs hold it.
    this.registerOutputs({});
  }
}
