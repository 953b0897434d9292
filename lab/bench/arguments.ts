/** What the benchmark is asked to do. */
import type { Command } from "commander";
import { commandForPeople, readArguments, seeHelp } from "../../cli/arguments";
import { cliProblem } from "../../cli/problems";
import type { UserError } from "../../support/errors";
import { defaultFleetSettings as fleet } from "../fleet";
import { fleetLimit } from "../topology";
import type { Settings } from "./conditions";
import { peers, type Transport } from "./peers";
import type { Contestant } from "./run";

export interface Request {
  readonly sizes: readonly number[];
  readonly contestants: readonly Contestant[];
  readonly settings: Settings;
  /** Where the results go as JSON. */
  readonly json?: string;
  readonly writeDocs: boolean;
}

const names = peers.map(({ name }) => name);

/** What all peers but the slow ones have, which have one. */
const usualRuns = 3;
const usualSizes = "8,64";
const allSizes = "1,8,32,64,128,256";
const slow = peers.filter((peer) => peer.slow).map(({ name }) => name);

export const command = (): Command =>
  commandForPeople("bench", "[options]")
    .helpOption("-h, --help", "this text")
    .description(
      "Measures how long it takes to bring a registry's CA to a fleet of simulated nodes, each a real sshd: with this project, with what people would use instead, and the floors below which neither gets. Brings the lab up, and takes it down again unless it was up before. It takes at most 25 minutes on two cores, and some three hours with --full; the first time also what the lab takes to build its programs.",
    )
    .option("--full", `all sizes: ${allSizes}`)
    .option("--nodes <LIST>", `sizes of the fleet, at most ${fleetLimit} (default: "${usualSizes}")`)
    .option("--peers <LIST>", `all, or some of: ${names.join(", ")}`, "all")
    .option("--transport <LIST>", "how our own stack reaches the nodes", "direct,jumpbox")
    .option(
      "--runs <N>",
      `how often each is measured (default: ${usualRuns}, but ${slow.join(" and ")} once)`,
    )
    .option("--at-once <N>", "how many nodes each works on at a time", "16")
    .option("--rehash-seconds <S>", "how long a node's rehash takes", String(fleet.rehashSeconds))
    .option(
      "--restart-seconds <S>",
      "how long a restart of its containerd takes",
      String(fleet.restartSeconds),
    )
    .option("--delay-ms <MS>", "delay of the nodes' port 22, in each direction", String(fleet.delayMs))
    .option("--json <FILE>", "write the results there")
    .option("--write-docs", "write docs/benchmark.md from them, with plots")
    .option("--redraw", "only write docs/benchmark.md anew, from what was measured last")
    .addHelpText("after", "\n--nodes goes before --full; --runs is then the number of every peer's runs.");

interface Values {
  readonly full?: boolean;
  readonly nodes?: string;
  readonly peers: string;
  readonly transport: string;
  readonly runs?: string;
  readonly atOnce: string;
  readonly rehashSeconds: string;
  readonly restartSeconds: string;
  readonly delayMs: string;
  readonly json?: string;
  readonly writeDocs?: boolean;
  readonly redraw?: boolean;
}

function badUsage(seen: string): UserError {
  return cliProblem.error("bad-arguments", { subject: "arguments", seen }, ...seeHelp("bench"));
}

function whole(name: string, text: string, most: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > most)
    throw badUsage(`--${name} takes whole numbers from 1 to ${most}, not "${text}"`);
  return value;
}

function amount(name: string, text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !(value >= 0 && value <= 3600))
    throw badUsage(`--${name} takes a number from 0 to 3600, not "${text}"`);
  return value;
}

function someOf<T extends string>(name: string, text: string, allowed: readonly T[]): T[] {
  return text.split(",").map((word) => {
    const found = allowed.find((each) => each === word);
    if (found === undefined) throw badUsage(`--${name}: "${word}" is none of ${allowed.join(", ")}`);
    return found;
  });
}

function contestantsOf(
  peerNames: readonly string[],
  ways: readonly Transport[],
  runs: number | undefined,
): Contestant[] {
  return peers
    .filter(({ name }) => peerNames.includes(name))
    .flatMap((peer) =>
      peer.transports
        // Peers that know one way only are measured by that one.
        .filter((transport) => peer.transports.length === 1 || ways.includes(transport))
        .map((transport) => ({ peer, transport, runs: runs ?? (peer.slow ? 1 : usualRuns) })),
    );
}

/**
 * Reads the command line.
 *
 * @returns `help` and `redraw` where only that is asked for; the help is printed then.
 * @throws UserError when it can't be understood.
 */
export function readRequest(argv: readonly string[]): Request | "help" | "redraw" {
  const read = readArguments("bench", command(), argv);
  if (!read) return "help";
  const values = read.values as Values;
  if (values.redraw) return "redraw";
  const sizes = values.nodes ?? (values.full ? allSizes : usualSizes);
  return {
    sizes: sizes.split(",").map((size) => whole("nodes", size, fleetLimit)),
    contestants: contestantsOf(
      values.peers === "all" ? names : someOf("peers", values.peers, names),
      someOf<Transport>("transport", values.transport, ["direct", "jumpbox"]),
      values.runs === undefined ? undefined : whole("runs", values.runs, 100),
    ),
    settings: {
      atOnce: whole("at-once", values.atOnce, fleetLimit),
      rehashSeconds: amount("rehash-seconds", values.rehashSeconds),
      restartSeconds: amount("restart-seconds", values.restartSeconds),
      delayMs: amount("delay-ms", values.delayMs),
    },
    ...(values.json === undefined ? {} : { json: values.json }),
    writeDocs: values.writeDocs ?? false,
  };
}
