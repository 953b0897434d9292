/**
 * The shell scripts of this folder as they are packaged: what runs on nodes, and what carries it there.
 * It never runs them, and never fills anything into their text.
 */
import { readFileSync, readdirSync } from "node:fs";
import * as path from "node:path";
import { packageRoot } from "../../support/build";

const folder = path.join(packageRoot, "nodes", "script");

/** The text of the script for nodes: its parts in the order of their numbers, an empty line between two. */
export function assembleNodeScript(): string {
  return readdirSync(path.join(folder, "node"))
    .filter((name) => /^\d\d-.*\.sh$/.test(name))
    .sort()
    .map((name) => readFileSync(path.join(folder, "node", name), "utf8"))
    .join("\n");
}

const shells = new Map<string, string>();

/** A script's text without its comment lines. */
export function packagedShell(name: string): string {
  let text = shells.get(name);
  if (text === undefined) {
    text = readFileSync(path.join(folder, name), "utf8").replace(/^ *#.*\n/gm, "");
    shells.set(name, text);
  }
  return text;
}
