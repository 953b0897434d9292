import { mkdir, mkdtemp, realpath, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";

/** A project's folder as all that is recorded has it: with `sub/file`. */
export async function makeRecordedFolder(): Promise<string> {
  const folder = await realpath(await mkdtemp(path.join(tmpdir(), "tkc-registry-record-")));
  await mkdir(path.join(folder, "sub"));
  await writeFile(path.join(folder, "sub", "file"), "");
  return folder;
}
