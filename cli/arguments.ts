/**
 * How commands read their arguments, and print their `--help`.
 * It never repeats an argument in a message.
 */
import { Command, CommanderError, type OptionValues } from "commander";
import { UserError } from "../support/errors";
import { type BadArgument, cliProblem } from "./problems";

/** @param usage - What follows `npm run NAME --` in the first line of the help. */
export function commandForPeople(name: string, usage: string): Command {
  return new Command(`npm run ${name} --`)
    .usage(usage)
    .helpOption("--help", "this text")
    .exitOverride()
    .showSuggestionAfterError(false)
    .configureOutput({ outputError: () => undefined });
}

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
  const flag = /'(--[a-z][a-z-]*)(?:=|'| <)/.exec(message)?.[1];
  if (code === "commander.optionMissingArgument") return `${flag ?? "an option"} lacks its value`;
  if (command.options.some(({ long }) => long === flag)) return `${flag!} takes no value`;
  return `${flag ?? "an option"} is unknown`;
}

export const seeHelp = (name: string): BadArgument => ["help", name];
