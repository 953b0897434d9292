/**
 * The fleet: many simulated nodes on one machine, and a real API server that lists them. Each node is a real sshd in
 * namespaces of its own, with a trust store of its own; its containerd and its rehash only take their time and keep a
 * log. Made on demand, for the benchmark and for tests of what happens to nodes: it is no part of the lab that comes up
 * otherwise.
 */
import { createHash, randomBytes } from "node:crypto";
import * as path from "node:path";
import type { Client, ExecOptions } from "./exec";
import { replaceFile } from "./wholeFiles";
import { images } from "./image";
import {
  AdminClient,
  adminKubeconfig,
  apiServerFiles,
  hostsFile,
  kubeletServingFiles,
  machineEnvironment,
  type Kubernetes,
} from "./kubernetes";
import { nodeUserId, type Machines, type MachineSpec } from "./machines";
import { runFolder } from "./paths";
import { authorizedKey, rsaKey, sshFingerprint, type Authority } from "./pki";
import { kubernetesRelease } from "./tools";
import {
  audiences,
  fleet,
  fleetLimit,
  fleetNetwork,
  fleetNodeAddress,
  loginServer,
  nodeUser,
  supervisor,
} from "./topology";

const fleetKubernetes: Kubernetes = {
  name: fleet.name,
  address: fleet.address,
  serviceSubnet: fleet.serviceSubnet,
  audience: audiences.fleet,
};

/** The fleet's kubeconfig, whose only context is `fleet`: to be added to the operator's. */
export const fleetKubeconfigFile = path.join(runFolder, "fleet.kubeconfig");

/** The key that the nodes let `vmware-system-user` in with. */
export function fleetSshKey(): Promise<string> {
  return rsaKey(`${fleet.name}-ssh`);
}

const bastionUser = "jump";
const bastionUserKey = (): Promise<string> => rsaKey(`${fleet.name}-bastion-user`);
const bastionHostKey = (): Promise<string> => rsaKey(`${fleet.name}-bastion-host`);
const bastionKeyFile = path.join(runFolder, "fleet-bastion.key");

/** What is on this machine for those who use the fleet. */
export const fleetFiles = [fleetKubeconfigFile, bastionKeyFile];

export interface FleetSettings {
  /** How many of the nodes are control plane: the first ones. */
  readonly controlPlanes: number;
  /** How long a node's rehash takes, and a restart of its containerd. */
  readonly rehashSeconds: number;
  readonly restartSeconds: number;
  /** What the way to the nodes' port 22 takes longer than it does anyway, in each direction. */
  readonly delayMs: number;
}

export const defaultFleetSettings: FleetSettings = {
  controlPlanes: 1,
  rehashSeconds: 0.5,
  restartSeconds: 0.3,
  delayMs: 0,
};

export interface FleetNode {
  readonly name: string;
  readonly address: string;
  readonly machineId: string;
  readonly controlPlane: boolean;
}

const nodeName = (number: number, controlPlane: boolean): string =>
  `${fleet.name}-${controlPlane ? "control-plane" : "worker"}-${String(number).padStart(3, "0")}`;

/** The nodes of a fleet of so many: the same ones each time. The first ones are the control plane. */
export function fleetNodes(count: number, controlPlanes = defaultFleetSettings.controlPlanes): FleetNode[] {
  return Array.from({ length: count }, (_, index) => {
    const controlPlane = index < controlPlanes;
    const name = nodeName(index + 1, controlPlane);
    const machineId = createHash("sha256").update(name).digest("hex").slice(0, 32);
    return { name, address: fleetNodeAddress(index), machineId, controlPlane };
  });
}

/**
 * The first of the fleet's addresses that is free.
 *
 * @throws Error when all are taken.
 */
export function freeFleetAddress(taken: Iterable<string>): string {
  const used = new Set(taken);
  for (let index = 0; index < fleetLimit; index++) {
    const address = fleetNodeAddress(index);
    if (!used.has(address)) return address;
  }
  throw new Error(`All ${fleetLimit} addresses of the fleet's nodes are in use`);
}

/** What is wrong with the way to the nodes' port 22. What isn't given is as it should be. */
export interface FleetFaults {
  /** How many of a hundred packets are lost, in each direction. */
  readonly lossPercent?: number;
  /** What the way takes longer, in each direction. */
  readonly delayMs?: number;
  /** Connections are reset once so many bytes came from the client… */
  readonly cutAfterBytes?: number;
  /** …the first so many connections, and no other. Default: all. */
  readonly cutFirst?: number;
}

/** The words that `faults.sh` takes. */
export function faultWords(faults: FleetFaults): string[] {
  const { lossPercent = 0, delayMs = 0, cutAfterBytes = -1, cutFirst = Number.MAX_SAFE_INTEGER } = faults;
  return [delayMs, cutAfterBytes, cutAfterBytes < 0 ? -1 : cutFirst, lossPercent / 100].map(String);
}

/** How to get to the fleet's nodes by its bastion, an SSH server that forwards and does nothing else. */
export interface FleetBastion {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** The user's private key, readable by its owner only. */
  readonly keyFile: string;
  /** `SHA256:…` */
  readonly hostKey: string;
}

/** What there is on a node that ought to go by itself. */
export interface Leftovers {
  /** Files `.tkc-registry-*.new` in the trust store, wherever they are. */
  readonly asides: readonly string[];
  /** The names in `/var/lib/tkc-registry/new`. */
  readonly kept: readonly string[];
  /** SSH connections that are open, those that nobody has logged in by included. */
  readonly sessions: number;
  /** Command lines of everything else that runs, containerd apart. */
  readonly processes: readonly string[];
  /** How many certificates are in the node's bundle. */
  readonly certificates: number;
}

export async function fleetMachine(
  tools: { readonly kubernetes: string },
  loginAuthority: Authority,
): Promise<MachineSpec> {
  const addresses = fleetNodes(fleetLimit).map(({ address }) => address);
  return {
    name: fleet.name,
    image: images.photon,
    wiring: { network: fleetNetwork, addresses: [fleet.address, ...addresses] },
    trees: ["common", "api-server", "fleet"],
    units: [],
    mounts: { "/opt/kubernetes": tools.kubernetes },
    files: {
      ...(await apiServerFiles(fleetKubernetes, loginAuthority)),
      ...(await kubeletServingFiles(fleetKubernetes, "kubelets", addresses)),
      ...hostsFile(fleet.name),
      ...machineEnvironment({
        NODE_ADDRESS: fleet.address,
        SERVICE_SUBNET: fleet.serviceSubnet,
        LOGIN_SERVER: loginServer,
      }),
      [`/home/${nodeUser}/.ssh/authorized_keys`]: {
        content: authorizedKey(await fleetSshKey(), `${nodeUser}@${fleet.name}`),
        mode: 0o600,
        owner: nodeUserId,
      },
      "/etc/lab/bastion/host_key": { content: await bastionHostKey(), mode: 0o600 },
      "/etc/lab/bastion/authorized_keys": {
        content: authorizedKey(await bastionUserKey(), `${bastionUser}@${fleet.name}`),
      },
    },
  };
}

/** A node as its kubelet would register it. */
function nodeObject({ name, address, machineId, controlPlane }: FleetNode, ready = true): unknown {
  const heartbeat = new Date().toISOString();
  const condition = ready
    ? { status: "True", reason: "KubeletReady", message: "kubelet is posting ready status" }
    : { status: "False", reason: "KubeletNotReady", message: "container runtime is down" };
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: {
      name,
      labels: {
        "kubernetes.io/hostname": name,
        ...(controlPlane ? { "node-role.kubernetes.io/control-plane": "" } : {}),
      },
    },
    status: {
      addresses: [
        { type: "InternalIP", address },
        { type: "Hostname", address: name },
      ],
      conditions: [
        { type: "Ready", ...condition, lastHeartbeatTime: heartbeat, lastTransitionTime: heartbeat },
      ],
      nodeInfo: {
        machineID: machineId,
        systemUUID: machineId,
        bootID: machineId,
        kernelVersion: "6.1.0",
        osImage: "VMware Photon OS/Linux",
        containerRuntimeVersion: "containerd://1.6.20",
        kubeletVersion: kubernetesRelease(),
        kubeProxyVersion: "",
        operatingSystem: "linux",
        architecture: "amd64",
      },
    },
  };
}

/** A Node object as kubelets of Windows write it: the machine id is its host's name. */
const windowsNode = (name: string, address: string): unknown => ({
  apiVersion: "v1",
  kind: "Node",
  metadata: { name, labels: { "kubernetes.io/hostname": name, "kubernetes.io/os": "windows" } },
  status: {
    addresses: [{ type: "InternalIP", address }],
    nodeInfo: {
      ...{ machineID: name.toUpperCase(), systemUUID: "", bootID: "", kernelVersion: "10.0.20348.1970" },
      ...{ osImage: "Windows Server 2022 Datacenter", containerRuntimeVersion: "containerd://1.6.20" },
      ...{ kubeletVersion: kubernetesRelease(), kubeProxyVersion: "" },
      ...{ operatingSystem: "windows", architecture: "amd64" },
    },
  },
});

/** Where a script of `lab/files/fleet` is in the machine. */
const place = (script: string): string => `/usr/local/lib/lab/fleet/${script}`;

/** What a node's log says of one thing that happened there. */
export interface FleetEvent {
  readonly node: string;
  readonly kind: "rehash" | "restart";
  /** When it had an effect, in seconds since this machine was booted. */
  readonly at: number;
  /** SHA-256 of the certificate files beside the image's that a rehash saw, or that were in the bundle at a restart. */
  readonly seen: readonly string[];
}

/** One node or several; they are told by their names. */
type Nodes = FleetNode | readonly FleetNode[];

const namesOf = (nodes: Nodes): string[] => [nodes].flat().map(({ name }) => name);

const newMachineId = (): string => randomBytes(16).toString("hex");

/** Why a containerd that is broken ends, as it says it itself. */
const brokenContainerd =
  "containerd: failed to load TOML: /etc/containerd/config.toml: (12, 3): unexpected token lab-broke-it";

/** A fleet that is up. */
export class Fleet {
  #nodes: readonly FleetNode[];
  #made: number;

  constructor(
    private readonly machines: Machines,
    private readonly admin: AdminClient,
    nodes: readonly FleetNode[],
  ) {
    this.#nodes = nodes;
    this.#made = nodes.length;
  }

  /** The nodes as they are by now. */
  get nodes(): readonly FleetNode[] {
    return this.#nodes;
  }

  private run(script: string, words: readonly string[] = [], options: ExecOptions = {}): Promise<string> {
    const argv = ["sh", "-euc", script, "sh", ...words];
    return this.machines.exec(fleet.name, argv, options).then(({ stdout }) => stdout);
  }

  /** Starts nodes that are known to the machine. */
  private async begin(nodes: readonly FleetNode[]): Promise<void> {
    await this.run(`exec sh ${place("begin.sh")}`, [], { input: nodeLines(nodes) });
  }

  private async unregister(nodes: Nodes): Promise<void> {
    // As one request: kubectl takes its time between those of a long list.
    const selector = encodeURIComponent(`kubernetes.io/hostname in (${namesOf(nodes).join(",")})`);
    await this.admin.kubectl(["delete", "--raw", `/api/v1/nodes?labelSelector=${selector}`]);
  }

  /** Sets which nodes there are; what starts them anew starts these. */
  private async settle(nodes: readonly FleetNode[]): Promise<void> {
    this.#nodes = nodes;
    await writeNodes(this.machines, nodes);
  }

  /** Nodes as the fleet has them by now. */
  private current(nodes: Nodes): FleetNode[] {
    return namesOf(nodes).map((name) => {
      const node = this.#nodes.find((each) => each.name === name);
      if (!node) throw new Error(`The fleet has no node ${name}`);
      return node;
    });
  }

  /**
   * Starts all nodes anew, as they were at the beginning; their names, addresses and host keys stay. Nothing is wrong
   * with the way to them from then on.
   */
  async reset(): Promise<void> {
    await this.run("systemctl restart fleet-nodes.service");
  }

  /** Cuts nodes' power: their processes are gone; what they wrote stays, and so do their Node objects. */
  async stop(nodes: Nodes): Promise<void> {
    await this.run(`exec sh ${place("stop.sh")} "$@"`, namesOf(nodes));
  }

  /** Boots nodes that were stopped, and waits until they let people in. */
  async start(nodes: Nodes): Promise<void> {
    await this.begin(this.current(nodes));
  }

  /** Removes nodes: their Node objects, their processes and all that they wrote. */
  async remove(nodes: Nodes): Promise<void> {
    const names = namesOf(nodes);
    const gone = `sh ${place("stop.sh")} "$@"; cd /srv/fleet; for name; do rm -rf "nodes/$name" "identity/$name"; done`;
    await Promise.all([this.unregister(nodes), this.run(gone, names)]);
    await this.settle(this.#nodes.filter(({ name }) => !names.includes(name)));
  }

  /**
   * Adds a node, which may have the name or the address of one that was removed.
   *
   * @param options.name - Default: one that none had before.
   * @param options.address - Default: the first one that is free.
   */
  async add(
    options: { readonly name?: string; readonly address?: string; readonly controlPlane?: boolean } = {},
  ): Promise<FleetNode> {
    const { controlPlane = false } = options;
    const node: FleetNode = {
      name: options.name ?? nodeName(++this.#made, controlPlane),
      address: options.address ?? freeFleetAddress(this.#nodes.map(({ address }) => address)),
      machineId: newMachineId(),
      controlPlane,
    };
    const taken = this.#nodes.find(({ name, address }) => name === node.name || address === node.address);
    if (taken) throw new Error(`The fleet has ${taken.name} (${taken.address}) already`);
    await this.settle([...this.#nodes, node]);
    await this.begin([node]);
    await this.admin.create([nodeObject(node)]);
    return node;
  }

  /**
   * Replaces nodes by new machines of the same names: with empty file systems, other host keys, machine ids and UIDs.
   *
   * @param options.address - Whether they keep their addresses, or get others that are free.
   */
  async replace(
    nodes: Nodes,
    { address = "kept" }: { readonly address?: "kept" | "new" } = {},
  ): Promise<FleetNode[]> {
    const taken = this.#nodes.map((each) => each.address);
    const anew = this.current(nodes).map((old) => {
      if (address === "kept") return { ...old, machineId: newMachineId() };
      const free = freeFleetAddress(taken);
      taken.push(free);
      return { ...old, machineId: newMachineId(), address: free };
    });
    await Promise.all([this.unregister(nodes), this.stop(nodes)]);
    await this.settle(this.#nodes.map((each) => anew.find(({ name }) => name === each.name) ?? each));
    await this.begin(anew);
    await this.admin.create(anew.map((node) => nodeObject(node)));
    return anew;
  }

  /** Gives nodes a label, as their pool would. */
  async label(nodes: Nodes, label: string): Promise<void> {
    await this.admin.kubectl(["label", "node", "--overwrite", ...namesOf(nodes), label]);
  }

  /** Registers a node that has no machine here, as a kubelet of Windows would. It goes as all Node objects do. */
  async registerWindows(name: string): Promise<void> {
    const address = freeFleetAddress(this.#nodes.map((each) => each.address));
    await this.admin.create([windowsNode(name, address)]);
  }

  /** Sets whether the API says that nodes are Ready. */
  async setReady(nodes: Nodes, ready: boolean): Promise<void> {
    const items = this.current(nodes).map((node) => nodeObject(node, ready));
    await this.admin.kubectl(["replace", "--subresource", "status", "--filename", "-"], {
      input: JSON.stringify({ apiVersion: "v1", kind: "List", items }),
    });
  }

  /** Makes a node one of RHEL or a derivative, by its trust store and by what the API says of it, until {@link reset}. */
  async layOutAsRhel(node: FleetNode): Promise<void> {
    await this.onNode(node, `exec sh ${place("rhel.sh")}`);
    const patch = JSON.stringify({ status: { nodeInfo: { osImage: "Rocky Linux 9.4 (Blue Onyx)" } } });
    await this.admin.kubectl(["patch", "node", node.name, "--subresource", "status", "--patch", patch]);
  }

  /** Has nodes' containerd fail when it is started the next time, or start again; the one that runs goes on. */
  async breakContainerd(nodes: Nodes, outcome: "fails" | "works"): Promise<void> {
    const file = "/etc/lab/containerd-fails";
    const script = outcome === "fails" ? `echo '${brokenContainerd}' >${file}` : `rm -f ${file}`;
    const everywhere = `script=$1; shift; for name; do sh ${place("enter.sh")} "$name" "$script"; done`;
    await this.run(everywhere, [script, ...namesOf(nodes)]);
  }

  /** Makes the way to the nodes' port 22 a bad one, also for the bastion; what was wrong with it before is forgotten. */
  async setFaults(faults: FleetFaults): Promise<void> {
    await this.run(`exec sh ${place("faults.sh")} "$@"`, faultWords(faults));
  }

  /** Ends all faults. Connections that are slow stay so. */
  async clearFaults(): Promise<void> {
    await this.setFaults({});
  }

  /** The way to the nodes by the bastion, which is always there. */
  async bastion(): Promise<FleetBastion> {
    return {
      host: fleet.address,
      port: 22,
      user: bastionUser,
      keyFile: bastionKeyFile,
      hostKey: sshFingerprint(await bastionHostKey()),
    };
  }

  /** What there is on the nodes that ought to go by itself, by the node's name; also on nodes that are stopped. */
  async leftovers(): Promise<ReadonlyMap<string, Leftovers>> {
    const output = await this.run(`exec python3 ${place("leftovers.py")}`);
    return new Map(Object.entries(JSON.parse(output) as Record<string, Leftovers>));
  }

  /** A node's bundle, PEM: what its Go programs would trust. */
  async bundle({ name }: FleetNode): Promise<string> {
    const script =
      'cd /; bundle=etc/pki/tls/certs/ca-bundle.crt; cat "$1/$bundle" 2>/dev/null || cat $bundle';
    return await this.run(script, [`/srv/fleet/nodes/${name}/written`]);
  }

  /** What happened on the nodes since they were started, each node's in its order. */
  async events(): Promise<FleetEvent[]> {
    const output = await this.run(
      "cd /srv/fleet/nodes; grep -H '' */written/var/log/lab/events /dev/null || :",
    );
    return readEvents(output);
  }

  /** How many SSH connections the nodes' sshds took since they were started. */
  async handshakes(): Promise<number> {
    const script = "cd /srv/fleet/nodes; cat */written/var/log/lab/sshd | grep -c '^Connection from ' || :";
    return Number(await this.run(script));
  }

  /** The certificate files of each node's store beside the image's: their SHA-256, by the node's name. */
  async addedFiles(): Promise<ReadonlyMap<string, readonly string[]>> {
    const script =
      "cd /srv/fleet/nodes; find */written/etc/ssl/certs */written/etc/pki/ca-trust/source -type f -exec sha256sum {} + 2>/dev/null || :";
    return readAddedFiles(await this.run(script));
  }

  /** Runs a shell script on a node as root. */
  async onNode({ name }: FleetNode, script: string): Promise<string> {
    return (await this.machines.exec(fleet.name, ["sh", place("enter.sh"), name, script])).stdout;
  }

  /** The command that has all nodes rehash and restart, without any SSH. */
  nodeWork(atOnce: number): Promise<Client> {
    return this.machines.command(fleet.name, ["sh", place("work.sh"), String(atOnce)]);
  }
}

/** Reads lines `NODE/written/var/log/lab/events:KIND SECONDS SHA256…`. */
export function readEvents(output: string): FleetEvent[] {
  return [...output.matchAll(/^([^/\n]+)\/\S+:(rehash|restart) ([\d.]+)(.*)$/gm)].map(
    ([, node, kind, at, seen]) => ({
      node: node!,
      kind: kind as FleetEvent["kind"],
      at: Number(at),
      seen: seen!.split(" ").filter((hash) => hash !== ""),
    }),
  );
}

/** Reads lines `SHA256  NODE/written/FILE`. */
export function readAddedFiles(output: string): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const [, hash, node] of output.matchAll(/^([0-9a-f]{64}) [ *]([^/\n]+)\//gm)) {
    found.set(node!, [...(found.get(node!) ?? []), hash!]);
  }
  return found;
}

const nodeLines = (nodes: readonly FleetNode[]): string =>
  nodes.map(({ name, address, machineId }) => `${name} ${address} ${machineId}\n`).join("");

/** Tells the machine which nodes it has. */
function writeNodes(machines: Machines, nodes: readonly FleetNode[]): Promise<void> {
  return machines.write(fleet.name, "/etc/lab/nodes", nodeLines(nodes));
}

/** Brings the nodes of a fleet's machine up: on it, and in its API. */
export async function settleFleet(
  machines: Machines,
  kubernetesTools: string,
  count: number,
  settings: FleetSettings,
): Promise<Fleet> {
  const nodes = fleetNodes(count, settings.controlPlanes);
  const admin = await AdminClient.for(fleetKubernetes, kubernetesTools);
  replaceFile(fleetKubeconfigFile, await adminKubeconfig(fleetKubernetes));
  replaceFile(bastionKeyFile, await bastionUserKey());
  const started = (async () => {
    await writeNodes(machines, nodes);
    const environment = [
      `REHASH_SECONDS=${settings.rehashSeconds}\n`,
      `RESTART_SECONDS=${settings.restartSeconds}\n`,
      `DELAY_MS=${settings.delayMs}\n`,
    ];
    await machines.write(fleet.name, "/etc/lab/fleet.env", environment.join(""));
    await machines.restart(fleet.name, "fleet-nodes.service");
  })();
  const registered = (async () => {
    await admin.ready();
    await admin.repeatably(["delete", "--raw", "/api/v1/nodes"]);
    await admin.create(nodes.map((node) => nodeObject(node)));
  })();
  await Promise.all([started, registered]);
  return new Fleet(machines, admin, nodes);
}

/** The secret with the nodes' SSH key, as the Supervisor's namespace has one for each of its clusters. */
export async function fleetSshSecret(): Promise<unknown> {
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: `${fleet.name}-ssh`, namespace: supervisor.namespace },
    type: "kubernetes.io/ssh-auth",
    stringData: { "ssh-privatekey": await fleetSshKey() },
  };
}
