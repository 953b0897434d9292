/** The arguments of `npm run review`, and its `--help`. */
import type { Command } from "commander";
import { UserError } from "../../support/errors";
import { checkStackName, commandForPeople, readArguments } from "../arguments";

const command = (): Command =>
  commandForPeople("review", "--stack NAME [options]")
    .description(
      "Runs `pulumi preview` and says for a pull request, in Markdown, what `pulumi up` would do to which node and why, and what a reviewer should know of. Changes nothing. Needs what `pulumi preview` needs.",
    )
    .option("--stack <NAME>", "the stack, as pulumi has it")
    .option("--config-file <FILE>", "the stack's settings (default: Pulumi.NAME.yaml)")
    .option("--out <FILE>", "write it to a file in place of stdout")
    .option(
      "--json",
      "JSON in place of Markdown; review.schema.json says which. Use `npm run --silent review` to suppress npm's own output",
    )
    .option("--protected", "the environment is protected: an image that is named by a tag is a risk")
    .option(
      "--plan <FILE>",
      "also say what differs from the plan that `pulumi preview --save-plan FILE` saved (experimental, as Pulumi's plans are)",
    )
    .addHelpText(
      "after",
      "\nExit code: 0 if there is nothing to do, 1 if there are changes, 2 if it can't be told. With --plan: 0 if the plan holds, 1 if something differs.",
    );

export interface Request {
  readonly stack: string;
  readonly configFile: string | undefined;
  readonly out: string | undefined;
  readonly json: boolean;
  readonly isProtected: boolean;
  readonly plan: string | undefined;
}

interface Values {
  readonly stack?: string;
  readonly configFile?: string;
  readonly out?: string;
  readonly json?: boolean;
  readonly protected?: boolean;
  readonly plan?: string;
}

/** @returns `undefined` for `--help`. */
export function readRequest(args: readonly string[]): Request | undefined {
  const read = readArguments("review", command(), args);
  if (!read) return undefined;
  const { stack = "", configFile, out, json = false, plan, ...values }: Values = read.values;
  const problem = checkStackName("review", stack);
  if (problem) throw new UserError(problem);
  return { stack, configFile, out, json, isProtected: values.protected ?? false, plan };
}
