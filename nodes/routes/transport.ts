/**
 * The routes to a node's SSH port: directly, or through a jumpbox pod. Each gives a byte stream.
 * It never sees what the stream carries: the SSH session on it is end to end.
 */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { connect as connectTcp } from "node:net";
import { Duplex } from "node:stream";
import pLimit from "p-limit";
import { type KubectlReason, classifyKubectl } from "../../kubernetes/kubectl";
import { childEnvironment } from "../../support/children";
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
  | Exclude<KubectlReason, "not-found" | "failed">
  | "relay-failed";

/** A connection that failed, without the words for it: the caller knows which node it was for. */
export class DialError extends Error {
  constructor(
    readonly reason: DialReason,
    /** What the system, kubectl or the relay said. */
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

const relayPatterns: readonly (readonly [DialReason, RegExp])[] = [
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

/** What of kubectl's and the relay's stderr is worth telling: not how kubectl sums it up. */
export function relayWords(stderr: string): string {
  const lines = stderr.split("\n").filter((line) => !/^\{|command terminated with/.test(line));
  // "bash: connect: Connection refused", and then the same again with the script's line.
  const first = lines.find((line) => classifyNode(line) !== undefined);
  return (
    lastWords((first ?? lines.join("\n")).replace(/^(bash|relay|sh): (line \d+: )?/, "")) ||
    "it ended without a word"
  );
}

/** Reads why a node could not be reached from the words of a system; `undefined` where they say nothing of that. */
export function classifyNode(said: string): DialReason | undefined {
  return nodePatterns.find(([, pattern]) => pattern.test(said))?.[0];
}

/** Reads what kubectl and the relay in the pod wrote to stderr when the connection ended. */
export function classifyRelay(stderr: string): DialReason {
  const reason = relayPatterns.find(([, pattern]) => pattern.test(stderr))?.[0];
  if (reason) return reason;
  // Before the node's own words: a refused API server is no refusing node.
  const kubectlSaid = classifyKubectl(stderr);
  if (kubectlSaid === "not-found") return "pod-missing";
  if (kubectlSaid !== "failed") return kubectlSaid;
  return classifyNode(stderr) ?? "relay-failed";
}

const stderrLimit = 16 * 1024;
const closeTimeout = 2000;

/** stdin and stdout of a `kubectl exec` as one stream. */
class KubectlStream extends Duplex {
  #received = false;
  #stderr = "";
  #exited = false;

  constructor(readonly child: ChildProcessWithoutNullStreams) {
    super({ allowHalfOpen: false });
    child.stdout.on("data", (chunk: Buffer) => {
      this.#received = true;
      if (!this.push(chunk)) child.stdout.pause();
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-stderrLimit);
    });
    // The end of a child that closes its stdin says more than the failed write.
    child.stdin.on("error", () => undefined);
    child.on("error", (error: NodeJS.ErrnoException) => {
      this.#exited = true;
      this.destroy(
        error.code === "ENOENT"
          ? new DialError("no-kubectl", "kubectl is not on PATH")
          : new DialError("relay-failed", error.message),
      );
    });
    child.on("close", () => {
      this.#exited = true;
      if (this.destroyed) return;
      if (this.#received) this.push(null);
      else this.destroy(new DialError(classifyRelay(this.#stderr), relayWords(this.#stderr)));
    });
  }

  override _read(): void {
    this.child.stdout.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (!this.child.stdin.writable) done();
    else this.child.stdin.write(chunk, () => done());
  }

  override _final(done: () => void): void {
    if (!this.child.stdin.writable) done();
    else this.child.stdin.end(() => done());
  }

  /** The relay in the pod ends by its stdin; a kubectl that does not end with it is ended. */
  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.child.stdin.destroy();
    this.child.stdout.resume();
    if (this.#exited) {
      done(error);
      return;
    }
    const timer = setTimeout(() => this.child.kill("SIGKILL"), closeTimeout);
    this.child.once("close", () => {
      clearTimeout(timer);
      done(error);
    });
  }
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

/** The way through a jumpbox pod by a `kubectl exec` for each stream. */
export function throughKubectl(access: JumpboxAccess): Transport {
  const { context, namespace, pod, container } = access;
  return throughJumpbox(access, (command) => {
    const exec = ["--context", context, "-n", namespace, "exec", "-i", pod, "-c", container, "--"];
    const child = spawn("kubectl", [...exec, ...command], {
      env: childEnvironment(),
      stdio: ["pipe", "pipe", "pipe"],
    });
    return Promise.resolve(new KubectlStream(child));
  });
}
