/**
 * The turns in which runs restart containerd on control-plane nodes: a Lease in the workload cluster, kept by the API's
 * own conditional writes. Two runs, of two stacks or two operators, never have a turn at the same time.
 * It never decides whether a node may be restarted: the fence of whoever takes the turn does.
 */
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import pLimit from "p-limit";
import { z } from "zod";
import { type Clock, systemClock } from "../support/clock";
import { UserError } from "../support/errors";
import { hasEnded, processMark } from "../support/processMark";
import { printable } from "../support/text";
import { type KubeContext, apiRefusal } from "./client";
import { kubernetesProblem, transientCodes } from "./problems";

export const leaseName = "tkc-registry-control-plane";
export const leaseNamespace = "kube-system";
/** Verbs on this Lease that a turn takes. */
export const leaseVerbs = ["get", "create", "update", "delete"] as const;

/**
 * Seconds after its last renewal at which a turn counts as abandoned. A restart of containerd may take the only API
 * server away for the better part of a minute, and renewals fail meanwhile.
 */
const duration = 60;
/** Seconds between renewals: three may fail before the turn counts as abandoned. */
const renewal = 15;
/** Seconds in which the API has to say that the turn is still this run's, for a restart to be sent. */
const fresh = 30;
/** Seconds after which a holder known to have ended is followed: what it sent to a node may still be on its way. */
const delivery = 10;
/** Seconds between two looks at a turn that another run has. */
const poll = 2;
/** Seconds for which an API that does not answer is asked again: a control-plane node may be restarting. */
const silence = 120;

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

/** One turn, given to who has it. */
export interface Turn {
  /**
   * Proves that the turn is still this run's, and records that the node is being restarted. To be awaited directly
   * before the restart is sent.
   */
  begin(): Promise<void>;
  /** Says that the node is Ready again. Without this word the next run looks after the node first. */
  settled(): void;
}

/** A turn where none has to be taken. */
export const freeTurn: Turn = { begin: () => Promise.resolve(), settled: () => undefined };

export interface TurnOptions {
  /** The readable name of the stack. */
  readonly owner: string;
  /** The node that is to be restarted. */
  readonly node: NodeMark;
  /** Seconds to wait for other runs. */
  readonly limit: number;
  /**
   * Decides whether the node may be restarted at this moment, and throws if not.
   *
   * @param unsettled - The node that an earlier run was restarting and did not see Ready again.
   */
  readonly fence: (unsettled: NodeMark | undefined) => Promise<void>;
  readonly log: (message: string) => void;
  /** Ends the wait for a turn. */
  readonly signal?: AbortSignal | undefined;
}

/** The turn was taken over by another run before anything was sent to the node. */
class TurnLost extends Error {}

/** A turn that this process has. */
interface Held {
  /** As it was last written. */
  lease: Lease;
  /** What the next write says of the node. */
  unsettled: NodeMark | undefined;
  /** Another run has taken it over. */
  lost: boolean;
}

const codeOf = (error: unknown): string => (error instanceof UserError ? error.problems[0]!.code : "");

/** The turns of one process at one cluster. */
export class Turns {
  /** A process has one turn at a time, like any other holder. */
  readonly #one = pLimit(1);
  readonly #nonce = randomBytes(4).toString("hex");

  constructor(
    private readonly store: LeaseStore,
    private readonly clock: Clock = systemClock,
    private readonly isOver: (process: string) => boolean = hasEnded,
    private readonly process: string | undefined = processMark(),
  ) {}

  /**
   * Runs `act` in a turn, once the fence lets it. Without the right to Leases it runs without a turn, behind the fence
   * alone.
   *
   * @throws UserError `control-plane-lease` where others have the turn for too long, and what fence and `act` throw.
   */
  take<T>(options: TurnOptions, act: (turn: Turn) => Promise<T>): Promise<T> {
    return this.#one(async () => {
      const end = this.clock.now() + options.limit * 1000;
      for (;;) {
        try {
          return await this.#once(options, end, act);
        } catch (error) {
          if (!(error instanceof TurnLost)) throw error;
          options.log("another run took the control plane's turn over; waiting for the next one");
        }
      }
    });
  }

  async #once<T>(options: TurnOptions, end: number, act: (turn: Turn) => Promise<T>): Promise<T> {
    const { node, fence, log } = options;
    const lease = await this.#acquire(options, end);
    if (lease === undefined) {
      await fence(undefined);
      return await act(freeTurn);
    }
    const held: Held = { lease, unsettled: lease.unsettled, lost: false };
    const over = new AbortController();
    const oneWrite = pLimit(1);
    const write = (): Promise<boolean> => oneWrite(() => this.#write(held));
    const renewing = this.#renew(held, write, over.signal);
    try {
      await fence(lease.unsettled);
      // The fence has looked after every node but the one that is to be restarted.
      if (held.unsettled?.uid !== node.uid) held.unsettled = undefined;
      return await act({
        begin: async () => {
          held.unsettled = node;
          let sent: number;
          do {
            sent = this.clock.now();
            const written = await this.#patiently(write).catch((error: unknown) => {
              if (codeOf(error) !== "no-rights") throw error;
              this.#without(error as UserError, log);
              return true;
            });
            if (!written) throw new TurnLost();
            // An answer that was long under way proves nothing: another run may have taken over since.
          } while (this.clock.now() - sent >= fresh * 1000);
        },
        settled: () => {
          held.unsettled = undefined;
        },
      });
    } finally {
      over.abort();
      await renewing;
      await this.#release(held, log);
    }
  }

  /** @returns The Lease as this run holds it; `undefined` without the rights. */
  async #acquire(options: TurnOptions, end: number): Promise<Lease | undefined> {
    const { owner, limit, log, signal } = options;
    const me = this.#holder(owner);
    let observed: { readonly what: string; readonly since: number } | undefined;
    let ended: number | undefined;
    let told = "";
    for (;;) {
      try {
        const found = await this.#patiently(() => this.store.read(), signal);
        const now = this.clock.now();
        if (!found) {
          const created = await this.#patiently(() => this.store.create(this.#content(me)), signal);
          if (created) return created;
        } else {
          const what = JSON.stringify([found.holder, found.acquired, found.renewed]);
          if (observed?.what !== what) observed = { what, since: now };
          if (found.process === undefined || !this.isOver(found.process)) ended = undefined;
          else ended ??= now;
          // As all who elect leaders by Leases do: what counts is how long this clock has seen no renewal.
          const abandoned = now - observed.since >= found.duration * 1000;
          if (
            found.holder === "" ||
            found.holder === me ||
            abandoned ||
            (ended !== undefined && now - ended >= delivery * 1000)
          ) {
            const mine = { ...this.#content(me), unsettled: found.unsettled };
            const taken = await this.#patiently(() => this.store.replace(mine, found.version), signal);
            if (taken) return taken;
          } else {
            const who = `${printable(found.holder, 120)} has had the control plane's turn since ${iso(found.acquired)}`;
            const where = found.unsettled ? ` (node ${printable(found.unsettled.name, 100)})` : "";
            if (told !== who + where) log(`waiting: ${who}${where}`);
            told = who + where;
            if (now >= end) {
              throw kubernetesProblem.error(
                "control-plane-lease",
                { subject: `Lease ${leaseNamespace}/${leaseName}`, seen: `after ${limit} s ${who}${where}` },
                "taken",
              );
            }
          }
        }
      } catch (error) {
        if (codeOf(error) !== "no-rights") throw error;
        this.#without(error as UserError, log);
        return undefined;
      }
      await this.clock.sleep(poll, signal);
    }
  }

  #holder(owner: string): string {
    return `${owner} on ${hostname()} (${this.#nonce})`;
  }

  #content(holder: string): LeaseContent {
    const now = new Date();
    return { holder, process: this.process, acquired: now, renewed: now, duration };
  }

  #without(error: UserError, log: TurnOptions["log"]): void {
    log(
      `without a Lease: nothing keeps another run from restarting another control-plane node now: ${error.message}`,
    );
  }

  /** Asks again while the API does not answer: it may run on the node that another run restarts. */
  async #patiently<T>(ask: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const end = this.clock.now() + silence * 1000;
    for (;;) {
      try {
        return await ask();
      } catch (error) {
        if (!transientCodes.has(codeOf(error)) || this.clock.now() >= end) throw error;
      }
      await this.clock.sleep(poll, signal);
    }
  }

  /**
   * Writes the Lease that this run holds.
   *
   * @returns Whether this run still holds it.
   */
  async #write(held: Held): Promise<boolean> {
    while (!held.lost) {
      const content = { ...held.lease, unsettled: held.unsettled, renewed: new Date() };
      const written = await this.store.replace(content, held.lease.version);
      if (written) {
        held.lease = written;
        return true;
      }
      // A write whose answer was lost made another version, and it is still this run's.
      const found = await this.store.read();
      if (found?.holder === held.lease.holder) held.lease = found;
      else held.lost = true;
    }
    return false;
  }

  /** Renews the Lease until the signal. A renewal that fails is tried again the next time, and stops nothing. */
  async #renew(held: Held, write: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.clock.sleep(renewal, signal).catch(() => undefined);
      if (signal.aborted || held.lost) return;
      await write().catch(() => undefined);
    }
  }

  /** Gives the turn back. A node that is not known to be Ready stays recorded. */
  async #release(held: Held, log: TurnOptions["log"]): Promise<void> {
    const { unsettled } = held;
    const cleared = async (found: Lease): Promise<boolean> => {
      const free = { ...found, holder: "", process: undefined, unsettled };
      return (await this.store.replace(free, found.version)) !== undefined;
    };
    const deleted = (found: Lease): Promise<boolean> =>
      this.store.delete(found.version).catch((error: unknown) => {
        if (codeOf(error) !== "no-rights") throw error;
        return cleared(found);
      });
    const giveBack = async (): Promise<void> => {
      for (;;) {
        // Read anew, since the answers of earlier writes may have been lost.
        const found = await this.store.read();
        if (found?.holder !== held.lease.holder) return;
        if (await (unsettled ? cleared(found) : deleted(found))) return;
      }
    };
    try {
      if (!held.lost) await this.#patiently(giveBack);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      log(
        `the control plane's turn was not given back, and ends by itself in ${duration} s: ${error.message}`,
      );
    }
  }
}

const iso = (date: Date): string => `${date.toISOString().slice(0, 19)}Z`;

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
      leaseDurationSeconds: z.number().int().min(1).max(600).catch(duration),
    })
    .catch({
      holderIdentity: "",
      acquireTime: new Date(0),
      renewTime: new Date(0),
      leaseDurationSeconds: duration,
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

const leases = { group: "coordination.k8s.io", version: "v1", plural: "leases" };

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

/**
 * When a node's kubelet last renewed its own Lease, which it does every ten seconds.
 *
 * @returns `undefined` where there is none, or the user may not read it.
 */
export async function kubeletRenewal(cluster: KubeContext, node: string): Promise<Date | undefined> {
  const namespace = "kube-node-lease";
  try {
    const found = await cluster.find<unknown>(
      { verb: "get", resource: "leases", namespace, name: node },
      () => cluster.custom.getNamespacedCustomObject({ ...leases, namespace, name: node }),
    );
    const renewed = z.object({ spec: z.object({ renewTime: time }) }).safeParse(found);
    return renewed.data?.spec.renewTime;
  } catch (error) {
    if (codeOf(error) === "no-rights") return undefined;
    throw error;
  }
}
