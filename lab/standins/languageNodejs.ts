/**
 * `pulumi-language-nodejs`: runs a Node.js program for the Pulumi CLI as the official language host does, with the
 * SDK's own entry point `@pulumi/pulumi/cmd/run`.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import * as path from "node:path";
import type * as grpc from "@grpc/grpc-js";
import { LanguageRuntimeService } from "@pulumi/pulumi/proto/language_grpc_pb";
import * as proto from "@pulumi/pulumi/proto/language_pb";
import { PluginInfo } from "@pulumi/pulumi/proto/plugin_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { engineAddress, servePlugin } from "./rpc/server";
import { readStruct } from "./rpc/values";
import { sdkVersion } from "./versions";

/** The SDK ends with this code when it has already told the user what went wrong (`@pulumi/pulumi/cmd/run`). */
const errorAlreadyShown = 32;

const programs = new Set<ChildProcess>();

function commandLine(request: proto.RunRequest): string[] {
  const info = request.getInfo();
  const programFolder = info?.getProgramDirectory() ?? request.getPwd();
  const options = readStruct(info?.getOptions());
  const flags: [string, string | undefined][] = [
    ["monitor", request.getMonitorAddress()],
    ["engine", engineAddress()],
    ["organization", request.getOrganization()],
    ["project", request.getProject()],
    ["root-directory", info?.getRootDirectory()],
    ["stack", request.getStack()],
    ["pwd", request.getPwd()],
    ["query-mode", String(request.getQuerymode())],
    ["parallel", String(request.getParallel())],
  ];
  return [
    ...(typeof options.nodeargs === "string" ? options.nodeargs.split(/\s+/).filter(Boolean) : []),
    createRequire(path.join(programFolder, "index.js")).resolve("@pulumi/pulumi/cmd/run"),
    ...flags.flatMap(([name, value]) => (value ? [`--${name}`, value] : [])),
    ...(request.getDryrun() ? ["--dry-run"] : []),
    info?.getEntryPoint() ?? (request.getProgram() || "."),
    ...request.getArgsList(),
  ];
}

function environment(request: proto.RunRequest): NodeJS.ProcessEnv {
  const options = readStruct(request.getInfo()?.getOptions());
  return {
    ...process.env,
    PULUMI_CONFIG: JSON.stringify(Object.fromEntries(request.getConfigMap().getEntryList())),
    PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(request.getConfigsecretkeysList()),
    PULUMI_NODEJS_TYPESCRIPT: String(options.typescript !== false),
    ...(typeof options.tsconfig === "string" ? { PULUMI_NODEJS_TSCONFIG_PATH: options.tsconfig } : {}),
  };
}

async function run(request: proto.RunRequest): Promise<proto.RunResponse> {
  const response = new proto.RunResponse();
  try {
    const program = spawn(process.execPath, commandLine(request), {
      env: environment(request),
      stdio: ["ignore", "inherit", "inherit"],
    });
    programs.add(program);
    const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
      program.on("error", reject).on("close", (...ending) => resolve(ending));
    }).finally(() => programs.delete(program));
    if (code === errorAlreadyShown) response.setBail(true);
    else if (code !== 0) response.setError(`Program ended with ${signal ?? `exit code ${code}`}`);
  } catch (error) {
    response.setError(`Program could not be started: ${(error as Error).message}`);
  }
  return response;
}

interface PackageJson {
  readonly version?: string;
  readonly dependencies?: Record<string, string>;
}
const readPackage = (file: string): PackageJson =>
  existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as PackageJson) : {};

function dependencies(folder: string): proto.GetProgramDependenciesResponse {
  const response = new proto.GetProgramDependenciesResponse();
  for (const name of Object.keys(readPackage(path.join(folder, "package.json")).dependencies ?? {})) {
    const dependency = new proto.DependencyInfo();
    dependency.setName(name);
    dependency.setVersion(readPackage(path.join(folder, "node_modules", name, "package.json")).version ?? "");
    response.addDependencies(dependency);
  }
  return response;
}

type Handler<Request, Response> = grpc.handleUnaryCall<Request, Response>;

const answer =
  <Request, Response>(make: (request: Request) => Response): Handler<Request, Response> =>
  (call, callback) =>
    callback(null, make(call.request));

const implementation: grpc.UntypedServiceImplementation = {
  handshake: answer(() => new proto.LanguageHandshakeResponse()),
  getPluginInfo: answer(() => {
    const info = new PluginInfo();
    info.setVersion(sdkVersion("pulumi"));
    return info;
  }),
  // None is asked for ahead of time: the engine finds each plugin when a resource first needs it, and downloads nothing.
  getRequiredPlugins: answer(() => new proto.GetRequiredPluginsResponse()),
  getRequiredPackages: answer(() => new proto.GetRequiredPackagesResponse()),
  run: ((call, callback) => {
    void run(call.request).then((response) => callback(null, response));
  }) satisfies Handler<proto.RunRequest, proto.RunResponse>,
  installDependencies: (call: grpc.ServerWritableStream<unknown, unknown>) => call.end(), // `npm ci` is ours to run
  about: answer(() => {
    const about = new proto.AboutResponse();
    about.setExecutable(process.execPath);
    about.setVersion(process.version);
    return about;
  }),
  getProgramDependencies: answer((request: proto.GetProgramDependenciesRequest) =>
    dependencies(request.getInfo()?.getProgramDirectory() ?? request.getPwd()),
  ),
  runtimeOptionsPrompts: answer(() => new proto.RuntimeOptionsResponse()),
  cancel: answer(() => new Empty()),
};

process.on("exit", () => programs.forEach((program) => program.kill()));
void servePlugin(LanguageRuntimeService, implementation, () => process.exit());
