/**
 * The reasons why a login fails, and the problem that each becomes.
 * It never decides whether to try again; `connect.ts` does.
 */
import type { ProblemCode } from "../../support/catalog";
import { UserError } from "../../support/errors";
import { lastWords } from "../../support/text";
import { DialError, type DialReason, dialErrorOf } from "../routes/transport";
import { type SshEndpoint, subjectOf } from "./endpoint";

/** Why an attempt failed. */
export type Failure =
  | DialReason
  | "auth"
  /** sshd answered, and the two sides have no algorithm in common. */
  | "handshake"
  | "host-key";

/** An attempt that failed; {@link sshError} makes a {@link UserError} of it. */
export class AttemptError extends Error {
  constructor(
    readonly reason: Failure,
    readonly seen: string,
  ) {
    super(seen);
  }
}

/** Failures that a retry may mend. */
export const transient: ReadonlySet<Failure> = new Set<Failure>([
  "timeout",
  "refused",
  "unreachable",
  "lost",
  "pod-not-running",
  "api-unreachable",
  "relay-failed",
]);

const codes: Record<Failure, ProblemCode> = {
  timeout: "ssh-timeout",
  refused: "ssh-refused",
  unreachable: "ssh-unreachable",
  lost: "ssh-lost",
  auth: "ssh-auth",
  handshake: "ssh-handshake",
  "host-key": "host-key-changed",
  "pod-missing": "relay-pod-missing",
  "pod-not-running": "relay-pod-not-running",
  "container-missing": "relay-container-missing",
  "no-tool": "relay-no-tool",
  "forwarding-refused": "bastion-forwarding-refused",
  "login-expired": "login-expired",
  forbidden: "no-rights",
  "api-certificate": "cluster-certificate",
  "api-unreachable": "cluster-unreachable",
  "relay-failed": "relay-failed",
};

/** The codes of failures of the bastion itself. */
const bastionCodes: Partial<Record<Failure, ProblemCode>> = {
  timeout: "bastion-ssh-timeout",
  refused: "bastion-ssh-refused",
  unreachable: "bastion-ssh-unreachable",
  lost: "bastion-ssh-lost",
  auth: "bastion-ssh-auth",
  handshake: "bastion-ssh-handshake",
  "host-key": "bastion-host-key-changed",
};

function remedy(reason: Failure, { role = "node", user, credentials, transport }: SshEndpoint): string {
  const remedies: Record<Failure, string> = {
    timeout: `Check that the ${role} is running, and that a firewall or network policy lets SSH pass ${transport.description}`,
    refused: `Check that sshd runs on the ${role} and listens on this port`,
    unreachable: `Check the ${role}'s address, and that there is a route to it ${transport.description}`,
    lost: `Check sshd's log on the ${role}; a busy sshd (MaxStartups) drops connections, then a later run succeeds`,
    auth:
      role === "bastion"
        ? `Check that the bastion accepts user "${user}" with ${credentials.source}`
        : `Check that the node accepts user "${user}" with ${credentials.source}; the secret may be of another cluster, or renewed since the node was made`,
    handshake: "Check that sshd listens on this port and is not older than OpenSSH 7",
    "host-key": `If the ${role} was reinstalled in place, set its new fingerprint in the settings; otherwise somebody may be in between: do not go on`,
    "pod-missing": "Run `pulumi up`, which sees that the jumpbox pod is gone and makes it anew",
    "pod-not-running": "Look at the jumpbox pod's events with `kubectl describe pod`",
    "container-missing": "Name a container of the jumpbox pod in the settings",
    "no-tool": "Use a jumpbox image that has a shell and one of bash, nc or socat",
    "forwarding-refused": "Have the bastion's sshd forward for this user (AllowTcpForwarding, PermitOpen)",
    "login-expired": "Log in again (`npm run login`): tokens of a Supervisor last ten hours",
    forbidden: 'Have the user of this context given the right to "create" "pods/exec" in the namespace',
    "api-certificate":
      "If the Supervisor's certificates were changed, log in again (`npm run login`); otherwise somebody may be in between",
    "api-unreachable": "Check that the Supervisor's API server can be reached from here, then try again",
    "relay-failed": "Look at the jumpbox pod and its log, then try again",
  };
  return remedies[reason];
}

/** Makes a {@link UserError} of the last failed attempt. */
export function sshError(endpoint: SshEndpoint, error: AttemptError, attempts: number): UserError {
  const tried = `SSH as "${endpoint.user}" ${endpoint.transport.description}`;
  const special = endpoint.role === "bastion" ? bastionCodes[error.reason] : undefined;
  return new UserError({
    code: special ?? codes[error.reason],
    subject: subjectOf(endpoint),
    seen: `${tried} failed${attempts > 1 ? ` ${attempts} times` : ""}: ${lastWords(error.seen)}`,
    remedy: remedy(error.reason, endpoint),
  });
}

/** The error for an endpoint whose host keys differ from the pinned one. */
export function hostKeyChanged(endpoint: SshEndpoint, shown: readonly string[]): UserError {
  return sshError(
    endpoint,
    new AttemptError(
      "host-key",
      `its host key was to be ${endpoint.hostKey ?? ""}, and is ${shown.join(", ")}`,
    ),
    1,
  );
}

/** Maps an error of the transport or of ssh2 to a reason. A {@link UserError} is returned unchanged. */
export function asAttemptError(error: Error & { level?: string; code?: string }): AttemptError | UserError {
  if (error instanceof AttemptError || error instanceof UserError) return error;
  if (error instanceof DialError) return new AttemptError(error.reason, error.seen);
  switch (error.level) {
    case "client-timeout":
      return new AttemptError("timeout", "the node answered the connection but not the SSH handshake");
    case "client-authentication":
      return new AttemptError("auth", "sshd refused the credentials");
    case "client-socket":
    case undefined: {
      const { reason, seen } = dialErrorOf(error);
      return new AttemptError(error.code === undefined ? "handshake" : reason, seen);
    }
    default:
      return /connection lost/i.test(error.message)
        ? new AttemptError("lost", error.message)
        : new AttemptError("handshake", error.message);
  }
}
