import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readlinkSync, renameSync, rmSync, symlinkSync } from "node:fs";
import * as path from "node:path";
import { currentActivity } from "./activity";
import { CommandError, exec, type ExecResult } from "./exec";
import { createFile } from "./wholeFiles";
import { projectRoot, runFolder } from "./paths";
import type { PulumiPlugin, Tools } from "./tools";

export interface PulumiSettings {
  /** Folder for state, passphrase and PULUMI_HOME; made when missing. Default: `pulumi` in the lab's run folder. */
  readonly folder?: string;
  /** The kubeconfig that the program and the plugins read. Default: whatever KUBECONFIG says. */
  readonly kubeconfig?: string;
}

const linkTarget = (link: string): string | undefined => {
  try {
    return readlinkSync(link);
  } catch {
    return undefined;
  }
};

/**
 * Has the plugin folder of a PULUMI_HOME hold just these: a link to the executable of each. Runs of the engine may be
 * reading it.
 */
function preparePlugins(folder: string, plugins: readonly PulumiPlugin[]): void {
  if (linkTarget(folder) !== undefined) rmSync(folder); // a lab of an earlier release linked to people's own plugins
  const links = new Map(
    plugins.map(({ kind, name, version, executable }) => [
      path.join(`${kind}-${name}-v${version}`, `pulumi-${kind}-${name}`),
      executable,
    ]),
  );
  for (const [name, executable] of links) {
    const link = path.join(folder, name);
    if (linkTarget(link) === executable) continue;
    mkdirSync(path.dirname(link), { recursive: true, mode: 0o700 });
    const aside = `${link}.partial-${process.pid}`;
    symlinkSync(executable, aside);
    renameSync(aside, link);
  }
  const wanted = new Set([...links.keys()].map((name) => path.dirname(name)));
  for (const other of readdirSync(folder).filter((name) => !wanted.has(name)))
    rmSync(path.join(folder, other), { recursive: true, force: true });
}

/**
 * The environment in which `pulumi` works on the lab's stacks: a backend in files, a passphrase made on first use,
 * a PULUMI_HOME of its own, nothing downloaded, and the lab's tools before all else on PATH.
 */
export function pulumiEnvironment(tools: Tools, settings: PulumiSettings = {}): NodeJS.ProcessEnv {
  const folder = settings.folder ?? path.join(runFolder, "pulumi");
  const [home, state, passphrase] = ["home", "state", "passphrase"].map((name) =>
    path.join(folder, name),
  ) as [string, string, string];
  for (const each of [home, state]) mkdirSync(each, { recursive: true, mode: 0o700 });
  preparePlugins(path.join(home, "plugins"), tools.plugins);
  createFile(passphrase, randomBytes(24).toString("base64url"));
  return {
    ...process.env,
    PATH: [...tools.path, process.env.PATH ?? ""].join(path.delimiter),
    PULUMI_HOME: home,
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
  /** `terminal` gives the CLI the terminal itself (progress tree, colours, prompts) and captures nothing; `quiet` only captures. */
  readonly output: "terminal" | "quiet";
  /** Resolve whatever the exit code is. */
  readonly allowFailure?: boolean;
  /** Seconds; the CLI is killed after that. Not with `terminal`. */
  readonly timeout?: number;
}

/** When the CLI that has the terminal ends; undefined while none has it. */
let terminalTaken: Promise<unknown> | undefined;

/**
 * Gives, while the CLI has the terminal, a promise of when it ends: until then Ctrl-C is the CLI's, which ends the
 * update that it runs in order, and a second one at once.
 */
export function cliOnTerminal(): Promise<unknown> | undefined {
  return terminalTaken;
}

/** Signals that come to this process alone. Ctrl-C comes to all programs of a terminal. */
const passedOn: readonly NodeJS.Signals[] = ["SIGTERM", "SIGHUP"];

async function onTerminal(args: readonly string[], { env, cwd }: PulumiOptions): Promise<ExecResult> {
  currentActivity().assertGoesOn();
  const child = spawn("pulumi", args, { env, cwd: cwd ?? projectRoot, stdio: "inherit" });
  const ended = new Promise<number>((resolve, reject) => {
    child.on("error", reject).on("close", (exit) => resolve(exit ?? 1));
  });
  const passOn = (signal: NodeJS.Signals): void => void child.kill(signal);
  // The end of this process is for who has a handler of its own: see `main.ts`.
  const ignore = (): void => {};
  process.on("SIGINT", ignore);
  for (const signal of passedOn) process.on(signal, passOn);
  terminalTaken = ended.catch(() => {});
  try {
    return { code: await ended, stdout: "", stderr: "" };
  } finally {
    terminalTaken = undefined;
    process.off("SIGINT", ignore);
    for (const signal of passedOn) process.off(signal, passOn);
  }
}

/**
 * Runs the Pulumi CLI, such as `pulumi(["stack", "ls"], { env, output: "quiet" })`.
 *
 * @throws CommandError when it fails, unless `allowFailure`.
 */
export async function pulumi(args: readonly string[], options: PulumiOptions): Promise<ExecResult> {
  if (options.output === "terminal") {
    const result = await onTerminal(args, options);
    if (result.code !== 0 && options.allowFailure !== true)
      throw new CommandError(["pulumi", ...args], result);
    return result;
  }
  return exec("pulumi", [...args, "--non-interactive"], {
    env: options.env,
    cwd: options.cwd ?? projectRoot,
    ...(options.allowFailure === undefined ? {} : { allowFailure: options.allowFailure }),
    ...(options.timeout === undefined ? {} : { timeout: options.timeout }),
  });
}
