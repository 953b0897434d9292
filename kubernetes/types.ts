/** A node of the workload cluster as its API shows it. */
export interface ClusterNode {
  /** The Node's name. */
  readonly name: string;
  readonly uid: string;
  readonly machineId: string;
  /** The host name that its kubelet reports. */
  readonly hostName: string;
  /** By its label `node-role.kubernetes.io/control-plane`, or `…/master`. */
  readonly role: "control-plane" | "worker";
  /** InternalIP: the IPv4 one where there are several. */
  readonly address: string;
  /** `VMware Photon OS/Linux`, `Ubuntu 22.04.4 LTS`, … */
  readonly osImage: string;
  /** `containerd://1.6.20`. */
  readonly containerRuntime: string;
  /** `amd64`, where kubelet says it. */
  readonly architecture?: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly ready: boolean;
  /** The host key, `SHA256:…`, that each stack noted on the Node object, by the stack's id. */
  readonly pins: Readonly<Record<string, string>>;
}
