/** The sessions of commands that work on nodes without the running program. */
import { type OpenContext, namedContexts } from "../kubernetes/client";
import { type ControlPlane, controlPlaneOf } from "../nodes/operations/controlPlane";
import type { NodeConnection } from "../nodes/protocol/spec";
import { throughPod } from "../nodes/routes/relay";
import type { Transport } from "../nodes/routes/transport";
import { transportFor } from "../nodes/routes/transportFor";
import { readCredentials, secretReader } from "../nodes/ssh/key";
import { SessionPool } from "../nodes/ssh/pool";

/** How the nodes of a connection are reached, and logged in to. */
type Way = Pick<NodeConnection, "access" | "sshKey">;

async function openTransport({ access }: Way, open: OpenContext): Promise<Transport> {
  return access.kind === "jumpbox"
    ? transportFor(access, throughPod(await open(access.context)))
    : transportFor(access);
}

export async function openPool(
  way: Way,
  open: OpenContext,
  transport = openTransport(way, open),
): Promise<SessionPool> {
  const [opened, credentials] = await Promise.all([
    transport,
    readCredentials(way.sshKey, secretReader(open)),
  ]);
  return new SessionPool({ transport: opened, credentials });
}

/** What is in a map, or else is made and put there. */
function kept<T>(map: Map<string, T>, key: string, make: () => T): T {
  const value = map.get(key) ?? make();
  map.set(key, value);
  return value;
}

/** The clusters' contexts, the ways to their nodes and the sessions on them: each is opened once, when it is needed. */
export class Sessions {
  readonly open: OpenContext = namedContexts();
  readonly controlPlane: ControlPlane = controlPlaneOf(this.open);
  readonly #transports = new Map<string, Promise<Transport>>();
  readonly #pools = new Map<string, Promise<SessionPool>>();

  /** @param open - Opens the contexts that are needed for it. */
  transport(connection: NodeConnection, open = this.open): Promise<Transport> {
    return kept(this.#transports, JSON.stringify(connection.access), () => openTransport(connection, open));
  }

  /** The sessions on the nodes of a connection. A pool knows a node by its UID, so that other logins have another pool. */
  pool(connection: NodeConnection, open = this.open): Promise<SessionPool> {
    const { port, user, access, sshKey, clusterContext, cluster } = connection;
    const key = JSON.stringify([port, user, access, sshKey, clusterContext, cluster]);
    return kept(this.#pools, key, () => openPool(connection, open, this.transport(connection, open)));
  }

  /** Ends all sessions. */
  async close(): Promise<void> {
    const pools = [...this.#pools.values()];
    await Promise.all(pools.map(async (pool) => (await pool.catch(() => undefined))?.close()));
  }
}
