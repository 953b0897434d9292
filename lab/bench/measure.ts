/** Runs clients of the benchmark, and measures each with all that it starts. */
import { readFileSync, rmSync } from "node:fs";
import * as path from "node:path";
import { exec, type Client } from "../exec";
import { scratchFolder } from "./scratch";

/** What a client cost. */
export interface ClientFigures {
  readonly wallSeconds: number;
  /** User and system time of all its processes. */
  readonly clientCpuSeconds: number;
  /** What all processors of this machine worked meanwhile, the nodes' work included. */
  readonly machineCpuSeconds: number;
  /** The most memory that all its processes had together, what they share counted once. */
  readonly peakMemoryMb: number;
  /** The most that a process of each program had; programs are told by the end of their path. */
  readonly programsMb: Readonly<Record<string, number>>;
  /** How many processes it consisted of. */
  readonly processes: number;
  /** When the engine first told of a resource, where it is one that does. */
  readonly firstResourceSeconds?: number;
}

const program = path.join(__dirname, "measure.py");

/** A line in which the engine tells of a resource: ` +  pulumi:pulumi:Stack tkc-registry-lab create`. */
const resourceLine = /^ [-+~ ]+ +[\w-]+:[\w/-]+:\w+ /;

/** @throws CommandError when the client fails. */
export async function measured({ argv, cwd, env }: Client): Promise<ClientFigures> {
  const file = path.join(scratchFolder(), "figures.json");
  rmSync(file, { force: true });
  const start = performance.now();
  let firstResourceSeconds: number | undefined;
  await exec("python3", [program, file, ...argv], {
    ...(cwd === undefined ? {} : { cwd }),
    ...(env === undefined ? {} : { env }),
    onLine: (line) => {
      if (resourceLine.test(line)) firstResourceSeconds ??= (performance.now() - start) / 1000;
    },
  });
  const figures = JSON.parse(readFileSync(file, "utf8")) as ClientFigures;
  return firstResourceSeconds === undefined ? figures : { ...figures, firstResourceSeconds };
}
