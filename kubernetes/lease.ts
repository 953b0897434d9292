/**
 * The Lease of the workload cluster by which runs take turns, as the API's own conditional writes keep it.
 * It never decides whose turn it is.
 */
/* eslint-disable @typescript-eslint/no-unsafe-class-instance-assignment -- the client's models are shapes: it takes literals */
import * as z from "zod";
import { type KubeContext, apiRefusal } from "./client";
import { kubernetesProblem } from "./problems";

export const leaseName = "tkc-registry-control-plane";
export const leaseNamespace = "kube-system";
/** Verbs on this Lease that a turn takes. */
export const leaseVerbs = ["get", "create", "update", "delete"] as const;

/** Seconds after its last renewal at which a turn counts as abandoned, where its Lease does not say. */
const defaultDuration = 60;

/** A node, by the name and UID of its Node object. */
export interface NodeMark {
  readonly name: string;
  readonly uid: string;
}

/** What the Lease says. */
export interface LeaseContent {
  /** Who has the turn, for people too. Empty where nobody has. */
  readonly holder: string;
  /** The holder's process, for those on the same machine. */
  readonly process?: string | undefined;
  /** The node whose containerd was being restarted, until it is known to be Ready again. */
  readonly unsettled?: NodeMark | undefined;
  readonly acquired: Date;
  readonly renewed: Date;
  /** Seconds. */
  readonly duration: number;
}

/** The Lease as the API has it. */
export interface Lease extends LeaseContent {
  /** Changes with each write. */
  readonly version: string;
}

/** Where the Lease is. All writes are conditional. */
export interface LeaseStore {
  read(): Promise<Lease | undefined>;
  /** @returns `undefined` where it exists already. */
  create(content: LeaseContent): Promise<Lease | undefined>;
  /** @returns `undefined` where it has another version by now. */
  replace(content: LeaseContent, version: string): Promise<Lease | undefined>;
  /** @returns Whether it had this version. */
  delete(version: string): Promise<boolean>;
}

const unsettledAnnotation = "tkc-registry/restarting";
const processAnnotation = "tkc-registry/process";
const time = z
  .string()
  .transform((text) => new Date(text))
  .refine((date) => !Number.isNaN(date.getTime()))
  .catch(new Date(0));
const markPattern = /^([a-z0-9.-]{1,253}) ([A-Za-z0-9-]{1,64})$/;
/** Whatever somebody else writes there is read as a turn of theirs; only a version must be there. */
const leaseSchema = z.object({
  metadata: z.object({
    resourceVersion: z.string().min(1),
    annotations: z.record(z.string(), z.string()).catch({}),
  }),
  spec: z
    .object({
      holderIdentity: z.string().catch(""),
      acquireTime: time,
      renewTime: time,
      leaseDurationSeconds: z.number().int().min(1).max(600).catch(defaultDuration),
    })
    .catch({
      holderIdentity: "",
      acquireTime: new Date(0),
      renewTime: new Date(0),
      leaseDurationSeconds: defaultDuration,
    }),
});

function readLease(object: unknown): Lease {
  const parsed = leaseSchema.safeParse(object);
  if (!parsed.success) {
    throw kubernetesProblem.error(
      "control-plane-lease",
      { subject: `Lease ${leaseNamespace}/${leaseName}`, seen: "what the API gives is no Lease" },
      "unknown",
    );
  }
  const { metadata, spec } = parsed.data;
  const [, name, uid] = markPattern.exec(metadata.annotations[unsettledAnnotation] ?? "") ?? [];
  return {
    version: metadata.resourceVersion,
    holder: spec.holderIdentity,
    process: metadata.annotations[processAnnotation],
    unsettled: name === undefined || uid === undefined ? undefined : { name, uid },
    acquired: spec.acquireTime,
    renewed: spec.renewTime,
    duration: spec.leaseDurationSeconds,
  };
}

/** As Kubernetes writes a MicroTime. */
const micro = (date: Date): string => date.toISOString().replace("Z", "000Z");

function leaseObject(content: LeaseContent, version?: string): object {
  const { holder, process, unsettled, acquired, renewed } = content;
  return {
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    metadata: {
      name: leaseName,
      namespace: leaseNamespace,
      ...(version === undefined ? {} : { resourceVersion: version }),
      annotations: {
        ...(process === undefined ? {} : { [processAnnotation]: process }),
        ...(unsettled === undefined ? {} : { [unsettledAnnotation]: `${unsettled.name} ${unsettled.uid}` }),
      },
    },
    spec: {
      // The API takes no empty holder.
      ...(holder === "" ? {} : { holderIdentity: holder }),
      acquireTime: micro(acquired),
      renewTime: micro(renewed),
      leaseDurationSeconds: content.duration,
    },
  };
}

/** The kind Lease, as the client for custom objects takes it. */
export const leases = { group: "coordination.k8s.io", version: "v1", plural: "leases" };

/** The Lease of a workload cluster. */
export function leaseStore(cluster: KubeContext): LeaseStore {
  const place = { ...leases, namespace: leaseNamespace };
  const named = { ...place, name: leaseName };
  const action = (verb: string) => ({ verb, resource: "leases", namespace: leaseNamespace, name: leaseName });
  /** Makes a conditional write: `undefined` where the API says that the condition does not hold. */
  const unlessChanged = <T>(verb: string, call: () => Promise<T>): Promise<T | undefined> =>
    cluster.find(action(verb), async () => {
      try {
        return await call();
      } catch (error) {
        if (apiRefusal(error)?.status === 409) return undefined;
        throw error;
      }
    });
  const leaseOf = (object: unknown): Lease | undefined =>
    object === undefined ? undefined : readLease(object);
  return {
    read: async () =>
      leaseOf(
        await cluster.find<unknown>(action("get"), () => cluster.custom.getNamespacedCustomObject(named)),
      ),
    create: async (content) =>
      leaseOf(
        await cluster.request<unknown>(action("create"), async () => {
          try {
            const body = leaseObject(content);
            return (await cluster.custom.createNamespacedCustomObject({ ...place, body })) as unknown;
          } catch (error) {
            if (apiRefusal(error)?.status === 409) return undefined;
            throw error;
          }
        }),
      ),
    replace: async (content, version) =>
      leaseOf(
        await unlessChanged<unknown>("update", () =>
          cluster.custom.replaceNamespacedCustomObject({ ...named, body: leaseObject(content, version) }),
        ),
      ),
    delete: async (version) =>
      (await unlessChanged<unknown>("delete", () =>
        cluster.custom.deleteNamespacedCustomObject({
          ...named,
          body: { preconditions: { resourceVersion: version } },
        }),
      )) !== undefined,
  };
}
