/** The peers that are Python programs, in an environment of the benchmark's own. */
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import * as path from "node:path";
import { CommandError, exec } from "../exec";
import { makeLabFolder, toolsFolder } from "../paths";
import { step } from "../progress";
import { labProblem } from "../problems";

/** Which release of each peer is measured. */
export const pythonPeers = { "ansible-core": "2.19.14", pyinfra: "3.10.0" } as const;

/** The Debian packages that the benchmark needs on this machine beside the lab's. */
export const benchPackages = ["openssh-client", "python3", "python3-venv"] as const;

/** The peers that are Python programs. */
const programs = ["ansible", "pyinfra"];

const prefix = "bench-python-";
const folder = path.join(toolsFolder, `${prefix}${Object.entries(pythonPeers).flat().join("-")}`);

/** The path of one of the peers' programs. */
export const pythonProgram = (name: "ansible-playbook" | "pyinfra"): string => path.join(folder, "bin", name);

/**
 * Installs the peers that are Python programs by pip, from whatever index it is set up with, unless they are there.
 *
 * @param wanted - Peers by name; where none of them is such a program, there is nothing to do.
 * @throws UserError when they can't be installed.
 */
export async function ensurePythonPeers(wanted: readonly string[]): Promise<void> {
  const ready = path.join(folder, "ready");
  if (existsSync(ready) || !wanted.some((name) => programs.includes(name))) return;
  makeLabFolder();
  mkdirSync(toolsFolder, { recursive: true });
  const requirements = Object.entries(pythonPeers).map(([name, version]) => `${name}==${version}`);
  await step(`installing ${requirements.join(" and ")}`, async (report) => {
    for (const other of readdirSync(toolsFolder).filter((name) => name.startsWith(prefix)))
      await rm(path.join(toolsFolder, other), { recursive: true });
    await exec("python3", ["-m", "venv", folder], { onLine: report });
    const pip = ["-m", "pip", "--disable-pip-version-check", "install", "--only-binary=:all:"];
    await exec(path.join(folder, "bin", "python3"), [...pip, ...requirements], { onLine: report });
    await writeFile(ready, "");
  }).catch((error: unknown) => {
    if (!(error instanceof CommandError)) throw error;
    throw labProblem.error("bench-peers-missing", {
      subject: requirements.join(", "),
      seen: `they could not be installed: ${error.message}`,
    });
  });
}
