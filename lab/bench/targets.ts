/** What our own figures have to be, in proportion to what else was measured in the same run. */
import type { Result, Summary } from "./figures";
import type { Step, Transport } from "./peers";

export interface Target {
  readonly what: string;
  readonly limit: number;
  readonly unit: string;
  /** What it is; undefined where something that it takes wasn't measured. */
  readonly value: number | undefined;
}

const ours = "tkc-registry";
const floor = "engine-floor";

/** The script that the language host runs our program with. */
const programName = "run/index.js";

export function targets(results: readonly Result[]): Target[] {
  const result = (peer: string, nodes: number, transport?: Transport): Result | undefined =>
    results.find(
      (each) =>
        each.peer === peer &&
        each.nodes === nodes &&
        each.verified &&
        (transport === undefined || each.transport === transport),
    );
  const own = (nodes: number, transport: Transport = "direct"): Result | undefined =>
    result(ours, nodes, transport);
  const ratio = (
    step: Step["name"],
    a: Result | undefined,
    b: Result | undefined,
    of: (figures: Summary) => number = ({ wallSeconds }) => wallSeconds.median,
  ): number | undefined => {
    const [figuresA, figuresB] = [a?.[step], b?.[step]];
    return figuresA && figuresB ? of(figuresA) / of(figuresB) : undefined;
  };
  const cpuPerCommand = (nodes: number): number | undefined => {
    const [a, b] = [own(nodes), result(floor, nodes)];
    if (!a?.first || !b?.first || a.commands === undefined) return undefined;
    return ((a.first.clientCpuSeconds - b.first.clientCpuSeconds) / a.commands) * 1000;
  };
  const x = "×";
  return [
    {
      what: "first run, 64 nodes: pyinfra's",
      limit: 1.4,
      unit: x,
      value: ratio("first", own(64), result("pyinfra", 64)),
    },
    {
      what: "first run, 64 nodes: ansible's",
      limit: 0.33,
      unit: x,
      value: ratio("first", own(64), result("ansible", 64)),
    },
    {
      what: "first run, 64 nodes: the original's",
      limit: 0.2,
      unit: x,
      value: ratio("first", own(64), result("sequential", 64)),
    },
    {
      what: "first run, 256 nodes: the engine's floor",
      limit: 1.5,
      unit: x,
      value: ratio("first", own(256), result(floor, 256)),
    },
    ...[64, 256].map((nodes) => ({
      what: `second run, ${nodes} nodes: the engine's floor`,
      limit: 1.4,
      unit: x,
      value: ratio("second", own(nodes), result(floor, nodes)),
    })),
    {
      what: "client CPU beyond the engine's floor, 64 nodes, per command",
      limit: 60,
      unit: " ms",
      value: cpuPerCommand(64),
    },
    {
      what: "first run by the jumpbox, 64 nodes: direct",
      limit: 2,
      unit: x,
      value: ratio("first", own(64, "jumpbox"), own(64)),
    },
    {
      what: "first line of a preview, 8 nodes",
      limit: 3,
      unit: " s",
      value: own(8)?.preview?.firstResourceSeconds,
    },
    {
      what: "memory of the program, 256 nodes",
      limit: 250,
      unit: " MB",
      value: own(256)?.first?.programsMb[programName],
    },
  ];
}

/** How far a figure is from its limit, for people. */
export function verdict({ limit, value }: Target): string {
  if (value === undefined) return "not measured";
  if (value <= limit) return "met";
  return `missed by ${Math.round((value / limit - 1) * 100)} %`;
}
