/** How the commands for people read their arguments, and print their `--help`. */
import { Command, CommanderError, type OptionValues } from "commander";
import { type Problem, UserError } from "../support/errors";
import { printable } from "../support/text";
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

/**
 * Reads arguments, or prints the help to stdout.
 * @param name - Of the script in package.json.
 * @returns `undefined` for `--help`.
 */
export function readArguments(
  name: string,
  command: Command,
  args: readonly string[],
): { values: OptionValues; words: readonly string[] } | undefined {
  const wrong = (seen: string): UserError =>
    cliProblem.error("bad-arguments", { subject: "arguments", seen }, ...seeHelp(name));
  try {
    command.parse(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === "commander.helpDisplayed") return undefined;
    throw wrong(describe(error, command));
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
function describe({ code, message }: CommanderError, command: Command): string {
  if (code === "commander.excessArguments") return "there is a word that belongs to no option";
  const flag = /'(--[a-z][a-z-]*)(?:=|'| <)/.exec(message)?.[1];
  if (code === "commander.optionMissingArgument") return `${flag ?? "an option"} lacks its value`;
  if (command.options.some(({ long }) => long === flag)) return `${flag!} takes no value`;
  return `${flag ?? "an option"} is unknown`;
}

/** What is wrong with the name of a stack, if anything. */
export function checkStackName(name: string, stack: string): Problem | undefined {
  if (/^[A-Za-z0-9_.][A-Za-z0-9_./-]*$/.test(stack)) return undefined;
  const seen = stack === "" ? "it is missing" : `"${printable(stack, 80)}" is not the name of a stack`;
  return cliProblem("bad-arguments", { subject: "--stack", seen }, ...seeHelp(name));
}

export const seeHelp = (name: string): BadArgument => ["help", name];
