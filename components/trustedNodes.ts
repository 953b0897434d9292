import * as pulumi from "@pulumi/pulumi";
import type { ClusterNode } from "../cluster/types";
import type { Access, SshKeySource } from "../nodes/spec";
import type { TrustedCa } from "../registry/types";
import { planLanes } from "./lanes";
import { dependencies } from "./options";
import { type NodeTrust, TrustedNode } from "./trustedNode";

/** Arguments of {@link TrustedNodes}. */
export interface TrustedNodesArgs {
  /** The cluster's nodes; at least one. A plain list, as it decides how many resources there are. */
  readonly nodes: readonly ClusterNode[];
  /** The registries' CAs. */
  readonly cas: readonly TrustedCa[];
  /** What runs on the nodes; `preview --diff` shows what changed in it. Each command runs only what has this SHA-256. */
  readonly script: { readonly text: string; readonly sha256: string };
  /** How nodes are reached. */
  readonly access: Access;
  /** The nodes' SSH user. */
  readonly user: string;
  /** Where the SSH key is; the key itself never gets here. */
  readonly sshKey: SshKeySource;
  /** Host keys by node name, `SHA256:…`; a node without one is trusted at first contact and pinned from then on. */
  readonly hostKeys: Readonly<Record<string, string>>;
  /** kubeconfig context of the workload cluster. */
  readonly clusterContext: string;
  /** How many workers are done at once. Control-plane nodes always go one at a time. */
  readonly workersAtOnce: number;
  /** How long a node may take to be Ready after a restart of containerd. */
  readonly readyTimeoutSeconds: number;
  /** The stack's identity. */
  readonly owner: string;
}

/** All nodes of a workload cluster, each with the registries' CAs in its trust store and loaded by containerd. */
export class TrustedNodes extends pulumi.ComponentResource {
  /** What each node said when it was last touched, by name. */
  readonly nodes: pulumi.Output<readonly NodeTrust[]>;

  constructor(name: string, args: TrustedNodesArgs, opts?: pulumi.ComponentResourceOptions) {
    const certificates = args.cas.flatMap((ca) =>
      ca.certificates.map(({ sha256 }) => ({ registry: ca.registry, sha256 })),
    );
    // What a review is about. Nodes come and go, and show by themselves.
    super("tkc-registry:index:TrustedNodes", name, { script: args.script, certificates }, opts);
    const pem = args.cas.flatMap((ca) => ca.certificates.map((certificate) => certificate.pem)).join("");

    const done = new Map<string, TrustedNode>();
    for (const { node, after } of planLanes(args.nodes, args.workersAtOnce)) {
      const hostKey = args.hostKeys[node.name];
      const trustedNode = new TrustedNode(
        node.name,
        {
          node,
          target: {
            name: node.name,
            uid: node.uid,
            machineId: node.machineId,
            address: node.address,
            port: 22,
            user: args.user,
            access: args.access,
            sshKey: args.sshKey,
            clusterContext: args.clusterContext,
            ...(hostKey === undefined ? {} : { hostKey }),
          },
          certificates,
          pem,
          scriptSha256: args.script.sha256,
          owner: args.owner,
          readyTimeoutSeconds: args.readyTimeoutSeconds,
        },
        { parent: this, dependsOn: [...dependencies(opts), ...after.map((name) => done.get(name)!)] },
      );
      done.set(node.name, trustedNode);
    }

    this.nodes = pulumi.all([...done.values()].map((node) => node.trust));
    this.registerOutputs({ nodes: this.nodes });
  }
}
