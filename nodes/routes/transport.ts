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

/** A connection that failed, without the words for it: the caller knows which node it was for. */
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

/** A way to nodes. */
export interface Transport {
  /** For messages: `through pod ns1/jumpbox-ubuntu (context "ns1")`. */
  readonly description: string;
  /** Bounds how many dials are under way at once: who dials holds a place from the first packet to the login. */
  readonly dials: pLimit.Limit;
  /**
   * Opens a stream to a port of a node. A stream that turns out to lead nowhere is destroyed with a
   * {@link DialError}; to destroy it ends whatever was started for it.
   *
   * @param timeout - milliseconds for connecting
   * @throws DialError
   */
  connect(address: string, port: number, timeout: number): Promise<Duplex>;
  /**
   * Makes sure that the way itself is there, where there is something to be made sure of before any node is reached.
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

/** Tells the reason from a socket's error. */
export function dialErrorOf(error: NodeJS.ErrnoException): DialError {
  if (error instanceof DialError) return error;
  return new DialError(systemReasons[error.code ?? ""] ?? "unreachable", error.message);
}

/**
 * Dials at once where every node is a hop of its own. Each sshd sees one of them; the bound is for the operator's
 * machine, which has to answer each handshake in time.
 */
const directDials = 32;

/**
 * Dials at once through one hop: fewer than the ten not logged in yet from which on an sshd of default settings
 * (MaxStartups 10:30:100) drops connections, and few enough for the Supervisor's API server and the jumpbox pod.
 */
export const hopDials = 8;

/** The way where the nodes' port can be reached from here. */
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

/** What the API server, the kubelet and our relay say of a pod: their answers have no codes for it. */
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

/** The line of a relay's stderr that is worth telling. */
export function relayWords(stderr: string): string {
  const lines = stderr.split("\n");
  // "bash: connect: Connection refused", and then the same again with the script's line.
  const first = lines.find((line) => classifyNode(line) !== undefined);
  return lastWords((first ?? stderr).replace(/^(bash|relay|sh): (line \d+: )?/, ""));
}

/** Reads why a node could not be reached from the words of a system; `undefined` where they say nothing of that. */
export function classifyNode(said: string): DialReason | undefined {
  return nodePatterns.find(([, pattern]) => pattern.test(said))?.[0];
}

/** Reads what is wrong with the pod from the words of the API server, the kubelet or the relay. */
export function classifyPod(said: string): DialReason | undefined {
  return podPatterns.find(([, pattern]) => pattern.test(said))?.[0];
}

/** A jumpbox pod. */
export type JumpboxAccess = Extract<Access, { kind: "jumpbox" }>;

/** The command that relays in the pod, given the milliseconds for connecting. */
export type RelayCommand = (address: string, port: number, timeout: number) => string[];

const relayCommand: RelayCommand = (address, port, timeout) => {
  const seconds = Math.max(1, Math.floor(timeout / 1000) - 2);
  return [
    ...["sh", "-c", packagedShell("relay.sh"), "relay"],
    ...[address, String(port), String(seconds), packagedShell("relay-bash.sh")],
  ];
};

/**
 * The way through a jumpbox pod, whatever carries the stream to it.
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
