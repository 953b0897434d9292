/** The benchmark's command line: see `--help`. */
import { writeFileSync } from "node:fs";
import { asActivity } from "../activity";
import * as lab from "../lab";
import { ensurePackages } from "../packages";
import { endOnSignals, endWithoutReader, fail, isInterrupted } from "../program";
import { say } from "../progress";
import { readState } from "../state";
import { readRequest, type Request } from "./arguments";
import { conditions } from "./conditions";
import type { Result } from "./figures";
import { keepRecord, writePage } from "./page";
import { removeLeftovers } from "./peers";
import { benchPackages, ensurePythonPeers } from "./python";
import { compare } from "./run";
import { table } from "./table";
import { targetLines } from "./targets";

/** Whether there is a benchmark to interrupt: not for `--help`. */
let begun = false;

/** Takes away what the benchmark has brought up so far. */
let takeDown = (): Promise<void> => Promise.resolve();

async function leaveLabUp(): Promise<void> {
  await removeLeftovers();
  await lab.fleetDown();
}

/** Measures, size by size; what is found is told, and kept, as soon as it is there. */
async function measure({ sizes, contestants, settings, json }: Request): Promise<Result[]> {
  const results: Result[] = [];
  for (const size of sizes) {
    const fleet = await lab.fleetUp(size, settings);
    const found = await compare(fleet, contestants, settings);
    results.push(...found);
    process.stdout.write(`${table(found)}\n`);
    if (json !== undefined) writeFileSync(json, `${JSON.stringify(results, undefined, 2)}\n`);
  }
  return results;
}

async function bench(request: Request): Promise<void> {
  begun = true;
  const start = performance.now();
  await ensurePackages(benchPackages);
  await ensurePythonPeers(request.contestants.map(({ peer }) => peer.name));
  takeDown = readState() ? leaveLabUp : lab.down;
  await lab.up();
  const results = await measure(request);
  if (request.writeDocs) {
    keepRecord({ conditions: await conditions(request.settings, start), results });
    writePage();
  }
  for (const line of targetLines(results)) process.stdout.write(`${line}\n`);
  if (!results.every(({ verified }) => verified)) process.exitCode = 1;
}

async function main(argv: readonly string[]): Promise<void> {
  const request = readRequest(argv);
  if (request === "help") return;
  if (request === "redraw") {
    writePage();
  } else {
    try {
      await asActivity(() => bench(request));
    } finally {
      if (!isInterrupted()) await takeDown(); // else once everything has stopped
    }
  }
}

const endBy = endOnSignals(async () => {
  if (!begun) return;
  say("\nInterrupted: taking down what was brought up.");
  await lab.interrupt();
  await takeDown();
});

endWithoutReader(endBy);

main(process.argv.slice(2)).catch(fail);
