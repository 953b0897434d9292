/** Files that one process writes while another may read them: they are there whole, or as they were before. */
import {
  chmodSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import * as path from "node:path";

/** The file's text; undefined where there is none, or none any more. */
export function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Writes beside a file what is to become it, and gives it to `put`. */
function aside<T>(file: string, content: string, mode: number, put: (written: string) => T): T {
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  const written = `${file}.${process.pid}.new`;
  try {
    writeFileSync(written, content, { mode });
    chmodSync(written, mode); // whatever the umask is, and whatever a killed process of this id left
    return put(written);
  } finally {
    rmSync(written, { force: true });
  }
}

/** Writes a file, unless it is so already. By default only its owner may read it. */
export function replaceFile(file: string, content: string, mode = 0o600): void {
  if (readIfThere(file) === content && (statSync(file).mode & 0o777) === mode) return;
  aside(file, content, mode, (written) => renameSync(written, file));
}

/** Writes a file unless there is one, whoever else tries to at the same time; says whether it did. */
export function createFile(file: string, content: string, mode = 0o600): boolean {
  return aside(file, content, mode, (written) => {
    try {
      linkSync(written, file);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
      throw error;
    }
  });
}

/** What {@link replaceFile} is, as a program of a machine that has the content as its input. */
export function replacingProgram(file: string, mode = 0o644): string[] {
  const script = 'aside=$1.$$.new; cat >"$aside"; chmod "$2" "$aside"; mv "$aside" "$1"';
  return ["sh", "-euc", script, "sh", file, mode.toString(8)];
}
