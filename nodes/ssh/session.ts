/**
 * An SSH session that is logged in: commands, forwarded connections, liveness, closing.
 * It never logs in, and never opens another session where this one is lost.
 */
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { Client, ClientChannel } from "ssh2";
import { UserError } from "../../support/errors";
import { DialError } from "../routes/transport";
import { type SshEndpoint, subjectOf } from "./endpoint";
import { ForwardedStream, forwardingError } from "./forwarding";
import { sshProblem } from "./problems";

export interface ExecOptions {
  /** Sent to the command's stdin, which is then closed. */
  readonly input?: Buffer | string;
  /** Milliseconds. Default 60 s. The command goes on running on the node. */
  readonly timeout?: number;
}

export interface ExecResult {
  /** `undefined` when the command was ended by a signal. */
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

const outputLimit = 64 * 1024;
const closeTimeout = 3000;

/** A stream that need not keep its process alive. */
interface Unrefable {
  ref?(): void;
  unref?(): void;
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
    private readonly endpoint: SshEndpoint,
    /** The fingerprint that the node showed, `SHA256:…`: the pin for next time. */
    readonly hostKey: string,
    private readonly liveness: number,
  ) {
    // The running commands report the lost connection.
    client.on("error", () => undefined);
    client.on("close", () => {
      this.#closed = true;
      clearInterval(this.#liveness);
    });
    stream.unref?.();
  }

  /** Who is logged in. */
  get user(): string {
    return this.endpoint.user;
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
    // ssh2's own keepalive timer cannot be unreferenced. A request to cancel a forwarding that does not exist changes
    // nothing on the server, and any answer shows that the server is alive.
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
        // Output may arrive together with the answer to `exec`, so the listeners are attached in the callback.
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
   * Opens a forwarded connection to a port. Like a running command, the stream keeps the process alive until `unref`.
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
            resolve(this.#forwarded(channel));
          },
        );
      } catch (error) {
        fail(new DialError("lost", (error as Error).message));
      }
    });
  }

  #forwarded(channel: ClientChannel): Duplex {
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
        sleep(closeTimeout, undefined, { signal: grace.signal }).catch(() => undefined),
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
      const giveUp = (code: "ssh-exec-timeout" | "ssh-output", seen: string): void => {
        clearTimeout(timer);
        channel.removeAllListeners("data");
        channel.close();
        reject(sshProblem.error(code, { subject: subjectOf(this.endpoint), seen }));
      };
      const timer = setTimeout(
        () => giveUp("ssh-exec-timeout", `the command did not end in ${timeout / 1000} s`),
        timeout,
      );
      const collect = (name: keyof typeof output) => (text: string) => {
        output[name] += text;
        if (output[name].length <= outputLimit) return;
        giveUp("ssh-output", "the command printed more than it ever should");
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
    return sshProblem.error("ssh-lost", { subject: subjectOf(this.endpoint), seen }, "command");
  }
}

/** Destroys a stream, and waits until it is closed. */
export async function destroyed(stream: Duplex): Promise<void> {
  if (stream.closed) return;
  const closed = new Promise<void>((resolve) => stream.once("close", () => resolve()));
  stream.destroy();
  await closed;
}
