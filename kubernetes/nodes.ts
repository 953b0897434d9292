import { isIPv4 } from "node:net";
import * as ipaddr from "ipaddr.js";
import { z } from "zod";
import { type Problem, UserError } from "../support/errors";
import { isHostName } from "../support/names";
import { printable } from "../support/text";
import type { KubeContext } from "./client";
import type { ClusterNode } from "./types";
import { pinsOf } from "./pins";
import { kubernetesProblem } from "./problems";

/** Ranges that no node's address is in: SSH to them would reach this machine, or no single host. */
const forbiddenRanges = ["unspecified", "loopback", "linkLocal", "multicast", "broadcast", "ipv4Mapped"];

/** All systems but those that are no Linux, as kubelets name them: the node script judges by what the node has. */
const knownSystems = /^(?!.*\bwindows\b)/i;

/**
 * Refuses nodes whose operating system has a trust store that is not known here, or whose container runtime is not
 * containerd.
 *
 * @throws UserError with the problems (`node-os`, `node-runtime`) of each.
 */
export function checkSystems(nodes: readonly ClusterNode[]): void {
  const [first, ...rest] = nodes.flatMap(({ name, osImage, containerRuntime }): Problem[] => {
    const subject = `node ${name}`;
    const os = `it runs "${osImage}", and only the trust stores of Photon OS, Ubuntu and Debian are known`;
    const runtime = `its container runtime is "${containerRuntime}", and only containerd is supported`;
    return [
      ...(knownSystems.test(osImage) ? [] : [kubernetesProblem("node-os", { subject, seen: os })]),
      ...(containerRuntime.startsWith("containerd://")
        ? []
        : [kubernetesProblem("node-runtime", { subject, seen: runtime })]),
    ];
  });
  if (first) throw new UserError(first, ...rest);
}

/** What is used of a Node object. Its values become resource names, arguments and addresses, and its writer is the kubelet. */
const nodeSchema = z.object({
  metadata: z.object({
    name: z
      .string()
      .max(253)
      .regex(/^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/),
    uid: z.string().regex(/^[A-Za-z0-9-]{1,64}$/),
    labels: z.record(z.string(), z.string()).optional(),
    annotations: z.record(z.string(), z.string()).optional(),
  }),
  status: z.object({
    addresses: z.array(z.object({ type: z.string(), address: z.string() })).optional(),
    conditions: z.array(z.object({ type: z.string(), status: z.string() })).optional(),
    nodeInfo: z.object({
      machineID: z.string().regex(/^[0-9A-Fa-f-]{32,36}$/),
      architecture: z
        .string()
        .regex(/^[a-z0-9_]{1,20}$/)
        .optional(),
      osImage: z.string(),
      containerRuntimeVersion: z.string().regex(/^[a-z0-9.-]{1,40}:\/\/[A-Za-z0-9.+~_-]{1,80}$/),
    }),
  }),
});
type NodeObject = z.infer<typeof nodeSchema>;

/**
 * Lists the workload cluster's nodes, in the order of their names.
 *
 * @throws UserError: `no-nodes`, and for each node at fault `node-malformed`, `node-without-address`, `node-address`.
 */
export async function discoverNodes(context: KubeContext): Promise<ClusterNode[]> {
  const list = await context.request({ verb: "list", resource: "nodes" }, () => context.core.listNode());
  return readNodes(list.items, context.name);
}

/**
 * Lists a cluster's nodes, none where there are none.
 *
 * @throws UserError as {@link discoverNodes}, but for `no-nodes`.
 */
export async function listNodes(context: KubeContext): Promise<ClusterNode[]> {
  const { items } = await context.request({ verb: "list", resource: "nodes" }, () => context.core.listNode());
  return items.length === 0 ? [] : readNodes(items, context.name);
}

/**
 * Lists a cluster's control-plane nodes, none where the API shows none.
 *
 * @throws UserError as {@link discoverNodes}, for these nodes alone: a worker that joins stops no control-plane node.
 */
export async function listControlPlane(context: KubeContext): Promise<ClusterNode[]> {
  const { items } = await context.request({ verb: "list", resource: "nodes" }, () => context.core.listNode());
  const its = items.filter(({ metadata }) => isControlPlane(metadata?.labels));
  return its.length === 0 ? [] : readNodes(its, context.name);
}

/** Whether a Node's labels say that it is of the control plane. */
export function isControlPlane(labels: Readonly<Record<string, string>> = {}): boolean {
  return Object.keys(labels).some((label) =>
    /^node-role\.kubernetes\.io\/(?:control-plane|master)$/.test(label),
  );
}

/** Reads Node objects as the API gives them. */
export function readNodes(items: readonly unknown[], contextName: string): ClusterNode[] {
  const problems: Problem[] = [];
  const nodes: ClusterNode[] = [];
  for (const item of items) {
    const result = readNode(item, contextName);
    if ("code" in result) problems.push(result);
    else nodes.push(result);
  }
  nodes.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const [index, node] of nodes.entries()) {
    const other = nodes.slice(0, index).find(({ address }) => address === node.address);
    if (other)
      problems.push(badAddress(node.name, `it has the InternalIP ${node.address}, as ${other.name} has`));
  }
  const [first, ...rest] = problems;
  if (first) throw new UserError(first, ...rest);
  if (nodes.length === 0) {
    throw kubernetesProblem.error("no-nodes", {
      subject: `context ${contextName}`,
      seen: "the cluster has no nodes",
    });
  }
  return nodes;
}

function badAddress(name: string, seen: string): Problem {
  return kubernetesProblem("node-address", { subject: `node ${name}`, seen });
}

function readNode(item: unknown, contextName: string): ClusterNode | Problem {
  const parsed = nodeSchema.safeParse(item);
  if (!parsed.success) {
    const name = (item as { metadata?: { name?: unknown } } | null)?.metadata?.name;
    return kubernetesProblem(
      "node-malformed",
      {
        subject: typeof name === "string" ? `node ${printable(name, 100)}` : `context ${contextName}`,
        seen: `the Node object's ${parsed.error.issues[0]?.path.map(String).join(".") ?? "content"} is missing or not as kubelets write it`,
      },
      "listed",
    );
  }
  const { metadata, status } = parsed.data;
  const address = internalAddress(parsed.data);
  if (typeof address !== "string") return address;
  return {
    name: metadata.name,
    uid: metadata.uid,
    machineId: status.nodeInfo.machineID,
    hostName: (
      status.addresses?.find(({ type, address: name }) => type === "Hostname" && isHostName(name))?.address ??
      metadata.name
    ).toLowerCase(),
    role: isControlPlane(metadata.labels) ? "control-plane" : "worker",
    address,
    osImage: printable(status.nodeInfo.osImage, 100),
    containerRuntime: status.nodeInfo.containerRuntimeVersion,
    architecture: status.nodeInfo.architecture,
    ready: (status.conditions ?? []).some(({ type, status: value }) => type === "Ready" && value === "True"),
    pins: pinsOf(metadata.annotations),
  };
}

/** The InternalIP: the first that is IPv4, else the first. */
function internalAddress({ metadata: { name }, status: { addresses = [] } }: NodeObject): string | Problem {
  const internal = addresses.filter(({ type }) => type === "InternalIP").map(({ address }) => address);
  const chosen = internal.find((address) => isIPv4(address)) ?? internal[0];
  if (chosen === undefined) {
    return kubernetesProblem("node-without-address", {
      subject: `node ${name}`,
      seen: "it has no InternalIP",
    });
  }
  // ipaddr.js alone would take `010.1` and `0x7f000001`, which mean other addresses to others.
  if (!isIPv4(chosen) && !ipaddr.IPv6.isValid(chosen)) {
    return badAddress(name, `its InternalIP "${printable(chosen, 60)}" is not an address`);
  }
  const address = ipaddr.parse(chosen);
  if (chosen.includes("%") || forbiddenRanges.includes(address.range())) {
    return badAddress(
      name,
      `its InternalIP ${printable(chosen, 60)} (${address.range()}) is not one that a node can have`,
    );
  }
  return address.toString();
}
