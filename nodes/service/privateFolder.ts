/**
 * Folders with sockets that only this user's processes can reach.
 * It loads nothing beside Node.js's own modules and the problems: a command that has to be quick uses it.
 */
import { chmodSync, lstatSync, mkdirSync } from "node:fs";
import { createConnection } from "node:net";
import * as path from "node:path";
import { UserError } from "../../support/errors";
import { nodeProblem } from "../problems";

/** The limit for a socket's path on Linux and macOS. */
const socketPathLimit = 103;

/** Creates a folder for this user only. Refuses one that belongs to another user. */
export function makePrivateFolder(folder: string): void {
  const refuse = (seen: string): never => {
    throw nodeProblem.error("service-folder", { subject: folder, seen }, "shared");
  };
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const found = lstatSync(folder);
    if (!found.isDirectory()) refuse("it is not a folder");
    if (found.uid !== process.geteuid?.()) refuse("it belongs to another user");
    chmodSync(folder, 0o700);
  } catch (error) {
    if (error instanceof UserError) throw error;
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return; // a program that ends takes it away; tried again
    refuse(`it cannot be used: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
}

/** The shorter of a file's absolute and relative path: a socket's path is limited in bytes. */
export function shortestPath(folder: string, name: string): string {
  const absolute = path.resolve(folder, name);
  const relative = path.relative(process.cwd(), absolute);
  return Buffer.byteLength(relative) < Buffer.byteLength(absolute) ? relative : absolute;
}

/**
 * The path of a socket.
 *
 * @throws UserError `service-folder` where it is too long. The kernel would cut it off, and it may then be in another folder.
 */
export function socketPath(folder: string, name: string): string {
  const socket = shortestPath(folder, name);
  if (Buffer.byteLength(socket) <= socketPathLimit) return socket;
  throw nodeProblem.error(
    "service-folder",
    { subject: folder, seen: `its path is too long for a socket (${socketPathLimit} bytes)` },
    "path",
  );
}

/** Whether a program listens at a socket: a killed one leaves the file behind. Its queue may be full. */
export function isServed(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = createConnection(socket);
    connection.on("error", ({ code }: NodeJS.ErrnoException) =>
      resolve(code !== "ECONNREFUSED" && code !== "ENOENT"),
    );
    connection.on("connect", () => {
      connection.destroy();
      resolve(true);
    });
  });
}

/** Does what fails where another program has done it, or has left something there. */
export function unlessGone(act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!["ENOENT", "ENOTEMPTY", "EEXIST"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
  }
}
