/** The workload cluster, `tkc-cluster-1`: a control-plane node and workers, each a machine of its own. */
import { images, type ImageCache } from "./image";
import {
  controlPlaneFiles,
  forgetKubernetes,
  hostsFile,
  machineEnvironment,
  nodeFiles,
  type AdminClient,
  type Kubernetes,
} from "./kubernetes";
import { nodeUserId, type Machines, type MachineSpec } from "./machines";
import { authorizedKey, forgetRsaKey, rsaKey, type Authority } from "./pki";
import type { LabNode, LabState } from "./state";
import {
  audiences,
  cluster,
  controlPlaneAddress,
  kubernetesUser,
  loginServer,
  nodePodSubnet,
  nodeUser,
  registryAddresses,
  supervisor,
  workload,
} from "./topology";
import { eventually } from "./waiting";

export const workloadKubernetes: Kubernetes = {
  name: cluster.name,
  address: controlPlaneAddress,
  serviceSubnet: cluster.serviceSubnet,
  audience: audiences.cluster,
  // As Tanzu Kubernetes releases do from 1.26 on.
  podSecurity: "restricted",
};

const sshKeyName = `${cluster.name}-ssh`;

/** The key that the nodes let `vmware-system-user` in with. */
export function clusterSshKey(): Promise<string> {
  return rsaKey(sshKeyName);
}

/** Forgets the cluster's keys: one that is made then has its name and nothing else of it. */
export function forgetWorkloadCluster(): void {
  forgetKubernetes(workloadKubernetes);
  forgetRsaKey(sshKeyName);
}

export async function nodeMachine(
  node: LabNode,
  cache: ImageCache,
  tools: { readonly kubernetes: string },
  loginAuthority: Authority,
): Promise<MachineSpec> {
  const controlPlane = node.role === "control-plane";
  const podSubnet = nodePodSubnet(node.address);
  const registryHosts = Object.values(registryAddresses).map(
    ({ dnsName, address }) => [dnsName, address] as const,
  );
  return {
    name: node.name,
    image: node.os === "photon" ? images.photon : images.debian,
    wiring: { network: workload, addresses: [node.address], podSubnet },
    trees: ["common", "kubernetes", ...(controlPlane ? ["api-server", "control-plane"] : [])],
    units: ["containerd.service", "ssh.service"],
    mounts: { "/opt/kubernetes": tools.kubernetes, "/opt/images/pause.tar": cache.archives.pause },
    files: {
      ...(await nodeFiles(workloadKubernetes, {
        name: node.name,
        address: node.address,
        podSubnet,
        controlPlane,
      })),
      ...(controlPlane ? await controlPlaneFiles(workloadKubernetes, loginAuthority) : {}),
      ...hostsFile(node.name, Object.fromEntries(registryHosts)),
      ...machineEnvironment({
        NODE_NAME: node.name,
        NODE_ADDRESS: node.address,
        SERVICE_SUBNET: cluster.serviceSubnet,
        LOGIN_SERVER: loginServer,
        POD_SUBNET: podSubnet,
        SSH_FROM: supervisor.podSubnet,
      }),
      [`/home/${nodeUser}/.ssh/authorized_keys`]: {
        content: authorizedKey(await clusterSshKey(), `${nodeUser}@${cluster.name}`),
        mode: 0o600,
        owner: nodeUserId,
      },
    },
  };
}

/** Sets the password of the nodes' account, which the image has none of. */
export async function setNodePassword(machines: Machines, node: LabNode, state: LabState): Promise<void> {
  await machines.exec(node.name, ["chpasswd"], { input: `${nodeUser}:${state.passwords.node}\n` });
}

/** Gives the vCenter user the rights that an editor of the vSphere namespace has in its clusters, which take pods then. */
export async function fillWorkloadCluster(admin: AdminClient): Promise<void> {
  await admin.apply({
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRoleBinding",
    metadata: { name: "vmware-system-auth-sync-edit" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
    subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: kubernetesUser }],
  });
  await admin.takesPods("default");
}

interface NodeObject {
  readonly metadata: { readonly name: string };
  readonly status: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

/** The nodes that the API knows, and whether they are Ready. */
export async function nodeReadiness(admin: AdminClient): Promise<ReadonlyMap<string, boolean>> {
  const { items } = await admin.get<{ items: readonly NodeObject[] }>("nodes");
  return new Map(
    items.map(({ metadata, status }) => [
      metadata.name,
      status.conditions?.some(({ type, status: value }) => type === "Ready" && value === "True") ?? false,
    ]),
  );
}

/** When each node's kubelet last gave a sign of life. */
async function nodeHeartbeats(admin: AdminClient): Promise<ReadonlyMap<string, Date>> {
  interface Lease {
    readonly metadata: { readonly name: string };
    readonly spec: { readonly renewTime?: string };
  }
  const { items } = await admin.get<{ items: readonly Lease[] }>("leases", "--namespace", "kube-node-lease");
  return new Map(items.map(({ metadata, spec }) => [metadata.name, new Date(spec.renewTime ?? 0)]));
}

/** A node that is waited for, and when its machine was booted, if that was just now. */
export interface AwaitedNode {
  readonly node: LabNode;
  readonly booted: Date | undefined;
}

/** Waits until nodes are Ready, and labels the control plane's, which a kubelet may not do itself. */
export async function awaitNodes(admin: AdminClient, awaited: readonly AwaitedNode[]): Promise<void> {
  const names = awaited.map(({ node }) => node.name);
  await eventually(`these nodes are Ready: ${names.join(", ")}`, async (see) => {
    const [ready, heartbeats] = await Promise.all([nodeReadiness(admin), nodeHeartbeats(admin)]);
    // A machine that was killed stays Ready for a while, in the words of its last life.
    const isBack = ({ node, booted }: AwaitedNode): boolean =>
      ready.get(node.name) === true &&
      (booted === undefined || (heartbeats.get(node.name) ?? new Date(0)) > booted);
    const missing = awaited.filter((each) => !isBack(each)).map(({ node }) => node.name);
    see(`not Ready: ${missing.join(", ")}`);
    return missing.length === 0 ? true : undefined;
  });
  for (const { node } of awaited) {
    if (node.role !== "control-plane") continue;
    await admin.repeatably([
      "label",
      "--overwrite",
      "node",
      node.name,
      "node-role.kubernetes.io/control-plane=",
    ]);
  }
}
