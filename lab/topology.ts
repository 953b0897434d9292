/**
 * Where everything in the lab is: the one table of names and addresses. All of them are of 198.18.0.0/15, which
 * RFC 2544 sets aside for tests, so that nothing here hides a network that the machine really talks to.
 *
 * There is one management network (the operator, the Supervisor, the registries), one of the workload cluster's nodes
 * and one of the fleet's, each a bridge in a network namespace of its own, with a router between them.
 */

/** One of the lab's networks. */
export interface Network {
  /** The bridge's name. */
  readonly bridge: string;
  readonly subnet: string;
  readonly prefixLength: number;
  /** The router's address, every machine's default gateway. */
  readonly gateway: string;
}

export const management: Network = {
  bridge: "tkc-lab-mgmt",
  subnet: "198.18.0.0/24",
  prefixLength: 24,
  gateway: "198.18.0.254",
};
export const workload: Network = {
  bridge: "tkc-lab-work",
  subnet: "198.18.1.0/24",
  prefixLength: 24,
  gateway: "198.18.1.254",
};
export const fleetNetwork: Network = {
  bridge: "tkc-lab-fleet",
  subnet: "198.19.64.0/20",
  prefixLength: 20,
  gateway: "198.19.64.254",
};
export const networks: readonly Network[] = [management, workload, fleetNetwork];

/** Everything that the lab uses; the operator's machine has one route for it. */
export const labRange = "198.18.0.0/15";

/** The operator's machine: this one. */
export const operator = { interface: "tkc-lab-host", address: "198.18.0.1" } as const;

export const supervisor = {
  name: "supervisor",
  address: "198.18.0.65",
  namespace: "ns1",
  podSubnet: "198.18.16.0/24",
  serviceSubnet: "198.19.0.0/24",
} as const;

/** The URL of the Supervisor's login, which is also the issuer of its tokens. */
export const loginServer = `https://${supervisor.address}`;

export const cluster = { name: "tkc-cluster-1", serviceSubnet: "198.19.1.0/24" } as const;

/** The machine of the simulated fleet, and the cluster that its nodes make up; the address is the API server's. */
export const fleet = { name: "fleet", address: "198.19.64.1", serviceSubnet: "198.19.2.0/24" } as const;

/** How many nodes the fleet may have. */
export const fleetLimit = 512;

/** The address of the fleet's node of a number, from 0 on. */
export function fleetNodeAddress(index: number): string {
  return `198.19.${65 + Math.floor(index / 250)}.${1 + (index % 250)}`;
}

/** The machine that both registries are on, each with an address of its own. */
export const registriesMachine = "registries";
export const registryAddresses = {
  /** Harbor: port 443, so that image names give the bare address. */
  harbor: { address: "198.18.0.67", port: 443, dnsName: "harbor.lab.example" },
  custom: { address: "198.18.0.70", port: 8443, dnsName: "registry.lab.example" },
} as const;
export type RegistryName = keyof typeof registryAddresses;
export const registryNames = Object.keys(registryAddresses) as RegistryName[];

/** The account on every node. */
export const nodeUser = "vmware-system-user";
/** The vCenter user who works in the namespace, and what Kubernetes calls him. */
export const vcenterUser = "alana@vsphere.local";
export const kubernetesUser = `sso:${vcenterUser}`;
/** A vCenter user who may log in, and then nothing. */
export const vcenterStranger = "jinu@vsphere.local";

/** What tokens for an API server are issued for. */
export const audiences = {
  supervisor: "vmware-tes:supervisor",
  cluster: `vmware-tes:${supervisor.namespace}/${cluster.name}`,
  fleet: `vmware-tes:${supervisor.namespace}/${fleet.name}`,
};

const firstNode = 34;
const lastNode = 250;

/** The address of the workload cluster's control-plane node, and so of its API server. */
export const controlPlaneAddress = `198.18.1.${firstNode}`;

/**
 * The first node address that is free.
 *
 * @throws Error when all are taken.
 */
export function freeNodeAddress(taken: Iterable<string>): string {
  const used = new Set(taken);
  for (let last = firstNode + 1; last <= lastNode; last++) {
    const address = `198.18.1.${last}`;
    if (!used.has(address)) return address;
  }
  throw new Error(`All node addresses of ${workload.subnet} are in use`);
}

/** The subnet of the pods of the node at an address: 198.18.1.34 has 198.18.34.0/24. */
export function nodePodSubnet(address: string): string {
  return `198.18.${address.split(".")[3]!}.0/24`;
}

/** The letters of Kubernetes' random suffixes: no vowels, nothing that looks like something else. */
const suffixLetters = "bcdfghjklmnpqrstvwxz2456789";

/** A random suffix as Kubernetes gives it: `frgh4`. `random` gives numbers in [0, 1). */
export function randomSuffix(length = 5, random: () => number = Math.random): string {
  return Array.from({ length }, () => suffixLetters[Math.floor(random() * suffixLetters.length)]!).join("");
}

/** `tkc-cluster-1-control-plane-6wg5h`. */
export function controlPlaneName(): string {
  return `${cluster.name}-control-plane-${randomSuffix()}`;
}

/** A name for one worker of a node pool: `tkc-cluster-1-workers-pn7j8-5b5498b7d5-frgh4`. `pool` is the middle part. */
export function workerName(pool: string): string {
  return `${cluster.name}-workers-${pool}-${randomSuffix()}`;
}

/** A node pool's part of its workers' names: `pn7j8-5b5498b7d5`. */
export function poolName(): string {
  return `${randomSuffix()}-${randomSuffix(10)}`;
}
