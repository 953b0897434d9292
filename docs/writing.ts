/** How `npm run docs` writes files. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import { packageRoot } from "../support/build";

/** Writes a file if it is not as it is to be, and says which of the two it was. */
export function writeAnew(file: string, text: string): void {
  const changed = !existsSync(file) || readFileSync(file, "utf8") !== text;
  if (changed) writeFileSync(file, text);
  const name = path.relative(packageRoot, file);
  process.stdout.write(`${name} ${changed ? "was written anew" : "is as it should be"}\n`);
}
