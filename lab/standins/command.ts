/**
 * `pulumi-resource-command`: `command:local:Command` as the official plugin answers; a test replays a record of it. And
 * `command:local:run`, which logs nothing here.
 * Asset and archive paths, which the stack doesn't use, are refused.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { serveProvider, type ResourceProvider } from "./rpc/provider";
import { statusLogger } from "./rpc/server";
import { plain, unknown, type Properties } from "./rpc/values";
import { parseUrn } from "./urn";
import { sdkVersion } from "./versions";

interface CommandInputs {
  readonly create?: string;
  readonly update?: string;
  readonly delete?: string;
  readonly environment?: Record<string, string>;
  readonly stdin?: string;
  readonly dir?: string;
  readonly interpreter?: readonly string[];
  readonly logging?: "stdout" | "stderr" | "stdoutAndStderr" | "none";
  readonly addPreviousOutputInEnv?: boolean;
}
interface CommandOutputs {
  readonly stdout?: string;
  readonly stderr?: string;
}

const known = [
  "addPreviousOutputInEnv",
  "create",
  "delete",
  "dir",
  "environment",
  "interpreter",
  "logging",
  "stdin",
  "triggers",
  "update",
];

const showStatus = statusLogger();
const running = new Set<ChildProcess>();

function previousOutput(inputs: CommandInputs, previous: CommandOutputs): NodeJS.ProcessEnv {
  if (inputs.addPreviousOutputInEnv === false) return {};
  return {
    ...(previous.stdout ? { PULUMI_COMMAND_STDOUT: previous.stdout } : {}),
    ...(previous.stderr ? { PULUMI_COMMAND_STDERR: previous.stderr } : {}),
  };
}

/** The longest line that the official plugin logs; a longer one hangs it for ever. */
const longestLine = 64 * 1024 - 1;

/** Calls `print` with each whole line, and with what is left at the end. */
function lines(print: (line: string) => void): { add(chunk: string): void; end(): void } {
  let partial = "";
  return {
    add(chunk) {
      const parts = (partial + chunk).split("\n");
      if (parts.some((line) => Buffer.byteLength(line) > longestLine))
        throw new Error("a line of 64 KiB or more, which would hang the official plugin for ever");
      partial = parts.pop() ?? "";
      parts.forEach(print);
    },
    end() {
      if (partial !== "") print(partial);
    },
  };
}

/** What Go, and so the official plugin, calls the signals that end a command. */
const signalNames: Partial<Record<NodeJS.Signals, string>> = {
  SIGABRT: "aborted",
  SIGHUP: "hangup",
  SIGINT: "interrupt",
  SIGKILL: "killed",
  SIGPIPE: "broken pipe",
  SIGSEGV: "segmentation fault",
  SIGTERM: "terminated",
};

async function run(
  urn: string,
  command: string,
  inputs: CommandInputs,
  previous: CommandOutputs,
): Promise<Required<CommandOutputs>> {
  const [program = "/bin/sh", ...args] = inputs.interpreter?.length ? inputs.interpreter : ["/bin/sh", "-c"];
  const child = spawn(program, [...args, command], {
    ...(inputs.dir === undefined ? {} : { cwd: inputs.dir }),
    env: { ...process.env, ...inputs.environment, ...previousOutput(inputs, previous) },
    stdio: ["pipe", "pipe", "pipe"],
  });
  running.add(child);
  const output = { stdout: "", stderr: "" };
  let both = "";
  let refusal: string | undefined;
  const log = lines((line) => showStatus(urn, line)); // one for both streams, as in the official plugin
  for (const name of ["stdout", "stderr"] as const) {
    const logged = [undefined, name, "stdoutAndStderr"].includes(inputs.logging);
    child[name].setEncoding("utf8").on("data", (chunk: string) => {
      output[name] += chunk;
      both += chunk;
      if (!logged || refusal !== undefined) return;
      try {
        log.add(chunk);
      } catch (error) {
        refusal = (error as Error).message;
        child.kill("SIGKILL");
      }
    });
  }
  child.stdin.on("error", () => {}); // a command need not read its input
  child.stdin.end(inputs.stdin ?? "");
  const ending = await new Promise<string>((resolve) => {
    child.on("error", (error) => resolve(error.message));
    child.on("close", (code, signal) =>
      resolve(signal === null ? `exit status ${code}` : `signal: ${signalNames[signal] ?? signal}`),
    );
  }).finally(() => running.delete(child));
  log.end();
  if (refusal !== undefined || ending !== "exit status 0")
    throw new Error(`${refusal ?? ending}: running ${JSON.stringify(command)}:\n${both}`);
  return { stdout: output.stdout.replace(/\n$/, ""), stderr: output.stderr.replace(/\n$/, "") };
}

const inputsOf = (properties: Properties): CommandInputs => plain(properties) as CommandInputs;
const outputsOf = (properties: Properties): CommandOutputs => plain(properties) as CommandOutputs;

const makeId = (urn: string): string => `${parseUrn(urn).name}${randomBytes(4).toString("hex")}`;

const provider: ResourceProvider = {
  version: sdkVersion("command"),
  check({ urn, news }) {
    const { type } = parseUrn(urn);
    if (type !== "command:local:Command")
      return Promise.reject(new Error(`the lab's stand-in does not know ${type}`));
    const failures = Object.keys(news)
      .filter((property) => !known.includes(property))
      .map((property) => ({ property, reason: "the lab's stand-in does not know this property" }));
    return Promise.resolve({ inputs: news, failures });
  },
  async create({ urn, news, preview }) {
    const id = makeId(urn);
    if (preview) return { id, properties: { ...news, stdout: unknown, stderr: unknown } };
    const inputs = inputsOf(news);
    const output = inputs.create === undefined ? undefined : await run(urn, inputs.create, inputs, {});
    return { id, properties: { ...news, stdout: "", stderr: "", ...output } };
  },
  read: ({ properties, oldInputs }) => Promise.resolve({ properties, inputs: oldInputs }),
  async update({ urn, olds, news, preview }) {
    if (preview) return { ...news, stdout: unknown, stderr: unknown };
    const inputs = inputsOf(news);
    const previous = outputsOf(olds);
    const command = inputs.update ?? inputs.create;
    if (command === undefined)
      return { ...news, stdout: previous.stdout ?? "", stderr: previous.stderr ?? "" };
    return { ...news, ...(await run(urn, command, inputs, previous)) };
  },
  async delete({ urn, properties }) {
    const inputs = inputsOf(properties);
    if (inputs.delete !== undefined) await run(urn, inputs.delete, inputs, outputsOf(properties));
  },
  async invoke({ token, args }) {
    if (token !== "command:local:run") throw new Error(`the lab's stand-in does not know ${token}`);
    const inputs = inputsOf(args) as CommandInputs & { readonly command: string };
    return { ...args, ...(await run("", inputs.command, { ...inputs, logging: "none" }, {})) };
  },
  cancel: () => running.forEach((child) => child.kill("SIGKILL")),
};

void serveProvider(provider);
