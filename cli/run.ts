/**
 * The commands that a stack's resources run, and those that people run by `npm run`.
 * It never imports the program of the stack. The names and arguments are in
 * state, where `destroy` finds them with no program running: `v1` is the version of that interface.
 *
 * All commands are another bundle: one that another process serves does without.
 */
import { borrow, isRemoval } from "./removals/client";

// The reader of stdout may stop early, as `head` does. The result has no reader then. stderr has only messages: to lose one
// never ends the work on a node.
process.stdout.on("error", ({ code, message }: NodeJS.ErrnoException) => {
  if (code === "EPIPE") process.exit();
  process.stderr.write(`stdout: ${message}\n`);
  process.exit(1);
});
process.stderr.on("error", () => undefined);

async function run(argv: readonly string[]): Promise<void> {
  const code = isRemoval(argv) ? await borrow(argv) : undefined;
  if (code !== undefined) process.exit(code);
  await (await import("./allCommands.js")).runCommand(argv);
}

void run(process.argv.slice(1));
