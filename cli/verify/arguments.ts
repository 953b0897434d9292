/**
 * The arguments of `npm run verify`, and its `--help`.
 * Nothing here asks a cluster or a node.
 */
import type { Command } from "commander";
import { parseImageReference } from "../../registry/host";
import type { DeployedStack } from "../../state/exportedState";
import { type Problem, UserError } from "../../support/errors";
import { checkStackName, collect, commandForPeople, readArguments, seeHelp } from "../arguments";
import { type BadArgument, cliProblem } from "../problems";
import { printable } from "../../support/text";
import { registryHosts } from "./judge";

const command = (): Command =>
  commandForPeople("verify", "--stack NAME [options]")
    .description(
      "Checks each node and registry of a deployed stack: whether the node can be reached and has the pinned host key, whether the CA's file is in place, is part of what containerd reads and was loaded by it, and how long the CA is valid. Changes nothing on nodes. Reads the stack from its state, by `pulumi stack export`.",
    )
    .option("--stack <NAME>", "the stack, as pulumi has it")
    .option("--pull", "also pull an image on each node, by a short-lived pod")
    .option(
      "--image <REF>",
      "the image for --pull, of one of the stack's registries; may be repeated. Default: the image of the stack's Deployment",
      collect,
    )
    .option("--expires-within <DAYS>", "warn about a CA that expires within this many days (default 30)")
    .option(
      "--json",
      "print JSON instead of a table; the fields are in cli/verify/findings.ts. Use `npm run --silent verify` to suppress npm's own output",
    )
    .addHelpText("after", "\nExit code: 0 without problems, 1 with problems, 2 if the check itself failed.");

interface Values {
  readonly stack?: string;
  readonly pull?: boolean;
  readonly image?: readonly string[];
  readonly expiresWithin?: string;
  readonly json?: boolean;
}

export interface Request {
  readonly stack: string;
  readonly pull: boolean;
  readonly images: readonly string[];
  readonly expiresWithin: number;
  readonly json: boolean;
}

function badArgument(subject: string, seen: string, ...remedy: BadArgument): Problem {
  return cliProblem("bad-arguments", { subject, seen }, ...remedy);
}

/** @returns `undefined` for `--help`. */
export function readRequest(args: readonly string[]): Request | undefined {
  const read = readArguments("verify", command(), args);
  if (!read) return undefined;
  const problems: Problem[] = [];
  const {
    stack = "",
    pull = false,
    image: images = [],
    expiresWithin: days = "30",
    json = false,
  }: Values = read.values;
  problems.push(...[checkStackName("verify", stack) ?? []].flat());
  if (!/^\d{1,5}$/.test(days))
    problems.push(
      badArgument(
        "--expires-within",
        `"${printable(days, 40)}" is not a number of days`,
        ...seeHelp("verify"),
      ),
    );
  if (images.length > 0 && !pull)
    problems.push(badArgument("--image", "it is for --pull, which is not given", ...seeHelp("verify")));
  const [first, ...rest] = problems;
  if (first) throw new UserError(first, ...rest);
  return { stack, pull, images: [...new Set(images)], expiresWithin: Number(days), json };
}

/** The images to pull. */
export function imagesOf({ images, pull }: Request, stack: DeployedStack): readonly string[] {
  if (!pull) return [];
  const wanted = images.length > 0 ? images : stack.image === undefined ? [] : [stack.image];
  if (wanted.length === 0) {
    throw new UserError(
      badArgument("--pull", "the stack runs no Deployment, so that it has no image", "noImage"),
    );
  }
  const hosts = registryHosts(stack);
  const problems = wanted.flatMap((image) => {
    const { host } = parseImageReference(image, { subject: "--image" });
    if (hosts.includes(host)) return [];
    const seen = `"${printable(image, 200)}" is of none of the stack's registries`;
    return [badArgument("--image", seen, "otherImage", hosts)];
  });
  const [first, ...rest] = problems;
  if (first) throw new UserError(first, ...rest);
  return wanted;
}
