import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { readFileSync } from "node:fs";
import * as path from "node:path";
import { ownerMetadata } from "../plan/ownership";
import { packageRoot } from "../support/build";
import { jumpboxContainer, replacesVariable } from "../support/names";
import { dependencies } from "./options";

/** Arguments of {@link Jumpbox}. */
export interface JumpboxArgs {
  /** The pod's name. */
  readonly name: string;
  /** The Supervisor namespace, which holds the cluster's SSH secret. */
  readonly namespace: string;
  /** An image with bash, nc or socat, for the relay; with apt if people want an SSH client in it. */
  readonly image: string;
  /** The workload cluster, whose secret `<cluster>-ssh` is mounted. */
  readonly cluster: string;
  /** The stack's readable name, put on the pod as a label. */
  readonly owner: string;
  /** The stack's id, put on the pod as a label. */
  readonly id: pulumi.Input<string>;
  /** The UID of the pod that it is made in place of, as that one is gone, or dead. */
  readonly replaces?: string | undefined;
}

/**
 * A pod in the Supervisor namespace from which the nodes' private addresses can be reached. The stack uses it as a
 * relay only: SSH runs end to end between the operator's machine and the node. The key is mounted and an SSH
 * client installed for people who want to log in to a node by hand.
 */
export class Jumpbox extends pulumi.ComponentResource {
  /** The pod's name. */
  readonly podName: pulumi.Output<string>;

  constructor(name: string, args: JumpboxArgs, opts?: pulumi.ComponentResourceOptions) {
    super("tkc-registry:index:Jumpbox", name, args, opts);

    const pod = new k8s.core.v1.Pod(
      name,
      {
        metadata: { name: args.name, namespace: args.namespace, ...ownerMetadata(args) },
        spec: {
          automountServiceAccountToken: false,
          enableServiceLinks: false,
          terminationGracePeriodSeconds: 5,
          securityContext: { seccompProfile: { type: "RuntimeDefault" } },
          containers: [
            {
              name: jumpboxContainer,
              image: args.image,
              imagePullPolicy: "IfNotPresent",
              ...(args.replaces === undefined
                ? {}
                : { env: [{ name: replacesVariable, value: args.replaces }] }),
              command: [
                "/bin/sh",
                "-c",
                readFileSync(path.join(packageRoot, "nodes", "script", "jumpbox.sh"), "utf8"),
              ],
              // root, as it writes /root/.ssh and runs apt; with only what apt and dpkg need of root's powers.
              securityContext: {
                runAsUser: 0,
                allowPrivilegeEscalation: false,
                capabilities: { drop: ["ALL"], add: ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"] },
              },
              resources: { requests: { cpu: "50m", memory: "64Mi" }, limits: { cpu: "1", memory: "512Mi" } },
              volumeMounts: [
                { name: "ssh-key", mountPath: "/root/ssh", readOnly: true },
                { name: "ssh-home", mountPath: "/root/.ssh" },
              ],
            },
          ],
          volumes: [
            // Optional: the relay works without a key, and a cluster whose nodes take a password has none.
            {
              name: "ssh-key",
              secret: { secretName: `${args.cluster}-ssh`, defaultMode: 0o400, optional: true },
            },
            { name: "ssh-home", emptyDir: { medium: "Memory", sizeLimit: "1Mi" } },
          ],
        },
      },
      { parent: this, dependsOn: dependencies(opts) },
    );

    this.podName = pod.metadata.name;
    this.registerOutputs({ podName: this.podName });
  }
}
