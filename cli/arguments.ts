/**
 * How commands read their arguments, and print their `--help`.
 * It never repeats an argument in a message.
 */
import { Command, CommanderError, type OptionValues } from "commander";
import type { DeployedStack } from "../state/exportedState";
import { commandLine } from "../support/build";
import { type Problem, UserError } from "../support/errors";
import { printable } from "../support/text";
import { type BadArgument, cliProblem } from "./problems";

const quietCommand = (): Command =>
  new Command()
    .exitOverride()
    .showSuggestionAfterError(false)
    .configureOutput({ outputError: () => undefined });

/** @param usage - What follows the command's name in the first line of the help. */
export const commandForPeople = (name: string, usage: string): Command =>
  quietCommand()
    .configureHelp({ commandUsage: () => commandLine(name, usage) })
    .helpOption("--help", "this text");

/** A command that only states name: it has no help. */
export const commandInStates = (): Command => quietCommand().helpOption(false);

/** For an option that may be repeated. */
export const collect = (value: string, earlier: readonly string[] = []): string[] => [...earlier, value];

/** What was read: commander's values of the options, and the words beside them. */
export interface ReadArguments {
  readonly values: OptionValues;
  readonly words: readonly string[];
}

/**
 * Reads arguments, or prints the help to stdout.
 * @param name - Of the script in package.json.
 * @returns `undefined` for `--help`.
 * @throws UserError (`bad-arguments`).
 */
export function readArguments(
  name: string,
  command: Command,
  args: readonly string[],
): ReadArguments | undefined {
  return parseArguments(command, args, (seen) =>
    cliProblem.error("bad-arguments", { subject: "arguments", seen }, ...seeHelp(name)),
  );
}

/**
 * The same for commands that have no `--help` of their own.
 * @param command - Whose `exitOverride` is set.
 * @param wrong - Makes the error of what is wrong with the arguments.
 */
export function parseArguments(
  command: Command,
  args: readonly string[],
  wrong: (seen: string) => UserError,
): ReadArguments | undefined {
  try {
    command.parse(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === "commander.helpDisplayed") return undefined;
    throw wrong(describeMistake(error, command));
  }
  // commander takes the next option for the value that an option lacks.
  for (const option of command.options) {
    const given = [command.getOptionValue(option.attributeName())].flat();
    if (given.some((value) => typeof value === "string" && /^-./.test(value)))
      throw wrong(`${option.long!} lacks its value`);
  }
  return { values: command.opts(), words: command.args };
}

/** commander's message repeats arguments, any of which may be a password. This repeats nothing but an option's name. */
export function describeMistake({ code, message }: CommanderError, command: Command): string {
  if (code === "commander.missingArgument") return `${/'(.*)'/.exec(message)?.[1] ?? "a word"} is missing`;
  if (code === "commander.excessArguments") return "there is a word that belongs to no option";
  if (code === "commander.optionMissingArgument") {
    const own = command.options.find(({ flags }) => message.includes(`'${flags}'`));
    return `${own?.long ?? "an option"} lacks its value`;
  }
  const flag = /'(--[a-z][a-z-]*)(?:=|'| <)/.exec(message)?.[1];
  if (command.options.some(({ long }) => long === flag)) return `${flag!} takes no value`;
  return `${flag ?? "an option"} is unknown`;
}

/** What is wrong with the name of a stack, if anything. */
export function checkStackName(name: string, stack: string): Problem | undefined {
  if (/^[A-Za-z0-9_.][A-Za-z0-9_./-]*$/.test(stack)) return undefined;
  const seen = stack === "" ? "it is missing" : `"${printable(stack, 80)}" is not the name of a stack`;
  return cliProblem("bad-arguments", { subject: "--stack", seen }, ...seeHelp(name));
}

/**
 * The sets of nodes that a command is for.
 *
 * @param trust - The name of one; undefined for all.
 * @throws UserError `bad-arguments` for a name that the stack has not; why the named one cannot be asked.
 */
export function chosenSets(
  { sets, unread }: Pick<DeployedStack, "sets" | "unread">,
  trust: string | undefined,
): Pick<DeployedStack, "sets" | "unread"> {
  if (trust === undefined) return { sets, unread };
  const chosen = sets.filter((set) => set.trust === trust);
  if (chosen.length > 0) return { sets: chosen, unread: [] };
  const broken = unread.find((set) => set.trust === trust);
  if (broken) throw new UserError(broken.problem);
  const names = [...sets, ...unread].map((set) => set.trust).sort();
  const seen = `the stack has no RegistryTrust "${printable(trust, 80)}"`;
  throw cliProblem.error("bad-arguments", { subject: "--trust", seen }, "otherTrust", names);
}

export const seeHelp = (name: string): BadArgument => ["help", name];
