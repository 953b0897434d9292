import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import * as path from "node:path";
import { type Client, type ExecOptions, type ExecResult, exec } from "./exec";
import { readIfThere, replaceFile } from "./wholeFiles";
import * as lab from "./lab";
import { projectRoot, runFolder } from "./paths";
import { settingsText } from "./settingsFile";
import { onTerminal } from "./terminal";

const stacksFolder = path.join(runFolder, "stacks");

/** The stacks that were made on the lab. */
export function stackNames(): string[] {
  return existsSync(stacksFolder) ? readdirSync(stacksFolder) : [];
}

/** What a run of the Pulumi CLI ended with. `output` is stdout and stderr as they came, without colours. */
export interface Run {
  readonly code: number;
  readonly output: string;
}

export interface LabStackOptions {
  /** The name of the folder of its settings, where another stack has its name. Default: its name. */
  readonly folder?: string;
  /** The folder of the project that it is a stack of. Default: this project's. */
  readonly project?: string;
  /** Kubeconfigs whose contexts it needs beside the operator's. */
  readonly kubeconfigs?: readonly string[];
  /** Environment variables that its program needs. */
  readonly env?: NodeJS.ProcessEnv;
}

/** Commands that take the stack's settings from a file given to them. */
const takeSettingsFile = new Set(["up", "preview", "destroy", "refresh", "config"]);

/**
 * A stack of a project on the lab: the plain Pulumi CLI, run in the project's folder, with the stack's settings file in the
 * lab's own folder, so that the project stays as it is.
 */
export class LabStack {
  private readonly folder: string;
  /** What `--config-file` is given. */
  readonly settingsFile: string;

  constructor(
    readonly name: string,
    private readonly options: LabStackOptions = {},
  ) {
    this.folder = path.join(stacksFolder, options.folder ?? name);
    this.settingsFile = path.join(this.folder, `Pulumi.${name}.yaml`);
  }

  private get project(): string {
    return this.options.project ?? projectRoot;
  }

  /** Whether the stack was made. */
  get exists(): boolean {
    return existsSync(this.settingsFile);
  }

  /** Replaces the stack's settings; makes the stack first where there is none. Names are without the namespace. */
  async configure(
    settings: Readonly<Record<string, unknown>>,
    passwords: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    if (!this.exists) {
      mkdirSync(this.folder, { recursive: true });
      // It writes the stack's encryption salt beside the Pulumi.yaml that it finds, after the state: a kill in between
      // leaves a stack without settings.
      copyFileSync(path.join(this.project, "Pulumi.yaml"), path.join(this.folder, "Pulumi.yaml"));
      await exec("pulumi", ["stack", "select", "--create", this.name, "--non-interactive"], {
        cwd: this.folder,
        env: await this.environment(),
      });
    }
    replaceFile(this.settingsFile, settingsText(readIfThere(this.settingsFile) ?? "", settings));
    for (const [host, password] of Object.entries(passwords)) {
      // By stdin, as a person would type it: arguments can be seen by every user of the machine.
      await this.cli(["config", "set", "--secret", "--path", `passwords["${host}"]`], { input: password });
    }
  }

  private arguments(args: readonly string[]): string[] {
    const withSettings = takeSettingsFile.has(args[0] ?? "") ? ["--config-file", this.settingsFile] : [];
    return [...args, ...withSettings];
  }

  private async environment(): Promise<NodeJS.ProcessEnv> {
    const { env } = await lab.operator();
    const kubeconfigs = [env["KUBECONFIG"], ...(this.options.kubeconfigs ?? [])];
    return {
      ...env,
      KUBECONFIG: kubeconfigs.join(path.delimiter),
      ...this.options.env,
      PULUMI_STACK: this.name,
    };
  }

  /** `pulumi ARGS…` on this stack, for those who run it themselves. */
  async command(args: readonly string[]): Promise<Required<Client>> {
    return {
      argv: ["pulumi", ...this.arguments(args), "--non-interactive", "--color", "never"],
      cwd: this.project,
      env: await this.environment(),
    };
  }

  /** Forgets the stack, whatever its state holds. */
  async remove(): Promise<void> {
    if (!this.exists) return;
    await this.cli(["stack", "rm", "--yes", "--force", "--preserve-config"]);
    rmSync(this.folder, { recursive: true });
  }

  /** @returns The stack under its new name. */
  async rename(name: string): Promise<LabStack> {
    await this.cli(["stack", "rename", name]);
    const renamed = new LabStack(name, this.options);
    renameSync(this.folder, renamed.folder);
    renameSync(path.join(renamed.folder, path.basename(this.settingsFile)), renamed.settingsFile);
    return renamed;
  }

  /** The id of the stack's nodes. */
  async id(): Promise<string> {
    const { deployment } = JSON.parse(await this.state()) as {
      deployment: { resources: { urn: string; outputs?: { stdout?: string } }[] };
    };
    const identity = /\bcommand:local:Command::\S+-identity$/;
    return deployment.resources.find(({ urn }) => identity.test(urn))!.outputs!.stdout!;
  }

  /** Runs the Pulumi CLI for this stack on the terminal, for a person. Gives its exit code. */
  async onTerminal(args: readonly string[]): Promise<number> {
    const argv = ["pulumi", ...this.arguments(args)] as const;
    return await onTerminal({ argv, cwd: this.project, env: await this.environment() });
  }

  /** Runs a command that changes the stack, and gives its exit code. Each of the engine's events is a line of JSON. */
  async followed(args: readonly string[], onLine: (line: string) => void): Promise<number> {
    return await onTerminal(await this.command([...args, "--json"]), onLine);
  }

  private async cli(args: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    const { argv, cwd, env } = await this.command(args);
    const [program, ...rest] = argv;
    return await exec(program, rest, { cwd, ...options, env: { ...env, ...options.env } });
  }

  private async run(args: readonly string[], env: NodeJS.ProcessEnv): Promise<Run> {
    const lines: string[] = [];
    const { code } = await this.cli(args, { env, allowFailure: true, onLine: (line) => lines.push(line) });
    return { code, output: lines.join("\n") };
  }

  async preview(env: NodeJS.ProcessEnv = {}): Promise<Run> {
    return await this.run(["preview", "--diff"], env);
  }

  async up(env: NodeJS.ProcessEnv = {}, options: readonly string[] = []): Promise<Run> {
    return await this.run(["up", "--yes", "--skip-preview", "--continue-on-error", ...options], env);
  }

  async destroy(env: NodeJS.ProcessEnv = {}): Promise<Run> {
    return await this.run(["destroy", "--yes", "--skip-preview", "--continue-on-error"], env);
  }

  /** Takes the lock of a run that was killed away. */
  async cancel(): Promise<void> {
    await this.cli(["cancel", "--yes"]);
  }

  /** The state as it is stored: secrets encrypted. */
  async state(): Promise<string> {
    return (await this.cli(["stack", "export"])).stdout;
  }

  /** The types of the resources in the state, but for the stack itself and the engine's record of its own reads. */
  async resourceTypes(): Promise<readonly string[]> {
    const state = JSON.parse(await this.state()) as { deployment?: { resources?: { type: string }[] } };
    return (state.deployment?.resources ?? [])
      .map(({ type }) => type)
      .filter((type) => type !== "pulumi:pulumi:Stack" && type !== "pulumi:providers:pulumi");
  }

  /** How many resources the state holds, the stack itself not counted. */
  async resourceCount(): Promise<number> {
    return (await this.resourceTypes()).length;
  }

  async outputs(): Promise<Record<string, unknown>> {
    return JSON.parse((await this.cli(["stack", "output", "--json"])).stdout) as Record<string, unknown>;
  }
}
