import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { before, describe, it } from "node:test";
import { inspect, isDeepStrictEqual } from "node:util";
import { projectRoot } from "../../../lab/paths";
import { makeRecordedFolder, record } from "../../../lab/record";
import { connectPlugin } from "../../../lab/standins/rpc/client";
import { askAgain, normalised, type Exchange } from "../../../lab/standins/rpc/exchange";
import { skip } from "./project";

/** What the official plugin of that version answered. */
const officialRecord = path.join(__dirname, "command-1.2.1.jsonl");
/** How many exchanges of each kind it has: none may go unasked. */
const recordedCalls = { Check: 71, Diff: 36, Create: 52, Update: 13, Read: 20, Delete: 40 };

const standIn = [
  "--import",
  require.resolve("tsx"),
  path.join(projectRoot, "lab", "standins", "command.ts"),
  "127.0.0.1:1", // no engine: what the stand-in logs is not recorded
];

async function readRecord(file: string): Promise<Exchange[]> {
  const text = await readFile(file, "utf8");
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Exchange);
}

/** What two answers are compared by. Lines of stdout and stderr come together in any order. */
function comparable(exchange: Omit<Exchange, "run">, folder: string): unknown {
  const { response, error } = normalised(exchange, folder);
  if (!error) return { response };
  const [said, ...output] = error[0].split("\n");
  return { error: [said, ...output.sort()] };
}

interface Outcome {
  readonly method: string;
  readonly what: string;
  readonly expected: unknown;
  readonly actual: unknown;
}

/** Asks the stand-in all that is in a record, in its order. */
async function replay(file: string): Promise<Outcome[]> {
  const folder = await makeRecordedFolder();
  const plugin = await connectPlugin(
    spawn(process.execPath, standIn, { cwd: folder, stdio: ["pipe", "pipe", "inherit"] }),
  );
  try {
    const outcomes: Outcome[] = [];
    for (const exchange of await readRecord(file)) {
      outcomes.push({
        method: exchange.method,
        what: `${exchange.run}: ${exchange.method} of ${exchange.request.urn as string}`,
        expected: comparable(exchange, folder),
        actual: comparable(await askAgain(plugin, exchange, folder), folder),
      });
    }
    return outcomes;
  } finally {
    plugin.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

function assertAgree(outcomes: readonly Outcome[]): void {
  const differing = outcomes.filter(({ expected, actual }) => !isDeepStrictEqual(expected, actual));
  assert.equal(
    differing.length,
    0,
    `${differing.length} of ${outcomes.length} differ: ${inspect(differing[0], { depth: 9 })}`,
  );
}

describe("the stand-in for the command plugin answers as the official one did", () => {
  let outcomes: Outcome[];
  before(async () => {
    outcomes = await replay(officialRecord);
  });

  it("to no other calls", () => {
    assert.deepEqual(new Set(outcomes.map(({ method }) => method)), new Set(Object.keys(recordedCalls)));
  });

  for (const [method, count] of Object.entries(recordedCalls)) {
    it(`to ${method}`, () => {
      const of = outcomes.filter((outcome) => outcome.method === method);
      assert.equal(of.length, count);
      assertAgree(of);
    });
  }

  it("to what the engine asks of a plugin now", { skip }, async () => {
    const folder = await mkdtemp(path.join(tmpdir(), "tkc-registry-conformance-"));
    try {
      const file = path.join(folder, "command.jsonl");
      await record(file);
      const now = await replay(file);
      assert.deepEqual(new Set(now.map(({ method }) => method)), new Set(Object.keys(recordedCalls)));
      assert.ok(now.length > outcomes.length / 2, `only ${now.length} exchanges`);
      assertAgree(now);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
