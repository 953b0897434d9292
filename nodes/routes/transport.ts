/**
 * The routes to a node's SSH port: directly, or through a jumpbox pod. Each gives a byte stream.
 * It never sees what the stream carries: the SSH session on it is end to end.
 */
import { connect as connectTcp } from "node:net";
import type { Duplex } from "node:stream";
import pLimit from "p-limit";
import { lastWords } from "../../support/text";
import type { Access } from "../protocol/spec";
import { packagedShell } from "../script/packaged";

/** Why no connection came about, or why it ended. */
export type DialReason =
  | "timeout"
  | "refused"
  | "unreachable"
  /** The connection was made and then cut. */
  | "lost"
  | "pod-missing"
  | "pod-not-running"
  | "container-missing"
  | "no-tool"
  /** A bastion's sshd does not forward. */
  | "forwarding-refused"
  /** The API server that streams to the pod: refuses the login, or the right, is not believed, or does not answer. */
  | "login-expired"
  | "forbidden"
  | "api-certificate"
  | "api-unreachable"
  | "relay-failed";

/** A failed connection. It has no message for people: the caller knows which node it was for. */
export class DialError extends Error {
  constructor(
    readonly reason: DialReason,
    /** What the system, the API server or the relay said. */
    readonly seen: string,
  ) {
    super(`${reason}: ${seen}`);
    this.name = "DialError";
  }
}

/** Opens connections to nodes. */
export interface Transport {
  /** For messages: `through pod ns1/jumpbox-ubuntu (context "ns1")`. */
  readonly description: string;
  /** Limits how many connections are opened at once. A caller holds its place from the first packet to the login. */
  readonly dials: pLimit.Limit;
  /**
   * Opens a stream to a port of a node. If the connection fails later, the stream is destroyed with a
   * {@link DialError}. Destroying the stream ends the relay behind it.
   *
   * @param timeout - milliseconds for connecting
   * @throws DialError
   */
  connect(address: string, port: number, timeout: number): Promise<Duplex>;
  /**
   * Checks the hop itself, before any node is reached. Only a bastion has something to check.
   *
   * @throws UserError
   */
  check?(): Promise<void>;
}

const systemReasons: Record<string, DialReason> = {
  ECONNREFUSED: "refused",
  ETIMEDOUT: "timeout",
  ECONNRESET: "lost",
  EPIPE: "lost",
};

/** Maps a socket's error to a reason. */
export function dialErrorOf(error: NodeJS.ErrnoException): DialError {
  if (error instanceof DialError) return error;
  return new DialError(systemReasons[error.code ?? ""] ?? "unreachable", error.message);
}

/**
 * Direct connections opened at once. Each sshd sees only one; the limit protects the operator's machine, which must
 * answer each handshake in time.
 */
const directDials = 32;

/**
 * Connections opened at once through one hop. An sshd with default settings drops connections from the tenth that is
 * not logged in yet (MaxStartups 10:30:100). The Supervisor's API server and the jumpbox pod bear as many.
 */
export const hopDials = 8;

/** The transport for nodes whose port can be reached from this machine. */
export const direct: Transport = {
  description: "directly",
  dials: pLimit(directDials),
  connect: (host, port, timeout) =>
    new Promise((resolve, reject) => {
      const socket = connectTcp({ host, port, noDelay: true, keepAlive: true });
      const fail = (error: DialError): void => {
        socket.destroy();
        reject(error);
      };
      const timer = setTimeout(
        () => fail(new DialError("timeout", `no answer in ${timeout / 1000} s`)),
        timeout,
      );
      const onError = (error: Error): void => {
        clearTimeout(timer);
        fail(dialErrorOf(error));
      };
      socket.once("error", onError);
      socket.once("connect", () => {
        clearTimeout(timer);
        socket.off("error", onError);
        resolve(socket);
      });
    }),
};

/** Messages of the API server, the kubelet and the relay about a pod. They have no codes for these cases. */
const podPatterns: readonly (readonly [DialReason, RegExp])[] = [
  ["pod-missing", /pods "[^"]*" not found/],
  ["container-missing", /container .* is not valid for pod|container not found/],
  [
    "pod-not-running",
    /cannot exec into a container in a completed pod|does not have a host assigned|container .* is not running|ContainerCreating/,
  ],
  [
    "no-tool",
    /tkc-registry-relay: no-tool|executable file not found|\/dev\/tcp\/.*: No such file or directory/,
  ],
];

const nodePatterns: readonly (readonly [DialReason, RegExp])[] = [
  ["refused", /connection refused/i],
  ["timeout", /timed out/i],
  [
    "unreachable",
    /no route to host|is unreachable|name or service not known|temporary failure in name resolution|bad address/i,
  ],
  ["lost", /connection reset/i],
];

/** The line of a relay's stderr that explains the failure. */
export function relayWords(stderr: string): string {
  const lines = stderr.split("\n");
  // bash prints "bash: connect: Connection refused", and then repeats it with the script's line number.
  const first = lines.find((line) => classifyNode(line) !== undefined);
  return lastWords((first ?? stderr).replace(/^(bash|relay|sh): (line \d+: )?/, ""));
}

/** Classifies a system's message about a failed connection to a node; `undefined` for any other message. */
export function classifyNode(said: string): DialReason | undefined {
  return nodePatterns.find(([, pattern]) => pattern.test(said))?.[0];
}

/** Classifies a message of the API server, the kubelet or the relay about the pod; `undefined` for any other. */
export function classifyPod(said: string): DialReason | undefined {
  return podPatterns.find(([, pattern]) => pattern.test(said))?.[0];
}

/** A jumpbox pod. */
export type JumpboxAccess = Extract<Access, { kind: "jumpbox" }>;

/** Builds the relay's command in the pod; `timeout` is in milliseconds. */
export type RelayCommand = (address: string, port: number, timeout: number) => string[];

const relayCommand: RelayCommand = (address, port, timeout) => {
  const seconds = Math.max(1, Math.floor(timeout / 1000) - 2);
  return [
    ...["sh", "-c", packagedShell("relay.sh"), "relay"],
    ...[address, String(port), String(seconds), packagedShell("relay-bash.sh")],
  ];
};

/**
 * The transport through a jumpbox pod.
 *
 * @param open - runs a command in the pod, with stdin and stdout as one stream
 */
export function throughJumpbox(
  { context, namespace, pod }: JumpboxAccess,
  open: (command: readonly string[], timeout: number) => Promise<Duplex>,
): Transport {
  return {
    description: `through pod ${namespace}/${pod} (context "${context}")`,
    dials: pLimit(hopDials),
    connect: (address, port, timeout) => open(relayCommand(address, port, timeout), timeout),
  };
}
