/**
 * Has another process do what a removal's command is to do: `destroy` starts a command for each node, and to load
 * everything and log in anew for each costs more than all the work on the node. The first command starts that process.
 * It loads nothing beside Node.js's own modules and the problems.
 */
import { spawn } from "node:child_process";
import { chmodSync, linkSync, lstatSync, rmSync } from "node:fs";
import { type Socket, createConnection, createServer } from "node:net";
import * as path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makePrivateFolder, socketPath } from "../../nodes/service/privateFolder";
import { childEnvironment } from "../../support/childEnvironment";
import { type Call, type Message, onMessages, send } from "./messages";
import { ambientVariables, ownVariables, places, removalsFolder, surroundings } from "./place";

/** What came of a call. One that is not taken is to be tried again, and of one that is cut off nobody knows the end. */
type Outcome = "refused" | "not-taken" | "cut-off" | { readonly code: number; readonly stdout: string };

/** Milliseconds for a server to be there: one that has just been started loads everything first. */
const patience = 30_000;
/** How often a command looks for a server at a place where one starts or ends just then. */
const attempts = 5;

/** This command's variables, but the stack's secrets, which no removal needs. */
const variables = childEnvironment();

/** What a process listens at until it has a place. */
const ownName = `s${process.pid}`;

/** Whether a command of the state is one of a removal. */
export const isRemoval = ([version, name, verb]: readonly string[]): boolean =>
  version === "v1" &&
  (name === "check-removal" || (name === "ca" && (verb === "remove" || verb === "sweep")));

/**
 * Has the process that serves this run's removals run a command, and prints what it says. Starts that process where
 * there is none.
 *
 * @returns The exit code; `undefined` where this process has to do the work itself.
 */
export async function borrow(words: readonly string[]): Promise<number | undefined> {
  const id = process.env["TKC_REGISTRY_ID"];
  const folder = removalsFolder(process.env);
  if (folder === undefined) return undefined;
  try {
    const call = { words, own: ownVariables(variables), surroundings: surroundings(id, variables) };
    for (const place of places) {
      const outcome = await callAt(folder, place, call);
      if (outcome === "refused") continue;
      if (typeof outcome === "string") return undefined;
      process.stdout.write(outcome.stdout);
      return outcome.code;
    }
  } catch {
    // Whatever is wrong with the folder or the process is in nobody's way.
  }
  return undefined;
}

async function callAt(folder: string, place: string, call: Call): Promise<Outcome> {
  socketPath(folder, ownName); // before a folder is made for nothing
  for (let attempt = 1; attempt <= attempts; attempt += 1) {
    makePrivateFolder(folder);
    const socket = await connected(folder, place);
    const outcome = socket ? await converse(socket, call) : "not-taken";
    if (outcome !== "not-taken") return outcome;
    if (!socket) await startServer(folder, place, call.own["TKC_REGISTRY_ID"]!);
    else await sleep(20 * attempt); // one that ends, or has just been made
  }
  return "not-taken";
}

/** @returns `undefined` where nobody listens; what a killed process left is taken away. */
async function connected(folder: string, place: string): Promise<Socket | undefined> {
  const file = socketPath(folder, place);
  const before = lstatSync(file, { throwIfNoEntry: false });
  if (!before) return undefined;
  const socket = createConnection(file);
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve).once("error", reject);
    });
    socket.on("error", () => undefined); // "close" comes after it
    return socket;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ECONNREFUSED" && code !== "ENOENT") throw error;
    const now = lstatSync(file, { throwIfNoEntry: false });
    // Another command may have put a new one there meanwhile.
    if (now?.ino === before.ino && now.ctimeMs === before.ctimeMs) rmSync(file, { force: true });
    return undefined;
  }
}

/** Calls a server that listens. */
function converse(socket: Socket, call: Call): Promise<Outcome> {
  return new Promise((resolve) => {
    let taken = false;
    const end = (outcome: Outcome): void => {
      resolve(outcome);
      socket.destroy();
    };
    const timer = setTimeout(() => end("cut-off"), patience);
    socket.on("close", () => {
      clearTimeout(timer);
      resolve(taken ? "cut-off" : "not-taken");
    });
    onMessages(socket, (each) => {
      const message = each as Message;
      switch (message.kind) {
        case "ready":
          clearTimeout(timer);
          taken = true;
          send(socket, call);
          break;
        case "refused":
          end("refused");
          break;
        case "log":
          process.stderr.write(`${message.line}\n`);
          break;
        case "end":
          end(message);
      }
    });
  });
}

/**
 * Starts a server at a place where there is none; of several commands that try it, one does. It listens already, so that
 * calls queue while the server starts, and are cut off if it fails.
 */
async function startServer(folder: string, place: string, id: string): Promise<void> {
  const own = socketPath(folder, ownName);
  const listener = createServer((socket) => socket.destroy()); // not this process's to answer
  await new Promise<void>((resolve, reject) => {
    listener.once("error", reject).listen(own, resolve);
  });
  const file = socketPath(folder, place);
  try {
    chmodSync(own, 0o600);
    linkSync(own, file);
    try {
      await handOver();
    } catch (error) {
      rmSync(file, { force: true });
      throw error;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error; // another command was faster
  } finally {
    listener.close(); // takes `own` away
  }

  function handOver(): Promise<void> {
    const script = `require(${JSON.stringify(path.join(__dirname, "run.js"))})`;
    const server = spawn(process.execPath, ["-e", script, "v1", "serve-removals"], {
      detached: true, // it outlives this command, and signals to the command's group are not for it
      stdio: ["ignore", "ignore", "ignore", "ipc"], // the engine waits until all have closed its pipes
      env: ambientVariables(variables),
    });
    server.unref();
    server.channel?.unref();
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.send({ folder, place, id }, listener, (error) => {
        if (error) reject(error);
        else resolve();
      });
    });
  }
}
