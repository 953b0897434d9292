/** SSH sessions on nodes: host keys checked, one way of authentication, errors that say what to do. */
import { createHash } from "node:crypto";
import { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { type AnyAuthMethod, Client, type ClientChannel, type ServerHostKeyAlgorithm } from "ssh2";
import type { ProblemCode } from "../../support/catalog";
import { type Problem, UserError } from "../../support/errors";
import { lastWords } from "../../support/text";
import { DialError, type DialReason, type Transport, classifyNode, dialErrorOf } from "../routes/transport";

/** What is shown to sshd: never both. A password stands in only where there is no key, not for a refused one. */
export type Credentials =
  | { readonly kind: "key"; readonly privateKey: string; readonly source: string }
  | { readonly kind: "password"; readonly password: string; readonly source: string }
  | { readonly kind: "agent"; readonly socket: string; readonly source: string };

/** A node's sshd, and the way in. */
export interface Endpoint {
  /** What is logged in to, for messages and the codes of errors. Default `node`. */
  readonly role?: "node" | "bastion";
  /** The node's name, for messages. */
  readonly node: string;
  readonly address: string;
  readonly port: number;
  readonly user: string;
  readonly transport: Transport;
  readonly credentials: Credentials;
  /** `SHA256:…` of one of the node's host keys. Without it the first key seen is accepted: {@link Session.hostKey}. */
  readonly hostKey?: string | undefined;
}

/** How long to try. */
export interface ConnectOptions {
  /** Milliseconds for one attempt, from dialling to being logged in. Default 15 s. */
  readonly attemptTimeout?: number;
  /** Attempts in all, where a failure may pass by itself. Default 4. */
  readonly attempts?: number;
  /** Milliseconds for all attempts and the pauses between them; waiting for one's turn at the way is not counted. Default 25 s. */
  readonly patience?: number;
  /** Milliseconds before the second attempt; doubled for each further one, and varied by half. Default 1 s. */
  readonly delay?: number;
  /**
   * Milliseconds between two questions whether the peer of a running command is still there; a question that is not
   * answered until the next one ends the session. Default 30 s.
   */
  readonly liveness?: number;
}

export const connectDefaults: Required<ConnectOptions> = {
  attemptTimeout: 15_000,
  attempts: 4,
  patience: 25_000,
  delay: 1000,
  liveness: 30_000,
};

/** Milliseconds below which an attempt is not worth making. */
const leastAttempt = 1000;

/** Milliseconds to wait after so many failures: doubled each time, and varied so that many don't come back at once. */
export function backoff(delay: number, failures: number): number {
  return delay * 2 ** (failures - 1) * (0.5 + Math.random());
}

export interface ExecOptions {
  /** Sent to the command's stdin, which is then closed. */
  readonly input?: Buffer | string;
  /** Milliseconds. Default 60 s. What runs on the node is not ended by it. */
  readonly timeout?: number;
}

export interface ExecResult {
  /** `undefined` when the command was ended by a signal. */
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

const outputLimit = 64 * 1024;
const closeGrace = 3000;

/** A stream that may be let go by the event loop: what waits for nothing must not keep its process alive. */
interface Unrefable {
  ref?(): void;
  unref?(): void;
}

/** A host key's fingerprint as OpenSSH prints it: `SHA256:` and unpadded base64. */
export function fingerprint(key: Buffer): string {
  return `SHA256:${createHash("sha256").update(key).digest("base64").replace(/=+$/, "")}`;
}

/** The algorithms by which each type of host key can be asked for; the first is the one most liked. */
const hostKeyAlgorithms: Record<string, readonly ServerHostKeyAlgorithm[]> = {
  "ssh-ed25519": ["ssh-ed25519"],
  "ecdsa-sha2-nistp256": ["ecdsa-sha2-nistp256"],
  "ecdsa-sha2-nistp384": ["ecdsa-sha2-nistp384"],
  "ecdsa-sha2-nistp521": ["ecdsa-sha2-nistp521"],
  "ssh-rsa": ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"],
};

function keyType(key: Buffer): string {
  return key.subarray(4, 4 + key.readUInt32BE(0)).toString("latin1");
}

type Failure =
  | DialReason
  | "auth"
  /** sshd answered, and no common ground was found. */
  | "handshake"
  | "host-key";

/** One attempt that failed; {@link explain} finds the words. */
class AttemptError extends Error {
  constructor(
    readonly reason: Failure,
    readonly seen: string,
  ) {
    super(seen);
  }
}

const passing: ReadonlySet<Failure> = new Set<Failure>([
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

/** The codes of what is the bastion's own trouble, and no node's. */
const bastionCodes: Partial<Record<Failure, ProblemCode>> = {
  timeout: "bastion-ssh-timeout",
  refused: "bastion-ssh-refused",
  unreachable: "bastion-ssh-unreachable",
  lost: "bastion-ssh-lost",
  auth: "bastion-ssh-auth",
  handshake: "bastion-ssh-handshake",
  "host-key": "bastion-host-key-changed",
};

function remedy(reason: Failure, { role = "node", user, credentials, transport }: Endpoint): string {
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

function subjectOf({ role = "node", node, address, port }: Endpoint): string {
  return node === address ? `${role} ${node} port ${port}` : `${role} ${node} (${address} port ${port})`;
}

function explain(endpoint: Endpoint, error: AttemptError, attempts: number): UserError {
  const tried = `SSH as "${endpoint.user}" ${endpoint.transport.description}`;
  const special = endpoint.role === "bastion" ? bastionCodes[error.reason] : undefined;
  return new UserError({
    code: special ?? codes[error.reason],
    subject: subjectOf(endpoint),
    seen: `${tried} failed${attempts > 1 ? ` ${attempts} times` : ""}: ${lastWords(error.seen)}`,
    remedy: remedy(error.reason, endpoint),
  });
}

/** A channel as a stream that ends and closes as all do, and that the event loop can let go. */
class ForwardedStream extends Duplex {
  #over = false;

  constructor(
    private readonly channel: ClientChannel,
    /** Says whether the session must be kept for it. */
    private readonly hold: (wanted: boolean) => void,
  ) {
    super({ allowHalfOpen: false });
    channel.on("data", (chunk: Buffer) => {
      if (!this.push(chunk)) channel.pause();
    });
    // A server closes the channel only once both sides have ended.
    channel.on("end", () => this.push(null));
    channel.on("error", () => undefined);
    channel.on("close", this.lost);
  }

  /** The far end, or the session, is gone. */
  readonly lost = (): void => {
    if (this.#over) return;
    this.#over = true;
    this.hold(false);
    if (!this.destroyed && !this.readableEnded) this.push(null);
  };

  ref(): void {
    this.hold(!this.#over);
  }

  unref(): void {
    this.hold(false);
  }

  override _read(): void {
    this.channel.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.#over) done();
    else this.channel.write(chunk, () => done());
  }

  override _final(done: () => void): void {
    if (!this.#over) this.channel.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.channel.destroy();
    this.lost();
    done(error);
  }
}

/**
 * An SSH session that is logged in. It serves any number of commands, also at the same time, until it is closed. While
 * none is running it does not keep its process alive.
 */
export class Session {
  #closed = false;
  #running = 0;
  #liveness: NodeJS.Timeout | undefined;

  constructor(
    private readonly client: Client,
    private readonly stream: Duplex & Unrefable,
    private readonly endpoint: Endpoint,
    /** The fingerprint that the node showed, `SHA256:…`: the pin for next time. */
    readonly hostKey: string,
    private readonly liveness: number,
  ) {
    // What is lost with the connection is told by the commands that were running on it.
    client.on("error", () => undefined);
    client.on("close", () => {
      this.#closed = true;
      clearInterval(this.#liveness);
    });
    stream.unref?.();
  }

  /** Whether commands can still be run. */
  get open(): boolean {
    return !this.#closed;
  }

  /**
   * Runs a command through the user's login shell.
   *
   * @throws UserError `ssh-lost` when the connection ends first, `ssh-exec-timeout`, `ssh-output` for output over 64 KiB.
   */
  async exec(command: string, options: ExecOptions = {}): Promise<ExecResult> {
    this.#begin();
    try {
      return await this.#run(command, options);
    } finally {
      this.#end();
    }
  }

  #begin(): void {
    this.#running += 1;
    if (this.#running > 1 || this.#closed) return;
    this.stream.ref?.();
    let answered = true;
    // ssh2's own keepalive has a timer for as long as the session lasts, which nobody can let go of. To be asked to end
    // a forwarding that there is not does nothing to a server, and any answer shows that it is there.
    this.#liveness = setInterval(() => {
      if (!answered || this.#closed) {
        this.stream.destroy();
        return;
      }
      answered = false;
      this.client.unforwardIn("127.0.0.1", 1, () => {
        answered = true;
      });
    }, this.liveness);
  }

  #end(): void {
    this.#running -= 1;
    if (this.#running > 0) return;
    clearInterval(this.#liveness);
    this.stream.unref?.();
  }

  #run(command: string, options: ExecOptions): Promise<ExecResult> {
    const timeout = options.timeout ?? 60_000;
    return new Promise((resolve, reject) => {
      const onClose = (): void => reject(this.#lost("the connection ended"));
      if (this.#closed) {
        onClose();
        return;
      }
      this.client.once("close", onClose);
      try {
        // What a command prints may come together with the answer that it runs: listeners must be there at once.
        this.client.exec(command, (error: Error | undefined, channel?: ClientChannel) => {
          this.client.off("close", onClose);
          if (channel) this.#collect(channel, options.input ?? "", timeout).then(resolve, reject);
          else reject(this.#lost(`sshd would not run a command: ${error?.message ?? ""}`));
        });
      } catch (error) {
        this.client.off("close", onClose);
        reject(this.#lost((error as Error).message));
      }
    });
  }

  /**
   * Has the server connect to a port, and gives the stream. Like a running command, a stream keeps its process alive
   * unless it is let go (`unref`).
   *
   * @param timeout - milliseconds
   * @throws DialError
   */
  forward(address: string, port: number, timeout: number): Promise<Duplex> {
    this.#begin();
    return new Promise((resolve, reject) => {
      let done = false;
      const fail = (error: DialError): void => {
        if (done) return;
        done = true;
        clearTimeout(timer);
        this.client.off("close", onClose);
        this.#end();
        reject(error);
      };
      const onClose = (): void => fail(new DialError("lost", "the connection to the bastion ended"));
      const timer = setTimeout(
        () => fail(new DialError("timeout", `no answer in ${timeout / 1000} s`)),
        timeout,
      );
      if (this.#closed) {
        onClose();
        return;
      }
      this.client.once("close", onClose);
      try {
        this.client.forwardOut(
          "127.0.0.1",
          0,
          address,
          port,
          (error: Error | undefined, channel?: ClientChannel) => {
            if (done) {
              channel?.destroy(); // it came too late
              return;
            }
            if (!channel) {
              fail(forwardingError(error));
              return;
            }
            done = true;
            clearTimeout(timer);
            this.client.off("close", onClose);
            resolve(this.#lend(channel));
          },
        );
      } catch (error) {
        fail(new DialError("lost", (error as Error).message));
      }
    });
  }

  #lend(channel: ClientChannel): Duplex {
    let held = true;
    const stream = new ForwardedStream(channel, (wanted) => {
      if (held === wanted) return;
      held = wanted;
      if (wanted) this.#begin();
      else this.#end();
    });
    this.client.once("close", stream.lost);
    stream.once("close", () => this.client.off("close", stream.lost));
    return stream;
  }

  /** Ends the session and whatever carries it. */
  async close(): Promise<void> {
    if (!this.#closed) {
      const closed = new Promise<void>((resolve) => this.client.once("close", () => resolve()));
      this.client.end();
      const grace = new AbortController();
      await Promise.race([
        closed,
        sleep(closeGrace, undefined, { signal: grace.signal }).catch(() => undefined),
      ]);
      grace.abort();
    }
    this.client.destroy();
    await destroyed(this.stream);
  }

  #collect(channel: ClientChannel, input: Buffer | string, timeout: number): Promise<ExecResult> {
    return new Promise((resolve, reject) => {
      const output = { stdout: "", stderr: "" };
      let code: number | undefined;
      let exited = false;
      const giveUp = (problem: Omit<Problem, "subject">): void => {
        clearTimeout(timer);
        channel.removeAllListeners("data");
        channel.close();
        reject(new UserError({ subject: subjectOf(this.endpoint), ...problem }));
      };
      const timer = setTimeout(
        () =>
          giveUp({
            code: "ssh-exec-timeout",
            seen: `the command did not end in ${timeout / 1000} s`,
            remedy: "What began on the node goes on there; look at the node's load, then run again",
          }),
        timeout,
      );
      const collect = (name: keyof typeof output) => (text: string) => {
        output[name] += text;
        if (output[name].length <= outputLimit) return;
        giveUp({
          code: "ssh-output",
          seen: "the command printed more than it ever should",
          remedy: "Check what the login shell of this user prints on the node",
        });
      };
      channel.setEncoding("utf8").on("data", collect("stdout"));
      channel.stderr.setEncoding("utf8").on("data", collect("stderr"));
      channel.on("exit", (exitCode: number | null) => {
        code = exitCode ?? undefined;
        exited = true;
      });
      channel.on("error", () => undefined);
      channel.on("close", () => {
        clearTimeout(timer);
        if (exited) resolve({ code, ...output });
        else reject(this.#lost("the connection ended while a command was running"));
      });
      channel.end(input);
    });
  }

  #lost(seen: string): UserError {
    return new UserError({
      code: "ssh-lost",
      subject: subjectOf(this.endpoint),
      seen,
      remedy: "What began on the node is finished there; run again",
    });
  }
}

/** sshd says why it could not connect in the words of the system; that it must not has a code of its own (RFC 4254, 5.1). */
function forwardingError(error: (Error & { reason?: unknown }) | undefined): DialError {
  const said = (error?.message ?? "").replace(/^\(SSH\) Channel open failure: /, "");
  if (error?.reason === 1) return new DialError("forwarding-refused", said);
  return new DialError(classifyNode(said) ?? "unreachable", said);
}

async function destroyed(stream: Duplex): Promise<void> {
  if (stream.closed) return;
  const closed = new Promise<void>((resolve) => stream.once("close", () => resolve()));
  stream.destroy();
  await closed;
}

function authentication({ user, credentials }: Endpoint): AnyAuthMethod[] {
  if (credentials.kind === "key") return [{ type: "publickey", username: user, key: credentials.privateKey }];
  if (credentials.kind === "agent") return [{ type: "agent", username: user, agent: credentials.socket }];
  const { password } = credentials;
  return [
    { type: "password", username: user, password },
    {
      // How sshd asks for a password where PAM does the asking.
      type: "keyboard-interactive",
      username: user,
      prompt: (_name, _instructions, _language, prompts, answer) =>
        answer(prompts.map(({ echo }) => (echo === true ? "" : password))),
    },
  ];
}

async function attempt(
  endpoint: Endpoint,
  timeout: number,
  algorithms: readonly ServerHostKeyAlgorithm[],
  onHostKey: (key: Buffer) => boolean,
  liveness: number,
): Promise<Session> {
  const shown: { key?: string; accepted: boolean } = { accepted: true };
  const stream = await endpoint.transport
    .connect(endpoint.address, endpoint.port, timeout)
    .catch((error: unknown) => {
      throw asAttemptError(error as Error);
    });
  const client = new Client();
  try {
    await new Promise<void>((resolve, reject) => {
      client.once("ready", resolve);
      // More than one error may come; the first one counts.
      client.on("error", reject);
      client.once("close", () => reject(new AttemptError("lost", "the connection was closed")));
      client.connect({
        sock: stream,
        username: endpoint.user,
        readyTimeout: timeout,
        algorithms: { serverHostKey: [...algorithms] },
        hostVerifier: (key: Buffer) => {
          shown.key = fingerprint(key);
          shown.accepted = onHostKey(key);
          return shown.accepted;
        },
        authHandler: authentication(endpoint),
      });
    });
    if (shown.key === undefined) throw new AttemptError("handshake", "no host key was shown");
    return new Session(client, stream, endpoint, shown.key, liveness);
  } catch (error) {
    stream.on("error", () => undefined);
    client.destroy();
    await destroyed(stream);
    if (!shown.accepted) throw new AttemptError("host-key", shown.key ?? "");
    throw asAttemptError(error as Error);
  }
}

/** A {@link UserError} is of the way to the node, and says all that there is to say. */
function asAttemptError(error: Error & { level?: string; code?: string }): AttemptError | UserError {
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

/**
 * Logs in to a node. Failures that may pass by themselves are tried again, more slowly each time; a refused key and a
 * changed host key never are. Where the pinned key is of another type than the one shown first, the node is asked for
 * its other keys.
 *
 * @throws UserError with one of the codes `ssh-timeout`, `ssh-refused`, `ssh-unreachable`, `ssh-lost`, `ssh-auth`,
 * `ssh-handshake`, `host-key-changed`, `relay-…`, and of the API server `login-expired`, `no-rights`, `cluster-certificate`, `cluster-unreachable`.
 */
export async function connect(endpoint: Endpoint, options: ConnectOptions = {}): Promise<Session> {
  const { attemptTimeout, attempts, patience, delay, liveness } = { ...connectDefaults, ...options };
  let left = patience;
  const rejected = new Map<string, string>();
  const verify = (key: Buffer): boolean => {
    const accepted = endpoint.hostKey === undefined || endpoint.hostKey === fingerprint(key);
    if (!accepted) rejected.set(keyType(key), fingerprint(key));
    return accepted;
  };
  for (let tried = 1; ;) {
    const wanted = Object.entries(hostKeyAlgorithms).flatMap(([type, names]) =>
      rejected.has(type) ? [] : names,
    );
    try {
      return await endpoint.transport.dials(async () => {
        const begun = performance.now();
        try {
          return await attempt(endpoint, Math.min(attemptTimeout, left), wanted, verify, liveness);
        } finally {
          left -= performance.now() - begun;
        }
      });
    } catch (error) {
      if (!(error instanceof AttemptError)) throw error;
      if (error.reason === "host-key" && rejected.size < Object.keys(hostKeyAlgorithms).length) continue;
      // With all keys that the node has rejected, there is none left to agree upon.
      if (error.reason === "host-key" || (error.reason === "handshake" && rejected.size > 0)) {
        throw hostKeyChanged(endpoint, [...rejected.values()]);
      }
      const pause = backoff(delay, tried);
      left -= pause;
      if (!passing.has(error.reason) || tried >= attempts || left < leastAttempt) {
        throw explain(endpoint, error, tried);
      }
      rejected.clear();
      await sleep(pause);
      tried += 1;
    }
  }
}

function hostKeyChanged(endpoint: Endpoint, shown: readonly string[]): UserError {
  return explain(
    endpoint,
    new AttemptError(
      "host-key",
      `its host key was to be ${endpoint.hostKey ?? ""}, and is ${shown.join(", ")}`,
    ),
    1,
  );
}
