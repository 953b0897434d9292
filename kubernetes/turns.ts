/**
 * The turns in which runs restart containerd on control-plane nodes, by a Lease in the workload cluster. Two runs, of two
 * stacks or two operators, never have a turn at the same time.
 * It never decides whether a node may be restarted: the fence of whoever takes the turn does.
 */
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import pLimit from "p-limit";
import { type Clock, systemClock } from "../support/clock";
import { UserError } from "../support/errors";
import { hasEnded, processMark } from "../support/processMark";
import { printable } from "../support/text";
import {
  type Lease,
  type LeaseContent,
  type LeaseStore,
  type NodeMark,
  leaseName,
  leaseNamespace,
} from "./lease";
import { kubernetesProblem, transientCodes } from "./problems";

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
    const { node, fence, log, signal } = options;
    signal?.throwIfAborted(); // it waited for another turn of this process
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
