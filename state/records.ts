/**
 * What the resources of a stack look like in its state, for all who read it.
 * It never asks for a state: the readers beside it do.
 */
import * as z from "zod";
import type { NodeSelection } from "../kubernetes/selection";
import { readCanary, readSelections, stackId } from "../nodes/protocol/environment";
import { type Canary, trustedCertificateSchema } from "../nodes/protocol/spec";
import { UserError } from "../support/errors";
import { stateProblem } from "./problems";
import { replacesVariable } from "../support/names";

/** Types of the resources that are read. */
export const resourceTypes = {
  stack: "pulumi:pulumi:Stack",
  trust: "tkc-registry:index:RegistryTrust",
  nodes: "tkc-registry:index:TrustedNodes",
  node: "tkc-registry:index:TrustedNode",
  registryDeployment: "tkc-registry:index:RegistryDeployment",
  command: "command:local:Command",
  pod: "kubernetes:core/v1:Pod",
  secret: "kubernetes:core/v1:Secret",
  deployment: "kubernetes:apps/v1:Deployment",
} as const;

/** The certificates that nodes are to trust, as `TrustedNodes` has them among its inputs and outputs. */
export const trustedNodesRecord = z.object({ certificates: z.array(trustedCertificateSchema) });

/** A Kubernetes object among a resource's inputs. */
export const placedRecord = z.object({
  metadata: z.object({
    namespace: z.string(),
    name: z.string(),
    labels: z.record(z.string(), z.unknown()).optional(),
  }),
});

/** A Kubernetes object among a resource's outputs: it exists, or existed. */
export const objectRecord = z.object({
  kind: z.string(),
  metadata: placedRecord.shape.metadata.extend({ uid: z.string() }),
});

/** The id of the set of nodes, among the inputs of a component that was made for it. */
export const idRecord = z.object({ id: z.string().optional() });

const podRecord = z.object({
  spec: z.object({
    containers: z.array(
      z.object({ env: z.array(z.object({ name: z.string(), value: z.string().optional() })).optional() }),
    ),
  }),
});

/** The UID of the pod that a jumpbox was made in place of. */
export function replacedUid(outputs: unknown): string | undefined {
  const containers = podRecord.safeParse(outputs).data?.spec.containers ?? [];
  return containers.flatMap(({ env = [] }) => env).find(({ name }) => name === replacesVariable)?.value;
}

/**
 * What a `RegistryTrust`, a `RegistryDeployment` or the stack itself has among its outputs, each left out where a release
 * wrote it in another form.
 */
export const outputsRecord = z.object({
  registries: z
    .array(
      z.object({
        host: z.string(),
        certificates: z.array(
          z.object({ sha256: z.string(), subject: z.string(), notAfter: z.iso.datetime() }),
        ),
      }),
    )
    .optional()
    .catch(undefined),
  image: z.string().optional().catch(undefined),
});

const environmentRecord = z.object({ environment: z.record(z.string(), z.unknown()) });
const outputRecord = z.object({ stdout: z.string() });

/** A command's environment, without the values that are encrypted in the state: those are objects. */
export function environmentOf(properties: unknown): Readonly<Record<string, string>> {
  const values = environmentRecord.safeParse(properties).data?.environment ?? {};
  return Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) => (typeof value === "string" ? [[name, value]] : [])),
  );
}

const commandRecord = z.object({ create: z.string().optional(), delete: z.string().optional() });

/** What a command runs, and in which environment, as far as that is not encrypted. */
export function commandOf(properties: unknown): {
  readonly create: string | undefined;
  readonly delete: string | undefined;
  readonly environment: Readonly<Record<string, string>>;
} {
  const { create, delete: remove } = commandRecord.safeParse(properties).data ?? {};
  return { create, delete: remove, environment: environmentOf(properties) };
}

/** Whether a command is one for a node, by its environment: also where the node's name is encrypted. */
export function isNodeCommand(inputs: unknown): boolean {
  return "TKC_REGISTRY_NODE" in (environmentRecord.safeParse(inputs).data?.environment ?? {});
}

/** What a command printed when it last ran. */
export function stdoutOf(outputs: unknown): string | undefined {
  return outputRecord.safeParse(outputs).data?.stdout;
}

/** What the state has of the node that the last run with something to install did first. */
export interface RecordedCanary {
  /** What it was to pull. */
  readonly planned?: Canary | undefined;
  /** What it has pulled: another, or nothing, where the last run did not come so far. */
  readonly pulled?: Canary | undefined;
}

/** Reads what a command says of the canary; undefined where it is another's, or cannot be read. */
export function readRecordedCanary(
  { urn, outputs }: { readonly urn: string; readonly outputs: unknown },
  sets: readonly string[],
): RecordedCanary | undefined {
  const { TKC_REGISTRY_CANARY: text } = environmentOf(outputs);
  const [, set, role] = /^(.*)-(plan|canary)$/.exec(nameOf(urn)) ?? [];
  if (text === undefined || set === undefined || !sets.includes(set)) return undefined;
  try {
    const canary = readCanary({ TKC_REGISTRY_CANARY: text });
    return role === "plan" ? { planned: canary } : { pulled: canary };
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

/** The name of a resource, which is the last part of its URN. */
export const nameOf = (urn: string): string => urn.split("::").at(-1) ?? urn;

/** What the state has of the identity of a set of nodes. */
export interface RecordedIdentity {
  /** Undefined before the first run of a release that makes ids. */
  readonly id: string | undefined;
  /** The owner under which a release that made no ids recorded what the set has on nodes. */
  readonly former: string | undefined;
  /** Which nodes its runs have meant, those of the last run last. Left out where the last run meant all. */
  readonly selections?: readonly NodeSelection[] | undefined;
  /** Where no run came to the nodes: their sweep is made before any of them is touched. */
  readonly untouched?: true;
}

/** The owner of a command that a release wrote which made no ids. */
export function formerOwner({
  TKC_REGISTRY_ID: id,
  TKC_REGISTRY_OWNER: owner,
}: Readonly<Record<string, string>>): string | undefined {
  return id === undefined ? owner : undefined;
}

/**
 * Reads what an identity command printed.
 *
 * @throws UserError `state-unreadable`
 */
export function readIdentity(name: string, stdout: unknown): string {
  const parsed = stackId.safeParse(stdout);
  if (parsed.success) return parsed.data;
  throw unreadableState(`the state's resource ${name}`, "what it printed is not a UUID", "release");
}

/**
 * Reads the identities of all sets of nodes, by the names of the sets.
 *
 * @param commands - All commands of a state.
 */
export function readIdentities(
  commands: readonly { readonly urn: string; readonly inputs: unknown; readonly outputs: unknown }[],
): ReadonlyMap<string, RecordedIdentity> {
  const identities = new Map<string, RecordedIdentity>();
  const swept = new Set<string>();
  const add = (set: string, found: Partial<RecordedIdentity>): void =>
    void identities.set(set, { ...(identities.get(set) ?? { id: undefined, former: undefined }), ...found });
  for (const { urn, inputs, outputs } of commands) {
    const [, set, role] = /^(.*)-(identity|sweep)$/.exec(nameOf(urn)) ?? [];
    if (set === undefined) continue;
    const environment = environmentOf(inputs);
    const selections = readSelections(environment);
    if (role === "sweep") {
      swept.add(set);
      add(set, {
        former: environment["TKC_REGISTRY_FORMER_OWNER"] ?? formerOwner(environment),
        ...(selections ? { selections } : {}),
      });
    } else add(set, { id: stackId.safeParse(stdoutOf(outputs)).data });
  }
  for (const set of identities.keys()) if (!swept.has(set)) add(set, { untouched: true });
  return identities;
}

/** The identity of a set of nodes, where earlier runs gave the set other names. */
export function identityOf(
  identities: ReadonlyMap<string, RecordedIdentity>,
  names: readonly string[],
): RecordedIdentity | undefined {
  const found = names.flatMap((name) => identities.get(name) ?? []);
  const [first] = found;
  const selections = found.find((each) => each.selections !== undefined)?.selections;
  return (
    first && {
      id: found.find(({ id }) => id !== undefined)?.id,
      former: found.find(({ former }) => former !== undefined)?.former,
      ...(selections ? { selections } : {}),
      ...(found.every(({ untouched }) => untouched) ? { untouched: true as const } : {}),
    }
  );
}

/** A state that cannot be read. */
export function unreadableState(subject: string, seen: string, by: "release" | "engine"): UserError {
  return stateProblem.error("state-unreadable", { subject, seen }, by);
}
