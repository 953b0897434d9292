import type { Requirement } from "../kubernetes/selector";

/**
 * The pod that the Deployment runs, as plain data: the component declares it, and the program asks the API server
 * beforehand whether the namespace would take it.
 */
export interface PodTemplate {
  /** The value of the label `app`, by which the Deployment selects its pods. */
  readonly app: string;
  readonly image: string;
  /** In place of the image's entry point; empty for the image's own. */
  readonly command: readonly string[];
  /** In place of the image's arguments; empty for the image's own. */
  readonly args: readonly string[];
  /** The port that the container listens on. */
  readonly port: number;
  /** `tcp`: the pod is ready once something listens on the port; `none`: as soon as it runs. */
  readonly probe: "tcp" | "none";
  /** The user that the container runs as; never root. */
  readonly runAsUser: number;
  /** Folders that the program writes to: each gets a volume of its own. */
  readonly writablePaths: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly resources: { readonly requests: Record<string, string>; readonly limits: Record<string, string> };
  /** Names of the pull secrets. */
  readonly imagePullSecrets: readonly string[];
  /** The nodes that it may run on, by their labels: those of which all conditions of one term hold. Default: all. */
  readonly nodeTerms?: readonly (readonly Requirement[])[];
}

/** The labels by which the Deployment selects its pods: the selector of a Deployment can never be changed. */
export function podLabels(template: PodTemplate): Record<string, string> {
  return { app: template.app };
}

/**
 * A list under its name, unless it is empty. The Kubernetes provider drops empty lists once all of an object is known: a
 * plan that was saved before that would not hold.
 */
function unlessEmpty<Name extends string, Item>(
  name: Name,
  list: readonly Item[],
): { readonly [name in Name]?: Item[] } {
  return list.length > 0 ? ({ [name]: [...list] } as Record<Name, Item[]>) : {};
}

const nodeAffinity = (terms: readonly (readonly Requirement[])[]) => ({
  requiredDuringSchedulingIgnoredDuringExecution: {
    nodeSelectorTerms: terms.map((term) => ({
      matchExpressions: term.map(({ key, operator, values }) => ({
        ...{ key, operator },
        ...(values.length > 0 ? { values: [...values] } : {}),
      })),
    })),
  },
});

/** A pod spec that Pod Security's `restricted` profile admits. */
export function podSpec(template: PodTemplate) {
  return {
    automountServiceAccountToken: false,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: template.runAsUser,
      runAsGroup: template.runAsUser,
      seccompProfile: { type: "RuntimeDefault" },
      // A "safe" sysctl, which `restricted` allows: without it nobody but root listens below port 1024.
      ...(template.port < 1024
        ? { sysctls: [{ name: "net.ipv4.ip_unprivileged_port_start", value: "0" }] }
        : {}),
    },
    containers: [
      {
        name: template.app,
        image: template.image,
        ...unlessEmpty("command", template.command),
        ...unlessEmpty("args", template.args),
        ports: [{ containerPort: template.port }],
        ...unlessEmpty(
          "env",
          Object.entries(template.env).map(([name, value]) => ({ name, value })),
        ),
        resources: template.resources,
        ...(template.probe === "tcp" ? { readinessProbe: { tcpSocket: { port: template.port } } } : {}),
        securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
        ...unlessEmpty(
          "volumeMounts",
          template.writablePaths.map((mountPath, index) => ({ name: `writable-${index}`, mountPath })),
        ),
      },
    ],
    ...unlessEmpty(
      "volumes",
      template.writablePaths.map((_, index) => ({ name: `writable-${index}`, emptyDir: {} })),
    ),
    ...unlessEmpty(
      "imagePullSecrets",
      template.imagePullSecrets.map((name) => ({ name })),
    ),
    ...(template.nodeTerms ? { affinity: { nodeAffinity: nodeAffinity(template.nodeTerms) } } : {}),
  };
}
