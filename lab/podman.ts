/**
 * The container engine: podman with storage, state and configuration under the lab's folder, so that a podman of the
 * machine's own neither sees the lab nor is seen by it. Networks are none of its business: see `network.ts`.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { exec, type Client, type ExecOptions, type ExecResult } from "./exec";
import { labFolder, runFolder } from "./paths";
import { writePrivate } from "./state";

const label = `tkc-lab-${createHash("sha256").update(labFolder).digest("hex").slice(0, 8)}`;
/** Where this folder's containers are in the cgroup hierarchies. */
export const cgroupParent = `/${label}`;
/**
 * What the engine keeps only while containers run: sockets, process ids, locks. podman refuses to have it in a
 * folder whose name is longer than 50 characters, as the lab's own may well be.
 */
export const volatileFolder = `/run/${label}`;

/** The hard limit of a resource of this process, which no container may be given more of. */
function hardLimit(resource: string): number {
  const line = readFileSync("/proc/self/limits", "utf8")
    .split("\n")
    .find((each) => each.startsWith(resource));
  const value = Number(line?.slice(resource.length).trim().split(/\s+/)[1]);
  return Number.isFinite(value) ? value : Number.MAX_SAFE_INTEGER;
}

// podman's own defaults may be above what this process may give.
const defaultLimits = [
  ["nofile", Math.min(65536, hardLimit("Max open files"))],
  ["nproc", Math.min(30000, hardLimit("Max processes"))],
].map(([name, limit]) => `"${name!}=${limit!}:${limit!}"`);

// Locks in files: those in shared memory are one set for all podmans of a machine.
const configurationText = `[containers]
default_ulimits = [${defaultLimits.join(", ")}]
[engine]
lock_type = "file"
`;

export interface EngineOptions {
  /** Folder for images and containers. */
  readonly storage: string;
  /** Tells engines apart in {@link volatileFolder}. */
  readonly name: string;
  /** Folder for files on their way. */
  readonly temporary: string;
  /** A store of images that are used, never changed. */
  readonly images?: string;
}

export interface ContainerState {
  readonly id: string;
  /** Of the container's first process, on this machine; undefined when there is none. */
  readonly pid?: number;
  /** Whether that process is more than prepared. */
  readonly running: boolean;
}

export class Engine {
  readonly #arguments: readonly string[];
  readonly #environment: NodeJS.ProcessEnv;
  readonly #exits: string;

  constructor(options: EngineOptions) {
    const inRun = (name: string): string => path.join(volatileFolder, options.name, name);
    const configuration = inRun("containers.conf");
    const storageConfiguration = inRun("storage.conf");
    for (const folder of [path.dirname(configuration), options.temporary]) {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
    }
    writeFileSync(configuration, configurationText);
    writeFileSync(
      storageConfiguration,
      `[storage]\ndriver = "overlay"\nrunroot = ${JSON.stringify(inRun("storage"))}\ngraphroot = ${JSON.stringify(options.storage)}\n`,
    );
    this.#exits = path.join(inRun("libpod"), "exits");
    this.#environment = {
      ...process.env,
      CONTAINERS_CONF: configuration,
      CONTAINERS_STORAGE_CONF: storageConfiguration,
      TMPDIR: options.temporary,
    };
    this.#arguments = [
      ...["--root", options.storage],
      ...["--runroot", inRun("storage")],
      ...["--tmpdir", inRun("libpod")],
      ...["--volumepath", inRun("volumes")],
      ...["--network-config-dir", inRun("networks")],
      ...["--storage-driver", "overlay"],
      ...(options.images === undefined ? [] : ["--storage-opt", `overlay.imagestore=${options.images}`]),
      // crun refuses machines with hybrid cgroups.
      ...["--runtime", "runc", "--runtime-flag", `root=${inRun("runc")}`],
      ...["--cgroup-manager", "cgroupfs", "--events-backend", "file"],
    ];
  }

  /** Runs `podman ARGS…`. */
  podman(args: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    return exec("podman", [...this.#arguments, ...args], { ...options, env: this.#environment });
  }

  /** The command line and environment of `podman ARGS…`, for those who start it themselves. */
  command(args: readonly string[]): Client & { readonly env: NodeJS.ProcessEnv } {
    return { argv: ["podman", ...this.#arguments, ...args], env: this.#environment };
  }

  /** What a container is doing; undefined when there is none of that name. */
  async state(name: string): Promise<ContainerState | undefined> {
    const { code, stdout } = await this.podman(
      ["container", "inspect", "--format", "{{.Id}} {{.State.Pid}} {{.State.Status}}", name],
      { allowFailure: true },
    );
    if (code !== 0) return undefined;
    const [id = "", pidText = "", status = ""] = stdout.trim().split(" ");
    const pid = Number(pidText);
    if (pid > 0 && isOfContainer(pid, id)) return { id, pid, running: status === "running" };
    if (status === "running" || status === "initialized" || status === "stopping") {
      // Whatever killed it also killed the monitor that would have left this note of its end, without which podman
      // takes it for running.
      mkdirSync(this.#exits, { recursive: true });
      writeFileSync(path.join(this.#exits, id), "137");
    }
    return { id, running: false };
  }

  /** Prepares a container's first process, unless it is there: its namespaces exist, its program has yet to be started. */
  async initialise(name: string): Promise<{ readonly pid: number; readonly running: boolean }> {
    return this.#patiently(async (last) => {
      const { pid, running } = (await this.state(name)) ?? {};
      if (pid !== undefined) return { pid, running: running === true };
      await this.podman(["container", "cleanup", name], { allowFailure: true });
      await this.podman(["init", name], { allowFailure: !last });
      const prepared = await this.state(name);
      return prepared?.pid === undefined ? undefined : { pid: prepared.pid, running: false };
    });
  }

  /** Removes a container, in whatever state it is, if there is one of that name. */
  async remove(name: string): Promise<void> {
    await this.#patiently(async (last) => {
      await this.state(name); // so that podman knows of a death that it missed
      const args = ["rm", "--force", "--time", "0", "--ignore", name];
      return (await this.podman(args, { allowFailure: !last })).code === 0 ? true : undefined;
    });
  }

  /**
   * Tries something for five seconds: podman refuses to work with a container that is on its way down, which it is
   * for a moment after it ended.
   */
  async #patiently<T>(attempt: (last: boolean) => Promise<T | undefined>): Promise<T> {
    for (let left = 10; left >= 0; left--) {
      const result = await attempt(left === 0);
      if (result !== undefined) return result;
      await sleep(500);
    }
    throw new Error("The container ended as soon as it was started");
  }
}

/** Whether a process is alive and one of a container's. A process id alone may by now be another's. */
function isOfContainer(pid: number, id: string): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const dead = /^ [ZX]/.test(stat.slice(stat.lastIndexOf(")") + 1)); // killed, and not yet buried
    return !dead && readFileSync(`/proc/${pid}/cgroup`, "utf8").includes(id);
  } catch {
    return false; // there is no such process
  }
}

/** The folder that the running lab's engine works in. */
const engineFolder = path.join(runFolder, "podman");
/** Names the store of images that the lab was brought up with. */
const storeFile = path.join(engineFolder, "images");

/** The store of images that the lab's machines are made of; undefined where there are none. */
export function storeInUse(): string | undefined {
  return existsSync(storeFile) ? readFileSync(storeFile, "utf8") : undefined;
}

/** The engine of the running lab, on the images of a store that `image.ts` made. */
export function labEngine(images: string): Engine {
  writePrivate(storeFile, images);
  return new Engine({
    storage: path.join(engineFolder, "containers"),
    name: "lab",
    temporary: path.join(engineFolder, "tmp"),
    images,
  });
}

/** The engine of a lab that was brought up by an earlier run; undefined when there was none. */
export function existingEngine(): Engine | undefined {
  const images = storeInUse();
  return images === undefined ? undefined : labEngine(images);
}
