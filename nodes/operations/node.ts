/** Runs the node script over a session, and explains its failures. */
import { type Problem, UserError } from "../../support/errors";
import { lastWords } from "../../support/text";
import { type ScriptFailure, type ScriptSuccess, parseScriptOutput } from "../protocol/report";
import { type NodeOperation, remoteCommand } from "../script/script";
import type { Session } from "../ssh/session";

const lockWait = 120;
/** A last resort: the script itself limits the lock, the trust store's rebuild and the restart. */
const operationTimeout = (lockWait + 600) * 1000;

const runAgain = "Run again; if it stays so, this is a defect of tkc-registry";

/** By the error that the script reports. */
const remedies = {
  "wrong-node":
    "Nothing was touched. Run `pulumi up` again: nodes were replaced and their addresses changed hands",
  busy: "Another run or another stack is at work on this node; run again when it has ended",
  "unknown-os": "Nothing was touched. Nodes with Photon OS, Ubuntu or Debian are supported",
  "bad-neighbour":
    "Nothing was touched. Add the missing final newline to that file on the node, then run again",
  "rehash-failed": "Look at the output, put it right on the node, then run again",
  "bundle-shrank": "Look for damaged files beside ours on the node; compare with another node",
  "not-trusted": "Look at the trust store on the node; a rebuild by hand shows what it leaves out",
  "not-removed": "Look for a copy of the certificate in the trust store of the node",
  "write-failed": "Make room on the node's disk, or repair it, then run again",
  "certs-d-missing":
    "Nothing was touched. Set config_path for registries in the configuration of containerd on the node, or have the trust store used",
  "certs-d-taken":
    "Nothing was touched. Name our file as `ca` in that hosts.toml, or give the registry a folder of its own; or have the trust store used",
  "containerd-failed": "Look at `journalctl -u containerd` on the node, then run again",
  "containerd-missing": "Check that the node runs containerd as the unit containerd.service",
  "script-damaged": runAgain,
  "bad-parameter": runAgain,
  internal: runAgain,
} as const;

/** The script's output is untrusted: an unknown error is reported as `internal`. */
const isKnown = (error: string): error is keyof typeof remedies => Object.hasOwn(remedies, error);

/** systemd's own log lines about a failed unit. They do not say why. */
const systemdsOwn = /^(\S+\.service: |(Starting|Started|Stopping|Stopped|Failed to start) )/;

/** The end of a log: the program's own lines if there are any. */
function logTail(log: string): string {
  const own = log.split("\n").filter((line) => line.trim() !== "" && !systemdsOwn.test(line));
  return lastWords(own.length > 0 ? own.join("\n") : log, 600);
}

function failureProblem(node: string, { error, detail = "", log }: ScriptFailure): Problem {
  const tail = log === undefined ? "" : logTail(Buffer.from(log, "base64").toString("utf8"));
  const known = isKnown(error) ? error : "internal";
  return {
    code: `node-${known}`,
    subject: `node ${node}`,
    seen: `${detail === "" ? error : detail}${tail === "" ? "" : ` (last output: ${tail})`}`,
    remedy: remedies[known],
  };
}

/**
 * Runs one operation of the script on a node.
 *
 * @throws UserError `node-…` for what the script reports, and what {@link Session.exec} throws.
 */
export async function runOnNode(session: Session, operation: NodeOperation): Promise<ScriptSuccess> {
  const { command, input } = remoteCommand({ lockWait, ...operation });
  const { code, stdout, stderr } = await session.exec(command, { input, timeout: operationTimeout });
  const report = parseScriptOutput(stdout);
  if (report?.end === "ok") return report;
  if (report) throw new UserError(failureProblem(operation.nodeName, report));
  const sudo = /^sudo: /m.test(stderr);
  throw new UserError({
    code: sudo ? "node-sudo" : "node-no-report",
    subject: `node ${operation.nodeName}`,
    seen: `the script did not run to its end (code ${code ?? "none"}): ${lastWords(stderr) || "no message"}`,
    remedy: sudo
      ? "The user that logs in must be allowed to use sudo without a password"
      : "Log in to the node by hand and see whether its shell works; then run again",
  });
}
