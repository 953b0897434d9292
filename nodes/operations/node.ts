/** Runs the node script over a session, and explains its failures. */
import { type Problem, UserError } from "../../support/errors";
import { lastWords } from "../../support/text";
import { type NodeCode, nodeProblem } from "../problems";
import type { CommandInput } from "../protocol/environment";
import { type ScriptFailure, type ScriptSuccess, parseScriptOutput } from "../protocol/report";
import { type NodeOperation, remoteCommand } from "../script/script";
import { sshProblem } from "../ssh/problems";
import { refusalIn } from "../ssh/refusals";
import type { Session } from "../ssh/session";

const lockWait = 120;
/** A last resort: the script itself limits the lock, the trust store's rebuild and the restart. */
const operationTimeout = (lockWait + 600) * 1000;

/** What the script may say is wrong, as codes. */
export const scriptCodes = [
  "node-wrong-node",
  "node-busy",
  "node-no-flock",
  "node-unknown-os",
  "node-bad-neighbour",
  "node-rehash-failed",
  "node-bundle-shrank",
  "node-not-trusted",
  "node-not-removed",
  "node-write-failed",
  "node-certs-d-missing",
  "node-certs-d-taken",
  "node-containerd-failed",
  "node-containerd-missing",
  "node-script-damaged",
  "node-bad-parameter",
  "node-internal",
] as const satisfies readonly NodeCode[];

/** systemd's own log lines about a failed unit. They do not say why. */
const systemdsOwn = /^(\S+\.service: |(Starting|Started|Stopping|Stopped|Failed to start) )/;

/** The end of a log: the program's own lines if there are any. */
function logTail(log: string): string {
  const own = log.split("\n").filter((line) => line.trim() !== "" && !systemdsOwn.test(line));
  return lastWords(own.length > 0 ? own.join("\n") : log, 600);
}

function failureProblem(node: string, { error, detail = "", log }: ScriptFailure): Problem {
  const tail = log === undefined ? "" : logTail(Buffer.from(log, "base64").toString("utf8"));
  const what = {
    subject: `node ${node}`,
    seen: `${detail === "" ? error : detail}${tail === "" ? "" : ` (last output: ${tail})`}`,
  };
  // What the script says is text from outside: a word that is not known is told as a step that failed.
  const code = scriptCodes.find((known) => known === `node-${error}`) ?? "node-internal";
  return code === "node-not-trusted" || code === "node-bad-parameter"
    ? nodeProblem(code, what, "script")
    : nodeProblem(code, what);
}

/** The script's parameters that identify the node and the stack. */
export function identity({ target, stack: { owner, id } }: Pick<CommandInput, "target" | "stack">) {
  return { machineId: target.machineId, hostName: target.hostName, nodeName: target.name, owner, id };
}

/**
 * Runs one operation of the script on a node.
 *
 * @throws UserError `node-…` for what the script reports, and what {@link Session.exec} throws.
 */
export async function runOnNode(session: Session, operation: NodeOperation): Promise<ScriptSuccess> {
  return await reportOf(session, { lockWait, ...operation }, parseScriptOutput);
}

/** The same for a kind of report of its own. */
export async function reportOf<T extends { readonly end: "ok" }>(
  session: Session,
  operation: NodeOperation,
  parse: (stdout: string) => T | ScriptFailure | undefined,
): Promise<T> {
  const { command, input } = remoteCommand(operation);
  const { code, stdout, stderr } = await session.exec(command, { input, timeout: operationTimeout });
  const report = parse(stdout);
  if (report?.end === "ok") return report;
  if (report) throw new UserError(failureProblem(operation.nodeName, report));
  throw notRun(session, operation.nodeName, "the script did not run to its end", { code, stdout, stderr });
}

/** Why a command did not do what it was to do, by what it said. */
function notRun(
  { user }: Session,
  node: string,
  how: string,
  { code, stdout, stderr }: Awaited<ReturnType<Session["exec"]>>,
): UserError {
  const what = {
    subject: `node ${node}`,
    // A login shell that lets nobody in says so on stdout.
    seen: `${how} (code ${code ?? "none"}): ${lastWords(stderr) || lastWords(stdout) || "no message"}`,
  };
  const refusal = refusalIn(`${stdout}\n${stderr}`);
  if (refusal?.by === "account") return sshProblem.error("ssh-account", what, refusal.why, user);
  if (refusal) return nodeProblem.error("node-sudo", what, refusal.why);
  return nodeProblem.error("node-no-report", what);
}

/**
 * Finds out whether the user may work on a node, and does nothing there.
 *
 * @throws UserError `ssh-account`, `node-sudo`, `node-no-report`, and what {@link Session.exec} throws.
 */
export async function becomeRoot(session: Session, node: string): Promise<void> {
  const result = await session.exec("sudo -n true");
  if (result.code !== 0) throw notRun(session, node, "`sudo -n true` failed", result);
}
