import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { ClusterNode } from "../kubernetes/types";
import type { TrustedCertificate } from "../nodes/protocol/spec";
import { serviceCommand } from "../nodes/service/serviceProtocol";
import type { CanaryPlan } from "../plan/canary";
import { type Turn, planLanes } from "../plan/lanes";
import type { NodePlan } from "../plan/nodes";
import { type RemovalArgs, removalCommand } from "../plan/nodeCommand";
import { formatChange, isTold } from "../plan/reasons";
import type { WaveEnd } from "../plan/waves";
import { dependencies, withoutDependencies } from "./options";
import { canaryEnvironment } from "./plannedRun";
import { type AllNodesArgs, type NodeTrust, TrustedNode, allNodesEnvironment } from "./trustedNode";

/** Arguments of {@link TrustedNodes}. */
export interface TrustedNodesArgs extends AllNodesArgs {
  /** The cluster's nodes; at least one. A plain list, as it decides how many resources there are. */
  readonly nodes: readonly NodePlan[];
  /** What each of them is to trust. */
  readonly certificates: readonly TrustedCertificate[];
  /** How to remove the certificates. */
  readonly removal: RemovalArgs;
  /** The node script. `preview --diff` shows its changes; each command runs only the script with this SHA-256. */
  readonly script: { readonly text: string; readonly sha256: string };
  /** The ends of waves, by their numbers. */
  readonly waveEnds: ReadonlyMap<number, WaveEnd>;
  /** The order in which they are done, each after those that it waits for. */
  readonly order: readonly Turn<Pick<ClusterNode, "name">>[];
  /** The node that goes first, and what it pulls before the others. */
  readonly canary: CanaryPlan;
}

/** A node's name without the cluster's, with which those of one cluster begin. */
const nodeName = (node: string, cluster = ""): string =>
  node.startsWith(`${cluster}-`) ? node.slice(cluster.length + 1) : node;

/**
 * All nodes of a workload cluster, each with the registries' CAs in its trust store and loaded by containerd. The
 * program has to run a `NodeService` for the commands of these nodes.
 */
export class TrustedNodes extends pulumi.ComponentResource {
  /** What each node said when it was last touched, by name. */
  readonly nodes: pulumi.Output<readonly NodeTrust[]>;

  constructor(name: string, args: TrustedNodesArgs, opts?: pulumi.ComponentResourceOptions) {
    const { certificates, removal, script, id } = args;
    const { first, pull } = args.canary;
    // Only what a reviewer of the preview needs. Nodes are resources and appear by themselves.
    super("tkc-registry:index:TrustedNodes", name, { script, certificates }, withoutDependencies(opts));

    // Created before all nodes and so deleted after them: a killed run may have changed nodes that the state lacks.
    const sweep = new command.local.Command(
      `${name}-sweep`,
      {
        create: "true",
        delete: removalCommand("sweep", removal),
        environment: allNodesEnvironment(args),
        logging: command.local.Logging.Stderr,
      },
      { parent: this, dependsOn: dependencies(opts) },
    );
    const trusted = new Map<string, TrustedNode>();
    const plans = new Map(args.nodes.map((plan) => [plan.node.name, plan]));
    let canary: pulumi.Resource | undefined;
    // No delete: what it did left nothing. A run with nothing to do declares it as the state has it.
    const pullAfter = (after: pulumi.Resource): pulumi.Resource =>
      new command.local.Command(
        `${name}-canary`,
        {
          create: serviceCommand("canary pull"),
          environment: { TKC_REGISTRY_ID: id, ...canaryEnvironment(pull) },
          logging: command.local.Logging.Stderr,
        },
        { parent: this, dependsOn: [after] },
      );
    const doneOf = (name: string): pulumi.Resource =>
      name === first && canary ? canary : trusted.get(name)!.done;
    const ends = new Map<number, pulumi.Resource>();
    const endOf = ({ wave, digest }: WaveEnd, after: readonly pulumi.Resource[]): pulumi.Resource => {
      const end =
        ends.get(wave) ??
        // It has no delete: at `destroy` nothing waits between waves.
        new command.local.Command(
          `${name}-wave-${wave}`,
          {
            create: serviceCommand(`wave ${wave}`),
            environment: { TKC_REGISTRY_ID: id, TKC_REGISTRY_WAVE: digest },
            logging: command.local.Logging.Stderr,
          },
          { parent: this, dependsOn: [...after] },
        );
      ends.set(wave, end);
      return end;
    };
    for (const { node: turn, after: names, gate } of args.order) {
      const plan = plans.get(turn.name)!;
      const { node } = plan;
      const before = names.map(doneOf);
      const end = gate && args.waveEnds.get(gate.wave);
      const short = nodeName(node.name, args.connection.cluster?.name);
      const trustedNode = new TrustedNode(
        `${name}-${short}`,
        {
          ...plan,
          id,
          // Those after others wait for what these waited for.
          after: before.length === 0 ? [sweep] : end ? [endOf(end, before)] : before,
        },
        // Before sets of nodes had names of their own, the node's whole name was the resource's.
        { parent: this, aliases: short === node.name ? [{ name: node.name }] : [] },
      );
      trusted.set(node.name, trustedNode);
      if (isTold(plan.change)) void pulumi.log.info(formatChange(plan.change), trustedNode);
      if (node.name === pull?.node) canary = pullAfter(trustedNode.done);
    }
    if (pull && !canary) pullAfter(sweep);
    // Where the node that goes first is all that comes after a wave, nothing waits for the wave's end.
    for (const end of args.waveEnds.values()) endOf(end, end.nodes.map(doneOf));

    // In one order, whatever the order of the run: the stack's outputs have them.
    const listed = planLanes(
      args.nodes.map(({ node }) => node),
      1,
    );
    this.nodes = pulumi.all(listed.map(({ node }) => trusted.get(node.name)!.trust));
    // A small state matters, as the engine writes all of it at each step: the nodes are only in the stack's outputs. A
    // failed run does not set those, and later runs need the trusted certificates, so they are registered here.
    this.registerOutputs({ certificates });
  }
}
