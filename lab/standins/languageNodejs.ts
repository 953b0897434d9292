/**
 * `pulumi-language-nodejs`: runs a Node.js program for the Pulumi CLI as the official language host does, with the
 * SDK's own entry point `@pulumi/pulumi/cmd/run`.
 */
import { spawn, type ChildProcess, type SpawnOptions } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import * as path from "node:path";
import {
  status,
  type handleUnaryCall,
  type ServerWritableStream,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { LanguageRuntimeService } from "@pulumi/pulumi/proto/language_grpc_pb";
import * as proto from "@pulumi/pulumi/proto/language_pb";
import { PluginInfo } from "@pulumi/pulumi/proto/plugin_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { servePolicyPack } from "./policyPack";
import { requiredPackages } from "./requiredPackages";
import { engineAddress, servePlugin } from "./rpc/server";
import { readStruct } from "./rpc/values";
import { sdkVersion } from "./versions";

/** The SDK ends with this code when it has already told the user what went wrong (`@pulumi/pulumi/cmd/run`). */
const errorAlreadyShown = 32;

const programs = new Set<ChildProcess>();

/** Starts Node.js; the process ends with this one. */
function startNode(args: readonly string[], options: SpawnOptions): ChildProcess {
  const program = spawn(process.execPath, args, options);
  programs.add(program);
  program.on("close", () => programs.delete(program));
  return program;
}

/** An entry point of the SDK that the program in a folder uses. */
const entryPoint = (name: string, folder: string): string =>
  createRequire(path.join(folder, "index.js")).resolve(`@pulumi/pulumi/cmd/${name}`);

/** The options under `runtime` in `Pulumi.yaml`, `PulumiPolicy.yaml` or `PulumiPlugin.yaml`. */
function runtimeOptions(info: proto.ProgramInfo | undefined): {
  readonly nodeArgs: readonly string[];
  readonly env: NodeJS.ProcessEnv;
} {
  const { nodeargs, typescript, tsconfig } = readStruct(info?.getOptions());
  return {
    nodeArgs: typeof nodeargs === "string" ? nodeargs.split(/\s+/).filter(Boolean) : [],
    env: {
      PULUMI_NODEJS_TYPESCRIPT: String(typescript !== false),
      ...(typeof tsconfig === "string" ? { PULUMI_NODEJS_TSCONFIG_PATH: tsconfig } : {}),
    },
  };
}

function commandLine(request: proto.RunRequest): string[] {
  const info = request.getInfo();
  const programFolder = info?.getProgramDirectory() ?? request.getPwd();
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
    ...runtimeOptions(info).nodeArgs,
    entryPoint("run", programFolder),
    ...flags.flatMap(([name, value]) => (value ? [`--${name}`, value] : [])),
    ...(request.getDryrun() ? ["--dry-run"] : []),
    info?.getEntryPoint() ?? (request.getProgram() || "."),
    ...request.getArgsList(),
  ];
}

function environment(request: proto.RunRequest): NodeJS.ProcessEnv {
  return {
    ...process.env,
    PULUMI_CONFIG: JSON.stringify(Object.fromEntries(request.getConfigMap().getEntryList())),
    PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(request.getConfigsecretkeysList()),
    ...runtimeOptions(request.getInfo()).env,
  };
}

type Ending = [code: number | null, signal: NodeJS.Signals | null];

const ending = (program: ChildProcess): Promise<Ending> =>
  new Promise((resolve, reject) => {
    program.on("error", reject).on("close", (...how) => resolve(how));
  });

async function run(request: proto.RunRequest): Promise<proto.RunResponse> {
  const response = new proto.RunResponse();
  try {
    const program = startNode(commandLine(request), {
      env: environment(request),
      stdio: ["ignore", "inherit", "inherit"],
    });
    const [code, signal] = await ending(program);
    if (code === errorAlreadyShown) response.setBail(true);
    else if (code !== 0) response.setError(`Program ended with ${signal ?? `exit code ${code}`}`);
  } catch (error) {
    response.setError(`Program could not be started: ${(error as Error).message}`);
  }
  return response;
}

type PluginCall = ServerWritableStream<proto.RunPluginRequest, proto.RunPluginResponse>;

/**
 * Runs a plugin that is a Node.js program, until it ends or the engine has enough of it. What it prints goes to the
 * engine, and first of all its port.
 */
async function runPlugin(call: PluginCall): Promise<void> {
  const { request } = call;
  const info = request.getInfo();
  const folder = info?.getProgramDirectory() ?? request.getPwd();
  const isPolicyPack = request.getKind() === "analyzer";
  const { nodeArgs, env } = runtimeOptions(info);
  const given = Object.fromEntries(
    request.getEnvList().map((each) => {
      const split = each.indexOf("=");
      return [each.slice(0, split), each.slice(split + 1)];
    }),
  );
  const print = (stream: "Stdout" | "Stderr", text: string | Buffer): void => {
    const response = new proto.RunPluginResponse();
    response[`set${stream}`](Buffer.from(text));
    call.write(response);
  };
  const start = (stack: NodeJS.ProcessEnv): ChildProcess => {
    const args = request.getArgsList();
    const program = startNode(
      [
        entryPoint(isPolicyPack ? "run-policy-pack" : "run-plugin", folder),
        ...nodeArgs, // where the official language host has them: for the entry point, not for Node.js
        ...(isPolicyPack ? [...args, folder] : [folder, ...args]),
      ],
      {
        cwd: isPolicyPack ? folder : request.getPwd(),
        env: { ...given, ...env, ...stack },
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    call.on("cancelled", () => program.kill());
    program.stderr!.on("data", (chunk: Buffer) => print("Stderr", chunk));
    ending(program).then(
      ([code, signal]) =>
        code === 0 ? call.end() : fail(`Program ended with ${signal ?? `exit code ${code}`}`),
      (error: unknown) => fail(`Program could not be started: ${(error as Error).message}`),
    );
    return program;
  };
  const fail = (details: string): void => void call.emit("error", { code: status.UNKNOWN, details });
  try {
    if (isPolicyPack) {
      const pack = await servePolicyPack(start, (line) => print("Stdout", `${line}\n`));
      call.on("cancelled", () => pack.stop());
      print("Stdout", `${pack.port}\n`);
    } else start({}).stdout!.on("data", (chunk: Buffer) => print("Stdout", chunk));
  } catch (error) {
    fail((error as Error).message);
  }
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

type Handler<Request, Response> = handleUnaryCall<Request, Response>;

const answer =
  <Request, Response>(make: (request: Request) => Response): Handler<Request, Response> =>
  (call, callback) =>
    callback(null, make(call.request));

const implementation: UntypedServiceImplementation = {
  handshake: answer(() => new proto.LanguageHandshakeResponse()),
  getPluginInfo: answer(() => {
    const info = new PluginInfo();
    info.setVersion(sdkVersion("pulumi"));
    return info;
  }),
  getRequiredPackages: answer((request: proto.GetRequiredPackagesRequest) => {
    const response = new proto.GetRequiredPackagesResponse();
    response.setPackagesList(requiredPackages(request.getInfo()?.getProgramDirectory() ?? "."));
    return response;
  }),
  runPlugin: (call: PluginCall) => void runPlugin(call),
  run: ((call, callback) => {
    void run(call.request).then((response) => callback(null, response));
  }) satisfies Handler<proto.RunRequest, proto.RunResponse>,
  installDependencies: (call: ServerWritableStream<unknown, unknown>) => call.end(), // `npm ci` is ours to run
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
