/**
 * The images that the lab is made of, built from the packages of the distribution that this machine runs:
 *
 * - `debian`, `photon`: the root filesystems of machines, the second with Photon OS's trust store;
 * - `nginx`: what the registries hold;
 * - `pause`, `ubuntu`: archives for containerd, which has nowhere to pull them from. `ubuntu` is the jumpbox's: a
 *   plain system with a shell, and without an SSH client.
 *
 * They are kept in a store under the lab's tools, named by what they were built from, and survive `down`.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmdirSync, rmSync } from "node:fs";
import { rm } from "node:fs/promises";
import * as path from "node:path";
import { exec } from "./exec";
import { unmountBelow } from "./mounts";
import { toolsFolder } from "./paths";
import { cgroupParent, Engine, volatileFolder } from "./podman";
import { step, type Report } from "./progress";
import { quote } from "./shell";
import { again } from "./waiting";
import { labProblem } from "./problems";

/** Images by what they are for. */
export const images = {
  debian: "localhost/tkc-lab/debian:latest",
  photon: "localhost/tkc-lab/photon:latest",
  nginx: "localhost/tkc-lab/nginx:latest",
  pause: "lab.invalid/pause:1",
  /** The name that the seed's jumpbox gives; containerd completes `ubuntu:latest` to it. */
  ubuntu: "docker.io/library/ubuntu:latest",
} as const;

export interface ImageCache {
  /** The store that the engine takes `debian`, `photon` and `nginx` from. */
  readonly store: string;
  /** Archives for containerd. */
  readonly archives: { readonly pause: string; readonly ubuntu: string };
}

const machinePackages = [
  ...["systemd", "systemd-sysv", "dbus", "mount", "procps", "kmod", "curl", "ca-certificates", "openssl"],
  ...["openssh-server", "sudo", "python3", "iproute2", "iptables", "conntrack", "ethtool", "socat"],
  ...["containerd", "runc", "containernetworking-plugins"],
  ...["nginx-light", "docker-registry", "busybox-static"],
];

const files = path.join(__dirname, "files");

/** The suite of this machine's distribution, and the files that say where its packages come from. */
function packageSources(): { readonly suite: string; readonly files: readonly string[] } {
  const suite = /^VERSION_CODENAME=(\S+)$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1];
  const folder = "/etc/apt/sources.list.d";
  const candidates = [
    "/etc/apt/sources.list",
    ...(existsSync(folder) ? readdirSync(folder).map((name) => path.join(folder, name)) : []),
  ];
  // A source of the distribution's own names its suite; others would only add what isn't wanted.
  const sources = candidates.filter(
    (file) =>
      /\.(list|sources)$/.test(file) &&
      existsSync(file) &&
      new RegExp(`^(deb |Suites:).*\\b${suite ?? "-"}\\b`, "m").test(readFileSync(file, "utf8")),
  );
  if (suite === undefined || sources.length === 0) {
    throw labProblem.error("lab-no-package-source", {
      subject: "lab",
      seen: "no apt source of this machine's distribution was found in /etc/apt",
    });
  }
  return { suite, files: sources };
}

function filesUnder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true, encoding: "utf8" })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .sort();
}

/** What the images are built from; another recipe makes other images. */
function recipe(): string {
  const sources = packageSources();
  const hash = createHash("sha256").update(
    JSON.stringify([machinePackages, images, sources.suite, process.arch]),
  );
  const inputs = [
    __filename,
    ...sources.files,
    ...filesUnder(path.join(files, "image")),
    ...filesUnder(path.join(files, "photon")),
  ];
  for (const file of inputs) hash.update(readFileSync(file)).update("\0");
  return hash.digest("hex").slice(0, 16);
}

const cachePrefix = "images-";

function cacheAt(folder: string): ImageCache {
  const archive = (name: string): string => path.join(folder, `${name}.tar`);
  return {
    store: path.join(folder, "store"),
    archives: { pause: archive("pause"), ubuntu: archive("ubuntu") },
  };
}

/**
 * Gives the images, building them first where they aren't there: about two minutes.
 *
 * @param storeInUse - The store that machines were made from, which stays theirs whatever the recipe is by now.
 * @throws UserError when that store is gone, and what is built now would be another.
 */
export async function ensureImages(storeInUse?: string): Promise<ImageCache> {
  const current = path.join(toolsFolder, `${cachePrefix}${recipe()}`);
  const folder = storeInUse === undefined ? current : path.dirname(storeInUse);
  if (!existsSync(folder)) {
    if (folder !== current) {
      throw labProblem.error("lab-images-gone", {
        subject: "lab",
        seen: `the images that its machines were made from are gone: ${folder}`,
      });
    }
    const partial = `${folder}.partial`;
    await build(partial);
    renameSync(partial, folder);
  }
  return cacheAt(folder);
}

/** Removes images of other recipes than the current one. Only where there is no machine: it may be made of them. */
export async function pruneImages(): Promise<void> {
  const current = `${cachePrefix}${recipe()}`;
  const others = readdirSync(toolsFolder).filter((name) => name.startsWith(cachePrefix) && name !== current);
  for (const name of others) {
    const folder = path.join(toolsFolder, name);
    await unmountBelow(folder);
    await rm(folder, { recursive: true, force: true });
  }
}

/** Removes what builds wrote aside (`….partial-PID`) that were killed. Those of a process that runs go on. */
export function prunePartials(folder = toolsFolder): void {
  for (const name of readdirSync(folder)) {
    const pid = /\.partial-(\d+)$/.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`))
      rmSync(path.join(folder, name), { recursive: true, force: true });
  }
}

async function build(folder: string): Promise<void> {
  const cache = cacheAt(folder);
  // What an interrupted build finished is used, what it only began isn't.
  const work = path.join(folder, "work");
  const temporary = path.join(work, "tmp");
  const machine = path.join(work, "machine.tar");
  const jumpbox = path.join(work, "jumpbox.tar");
  await unmountBelow(folder);
  for (const unfinished of [cache.store, temporary]) rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(temporary, { recursive: true, mode: 0o700 });
  await step("image: the machines' packages", (report) =>
    bootstrap(machine, temporary, report, [
      "--variant=minbase",
      `--include=${machinePackages.join(",")}`,
      `--customize-hook=sh ${quote(path.join(files, "image", "customize.sh"))} "$1"`,
    ]),
  );
  await step("image: the jumpbox's packages", (report) =>
    bootstrap(jumpbox, temporary, report, ["--variant=apt"]),
  );
  await step("images: layers", async (report) => {
    const engine = new Engine({ storage: cache.store, name: "build", temporary });
    await withoutTraces(async () => {
      report("machines");
      await engine.podman(["import", "--change", 'CMD ["/sbin/init"]', machine, images.debian]);
      await photon(engine);
      report("nginx");
      await imported(engine, images.nginx, ["sh", "-s"], path.join(files, "image", "nginx.sh"), [
        'ENTRYPOINT ["/usr/sbin/nginx", "-g", "daemon off;"]',
        "EXPOSE 80/tcp",
        "STOPSIGNAL SIGQUIT",
      ]);
      report("pause");
      await imported(engine, images.pause, ["tar", "-C", "/bin", "-cf", "-", "busybox"], undefined, [
        'ENTRYPOINT ["/busybox", "sleep", "2147483647"]',
      ]);
      report("jumpbox");
      await engine.podman(["import", "--change", 'CMD ["/bin/bash"]', jumpbox, images.ubuntu]);
      for (const name of ["pause", "ubuntu"] as const) {
        await engine.save(images[name], cache.archives[name]);
        await engine.podman(["rmi", "--ignore", images[name]]);
      }
    });
  });
  await unmountBelow(folder);
  await rm(work, { recursive: true });
  await rm(path.join(volatileFolder, "build"), { recursive: true, force: true });
}

/** Makes a root filesystem as a tar, unless it is there. */
async function bootstrap(
  tar: string,
  temporary: string,
  report: Report,
  options: readonly string[],
): Promise<void> {
  if (existsSync(tar)) return;
  const sources = packageSources();
  const unfinished = path.join(temporary, path.basename(tar));
  const leaveOut = ["man", "doc", "locale", "info"].map(
    (name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`,
  );
  await exec(
    "mmdebstrap",
    ["--mode=root", ...options, ...leaveOut, sources.suite, unfinished, ...sources.files],
    {
      env: { ...process.env, TMPDIR: temporary },
      onLine: (line) => {
        const text = /^I: (.+)$/.exec(line)?.[1];
        if (text !== undefined) report(text);
      },
    },
  );
  renameSync(unfinished, tar);
}

/** Of containers that images are built in: in the lab's cgroup, so that `down` finds what a kill left behind. */
const buildOptions = [
  ...["--network", "none", "--interactive", "--log-driver", "none", "--cgroup-parent", cgroupParent],
];

async function photon(engine: Engine): Promise<void> {
  const script = path.join(files, "photon");
  await engine.podman(
    [
      ...["run", "--replace", "--name", "photon", ...buildOptions, "--volume", `${script}:/mnt:ro`],
      ...[images.debian, "sh", "/mnt/layout.sh"],
    ],
    { input: readFileSync(path.join(script, "rehash_ca_certificates.sh")) },
  );
  await engine.podman(["commit", "--quiet", "--change", 'CMD ["/sbin/init"]', "photon", images.photon]);
  await engine.podman(["rm", "--ignore", "photon"]);
}

/** Makes an image of the tar that a command, run in a machine's root filesystem, writes to standard output. */
async function imported(
  engine: Engine,
  image: string,
  command: readonly string[],
  input: string | undefined,
  changes: readonly string[],
): Promise<void> {
  const run = engine.command(["run", "--rm", ...buildOptions, images.debian, ...command]);
  const load = engine.command(["import", ...changes.flatMap((change) => ["--change", change]), "-", image]);
  const words = (argv: readonly string[]): string => argv.map(quote).join(" ");
  const pipe = ["-euo", "pipefail", "-c", `${words(run.argv)} | ${words(load.argv)}`];
  const options = { env: run.env, ...(input === undefined ? {} : { input: readFileSync(input) }) };
  await again(
    () => exec("bash", pipe, options),
    () => true,
  );
}

/**
 * podman keeps hints about layers that it copied in a place that no option changes. Where there were none before,
 * there are none after.
 */
export async function withoutTraces<T>(run: () => Promise<T>): Promise<T> {
  const folders = ["/var/lib/containers/cache", "/var/lib/containers"].filter(
    (folder) => !existsSync(folder),
  );
  const hints = path.join("/var/lib/containers/cache", "blob-info-cache-v1.boltdb");
  const absent = !existsSync(hints);
  try {
    return await run();
  } finally {
    if (absent) rmSync(hints, { force: true });
    for (const folder of folders) {
      if (existsSync(folder) && readdirSync(folder).length === 0) rmdirSync(folder);
    }
  }
}
