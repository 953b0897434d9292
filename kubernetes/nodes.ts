import { isIPv4 } from "node:net";
import * as ipaddr from "ipaddr.js";
import * as z from "zod";
import { type Problem, UserError } from "../support/errors";
import { isHostName } from "../support/names";
import { counted, printable } from "../support/text";
import type { KubeContext } from "./client";
import type { ClusterNode } from "./types";
import { pinsOf } from "./pins";
import { kubernetesProblem } from "./problems";
import {
  type ExcludedNode,
  type ListedNode,
  type NodeSelection,
  leftOutBy,
  listedNode,
  separating,
} from "./selection";

/** Ranges that no node's address is in: SSH to them would reach this machine, or no single host. */
const forbiddenRanges = ["unspecified", "loopback", "linkLocal", "multicast", "broadcast", "ipv4Mapped"];

/** Whether a node's system may be one whose trust store is known: of a Linux, the node script judges by what it has. */
export const isKnownSystem = ({ osImage }: Pick<ListedNode, "osImage">): boolean =>
  !/\bwindows\b/i.test(osImage);

/** How the settings would leave out all of some nodes, and none of the others. */
function howToLeaveOut(
  apart: readonly ListedNode[],
  others: readonly ListedNode[],
  { select, exclude }: NodeSelection,
): string {
  const found = separating(apart, others);
  if (!found)
    return `give them a label of their own (\`kubectl label node ${apart[0]!.name} trust=none\`), and set \`nodes.exclude: "trust=none"\``;
  return exclude === undefined
    ? `set \`nodes.exclude: "${found.is}"\``
    : `set \`nodes.select: "${[...(select === undefined ? [] : [select]), found.isNot].join(",")}"\``;
}

/** The problem of all nodes whose system is no Linux, if there are any. */
function systemProblem(nodes: readonly ListedNode[], selection: NodeSelection): Problem | undefined {
  const apart = nodes.filter((node) => !isKnownSystem(node));
  if (apart.length === 0) return undefined;
  const systems = [...new Set(apart.map(({ osImage }) => `"${osImage}"`))].sort().join(", ");
  const [subject, run] = apart.length === 1 ? ["node", "it runs"] : ["nodes", "they run"];
  return kubernetesProblem(
    "node-os",
    {
      subject: `${subject} ${apart.map(({ name }) => name).join(", ")}`,
      seen: `${run} ${systems}, and only Linux has a trust store that is known`,
    },
    howToLeaveOut(apart, nodes.filter(isKnownSystem), selection),
  );
}

/** A problem for each node whose container runtime is not containerd. */
const runtimeProblems = (nodes: readonly ClusterNode[]): Problem[] =>
  nodes
    .filter(({ containerRuntime }) => !containerRuntime.startsWith("containerd://"))
    .map(({ name, containerRuntime }) =>
      kubernetesProblem("node-runtime", {
        subject: `node ${name}`,
        seen: `its container runtime is "${containerRuntime}", and only containerd is supported`,
      }),
    );

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

/** A cluster's nodes: those that the stack is about, in the order of their names, and the others. */
export interface FoundNodes {
  readonly nodes: readonly ClusterNode[];
  readonly excluded: readonly ExcludedNode[];
}

const listItems = async (context: KubeContext): Promise<readonly unknown[]> =>
  (await context.request({ verb: "list", resource: "nodes" }, () => context.core.listNode())).items;

/**
 * Lists the workload cluster's nodes.
 *
 * @param options.known - Whether a node is refused whose trust store is not known here, or whose container runtime is
 * not containerd.
 * @throws UserError: `no-nodes`, and for each node at fault `node-malformed`, `node-without-address`, `node-address`,
 * `node-runtime`; once for all of them `node-os`.
 */
export async function discoverNodes(
  context: KubeContext,
  selection: NodeSelection = {},
  { known = false } = {},
): Promise<FoundNodes> {
  const excluded: ExcludedNode[] = [];
  const kept = (await listItems(context)).filter((item) => {
    const node = listedNode(item);
    const by = node && leftOutBy(node.labels, selection);
    if (node && by !== undefined) excluded.push({ name: node.name, uid: node.uid, by });
    return by === undefined;
  });
  if (kept.length === 0 && excluded.length > 0) {
    const seen = `its ${counted(excluded.length, "node")} ${excluded.length === 1 ? "is" : "are"} all left out`;
    throw kubernetesProblem.error("no-nodes", { subject: `context ${context.name}`, seen }, "leftOut");
  }
  excluded.sort((a, b) => (a.name < b.name ? -1 : 1));
  return { nodes: readNodes(kept, context.name, { known, selection }), excluded };
}

/**
 * Lists a cluster's nodes, none where there are none.
 *
 * @param isMeant - Leaves out nodes of which nothing else is read.
 * @throws UserError as {@link discoverNodes}, but for `no-nodes`.
 */
export async function listNodes(
  context: KubeContext,
  isMeant: (node: ListedNode) => boolean = () => true,
): Promise<ClusterNode[]> {
  const items = (await listItems(context)).filter((item) => {
    const node = listedNode(item);
    return !node || isMeant(node);
  });
  return items.length === 0 ? [] : readNodes(items, context.name);
}

/**
 * Lists a cluster's control-plane nodes, none where the API shows none.
 *
 * @throws UserError as {@link discoverNodes}, for these nodes alone: a worker that joins stops no control-plane node.
 */
export async function listControlPlane(context: KubeContext): Promise<ClusterNode[]> {
  const its = (await listItems(context)).filter((item) => isControlPlane(listedNode(item)?.labels));
  return its.length === 0 ? [] : readNodes(its, context.name);
}

/** Whether a Node's labels say that it is of the control plane. */
export function isControlPlane(labels: Readonly<Record<string, string>> = {}): boolean {
  return Object.keys(labels).some((label) =>
    /^node-role\.kubernetes\.io\/(?:control-plane|master)$/.test(label),
  );
}

/**
 * Reads Node objects as the API gives them.
 *
 * @param options.known - As {@link discoverNodes}.
 * @param options.selection - By which they were chosen, for what leaves out more.
 */
export function readNodes(
  items: readonly unknown[],
  contextName: string,
  { known = false, selection = {} }: { readonly known?: boolean; readonly selection?: NodeSelection } = {},
): ClusterNode[] {
  const problems: Problem[] = [];
  const nodes: ClusterNode[] = [];
  // Kubelets of other systems write some fields in other shapes: their system is what is told of such nodes.
  const refused: ListedNode[] = [];
  for (const item of items) {
    const result = readNode(item, contextName);
    const listed = listedNode(item);
    const isOther = listed !== undefined && listed.osImage !== "" && !isKnownSystem(listed);
    if (isOther && (known || "code" in result)) refused.push(listed);
    if (!("code" in result)) nodes.push(result);
    else if (!isOther) problems.push(result);
  }
  const others = items.flatMap((item) => listedNode(item) ?? []).filter(isKnownSystem);
  if (refused.length > 0) problems.unshift(systemProblem([...refused, ...others], selection)!);
  if (known) problems.push(...runtimeProblems(nodes));
  nodes.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const [index, node] of nodes.entries()) {
    const other = nodes.slice(0, index).find(({ address }) => address === node.address);
    if (other)
      problems.push(badAddress(node.name, `it has the InternalIP ${node.address}, as ${other.name} has`));
  }
  const [first, ...rest] = problems;
  if (first) throw new UserError(first, ...rest);
  if (nodes.length === 0) {
    throw kubernetesProblem.error(
      "no-nodes",
      {
        subject: `context ${contextName}`,
        seen: "the cluster has no nodes",
      },
      "none",
    );
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
    labels: metadata.labels ?? {},
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
