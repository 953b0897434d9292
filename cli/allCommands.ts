/** All commands, each of which loads what it needs. */
import { UserError } from "../support/errors";
import { defectText } from "../support/secrets";
import { nodeProblem } from "../nodes/problems";

type Command = (args: readonly string[]) => Promise<void>;

const commands: Record<string, () => Promise<Command>> = {
  "v1 ca": async () => (await import("./nodeCommands.js")).caAlone,
  "v1 canary": async () => (await import("./nodeCommands.js")).canary,
  "v1 check-removal": async () => (await import("./removalCheck.js")).checkRemoval,
  "v1 check-settings": async () => (await import("./checkSettings.js")).checkSettings,
  "v1 containerd": async () => (await import("./nodeCommands.js")).containerd,
  "v1 service-account": async () => (await import("./serviceAccountCommand.js")).serviceAccount,
  "v1 forget": async () => (await import("./forget.js")).forget,
  "v1 init": async () => (await import("./init/init.js")).init,
  "v1 login": async () => (await import("./loginCommand.js")).loginCommand,
  "v1 serve-removals": async () => (await import("./removals/server.js")).serveRemovals,
  "v1 review": async () => (await import("./review/review.js")).review,
  "v1 show-ca": async () => (await import("./ca/showCa.js")).showCa,
  "v1 wave": async () => (await import("./nodeCommands.js")).wave,
  "v1 verify": async () => (await import("./verify/verify.js")).verify,
};

async function main(argv: readonly string[]): Promise<void> {
  const [version = "", name = "", ...args] = argv;
  const load = commands[`${version} ${name}`];
  if (!load) {
    throw nodeProblem.error(
      "unknown-command",
      { subject: `command "${version} ${name}"`, seen: "this release of tkc-registry does not know it" },
      "installed",
      Object.keys(commands),
    );
  }
  await (
    await load()
  )(args);
}

const report = (error: unknown): void =>
  void process.stderr.write(`${error instanceof UserError ? error.message : defectText(error)}\n`);

/** Runs a command, and prints what it fails with. */
export async function runCommand(argv: readonly string[]): Promise<void> {
  // A defect in a callback: there is nobody else to print it.
  process.on("uncaughtException", (error) => {
    report(error);
    process.exit(process.exitCode ?? 1);
  });
  try {
    await main(argv);
  } catch (error) {
    report(error);
    process.exitCode ??= 1;
  }
}
