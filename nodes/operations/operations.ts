/**
 * The operations behind the stack's node commands. They run in the program, or in a process of their own at `destroy`.
 * Each returns the report that the stack keeps, as key=value lines.
 */
import { randomUUID } from "node:crypto";
import { type Clock, systemClock } from "../../support/clock";
import { UserError } from "../../support/errors";
import { counted } from "../../support/text";
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
import { type CaReport, type InstalledReport, formatReport, parseCaReport } from "../protocol/report";
import { type NodeTarget, type UnreachablePolicy, isSkipped, pinName } from "../protocol/spec";
import { nodeScript } from "../script/script";
import type { InSession } from "../ssh/pool";
import type { Session } from "../ssh/session";
import { type ControlPlane, inTurn } from "./controlPlane";
import { identity, runOnNode } from "./node";
import { type NodeReader, nodeInCluster, waitReady } from "./ready";
import { type NodeCode, nodeProblem } from "../problems";

/** What an operation is given besides its input. */
export interface OperationContext {
  readonly inSession: InSession;
  readonly readNode: NodeReader;
  readonly notePin: PinWriter;
  readonly controlPlane: ControlPlane;
  /** The host key that is known of another node of the cluster, beside the note on its Node object. */
  readonly hostKeyOf?: (node: Pick<NodeTarget, "name" | "uid">) => string | undefined;
  /** Whether an unreachable node fails the run or is skipped. */
  readonly unreachable: UnreachablePolicy;
  /** Whether a node that refuses the user counts as unreachable. */
  readonly skipRefusals?: boolean;
  /** Logs one line for people. */
  readonly log: (line: string) => void;
  /** Aborts the wait for a node when the caller has gone. */
  readonly signal?: AbortSignal;
  /** The time of tests that do not sleep. */
  readonly clock?: Clock;
}

/**
 * Notes a host key on the Node object for a stack, or takes it off.
 *
 * @param stack - The stack's name there: {@link pinName}.
 */
export type PinWriter = (target: NodeTarget, stack: string, hostKey: string | undefined) => Promise<void>;

/** Changes the host key on the Node object. What fails there fails no operation: the checks tell of a missing right. */
async function changePin(
  { target, stack }: Pick<CommandInput, "target" | "stack">,
  hostKey: string | undefined,
  { notePin, log }: Pick<OperationContext, "notePin" | "log">,
): Promise<void> {
  if (hostKey === target.notedKey) return;
  await notePin(target, pinName(stack), hostKey).catch((error: unknown) => {
    const why = error instanceof UserError ? error.message : String(error);
    log(`the note of its host key on the Node object of ${target.name} was not changed: ${why}`);
  });
}

/** What a machine says on which no key of ours is noted: it is another node, or no node that can be worked on. */
const notOurs: ReadonlySet<string> = new Set<NodeCode>(["node-wrong-node", "node-unknown-os"]);

/**
 * Notes the host key of a session when the work in it is over, also where that failed: whoever comes next insists on
 * the key, and the state keeps no report of a failure.
 *
 * @param act - Is given a function for the session. It returns `undefined` for a skipped node.
 * @param last - Whether nobody of the stack comes after this work: where it succeeds, the note is taken off.
 */
export async function keepingPin<T>(
  input: Pick<CommandInput, "target" | "stack">,
  context: Pick<OperationContext, "notePin" | "log">,
  act: (saw: (session: Session) => void) => Promise<T>,
  { last = false } = {},
): Promise<T> {
  let seen = input.target.notedKey;
  try {
    const result = await act(({ hostKey }) => (seen = hostKey));
    if (last && result !== undefined) seen = undefined;
    return result;
  } catch (error) {
    if (error instanceof UserError && notOurs.has(error.problems[0]!.code)) seen = input.target.notedKey;
    throw error;
  } finally {
    await changePin(input, seen, context);
  }
}

/** An unreachable node that was skipped, with the error's code. */
interface Skipped {
  readonly skipped: string;
}

/** A line for people: first what happened, as terminals cut lines off, then on which node. */
export const told = (what: string, { name }: Pick<NodeTarget, "name">): string => `${what}: ${name}`;

/** What a run says of the host key of a node that it goes to for the first time. */
const firstContact = (hostKey: string): string => `first contact: trusting its host key ${hostKey}`;

/**
 * Runs `act` on a node. Logs the host key when nothing is known to hold it against. Skips an unreachable node if the
 * policy says so.
 *
 * @param left - What stays undone on a skipped node, for the log.
 * @param unknown - What is said of such a host key.
 */
export async function onNode<T extends object>(
  context: OperationContext,
  target: NodeTarget,
  hostKey: string | undefined,
  left: string,
  act: (session: Session) => Promise<T>,
  unknown = firstContact,
): Promise<T | Skipped> {
  const { inSession, log } = context;
  try {
    return await inSession(target, hostKey, async (session) => {
      if (hostKey === undefined) log(told(unknown(session.hostKey), target));
      return await act(session);
    });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const { code } = error.problems[0]!;
    if (!isSkipped(code, context)) throw error;
    log(`skipped: ${target.name}, ${left}: ${error.message}`);
    return { skipped: code };
  }
}

/** Sees to it that nothing is written on a node that does not reach the registries. */
export interface ReachGuard {
  /**
   * Has all nodes asked, once, that were not asked when the run was planned.
   *
   * @throws UserError with the problems of all nodes.
   */
  readonly all: () => Promise<unknown>;
  /**
   * Has a node asked that has not answered yet.
   *
   * @returns Warnings.
   * @throws UserError with its problems.
   */
  readonly one: (asked: Pick<CommandInput, "target">, session: Session) => Promise<readonly string[]>;
}

/** The input of an installation. */
export interface InstallationInput extends CommandInput {
  readonly reach: ReachGuard["one"];
  /** What an earlier run printed, where the node is to stay as it is and only the state is to change. */
  readonly repeats?: string | undefined;
}

/**
 * A report of `ca apply`, or that of an earlier run which says the same but for its nonce: as it is an input of what looks
 * after containerd, which then has nothing to do.
 */
function sameReport(report: InstalledReport, earlier: string | undefined): string {
  const printed = formatReport(report);
  const contents = (text: string): string => formatReport({ ...parseCaReport(text), nonce: "" });
  return earlier !== undefined && contents(earlier) === contents(printed) ? earlier : printed;
}

/**
 * Makes the node trust the certificates, and no longer those of an earlier run of the same stack.
 *
 * @param environment - The command's environment, with its last output in `PULUMI_COMMAND_STDOUT`.
 * @param known - The certificates that the environment names by SHA-256.
 * @throws UserError for the input, the connection to the node, and the operation itself.
 */
export async function applyCa(
  input: InstallationInput,
  environment: Environment,
  known: CertificatesBySha256,
  context: OperationContext,
): Promise<string> {
  const { target } = input;
  const log = (message: string): void => context.log(told(message, target));
  checkScript(environment, nodeScript().sha256);
  const wanted = readTrust(environment);
  const certificates = certificatesFor(wanted.certificates, known);
  const nonce = readNonce(environment);
  const hostKey = pinnedHostKey(environment, target);
  const common = { version: "1", report: "ca", node: target.name, uid: target.uid } as const;
  const left = "to be installed by the first run that reaches it";
  const report = await keepingPin(input, context, (saw) =>
    onNode(context, target, hostKey, left, async (session) => {
      saw(session);
      for (const warning of await input.reach(input, session)) context.log(warning);
      const operation = {
        op: "install",
        nonce,
        certificates,
        trust: wanted.mode,
        former: input.former,
      } as const;
      return {
        hostKey: session.hostKey,
        ...(await runOnNode(session, { ...operation, ...identity(input) })),
      };
    }),
  );
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
  for (const path of report.alsoTrustedBy) log(`also trusted by ${path}, which is not ours and stays`);
  for (const path of report.unterminated)
    log(
      `${path} does not end with a newline: the next rebuild of the node's trust store may lose our CA with it`,
    );
  const place = report.trust === "certs.d" ? "containerd's folders for the registries" : "the trust store";
  const wantedHere = [...new Set(certificates.map(({ sha256 }) => sha256))];
  const added = wantedHere.filter((sha256) => report.added.includes(sha256)).length;
  const there = wantedHere.length - added;
  log(
    [
      ...(added > 0 ? [`installed ${counted(added, "CA certificate")} in ${place}`] : []),
      ...(there > 0 ? [`${counted(there, "CA certificate")} in ${place} already`] : []),
      ...(report.changed ? [] : ["nothing written"]),
    ].join("; "),
  );
  const asBefore = !report.changed && report.loaded === true;
  return sameReport(
    {
      ...common,
      hostKey: report.hostKey,
      os: report.os,
      trust: report.trust,
      sha256: wantedHere,
      alsoTrustedBy: report.alsoTrustedBy,
      nonce: randomUUID(), // a changed output makes Pulumi run the restart check after each other installation
    },
    asBefore ? input.repeats : undefined,
  );
}

/**
 * Restarts containerd where it has not loaded the certificates, and waits until the node is Ready.
 *
 * @param ca - What the node's `ca apply` reported.
 * @throws UserError for the connection to the node, and the operation itself.
 */
export async function restartContainerd(
  input: CommandInput,
  ca: CaReport,
  context: OperationContext,
): Promise<string> {
  const { target, readyTimeout } = input;
  const { clock = systemClock } = context;
  const common = { version: "1", report: "containerd", node: target.name, uid: target.uid } as const;
  if ("skipped" in ca) return formatReport({ ...common, skipped: ca.skipped });
  const left = "its containerd is to be restarted by the first run that reaches it";
  const { controlPlane } = await nodeInCluster(target, readyTimeout, context);
  return await inTurn(input, controlPlane, context, async (turn) => {
    let began = 0;
    const report = await onNode(context, target, target.hostKey ?? ca.hostKey, left, async (session) => {
      await turn.begin();
      began = clock.now();
      return await runOnNode(session, { op: "restart", ...identity(input) });
    });
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
    await waitReady(target, readyTimeout, context, report.containerdStarted);
    turn.settled();
    const seconds = Math.round((clock.now() - began) / 1000);
    const what = report.restarted ? `restarted, Ready after ${seconds} s` : "not restarted, Ready";
    context.log(told(what, target));
    return formatReport({
      ...common,
      bootId: report.bootId,
      containerdStarted: report.containerdStarted,
      loaded: ca.sha256,
    });
  });
}
