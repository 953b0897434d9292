/** What the benchmark is asked to do. */
import { parseArgs } from "node:util";
import { UserError } from "../../support/errors";
import { defaultFleetSettings } from "../fleet";
import { fleetLimit } from "../topology";
import type { Settings } from "./conditions";
import { peers, type Transport } from "./peers";
import type { Contestant } from "./run";
import { labProblem } from "../problems";

export interface Request {
  readonly sizes: readonly number[];
  readonly contestants: readonly Contestant[];
  readonly settings: Settings;
  /** Where the results go as JSON. */
  readonly json?: string;
  readonly writeDocs: boolean;
}

const names = peers.map(({ name }) => name);

export const help = `Usage: npm run bench [-- OPTIONS]

Measures how long it takes to bring a registry's CA to a fleet of simulated nodes, each a real sshd: with this
project, with what people would use instead, and the floors below which neither gets. Brings the lab up, and takes it
down again unless it was up before.

  --nodes LIST            sizes of the fleet (default 8,64; at most ${fleetLimit})
  --peers LIST            all, or some of: ${names.join(", ")}
  --transport LIST        how our own stack reaches the nodes: direct, jumpbox (default both)
  --runs N                how often each is measured (default 3)
  --at-once N             how many nodes each works on at a time (default 16)
  --rehash-seconds S      how long a node's rehash takes (default ${defaultFleetSettings.rehashSeconds})
  --restart-seconds S     how long a restart of its containerd takes (default ${defaultFleetSettings.restartSeconds})
  --delay-ms MS           delay of the way to the nodes' port 22, in each direction (default none)
  --json FILE             write the results there
  --write-docs            write them into docs/performance.md, with plots
  --redraw                only write docs/performance.md anew, from what was measured last
  --help                  this text

docs/performance.md is kept current by:
  npm run bench -- --nodes 1,8,32,64,128,256 --write-docs
`;

const options = {
  nodes: { type: "string", default: "8,64" },
  peers: { type: "string", default: "all" },
  transport: { type: "string", default: "direct,jumpbox" },
  runs: { type: "string", default: "3" },
  "at-once": { type: "string", default: "16" },
  "rehash-seconds": { type: "string", default: String(defaultFleetSettings.rehashSeconds) },
  "restart-seconds": { type: "string", default: String(defaultFleetSettings.restartSeconds) },
  "delay-ms": { type: "string", default: String(defaultFleetSettings.delayMs) },
  json: { type: "string" },
  "write-docs": { type: "boolean", default: false },
  redraw: { type: "boolean", default: false },
  help: { type: "boolean", short: "h", default: false },
} as const;

function badUsage(seen: string): UserError {
  return labProblem.error("bench-usage", { subject: "npm run bench", seen });
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

function contestantsOf(peerNames: readonly string[], ways: readonly Transport[]): Contestant[] {
  return peers
    .filter(({ name }) => peerNames.includes(name))
    .flatMap((peer) =>
      peer.transports
        // Peers that know one way only are measured by that one.
        .filter((transport) => peer.transports.length === 1 || ways.includes(transport))
        .map((transport) => ({ peer, transport })),
    );
}

/**
 * Reads the command line.
 *
 * @returns `help` and `redraw` where only that is asked for.
 * @throws UserError when it can't be understood.
 */
export function readRequest(argv: readonly string[]): Request | "help" | "redraw" {
  let values;
  try {
    ({ values } = parseArgs({ args: [...argv], options }));
  } catch (error) {
    throw badUsage((error as Error).message);
  }
  if (values.help) return "help";
  if (values.redraw) return "redraw";
  return {
    sizes: values.nodes.split(",").map((size) => whole("nodes", size, fleetLimit)),
    contestants: contestantsOf(
      values.peers === "all" ? names : someOf("peers", values.peers, names),
      someOf<Transport>("transport", values.transport, ["direct", "jumpbox"]),
    ),
    settings: {
      runs: whole("runs", values.runs, 100),
      atOnce: whole("at-once", values["at-once"], fleetLimit),
      rehashSeconds: amount("rehash-seconds", values["rehash-seconds"]),
      restartSeconds: amount("restart-seconds", values["restart-seconds"]),
      delayMs: amount("delay-ms", values["delay-ms"]),
    },
    ...(values.json === undefined ? {} : { json: values.json }),
    writeDocs: values["write-docs"],
  };
}
