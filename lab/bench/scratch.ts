import { mkdirSync } from "node:fs";
import * as path from "node:path";
import { replaceFile } from "../wholeFiles";
import { runFolder } from "../paths";

/** A folder for what clients of the benchmark read and write; gone with the lab. */
export function scratchFolder(): string {
  const folder = path.join(runFolder, "bench");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return folder;
}

/** Writes a file that only root may read. */
export function scratchFile(name: string, content: string): string {
  const file = path.join(scratchFolder(), name);
  replaceFile(file, content);
  return file;
}
