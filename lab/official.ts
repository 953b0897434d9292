/** Finds the parts of an official Pulumi, which the lab uses rather than its own. */
import { spawn } from "node:child_process";
import { accessSync, constants, existsSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import * as path from "node:path";
import { PluginInfo } from "@pulumi/pulumi/proto/plugin_pb";
import { exec } from "./exec";
import { labFolder } from "./paths";
import { connectPlugin } from "./standins/rpc/client";
import { sdkVersion } from "./standins/versions";
import { labProblem } from "./problems";

export interface OfficialPart {
  readonly executable: string;
  readonly version: string;
}

/** The parts that were found, in versions that fit the project's SDKs. */
export interface OfficialPulumi {
  readonly cli?: OfficialPart;
  readonly languageHost?: OfficialPart;
  readonly kubernetes?: OfficialPart;
  readonly command?: OfficialPart;
}

type PluginName = "kubernetes" | "command";

/** Seconds that a program has to tell its version; a loaded machine needs some for the 150 MB of a provider. */
const versionTimeout = 120;

const major = (version: string): string | undefined => /^v?(\d+)\./.exec(version)?.[1];
const fits = (version: string | undefined, name: PluginName | "pulumi"): boolean =>
  version !== undefined && major(version) === major(sdkVersion(name));

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Where PATH has a program, not counting what is the lab's own: a shell may be set up by `npm run lab -- env`. */
function onPath(env: NodeJS.ProcessEnv, program: string): string | undefined {
  return (env.PATH ?? "")
    .split(path.delimiter)
    .filter((folder) => folder !== "" && !path.resolve(folder).startsWith(labFolder + path.sep))
    .map((folder) => path.join(folder, program))
    .find(isExecutable);
}

/** Asks a plugin for its version, in its own protocol: it has no option for that. */
async function askVersion(executable: string): Promise<string | undefined> {
  const child = spawn(executable, [], { stdio: ["pipe", "pipe", "ignore"], timeout: versionTimeout * 1000 });
  try {
    const plugin = await connectPlugin(child);
    try {
      const answer = await plugin.call("/pulumirpc.ResourceProvider/GetPluginInfo", new Uint8Array());
      return PluginInfo.deserializeBinary(answer).getVersion();
    } finally {
      plugin.stop();
    }
  } catch {
    return undefined; // no plugin, or none that works
  } finally {
    child.kill();
  }
}

/** The newest plugin of the SDK's major version in a plugin folder. */
function installedPlugin(plugins: string, name: PluginName): OfficialPart | undefined {
  const prefix = `resource-${name}-v`;
  if (!existsSync(plugins)) return undefined;
  return readdirSync(plugins)
    .filter((entry) => entry.startsWith(prefix))
    .map((entry) => ({
      executable: path.join(plugins, entry, `pulumi-resource-${name}`),
      version: entry.slice(prefix.length),
    }))
    .filter(({ executable, version }) => isExecutable(executable) && fits(version, name))
    .sort((a, b) => b.version.localeCompare(a.version, "en", { numeric: true }))[0];
}

/** The plugin that the engine would use: the one on PATH, else an installed one. */
async function plugin(env: NodeJS.ProcessEnv, name: PluginName): Promise<OfficialPart | undefined> {
  const executable = onPath(env, `pulumi-resource-${name}`);
  if (executable !== undefined) {
    const version = await askVersion(executable);
    return version !== undefined && fits(version, name) ? { executable, version } : undefined;
  }
  const ownHome = env.PULUMI_HOME?.startsWith(labFolder + path.sep) === true;
  const home = !ownHome && env.PULUMI_HOME ? env.PULUMI_HOME : path.join(env.HOME || homedir(), ".pulumi");
  return installedPlugin(path.join(home, "plugins"), name);
}

async function findCli(env: NodeJS.ProcessEnv): Promise<OfficialPart | undefined> {
  const executable = onPath(env, "pulumi");
  if (executable === undefined) return undefined;
  const { stdout, code } = await exec(executable, ["version"], {
    env: { ...env, PULUMI_SKIP_UPDATE_CHECK: "true" },
    allowFailure: true,
    timeout: versionTimeout,
  });
  const version = stdout.trim().replace(/^v/, "");
  return code === 0 && fits(version, "pulumi") ? { executable, version } : undefined;
}

/** Each part on its own: one that is missing, or of another major version than the project's SDK, is left out. */
export async function findOfficialPulumi(env: NodeJS.ProcessEnv = process.env): Promise<OfficialPulumi> {
  const host = onPath(env, "pulumi-language-nodejs"); // it tells no version; it is released with the CLI
  const [cli, kubernetes, command] = await Promise.all([
    findCli(env),
    plugin(env, "kubernetes"),
    plugin(env, "command"),
  ]);
  return {
    ...(cli ? { cli } : {}),
    ...(host === undefined
      ? {}
      : { languageHost: { executable: host, version: cli?.version ?? sdkVersion("pulumi") } }),
    ...(kubernetes ? { kubernetes } : {}),
    ...(command ? { command } : {}),
  };
}

/**
 * The parts of an official Pulumi, all of them.
 *
 * @throws UserError that names those that are missing.
 */
export async function requireOfficialPulumi(env?: NodeJS.ProcessEnv): Promise<Required<OfficialPulumi>> {
  const found = await findOfficialPulumi(env);
  const programs = {
    cli: "pulumi",
    languageHost: "pulumi-language-nodejs",
    kubernetes: "pulumi-resource-kubernetes",
    command: "pulumi-resource-command",
  } as const;
  const missing = (Object.keys(programs) as (keyof typeof programs)[]).filter((part) => !found[part]);
  if (missing.length > 0) {
    throw labProblem.error("lab-official-missing", {
      subject: "official Pulumi",
      seen: `these were not found, or are of another major version than the project's SDK: ${missing.map((part) => programs[part]).join(", ")}`,
    });
  }
  return found as Required<OfficialPulumi>;
}
