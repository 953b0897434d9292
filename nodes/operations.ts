/**
 * What the stack's commands do on nodes, whoever does it: the running program for those that borrow its sessions, or
 * a process of its own. Each gives what the stack keeps of it, as key=value lines.
 */
import { randomUUID } from "node:crypto";
import { UserError } from "../errors";
import {
  type CommandInput,
  type Environment,
  checkScript,
  pinnedHostKey,
  readCertificates,
  readCommandInput,
  readNonce,
  readTrust,
} from "./environment";
import { runOnNode } from "./node";
import type { InSession } from "./pool";
import { type NodeReader, waitReady } from "./ready";
import { type CaReport, formatReport } from "./report";
import { nodeScript } from "./script";
import type { NodeTarget } from "./spec";
import type { Session } from "./ssh";

/** What an operation works with. */
export interface Surroundings {
  readonly inSession: InSession;
  readonly readNode: NodeReader;
  /** Takes one line for people. */
  readonly tell: (line: string) => void;
  /** Ends the waiting for a node that nobody waits for any more. */
  readonly signal?: AbortSignal;
}

/** Does something on the node of a command, and says so where its host key is taken on trust. */
async function onNode<T>(
  { inSession, tell }: Surroundings,
  target: NodeTarget,
  hostKey: string | undefined,
  act: (session: Session) => Promise<T>,
): Promise<T> {
  return await inSession(target, hostKey, async (session) => {
    if (hostKey === undefined)
      tell(`${target.name}: first contact: trusting its host key ${session.hostKey}`);
    return await act(session);
  });
}

/** How an operation names itself and its node to the script. */
export function identity({ target, owner }: Pick<CommandInput, "target" | "owner">) {
  return { machineId: target.machineId, nodeName: target.name, owner };
}

/**
 * Makes the node trust the certificates, and no longer those of an earlier run of the same stack.
 *
 * @param pems - PEM of all certificates that the environment names by SHA-256.
 * @throws UserError of what is given, of the way to the node, and of what happens there.
 */
export async function applyCa(environment: Environment, pems: string, around: Surroundings): Promise<string> {
  const input = readCommandInput(environment);
  const { target } = input;
  const tell = (message: string): void => around.tell(`${target.name}: ${message}`);
  checkScript(environment, nodeScript().sha256);
  const certificates = readCertificates(readTrust(environment), pems);
  const nonce = readNonce(environment);
  const report = await onNode(around, target, pinnedHostKey(environment, target), async (session) => ({
    hostKey: session.hostKey,
    ...(await runOnNode(session, { op: "install", nonce, certificates, ...identity(input) })),
  }));
  const missing = certificates.filter(({ sha256 }) => !report.trusted.includes(sha256));
  if (missing.length > 0) {
    throw new UserError({
      code: "node-not-trusted",
      subject: `node ${target.name}`,
      seen: `after the installation ${report.bundle} lacks ${missing.map(({ sha256 }) => sha256).join(", ")}`,
      remedy: "Look at the trust store on the node, then run again",
    });
  }
  for (const path of report.alsoTrustedBy) tell(`also trusted by ${path}, which is not ours and stays`);
  tell(
    report.changed
      ? `installed ${certificates.length} CA certificate(s), trust store rebuilt`
      : "its trust store already holds the CA certificate(s); nothing written",
  );
  return formatReport({
    version: "1",
    report: "ca",
    node: target.name,
    uid: target.uid,
    hostKey: report.hostKey,
    os: report.os,
    sha256: [...new Set(certificates.map(({ sha256 }) => sha256))],
    alsoTrustedBy: report.alsoTrustedBy,
    nonce: randomUUID(), // every run of it is followed by the restart check
  });
}

/** A last output that cannot be read must not block a removal for ever: the node proves itself by its machine id too. */
function pinForRemoval(
  environment: Environment,
  target: NodeTarget,
  { tell }: Surroundings,
): string | undefined {
  try {
    return pinnedHostKey(environment, target);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    tell(`${target.name}: its host key is not known: ${error.message}`);
    return undefined;
  }
}

/**
 * Takes the stack's certificates away again, restarts containerd and waits until the node is Ready; a node that is
 * gone or was replaced is left alone.
 *
 * @throws UserError of the way to the node, and of what happens there.
 */
export async function removeCa(environment: Environment, around: Surroundings): Promise<string> {
  const input = readCommandInput(environment);
  const { target, readyTimeout } = input;
  const tell = (message: string): void => around.tell(`${target.name}: ${message}`);
  const node = await around.readNode(target.clusterContext, target.name);
  if (node?.uid !== target.uid) {
    tell(
      node ? "was replaced by another node of this name; nothing to remove" : "is gone; nothing to remove",
    );
    return "";
  }
  const report = await onNode(around, target, pinForRemoval(environment, target, around), (session) =>
    runOnNode(session, { op: "remove", ...identity(input) }),
  );
  for (const path of report.alsoTrustedBy) tell(`still trusted by ${path}, which is not ours and stays`);
  tell(report.changed ? "removed our CA certificate(s), trust store rebuilt" : "nothing of ours was left");
  if (report.restarted) tell("containerd restarted");
  await waitReady(target, readyTimeout, around);
  return "";
}

/**
 * Restarts containerd where it has not loaded the certificates, and waits until the node is Ready.
 *
 * @param ca - What the node's `ca apply` reported.
 * @throws UserError of the way to the node, and of what happens there.
 */
export async function restartContainerd(
  input: CommandInput,
  ca: CaReport,
  around: Surroundings,
): Promise<string> {
  const { target, readyTimeout } = input;
  const tell = (message: string): void => around.tell(`${target.name}: ${message}`);
  const report = await onNode(around, target, target.hostKey ?? ca.hostKey, (session) =>
    runOnNode(session, { op: "restart", ...identity(input) }),
  );
  const missing = ca.sha256.filter((sha256) => !report.trusted.includes(sha256));
  if (missing.length > 0 || report.loaded !== true || report.containerdStarted === undefined) {
    throw new UserError({
      code: "node-not-loaded",
      subject: `node ${target.name}`,
      seen:
        missing.length > 0
          ? `since the installation ${report.bundle} has lost ${missing.join(", ")}`
          : "containerd has not loaded the node's trust store",
      remedy: "Somebody else may be changing the node; run again",
    });
  }
  const restarted = report.restarted
    ? "containerd restarted"
    : "containerd has loaded the CA already; not restarted";
  await waitReady(target, readyTimeout, around);
  tell(`${restarted}; Ready`);
  return formatReport({
    version: "1",
    report: "containerd",
    node: target.name,
    uid: target.uid,
    bootId: report.bootId,
    containerdStarted: report.containerdStarted,
    loaded: ca.sha256,
  });
}
