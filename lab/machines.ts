/** The lab's machines: containers that boot systemd from an image, each with files and a wire of its own. */
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import * as path from "node:path";
import type { Client, ExecOptions, ExecResult } from "./exec";
import { createFile, replacingProgram } from "./wholeFiles";
import { images } from "./image";
import {
  assertNetworkIsFree,
  awaitNoInterface,
  isMachineWired,
  isWired,
  wireMachine,
  wireSwitch,
  type Wiring,
} from "./network";
import { runFolder } from "./paths";
import { cgroupParent, type Engine } from "./podman";
import { eventually } from "./waiting";

/** A file of a machine, besides those that come as folders. */
export interface MachineFile {
  readonly content: string;
  /** Default 0644. */
  readonly mode?: number;
  /** The owner's user and group id. Default: root's. */
  readonly owner?: number;
}

export interface MachineSpec {
  readonly name: string;
  readonly image: string;
  readonly wiring: Wiring;
  /** Folders of `lab/files` that are copied over the machine's root. Their systemd units are enabled. */
  readonly trees: readonly string[];
  readonly files: Readonly<Record<string, MachineFile>>;
  /** Units of the image that start at boot. */
  readonly units: readonly string[];
  /** Files and folders of this machine that are to be seen in it, read-only: place in the machine → place here. */
  readonly mounts: Readonly<Record<string, string>>;
}

const switchName = "switch";
const machinesFolder = path.join(runFolder, "machines");
const filesFolder = path.join(__dirname, "files");

/** The account of {@link nodeUser} in the image. */
export const nodeUserId = 1000;

export class Machines {
  private constructor(
    private readonly engine: Engine,
    private readonly switchPid: number,
  ) {}

  /**
   * The machines of this folder's lab, with the networks that they are on, which are made if they aren't there.
   *
   * @throws UserError when another clone's lab is up.
   */
  static async open(engine: Engine): Promise<Machines> {
    const { pid } = (await engine.state(switchName)) ?? {};
    if (pid !== undefined && (await isWired())) return new Machines(engine, pid);
    await engine.remove(switchName);
    await awaitNoInterface();
    await assertNetworkIsFree();
    await engine.podman([
      ...["run", "--detach", "--replace", "--name", switchName, "--network", "none", "--log-driver", "none"],
      ...["--cgroup-parent", cgroupParent, images.debian, "sleep", "infinity"],
    ]);
    const started = await engine.state(switchName);
    if (started?.pid === undefined) throw new Error("The switch ended as soon as it was started");
    await wireSwitch(started.pid);
    return new Machines(engine, started.pid);
  }

  /** Makes a machine, unless it is there, and boots it, unless it runs; says when it did that. */
  async ensure(spec: MachineSpec): Promise<Date | undefined> {
    const made = path.join(machinesFolder, spec.name, "made");
    if (!existsSync(made) || !(await this.engine.state(spec.name))) {
      await this.remove(spec.name);
      await this.make(spec);
      createFile(made, "");
    }
    const { pid, running } = await this.engine.initialise(spec.name);
    // The wire is there before the first process runs.
    if (!(await isMachineWired(pid))) await wireMachine(this.switchPid, pid, spec.wiring);
    if (running) return undefined;
    const booted = new Date();
    await this.engine.podman(["start", spec.name]);
    return booted;
  }

  private async make(spec: MachineSpec): Promise<void> {
    const own = path.join(machinesFolder, spec.name);
    // An overlay's upper layer can't be on an overlay: containerd's store is on this machine's own file system.
    const containerd = path.join(own, "containerd");
    mkdirSync(containerd, { recursive: true, mode: 0o700 });
    await this.engine.podman([
      ...[
        "create",
        "--replace",
        "--name",
        spec.name,
        "--hostname",
        spec.name,
        "--network",
        "none",
        "--no-hosts",
      ],
      ...["--cgroup-parent", cgroupParent, "--privileged", "--systemd=always", "--cgroupns=private"],
      ...["--pids-limit", "-1", "--log-driver", "none", "--tmpfs", "/tmp", "--tmpfs", "/run"],
      ...["--volume", `${containerd}:/var/lib/containerd`],
      ...Object.entries(spec.mounts).flatMap(([inside, outside]) => ["--volume", `${outside}:${inside}:ro`]),
      spec.image,
    ]);
    const root = (await this.engine.podman(["mount", spec.name])).stdout.trim();
    try {
      fill(root, spec);
    } finally {
      await this.engine.unmount(spec.name);
    }
  }

  /** Removes a machine with all that it held. */
  async remove(name: string): Promise<void> {
    await this.engine.remove(name);
    rmSync(path.join(machinesFolder, name), { recursive: true, force: true });
  }

  /** Runs a program in a machine, as root. */
  exec(name: string, argv: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    return this.engine.exec(name, argv, options);
  }

  /** The command line of a program in a machine, for those who start it themselves. */
  command(name: string, argv: readonly string[]): Promise<Client> {
    return this.engine.inside(name, argv);
  }

  /** Restarts a unit, however often that was done before; waits for a machine that is still booting. */
  async restart(name: string, unit: string): Promise<void> {
    await eventually(`systemd of ${name} runs`, async (see) => {
      const { stdout } = await this.exec(name, ["systemctl", "is-system-running"], { allowFailure: true });
      see(stdout);
      return ["starting", "running", "degraded"].includes(stdout.trim()) ? true : undefined;
    });
    await this.exec(name, ["systemctl", "reset-failed", unit], { allowFailure: true }); // its count of starts
    await this.exec(name, ["systemctl", "restart", unit]);
  }

  /** Writes a file of a running machine, whole or not at all. */
  async write(name: string, file: string, content: string, mode = 0o644): Promise<void> {
    await this.exec(name, replacingProgram(file, mode), { input: content });
  }
}

/** Writes into a machine's root file system what makes it this machine. */
function fill(root: string, spec: MachineSpec): void {
  for (const tree of spec.trees) cpSync(path.join(filesFolder, tree), root, { recursive: true });
  const files: MachineSpec["files"] = {
    "/etc/machine-id": { content: `${randomBytes(16).toString("hex")}\n`, mode: 0o444 },
    "/etc/resolv.conf": { content: "# The lab has no name service.\n" },
    ...spec.files,
  };
  for (const [name, { content, mode = 0o644, owner }] of Object.entries(files)) {
    const file = path.join(root, name);
    const folder = path.dirname(file);
    if (!existsSync(folder)) {
      mkdirSync(folder, { recursive: true });
      if (owner !== undefined) chownSync(folder, owner, owner);
    }
    rmSync(file, { force: true });
    writeFileSync(file, content, { mode });
    chmodSync(file, mode);
    if (owner !== undefined) chownSync(file, owner, owner);
  }
  const ownUnits = spec.trees.flatMap((tree) => {
    const folder = path.join(filesFolder, tree, "etc/systemd/system");
    return existsSync(folder) ? unitsIn(folder) : [];
  });
  for (const unit of [...ownUnits, ...spec.units]) enable(root, unit);
}

function unitsIn(folder: string): string[] {
  return readdirSync(folder).filter((name) => name.endsWith(".service"));
}

/** Has a unit started at boot, as `systemctl enable` would. */
function enable(root: string, unit: string): void {
  const own = path.join("/etc/systemd/system", unit);
  const file = existsSync(path.join(root, own)) ? own : path.join("/usr/lib/systemd/system", unit);
  const target = /^WantedBy=(\S+)/m.exec(readFileSync(path.join(root, file), "utf8"))?.[1];
  if (target === undefined) throw new Error(`The unit ${unit} doesn't say what wants it`);
  const wants = path.join(root, "/etc/systemd/system", `${target}.wants`);
  mkdirSync(wants, { recursive: true });
  symlinkSync(file, path.join(wants, unit));
}
