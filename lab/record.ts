/**
 * Records what the plugin for commands answers, be it the official one or the lab's stand-in, while the engine works on
 * a stack of commands. The stand-in's test replays such a record of the official plugin.
 */
import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { mkdir, mkdtemp, realpath, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { ResourceProviderService } from "@pulumi/pulumi/proto/provider_grpc_pb";
import { ProviderHandshakeRequest } from "@pulumi/pulumi/proto/provider_pb";
import { labFolder, projectRoot } from "./paths";
import { say, step } from "./progress";
import { pulumi, pulumiEnvironment } from "./pulumi";
import { connectPlugin, type Plugin } from "./standins/rpc/client";
import { normalised, readExchange, recordedMethod, type Exchange } from "./standins/rpc/exchange";
import { serveInBytes } from "./standins/rpc/server";
import { ensureTools } from "./tools";

/** Where a record goes unless told otherwise: never over one that is kept. */
export const defaultRecord = path.join(labFolder, "command.jsonl");

/** What the engine does, in order. What fails does so because a command of the stack does. */
const runs: readonly {
  readonly verb: string;
  readonly stage: number;
  readonly name: string;
  readonly fails?: true;
}[] = [
  { stage: 0, verb: "preview", name: "0-preview" },
  { stage: 0, verb: "up", name: "0-up" },
  { stage: 0, verb: "up", name: "0-again" },
  { stage: 1, verb: "preview", name: "1-preview" },
  { stage: 1, verb: "up", name: "1-up", fails: true },
  { stage: 2, verb: "up", name: "2-up", fails: true },
  { stage: 3, verb: "refresh", name: "3-refresh" },
  { stage: 3, verb: "up", name: "3-up", fails: true },
  { stage: 4, verb: "up", name: "4-up" },
  { stage: 5, verb: "destroy", name: "5-destroy", fails: true },
  { stage: 6, verb: "up", name: "6-up", fails: true },
  { stage: 7, verb: "destroy", name: "7-destroy" },
];

/** A folder to run the commands in, as each record has it: with `sub/file`. */
export async function makeRecordedFolder(): Promise<string> {
  const folder = await realpath(await mkdtemp(path.join(tmpdir(), "tkc-registry-record-")));
  await mkdir(path.join(folder, "sub"));
  await writeFile(path.join(folder, "sub", "file"), "");
  return folder;
}

async function makeProject(): Promise<string> {
  const folder = await makeRecordedFolder();
  const program = path.join(__dirname, "standins", "recordedStack.ts");
  await symlink(path.join(projectRoot, "node_modules"), path.join(folder, "node_modules"));
  await writeFile(
    path.join(folder, "Pulumi.yaml"),
    "name: conformance\nruntime: { name: nodejs, options: { typescript: false } }\n",
  );
  await writeFile(
    path.join(folder, "package.json"),
    JSON.stringify({ name: "conformance", main: "index.js" }),
  );
  await writeFile(
    path.join(folder, "index.js"),
    `require("tsx/cjs");\nrequire(${JSON.stringify(program)});\n`,
  );
  return folder;
}

interface Recorder {
  readonly port: number;
  /** Ends the plugin of a run of the engine, and gives what was recorded of it. */
  endRun(): Promise<Omit<Exchange, "run">[]>;
  stop(): void;
}

/** Stands between the engine and the plugin, and passes on every call as it is. */
async function startRecorder(program: string, cwd: string, env: NodeJS.ProcessEnv): Promise<Recorder> {
  let plugin: Promise<Plugin> | undefined;
  let recorded: Promise<Omit<Exchange, "run">>[] = [];
  const { port, stop } = await serveInBytes(ResourceProviderService, async (call, request) => {
    const name = path.basename(call);
    if (name === "Attach") return Buffer.alloc(0); // the plugin is already told of the engine
    if (name === "Handshake") {
      const engine = ProviderHandshakeRequest.deserializeBinary(request).getEngineAddress();
      plugin ??= connectPlugin(spawn(program, [engine], { cwd, env, stdio: ["pipe", "pipe", "inherit"] }));
    }
    if (!plugin) throw new Error(`${name} came before the engine's handshake`);
    const answer = (await plugin).call(call, request);
    const method = recordedMethod(call);
    if (method !== undefined) recorded.push(readExchange(method, request, answer));
    return answer;
  });
  const stopPlugin = (): void => {
    plugin?.then(
      (started) => started.stop(),
      () => {}, // whoever called it is told
    );
    plugin = undefined;
  };
  return {
    port,
    async endRun() {
      stopPlugin();
      const exchanges = await Promise.all(recorded);
      recorded = [];
      return exchanges.map((exchange) => normalised(exchange, cwd));
    },
    stop() {
      stopPlugin();
      stop();
    },
  };
}

/** Makes a record of the plugin that the engine would run; an exchange that came twice is in it once. */
export async function record(file: string = defaultRecord): Promise<void> {
  const tools = await ensureTools(["pulumi"]);
  accessSync(path.dirname(file), constants.W_OK); // rather now than when all is recorded
  const project = await makeProject();
  const home = await mkdtemp(path.join(tmpdir(), "tkc-registry-record-"));
  const env = pulumiEnvironment(tools, { folder: home });
  const program = tools.plugins.find(({ name }) => name === "command")!.executable;
  const recorder = await startRecorder(program, project, env);
  const recorded = new Map<string, string>();
  try {
    env.PULUMI_DEBUG_PROVIDERS = `command:${recorder.port}`;
    await pulumi(["stack", "init", "conf"], { env, cwd: project });
    for (const { name, verb, stage, fails = false } of runs) {
      await step(`recording ${name}`, async () => {
        const args = verb === "preview" ? [verb] : [verb, "--yes", "--skip-preview"];
        const { code, stdout } = await pulumi(args, {
          env: { ...env, STAGE: String(stage), PULUMI_CONTINUE_ON_ERROR: "true" },
          cwd: project,
          allowFailure: true,
        });
        if ((code !== 0) !== fails) throw new Error(`${name} ended with code ${code}:\n${stdout}`);
      });
      for (const exchange of await recorder.endRun()) {
        const key = JSON.stringify(exchange);
        if (!recorded.has(key)) recorded.set(key, JSON.stringify({ run: name, ...exchange }));
      }
    }
    const aside = `${file}.partial-${process.pid}`;
    await writeFile(aside, [...recorded.values(), ""].join("\n"));
    await rename(aside, file);
  } finally {
    recorder.stop();
    for (const folder of [project, home]) await rm(folder, { recursive: true, force: true });
  }
  say(`${file}: ${recorded.size} exchanges with ${program}`);
}
