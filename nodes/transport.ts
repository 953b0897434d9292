/** The ways to a node's SSH port. Each gives a byte stream; the SSH session on it is end to end. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { connect as connectTcp } from "node:net";
import * as path from "node:path";
import { Duplex } from "node:stream";
import { packageRoot } from "../build";
import { type KubectlReason, classifyKubectl, lastWords } from "./kubectl";
import type { Access } from "./spec";

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
  /**
   * Opens a stream to a port of a node. A stream that turns out to lead nowhere is destroyed with a
   * {@link DialError}; to destroy it ends whatever was started for it.
   *
   * @param timeout - milliseconds for connecting
   * @throws DialError
   */
  connect(address: string, port: number, timeout: number): Promise<Duplex>;
}

/** The way that a node's settings ask for. A further kind of access is a further case here. */
export function transportFor(access: Access): Transport {
  switch (access.kind) {
    case "direct":
      return direct;
    case "jumpbox":
      return jumpbox(access);
  }
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

const direct: Transport = {
  description: "directly",
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

/** A script's text without the lines that are for its readers. */
export function packagedShell(name: string): string {
  return readFileSync(path.join(packageRoot, "nodes", "scripts", name), "utf8").replace(/^ *#.*\n/gm, "");
}

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

/** Reads what kubectl and the relay in the pod wrote to stderr when the connection ended. */
export function classifyRelay(stderr: string): DialReason {
  const first = (list: readonly (readonly [DialReason, RegExp])[]): DialReason | undefined =>
    list.find(([, pattern]) => pattern.test(stderr))?.[0];
  const reason = first(relayPatterns);
  if (reason) return reason;
  // Before the node's own words: a refused API server is no refusing node.
  const kubectlSaid = classifyKubectl(stderr);
  if (kubectlSaid === "not-found") return "pod-missing";
  if (kubectlSaid !== "failed") return kubectlSaid;
  return first(nodePatterns) ?? "relay-failed";
}

const stderrLimit = 16 * 1024;
const farewell = 2000;

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
      else
        this.destroy(
          new DialError(classifyRelay(this.#stderr), lastWords(this.#stderr) || "it ended without a word"),
        );
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
    const timer = setTimeout(() => this.child.kill("SIGKILL"), farewell);
    this.child.once("close", () => {
      clearTimeout(timer);
      done(error);
    });
  }
}

function jumpbox({ context, namespace, pod, container }: Extract<Access, { kind: "jumpbox" }>): Transport {
  return {
    description: `through pod ${namespace}/${pod} (context "${context}")`,
    connect: (address, port, timeout) => {
      const seconds = Math.max(1, Math.floor(timeout / 1000) - 2);
      const child = spawn(
        "kubectl",
        [
          ...["--context", context, "-n", namespace, "exec", "-i", pod, "-c", container, "--"],
          ...["sh", "-c", packagedShell("relay.sh"), "relay"],
          ...[address, String(port), String(seconds), packagedShell("relay-bash.sh")],
        ],
        { stdio: ["pipe", "pipe", "pipe"] },
      );
      return Promise.resolve(new KubectlStream(child));
    },
  };
}
