/**
 * Reads the files that settings and options name.
 * It never waits for a file that has no end, and no message has a file's content.
 */
import { constants, type Stats } from "node:fs";
import { open } from "node:fs/promises";
import { homedir } from "node:os";
import * as path from "node:path";
import { UserError } from "./errors";
import { supportProblem } from "./problems";

/** Replaces a leading `~/` by the home directory: no shell has done so in a setting. */
export function expandHome(file: string): string {
  return file === "~" || file.startsWith("~/") ? path.join(homedir(), file.slice(1)) : file;
}

const reasons: Record<string, string> = {
  ENOENT: "does not exist",
  ENOTDIR: "does not exist: a part of its path is not a folder",
  EISDIR: "is a folder",
  EACCES: "may not be read by this user",
  ELOOP: "is a symbolic link that leads back to itself",
  ENXIO: "is a socket or a device, not a regular file",
};

/** Says what it is if it is no regular file: a pipe or a device may have no end. */
function whatElse(stats: Stats): string | undefined {
  if (stats.isFile()) return undefined;
  if (stats.isDirectory()) return reasons["EISDIR"];
  return `is a ${stats.isFIFO() ? "pipe" : "device or socket"}, not a regular file`;
}

/**
 * Reads a file that a setting names.
 *
 * @param file - Relative paths are taken from the working directory; `~/` is the home directory.
 * @throws UserError (`file-unreadable`, `file-too-large`) that names `subject` and the path, never the content.
 */
export async function readOperatorFile(
  file: string,
  options: { subject: string; maxBytes: number },
): Promise<Buffer> {
  const { subject, maxBytes } = options;
  const absolute = path.resolve(expandHome(file));
  const unreadable = (what: string): UserError =>
    supportProblem.error("file-unreadable", { subject, seen: `the file ${absolute} ${what}` });
  try {
    // Without O_NONBLOCK, open() waits for ever on a pipe that has no writer.
    const handle = await open(absolute, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const what = whatElse(await handle.stat());
      if (what !== undefined) throw unreadable(what);
      const buffer = Buffer.alloc(maxBytes + 1);
      let length = 0;
      for (;;) {
        const { bytesRead } = await handle.read(buffer, length, buffer.length - length);
        length += bytesRead;
        if (bytesRead === 0 || length === buffer.length) break;
      }
      if (length <= maxBytes) return buffer.subarray(0, length);
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof UserError) throw error;
    const { code = "" } = error as NodeJS.ErrnoException;
    throw unreadable(reasons[code] ?? `cannot be read (${code})`);
  }
  throw supportProblem.error("file-too-large", {
    subject,
    seen: `the file ${absolute} is larger than ${maxBytes} bytes`,
  });
}
