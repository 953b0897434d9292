import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, renameSync, symlinkSync } from "node:fs";
import * as path from "node:path";
import { exec, type ExecResult } from "./exec";
import { createFile } from "./wholeFiles";
import { projectRoot, runFolder } from "./paths";
import type { PulumiPlugin, Tools } from "./tools";

export interface PulumiSettings {
  /** Folder for state, passphrase and PULUMI_HOME; made when missing. Default: `pulumi` in the lab's run folder. */
  readonly folder?: string;
  /** The kubeconfig that the program and the plugins read. Default: whatever KUBECONFIG says. */
  readonly kubeconfig?: string;
}

/**
 * Gives a PULUMI_HOME that has just these plugins: a link to the executable of each. Each set has one of its own, as runs of
 * the engine may be reading it.
 */
function homeWith(plugins: readonly PulumiPlugin[], folder: string): string {
  const set = createHash("sha256").update(JSON.stringify(plugins)).digest("hex").slice(0, 12);
  const home = path.join(folder, `home-${set}`);
  for (const { kind, name, version, executable } of plugins) {
    const link = path.join(home, "plugins", `${kind}-${name}-v${version}`, `pulumi-${kind}-${name}`);
    if (existsSync(link)) continue;
    mkdirSync(path.dirname(link), { recursive: true, mode: 0o700 });
    const aside = `${link}.partial-${process.pid}`;
    symlinkSync(executable, aside);
    renameSync(aside, link);
  }
  return home;
}

/**
 * The environment in which `pulumi` works on the lab's stacks: a backend in files, a passphrase made on first use,
 * a PULUMI_HOME of its own, nothing downloaded, and the lab's tools before all else on PATH.
 */
export function pulumiEnvironment(tools: Tools, settings: PulumiSettings = {}): NodeJS.ProcessEnv {
  const folder = settings.folder ?? path.join(runFolder, "pulumi");
  const state = path.join(folder, "state");
  const passphrase = path.join(folder, "passphrase");
  mkdirSync(state, { recursive: true, mode: 0o700 });
  createFile(passphrase, randomBytes(24).toString("base64url"));
  return {
    ...process.env,
    PATH: [...tools.path, process.env.PATH ?? ""].join(path.delimiter),
    PULUMI_HOME: homeWith(tools.plugins, folder),
    // Without metadata: a kill could leave an empty file of them, and then the state beside it can't be read.
    PULUMI_BACKEND_URL: `file://${state}?metadata=skip`,
    PULUMI_CONFIG_PASSPHRASE: undefined, // it would go before the file
    PULUMI_CONFIG_PASSPHRASE_FILE: passphrase,
    PULUMI_STACK: undefined,
    PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
    PULUMI_IGNORE_AMBIENT_PLUGINS: "true", // those on PATH that are wanted have a link
    PULUMI_SKIP_UPDATE_CHECK: "true",
    KUBECACHEDIR: path.join(folder, "kube-cache"), // where kubectl, whoever runs it, keeps what it learned of an API
    ...(settings.kubeconfig === undefined ? {} : { KUBECONFIG: settings.kubeconfig }),
  };
}

export interface PulumiOptions {
  readonly env: NodeJS.ProcessEnv;
  /** The project's folder. Default: this project's. */
  readonly cwd?: string;
  /** Resolve whatever the exit code is. */
  readonly allowFailure?: boolean;
  /** Seconds; the CLI is killed after that. */
  readonly timeout?: number;
}

/**
 * Runs the Pulumi CLI, such as `pulumi(["stack", "ls"], { env })`, and gives what it printed.
 *
 * @throws CommandError when it fails, unless `allowFailure`.
 */
export function pulumi(
  args: readonly string[],
  { cwd = projectRoot, ...options }: PulumiOptions,
): Promise<ExecResult> {
  return exec("pulumi", [...args, "--non-interactive"], { cwd, ...options });
}
