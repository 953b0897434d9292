/**
 * The Supervisor: a Kubernetes of its own on one machine, which runs the namespace's pods too; the login endpoint; and
 * what a vSphere namespace with a workload cluster holds.
 */
import { images, type ImageCache } from "./image";
import {
  adminKubeconfig,
  controlPlaneFiles,
  hostsFile,
  kubernetesAuthority,
  machineEnvironment,
  nodeFiles,
  type AdminClient,
  type Kubernetes,
} from "./kubernetes";
import type { MachineFile, Machines, MachineSpec } from "./machines";
import { issue, rsaKey, type Authority } from "./pki";
import type { LabState } from "./state";
import {
  audiences,
  cluster,
  kubernetesUser,
  loginServer,
  management,
  supervisor,
  vcenterStranger,
  vcenterUser,
  workload,
} from "./topology";
import { eventually } from "./waiting";
import { clusterSshKey, workloadKubernetes } from "./workload";

export const supervisorKubernetes: Kubernetes = {
  name: supervisor.name,
  address: supervisor.address,
  serviceSubnet: supervisor.serviceSubnet,
  audience: audiences.supervisor,
};

/** The authority of the Supervisor's certificates: those of its login and of its API, as on a real one. */
export function loginAuthority(): Promise<Authority> {
  return kubernetesAuthority(supervisorKubernetes);
}

/** How long a Supervisor's tokens are good for. */
const defaultTokenLifetime = "10h";
const tokenSettings = "/etc/wcp/token.env";
const loginSettings = "/etc/wcp/config.json";

export async function supervisorMachine(
  state: LabState,
  cache: ImageCache,
  tools: { readonly kubernetes: string; readonly wcp: string },
): Promise<MachineSpec> {
  const login = await loginAuthority();
  const [serving, signingKey, controlPlane, node] = await Promise.all([
    issue(login, "login", { commonName: supervisor.address, names: [`IP:${supervisor.address}`] }),
    rsaKey("login-tokens"),
    controlPlaneFiles(supervisorKubernetes, login),
    nodeFiles(supervisorKubernetes, { ...supervisor, controlPlane: false }),
  ]);
  return {
    name: supervisor.name,
    image: images.debian,
    wiring: { network: management, addresses: [supervisor.address], podSubnet: supervisor.podSubnet },
    trees: ["common", "kubernetes", "api-server", "control-plane", "supervisor"],
    units: ["containerd.service"],
    mounts: {
      "/opt/kubernetes": tools.kubernetes,
      "/opt/wcp/wcp": tools.wcp,
      "/opt/images/pause.tar": cache.archives.pause,
      "/opt/images/ubuntu.tar": cache.archives.ubuntu,
    },
    files: {
      ...controlPlane,
      ...node,
      ...hostsFile(supervisor.name),
      ...machineEnvironment({
        NODE_NAME: supervisor.name,
        NODE_ADDRESS: supervisor.address,
        SERVICE_SUBNET: supervisor.serviceSubnet,
        LOGIN_SERVER: loginServer,
        POD_SUBNET: supervisor.podSubnet,
        KEEP_SOURCE_TO: workload.subnet,
      }),
      [tokenSettings]: { content: tokenEnvironment(defaultTokenLifetime) },
      // With its authority, as who pins a fingerprint needs: that is what the API's certificate is from too.
      "/etc/wcp/server.crt": { content: serving.certificate + login.certificate },
      "/etc/wcp/server.key": { content: serving.key, mode: 0o600 },
      "/etc/wcp/signing.key": { content: signingKey, mode: 0o600 },
      [loginSettings]: await loginConfiguration(state, true),
    },
  };
}

/** What the login is set up with; without the workload cluster it gives no tokens for it. */
async function loginConfiguration(state: LabState, withCluster: boolean): Promise<MachineFile> {
  const workloadCluster = async (): Promise<unknown> => ({
    name: cluster.name,
    namespace: supervisor.namespace,
    server: workloadKubernetes.address,
    ca: (await kubernetesAuthority(workloadKubernetes)).certificate,
    audience: audiences.cluster,
  });
  return {
    mode: 0o600,
    content: JSON.stringify({
      listen: `${supervisor.address}:443`,
      certificateFile: "/etc/wcp/server.crt",
      keyFile: "/etc/wcp/server.key",
      issuer: loginServer,
      signingKeyFile: "/etc/wcp/signing.key",
      audience: audiences.supervisor,
      users: { [vcenterUser]: state.passwords.vcenter, [vcenterStranger]: state.passwords.vcenter },
      clusters: withCluster ? [await workloadCluster()] : [],
    }),
  };
}

/**
 * Has the login know the workload cluster as it is, or no more. `beforeChange` is called where it doesn't yet.
 */
export async function settleLogin(
  machines: Machines,
  state: LabState,
  withCluster: boolean,
  beforeChange: () => void = () => {},
): Promise<void> {
  const { content, mode } = await loginConfiguration(state, withCluster);
  const current = await machines.exec(supervisor.name, ["cat", loginSettings]);
  if (current.stdout === content) return;
  beforeChange();
  await machines.write(supervisor.name, loginSettings, content, mode);
  await machines.restart(supervisor.name, "wcp.service");
}

const tokenEnvironment = (lifetime: string): string => `TOKEN_LIFETIME=${lifetime}\n`;

/** Sets how long the tokens that are issued from now on are good for: `30s`, `10h`. */
export async function setTokenLifetime(machines: Machines, lifetime: string): Promise<void> {
  await machines.write(supervisor.name, tokenSettings, tokenEnvironment(lifetime));
  await machines.restart(supervisor.name, "wcp.service");
}

const clusterGroup = "run.tanzu.vmware.com";
const clusterResource = `tanzukubernetesclusters.${clusterGroup}`;
const clusterSecrets = ["ssh", "ssh-password", "kubeconfig"] as const;
const clusterSecretName = (secret: (typeof clusterSecrets)[number]): string => `${cluster.name}-${secret}`;

/** The kind that a Supervisor's workload clusters are of, as far as people look at it, and who may. */
const clusterKind: readonly unknown[] = [
  {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: clusterResource },
    spec: {
      group: clusterGroup,
      scope: "Namespaced",
      names: {
        kind: "TanzuKubernetesCluster",
        plural: "tanzukubernetesclusters",
        singular: "tanzukubernetescluster",
        shortNames: ["tkc"],
      },
      versions: [
        {
          name: "v1alpha3",
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
        },
      ],
    },
  },
  {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRole",
    metadata: {
      name: "wcp-tanzukubernetesclusters",
      labels: { "rbac.authorization.k8s.io/aggregate-to-edit": "true" },
    },
    rules: [
      {
        apiGroups: [clusterGroup],
        resources: ["tanzukubernetesclusters"],
        verbs: ["get", "list", "watch"],
      },
    ],
  },
];

function clusterObject({ nodes, pool }: LabState): unknown {
  const replicas = (role: string): number => nodes.filter((node) => node.role === role).length;
  return {
    apiVersion: `${clusterGroup}/v1alpha3`,
    kind: "TanzuKubernetesCluster",
    metadata: { name: cluster.name, namespace: supervisor.namespace },
    spec: {
      topology: {
        controlPlane: { replicas: replicas("control-plane"), vmClass: "best-effort-small" },
        nodePools: [{ name: pool, replicas: replicas("worker"), vmClass: "best-effort-small" }],
      },
    },
    status: { phase: "running", conditions: [{ type: "Ready", status: "True" }] },
  };
}

/** Fills the Supervisor: the namespace, what the vCenter user may do in it, the workload cluster and its secrets. */
export async function fillSupervisor(admin: AdminClient, state: LabState): Promise<void> {
  const { namespace } = supervisor;
  const secret = (
    name: (typeof clusterSecrets)[number],
    type: string,
    stringData: Record<string, string>,
  ): unknown => ({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: clusterSecretName(name), namespace },
    type,
    stringData,
  });
  await admin.apply(
    { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } },
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "RoleBinding",
      metadata: { name: "wcp-edit", namespace },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "edit" },
      subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: kubernetesUser }],
    },
    ...clusterKind,
    secret("ssh", "kubernetes.io/ssh-auth", { "ssh-privatekey": await clusterSshKey() }),
    secret("ssh-password", "Opaque", { "ssh-passwordkey": state.passwords.node }),
    secret("kubeconfig", "Opaque", { value: await adminKubeconfig(workloadKubernetes) }),
  );
  await eventually(`the Supervisor knows the kind ${clusterResource}`, async () => {
    await admin.kubectl(["wait", "--for=condition=Established", "--timeout=30s", `crd/${clusterResource}`]);
    return true;
  });
  await admin.apply(clusterObject(state));
  await admin.takesPods(namespace);
}

/** Takes from the Supervisor what it holds of the workload cluster. */
export async function forgetCluster(admin: AdminClient): Promise<void> {
  const names = [
    `${clusterResource}/${cluster.name}`,
    ...clusterSecrets.map((s) => `secret/${clusterSecretName(s)}`),
  ];
  await admin.repeatably(["delete", "--namespace", supervisor.namespace, "--ignore-not-found", ...names]);
}
