/**
 * The programs that the lab is made of: built from Go modules that `go.sum` pins, once for each content of it. Of Pulumi's,
 * those that are installed on the machine are used instead.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import * as path from "node:path";
import { exec } from "./exec";
import { ensureGo } from "./go";
import { findOfficialPulumi, requireOfficialPulumi, type OfficialPulumi } from "./official";
import { makeLabFolder, toolsFolder } from "./paths";
import { step, type Report } from "./progress";
import { standInProgram } from "./standins/install";
import { sdkVersion } from "./standins/versions";

/** A program that the Pulumi engine starts: a provider or the language host. */
export interface PulumiPlugin {
  readonly kind: "language" | "resource";
  readonly name: string;
  readonly version: string;
  readonly executable: string;
}

export interface Tools {
  /** Folder with kube-apiserver, kube-controller-manager, kube-scheduler, kubelet, kubectl and etcd, all static. */
  readonly kubernetes: string;
  /** The vSphere Supervisor's login endpoint. */
  readonly wcp: string;
  /** Folders to put on PATH, in this order: `pulumi`, `kubectl`. */
  readonly path: readonly string[];
  /** What the engine is to start, and nothing else. */
  readonly plugins: readonly PulumiPlugin[];
  /** For people: a line for each part of Pulumi, with its version and where it is from. */
  readonly pulumi: readonly string[];
}

/** Sources of the modules: `go.mod`, `go.sum`, and `.go` files where a program is our own. */
const sources = path.join(__dirname, "tools");

/** Folders under `.lab/tools`, each named by this and a hash of all that is in it. */
const folders = ["kubernetes", "provider", "pulumi", "tlsdial", "wcp"] as const;
type Folder = (typeof folders)[number];

interface Program {
  /** Where it goes, together with the others of the same. */
  readonly folder: Folder;
  /** Folder under `lab/tools` that holds its module. */
  readonly module: string;
  readonly package: string;
  readonly name: string;
  /** What Go names it, where that is another name. */
  readonly builtAs?: string;
}

const kubernetesProgram = (name: string): Program => ({
  folder: "kubernetes",
  module: "kubernetes",
  package: `k8s.io/kubernetes/cmd/${name}`,
  name,
});

/** Everything that is built, smallest module first. */
const programs: readonly Program[] = [
  { folder: "wcp", module: "wcp", package: ".", name: "wcp" },
  { folder: "tlsdial", module: "tlsdial", package: ".", name: "tlsdial" },
  {
    folder: "pulumi",
    module: "pulumi",
    package: "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
    name: "pulumi",
  },
  ...["kubectl", "kube-scheduler", "kubelet", "kube-controller-manager", "kube-apiserver"].map(
    kubernetesProgram,
  ),
  {
    folder: "kubernetes",
    module: "kubernetes",
    package: "go.etcd.io/etcd/server/v3",
    name: "etcd",
    builtAs: "server",
  },
  {
    folder: "provider",
    module: "kubernetes",
    package: "./pulumi-resource-kubernetes",
    name: "pulumi-resource-kubernetes",
  },
];

/** What each module makes, for people. */
const titles: Readonly<Record<string, string>> = {
  wcp: "the login server",
  tlsdial: "a TLS client by Go's rules",
  pulumi: "the Pulumi CLI",
  kubernetes: "Kubernetes and Pulumi's provider for it",
};

const goMod = (module: string): string => readFileSync(path.join(sources, module, "go.mod"), "utf8");

/** The `go` line of a module: the oldest Go that may build it. */
const goVersion = (module: string): string => /^go (\S+)$/m.exec(goMod(module))?.[1] ?? "1.24.0";

/** The version of a module that one of ours requires. */
function required(module: string, dependency: string): string {
  const requirements = [...goMod(module).matchAll(/^(?:require\s+|\t)(\S+) (v\S+)/gm)];
  const version = requirements.find(([, name]) => name === dependency)?.[2];
  if (version === undefined) throw new Error(`lab/tools/${module}/go.mod does not require ${dependency}`);
  return version;
}

/** The release of Kubernetes that the lab runs, such as `v1.33.3`. */
export const kubernetesRelease = (): string => required("kubernetes", "k8s.io/kubernetes");

/**
 * The version that the provider gives as its own. The engine warns of one that is older than the SDK, which this one is by
 * a few minor releases; what comes after the plus is ignored there (semver's build metadata) and says what it really is.
 */
const providerVersion = (): string => {
  const version = required("kubernetes", "github.com/pulumi/pulumi-kubernetes/provider/v4");
  return `${sdkVersion("kubernetes")}+source.${version.slice(version.lastIndexOf("-") + 1)}`;
};

/** The Go variables to set at link time, by module. Those of a program that has none of that name do nothing. */
const variables: Readonly<Record<string, () => Readonly<Record<string, string>>>> = {
  pulumi: () => ({
    "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version": required(
      "pulumi",
      "github.com/pulumi/pulumi/pkg/v3",
    ),
  }),
  kubernetes: () => {
    const release = kubernetesRelease();
    const [major = "", minor = ""] = release.slice(1).split(".");
    // What the official builds set; the API server reports it, and clients and nodes compare it.
    const version = { gitVersion: release, gitMajor: major, gitMinor: minor, gitTreeState: "clean" };
    return Object.fromEntries([
      ...["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"].flatMap((pkg) =>
        Object.entries(version).map(([name, value]) => [`${pkg}.${name}`, value]),
      ),
      ["main.version", providerVersion()],
    ]) as Record<string, string>;
  },
};

function buildFlags(module: string): string[] {
  const set = Object.entries(variables[module]?.() ?? {}).map(([name, value]) => `-X=${name}=${value}`);
  return [
    ...["-mod=readonly", "-trimpath", "-buildvcs=false"],
    "-gcflags=all=-dwarf=false", // nobody debugs these: without data for that, they are compiled in a sixth less time
    `-ldflags=${["-s", "-w", ...set].join(" ")}`,
  ];
}

/** Names a folder by all that goes into its programs, so that what is in it never is out of date. */
function folderPath(folder: Folder): string {
  const hash = createHash("sha256");
  const members = programs.filter((program) => program.folder === folder);
  for (const module of new Set(members.map((program) => program.module))) {
    const files = readdirSync(path.join(sources, module), { recursive: true, encoding: "utf8" });
    for (const file of files.sort()) {
      if (/^go\.(mod|sum)$|\.go$/.test(file))
        hash.update(`${module}/${file}\0`).update(readFileSync(path.join(sources, module, file)));
    }
    hash.update(JSON.stringify(buildFlags(module)));
  }
  hash.update(JSON.stringify(members.map(({ name }) => name)));
  return path.join(toolsFolder, `${folder}-${hash.digest("hex").slice(0, 12)}`);
}

/** Where each program is, or would be, once built. */
const programPath = (folder: Folder, name: string): string => path.join(folderPath(folder), name);
const isBuilt = ({ folder, name }: Program): boolean => existsSync(programPath(folder, name));

async function goCommand(
  go: string,
  module: string,
  args: readonly string[],
  onLine?: (line: string) => void,
): Promise<string> {
  const { stdout } = await exec(go, args, {
    cwd: path.join(sources, module),
    // Go keeps its caches below HOME, which a service may lack.
    env: {
      HOME: homedir(),
      ...process.env,
      CGO_ENABLED: "0",
      GOFLAGS: "",
      GOTOOLCHAIN: "local",
      GOWORK: "off",
    },
    ...(onLine === undefined ? {} : { onLine }),
  });
  return stdout;
}

/** How many packages have to be compiled; what the module needs is fetched on the way. */
async function staleCount(go: string, module: string, packages: readonly string[], report: Report) {
  const template = "{{if .Stale}}{{.ImportPath}}{{end}}";
  const list = ["list", "-deps", "-f", template, ...buildFlags(module), ...packages];
  const stale = await goCommand(go, module, list, (line) => {
    if (line.startsWith("go: ")) report(line.slice(4));
  });
  return stale.split("\n").filter(Boolean).length;
}

/** Builds those programs of a module in one go, so that no core waits while one of them is linked. */
async function build(go: string, module: string, wanted: readonly Program[]): Promise<void> {
  const packages = wanted.map((program) => program.package);
  const aside = path.join(toolsFolder, `${module}.partial-${process.pid}`);
  await step(`building ${titles[module] ?? module}`, async (report) => {
    const total = await staleCount(go, module, packages, report);
    const start = performance.now();
    let compiled = 0;
    try {
      await goCommand(
        go,
        module,
        ["build", ...buildFlags(module), "-v", `-o=${aside}/`, ...packages],
        (line) => {
          compiled += 1;
          report(`package ${compiled} of ${total}${timeLeft(start, compiled / total)}, ${line}`);
        },
      );
      for (const { folder, name, builtAs = name } of wanted) {
        await mkdir(folderPath(folder), { recursive: true });
        await rename(path.join(aside, builtAs), programPath(folder, name)); // a build that was cut never counts
      }
    } finally {
      await rm(aside, { recursive: true, force: true });
    }
  });
}

/** An estimate for people, once there is enough to estimate by. Packages are of all sizes. */
function timeLeft(start: number, done: number): string {
  const spent = (performance.now() - start) / 1000;
  if (spent < 20 || done <= 0) return "";
  const minutes = Math.ceil((spent * (1 - done)) / done / 60);
  return minutes < 2 ? ", a minute or two left" : `, about ${minutes} min left`;
}

/** What tells tests whether Go takes a server's certificates; there once `tlsdial` is built. */
export const tlsDialer = (): string => programPath("tlsdial", "tlsdial");

/** Whether {@link ensureTools} has nothing left to build in these folders. */
export function toolsAreBuilt(wanted: readonly Folder[]): boolean {
  return programs.filter(({ folder }) => wanted.includes(folder)).every(isBuilt);
}

/** The tools with the given parts of Pulumi, and for the others what the lab builds or stands in; built or not. */
export function labTools(official: OfficialPulumi = {}): Tools {
  makeLabFolder();
  const { cli, languageHost, kubernetes, command } = official;
  const built = (name: string): string => `${name} (built from its Go module)`;
  const standIn = (name: string): string => `${name} (a stand-in of the lab's, as it can't be built)`;
  const cliVersion = required("pulumi", "github.com/pulumi/pulumi/pkg/v3").slice(1);
  return {
    kubernetes: folderPath("kubernetes"),
    wcp: programPath("wcp", "wcp"),
    path: [cli ? path.dirname(cli.executable) : folderPath("pulumi"), folderPath("kubernetes")],
    plugins: [
      {
        kind: "language",
        name: "nodejs",
        version: sdkVersion("pulumi"),
        executable: standInProgram("pulumi-language-nodejs", "languageNodejs.ts"),
        ...languageHost,
      },
      {
        kind: "resource",
        name: "kubernetes",
        version: providerVersion(),
        executable: programPath("provider", "pulumi-resource-kubernetes"),
        ...kubernetes,
      },
      {
        kind: "resource",
        name: "command",
        version: sdkVersion("command"),
        executable: standInProgram("pulumi-resource-command", "command.ts"),
        ...command,
      },
    ],
    pulumi: [
      cli ? `CLI ${cli.version} (official)` : built(`CLI ${cliVersion}`),
      languageHost ? "language host (official)" : standIn("language host"),
      kubernetes
        ? `Kubernetes provider ${kubernetes.version} (official)`
        : built(`Kubernetes provider ${providerVersion()}`),
      command ? `command provider ${command.version} (official)` : standIn("command provider"),
    ],
  };
}

/** Set to 1 where only an official Pulumi will do, as in `npm run test:official`. */
export const officialVariable = "TKC_REGISTRY_LAB_OFFICIAL";

let official: Promise<OfficialPulumi> | undefined;

/** The parts of an official Pulumi; looked for once in a process, as providers are slow to tell their version. */
const officialPulumi = (): Promise<OfficialPulumi> =>
  (official ??= process.env[officialVariable] === "1" ? requireOfficialPulumi() : findOfficialPulumi());

/**
 * Makes sure that the programs of the lab are there, building what is missing: minutes the first time, nothing later.
 *
 * @param wanted - Those of which folders; all unless told otherwise.
 * @throws UserError when there is no Go to build with; CommandError when a build fails.
 */
export async function ensureTools(wanted: readonly Folder[] = folders): Promise<Tools> {
  makeLabFolder();
  const found = await officialPulumi();
  const missing = programs.filter(
    (program) =>
      wanted.includes(program.folder) &&
      !isBuilt(program) &&
      !(found.cli && program.folder === "pulumi") &&
      !(found.kubernetes && program.folder === "provider"),
  );
  const modules = [...new Set(missing.map(({ module }) => module))];
  const [newest] = modules.map(goVersion).sort((a, b) => b.localeCompare(a, "en", { numeric: true }));
  if (newest !== undefined) {
    const go = await ensureGo(newest);
    for (const module of modules) {
      await build(
        go,
        module,
        missing.filter((program) => program.module === module),
      );
    }
  }
  return labTools(found);
}

/** Removes what was built from other sources than the current ones. Only where there is no machine: it may run that. */
export async function pruneTools(): Promise<void> {
  const current = folders.map((folder) => path.basename(folderPath(folder)));
  const superseded = readdirSync(toolsFolder).filter(
    (name) => folders.some((folder) => name.startsWith(`${folder}-`)) && !current.includes(name),
  );
  for (const name of superseded) await rm(path.join(toolsFolder, name), { recursive: true, force: true });
}
