/** Runs the test suites, one after the other, and closes with the time of each file and a count. See `--help`. */
import { randomUUID } from "node:crypto";
import { setMaxListeners } from "node:events";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { collect, commandForPeople, readArguments, seeHelp } from "../cli/arguments";
import { cliProblem } from "../cli/problems";
import { endOnSignals, endWithoutReader, fail, told } from "../lab/program";
import { allVariable } from "./all";
import { behindTheFleet, stages } from "./e2e/stages";
import { sshdRunFolder } from "./integration/nodes/ssh/sshServer";
import { labProblem } from "../lab/problems";

const suites = ["unit", "components", "integration", "e2e"] as const;
type Suite = (typeof suites)[number];

const command = commandForPeople("test", "[options] [FILE-PATTERN...]")
  .description(
    "Runs the unit, component (mocked engine), integration (real servers on loopback) and end-to-end (the lab) tests. The end-to-end tests bring a lab up and take it down again.",
  )
  .argument("[FILE-PATTERN...]", "only test files whose path below test/ contains it, one after the other")
  .option("--fast", "leave out the end-to-end tests (npm run test:fast)")
  .option(
    "--official",
    "only the end-to-end tests, with the official Pulumi that is installed (npm run test:official)",
  )
  .option(
    "--all",
    "also what repeats: more kill points, every peer of the benchmark, every verb of the lab (npm run test:all)",
  )
  .option("--suite <NAME>", `only this suite (${suites.join(", ")}); may be repeated`, collect);

interface Values {
  readonly fast?: boolean;
  readonly official?: boolean;
  readonly all?: boolean;
  readonly suite?: readonly string[];
}

interface Count {
  passed: number;
  failed: number;
  skipped: number;
}

interface Outcome extends Count {
  readonly suite: Suite;
  seconds: number;
  /** Seconds by test file. */
  readonly files: Map<string, number>;
}

const filesOf = (suite: Suite, patterns: readonly string[]): string[] =>
  readdirSync(path.join(__dirname, suite), { recursive: true, encoding: "utf8" })
    .map((file) => path.join(suite, file))
    .filter((file) => file.endsWith(".test.ts"))
    .filter((file) => patterns.length === 0 || patterns.some((pattern) => file.includes(pattern)))
    .sort()
    .map((file) => path.join(__dirname, file));

const interruption = new AbortController();
setMaxListeners(0, interruption.signal); // each test file listens

interface TestEvent {
  readonly name: string;
  readonly details: object;
  readonly skip?: unknown;
}

interface Work {
  readonly files: readonly string[];
  /** How many files run at a time. */
  readonly concurrency: number;
  /** What each line of the report begins with. */
  readonly prefix?: string;
}

/** Runs files, each in a process of its own. */
async function runFiles(outcome: Outcome, { files, concurrency, prefix = "" }: Work): Promise<void> {
  const stream = run({ files: [...files], concurrency, signal: interruption.signal });
  const count = (key: keyof Count) => (data: TestEvent) => {
    const { type } = data.details as { type?: string };
    const skipped = data.skip !== undefined && data.skip !== false;
    // A suite counts by its tests; one that is skipped as a whole has none to count.
    if (type !== "suite" || skipped) outcome[skipped ? "skipped" : key] += 1;
  };
  stream.on("test:pass", count("passed"));
  stream.on("test:fail", count("failed"));
  // A file completes too, after its tests: its time has the start of its process and what goes before and after them.
  stream.on("test:complete", ({ name, file, details }) => {
    if (file !== undefined && path.resolve(name) === file)
      outcome.files.set(path.relative(__dirname, file), details.duration_ms / 1000);
  });
  await new Promise<void>((resolve, reject) => {
    const report = stream.compose(new spec()) as NodeJS.ReadableStream;
    let partial = "";
    const write = (lines: readonly string[]): void =>
      void process.stdout.write(lines.map((line) => `${prefix}${line}\n`).join(""));
    report.on("data", (chunk: Buffer) => {
      const lines = (partial + chunk.toString()).split("\n");
      partial = lines.pop() ?? "";
      write(lines);
    });
    report.on("end", () => {
      if (partial !== "") write([partial]);
      resolve();
    });
    report.on("error", reject);
  });
}

/** Files of another suite that a lane runs behind its own, and what comes of them. */
interface Behind {
  readonly outcome: Outcome;
  readonly files: readonly string[];
}

/**
 * Runs the end-to-end files: in stages, whose lanes run side by side. A selection runs one after the other, as it may
 * bring files together that are far apart in time otherwise.
 */
async function runStages(
  outcome: Outcome,
  files: readonly string[],
  { selected, behind }: { readonly selected: boolean; readonly behind: Behind | undefined },
): Promise<void> {
  const named = new Map(files.map((file) => [path.basename(file, ".test.ts"), file]));
  const planned = stages.map((lanes) =>
    Object.entries(lanes)
      .map(([lane, names]) => ({ lane, files: names.flatMap((name) => named.get(name) ?? []) }))
      .filter((each) => each.files.length > 0),
  );
  if (selected) {
    const inOrder = planned.flat().flatMap((each) => each.files);
    await runFiles(outcome, { files: inOrder, concurrency: 1 });
    return;
  }
  for (const lanes of planned) {
    const width = Math.max(...lanes.map(({ lane }) => lane.length));
    await Promise.all(
      lanes.map(async (each) => {
        const work = {
          concurrency: 1,
          ...(lanes.length > 1 ? { prefix: `${each.lane.padEnd(width)} │ ` } : {}),
        };
        await runFiles(outcome, { files: each.files, ...work });
        if (each.lane === "fleet" && behind?.files.length && !interruption.signal.aborted)
          await runFiles(behind.outcome, { files: behind.files, ...work });
      }),
    );
    if (interruption.signal.aborted) return;
  }
}

/** Why the lab can't run on this machine, or undefined where it can. */
function labObstacle(): string | undefined {
  if (process.platform !== "linux") return `it needs Linux, this is ${process.platform}`;
  if (process.getuid?.() !== 0) return "it needs root";
  return undefined;
}

/**
 * Makes sure, before anything takes time, that the lab can be the tests' own from beginning to end. One that
 * `npm run lab` left up goes, as one command brings it back; one with stacks of somebody's own does not.
 *
 * @throws UserError where the lab can't be had.
 */
async function claimLab(): Promise<void> {
  const [{ holdForTests }, { assertNetworkIsFree }, { readState }, { stackNames }, lab] = await Promise.all([
    import("../lab/lock.js"),
    import("../lab/network.js"),
    import("../lab/state.js"),
    import("../lab/stack.js"),
    import("../lab/lab.js"),
  ]);
  await holdForTests();
  await assertNetworkIsFree();
  if (!readState()) return;
  // Those of the tests are left where a run of them was killed.
  const others = stackNames().filter((name) => name !== "lab" && !/^e2e(-|$)/.test(name));
  if (others.length > 0) {
    throw labProblem.error("lab-in-use", {
      subject: "lab",
      seen: `it is up, with stacks of yours: ${others.join(", ")}`,
    });
  }
  process.stdout.write("The lab that `npm run lab` left up goes; the tests make one of their own.\n");
  await lab.down();
}

/** Whether the lab, if there is one, is to go when this process ends. */
let labIsOurs = false;

/** Brings the lab up, and gives the seconds that it took. */
async function bringLabUp(): Promise<number> {
  const lab = await import("../lab/lab.js");
  labIsOurs = true;
  const start = performance.now();
  await lab.up();
  return (performance.now() - start) / 1000;
}

async function runEndToEnd(
  outcome: Outcome,
  files: string[],
  {
    labUp,
    ...how
  }: { readonly labUp: Promise<number>; readonly selected: boolean; readonly behind: Behind | undefined },
): Promise<void> {
  const lab = await import("../lab/lab.js");
  try {
    outcome.files.set("bringing the lab up", await labUp);
    await runStages(outcome, files, how);
  } finally {
    if (!interruption.signal.aborted) await lab.down(); // else once everything has stopped
  }
}

/** What processes of this run have in their environment. */
const marker = `TKC_REGISTRY_TEST_RUN=${randomUUID()}`;

/** Ends what tests that were cut off have left running: servers, sleeping stand-ins. */
function endLeftovers(): void {
  if (process.platform !== "linux") return;
  for (const pid of readdirSync("/proc").filter(
    (name) => /^\d+$/.test(name) && Number(name) !== process.pid,
  )) {
    try {
      if (readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").includes(marker))
        process.kill(Number(pid), "SIGKILL");
    } catch {
      // It has ended meanwhile, or is somebody else's.
    }
  }
}

function printSummary(outcomes: readonly Outcome[], unfinished: number): void {
  process.stdout.write("\nWhere the time went:\n");
  for (const { suite, seconds, files } of outcomes) {
    process.stdout.write(`  ${suite.padEnd(12)} ${seconds.toFixed(0).padStart(5)} s\n`);
    for (const [file, time] of [...files].sort((a, b) => b[1] - a[1]))
      process.stdout.write(`    ${time.toFixed(1).padStart(7)} s  ${file}\n`);
  }
  const total = (key: keyof Count): number => outcomes.reduce((sum, outcome) => sum + outcome[key], 0);
  const [passed, skipped] = [total("passed"), total("skipped")];
  // On CI, where everything can run, a test that did not is a failure.
  const failed = total("failed") + unfinished + (process.env["CI"] ? skipped : 0);
  if (passed + failed === 0) process.stdout.write("no test was run\n");
  process.stdout.write(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}\n`);
  if (failed > 0 || passed === 0) process.exitCode = 1;
}

async function main(): Promise<void> {
  const read = readArguments("test", command, process.argv.slice(2));
  if (!read) return;
  const { fast, official, all, suite: chosen }: Values = read.values;
  const unknown = chosen?.find((suite) => !suites.includes(suite as Suite));
  if (unknown !== undefined) {
    const seen = `"${unknown}" is none of ${suites.join(", ")}`;
    throw cliProblem.error("bad-arguments", { subject: "--suite", seen }, ...seeHelp("test"));
  }
  const only = official ? ["e2e"] : chosen;
  if (official) {
    const { ensureTools, officialVariable } = await import("../lab/tools.js");
    process.env[officialVariable] = "1";
    process.stdout.write(`Pulumi here: ${(await ensureTools([])).pulumi.join(", ")}\n`);
  }
  if (all) process.env[allVariable] = "1";
  const wanted = suites
    .filter((suite) => (only ? only.includes(suite) : !(fast && suite === "e2e")))
    .map((suite) => ({ suite, files: filesOf(suite, read.words) }))
    .filter(({ files }) => files.length > 0);
  const wants = (suite: Suite): boolean => wanted.some((each) => each.suite === suite);

  const obstacle = labObstacle();
  if (!obstacle && wants("e2e")) await claimLab();
  if (!obstacle && !fast && (wants("integration") || wants("e2e"))) {
    const [{ ensurePackages, labPackages, testPackages }, { ensureTools }] = await Promise.all([
      import("../lab/packages.js"),
      import("../lab/tools.js"),
    ]);
    await ensurePackages([...labPackages, ...testPackages]);
    await ensureTools();
  }

  const selected = read.words.length > 0;
  const isBehind = (file: string): boolean =>
    wants("e2e") &&
    obstacle === undefined &&
    !selected &&
    behindTheFleet.includes(path.relative(__dirname, file).replace(/\.test\.ts$/, ""));
  let behind: Behind | undefined;
  const outcomes: Outcome[] = [];
  let unfinished = 0;
  let labUp: Promise<number> | undefined;
  for (const { suite, files } of wanted) {
    if (interruption.signal.aborted) break;
    if (wants("e2e") && !obstacle && (suite === "integration" || suite === "e2e")) {
      // Beside the integration tests: whoever waits for machines that boot leaves the processors to others.
      labUp ??= bringLabUp();
      labUp.catch(() => {}); // the end-to-end tests fail with it
    }
    process.stdout.write(`\n── ${suite} (${files.length} files)\n`);
    if (suite === "e2e" && obstacle) {
      process.stdout.write(`skipped: the lab can't run here: ${obstacle}\n`);
      if (process.env["CI"]) unfinished += 1;
      continue;
    }
    const outcome: Outcome = { suite, seconds: 0, passed: 0, failed: 0, skipped: 0, files: new Map() };
    outcomes.push(outcome);
    const start = performance.now();
    try {
      if (suite === "integration") behind = { outcome, files: files.filter(isBehind) };
      await (suite === "e2e"
        ? runEndToEnd(outcome, files, { labUp: labUp!, selected, behind })
        : runFiles(outcome, { files: files.filter((file) => !isBehind(file)), concurrency: 2 }));
    } catch (error) {
      unfinished += 1;
      process.stdout.write(`${suite} did not end: ${told(error)}\n`);
    }
    outcome.seconds = (performance.now() - start) / 1000;
  }
  printSummary(outcomes, unfinished);
}

/** Everything that tests put aside is in here, and goes with it. */
const temporary = mkdtempSync(path.join(tmpdir(), "tkc-registry-test-"));

/** Whether there was no such folder before the tests' SSH servers made it. */
const sshdRunFolderIsOurs = !existsSync(sshdRunFolder);

function end(): void {
  endLeftovers();
  rmSync(temporary, { recursive: true, force: true });
  if (sshdRunFolderIsOurs) rmSync(sshdRunFolder, { recursive: true, force: true });
}

process.env["TMPDIR"] = temporary;
process.env["TKC_REGISTRY_TEST_RUN"] = marker.slice(marker.indexOf("=") + 1);
const ended = main().catch(fail).then(end).catch(fail);

const endBy = endOnSignals(async (signal) => {
  if (signal !== "SIGPIPE" || labIsOurs)
    process.stderr.write(`\n${signal}: stopping${labIsOurs ? ", and taking the lab down" : ""}\n`);
  interruption.abort();
  endLeftovers();
  const lab = await import("../lab/lab.js");
  await lab.interrupt();
  await ended;
  if (labIsOurs) await lab.down();
});
endWithoutReader(endBy);
