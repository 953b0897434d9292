/** The SSH sessions that one process holds: one a node, shared by everything that it does there. */
import { UserError } from "../errors";
import type { NodeTarget } from "./spec";
import { type ConnectOptions, type Credentials, type Session, connect } from "./ssh";
import type { Transport } from "./transport";

/** Does something in a session on a node. */
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
 * Sessions that are opened when they are first needed, kept, and opened anew where they were lost. None of them keeps
 * the process alive while nothing runs in it.
 */
export class SessionPool {
  readonly #sessions = new Map<string, Promise<Session>>();

  constructor(private readonly options: PoolOptions) {}

  /**
   * Does something in the node's session. Where a session that was there from before turns out to have ended, it is
   * opened and done once more: what is done on nodes may be done twice.
   *
   * @param hostKey - `SHA256:…`: the key that the node must show. A session on which another one was seen isn't used.
   * @throws UserError what {@link connect} throws, and what `act` does.
   */
  readonly use: InSession = async (target, hostKey, act) => {
    const kept = this.#sessions.get(target.uid);
    if (kept) {
      const session = await kept.catch(() => undefined);
      if (session?.open === true && (hostKey === undefined || hostKey === session.hostKey)) {
        try {
          return await act(session);
        } catch (error) {
          if (!(error instanceof UserError) || error.problems[0]?.code !== "ssh-lost") throw error;
        }
      }
      if (this.#sessions.get(target.uid) === kept) {
        this.#sessions.delete(target.uid);
        void session?.close();
      }
    }
    return await act(await this.#open(target, hostKey));
  };

  #open(target: NodeTarget, hostKey: string | undefined): Promise<Session> {
    const opened = this.#connect(target, hostKey);
    this.#sessions.set(target.uid, opened);
    opened.catch(() => {
      if (this.#sessions.get(target.uid) === opened) this.#sessions.delete(target.uid);
    });
    return opened;
  }

  #connect({ name: node, address, port, user }: NodeTarget, hostKey: string | undefined): Promise<Session> {
    const { transport, credentials, connect: options } = this.options;
    return connect({ node, address, port, user, transport, credentials, hostKey }, options);
  }

  /** Ends all sessions. */
  async close(): Promise<void> {
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    await Promise.all(sessions.map(async (opened) => (await opened.catch(() => undefined))?.close()));
  }
}
