/** The sessions of a command that is a process of its own. */
import type { OpenContext } from "../kubernetes/client";
import type { NodeConnection } from "../nodes/protocol/spec";
import { throughPod } from "../nodes/routes/relay";
import type { Transport } from "../nodes/routes/transport";
import { transportFor } from "../nodes/routes/transportFor";
import { readCredentials, secretReader } from "../nodes/ssh/key";
import { SessionPool } from "../nodes/ssh/pool";

/** How the nodes of a connection are reached, and logged in to. */
type Way = Pick<NodeConnection, "access" | "sshKey">;

export async function openTransport({ access }: Way, open: OpenContext): Promise<Transport> {
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
