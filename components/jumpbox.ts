import { Pod } from "@pulumi/kubernetes/core/v1/pod";
import * as pulumi from "@pulumi/pulumi";
import { type JumpboxPodSpec, jumpboxPod } from "../plan/jumpboxPod";
import { ownerMetadata } from "../plan/ownership";
import { dependencies, withoutDependencies } from "./options";

/** Arguments of {@link Jumpbox}. */
export interface JumpboxArgs extends JumpboxPodSpec {
  /** The pod's name. */
  readonly name: string;
  /** The Supervisor namespace, which holds the cluster's SSH secret. */
  readonly namespace: string;
  /** The stack's readable name, put on the pod as a label. */
  readonly owner: string;
  /** The stack's id, put on the pod as a label. */
  readonly id: pulumi.Input<string>;
}

/**
 * A pod in the Supervisor namespace from which the nodes' private addresses can be reached. The stack uses it as a
 * relay only: SSH runs end to end between the operator's machine and the node. The key is mounted and an SSH
 * client installed, where that is not turned off, for people who want to log in to a node by hand.
 */
export class Jumpbox extends pulumi.ComponentResource {
  /** The pod's name. */
  readonly podName: pulumi.Output<string>;

  constructor(name: string, args: JumpboxArgs, opts?: pulumi.ComponentResourceOptions) {
    super("tkc-registry:index:Jumpbox", name, args, withoutDependencies(opts));

    const pod = new Pod(
      name,
      {
        metadata: { name: args.name, namespace: args.namespace, ...ownerMetadata(args) },
        spec: jumpboxPod(args),
      },
      { parent: this, dependsOn: dependencies(opts) },
    );

    this.podName = pod.metadata.name;
    this.registerOutputs({ podName: this.podName });
  }
}
