/**
 * A TCP connection that an SSH server forwards, as a stream.
 * It never opens the channel; the session does.
 */
import { Duplex } from "node:stream";
import type { ClientChannel } from "ssh2";
import { DialError, classifyNode } from "../routes/transport";

/** An SSH channel as a stream that ends and closes as a socket does, and that can be unreferenced. */
export class ForwardedStream extends Duplex {
  #over = false;

  constructor(
    private readonly channel: ClientChannel,
    /** Called with whether the stream keeps the session, and so the process, alive. */
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

  /** Destroys the stream when the far end or the session closes. */
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

/** sshd quotes the system's error where it could not connect; a refusal has a code of its own (RFC 4254, 5.1). */
export function forwardingError(error: (Error & { reason?: unknown }) | undefined): DialError {
  const said = (error?.message ?? "").replace(/^\(SSH\) Channel open failure: /, "");
  if (error?.reason === 1) return new DialError("forwarding-refused", said);
  return new DialError(classifyNode(said) ?? "unreachable", said);
}
