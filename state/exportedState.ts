/** Reads a deployed stack from its exported state (`pulumi stack export`). */
import * as z from "zod";
import { pinnedHostKey, readCommandInput, readTrust } from "../nodes/protocol/environment";
import type { NodeSelection } from "../kubernetes/selection";
import type { NodeTarget, StackIdentity, TrustedCertificate } from "../nodes/protocol/spec";
import { type Problem, UserError } from "../support/errors";
import { idLabel } from "../support/names";
import { counted } from "../support/text";
import {
  type RecordedIdentity,
  environmentOf,
  idRecord,
  identityOf,
  isNodeCommand,
  nameOf,
  objectRecord,
  placedRecord,
  readIdentities,
  resourceTypes,
  outputsRecord,
  stdoutOf,
  trustedNodesRecord,
  unreadableState,
} from "./records";
import { stateProblem } from "./problems";

/** A node as the last run that touched it left it in the state. */
export interface StackNode {
  readonly target: NodeTarget;
  /** The identity that its command has, and so its record on the node. */
  readonly stack: StackIdentity;
  /** The owner under which its record may be, as no run has reached it since ids were introduced. */
  readonly former: string | undefined;
  /** The pinned host key; undefined if the installation never finished. */
  readonly hostKey: string | undefined;
  /** What the node is to trust. */
  readonly certificates: readonly TrustedCertificate[];
}

/** What is known of a certificate beyond its SHA-256. */
export interface CertificateFacts {
  readonly subject: string;
  /** ISO 8601. */
  readonly notAfter: string;
}

/** A set of nodes of a stack as its state has it, with what was made for it. */
export interface DeployedSet {
  /** The set's name: its `RegistryTrust`'s. */
  readonly trust: string;
  readonly identity: StackIdentity;
  /** The owner under which a release that made no ids recorded what the set has on nodes and in clusters. */
  readonly former: string | undefined;
  /** Which nodes its runs have meant, the last run's last; undefined where that meant all. */
  readonly selections: readonly NodeSelection[] | undefined;
  /** What the state has in clusters for it. */
  readonly objects: readonly { readonly kind: string; readonly namespace: string; readonly uid: string }[];
  /** In the order of their names; at least one. */
  readonly nodes: readonly StackNode[];
  /** The certificates that every node should trust, by the last run, finished or not. */
  readonly certificates: readonly TrustedCertificate[];
  /** By SHA-256. */
  readonly facts: ReadonlyMap<string, CertificateFacts>;
  /** The images of its Deployments. */
  readonly images: readonly string[];
  /** Where a pod can pull as the set's own do. */
  readonly pulls: { readonly namespace: string; readonly secret: string | undefined };
}

/** A set of nodes that cannot be asked, and why. */
export interface UnreadSet {
  readonly trust: string;
  readonly problem: Problem;
}

/** A stack as its state has it. */
export interface DeployedStack {
  /** At least one. */
  readonly sets: readonly DeployedSet[];
  readonly unread: readonly UnreadSet[];
  /** What tells the stack's records and objects from others', of whichever set. */
  readonly claim: {
    readonly ids: ReadonlySet<string>;
    readonly formers: ReadonlySet<string>;
    readonly uids: ReadonlySet<string>;
  };
  readonly warnings: readonly Problem[];
}

const resourceSchema = z.object({
  urn: z.string(),
  type: z.string(),
  delete: z.boolean().optional(),
  inputs: z.unknown().optional(),
  outputs: z.unknown().optional(),
});
type Resource = z.infer<typeof resourceSchema>;

const exportSchema = z.object({
  deployment: z
    .object({
      resources: z.array(resourceSchema).nullish(),
      pending_operations: z.array(z.unknown()).nullish(),
    })
    .nullish(),
});

const unreadable = (subject: string, seen: string): UserError => unreadableState(subject, seen, "release");

function readNode({ urn, inputs, outputs }: Resource): Omit<StackNode, "former"> {
  const stdout = stdoutOf(outputs);
  const environment = {
    ...environmentOf(inputs),
    ...(stdout === undefined ? {} : { PULUMI_COMMAND_STDOUT: stdout }),
  };
  try {
    const { target, stack } = readCommandInput(environment);
    // The settings may pin a node that was never installed; only installed nodes are inspected.
    const hostKey = stdout === undefined ? undefined : pinnedHostKey(environment, target);
    return { target, stack, hostKey, certificates: readTrust(environment).certificates };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const { subject, seen } = error.problems[0]!;
    throw unreadable(`the state's resource ${nameOf(urn)}`, `${subject}: ${seen}`);
  }
}

function distinct(certificates: readonly TrustedCertificate[]): TrustedCertificate[] {
  return [
    ...new Map(certificates.map((each) => [`${each.registry} ${each.sha256}`, each] as const)).values(),
  ];
}

/** What the state has of one set of nodes under the names of its `RegistryTrust`. */
interface NamedSet {
  /** The first is what it is called; others are of releases that called it after its cluster. */
  readonly names: readonly [string, ...string[]];
  readonly identity: StackIdentity;
  readonly former: string | undefined;
  readonly selections: readonly NodeSelection[] | undefined;
  readonly nodes: readonly Omit<StackNode, "former">[];
}

/** Nodes by their set. A run of a release that makes ids, where it was cut off, has given one to some of the nodes only. */
function groupNodes(nodes: readonly Omit<StackNode, "former">[]): (typeof nodes)[] {
  const withId = nodes.filter(({ stack }) => stack.id !== undefined);
  const idOf = ({ stack, target }: (typeof nodes)[number]): string | undefined =>
    stack.id ?? withId.find((other) => other.target.clusterContext === target.clusterContext)?.stack.id;
  const sets = new Map<string | undefined, (typeof nodes)[number][]>();
  for (const node of nodes) sets.set(idOf(node), [...(sets.get(idOf(node)) ?? []), node]);
  return [...sets.values()];
}

function nameSet(
  nodes: readonly Omit<StackNode, "former">[],
  identities: ReadonlyMap<string, RecordedIdentity>,
): NamedSet {
  const identity = nodes.find(({ stack }) => stack.id !== undefined)?.stack ?? nodes[0]!.stack;
  const { clusterContext, cluster } = nodes[0]!.target;
  const own = [...identities].filter(([, { id }]) => id === identity.id).map(([name]) => name);
  // Releases that made no ids called the set after its cluster.
  const earlier = cluster && !identities.get(cluster.name)?.id ? [cluster.name] : [];
  const [name = clusterContext, ...rest] = [...own, ...earlier];
  const names = [name, ...rest] as const;
  const { former, selections } = identityOf(identities, names) ?? {};
  return { names: [...names], identity, former, selections, nodes };
}

/**
 * Reads an exported state.
 *
 * @param name - The stack, for messages.
 * @throws UserError `state-unreadable`, `stack-not-deployed`; `stack-mixed` where no other set of nodes can be read.
 */
export function readDeployedStack(exported: unknown, name: string): DeployedStack {
  const parsed = exportSchema.safeParse(exported);
  const subject = `stack ${name}`;
  if (!parsed.success) throw unreadable(subject, "what `pulumi stack export` printed is not a stack's state");
  const { resources, pending_operations: pending } = parsed.data.deployment ?? {};
  // Resources that await deletion after a replacement are outdated.
  const live = (resources ?? []).filter((resource) => resource.delete !== true);
  const commands = live.filter(({ type }) => type === resourceTypes.command);
  const nodes = commands
    .filter(({ inputs }) => isNodeCommand(inputs))
    .map(readNode)
    .sort((a, b) => (a.target.name < b.target.name ? -1 : 1));
  if (nodes.length === 0) {
    throw stateProblem.error("stack-not-deployed", {
      subject,
      seen: live.length === 0 ? "nothing is deployed" : "its state holds no node of tkc-registry",
    });
  }
  const identities = readIdentities(commands.map(({ urn, inputs, outputs }) => ({ urn, inputs, outputs })));
  const named = groupNodes(nodes)
    .map((each) => nameSet(each, identities))
    .sort((a, b) => (a.names[0] < b.names[0] ? -1 : 1));
  const withoutNodes = namesWithoutNodes(identities, named);
  const about = (trust: string): string =>
    named.length + withoutNodes.length > 1 ? `${subject}, RegistryTrust ${trust}` : subject;
  const mixed = named.filter(
    ({ nodes }) => new Set(nodes.map(({ target }) => target.clusterContext)).size > 1,
  );
  const unread = [
    ...mixed.map(({ names: [trust] }) => ({
      trust,
      problem: stateProblem("stack-mixed", {
        subject: about(trust),
        seen: "its nodes were reached by different contexts of the cluster, as an update did not come to its end",
      }),
    })),
    ...withoutNodes.map((trust) => ({
      trust,
      problem: stateProblem("stack-not-deployed", {
        subject: about(trust),
        seen: "the state holds no node of it",
      }),
    })),
  ];
  const sets = named
    .filter((set) => !mixed.includes(set))
    .map((set) => readSet(set, live, named.length === 1));
  const [first, ...rest] = unread.map(({ problem }) => problem);
  if (sets.length === 0) throw new UserError(first!, ...rest);
  return {
    sets,
    unread,
    claim: {
      ids: new Set(
        [...identities.values(), ...named.map(({ identity }) => identity)].flatMap(({ id }) => id ?? []),
      ),
      formers: new Set([...identities.values()].flatMap(({ former }) => former ?? [])),
      uids: new Set(live.flatMap(({ outputs }) => objectRecord.safeParse(outputs).data?.metadata.uid ?? [])),
    },
    warnings: (pending ?? []).length > 0 ? [interrupted(subject, pending!.length)] : [],
  };
}

/** Sets whose first run did not come to their nodes. */
function namesWithoutNodes(
  identities: ReadonlyMap<string, RecordedIdentity>,
  named: readonly NamedSet[],
): string[] {
  // The first run of a release that makes ids, where it was cut off, has made one for the nodes that have none yet.
  if (named.some(({ identity }) => identity.id === undefined)) return [];
  const known = new Set(named.flatMap(({ names }) => names));
  return [...identities].flatMap(([name, { id }]) => (id === undefined || known.has(name) ? [] : [name]));
}

/** @param alone - Whether no other set of nodes is deployed: then a part that names none is of this one. */
function readSet(set: NamedSet, live: readonly Resource[], alone: boolean): DeployedSet {
  const { names, identity, former, selections } = set;
  const ofType = (type: string): Resource[] => live.filter((resource) => resource.type === type);
  const withName = (type: string): Resource[] =>
    ofType(type).filter(({ urn }) => names.includes(nameOf(urn)));
  /** By the id that a label or an input has. Earlier releases wrote none. */
  const isOfSet = (id: unknown): boolean => id === identity.id || (id === undefined && former !== undefined);
  const declared = withName(resourceTypes.nodes);
  const certificates = (declared.length > 0 || !alone ? declared : ofType(resourceTypes.nodes)).flatMap(
    ({ inputs }) => trustedNodesRecord.safeParse(inputs).data?.certificates ?? [],
  );
  const [trust] = names;
  const stack = alone ? outputsRecord.safeParse(ofType(resourceTypes.stack)[0]?.outputs).data : undefined;
  const own = withName(resourceTypes.trust).flatMap(
    ({ outputs }) => outputsRecord.safeParse(outputs).data?.registries ?? [],
  );
  const images = ofType(resourceTypes.registryDeployment)
    .filter(({ inputs }) => isOfSet(idRecord.safeParse(inputs).data?.id))
    .flatMap(({ outputs }) => outputsRecord.safeParse(outputs).data?.image ?? []);
  const registries = own.length > 0 ? own : (stack?.registries ?? []);
  return {
    ...{ trust, identity, former, selections },
    nodes: set.nodes.map((node) => ({
      ...node,
      former: node.stack.id === undefined ? former : undefined,
    })),
    objects: live.flatMap(({ outputs }) => {
      const found = objectRecord.safeParse(outputs).data;
      return found && isOfSet(found.metadata.labels?.[idLabel])
        ? [{ kind: found.kind, ...found.metadata }]
        : [];
    }),
    certificates: distinct(
      certificates.length > 0 ? certificates : set.nodes.flatMap((node) => node.certificates),
    ),
    facts: new Map(
      registries.flatMap((registry) =>
        registry.certificates.map(({ sha256, ...known }) => [sha256, known] as const),
      ),
    ),
    images: [...new Set(images.length > 0 ? images : [stack?.image ?? []].flat())],
    pulls: placeOfPulls((type) =>
      ofType(type).flatMap(({ inputs }) => {
        const placed = placedRecord.safeParse(inputs).data?.metadata;
        return placed && isOfSet(placed.labels?.[idLabel]) ? placed : [];
      }),
    ),
  };
}

function placeOfPulls(
  placed: (type: string) => { readonly name: string; readonly namespace: string }[],
): DeployedSet["pulls"] {
  const secrets = placed(resourceTypes.secret);
  const [deployment] = placed(resourceTypes.deployment);
  const beside = secrets.find(({ namespace }) => namespace === deployment?.namespace);
  // Without a secret in its namespace, the Deployment pulls without one.
  const place = beside ?? deployment ?? secrets[0];
  return {
    namespace: place?.namespace ?? "default",
    secret: place === deployment ? undefined : place?.name,
  };
}

const interrupted = (subject: string, count: number): Problem =>
  stateProblem("pending-operations", {
    subject,
    seen: `its state has ${counted(count, "pending operation")}: a run was cut off, or one is under way`,
  });
