import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { ClusterNode } from "../kubernetes/types";
import { parseCaReport, parseContainerdReport } from "../nodes/protocol/report";
import {
  type NodeConnection,
  type NodeEnvironment,
  type NodeTarget,
  type TrustMode,
  type TrustedCertificate,
  type UnreachablePolicy,
  connectionEnvironment,
  nodeEnvironment,
  defaults,
} from "../nodes/protocol/spec";
import { serviceCommand } from "../nodes/service/serviceProtocol";

/** How to remove the certificates. At `destroy` no program runs. */
export interface RemovalArgs {
  /** Whether an unreachable node fails the run or is skipped. */
  readonly unreachable: UnreachablePolicy;
  /** Whether to restart a containerd that has loaded the certificates after they are removed. */
  readonly restart: boolean;
}

/** The delete command that the state records. Its arguments and environment hold all that it needs. */
export function removalCommand(verb: "remove" | "sweep", { unreachable, restart }: RemovalArgs): string {
  const options = [
    ...(unreachable === "fail" ? [] : ["--unreachable", unreachable]),
    ...(restart ? [] : ["--no-restart"]),
  ];
  return [`node -e "require('tkc-registry/run')" v1 ca ${verb}`, ...options].join(" ");
}

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
}

/** The environment of such a command. */
export function allNodesEnvironment({
  connection,
  hostKeys,
  readyTimeoutSeconds,
  owner,
  id,
  former,
}: AllNodesArgs): Record<string, pulumi.Input<string>> {
  return {
    ...connectionEnvironment(connection),
    TKC_REGISTRY_OWNER: owner,
    TKC_REGISTRY_ID: id,
    ...(former === undefined ? {} : { TKC_REGISTRY_FORMER_OWNER: former }),
    ...(Object.keys(hostKeys).length === 0 ? {} : { TKC_REGISTRY_HOST_KEYS: JSON.stringify(hostKeys) }),
    ...readyTimeoutEnvironment(readyTimeoutSeconds),
  };
}

/** The environment for a timeout that differs from the default. */
function readyTimeoutEnvironment(seconds: number): NodeEnvironment {
  return seconds === defaults.readyTimeout ? {} : { TKC_REGISTRY_READY_TIMEOUT: String(seconds) };
}

/** Arguments of {@link TrustedNode}. */
export interface TrustedNodeArgs {
  /** The node as the workload cluster's API shows it. */
  readonly node: ClusterNode;
  /** How to connect to the node. */
  readonly target: NodeTarget;
  /** The certificates that the node is to trust. */
  readonly certificates: readonly TrustedCertificate[];
  /** Identifies the installation. A changed nonce makes Pulumi install again. */
  readonly nonce: pulumi.Input<string>;
  /** The trust mode. */
  readonly trustMode: TrustMode;
  /** How to remove the certificates. */
  readonly removal: RemovalArgs;
  /** SHA-256 of the script that may run on the node. */
  readonly scriptSha256: string;
  /** The stack's readable name, which the node records with what was installed. */
  readonly owner: string;
  /** The stack's id, under which the node records what was installed. */
  readonly id: pulumi.Input<string>;
  /** How long the node may take to be Ready after a restart of containerd. */
  readonly readyTimeoutSeconds: number;
  /** What must be there before the node is touched, and outlive it. */
  readonly after: readonly pulumi.Input<pulumi.Resource>[];
}

/** A node and its report from the last run that reached it. */
export interface NodeTrust extends Pick<ClusterNode, "name" | "role" | "address" | "osImage"> {
  /** Why the node was left as it was, as an error's code: it could not be reached. The rest is then unknown. */
  readonly skipped?: string;
  /** `photon` or `debian`: how the node's trust store is kept. */
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
    const environment = {
      ...nodeEnvironment(args.target),
      TKC_REGISTRY_OWNER: args.owner,
      TKC_REGISTRY_ID: args.id,
      TKC_REGISTRY_TRUST: JSON.stringify(args.certificates),
      ...(args.trustMode === defaults.trustMode ? {} : { TKC_REGISTRY_TRUST_BY: args.trustMode }),
      TKC_REGISTRY_SCRIPT_SHA256: args.scriptSha256,
      TKC_REGISTRY_NONCE: args.nonce,
      ...readyTimeoutEnvironment(args.readyTimeoutSeconds),
    };

    // What changes runs `create` again in place; `triggers` would replace the command, whose delete runs after its
    // create, and so takes out the CA that was just installed. The delete runs with no program: all that it needs is
    // in the environment.
    const ca = new command.local.Command(
      `${name}-ca`,
      {
        create: serviceCommand("ca apply"),
        delete: removalCommand("remove", args.removal),
        environment,
        logging: command.local.Logging.Stderr,
      },
      { parent: this, dependsOn: [...args.after] },
    );
    // No delete: the CA's own takes it out, restarts containerd and waits, in that order.
    const containerd = new command.local.Command(
      `${name}-containerd`,
      {
        create: serviceCommand("containerd restart"),
        environment: { TKC_REGISTRY_ID: args.id, TKC_REGISTRY_CA: ca.stdout },
        logging: command.local.Logging.Stderr,
      },
      { parent: this },
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
