import * as command from "@pulumi/command";
import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { ClusterName } from "../nodes/protocol/spec";
import { ownerMetadata } from "../plan/ownership";
import { dependencies, withoutDependencies } from "./options";

/** One of the Secrets that a {@link PullSecret} keeps. */
export interface PullSecretPlace {
  readonly namespace: string;
  /** The value of `.dockerconfigjson`. Always kept as a secret. */
  readonly dockerConfigJson: pulumi.Input<string>;
  /** True where the Secret was there before the stack: then it outlives it, unless `deleteAdopted`. */
  readonly adopted: boolean;
}

/** Arguments of {@link PullSecret}. */
export interface PullSecretArgs {
  /** The Secret's name, the same in every namespace. */
  readonly name: string;
  /** The namespaces, a plain list as it decides how many resources there are. */
  readonly places: readonly PullSecretPlace[];
  /** Whether each namespace's `default` ServiceAccount is to use it. */
  readonly defaultServiceAccount: boolean;
  /** Whether Secrets that were adopted are deleted with the stack. */
  readonly deleteAdopted: boolean;
  /** kubeconfig context of the workload cluster. */
  readonly clusterContext: string;
  /** What proves the cluster to the commands that run with no program. */
  readonly cluster: ClusterName | undefined;
  /** The stack's readable name, put on each Secret as a label. */
  readonly owner: string;
  /** The stack's id, put on each Secret as a label. */
  readonly id: pulumi.Input<string>;
}

const serviceAccountCommand = (verb: string): string =>
  `node -e "require('tkc-registry/run')" v1 service-account ${verb}`;

/** The Secret by which the workload cluster pulls from the registries, in each namespace that wants it. */
export class PullSecret extends pulumi.ComponentResource {
  /** The Secret's name. */
  readonly secretName: pulumi.Output<string>;
  /** The Secrets' UIDs, in the order of the places. */
  readonly uids: readonly pulumi.Output<string>[];

  constructor(name: string, args: PullSecretArgs, opts?: pulumi.ComponentResourceOptions) {
    const { places, cluster, ...shown } = args;
    const namespaces = places.map(({ namespace }) => namespace);
    super("tkc-registry:index:PullSecret", name, { ...shown, namespaces }, withoutDependencies(opts));

    const secrets = places.map((place) => {
      const secret = new k8s.core.v1.Secret(
        `${name}-${place.namespace}`,
        {
          metadata: {
            name: args.name,
            namespace: place.namespace,
            ...ownerMetadata(args, place.adopted),
          },
          type: "kubernetes.io/dockerconfigjson",
          data: {
            ".dockerconfigjson": pulumi
              .secret(place.dockerConfigJson)
              .apply((json) => Buffer.from(json, "utf8").toString("base64")),
          },
        },
        { parent: this, dependsOn: dependencies(opts), retainOnDelete: place.adopted && !args.deleteAdopted },
      );
      if (args.defaultServiceAccount) {
        // imagePullSecrets is an atomic list: server-side apply would replace other people's entries, so ours is
        // put in and taken out by a read, a change and a conditional write.
        new command.local.Command(
          `${name}-${place.namespace}-default`,
          {
            create: serviceAccountCommand("attach"),
            update: serviceAccountCommand("attach"),
            delete: serviceAccountCommand("detach"),
            environment: {
              TKC_REGISTRY_CLUSTER_CONTEXT: args.clusterContext,
              ...(cluster === undefined ? {} : { TKC_REGISTRY_CLUSTER: JSON.stringify(cluster) }),
              TKC_REGISTRY_NAMESPACE: place.namespace,
              TKC_REGISTRY_SERVICE_ACCOUNT: "default",
              TKC_REGISTRY_PULL_SECRET: args.name,
              // In a cluster that was created anew the ServiceAccount is another one, too.
              TKC_REGISTRY_PULL_SECRET_UID: secret.metadata.uid,
            },
          },
          { parent: this, dependsOn: [secret] },
        );
      }
      return secret;
    });

    this.uids = secrets.map((secret) => secret.metadata.uid);
    this.secretName = secrets[0]?.metadata.name ?? pulumi.output(args.name);
    this.registerOutputs({ secretName: this.secretName });
  }
}
