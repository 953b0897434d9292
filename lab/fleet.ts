/**
 * The fleet: many simulated nodes on one machine, and a real API server that lists them. Each node is a real sshd in
 * namespaces of its own, with a trust store of its own; its containerd and its rehash only take their time and keep a
 * log. Made for the benchmark, on demand: it is no part of the lab that comes up otherwise.
 */
import { createHash } from "node:crypto";
import * as path from "node:path";
import type { Client } from "./exec";
import { images } from "./image";
import {
  AdminClient,
  adminKubeconfig,
  apiServerFiles,
  hostsFile,
  machineEnvironment,
  until,
  type Kubernetes,
} from "./kubernetes";
import { nodeUserId, type Machines, type MachineSpec } from "./machines";
import { runFolder } from "./paths";
import { authorizedKey, type Authority } from "./pki";
import { writePrivate } from "./state";
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
import { clusterSshKey } from "./workload";

const fleetKubernetes: Kubernetes = {
  name: fleet.name,
  address: fleet.address,
  serviceSubnet: fleet.serviceSubnet,
  audience: audiences.fleet,
};

/** The fleet's kubeconfig, whose only context is `fleet`: to be added to the operator's. */
export const fleetKubeconfigFile = path.join(runFolder, "fleet.kubeconfig");

export interface FleetSettings {
  /** How long a node's rehash takes, and a restart of its containerd. */
  readonly rehashSeconds: number;
  readonly restartSeconds: number;
  /** What the way to the nodes' port 22 takes longer than it does anyway, in each direction. */
  readonly delayMs: number;
}

export const defaultFleetSettings: FleetSettings = { rehashSeconds: 0.5, restartSeconds: 0.3, delayMs: 0 };

export interface FleetNode {
  readonly name: string;
  readonly address: string;
  readonly machineId: string;
  readonly controlPlane: boolean;
}

/** The nodes of a fleet of so many: the same ones each time. The first is the control plane. */
export function fleetNodes(count: number): FleetNode[] {
  return Array.from({ length: count }, (_, index) => {
    const controlPlane = index === 0;
    const role = controlPlane ? "control-plane" : "worker";
    const name = `${fleet.name}-${role}-${String(index + 1).padStart(3, "0")}`;
    const machineId = createHash("sha256").update(name).digest("hex").slice(0, 32);
    return { name, address: fleetNodeAddress(index), machineId, controlPlane };
  });
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
      ...hostsFile(fleet.name),
      ...machineEnvironment({
        NODE_ADDRESS: fleet.address,
        SERVICE_SUBNET: fleet.serviceSubnet,
        LOGIN_SERVER: loginServer,
      }),
      [`/home/${nodeUser}/.ssh/authorized_keys`]: {
        content: authorizedKey(await clusterSshKey(), `${nodeUser}@${fleet.name}`),
        mode: 0o600,
        owner: nodeUserId,
      },
    },
  };
}

/** A node as its kubelet would register it. */
function nodeObject({ name, address, machineId, controlPlane }: FleetNode): unknown {
  const heartbeat = new Date().toISOString();
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
        {
          type: "Ready",
          status: "True",
          reason: "KubeletReady",
          message: "kubelet is posting ready status",
          lastHeartbeatTime: heartbeat,
          lastTransitionTime: heartbeat,
        },
      ],
      nodeInfo: {
        machineID: machineId,
        systemUUID: machineId,
        bootID: machineId,
        kernelVersion: "6.1.0",
        osImage: "VMware Photon OS/Linux",
        containerRuntimeVersion: "containerd://1.6.20",
        kubeletVersion: "v1.34.4",
        kubeProxyVersion: "",
        operatingSystem: "linux",
        architecture: "amd64",
      },
    },
  };
}

/** Where a script of `lab/files/fleet` is in the machine. */
const place = (script: string): string => `/usr/local/lib/lab/fleet/${script}`;

/** What a node's log says of one thing that happened there. */
export interface FleetEvent {
  readonly node: string;
  readonly kind: "rehash" | "restart";
  /** When it had an effect, in seconds since this machine was booted. */
  readonly at: number;
  /** SHA-256 of the certificate files that a rehash saw beside the image's. */
  readonly seen: readonly string[];
}

/** A fleet that is up. */
export class Fleet {
  constructor(
    private readonly machines: Machines,
    readonly nodes: readonly FleetNode[],
  ) {}

  private run(script: string): Promise<string> {
    return this.machines.exec(fleet.name, ["sh", "-euc", script]).then(({ stdout }) => stdout);
  }

  /** Starts all nodes anew, as they were at the beginning; their names, addresses and host keys stay. */
  async reset(): Promise<void> {
    await this.run("systemctl restart fleet-nodes.service");
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

  /** The certificate files of each node beside the image's: their SHA-256, by the node's name. */
  async addedFiles(): Promise<ReadonlyMap<string, readonly string[]>> {
    const script =
      "cd /srv/fleet/nodes; find */written/etc/ssl/certs -type f -exec sha256sum {} + 2>/dev/null || :";
    return readAddedFiles(await this.run(script));
  }

  /** Runs a shell script on a node as root. */
  async onNode({ name }: FleetNode, script: string): Promise<string> {
    return (await this.machines.exec(fleet.name, ["sh", place("enter.sh"), name, script])).stdout;
  }

  /** The command that has all nodes rehash and restart, without any SSH. */
  nodeWork(atOnce: number): Client {
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

/** Reads lines `SHA256  NODE/written/etc/ssl/certs/FILE`. */
export function readAddedFiles(output: string): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const [, hash, node] of output.matchAll(/^([0-9a-f]{64}) [ *]([^/\n]+)\//gm)) {
    found.set(node!, [...(found.get(node!) ?? []), hash!]);
  }
  return found;
}

/** Brings the nodes of a fleet's machine up: on it, and in its API. */
export async function settleFleet(
  machines: Machines,
  kubernetesTools: string,
  count: number,
  settings: FleetSettings,
): Promise<Fleet> {
  const nodes = fleetNodes(count);
  const admin = await AdminClient.for(fleetKubernetes, kubernetesTools);
  writePrivate(fleetKubeconfigFile, await adminKubeconfig(fleetKubernetes));
  const started = (async () => {
    const lines = nodes.map(({ name, address, machineId }) => `${name} ${address} ${machineId}\n`);
    await machines.write(fleet.name, "/etc/lab/nodes", lines.join(""));
    const environment = [
      `REHASH_SECONDS=${settings.rehashSeconds}\n`,
      `RESTART_SECONDS=${settings.restartSeconds}\n`,
      `DELAY_MS=${settings.delayMs}\n`,
    ];
    await machines.write(fleet.name, "/etc/lab/fleet.env", environment.join(""));
    await machines.restart(fleet.name, "fleet-nodes.service");
  })();
  const registered = (async () => {
    await until(`the API server of ${fleet.name}`, 180, async () =>
      (await admin.isReady()) ? true : undefined,
    );
    await admin.kubectl(["delete", "--raw", "/api/v1/nodes"]);
    const list = { apiVersion: "v1", kind: "List", items: nodes.map(nodeObject) };
    await admin.kubectl(["create", "--filename", "-"], { input: JSON.stringify(list) });
  })();
  await Promise.all([started, registered]);
  return new Fleet(machines, nodes);
}

/** The secret with the nodes' SSH key, as the Supervisor's namespace has one for each of its clusters. */
export async function fleetSshSecret(): Promise<unknown> {
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: `${fleet.name}-ssh`, namespace: supervisor.namespace },
    type: "kubernetes.io/ssh-auth",
    stringData: { "ssh-privatekey": await clusterSshKey() },
  };
}
