/**
 * What a removal's command and the process that serves it say to each other: JSON, one message a line. The server speaks
 * first. Only then does the command send anything, so that of a server that does not get to it nothing is ever done.
 */
import type { Socket } from "node:net";

/** A command. */
export interface Call {
  readonly words: readonly string[];
  /** The variables that are its own. */
  readonly own: Readonly<Record<string, string | undefined>>;
  /** What is to be the same as the server's. */
  readonly surroundings: object;
}

export type Message =
  | { readonly kind: "ready" }
  /** The server has other surroundings. */
  | { readonly kind: "refused" }
  /** A line for people. */
  | { readonly kind: "log"; readonly line: string }
  /** The command's end. */
  | { readonly kind: "end"; readonly code: number; readonly stdout: string };

export function send(socket: Socket, message: Message | Call): void {
  if (socket.writable) socket.write(`${JSON.stringify(message)}\n`);
}

/** Gives each message that comes. Whoever sends something else is hung up on. */
export function onMessages(socket: Socket, take: (message: unknown) => void): void {
  let rest = "";
  socket.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      try {
        take(JSON.parse(line));
      } catch {
        socket.destroy();
      }
    }
  });
}
