/**
 * The process that serves the removals of a run. It has one kubeconfig, one way to the nodes and one session a node for
 * all of them, and ends by itself when nobody has called for a while. It decides nothing that a command would not decide
 * by itself: each comes with its own words and variables.
 */
import { lstatSync, readdirSync, rmSync, rmdirSync } from "node:fs";
import { Server, type Socket } from "node:net";
import { isDeepStrictEqual } from "node:util";
import { isServed, shortestPath, unlessGone } from "../../nodes/service/privateFolder";
import { UserError } from "../../support/errors";
import { defectText } from "../../support/secrets";
import { type RemovalCommand, ca } from "../nodeCommands";
import { checkForRemoval } from "../removalCheck";
import { Sessions } from "../sessions";
import { type Call, onMessages, send } from "./messages";
import { surroundings } from "./place";

const commands: Readonly<Record<string, RemovalCommand>> = {
  "v1 ca": ca,
  "v1 check-removal": checkForRemoval,
};

/** Seconds without a call after which it ends. The engine deletes other resources between two of ours. */
const idle = 5;
/** Milliseconds for those to arrive that found the socket just before it was taken away. */
const farewell = 200;

/** Where it was told to serve. */
interface Place {
  readonly folder: string;
  readonly place: string;
  /** The stack's. */
  readonly id: string;
}

/** What several commands share at a time. */
interface Lent {
  readonly sessions: Sessions;
  users: number;
}

class RemovalServer {
  readonly #surroundings: object;
  readonly #file: string;
  readonly #inode: number | undefined;
  readonly #connections = new Set<Socket>();
  #lent: Lent | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Whether the last removal of all, the sweep, is done. */
  #done = false;

  constructor(
    private readonly listener: Server,
    private readonly place: Place,
  ) {
    this.#surroundings = surroundings(place.id);
    this.#file = shortestPath(place.folder, place.place);
    this.#inode = this.#inodeNow();
    listener.on("connection", (socket) => this.#take(socket));
    this.#wait();
    process.once("exit", this.#clear);
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.once(signal, () => process.exit());
  }

  #inodeNow(): number | undefined {
    return lstatSync(this.#file, { throwIfNoEntry: false })?.ino;
  }

  #take(socket: Socket): void {
    clearTimeout(this.#timer);
    this.#connections.add(socket);
    const gone = new AbortController();
    socket.on("error", () => undefined); // "close" comes after it
    socket.on("close", () => {
      gone.abort();
      this.#connections.delete(socket);
      this.#wait();
    });
    send(socket, { kind: "ready" });
    onMessages(socket, (call) => void this.#answer(socket, call as Call, gone.signal));
  }

  async #answer(socket: Socket, call: Call, signal: AbortSignal): Promise<void> {
    const log = (line: string): void => send(socket, { kind: "log", line });
    try {
      if (!isDeepStrictEqual(call.surroundings, this.#surroundings)) {
        send(socket, { kind: "refused" });
        return;
      }
      const stdout = await this.#run(call, log, signal);
      send(socket, { kind: "end", code: 0, stdout });
    } catch (error) {
      log(error instanceof UserError ? error.message : defectText(error));
      send(socket, { kind: "end", code: 1, stdout: "" });
    }
  }

  async #run({ words, own }: Call, log: (line: string) => void, signal: AbortSignal): Promise<string> {
    const [version, name, ...args] = words;
    const command = commands[`${version} ${name}`]!;
    const lent = (this.#lent ??= { sessions: new Sessions(), users: 0 });
    lent.users += 1;
    try {
      const { sessions } = lent;
      const stdout = await command(args, { environment: own, sessions, log, signal });
      this.#done = args.includes("sweep");
      return stdout;
    } catch (error) {
      // The operator may put right what failed: the next command reads and opens everything anew.
      if (this.#lent === lent && !signal.aborted) this.#lent = undefined;
      throw error;
    } finally {
      lent.users -= 1;
      if (this.#lent !== lent && lent.users === 0) lent.sessions.close().catch(() => undefined);
    }
  }

  /** Ends the process if nobody calls. */
  #wait(): void {
    clearTimeout(this.#timer);
    if (this.#connections.size > 0) return;
    this.#timer = setTimeout(() => this.#leave(), this.#done ? 0 : idle * 1000);
  }

  #leave(): void {
    this.#clear();
    this.#done = true; // whoever has found it still is served, and then it ends
    this.#timer = setTimeout(() => {
      // Its socket's number may become another one's as soon as it is closed.
      process.off("exit", this.#clear);
      this.listener.close();
      const closed = this.#lent?.sessions.close() ?? Promise.resolve();
      closed.catch(() => undefined).finally(() => process.exit());
    }, farewell);
  }

  /** Takes its socket away. Another process's may be there by now. */
  readonly #clear = (): void => {
    unlessGone(() => {
      if (this.#inode !== undefined && this.#inodeNow() === this.#inode) rmSync(this.#file, { force: true });
      rmdirSync(this.place.folder);
    });
  };
}

/** `v1 serve-removals`: is given its socket by the command that started it. */
export function serveRemovals(): Promise<void> {
  return new Promise((_, reject) => {
    process.once("disconnect", () => reject(new Error("it was given no socket")));
    process.once("message", (place: Place, listener: unknown) => {
      process.removeAllListeners("disconnect");
      process.disconnect();
      if (!(listener instanceof Server)) {
        reject(new Error("it was given no socket"));
        return;
      }
      void clearLeftovers(place.folder);
      new RemovalServer(listener, place);
    });
  });
}

/** What commands were making when they were killed. */
async function clearLeftovers(folder: string): Promise<void> {
  const names = readdirSync(folder).filter((name) => /^s\d+$/.test(name));
  for (const name of names) {
    const file = shortestPath(folder, name);
    if (!(await isServed(file))) rmSync(file, { force: true });
  }
}
