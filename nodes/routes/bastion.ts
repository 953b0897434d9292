/**
 * The route through a bastion: one SSH session to a Linux machine, which forwards a TCP stream for each node.
 * It never shows the bastion a node's credentials: the nodes' own sessions on these streams are end to end.
 */
import pLimit from "p-limit";
import type { Access } from "../protocol/spec";
import { connect } from "../ssh/connect";
import type { Credentials } from "../ssh/endpoint";
import { readKeyFile } from "../ssh/key";
import type { Session } from "../ssh/session";
import { type Transport, direct, hopDials } from "./transport";
import { sshProblem } from "../ssh/problems";

/** A bastion. */
export type BastionAccess = Extract<Access, { kind: "bastion" }>;

/**
 * The credentials for the bastion: a key file, or else the operator's SSH agent.
 *
 * @throws UserError `ssh-key-file`, `ssh-key-invalid`, `ssh-agent-missing`.
 */
function bastionCredentials({ keyFile }: BastionAccess): Credentials {
  if (keyFile !== undefined) return readKeyFile(keyFile);
  const socket = process.env["SSH_AUTH_SOCK"];
  if (socket) return { kind: "agent", socket, source: "the SSH agent" };
  throw sshProblem.error("ssh-agent-missing", {
    subject: "SSH_AUTH_SOCK",
    seen: "it is not set, and no key file for the bastion is",
  });
}

/** The transport through a bastion. The session opens at first use, and reopens after it was lost. */
export function throughBastion(access: BastionAccess): Transport {
  const { host, port, user, hostKey } = access;
  let opened: Promise<Session> | undefined;
  const open = (): Promise<Session> => {
    const opening = connect({
      ...{ role: "bastion", node: host, address: host, port, user, hostKey, transport: direct },
      credentials: bastionCredentials(access),
    });
    opening.catch(() => {
      if (opened === opening) opened = undefined;
    });
    return opening;
  };
  const session = async (): Promise<Session> => {
    const kept = opened;
    if (kept && (await kept).open) return await kept;
    if (opened === kept) opened = open();
    return await opened!;
  };
  return {
    description: `through bastion ${user}@${host}`,
    dials: pLimit(hopDials),
    connect: async (address, nodePort, timeout) => (await session()).forward(address, nodePort, timeout),
    check: async () => {
      await session();
    },
  };
}
