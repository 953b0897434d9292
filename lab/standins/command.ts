/**
 * `pulumi-resource-command`: `command:local:Command` as `@pulumi/command` documents it. Asset and archive paths,
 * which the stack doesn't use, are refused.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { diffInputs } from "./rpc/diff";
import { serveProvider, type ResourceProvider } from "./rpc/provider";
import { engineLogger } from "./rpc/server";
import { hasSecret, plain, secret, unknown, type Properties } from "./rpc/values";
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

const logger = engineLogger();
const running = new Set<ChildProcess>();

function previousOutput(inputs: CommandInputs, previous: CommandOutputs): NodeJS.ProcessEnv {
  if (inputs.addPreviousOutputInEnv === false) return {};
  return {
    ...(previous.stdout ? { PULUMI_COMMAND_STDOUT: previous.stdout } : {}),
    ...(previous.stderr ? { PULUMI_COMMAND_STDERR: previous.stderr } : {}),
  };
}

/** Calls `print` with each whole line, and with what is left at the end. */
function lines(print: (line: string) => void): { add(chunk: string): void; end(): void } {
  let partial = "";
  return {
    add(chunk) {
      const parts = (partial + chunk).split("\n");
      partial = parts.pop() ?? "";
      parts.forEach(print);
    },
    end() {
      if (partial !== "") print(partial);
    },
  };
}

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
  for (const name of ["stdout", "stderr"] as const) {
    const logged = [undefined, name, "stdoutAndStderr"].includes(inputs.logging);
    const log = lines((line) => logger.status(urn, line));
    child[name].setEncoding("utf8").on("data", (chunk: string) => {
      output[name] += chunk;
      both += chunk;
      if (logged) log.add(chunk);
    });
    child[name].on("end", () => log.end());
  }
  child.stdin.on("error", () => {}); // a command need not read its input
  child.stdin.end(inputs.stdin ?? "");
  const ending = await new Promise<string>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) =>
      resolve(signal === null ? `exit status ${code}` : `signal: ${signal}`),
    );
  }).finally(() => running.delete(child));
  if (ending !== "exit status 0") throw new Error(`${ending}: running ${JSON.stringify(command)}:\n${both}`);
  return { stdout: output.stdout.replace(/\n$/, ""), stderr: output.stderr.replace(/\n$/, "") };
}

/** The state: all inputs, and what the command printed, which is as secret as what it was given. */
function state(inputs: Properties, output: Required<CommandOutputs>): Properties {
  const mark = hasSecret(inputs) ? secret : <T>(value: T): T => value;
  return { ...inputs, stdout: mark(output.stdout), stderr: mark(output.stderr) };
}

const inputsOf = (properties: Properties): CommandInputs => plain(properties) as CommandInputs;
const outputsOf = (properties: Properties): CommandOutputs => plain(properties) as CommandOutputs;

const provider: ResourceProvider = {
  version: sdkVersion("command"),
  diffConfig: (olds, news) => diffInputs(olds, news, () => false),
  configure: () => Promise.resolve(),
  check({ urn, news }) {
    const { type } = parseUrn(urn);
    if (type !== "command:local:Command")
      return Promise.reject(new Error(`the lab's stand-in does not know ${type}`));
    const failures = Object.keys(news)
      .filter((property) => !known.includes(property))
      .map((property) => ({ property, reason: "the lab's stand-in does not know this property" }));
    return Promise.resolve({ inputs: { addPreviousOutputInEnv: true, ...news }, failures });
  },
  diff: ({ oldInputs, news }) => diffInputs(oldInputs, news, ([property]) => property === "triggers"),
  async create({ urn, news, preview }) {
    if (preview) return { id: "", properties: state(news, { stdout: unknown, stderr: unknown }) };
    const inputs = inputsOf(news);
    const output = inputs.create === undefined ? undefined : await run(urn, inputs.create, inputs, {});
    const id = `${parseUrn(urn).name}${randomBytes(4).toString("hex")}`;
    return { id, properties: state(news, output ?? { stdout: "", stderr: "" }) };
  },
  read: ({ properties, oldInputs }) => Promise.resolve({ properties, inputs: oldInputs }),
  async update({ urn, olds, news, preview }) {
    if (preview) return state(news, { stdout: unknown, stderr: unknown });
    const inputs = inputsOf(news);
    const previous = outputsOf(olds);
    const command = inputs.update ?? inputs.create;
    if (command === undefined) return state(news, { stdout: "", stderr: "", ...previous });
    return state(news, await run(urn, command, inputs, previous));
  },
  async delete({ urn, properties }) {
    const inputs = inputsOf(properties);
    if (inputs.delete !== undefined) await run(urn, inputs.delete, inputs, outputsOf(properties));
  },
  cancel: () => running.forEach((child) => child.kill("SIGKILL")),
};

void serveProvider(provider);
