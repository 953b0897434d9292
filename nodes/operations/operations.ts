/**
 * What the stack's commands do on nodes, whoever does it: the running program for those that borrow its sessions, or
 * a process of its own. Each gives what the stack keeps of it, as key=value lines.
 */
import { randomUUID } from "node:crypto";
import { UserError } from "../../support/errors";
import {
  type CertificatesBySha256,
  type CommandInput,
  type Environment,
  certificatesFor,
  checkScript,
  pinnedHostKey,
  readNonce,
  readTrust,
} from "../protocol/environment";
import { type CaReport, formatReport } from "../protocol/report";
import { type NodeTarget, type UnreachablePolicy, unreachableCodes } from "../protocol/spec";
import { nodeScript } from "../script/script";
import type { InSession } from "../ssh/pool";
import type { Session } from "../ssh/session";
import { runOnNode } from "./node";
import { type NodeReader, waitReady } from "./ready";
import { nodeProblem } from "../problems";

/** What an operation works with. */
export interface Surroundings {
  readonly inSession: InSession;
  readonly readNode: NodeReader;
  /** What becomes of a node that cannot be reached. */
  readonly unreachable: UnreachablePolicy;
  /** Takes one line for people. */
  readonly tell: (line: string) => void;
  /** Ends the waiting for a node that nobody waits for any more. */
  readonly signal?: AbortSignal;
}

/** A node that can't be reached was passed over: the error's code. */
interface Skipped {
  readonly skipped: string;
}

/**
 * Does something on the node of a command, and says so where its host key is taken on trust. A node that can't be
 * reached is passed over, where that is the policy.
 *
 * @param left - What is to be said of a node that is passed over: what is left as it is.
 */
export async function onNode<T extends object>(
  { inSession, unreachable, tell }: Surroundings,
  target: NodeTarget,
  hostKey: string | undefined,
  left: string,
  act: (session: Session) => Promise<T>,
): Promise<T | Skipped> {
  try {
    return await inSession(target, hostKey, async (session) => {
      if (hostKey === undefined)
        tell(`${target.name}: first contact: trusting its host key ${session.hostKey}`);
      return await act(session);
    });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const { code } = error.problems[0]!;
    if (unreachable !== "skip" || !unreachableCodes.has(code)) throw error;
    tell(`${target.name}: skipped, ${left}: ${error.message}`);
    return { skipped: code };
  }
}

/** How an operation names itself and its node to the script. */
export function identity({ target, owner }: Pick<CommandInput, "target" | "owner">) {
  return { machineId: target.machineId, nodeName: target.name, owner };
}

/**
 * Makes the node trust the certificates, and no longer those of an earlier run of the same stack.
 *
 * @param environment - What is to be trusted, what the preview showed, and what the command printed last time.
 * @param known - The certificates that the environment names by SHA-256.
 * @throws UserError of what is given, of the route to the node, and of what happens there.
 */
export async function applyCa(
  input: CommandInput,
  environment: Environment,
  known: CertificatesBySha256,
  around: Surroundings,
): Promise<string> {
  const { target } = input;
  const tell = (message: string): void => around.tell(`${target.name}: ${message}`);
  checkScript(environment, nodeScript().sha256);
  const wanted = readTrust(environment);
  const certificates = certificatesFor(wanted.certificates, known);
  const nonce = readNonce(environment);
  const hostKey = pinnedHostKey(environment, target);
  const common = { version: "1", report: "ca", node: target.name, uid: target.uid } as const;
  const left = "to be installed by the first run that reaches it";
  const report = await onNode(around, target, hostKey, left, async (session) => ({
    hostKey: session.hostKey,
    ...(await runOnNode(session, {
      ...{ op: "install", nonce, certificates, trust: wanted.by, ...identity(input) },
    })),
  }));
  if ("skipped" in report)
    return formatReport({ ...common, skipped: report.skipped, hostKey, nonce: randomUUID() });
  const missing = certificates.filter(({ sha256 }) => !report.trusted.includes(sha256));
  if (missing.length > 0) {
    throw nodeProblem.error(
      "node-not-trusted",
      {
        subject: `node ${target.name}`,
        seen: `after the installation ${report.bundle} lacks ${missing.map(({ sha256 }) => sha256).join(", ")}`,
      },
      "report",
    );
  }
  for (const path of report.alsoTrustedBy) tell(`also trusted by ${path}, which is not ours and stays`);
  const place = report.trust === "certs.d" ? "containerd's folders for the registries" : "the trust store";
  tell(
    report.changed
      ? `installed ${certificates.length} CA certificate(s) in ${place}`
      : `the CA certificate(s) are in ${place} already; nothing written`,
  );
  return formatReport({
    ...common,
    hostKey: report.hostKey,
    os: report.os,
    trust: report.trust,
    sha256: [...new Set(certificates.map(({ sha256 }) => sha256))],
    alsoTrustedBy: report.alsoTrustedBy,
    nonce: randomUUID(), // every run of it is followed by the restart check
  });
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
  const common = { version: "1", report: "containerd", node: target.name, uid: target.uid } as const;
  if ("skipped" in ca) return formatReport({ ...common, skipped: ca.skipped });
  const left = "its containerd is to be restarted by the first run that reaches it";
  const report = await onNode(around, target, target.hostKey ?? ca.hostKey, left, (session) =>
    runOnNode(session, { op: "restart", ...identity(input) }),
  );
  if ("skipped" in report) return formatReport({ ...common, skipped: report.skipped });
  const missing = ca.sha256.filter((sha256) => !report.trusted.includes(sha256));
  if (missing.length > 0 || report.loaded !== true || report.containerdStarted === undefined) {
    throw nodeProblem.error("node-not-loaded", {
      subject: `node ${target.name}`,
      seen:
        missing.length > 0
          ? `since the installation ${report.bundle} has lost ${missing.join(", ")}`
          : "containerd has not loaded the node's trust store",
    });
  }
  const restarted = report.restarted
    ? "containerd restarted"
    : "containerd has loaded the CA already; not restarted";
  await waitReady(target, readyTimeout, around);
  tell(`${restarted}; Ready`);
  return formatReport({
    ...common,
    bootId: report.bootId,
    containerdStarted: report.containerdStarted,
    loaded: ca.sha256,
  });
}
