/** Reads a deployed stack from its exported state (`pulumi stack export`). */
import { z } from "zod";
import { pinnedHostKey, readCommandInput, readTrust } from "../nodes/protocol/environment";
import type { NodeTarget, StackIdentity, TrustedCertificate } from "../nodes/protocol/spec";
import { type Problem, UserError } from "../support/errors";
import { counted } from "../support/text";
import {
  environmentOf,
  isNodeCommand,
  nameOf,
  objectRecord,
  placedRecord,
  readIdentities,
  resourceTypes,
  stackRecord,
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

/** A stack as its state has it. */
export interface DeployedStack {
  /** The stack's identity. */
  readonly identity: StackIdentity;
  /** The owner under which a release that made no ids recorded what the stack has on nodes and in clusters. */
  readonly former: string | undefined;
  /** What the state has in clusters. */
  readonly objects: readonly { readonly kind: string; readonly namespace: string; readonly uid: string }[];
  /** In the order of their names; at least one. */
  readonly nodes: readonly StackNode[];
  /** The certificates that every node should trust, by the last run, finished or not. */
  readonly certificates: readonly TrustedCertificate[];
  /** By SHA-256. */
  readonly facts: ReadonlyMap<string, CertificateFacts>;
  /** The image of the stack's Deployment. */
  readonly image: string | undefined;
  /** Where a pod can pull as the stack's own does. */
  readonly pulls: { readonly namespace: string; readonly secret: string | undefined };
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

/**
 * Reads an exported state.
 *
 * @param name - The stack, for messages.
 * @throws UserError `state-unreadable`, `stack-not-deployed`, `stack-mixed`.
 */
export function readDeployedStack(exported: unknown, name: string): DeployedStack {
  const parsed = exportSchema.safeParse(exported);
  const subject = `stack ${name}`;
  if (!parsed.success) throw unreadable(subject, "what `pulumi stack export` printed is not a stack's state");
  const { resources, pending_operations: pending } = parsed.data.deployment ?? {};
  // Resources that await deletion after a replacement are outdated.
  const live = (resources ?? []).filter((resource) => resource.delete !== true);
  const ofType = (type: string): Resource[] => live.filter((resource) => resource.type === type);
  const nodes = ofType(resourceTypes.command)
    .filter(({ inputs }) => isNodeCommand(inputs))
    .map(readNode)
    .sort((a, b) => (a.target.name < b.target.name ? -1 : 1));
  const [first] = nodes;
  if (!first) {
    throw stateProblem.error("stack-not-deployed", {
      subject,
      seen: live.length === 0 ? "nothing is deployed" : "its state holds no node of tkc-registry",
    });
  }
  const contexts = new Set(nodes.map(({ target }) => target.clusterContext));
  if (contexts.size > 1) {
    throw stateProblem.error("stack-mixed", {
      subject,
      seen: "its nodes were reached by different contexts of the cluster, as an update did not come to its end",
    });
  }
  const declared = ofType(resourceTypes.nodes).flatMap(
    ({ inputs }) => trustedNodesRecord.safeParse(inputs).data?.certificates ?? [],
  );
  const certificates = distinct(declared.length > 0 ? declared : nodes.flatMap((node) => node.certificates));
  const outputs = stackRecord.safeParse(ofType(resourceTypes.stack)[0]?.outputs).data;
  const facts = new Map(
    (outputs?.registries ?? []).flatMap((registry) =>
      registry.certificates.map(({ sha256, ...known }) => [sha256, known] as const),
    ),
  );
  const identities = readIdentities(
    ofType(resourceTypes.command).map(({ urn, inputs, outputs }) => ({ urn, inputs, outputs })),
  );
  // An update that was cut off has told some of the nodes only.
  const identity = nodes.find(({ stack }) => stack.id !== undefined)?.stack ?? first.stack;
  const set = [...identities.values()].find(({ id }) => id === identity.id) ?? [...identities.values()][0];
  return {
    identity,
    former: set?.former,
    nodes: nodes.map((node) => ({
      ...node,
      former: node.stack.id === undefined ? undefined : set?.former,
    })),
    objects: live.flatMap(({ outputs }) => {
      const found = objectRecord.safeParse(outputs).data;
      return found ? [{ kind: found.kind, ...found.metadata }] : [];
    }),
    certificates,
    facts,
    image: outputs?.image,
    pulls: placeOfPulls(ofType),
    warnings: (pending ?? []).length > 0 ? [interrupted(subject, pending!.length)] : [],
  };
}

function placeOfPulls(ofType: (type: string) => Resource[]): DeployedStack["pulls"] {
  const placed = (type: string): { name: string; namespace: string }[] =>
    ofType(type).flatMap(({ inputs }) => placedRecord.safeParse(inputs).data?.metadata ?? []);
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
