/** The jumpbox pod as plain data: the component declares it, and the Supervisor is asked beforehand whether it takes it. */
import { readFileSync } from "node:fs";
import * as path from "node:path";
import { packageRoot } from "../support/build";
import { jumpboxContainer, replacesVariable } from "../support/names";

/** What the pod runs: the parts of one script, but for the one that installs an SSH client where nothing may be. */
function jumpboxScript(install: boolean): string {
  const parts = ["1-key.sh", ...(install ? ["2-client.sh"] : []), "3-wait.sh"];
  const folder = path.join(packageRoot, "nodes", "script", "jumpbox");
  return parts.map((name) => readFileSync(path.join(folder, name), "utf8")).join("");
}

/** What the pod's spec depends on. */
export interface JumpboxPodSpec {
  /** An image with bash, nc or socat, for the relay; with apt if people want an SSH client in it. */
  readonly image: string;
  /** The workload cluster, whose secret `<cluster>-ssh` is mounted. */
  readonly cluster: string;
  /** The Secret of the pod's namespace by which its image is pulled. */
  readonly pullSecret?: string | undefined;
  /** Whether an SSH client is installed for people. Default: true. */
  readonly install?: boolean;
  /** The UID of the pod that it is made in place of, as that one is gone, or dead. */
  readonly replaces?: string | undefined;
}

/** The pod's spec. */
export function jumpboxPod({ install = true, pullSecret, ...args }: JumpboxPodSpec) {
  return {
    ...(pullSecret === undefined ? {} : { imagePullSecrets: [{ name: pullSecret }] }),
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    terminationGracePeriodSeconds: 5,
    securityContext: { seccompProfile: { type: "RuntimeDefault" } },
    containers: [
      {
        name: jumpboxContainer,
        image: args.image,
        imagePullPolicy: "IfNotPresent",
        ...(args.replaces === undefined ? {} : { env: [{ name: replacesVariable, value: args.replaces }] }),
        command: ["/bin/sh", "-c", jumpboxScript(install)],
        // root, as it writes /root/.ssh and runs apt; with only what apt and dpkg need of root's powers.
        securityContext: {
          runAsUser: 0,
          allowPrivilegeEscalation: false,
          ...(install
            ? {
                capabilities: { drop: ["ALL"], add: ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"] },
              }
            : { capabilities: { drop: ["ALL"] }, readOnlyRootFilesystem: true }),
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
  };
}
