/** What shells read. */
import * as path from "node:path";

/** A word as a shell reads it, whatever is in it. */
export function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/**
 * A PATH without what npm put there to run a script, and with each folder once: npm adds `node_modules/.bin` of the
 * project and of each folder above it, and then a folder of its own.
 */
export function pathWithoutNpm(PATH: string): string {
  const folders = PATH.split(path.delimiter);
  const npmOwn = path.join("@npmcli", "run-script", "lib", "node-gyp-bin");
  for (;;) {
    const last = folders.findIndex((folder) => folder.endsWith(npmOwn));
    if (last < 0) return [...new Set(folders)].join(path.delimiter);
    let first = last;
    while (folders[first - 1]?.endsWith(path.join("node_modules", ".bin")) === true) first--;
    folders.splice(first, last - first + 1);
  }
}

/** The commands that make a shell's environment, which is this process's but for what npm added, another one. */
export function environmentCommands(to: NodeJS.ProcessEnv, from: NodeJS.ProcessEnv): readonly string[] {
  return [...new Set([...Object.keys(to), ...Object.keys(from)])]
    .filter((name) => to[name] !== from[name])
    .map((name) => {
      const value = to[name];
      if (value === undefined) return `unset ${name}`;
      return `export ${name}=${quote(name === "PATH" ? pathWithoutNpm(value) : value)}`;
    });
}
