import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, statSync } from "node:fs";
import * as path from "node:path";

export const projectRoot = path.dirname(__dirname);
/** Everything that the lab writes, git-ignored. */
export const labFolder = path.join(__dirname, ".lab");
/** Tells what this folder's lab has elsewhere on the machine from what another clone's has. */
export const labName = `tkc-lab-${createHash("sha256").update(labFolder).digest("hex").slice(0, 8)}`;
/** Binaries that the lab built; survives `down`, as building takes minutes. */
export const toolsFolder = path.join(labFolder, "tools");
/** What belongs to the running lab: container storage, keys, kubeconfigs, state; gone after `down`. */
export const runFolder = path.join(labFolder, "run");

/** Makes {@link labFolder}: for its owner only, as keys and passwords are in it. */
export function makeLabFolder(): void {
  mkdirSync(labFolder, { recursive: true, mode: 0o700 });
  if ((statSync(labFolder).mode & 0o777) !== 0o700) chmodSync(labFolder, 0o700);
}
