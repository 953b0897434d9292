/** The jumpbox pod as plain data: the component declares it, and the Supervisor is asked beforehand whether it takes it. */
import { readFileSync } from "node:fs";
import * as path from "node:path";
import { packageRoot } from "../support/build";
import { jumpboxContainer, replacesVariable } from "../support/names";

/** The pod's spec. */
export function jumpboxPod(args: {
  readonly image: string;
  readonly cluster: string;
  readonly replaces?: string | undefined;
}) {
  return {
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
  };
}
