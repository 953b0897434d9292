/** The lab's command line: see `--help`. */
import { parseArgs } from "node:util";
import { UserError } from "../support/errors";
import { asActivity } from "./activity";
import { demonstrate, ensureLabStack, labStack } from "./demonstrate";
import * as lab from "./lab";
import { assertNotOfTests } from "./lock";
import { endOnSignals, fail, isInterrupted } from "./program";
import { readShellArguments, shellOn } from "./machineShell";
import { loginArguments } from "./operator";
import { say } from "./progress";
import { pulumi } from "./pulumi";
import { record } from "./record";
import { environmentCommands, quote } from "./shell";
import { nodeOses, stateFile, type NodeOs } from "./state";
import { cliOnTerminal } from "./terminal";
import { registryNames, type RegistryName } from "./topology";
import { labProblem } from "./problems";

const help = `Usage: npm run lab [-- VERB]

A vSphere with Tanzu in miniature on this machine: a Supervisor, a workload cluster, two registries.

  (no verb) [--verbose]      bring it up and run the whole demonstration; --verbose shows all that
                             the engine prints
  up                         bring it up; resumes what was interrupted or killed
  status                     machines, nodes, registries, stacks
  env                        what a shell needs: eval "$(npm run --silent lab -- env)"
  login                      log in to the Supervisor anew, as \`npm run login\` does for a person
  pulumi ARGS...             run the Pulumi CLI on the lab's stack
  shell NAME [-- COMMAND...] root's shell on a node, on "supervisor" or on "registries", or one
                             command there; a part of a name will do that no other has
  add-worker [--os OS]       a new worker (${nodeOses.join(", ")}; default ${nodeOses[0]!})
  remove-node NAME           remove a worker, its Node object and its machine
  replace-node NAME [--new-address]
                             a new machine of the same name, at the same address or at a new one
  next-ca [REGISTRY]         the authority that the next rotate-ca brings, to be trusted beforehand
  rotate-ca [REGISTRY]       a new authority for a registry (${registryNames.join(", ")}; default ${registryNames[0]!})
  record [FILE]              record what the command plugin answers (in lab/.lab/command.jsonl)
  down [--purge]             take everything down; --purge also removes what was built
`;

function badUsage(seen: string): UserError {
  return labProblem.error("lab-usage", { subject: "npm run lab", seen });
}

/** The value if it is one of those allowed. */
function oneOf<T extends string>(what: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((each) => each === value);
  if (found === undefined) throw badUsage(`${what} "${value}" is none of ${allowed.join(", ")}`);
  return found;
}

interface Arguments {
  readonly positionals: readonly string[];
  readonly values: Readonly<Record<string, string | boolean | undefined>>;
}

interface Verb {
  /** How many words may follow. */
  readonly words?: readonly [least: number, most: number];
  readonly options?: NonNullable<Parameters<typeof parseArgs>[0]>["options"];
  readonly run: (args: Arguments) => Promise<void>;
}

const verbs: Readonly<Record<string, Verb>> = {
  up: { run: () => lab.up() },
  status: { run: showStatus },
  env: { run: showEnvironment },
  login: {
    run: async () => {
      const { stdout, stderr } = await lab.logIn();
      process.stderr.write(stderr);
      process.stdout.write(stdout);
    },
  },
  "add-worker": {
    options: { os: { type: "string" } },
    run: async ({ values }) => {
      const os = typeof values["os"] === "string" ? oneOf<NodeOs>("--os", values["os"], nodeOses) : undefined;
      process.stdout.write(`${await lab.addWorker(os === undefined ? {} : { os })}\n`);
    },
  },
  "remove-node": { words: [1, 1], run: ({ positionals: [name] }) => lab.removeNode(name!) },
  "replace-node": {
    words: [1, 1],
    options: { "new-address": { type: "boolean" } },
    run: async ({ positionals: [name], values }) => {
      await lab.replaceNode(name!, { newAddress: values["new-address"] === true });
    },
  },
  "next-ca": {
    words: [0, 1],
    run: async ({ positionals: [name = "harbor"] }) => {
      const { caFile, caSha256 } = await lab.nextCa(oneOf<RegistryName>("registry", name, registryNames));
      process.stdout.write(`${caFile}: next authority, SHA-256 ${caSha256}\n`);
    },
  },
  "rotate-ca": {
    words: [0, 1],
    run: async ({ positionals: [name = "harbor"] }) => {
      const info = await lab.rotateCa(oneOf<RegistryName>("registry", name, registryNames));
      process.stdout.write(`${info.host}: new authority, SHA-256 ${info.caSha256}\n`);
    },
  },
  record: { words: [0, 1], run: ({ positionals: [file] }) => record(file) },
  down: {
    options: { purge: { type: "boolean" } },
    run: async ({ values }) => {
      await lab.down({ purge: values["purge"] === true });
      const kept = lab.keptFolder();
      if (kept !== undefined)
        say(`Nothing is left but what was built, in ${kept} (\`down --purge\` removes it too).`);
    },
  },
};

async function showStatus(): Promise<void> {
  const { machines, nodes, registries } = await lab.status();
  const sections = { Machines: machines, Nodes: nodes, Registries: registries };
  for (const [title, parts] of Object.entries(sections)) {
    process.stdout.write(`${title}\n`);
    for (const { name, detail, healthy } of parts)
      process.stdout.write(`  ${healthy ? "✓" : "✗"} ${name}  ${detail}\n`);
  }
  if (![...machines, ...nodes, ...registries].every(({ healthy }) => healthy)) {
    process.exitCode = 1;
    return;
  }
  const { env } = await lab.operator();
  const { stdout } = await pulumi(["stack", "ls"], { env });
  process.stdout.write(`Stacks\n${stdout.replace(/^/gm, "  ").trimEnd()}\n`);
}

/** Prints shell commands: what differs from the caller's own environment, and what to do with it. */
async function showEnvironment(): Promise<void> {
  const { env } = await lab.operator();
  await ensureLabStack();
  const login = lab.supervisorLogin();
  const [byHand, caFile] = [
    loginArguments({ ...login, caFile: '"$TKC_LAB_SUPERVISOR_CA"' }).join(" "),
    login.caFile,
  ];
  process.stdout.write(`${environmentCommands(env, process.env).join("\n")}
export TKC_LAB_SETTINGS=${quote(labStack.settingsFile)}
export TKC_LAB_SUPERVISOR_CA=${quote(caFile)}
# The lab's stack:  pulumi preview --stack ${labStack.name} --config-file "$TKC_LAB_SETTINGS"
# A stack of yours: pulumi stack init dev
# Log in anew:      npm run lab -- login
# By hand:          npm run login -- ${byHand}
# The password of ${login.user} is "vcenter" in ${stateFile}
`);
}

const isDemonstration = ([first, ...rest]: readonly string[]): boolean =>
  (first === undefined || first === "--verbose") && rest.length === 0;

async function main(argv: readonly string[]): Promise<void> {
  const [name = "", ...rest] = argv;
  if (isDemonstration(argv)) return demonstrate({ verbose: name === "--verbose" });
  if (name === "--help" || name === "-h" || name === "help") {
    process.stdout.write(help);
    return;
  }
  if (name === "pulumi") {
    await assertNotOfTests();
    await ensureLabStack();
    process.exitCode = await labStack.onTerminal(rest);
    return;
  }
  if (name === "shell") {
    const args = readShellArguments(rest);
    if (typeof args === "string") throw badUsage(args);
    process.exitCode = await shellOn(args);
    return;
  }
  const verb = Object.hasOwn(verbs, name) ? verbs[name] : undefined;
  if (!verb) throw badUsage(`there is no verb "${name}"`);
  await verb.run(readArguments(name, verb, rest));
}

function readArguments(
  name: string,
  { words: [least, most] = [0, 0], options = {} }: Verb,
  rest: string[],
): Arguments {
  let parsed;
  try {
    parsed = parseArgs({ args: rest, options, allowPositionals: true });
  } catch (error) {
    throw badUsage(`${name}: ${(error as Error).message}`);
  }
  const { length } = parsed.positionals;
  if (length < least) throw badUsage(`${name} needs a name`);
  if (length > most) throw badUsage(`${name} takes ${most === 0 ? "no name" : "one name"}`);
  return parsed as Arguments;
}

endOnSignals(async () => {
  const shown = isDemonstration(process.argv.slice(2));
  // What has the terminal says itself that it ends; how the demonstration goes on is said once that has ended.
  const later = cliOnTerminal() !== undefined;
  const tell = (): void =>
    say(
      `\nInterrupted. \`npm run lab${shown ? "" : " -- up"}\` goes on from here, \`npm run lab -- down\` takes everything down.`,
    );
  if (!later) tell();
  await lab.interrupt();
  if (later && shown) tell();
});

// Whoever reads what is printed may stop reading: `npm run lab -- status | head -3`. A terminal may be gone. An engine that
// runs is not left alone: it would end with its own output, and leave its lock.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  void Promise.resolve(cliOnTerminal()).then(() => {
    if (!isInterrupted()) process.exit(error.code === "EPIPE" ? 0 : 1);
  });
});
process.stderr.on("error", () => {});

asActivity(() => main(process.argv.slice(2))).catch((error: unknown) => {
  fail(error);
  if (!isInterrupted()) process.exit(); // whatever is still open
});
