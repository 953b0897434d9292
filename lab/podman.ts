/**
 * The container engine: podman with storage, state and configuration under the lab's folder, so that a podman of the
 * machine's own neither sees the lab nor is seen by it. Networks are none of its business: see `network.ts`.
 */
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import * as path from "node:path";
import { CommandError, exec, type Client, type ExecOptions, type ExecResult } from "./exec";
import { createFile, readIfThere, replaceFile } from "./wholeFiles";
import { labName, runFolder } from "./paths";
import { isDefunct } from "./processes";
import { again, eventually, patience } from "./waiting";
import { labProblem } from "./problems";

/** Where this folder's containers are in the cgroup hierarchies. */
export const cgroupParent = `/${labName}`;
/**
 * What the engine keeps only while containers run: sockets, process ids, locks. podman refuses to have it in a
 * folder whose name is longer than 50 characters, as the lab's own may well be.
 */
export const volatileFolder = `/run/${labName}`;

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
    replaceFile(configuration, configurationText);
    replaceFile(
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

  /**
   * Runs `podman ARGS…`, of a kind that may be run twice. Where podman itself fails, as it does when the machine has
   * too much to do, it is run again.
   *
   * @throws CommandError when it fails all the same, unless `allowFailure`.
   */
  async podman(args: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    const { allowFailure = false, ...rest } = options;
    try {
      return await again(() => this.#once(args, rest), isMomentary);
    } catch (error) {
      if (allowFailure && error instanceof CommandError) return error.result;
      throw error;
    }
  }

  /** Unmounts a container's root file system, however often it was mounted, unless it is unmounted. */
  async unmount(name: string): Promise<void> {
    try {
      await this.podman(["unmount", "--force", name]);
    } catch (error) {
      if (!(error instanceof CommandError && /not mounted/i.test(error.result.stderr))) throw error;
    }
  }

  /** Writes an image to a file, as an archive. */
  async save(image: string, file: string): Promise<void> {
    const args = ["save", "--format", "docker-archive", "--output", file, image];
    await again(() => {
      rmSync(file, { force: true }); // podman adds nothing to an archive, not even to what it began itself
      return this.#once(args);
    }, isMomentary);
  }

  #once(args: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    const env = this.#environment;
    return exec("podman", [...this.#arguments, ...args], { timeout: podmanPatience, ...options, env });
  }

  /** The command line and environment of `podman ARGS…`, for those who start it themselves. */
  command(args: readonly string[]): Client & { readonly env: NodeJS.ProcessEnv } {
    return { argv: ["podman", ...this.#arguments, ...args], env: this.#environment };
  }

  /** What a container is doing; undefined when there is none of that name. */
  async state(name: string): Promise<ContainerState | undefined> {
    const format = "{{.Id}} {{.State.Pid}} {{.State.Status}}";
    let stdout;
    try {
      ({ stdout } = await this.podman(["container", "inspect", "--format", format, name]));
    } catch (error) {
      if (error instanceof CommandError && meansMissing(error)) return undefined;
      throw error;
    }
    const [id = "", pidText = "", status = ""] = stdout.trim().split(" ");
    const pid = Number(pidText);
    if (pid > 0 && isOfContainer(pid, id)) return { id, pid, running: status === "running" };
    if (status === "running" || status === "initialized" || status === "stopping") {
      // Whatever killed it also killed the monitor that would have left this note of its end, without which podman
      // takes it for running.
      createFile(path.join(this.#exits, id), "137");
    }
    return { id, running: false };
  }

  /**
   * The command line of a program in a running container, as root. It is not `podman exec`, which leaves a monitor
   * behind for each program, and loses the program's exit code where that monitor is slow.
   *
   * @throws UserError when the container doesn't run.
   */
  async inside(name: string, argv: readonly string[]): Promise<Client & { readonly env: NodeJS.ProcessEnv }> {
    const namespaces = ["--mount", "--uts", "--ipc", "--net", "--pid"];
    const pid = await this.#runningProcess(name);
    return {
      argv: ["nsenter", "--target", String(pid), ...namespaces, "--", ...begin, ...argv],
      env: {
        HOME: "/root",
        PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        TERM: process.env["TERM"] ?? "dumb",
        container: "podman",
      },
    };
  }

  /**
   * Runs a program in a running container, as root.
   *
   * @throws CommandError when the program fails, unless `allowFailure`; UserError when the container doesn't run.
   */
  async exec(name: string, argv: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    const { argv: words, env } = await this.inside(name, argv);
    const [program, ...rest] = words;
    return exec(program, rest, { timeout: patience, ...options, env });
  }

  /** A running container's first process. podman is asked only where what it said before doesn't hold. */
  async #runningProcess(name: string): Promise<number> {
    const known = firstProcesses.get(name);
    if (known && isOfContainer(known.pid, known.id)) return known.pid;
    const { id, pid, running } = (await this.state(name)) ?? {};
    if (id === undefined || pid === undefined || running !== true) {
      throw labProblem.error("lab-machine-off", {
        subject: `machine ${name}`,
        seen: id === undefined ? "there is none of that name" : "it does not run",
      });
    }
    firstProcesses.set(name, { id, pid });
    return pid;
  }

  /** Prepares a container's first process, unless it is there: its namespaces exist, its program has yet to be started. */
  async initialise(name: string): Promise<{ readonly pid: number; readonly running: boolean }> {
    return this.#settled(`${name} is prepared`, async () => {
      const { pid, running } = (await this.state(name)) ?? {};
      if (pid !== undefined) return { pid, running: running === true };
      await this.#once(["container", "cleanup", name], { allowFailure: true });
      await this.#once(["init", name]);
      const prepared = await this.state(name);
      return prepared?.pid === undefined ? undefined : { pid: prepared.pid, running: false };
    });
  }

  /** Removes a container, in whatever state it is, if there is one of that name. */
  async remove(name: string): Promise<void> {
    await this.#settled(`${name} is removed`, async () => {
      await this.state(name); // so that podman knows of a death that it missed
      await this.#once(["rm", "--force", "--time", "0", "--ignore", name]);
      return true;
    });
  }

  /** podman refuses to work with a container that is on its way down, which it is for a while after it ended. */
  #settled<T>(what: string, attempt: () => Promise<T | undefined>): Promise<T> {
    return eventually(`the container ${what}`, attempt, patience / 5);
  }
}

/** Seconds that one command of podman's may take: images are large. */
const podmanPatience = 2 * patience;

const meansMissing = ({ result }: CommandError): boolean => /no such (container|object)/i.test(result.stderr);

/** Whether it is podman that failed, and not what it ran, and for a reason that may have gone by the next time. */
const isMomentary = (error: CommandError): boolean =>
  error.result.code >= 125 && error.killedAfter === undefined && !meansMissing(error);

/** Begins a program in a container as podman does, wherever and however this process was started. */
const begin = ["sh", "-c", 'umask 022; cd /; exec "$@"', "sh"];

/** The first process of each container by the container's name, as podman gave it last. */
const firstProcesses = new Map<string, { readonly id: string; readonly pid: number }>();

/** Whether a process is alive and one of a container's. A process id alone may by now be another's. */
function isOfContainer(pid: number, id: string): boolean {
  try {
    return !isDefunct(pid) && readFileSync(`/proc/${pid}/cgroup`, "utf8").includes(id);
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
  return readIfThere(storeFile);
}

/** The engine of the running lab, on the images of a store that `image.ts` made. */
export function labEngine(images: string): Engine {
  replaceFile(storeFile, images);
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
