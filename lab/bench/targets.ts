/** What our own figures have to be, many of them in proportion to what else was measured in the same run. */
import type { Result, Summary } from "./figures";
import type { Step, Transport } from "./peers";

export interface Target {
  readonly what: string;
  readonly limit: number;
  /** What would be better still. */
  readonly stretch?: number;
  readonly unit: string;
  /** What it is; undefined where something that it takes wasn't measured. */
  readonly value: number | undefined;
}

const floor = "engine-floor";

/** By the words that a target names them with. */
const ways = { direct: "direct", "by the jumpbox": "jumpbox" } as const;

const stepNames = { first: "first run", second: "second run", destroy: "`destroy`" } as const;

const quotient = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined || b === undefined ? undefined : a / b;

export function targets(results: readonly Result[]): Target[] {
  const resultOf = (nodes: number, peer: string, transport: Transport = "direct"): Result | undefined =>
    results.find(
      (each) => each.peer === peer && each.nodes === nodes && each.transport === transport && each.verified,
    );
  const figures = (
    step: Step["name"],
    nodes: number,
    peer: string,
    transport: Transport = "direct",
  ): Summary | undefined => resultOf(nodes, peer, transport)?.[step];
  const own = (step: Step["name"], nodes: number, transport?: Transport): Summary | undefined =>
    figures(step, nodes, "tkc-registry", transport);
  /** How many times as long one takes as the other. */
  const times = (a: Summary | undefined, b: Summary | undefined): Pick<Target, "unit" | "value"> => ({
    unit: "×",
    value: quotient(a?.wallSeconds.median, b?.wallSeconds.median),
  });
  const megabytes = (of: Summary | undefined): Pick<Target, "unit" | "value"> => ({
    unit: " MB",
    value: of?.peakMemoryMb,
  });
  const perNode = (step: Step["name"], transport: Transport): Pick<Target, "unit" | "value"> => {
    const [many, fewer] = [256, 64].map((nodes) => {
      const all = own(step, nodes, transport)?.wallSeconds.median;
      return all === undefined ? undefined : all / nodes;
    });
    return { unit: "×", value: quotient(many, fewer) };
  };
  const cpuPerCommand = (nodes: number): number | undefined => {
    const [a, b] = [own("first", nodes), figures("first", nodes, floor)];
    const commands = resultOf(nodes, "tkc-registry")?.commands;
    if (!a || !b || commands === undefined) return undefined;
    return ((a.clientCpuSeconds - b.clientCpuSeconds) / commands) * 1000;
  };
  return [
    {
      what: "first run, 64 nodes: pyinfra's",
      ...{ limit: 1, stretch: 0.8 },
      ...times(own("first", 64), figures("first", 64, "pyinfra")),
    },
    {
      what: "first run, 64 nodes: ansible's",
      limit: 0.33,
      ...times(own("first", 64), figures("first", 64, "ansible")),
    },
    {
      what: "first run, 64 nodes: the manual procedure's",
      limit: 0.2,
      ...times(own("first", 64), figures("first", 64, "sequential")),
    },
    {
      what: "first run by the jumpbox, 64 nodes: direct",
      limit: 2,
      ...times(own("first", 64, "jumpbox"), own("first", 64)),
    },
    {
      what: "second run, 64 nodes: the engine's floor",
      ...{ limit: 1.25, stretch: 1.1 },
      ...times(own("second", 64), figures("second", 64, floor)),
    },
    ...Object.entries(ways).map(([way, transport]) => ({
      what: `\`destroy\` ${way}, 64 nodes: the first run`,
      ...{ limit: 1, stretch: 0.7 },
      ...times(own("destroy", 64, transport), own("first", 64, transport)),
    })),
    ...(["first", "second", "destroy"] as const).flatMap((step) =>
      Object.entries(ways).map(([way, transport]) => ({
        what: `${stepNames[step]} ${way}, a node of 256: a node of 64`,
        limit: 1.3,
        ...perNode(step, transport),
      })),
    ),
    {
      what: "client CPU beyond the engine's floor, first run, 64 nodes, per command",
      ...{ limit: 60, unit: " ms", value: cpuPerCommand(64) },
    },
    ...Object.entries(ways).map(([way, transport]) => ({
      what: `memory of all our processes, first run ${way}, 64 nodes`,
      ...{ limit: 450, stretch: 300 },
      ...megabytes(own("first", 64, transport)),
    })),
    {
      what: "memory of all our processes, `destroy` by the jumpbox, 64 nodes",
      ...{ limit: 500, stretch: 300 },
      ...megabytes(own("destroy", 64, "jumpbox")),
    },
    {
      what: "first line of a preview, 8 nodes",
      ...{ limit: 1, stretch: 0.7, unit: " s" },
      value: own("preview", 8)?.firstResourceSeconds,
    },
  ];
}

/** How far a figure is from its limit, for people. */
export function verdict({ limit, stretch, value }: Target): string {
  if (value === undefined) return "not measured";
  if (stretch !== undefined && value <= stretch) return "met with stretch";
  if (value <= limit) return "met";
  return `missed by ${Math.max(1, Math.round((value / limit - 1) * 100))} %`;
}

/** Three digits are all that there is to a measurement. */
export const short = (value: number): number => Number(value.toPrecision(3));

/** The targets that something was measured for, as lines for people at a terminal. */
export function targetLines(results: readonly Result[]): string[] {
  return targets(results).flatMap((target) => {
    const { what, limit, stretch, unit, value } = target;
    if (value === undefined) return [];
    const best = stretch === undefined ? "" : `, with stretch ${stretch}${unit}`;
    return `${verdict(target)}: ${what}: ${short(value)}${unit}; to be at most ${limit}${unit}${best}`;
  });
}
