/** The lab's command line: see `--help`. */
import { type Command, CommanderError } from "commander";
import { commandForPeople, describeMistake, seeHelp } from "../cli/arguments";
import { cliProblem } from "../cli/problems";
import type { UserError } from "../support/errors";
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

function badUsage(seen: string): UserError {
  return cliProblem.error("bad-arguments", { subject: "arguments", seen }, ...seeHelp("lab"));
}

/** The value if it is one of those allowed. */
function oneOf<T extends string>(what: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((each) => each === value);
  if (found === undefined) throw badUsage(`${what} "${value}" is none of ${allowed.join(", ")}`);
  return found;
}

/** The verbs; `pulumi` and `shell` are here for the help only, as what follows them is not for commander. */
function command(): Command {
  const program = commandForPeople("lab", "[VERB]")
    .helpOption("-h, --help", "this text")
    .helpCommand("help [VERB]", "this text, or a verb's")
    .configureHelp({ helpWidth: 100 })
    .description(
      "A vSphere with Tanzu in miniature on this machine: a Supervisor, a workload cluster, two registries. Without a verb: brings it up and runs the whole demonstration; --verbose shows all that the engine prints.",
    );
  program
    .command("demonstrate", { isDefault: true, hidden: true })
    .argument("[VERB...]")
    .option("--verbose")
    .action(async ([verb]: string[], { verbose = false }: { verbose?: boolean }) => {
      if (verb !== undefined && verbose) throw badUsage("--verbose is for the demonstration, without a verb");
      if (verb !== undefined) throw badUsage(`there is no verb "${verb}"`);
      await demonstrate({ verbose });
    });
  program
    .command("up")
    .description("bring it up; resumes what was interrupted or killed")
    .action(() => lab.up());
  program.command("status").description("machines, nodes, registries, stacks").action(showStatus);
  program
    .command("env")
    .description('what a shell needs: eval "$(npm run --silent lab -- env)"')
    .action(showEnvironment);
  program
    .command("login")
    .description("log in to the Supervisor anew, as `npm run login` does for a person")
    .action(async () => {
      const { stdout, stderr } = await lab.logIn();
      process.stderr.write(stderr);
      process.stdout.write(stdout);
    });
  program.command("pulumi").argument("ARGS...").description("run the Pulumi CLI on the lab's stack");
  program
    .command("shell")
    .usage("NAME [-- COMMAND...]")
    .argument("NAME")
    .description(
      'root\'s shell on a node, on "supervisor" or on "registries", or one command there; a part of a name will do that no other has',
    );
  program
    .command("add-worker")
    .description("a new worker")
    .option("--os <OS>", `${nodeOses.join(" or ")} (default ${nodeOses[0]!})`)
    .action(async ({ os }: { os?: string }) => {
      const chosen = os === undefined ? {} : { os: oneOf<NodeOs>("--os", os, nodeOses) };
      process.stdout.write(`${await lab.addWorker(chosen)}\n`);
    });
  program
    .command("remove-node")
    .argument("<NAME>")
    .description("remove a worker, its Node object and its machine")
    .action((name: string) => lab.removeNode(name));
  program
    .command("replace-node")
    .argument("<NAME>")
    .description("a new machine of the same name, at the same address or at a new one")
    .option("--new-address", "at a new address")
    .action(async (name: string, { newAddress = false }: { newAddress?: boolean }) => {
      await lab.replaceNode(name, { newAddress });
    });
  program
    .command("next-ca")
    .argument("[REGISTRY]")
    .description("the authority that the next rotate-ca brings, to be trusted beforehand")
    .action(async (name: string = registryNames[0]!) => {
      const { caFile, caSha256 } = await lab.nextCa(oneOf<RegistryName>("registry", name, registryNames));
      process.stdout.write(`${caFile}: next authority, SHA-256 ${caSha256}\n`);
    });
  program
    .command("rotate-ca")
    .argument("[REGISTRY]")
    .description(`a new authority for a registry (${registryNames.join(", ")}; default ${registryNames[0]!})`)
    .action(async (name: string = registryNames[0]!) => {
      const info = await lab.rotateCa(oneOf<RegistryName>("registry", name, registryNames));
      process.stdout.write(`${info.host}: new authority, SHA-256 ${info.caSha256}\n`);
    });
  program
    .command("record")
    .argument("[FILE]")
    .description("record what the command plugin answers (in lab/.lab/command.jsonl)")
    .action((file?: string) => record(file));
  program
    .command("down")
    .description("take everything down")
    .option("--purge", "also remove what was built")
    .action(async ({ purge = false }: { purge?: boolean }) => {
      await lab.down({ purge });
      const kept = lab.keptFolder();
      if (kept !== undefined)
        say(`Nothing is left but what was built, in ${kept} (\`down --purge\` removes it too).`);
    });
  return program;
}

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
  const program = command();
  try {
    await program.parseAsync(argv, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === "commander.helpDisplayed" || error.code === "commander.help") return;
    const verb = program.commands.find((each) => each.name() === name);
    throw badUsage(`${verb ? `${name}: ` : ""}${describeMistake(error, verb ?? program)}`);
  }
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
