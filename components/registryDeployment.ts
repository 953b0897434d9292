import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { ownerMetadata } from "../plan/ownership";
import { type PodTemplate, podLabels, podSpec } from "../plan/podTemplate";
import { dependencies, withoutDependencies } from "./options";

/** Arguments of {@link RegistryDeployment}. */
export interface RegistryDeploymentArgs {
  /** The Deployment's name. */
  readonly name: string;
  readonly namespace: string;
  readonly replicas: number;
  /** What its pods run. */
  readonly pod: PodTemplate;
  /** Whether the values of the pod's `env` are secrets. */
  readonly secret?: boolean;
  /** How long the rollout may take. */
  readonly timeoutSeconds: number;
  /** True where the Deployment was there before the stack: then it outlives it, unless `deleteAdopted`. */
  readonly adopted: boolean;
  /** Whether an adopted Deployment is deleted with the stack. */
  readonly deleteAdopted: boolean;
  /** The stack's readable name, put on the Deployment as a label. */
  readonly owner: string;
  /** The stack's id, put on the Deployment as a label. */
  readonly id: pulumi.Input<string>;
}

/** A Deployment whose image comes from the private registry; made when its pods can be pulled on every node. */
export class RegistryDeployment extends pulumi.ComponentResource {
  /** The Deployment's name. */
  readonly deploymentName: pulumi.Output<string>;
  /** The image that it runs. */
  readonly image: pulumi.Output<string>;
  /** The Deployment's UID. */
  readonly uid: pulumi.Output<string>;

  constructor(name: string, args: RegistryDeploymentArgs, opts?: pulumi.ComponentResourceOptions) {
    const { secret, ...shown } = args;
    const hidden = <T>(value: T): pulumi.Input<T> =>
      secret === true ? (pulumi.secret(value) as pulumi.Output<T>) : value;
    const pod = { ...args.pod, env: hidden(args.pod.env) };
    super("tkc-registry:index:RegistryDeployment", name, { ...shown, pod }, withoutDependencies(opts));

    const spec = podSpec(args.pod);
    const containers = spec.containers.map((container) => ({
      ...container,
      env: container.env.map(({ name, value }) => ({ name, value: hidden(value) })),
    }));
    const labels = podLabels(args.pod);
    const owned = ownerMetadata(args, args.adopted);
    const deployment = new k8s.apps.v1.Deployment(
      name,
      {
        metadata: {
          name: args.name,
          namespace: args.namespace,
          labels: { ...labels, ...owned.labels },
          annotations: { ...owned.annotations, "pulumi.com/timeoutSeconds": String(args.timeoutSeconds) },
        },
        spec: {
          replicas: args.replicas,
          selector: { matchLabels: labels },
          template: { metadata: { labels }, spec: { ...spec, containers } },
        },
      },
      { parent: this, dependsOn: dependencies(opts), retainOnDelete: args.adopted && !args.deleteAdopted },
    );

    this.deploymentName = deployment.metadata.name;
    this.uid = deployment.metadata.uid;
    this.image = pulumi.output(args.pod.image);
    this.registerOutputs({ deploymentName: this.deploymentName, image: this.image });
  }
}
