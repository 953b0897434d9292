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
  until,
  type AdminClient,
  type Kubernetes,
} from "./kubernetes";
import type { Machines, MachineSpec } from "./machines";
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
export const usualTokenLifetime = "10h";
const tokenSettings = "/etc/wcp/token.env";

export async function supervisorMachine(
  state: LabState,
  cache: ImageCache,
  tools: { readonly kubernetes: string; readonly wcp: string },
): Promise<MachineSpec> {
  const login = await loginAuthority();
  const [serving, signingKey, clusterAuthority, controlPlane, node] = await Promise.all([
    issue(login, "login", { commonName: supervisor.address, names: [`IP:${supervisor.address}`] }),
    rsaKey("login-tokens"),
    kubernetesAuthority(workloadKubernetes),
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
      [tokenSettings]: { content: tokenEnvironment(usualTokenLifetime) },
      // With its authority, as who pins a fingerprint needs: that is what the API's certificate is from too.
      "/etc/wcp/server.crt": { content: serving.certificate + login.certificate },
      "/etc/wcp/server.key": { content: serving.key, mode: 0o600 },
      "/etc/wcp/signing.key": { content: signingKey, mode: 0o600 },
      "/etc/wcp/config.json": {
        mode: 0o600,
        content: JSON.stringify({
          listen: `${supervisor.address}:443`,
          certificateFile: "/etc/wcp/server.crt",
          keyFile: "/etc/wcp/server.key",
          issuer: loginServer,
          signingKeyFile: "/etc/wcp/signing.key",
          audience: audiences.supervisor,
          users: { [vcenterUser]: state.passwords.vcenter, [vcenterStranger]: state.passwords.vcenter },
          clusters: [
            {
              name: cluster.name,
              namespace: supervisor.namespace,
              server: workloadKubernetes.address,
              ca: clusterAuthority.certificate,
              audience: audiences.cluster,
            },
          ],
        }),
      },
    },
  };
}

const tokenEnvironment = (lifetime: string): string => `TOKEN_LIFETIME=${lifetime}\n`;

/** Sets how long the tokens that are issued from now on are good for: `30s`, `10h`. */
export async function setTokenLifetime(machines: Machines, lifetime: string): Promise<void> {
  await machines.write(supervisor.name, tokenSettings, tokenEnvironment(lifetime));
  await machines.restart(supervisor.name, "wcp.service");
}

/** Fills the Supervisor: the namespace, what the vCenter user may do in it, the workload cluster's secrets. */
export async function fillSupervisor(admin: AdminClient, state: LabState): Promise<void> {
  const { namespace } = supervisor;
  const secret = (name: string, type: string, stringData: Record<string, string>): unknown => ({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: `${cluster.name}-${name}`, namespace },
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
    secret("ssh", "kubernetes.io/ssh-auth", { "ssh-privatekey": await clusterSshKey() }),
    secret("ssh-password", "Opaque", { "ssh-passwordkey": state.passwords.node }),
    secret("kubeconfig", "Opaque", { value: await adminKubeconfig(workloadKubernetes) }),
  );
  await until(`the default service account of ${namespace}`, 60, async () => {
    const { code } = await admin.kubectl(["get", "serviceaccount", "default", "--namespace", namespace], {
      allowFailure: true,
    });
    return code === 0 ? true : undefined;
  });
}
