/** Finds an official installation of Pulumi, which the lab uses rather than its own stand-ins. */
import { spawn } from "node:child_process";
import { accessSync, constants, existsSync, readdirSync } from "node:fs";
import * as path from "node:path";
import { createInterface } from "node:readline";
import * as grpc from "@grpc/grpc-js";
import { ResourceProviderClient } from "@pulumi/pulumi/proto/provider_grpc_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { exec } from "./exec";
import { labFolder } from "./paths";
import { sdkVersion } from "./standins/versions";

export interface OfficialPulumi {
  readonly description: string;
  /** Folder of `pulumi`. */
  readonly folder: string;
  /** The folder that holds installed plugins (`resource-kubernetes-v…`), where there is one. */
  readonly plugins?: string;
}

type PluginName = "kubernetes" | "command";

/** Seconds that a plugin on PATH has to tell its version. */
const pluginTimeout = 120;

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
  const child = spawn(executable, [], { stdio: ["pipe", "pipe", "ignore"], timeout: pluginTimeout * 1000 });
  try {
    const port = await new Promise<string>((resolve, reject) => {
      child.on("error", reject).on("exit", () => reject(new Error(`${executable} ended`)));
      createInterface(child.stdout).once("line", resolve);
    });
    const client = new ResourceProviderClient(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
    try {
      return await new Promise<string>((resolve, reject) => {
        const options = { deadline: Date.now() + pluginTimeout * 1000 };
        client.getPluginInfo(new Empty(), new grpc.Metadata(), options, (error, info) =>
          error ? reject(error) : resolve(info.getVersion()),
        );
      });
    } finally {
      client.close();
    }
  } catch {
    return undefined; // no plugin, or none that works
  } finally {
    child.kill();
  }
}

/** The newest plugin of the SDK's major version in a plugin folder. */
function installedVersion(plugins: string, name: PluginName): string | undefined {
  const prefix = `resource-${name}-v`;
  return readdirSync(plugins)
    .filter((entry) => entry.startsWith(prefix))
    .filter((entry) => isExecutable(path.join(plugins, entry, `pulumi-resource-${name}`)))
    .map((entry) => entry.slice(prefix.length))
    .filter((version) => fits(version, name))
    .sort((a, b) => b.localeCompare(a, "en", { numeric: true }))[0];
}

/** The version that the engine would use: of the plugin on PATH, else of an installed one. */
async function pluginVersion(
  env: NodeJS.ProcessEnv,
  plugins: string | undefined,
  name: PluginName,
): Promise<string | undefined> {
  const ambient = onPath(env, `pulumi-resource-${name}`);
  if (ambient !== undefined) {
    const version = await askVersion(ambient);
    return fits(version, name) ? version : undefined;
  }
  return plugins === undefined ? undefined : installedVersion(plugins, name);
}

/** Undefined unless CLI, language host and both plugins are there, in versions that fit the project's SDKs. */
export async function findOfficialPulumi(
  env: NodeJS.ProcessEnv = process.env,
): Promise<OfficialPulumi | undefined> {
  const cli = onPath(env, "pulumi");
  if (cli === undefined || onPath(env, "pulumi-language-nodejs") === undefined) return undefined;
  const ownHome = env.PULUMI_HOME?.startsWith(labFolder + path.sep) === true;
  const home = !ownHome && env.PULUMI_HOME ? env.PULUMI_HOME : path.join(env.HOME ?? "/root", ".pulumi");
  const folder = path.join(home, "plugins");
  const plugins = existsSync(folder) ? folder : undefined;
  const kubernetes = await pluginVersion(env, plugins, "kubernetes");
  const command = await pluginVersion(env, plugins, "command");
  if (kubernetes === undefined || command === undefined) return undefined;
  const { stdout, code } = await exec(cli, ["version"], {
    env: { ...env, PULUMI_SKIP_UPDATE_CHECK: "true" },
    allowFailure: true,
  });
  if (code !== 0 || !fits(stdout, "pulumi")) return undefined;
  const description = `the official Pulumi ${stdout.trim()} with its plugins kubernetes ${kubernetes} and command ${command}`;
  return { description, folder: path.dirname(cli), ...(plugins === undefined ? {} : { plugins }) };
}
