/** The results for people at a terminal. */
import { largestProgram, type Result, type Summary } from "./figures";

const headings = [
  ...[
    "NODES",
    "PEER",
    "COMMAND",
    "RUNS",
    "WALL s",
    "MIN–MAX",
    "CLIENT CPU s",
    "MACHINE CPU s",
    "MEMORY MB",
    "LARGEST MB",
  ],
  ...["HANDSHAKES", "PROCESSES", "REHASHES", "RESTARTS"],
];

const steps = ["preview", "first", "second", "drift", "destroy"] as const;

const seconds = (value: number): string => value.toFixed(value < 10 ? 2 : 1);

const title = ({ peer, transport, verified }: Result): string =>
  `${peer}${transport === "jumpbox" ? ", jumpbox" : ""}${verified ? "" : " (FAILED)"}`;

function row(result: Result, step: string, figures: Summary): string[] {
  const { wallSeconds: wall } = figures;
  const [program, most] = largestProgram(figures);
  return [
    ...[String(result.nodes), title(result), step, String(figures.runs)],
    ...[seconds(wall.median), `${seconds(wall.min)}–${seconds(wall.max)}`],
    ...[seconds(figures.clientCpuSeconds), seconds(figures.machineCpuSeconds)],
    ...[figures.peakMemoryMb.toFixed(0), `${most.toFixed(0)} ${program}`],
    ...[figures.handshakes, figures.processes, figures.rehashes, figures.restarts].map(String),
  ];
}

/** All results, in lines of text. */
export function table(results: readonly Result[]): string {
  const rows = results.flatMap((result) => {
    const done = steps.flatMap((step) => (result[step] ? [row(result, step, result[step])] : []));
    return done.length > 0
      ? done
      : [[String(result.nodes), title(result), ...headings.slice(2).map(() => "–")]];
  });
  const all = [headings, ...rows];
  const widths = headings.map((_, column) => Math.max(...all.map((cells) => cells[column]!.length)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join("  ")
      .trimEnd();
  return all.map(line).join("\n");
}
