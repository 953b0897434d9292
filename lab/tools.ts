/** The programs that the lab is made of: built from Go modules that `go.sum` pins, once for each content of it. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import * as path from "node:path";
import { exec } from "./exec";
import { ensureGo } from "./go";
import { findOfficialPulumi } from "./official";
import { makeLabFolder, toolsFolder } from "./paths";
import { step } from "./progress";
import { installLanguageHost } from "./standins/install";

export interface Tools {
  /** Folder with kube-apiserver, kube-controller-manager, kube-scheduler, kubelet, kubectl and etcd, all static. */
  readonly kubernetes: string;
  /** The vSphere Supervisor's login endpoint. */
  readonly wcp: string;
  /** Folders to put on PATH, in this order: `pulumi`, `kubectl`. */
  readonly path: readonly string[];
  readonly pulumi: {
    readonly flavour: "official" | "stand-in";
    /** One line for people: which Pulumi runs the stack. */
    readonly description: string;
    /** Where the official plugins are installed; they are used from there. */
    readonly plugins?: string;
  };
}

/** Sources of the modules: `go.mod`, `go.sum`, and `.go` files where a program is our own. */
const sources = path.join(__dirname, "tools");

/** Folders under `.lab/tools`, each named by this and a hash of all that is in it. */
const folders = ["kubernetes", "pulumi", "tlsdial", "wcp"] as const;
type Folder = (typeof folders)[number];

interface Binary {
  /** Where it goes, together with the others of the same. */
  readonly folder: Folder;
  /** Folder under `lab/tools` that holds its module. */
  readonly module: string;
  readonly package: string;
  readonly name: string;
  /** Go variables to set at link time, given the version of the module that the package is of. */
  readonly variables?: (version: string) => Readonly<Record<string, string>>;
}

/** What the official builds set; the API server reports it, and clients and nodes compare it. */
function kubernetesVersion(version: string): Record<string, string> {
  const [major = "", minor = ""] = version.slice(1).split(".");
  const variables = { gitVersion: version, gitMajor: major, gitMinor: minor, gitTreeState: "clean" };
  return Object.fromEntries(
    ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"].flatMap((pkg) =>
      Object.entries(variables).map(([name, value]) => [`${pkg}.${name}`, value]),
    ),
  );
}

const kubernetesBinary = (name: string): Binary => ({
  folder: "kubernetes",
  module: "kubernetes",
  package: `k8s.io/kubernetes/cmd/${name}`,
  name,
  variables: kubernetesVersion,
});

/** Everything that is built, smallest first. */
const binaries: readonly Binary[] = [
  { folder: "wcp", module: "wcp", package: ".", name: "wcp" },
  { folder: "tlsdial", module: "tlsdial", package: ".", name: "tlsdial" },
  { folder: "kubernetes", module: "etcd", package: "go.etcd.io/etcd/server/v3", name: "etcd" },
  kubernetesBinary("kubectl"),
  kubernetesBinary("kube-scheduler"),
  kubernetesBinary("kubelet"),
  kubernetesBinary("kube-controller-manager"),
  kubernetesBinary("kube-apiserver"),
  {
    folder: "pulumi",
    module: "pulumi",
    package: "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
    name: "pulumi",
    variables: (version) => ({ "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version": version }),
  },
];

const goMod = (module: string): string => readFileSync(path.join(sources, module, "go.mod"), "utf8");

/** The `go` line of a module: the oldest Go that may build it. */
const goVersion = (module: string): string => /^go (\S+)$/m.exec(goMod(module))?.[1] ?? "1.24.0";

function linkerFlags({ module, package: pkg, variables }: Binary): string {
  const required = [...goMod(module).matchAll(/^(?:require\s+|\t)(\S+) (v\S+)$/gm)];
  const version = required.find(([, name = ""]) => pkg === name || pkg.startsWith(`${name}/`))?.[2] ?? "";
  const set = Object.entries(variables?.(version) ?? {}).map(([name, value]) => `-X=${name}=${value}`);
  return ["-s", "-w", ...set].join(" ");
}

const buildFlags = ["-mod=readonly", "-trimpath", "-buildvcs=false"];

/** Names a folder by all that goes into its binaries, so that what is in it never is out of date. */
function folderPath(folder: Folder): string {
  const hash = createHash("sha256");
  const members = binaries.filter((binary) => binary.folder === folder);
  for (const module of new Set(members.map((binary) => binary.module))) {
    for (const file of readdirSync(path.join(sources, module)).sort()) {
      if (/^go\.(mod|sum)$|\.go$/.test(file))
        hash.update(`${module}/${file}\0`).update(readFileSync(path.join(sources, module, file)));
    }
  }
  hash.update(JSON.stringify([buildFlags, members.map((binary) => [binary.name, linkerFlags(binary)])]));
  return path.join(toolsFolder, `${folder}-${hash.digest("hex").slice(0, 12)}`);
}

async function build(go: string, binary: Binary): Promise<void> {
  const target = path.join(folderPath(binary.folder), binary.name);
  const aside = `${target}.partial-${process.pid}`;
  await mkdir(path.dirname(target), { recursive: true });
  await step(`building ${binary.name}`, async (report) => {
    let packages = 0;
    try {
      await exec(
        go,
        ["build", ...buildFlags, "-v", `-ldflags=${linkerFlags(binary)}`, `-o=${aside}`, binary.package],
        {
          cwd: path.join(sources, binary.module),
          env: { ...process.env, CGO_ENABLED: "0", GOFLAGS: "", GOTOOLCHAIN: "local", GOWORK: "off" },
          onLine: (line) =>
            report(line.startsWith("go: ") ? line.slice(4) : `${++packages} packages compiled, ${line}`),
        },
      );
      await rename(aside, target); // a build that was cut never counts
    } finally {
      await rm(aside, { force: true });
    }
  });
}

/** Where each binary is, or would be, once built. */
const binaryPath = (folder: Folder, name: string): string => path.join(folderPath(folder), name);

/** What tells tests whether Go takes a server's certificates; there once `tlsdial` is built. */
export const tlsDialer = (): string => binaryPath("tlsdial", "tlsdial");

/** Whether {@link ensureTools} has nothing left to build in these folders. */
export function toolsAreBuilt(wanted: readonly Folder[]): boolean {
  return binaries
    .filter((binary) => wanted.includes(binary.folder))
    .every(({ folder, name }) => existsSync(binaryPath(folder, name)));
}

/** The tools with the Pulumi CLI that the lab builds and its stand-ins, whether or not they are built yet. */
export function standInTools(): Tools {
  makeLabFolder();
  const [kubernetes, pulumi] = [folderPath("kubernetes"), folderPath("pulumi")];
  installLanguageHost(pulumi);
  return {
    kubernetes,
    wcp: binaryPath("wcp", "wcp"),
    path: [pulumi, kubernetes],
    pulumi: {
      flavour: "stand-in",
      description:
        "the Pulumi CLI built from its Go module, with the lab's stand-ins for language host and plugins",
    },
  };
}

/**
 * Makes sure that every program of the lab is there, building what is missing: minutes the first time, nothing later.
 *
 * @throws UserError when there is no Go to build with; CommandError when a build fails.
 */
export async function ensureTools(): Promise<Tools> {
  makeLabFolder();
  const official = await findOfficialPulumi();
  const wanted = binaries.filter((binary) => !(official && binary.folder === "pulumi"));
  const missing = wanted.filter(({ folder, name }) => !existsSync(binaryPath(folder, name)));
  const [newest] = missing
    .map(({ module }) => goVersion(module))
    .sort((a, b) => b.localeCompare(a, "en", { numeric: true }));
  if (newest !== undefined) {
    const go = await ensureGo(newest);
    for (const binary of missing) await build(go, binary);
  }
  const tools = standInTools();
  if (!official) return tools;
  const { folder, ...found } = official;
  return {
    ...tools,
    path: [folder, tools.kubernetes],
    pulumi: { flavour: "official", ...found },
  };
}

/** Removes what was built from other sources than the current ones. Only where there is no machine: it may run that. */
export async function pruneTools(): Promise<void> {
  const current = folders.map((folder) => path.basename(folderPath(folder)));
  const superseded = readdirSync(toolsFolder).filter(
    (name) => folders.some((folder) => name.startsWith(`${folder}-`)) && !current.includes(name),
  );
  for (const name of superseded) await rm(path.join(toolsFolder, name), { recursive: true, force: true });
}
