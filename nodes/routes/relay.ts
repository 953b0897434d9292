/**
 * The route through the jumpbox pod: an `exec` stream of the API server for each connection.
 * It never interprets what it carries.
 */
import { Duplex } from "node:stream";
import { WebSocket } from "ws";
import type { KubeContext } from "../../kubernetes/client";
import { connectionFailure } from "../../net/https";
import { lastWords } from "../../support/text";
import {
  DialError,
  type JumpboxAccess,
  type Transport,
  classifyNode,
  classifyPod,
  relayWords,
  throughJumpbox,
} from "./transport";

/** v5 lets the client close stdin (Kubernetes 1.30); v4 is for older API servers. */
const protocols = ["v5.channel.k8s.io", "v4.channel.k8s.io"];
/** The first byte of each message says which stream it is of. */
const channels = { stdin: 0, stdout: 1, stderr: 2, status: 3, close: 255 } as const;

const stderrLimit = 16 * 1024;
/** Milliseconds for the far end to close the stream, after which it is cut. */
const closeTimeout = 2000;

/** The Status object (`meta.k8s.io/v1`) that a refusal's body is, and that ends an `exec` stream. */
interface Status {
  readonly reason?: unknown;
  readonly message?: unknown;
}

function parseStatus(text: string): Status | undefined {
  try {
    return JSON.parse(text) as Status;
  } catch {
    return undefined;
  }
}

/** How the API server answers when it opens no stream. */
function refusal(code: number, body: string): DialError {
  const message = parseStatus(body)?.message;
  const said = lastWords(typeof message === "string" ? message : body) || `HTTP status ${code}`;
  switch (code) {
    case 401:
      return new DialError("login-expired", said);
    case 403:
      return new DialError("forbidden", said);
    case 404:
      return new DialError("pod-missing", said);
    case 429:
    case 502:
    case 503:
    case 504:
      return new DialError("api-unreachable", said);
    default:
      return new DialError(classifyPod(said) ?? "relay-failed", said);
  }
}

/** Why the socket to the API server failed. */
function socketFailure(error: Error): DialError {
  const { kind, message } = connectionFailure(error);
  return new DialError(kind === "certificate" ? "api-certificate" : "api-unreachable", message);
}

/** Why a command in the pod ended before it had a connection: its stderr says it, or the stream's status. */
function relayFailure(stderr: string, statusText: string): DialError {
  const status = parseStatus(statusText);
  const reason = status?.reason;
  const message = typeof status?.message === "string" ? status.message : "";
  // An unreachable kubelet does not mean an unreachable node: only the relay's own message classifies the node.
  const ended = reason === undefined || reason === "NonZeroExitCode";
  const said = stderr.trim() !== "" || ended ? relayWords(stderr) : lastWords(message);
  const why = classifyPod(`${stderr}\n${message}`) ?? (ended ? classifyNode(stderr) : undefined);
  return new DialError(why ?? "relay-failed", said || "it ended without a word");
}

/** stdin and stdout of a command in a pod as one stream. */
class ExecStream extends Duplex {
  #received = false;
  #stderr = "";
  #status = "";
  #socket: { ref(): void; unref(): void } | undefined;

  constructor(private readonly connection: WebSocket) {
    super({ allowHalfOpen: false });
    connection.on("message", (message: Buffer) => this.#take(message[0], message.subarray(1)));
    connection.on("close", () => this.#ended());
    connection.on("error", () => undefined); // "close" comes after it
  }

  /** Resolves when the API server has joined it to the command. */
  opened(timeout: number): Promise<this> {
    const { connection } = this;
    return new Promise((resolve, reject) => {
      const fail = (error: DialError): void => {
        clearTimeout(timer);
        reject(error);
        this.destroy();
      };
      const timer = setTimeout(
        () => fail(new DialError("api-unreachable", `no answer in ${timeout / 1000} s`)),
        timeout,
      );
      connection.once("upgrade", ({ socket }) => {
        this.#socket = socket;
      });
      connection.once("open", () => {
        clearTimeout(timer);
        resolve(this);
      });
      connection.once("error", (error) => fail(socketFailure(error)));
      connection.once("unexpected-response", (_request, response) => {
        let body = "";
        response.setEncoding("utf8").on("data", (text: string) => {
          body = (body + text).slice(-stderrLimit);
        });
        response.on("close", () => fail(refusal(response.statusCode ?? 0, body)));
      });
    });
  }

  ref(): void {
    this.#socket?.ref();
  }

  unref(): void {
    this.#socket?.unref();
  }

  #take(channel: number | undefined, data: Buffer): void {
    if (data.length === 0) return; // each stream begins with an empty message
    if (channel === channels.stdout) {
      this.#received = true;
      if (!this.push(data)) this.connection.pause();
    } else if (channel === channels.stderr) {
      this.#stderr = (this.#stderr + data.toString("utf8")).slice(-stderrLimit);
    } else if (channel === channels.status) {
      this.#status = (this.#status + data.toString("utf8")).slice(-stderrLimit);
    }
  }

  #ended(): void {
    if (this.destroyed) return;
    if (this.#received) this.push(null);
    else this.destroy(relayFailure(this.#stderr, this.#status));
  }

  override _read(): void {
    this.connection.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#send(channels.stdin, chunk, done);
  }

  override _final(done: () => void): void {
    this.#send(channels.close, Buffer.of(channels.stdin), done);
  }

  /** Ignores writes after the close: the error at the end of the stream says more than a failed write. */
  #send(channel: number, data: Buffer, done: () => void): void {
    if (this.connection.readyState === WebSocket.OPEN) {
      this.connection.send(Buffer.concat([Buffer.of(channel), data]), () => done());
    } else done();
  }

  /** The relay in the pod ends with its stdin, which ends with the connection. */
  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const { connection } = this;
    if (connection.readyState === WebSocket.CLOSED) {
      done(error);
      return;
    }
    const cut = setTimeout(() => connection.terminate(), closeTimeout);
    connection.once("close", () => {
      clearTimeout(cut);
      done(error);
    });
    if (connection.readyState === WebSocket.OPEN) connection.resume(); // a paused socket does not emit "close"
    connection.close();
  }
}

/** Creates transports through a jumpbox pod, by `exec` streams of the Supervisor's API server. */
export function throughPod(supervisor: KubeContext): (access: JumpboxAccess) => Transport {
  return (access) =>
    throughJumpbox(access, async (command, timeout) => {
      const { namespace, pod, container } = access;
      const query = new URLSearchParams({ container, stdin: "true", stdout: "true", stderr: "true" });
      for (const word of command) query.append("command", word);
      const url = new URL(`${supervisor.server.replace(/^http/, "ws")}/`);
      url.pathname += `api/v1/namespaces/${namespace}/pods/${pod}/exec`;
      url.search = query.toString();
      const connection = new WebSocket(url, protocols, {
        ...(await supervisor.connectionOptions()),
        perMessageDeflate: false,
      });
      return await new ExecStream(connection).opened(timeout);
    });
}
