/**
 * `docs/benchmark.md` and its plots: written from `docs/benchmark.json`, which is what was measured last, and from
 * `page.md`, in which each line `{{NAME}}` stands for what is written here.
 */
import { existsSync, readFileSync } from "node:fs";
import * as path from "node:path";
import { replaceFile } from "../wholeFiles";
import { projectRoot } from "../paths";
import type { Conditions } from "./conditions";
import { largestProgram, type Result, type Summary } from "./figures";
import type { Step } from "./peers";
import { chart, type Chart } from "./svg";
import { short, targets, verdict } from "./targets";
import { labProblem } from "../problems";

export interface Record {
  readonly conditions: Conditions;
  readonly results: readonly Result[];
}

const docs = path.join(projectRoot, "docs");
const recordFile = path.join(docs, "benchmark.json");
const textFile = path.join(__dirname, "page.md");

type Cell = string | number;

function markdownTable(headings: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const line = (cells: readonly Cell[]): string => `| ${cells.join(" | ")} |`;
  const rule = headings.map((_, column) => (typeof rows[0]?.[column] === "number" ? "--:" : "---"));
  return [line(headings), `|${rule.join("|")}|`, ...rows.map(line)].join("\n");
}

const title = ({ peer, transport }: Result): string =>
  transport === "jumpbox" ? `${peer}, by jumpbox` : peer;

/** A title that says, too, where not every run did what it was to. */
const honestTitle = (result: Result): string =>
  `${title(result)}${result.verified ? "" : " (not every run)"}`;

const sizes = (results: readonly Result[]): number[] =>
  [...new Set(results.map(({ nodes }) => nodes))].sort((a, b) => a - b);

function conditionsBlock({ conditions }: Record): string {
  const { date, duration, machine, versions, pulumiParts, settings } = conditions;
  const { atOnce, rehashSeconds, restartSeconds, delayMs } = settings;
  return [
    `- **When, where:** ${date}; ${machine}. Clients and nodes share it.`,
    `- **Time that all of it took:** ${duration}.`,
    `- **Pulumi's parts:** ${pulumiParts.join("; ")}.`,
    `- **Other versions:** ${Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join("; ")}.`,
    `- **Settings:** ${atOnce} nodes at a time; rehash ${rehashSeconds} s, restart ${restartSeconds} s, ` +
      `${delayMs === 0 ? "no delay added" : `${delayMs} ms delay added in each direction`}.`,
  ].join("\n");
}

function targetsBlock({ results }: Record): string {
  return markdownTable(
    ["target", "at most", "stretch", "measured", ""],
    targets(results).map((target) => [
      target.what,
      `${target.limit}${target.unit}`,
      target.stretch === undefined ? "–" : `${target.stretch}${target.unit}`,
      target.value === undefined ? "–" : `${short(target.value)}${target.unit}`,
      verdict(target),
    ]),
  );
}

function stepRow(result: Result, figures: Summary): Cell[] {
  const { wallSeconds: wall } = figures;
  const [program, most] = largestProgram(figures);
  return [
    honestTitle(result),
    figures.runs,
    short(wall.median),
    `${short(wall.min)}–${short(wall.max)}`,
    short(figures.clientCpuSeconds),
    short(figures.machineCpuSeconds),
    Math.round(figures.peakMemoryMb),
    `${Math.round(most)} (${program})`,
    figures.handshakes,
    Math.round(figures.processes),
    figures.rehashes,
    figures.restarts,
  ];
}

const stepTitles: { readonly [name in Step["name"]]: string } = {
  first: "First run",
  second: "Second run, nothing to do",
  preview: "`preview` before the first run",
  drift: "`up` after one node of them lost its CA",
  destroy: "`destroy`",
};

const resultHeadings =
  "|runs|wall s|min–max|client CPU s|machine CPU s|memory MB|largest process MB|handshakes|processes|rehashes|restarts";

function resultsBlock({ results }: Record): string {
  return sizes(results)
    .flatMap((nodes) => [
      `### ${nodes} ${nodes === 1 ? "node" : "nodes"}`,
      ...(Object.keys(stepTitles) as Step["name"][]).flatMap((step) => {
        const rows = results.flatMap((result) =>
          result.nodes === nodes && result[step] ? [stepRow(result, result[step])] : [],
        );
        if (rows.length === 0) return [];
        return [`${stepTitles[step]}:`, markdownTable(resultHeadings.split("|"), rows)];
      }),
    ])
    .join("\n\n");
}

interface Plot {
  readonly file: string;
  readonly title: string;
  readonly unit: string;
  readonly step: Step["name"];
  readonly of: (figures: Summary) => number;
  /** Whether it is of the client itself, where nodes that work by themselves have none. */
  readonly ofClient?: true;
}

const plots: readonly Plot[] = [
  {
    file: "benchmark-first.svg",
    title: "First run",
    unit: "seconds",
    step: "first",
    of: ({ wallSeconds }) => wallSeconds.median,
  },
  {
    file: "benchmark-second.svg",
    title: "Second run, nothing to do",
    unit: "seconds",
    step: "second",
    of: ({ wallSeconds }) => wallSeconds.median,
  },
  {
    file: "benchmark-cpu.svg",
    title: "First run, the client's CPU",
    unit: "CPU seconds",
    step: "first",
    of: ({ clientCpuSeconds }) => clientCpuSeconds,
    ofClient: true,
  },
  {
    file: "benchmark-memory.svg",
    title: "First run, the client's memory",
    unit: "MB",
    step: "first",
    of: ({ peakMemoryMb }) => peakMemoryMb,
    ofClient: true,
  },
];

function plotChart({ title: heading, unit, step, of, ofClient }: Plot, results: readonly Result[]): Chart {
  const shown = results.filter(({ peer }) => !(ofClient && peer === "node-work"));
  const labels = [...new Set(shown.map(title))];
  const lines = labels.map((label) => ({
    label,
    points: shown.flatMap((result) =>
      title(result) === label && result[step] ? [[result.nodes, of(result[step])] as const] : [],
    ),
  }));
  return { title: heading, x: "nodes", y: unit, lines: lines.filter(({ points }) => points.length > 0) };
}

const plotsBlock = (): string => plots.map(({ file, title }) => `![${title}](${file})`).join("\n");

/**
 * Gives a text in which each line `{{NAME}}` has become the block of that name.
 *
 * @throws Error where there is none.
 */
export function fillIn(text: string, blocks: Readonly<{ [name: string]: string }>): string {
  return text.replace(/^\{\{(.*)\}\}$/gm, (_, name: string) => {
    const block = blocks[name];
    if (block === undefined) throw new Error(`There is no block "${name}"`);
    return block;
  });
}

/** What a record is told by: the content of the page and of its plots, by the names of their files. */
export function pages(record: Record): Readonly<{ [file: string]: string }> {
  const page = fillIn(readFileSync(textFile, "utf8"), {
    conditions: conditionsBlock(record),
    targets: targetsBlock(record),
    plots: plotsBlock(),
    results: resultsBlock(record),
  });
  const drawn = plots.map((plot) => [plot.file, chart(plotChart(plot, record.results))] as const);
  return { "benchmark.md": page, ...Object.fromEntries(drawn) };
}

/** Keeps what was measured as what the page is written from. */
export function keepRecord(record: Record): void {
  replaceFile(recordFile, `${JSON.stringify(record, undefined, 2)}\n`, 0o644);
}

/** Writes the page and its plots from what was measured last. */
export function writePage(): void {
  if (!existsSync(recordFile)) {
    throw labProblem.error("bench-nothing-measured", {
      subject: path.relative(projectRoot, recordFile),
      seen: "it is not there",
    });
  }
  const record = JSON.parse(readFileSync(recordFile, "utf8")) as Record;
  for (const [file, content] of Object.entries(pages(record)))
    replaceFile(path.join(docs, file), content, 0o644);
}
