/**
 * The commands that the stack runs on nodes. stdout is what the stack keeps, as key=value lines; stderr is for people.
 * Their names, arguments and environment are in state: an interface.
 */
import { randomUUID } from "node:crypto";
import { text } from "node:stream/consumers";
import { UserError } from "../errors";
import {
  type CommandInput,
  checkScript,
  pinnedHostKey,
  readCaOutput,
  readCertificates,
  readCommandInput,
  readTrust,
} from "./environment";
import { readCredentials } from "./key";
import { runOnNode } from "./node";
import { getNode, waitReady } from "./ready";
import { formatReport } from "./report";
import { nodeScript } from "./script";
import type { NodeTarget } from "./spec";
import { type Session, connect } from "./ssh";
import { transportFor } from "./transport";

function tell(target: NodeTarget, message: string): void {
  process.stderr.write(`${target.name}: ${message}\n`);
}

/** Does something in a session that is closed whatever happens. */
async function onNode<T>(
  target: NodeTarget,
  hostKey: string | undefined,
  act: (session: Session) => Promise<T>,
): Promise<T> {
  const transport = transportFor(target.access);
  const session = await connect({
    node: target.name,
    address: target.address,
    port: target.port,
    user: target.user,
    transport,
    credentials: await readCredentials(target.sshKey),
    hostKey,
  });
  try {
    if (hostKey === undefined) tell(target, `first contact: trusting its host key ${session.hostKey}`);
    return await act(session);
  } finally {
    await session.close();
  }
}

function identity({ target, owner }: CommandInput) {
  return { machineId: target.machineId, nodeName: target.name, owner };
}

async function applyCa(environment: NodeJS.ProcessEnv): Promise<void> {
  const input = readCommandInput(environment);
  const { target } = input;
  checkScript(environment, nodeScript().sha256);
  const trust = readTrust(environment);
  const certificates = readCertificates(trust, await text(process.stdin));
  const nonce = randomUUID();
  const report = await onNode(target, pinnedHostKey(environment, target), async (session) => ({
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
  for (const path of report.alsoTrustedBy)
    tell(target, `also trusted by ${path}, which is not ours and stays`);
  tell(
    target,
    report.changed
      ? `installed ${certificates.length} CA certificate(s), trust store rebuilt`
      : "its trust store already holds the CA certificate(s); nothing written",
  );
  const folder = report.os === "photon" ? "/etc/ssl/certs" : "/usr/local/share/ca-certificates";
  const extension = report.os === "photon" ? ".pem" : ".crt";
  process.stdout.write(
    formatReport({
      version: "1",
      report: "ca",
      node: target.name,
      uid: target.uid,
      hostKey: report.hostKey,
      os: report.os,
      file: certificates.map(({ name }) => `${folder}/${name}${extension}`),
      sha256: [...new Set(certificates.map(({ sha256 }) => sha256))],
      alsoTrustedBy: report.alsoTrustedBy,
      nonce,
    }),
  );
}

/** A last output that cannot be read must not block a removal for ever: the node proves itself by its machine id too. */
function pinForRemoval(environment: NodeJS.ProcessEnv, target: NodeTarget): string | undefined {
  try {
    return pinnedHostKey(environment, target);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    tell(target, `its host key is not known: ${error.message}`);
    return undefined;
  }
}

async function removeCa(environment: NodeJS.ProcessEnv): Promise<void> {
  const input = readCommandInput(environment);
  const { target, readyTimeout } = input;
  const node = await getNode(target.clusterContext, target.name);
  if (node?.uid !== target.uid) {
    tell(
      target,
      node ? "was replaced by another node of this name; nothing to remove" : "is gone; nothing to remove",
    );
    return;
  }
  const report = await onNode(target, pinForRemoval(environment, target), (session) =>
    runOnNode(session, { op: "remove", ...identity(input) }),
  );
  for (const path of report.alsoTrustedBy)
    tell(target, `still trusted by ${path}, which is not ours and stays`);
  tell(
    target,
    report.changed ? "removed our CA certificate(s), trust store rebuilt" : "nothing of ours was left",
  );
  if (report.restarted) tell(target, "containerd restarted");
  await waitReady(target.clusterContext, target.name, target.uid, readyTimeout);
}

async function restartContainerd(environment: NodeJS.ProcessEnv): Promise<void> {
  const input = readCommandInput(environment);
  const { target, readyTimeout } = input;
  checkScript(environment, nodeScript().sha256);
  const ca = readCaOutput(environment, target);
  const report = await onNode(target, target.hostKey ?? ca.hostKey, (session) =>
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
  tell(
    target,
    report.restarted ? "containerd restarted" : "containerd has loaded the CA already; not restarted",
  );
  await waitReady(target.clusterContext, target.name, target.uid, readyTimeout);
  tell(target, "Ready");
  process.stdout.write(
    formatReport({
      version: "1",
      report: "containerd",
      node: target.name,
      uid: target.uid,
      bootId: report.bootId,
      containerdStarted: report.containerdStarted,
      loaded: ca.sha256,
    }),
  );
}

type Verb = (environment: NodeJS.ProcessEnv) => Promise<void>;

async function dispatch(
  name: string,
  verbs: Record<string, Verb>,
  [verb = ""]: readonly string[],
): Promise<void> {
  const run = verbs[verb];
  if (!run) {
    throw new UserError({
      code: "unknown-command",
      subject: `command "${name} ${verb}"`,
      seen: "this release of tkc-registry does not know it",
      remedy: `Install the release that made the stack, or a newer one; known here: ${Object.keys(verbs).join(", ")}`,
    });
  }
  await run(process.env);
}

/**
 * `ca apply`: makes the node trust the certificates on stdin, and no longer those of an earlier run of the same stack.
 * `ca remove`: takes them away again, restarts containerd and waits until the node is Ready; a node that is gone or
 * was replaced is left alone.
 */
export async function ca(args: readonly string[]): Promise<void> {
  await dispatch("ca", { apply: applyCa, remove: removeCa }, args);
}

/** `containerd restart`: restarts containerd where it has not loaded the certificates, and waits until the node is Ready. */
export async function containerd(args: readonly string[]): Promise<void> {
  await dispatch("containerd", { restart: restartContainerd }, args);
}
