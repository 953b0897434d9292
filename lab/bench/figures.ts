/** What was measured, run by run, and what is told of it: medians. */
import type { ClientFigures } from "./measure";
import type { Step, Transport } from "./peers";

/** What one command of one run cost, on its own side and on the nodes'. */
export interface RunFigures extends ClientFigures {
  /** SSH connections that the nodes took. */
  readonly handshakes: number;
  readonly rehashes: number;
  readonly restarts: number;
}

/** Of several runs: the medians. */
export type Summary = Omit<RunFigures, "wallSeconds"> & {
  /** Of how many. */
  readonly runs: number;
  readonly wallSeconds: { readonly min: number; readonly median: number; readonly max: number };
};

/** What there is to tell of one peer on so many nodes. */
export type Result = {
  readonly nodes: number;
  readonly peer: string;
  readonly transport: Transport;
  /** Whether each command of each run left every node as it was to. */
  readonly verified: boolean;
  /** How many commands the engine ran, where it was one that did. */
  readonly commands?: number;
} & { readonly [name in Step["name"]]?: Summary };

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2;
}

const rounded = (value: number): number => Number(value.toFixed(2));

export function summarize(runs: readonly RunFigures[]): Summary {
  const all = (name: Exclude<keyof RunFigures, "programsMb">): number[] =>
    runs.flatMap((run) => run[name] ?? []);
  const of = (name: Exclude<keyof RunFigures, "programsMb">): number => rounded(median(all(name)));
  const programs = new Set(runs.flatMap(({ programsMb }) => Object.keys(programsMb)));
  const most = (program: string): number => Math.max(...runs.map((run) => run.programsMb[program] ?? 0));
  return {
    runs: runs.length,
    wallSeconds: {
      min: rounded(Math.min(...all("wallSeconds"))),
      median: of("wallSeconds"),
      max: rounded(Math.max(...all("wallSeconds"))),
    },
    clientCpuSeconds: of("clientCpuSeconds"),
    machineCpuSeconds: of("machineCpuSeconds"),
    peakMemoryMb: of("peakMemoryMb"),
    programsMb: Object.fromEntries([...programs].map((program) => [program, rounded(most(program))])),
    handshakes: of("handshakes"),
    processes: of("processes"),
    rehashes: of("rehashes"),
    restarts: of("restarts"),
    ...(all("firstResourceSeconds").length > 0 ? { firstResourceSeconds: of("firstResourceSeconds") } : {}),
  };
}

/** The program of which a process had the most memory, and how much that was. */
export function largestProgram({ programsMb }: Summary): readonly [name: string, megabytes: number] {
  return Object.entries(programsMb).sort(([, a], [, b]) => b - a)[0] ?? ["", 0];
}
