/**
 * The SSH sessions of one process: one session for each node, shared by all operations on it.
 * It never shares a session between nodes, and retries an operation only after a lost session.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { UserError } from "../../support/errors";
import { type NodeTarget, unreachableCodes } from "../protocol/spec";
import type { Transport } from "../routes/transport";
import { type ConnectOptions, backoff, connect, connectDefaults } from "./connect";
import type { Credentials } from "./endpoint";
import type { Session } from "./session";

/** Runs `act` in a session on a node. */
export type InSession = <T>(
  target: NodeTarget,
  hostKey: string | undefined,
  act: (session: Session) => Promise<T>,
) => Promise<T>;

export interface PoolOptions {
  readonly transport: Transport;
  readonly credentials: Credentials;
  readonly connect?: ConnectOptions;
}

/**
 * Sessions open at first use, stay open, and reopen after they were lost. An idle session does not keep the process
 * alive.
 */
export class SessionPool {
  readonly #sessions = new Map<string, Promise<Session>>();
  /** UIDs of nodes that could not be reached when they were last tried. */
  readonly #away = new Set<string>();

  constructor(private readonly options: PoolOptions) {}

  /**
   * Runs `act` in the node's session. If the session is lost, another one is opened and `act` runs again, after a longer
   * pause each time. Operations on nodes are idempotent, and wait on the node for an earlier run of themselves.
   *
   * @param hostKey - `SHA256:…`: the key that the node must show. A session with another key is not used.
   * @throws UserError what {@link connect} throws, and what `act` does.
   */
  readonly use: InSession = async (target, hostKey, act) => {
    const { attempts, delay } = { ...connectDefaults, ...this.options.connect };
    let again = hostKey;
    for (let failures = 0; ;) {
      const { session, kept } = await this.#session(target, again);
      try {
        return await act(session);
      } catch (error) {
        if (!(error instanceof UserError) || error.problems[0]?.code !== "ssh-lost") throw error;
        again = session.hostKey; // the retry must reach the same node
        if (kept) continue; // an idle session that ended is no failed attempt
        failures += 1;
        if (failures >= attempts) throw error;
        await sleep(backoff(delay, failures));
      }
    }
  };

  /** Returns the open session if it can be used, and else opens one. */
  async #session(
    target: NodeTarget,
    hostKey: string | undefined,
  ): Promise<{ readonly session: Session; readonly kept: boolean }> {
    const there = this.#sessions.get(target.uid);
    if (there) {
      const session = await there.catch(() => undefined);
      if (session?.open === true && (hostKey === undefined || hostKey === session.hostKey)) {
        return { session, kept: true };
      }
      if (this.#sessions.get(target.uid) === there) {
        this.#sessions.delete(target.uid);
        void session?.close();
      }
    }
    return { session: await this.#open(target, hostKey), kept: false };
  }

  #open(target: NodeTarget, hostKey: string | undefined): Promise<Session> {
    const opened = this.#connect(target, hostKey);
    this.#sessions.set(target.uid, opened);
    opened.then(
      () => this.#away.delete(target.uid),
      (error: unknown) => {
        if (this.#sessions.get(target.uid) === opened) this.#sessions.delete(target.uid);
        if (error instanceof UserError && unreachableCodes.has(error.problems[0]!.code))
          this.#away.add(target.uid);
      },
    );
    return opened;
  }

  #connect(
    { name: node, uid, address, port, user }: NodeTarget,
    hostKey: string | undefined,
  ): Promise<Session> {
    const { transport, credentials, connect: options } = this.options;
    // An earlier operation has already waited for this node through all its attempts.
    const once = this.#away.has(uid) ? { attempts: 1 } : {};
    return connect({ node, address, port, user, transport, credentials, hostKey }, { ...options, ...once });
  }

  /** Ends all sessions. */
  async close(): Promise<void> {
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    await Promise.all(sessions.map(async (opened) => (await opened.catch(() => undefined))?.close()));
  }
}
