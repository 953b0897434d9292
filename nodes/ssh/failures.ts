/**
 * The reasons why a login fails, and the problem that each becomes.
 * It never decides whether to try again; `connect.ts` does.
 */
import { type KubernetesCode, kubernetesProblem } from "../../kubernetes/problems";
import { type Problem, UserError } from "../../support/errors";
import { lastWords } from "../../support/text";
import { DialError, type DialReason, dialErrorOf } from "../routes/transport";
import { type SshEndpoint, subjectOf } from "./endpoint";
import { type SshCode, sshProblem } from "./problems";
import { type AccountRefusal, refusalIn } from "./refusals";

/** Why an attempt failed. */
export type Failure =
  | DialReason
  | "auth"
  /** sshd accepts the key, and PAM does not let the user in: for good, or as long as the machine starts or ends. */
  | "account"
  | "closed"
  /** sshd answered, and the two sides have no algorithm in common. */
  | "handshake"
  | "host-key";

/** An attempt that failed; {@link sshError} makes a {@link UserError} of it. */
export class AttemptError extends Error {
  constructor(
    readonly reason: Failure,
    readonly seen: string,
    /** Why the account may do nothing. */
    readonly refused?: AccountRefusal,
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
  "closed",
]);

const codes = {
  timeout: "ssh-timeout",
  refused: "ssh-refused",
  unreachable: "ssh-unreachable",
  lost: "ssh-lost",
  auth: "ssh-auth",
  account: "ssh-account",
  closed: "ssh-account",
  handshake: "ssh-handshake",
  "host-key": "host-key-changed",
  "pod-missing": "relay-pod-missing",
  "pod-not-running": "relay-pod-not-running",
  "container-missing": "relay-container-missing",
  "no-tool": "relay-no-tool",
  "forwarding-refused": "bastion-forwarding-refused",
  "relay-failed": "relay-failed",
} as const satisfies Partial<Record<Failure, SshCode>>;

/** Failures of the Supervisor's API, on the way through a jumpbox pod. */
const apiCodes = {
  "login-expired": "login-expired",
  forbidden: "no-rights",
  "api-certificate": "cluster-certificate",
  "api-unreachable": "cluster-unreachable",
} as const satisfies Record<Exclude<Failure, keyof typeof codes>, KubernetesCode>;

/** The codes of failures of the bastion itself: with it every node is out of reach, which `unreachable: skip` does not skip. */
const bastionCodes = {
  timeout: "bastion-ssh-timeout",
  refused: "bastion-ssh-refused",
  unreachable: "bastion-ssh-unreachable",
  lost: "bastion-ssh-lost",
  auth: "bastion-ssh-auth",
  account: "bastion-ssh-auth",
  closed: "bastion-ssh-auth",
  handshake: "bastion-ssh-handshake",
  "host-key": "bastion-host-key-changed",
} as const satisfies Partial<Record<Failure, SshCode>>;

const has = <T extends object>(table: T, key: PropertyKey): key is keyof T => Object.hasOwn(table, key);

/** Makes a {@link UserError} of the last failed attempt. */
export function sshError(endpoint: SshEndpoint, error: AttemptError, attempts: number): UserError {
  const { role = "node", user, credentials, transport } = endpoint;
  const { reason } = error;
  const tried = `SSH as "${user}" ${transport.description}`;
  const what = {
    subject: subjectOf(endpoint),
    seen: `${tried} failed${attempts > 1 ? ` ${attempts} times` : ""}: ${lastWords(error.seen)}`,
  };
  if (has(apiCodes, reason)) return kubernetesProblem.error(apiCodes[reason], what, "ssh");
  const code = role === "bastion" && has(bastionCodes, reason) ? bastionCodes[reason] : codes[reason];
  if (code === "ssh-account") return sshProblem.error("ssh-account", what, error.refused ?? "locked", user);
  const login = { role, user, source: credentials.source, route: transport.description };
  return new UserError(
    code === "ssh-lost" ? sshProblem(code, what, "login", login) : sshProblem(code, what, login),
  );
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

/** Whether a login would send a password to a machine that nothing proves. */
export const needsPin = ({ credentials, hostKey }: Pick<SshEndpoint, "credentials" | "hostKey">): boolean =>
  credentials.kind === "password" && hostKey === undefined;

/** The problem of such a node. */
export const passwordUnpinned = (node: string): Problem =>
  sshProblem(
    "ssh-password-unpinned",
    {
      subject: `node ${node}`,
      seen: "the cluster's nodes take a password, and this one's host key is not known",
    },
    node,
  );

/**
 * Maps an error of the transport or of ssh2 to a reason. A {@link UserError} is returned unchanged.
 *
 * @param banner - What sshd said before it refused or hung up: PAM's own words, where it has any.
 */
export function asAttemptError(
  error: Error & { level?: string; code?: string },
  banner = "",
): AttemptError | UserError {
  const refusal = refusalIn(banner);
  if (refusal?.by === "account")
    return new AttemptError(refusal.why === "closed" ? "closed" : "account", lastWords(banner), refusal.why);
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
