/**
 * The arguments of `npm run verify`, and its `--help`.
 * Nothing here asks a cluster or a node.
 */
import type { Command } from "commander";
import { parseImageReference } from "../../registry/host";
import type { DeployedSet } from "../../state/exportedState";
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
    .option(
      "--trust <NAME>",
      "only one set of nodes: the name of its RegistryTrust. Default: all of the stack",
    )
    .option("--pull", "also pull an image on each node, by a short-lived pod")
    .option(
      "--image <REF>",
      "the image for --pull, of one of the stack's registries; may be repeated. Default: the images of the stack's Deployments",
      collect,
    )
    .option("--expires-within <DAYS>", "warn about a CA that expires within this many days (default 30)")
    .option(
      "--json",
      "print JSON instead of a table; the fields are in cli/verify/findings.ts. `npm run --silent` suppresses npm's own output",
    )
    .addHelpText(
      "after",
      "\nExit code: 0 without problems, 1 with problems, 2 if the check itself failed, also where it did so for one of several sets of nodes.",
    );

interface Values {
  readonly stack?: string;
  readonly trust?: string;
  readonly pull?: boolean;
  readonly image?: readonly string[];
  readonly expiresWithin?: string;
  readonly json?: boolean;
}

export interface Request {
  readonly stack: string;
  /** Undefined for all sets of nodes. */
  readonly trust: string | undefined;
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
    trust,
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
  return { stack, trust, pull, images: [...new Set(images)], expiresWithin: Number(days), json };
}

/** The images to pull, by the name of the set of nodes. A set without a Deployment has none of its own. */
export function imagesOf(
  { images, pull }: Request,
  sets: readonly DeployedSet[],
): ReadonlyMap<string, readonly string[]> {
  if (!pull) return new Map();
  if (images.length === 0) {
    if (sets.every((set) => set.images.length === 0)) {
      throw new UserError(
        badArgument("--pull", "the stack runs no Deployment, so that it has no image", "noImage"),
      );
    }
    return new Map(sets.map((set) => [set.trust, set.images]));
  }
  const hostOf = (image: string): string => parseImageReference(image, { subject: "--image" }).host;
  const hosts = [...new Set(sets.flatMap(registryHosts))];
  const problems = images.flatMap((image) => {
    if (hosts.includes(hostOf(image))) return [];
    const seen = `"${printable(image, 200)}" is of none of the stack's registries`;
    return [badArgument("--image", seen, "otherImage", hosts)];
  });
  const [first, ...rest] = problems;
  if (first) throw new UserError(first, ...rest);
  return new Map(
    sets.map((set) => [set.trust, images.filter((image) => registryHosts(set).includes(hostOf(image)))]),
  );
}
