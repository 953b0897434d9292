import { readFileSync } from "node:fs";
import { exec } from "./exec";

/** Mount points in or below a folder, the deepest first, from the text of `/proc/self/mountinfo`. */
export function mountsBelow(mountinfo: string, folder: string): string[] {
  return mountinfo
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .map((field) =>
      field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8))),
    )
    .filter((place) => place === folder || place.startsWith(`${folder}/`))
    .reverse();
}

/** Unmounts everything that is mounted in or below a folder. */
export async function unmountBelow(folder: string): Promise<void> {
  for (const place of mountsBelow(readFileSync("/proc/self/mountinfo", "utf8"), folder)) {
    await exec("umount", ["--lazy", place], { allowFailure: true }); // one may have gone with another
  }
}
