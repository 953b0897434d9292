import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { ClusterNode } from "../cluster/types";
import { parseCaReport, parseContainerdReport } from "../nodes/report";
import { serviceCommand } from "../nodes/serviceProtocol";
import { type NodeTarget, type TrustedCertificate, nodeEnvironment, usual } from "../nodes/spec";

/** Arguments of {@link TrustedNode}. */
export interface TrustedNodeArgs {
  /** The node as the workload cluster's API shows it. */
  readonly node: ClusterNode;
  /** The way to the node. */
  readonly target: NodeTarget;
  /** The certificates that the node is to trust. */
  readonly certificates: readonly TrustedCertificate[];
  /** Names the installation: with another one than last time the node is looked after. */
  readonly nonce: pulumi.Input<string>;
  /** SHA-256 of the script that may run on the node. */
  readonly scriptSha256: string;
  /** The stack's identity, under which the node records what was installed. */
  readonly owner: string;
  /** How long the node may take to be Ready after a restart of containerd. */
  readonly readyTimeoutSeconds: number;
  /** What must be there before the node is touched, and outlive it. */
  readonly after: readonly pulumi.Input<pulumi.Resource>[];
}

/** A node, and what it said of itself at the last run that touched it. */
export interface NodeTrust extends Pick<
  ClusterNode,
  "name" | "role" | "address" | "osImage" | "containerRuntime"
> {
  /** `photon` or `debian`: how the node's trust store is kept. */
  readonly trustStore: string;
  /** The host key, `SHA256:…`, that later runs insist on. */
  readonly hostKey: string;
  /** SHA-256 of each certificate installed. */
  readonly certificates: readonly string[];
  /** Files, not ours, by which the node trusts one of them too. */
  readonly alsoTrustedBy: readonly string[];
  /** When the containerd that has loaded them was started, ISO 8601. */
  readonly containerdStarted: string;
}

/**
 * One node's trust: the CA in its trust store, and a containerd that has loaded it. Deleting it takes the CA out
 * again and restarts containerd. The program has to run a `NodeService` for its commands.
 */
export class TrustedNode extends pulumi.ComponentResource {
  /** The node as the API has it, and what it said when it was last touched. */
  readonly trust: pulumi.Output<NodeTrust>;
  /** Exists when the node is done: what comes after the node need wait for nothing else of it. */
  readonly done: pulumi.Resource;

  constructor(name: string, args: TrustedNodeArgs, opts?: pulumi.ComponentResourceOptions) {
    // Its commands record all the rest, and the engine writes the whole state at each step.
    super("tkc-registry:index:TrustedNode", name, { node: args.node.name }, opts);
    const environment = {
      ...nodeEnvironment(args.target),
      TKC_REGISTRY_OWNER: args.owner,
      TKC_REGISTRY_TRUST: JSON.stringify(args.certificates),
      TKC_REGISTRY_SCRIPT_SHA256: args.scriptSha256,
      TKC_REGISTRY_NONCE: args.nonce,
      ...(args.readyTimeoutSeconds === usual.readyTimeout
        ? {}
        : { TKC_REGISTRY_READY_TIMEOUT: String(args.readyTimeoutSeconds) }),
    };

    // What changes runs `create` again in place; `triggers` would replace the command, whose delete runs after its
    // create, and so takes out the CA that was just installed. The delete runs with no program: all that it needs is
    // in the environment.
    const ca = new command.local.Command(
      `${name}-ca`,
      {
        create: serviceCommand(args.owner, "ca apply"),
        delete: `node -e "require('tkc-registry/run')" v1 ca remove`,
        environment,
        logging: command.local.Logging.Stderr,
      },
      { parent: this, dependsOn: [...args.after] },
    );
    // No delete: the CA's own takes it out, restarts containerd and waits, in that order.
    const containerd = new command.local.Command(
      `${name}-containerd`,
      {
        create: serviceCommand(args.owner, "containerd restart"),
        environment: { TKC_REGISTRY_CA: ca.stdout },
        logging: command.local.Logging.Stderr,
      },
      { parent: this },
    );
    this.done = containerd;

    this.trust = pulumi.all([ca.stdout, containerd.stdout]).apply(([caOutput, containerdOutput]) => {
      const installed = parseCaReport(caOutput);
      const { name, role, address, osImage, containerRuntime } = args.node;
      return {
        ...{ name, role, address, osImage, containerRuntime },
        trustStore: installed.os,
        hostKey: installed.hostKey,
        certificates: installed.sha256,
        alsoTrustedBy: installed.alsoTrustedBy,
        containerdStarted: parseContainerdReport(containerdOutput).containerdStarted,
      };
    });
    // The stack's outputs hold it.
    this.registerOutputs({});
  }
}
