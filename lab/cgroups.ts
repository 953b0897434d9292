import { existsSync, readFileSync, readdirSync, rmdirSync } from "node:fs";
import * as path from "node:path";
import { cgroupParent } from "./podman";

const root = "/sys/fs/cgroup";

/** The folders of the lab's cgroup: one where there is one hierarchy (v2), many where each controller has its own. */
function labCgroups(): string[] {
  const hierarchies = [
    "",
    ...readdirSync(root, { withFileTypes: true }).flatMap((e) => (e.isDirectory() ? [e.name] : [])),
  ];
  return hierarchies
    .map((name) => path.join(root, name, cgroupParent))
    .filter((folder) => existsSync(folder));
}

/** What is read of a cgroup; undefined where it has gone meanwhile, which one does with its last process. */
function unlessGone<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (["ENOENT", "ENODEV"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}

function below(folder: string): string[] {
  const entries = unlessGone(() => readdirSync(folder, { withFileTypes: true })) ?? [];
  const children = entries.filter((entry) => entry.isDirectory());
  return [...children.flatMap(({ name }) => below(path.join(folder, name))), folder];
}

/** Every process of this folder's machines, whatever the container engine knows of them. */
export function labProcesses(): number[] {
  const pids = labCgroups()
    .flatMap(below)
    .flatMap((folder) =>
      (unlessGone(() => readFileSync(path.join(folder, "cgroup.procs"), "utf8")) ?? "").split("\n"),
    )
    .filter((line) => line !== "");
  return [...new Set(pids)].map(Number).filter((pid) => pid > 0);
}

/** Removes the lab's cgroups, which stay when a machine's processes have ended. */
export function removeCgroups(): void {
  for (const folder of labCgroups().flatMap(below)) unlessGone(() => rmdirSync(folder));
}
