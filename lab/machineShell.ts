/** `npm run lab -- shell`: what a person calls a machine, and what runs there. */
import { UserError } from "../support/errors";
import * as lab from "./lab";
import { labProblem } from "./problems";
import { runOnTerminal } from "./terminal";

function badMachine(subject: string, seen: string, names: readonly string[]): UserError {
  return labProblem.error("lab-no-such-machine", { subject, seen }, names);
}

/**
 * The machine of a name, or of a part of a name that no other machine's has.
 *
 * @throws UserError that lists the names.
 */
export function machineCalled(wanted: string, names: readonly string[]): string {
  if (names.includes(wanted)) return wanted;
  const matches = wanted === "" ? [] : names.filter((name) => name.includes(wanted));
  if (matches.length === 1) return matches[0]!;
  throw badMachine(
    `machine ${wanted}`,
    matches.length === 0 ? "the lab has none of that name" : "it may be any of several",
    matches.length === 0 ? names : matches,
  );
}

/** What `shell` is given: a machine's name, and after `--` what is to run there instead of a shell. */
export interface ShellArguments {
  readonly machine: string;
  readonly command?: readonly [program: string, ...args: string[]];
}

/** @returns What is wrong with the arguments, as text, where something is. */
export function readShellArguments(args: readonly string[]): ShellArguments | string {
  const [machine, separator, ...command] = args;
  if (machine === undefined || machine === "--") return "shell needs a machine's name";
  if (machine.startsWith("-")) return `shell takes no ${machine}`;
  if (separator === undefined) return { machine };
  if (separator !== "--") return "shell takes one name, and a command after `--`";
  const [program, ...rest] = command;
  return program === undefined
    ? "shell needs a command after `--`"
    : { machine, command: [program, ...rest] };
}

/** Runs a command as root on a machine, or a shell, on this process's input and output. Gives its exit code. */
export async function shellOn({ machine, command }: ShellArguments): Promise<number> {
  const name = machineCalled(machine, lab.machineNames());
  return await runOnTerminal(await lab.machineCommand(name, command ?? ["bash", "--login"]), {
    closing: "hangs up",
  });
}
