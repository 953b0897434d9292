import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { EngineRun } from "../../../lab/engineRun";
import { width } from "../../../lab/layout";

const prefix = "tkc-cluster-1-";
const node = `${prefix}workers-pn7j8-5b5498b7d5-frgh4`;
const command = "command:local:Command";
const urn = (type: string, name: string): string => `urn:pulumi:lab::tkc-registry::${type}::${name}`;

/** An event as the engine prints it. `test/integration/lab` holds these against the CLI itself. */
const event = (content: object): string =>
  JSON.stringify({ sequence: 1, timestamp: 1_700_000_000, ...content });
const metadata = (op: string, type: string, name: string, custom = true): object => {
  const state = {
    type,
    urn: urn(type, name),
    id: "x",
    ...(custom ? { custom } : {}),
    inputs: {},
    outputs: {},
  };
  return {
    op,
    type,
    urn: urn(type, name),
    old: op === "create" ? null : state,
    new: op === "delete" ? null : state,
  };
};
const begins = (...step: Parameters<typeof metadata>): string =>
  event({ resourcePreEvent: { metadata: metadata(...step) } });
const ends = (...step: Parameters<typeof metadata>): string =>
  event({ resOutputsEvent: { metadata: metadata(...step) } });
const fails = (...step: Parameters<typeof metadata>): string =>
  event({ resOpFailedEvent: { metadata: metadata(...step), status: 0, steps: 1 } });
const says = (severity: string, message: string, more: object = {}): string =>
  event({ diagnosticEvent: { severity, message, color: "never", ...more } });

interface Told {
  readonly lines: readonly string[];
  readonly run: EngineRun;
}

/** What is told of a run that lasts a second from each line to the next. */
function tell(events: readonly string[]): Told {
  const lines: string[] = [];
  let now = 0;
  const run = new EngineRun({ print: (line) => lines.push(line), prefix, clock: () => now });
  for (const line of events) {
    run.line(line);
    now += 1000;
  }
  for (const line of lines) assert.ok(line.length <= width, line);
  return { lines, run };
}

test("a resource that changed is a line: its name without the common part, its kind and its time", () => {
  const { lines } = tell([
    begins("create", "kubernetes:core/v1:Pod", "jumpbox"),
    ends("create", "kubernetes:core/v1:Pod", "jumpbox"),
    begins("delete", command, `${node}-ca`),
    ends("delete", command, `${node}-ca`),
  ]);
  assert.deepEqual(lines, [
    "  created  jumpbox (Pod, 1.0 s)",
    "  deleted  …workers-pn7j8-5b5498b7d5-frgh4-ca (Command, 1.0 s)",
  ]);
});

test("what a resource said last is told with it, without the node's name", () => {
  const about = { urn: urn(command, `${node}-ca`), ephemeral: true };
  const { lines } = tell([
    begins("delete", command, `${node}-ca`),
    says("info", `${node}: removed our CA\n`, about),
    says("info", `${node}: containerd restarted\n`, about),
    ends("delete", command, `${node}-ca`),
  ]);
  assert.deepEqual(lines, [
    "  deleted  …workers-pn7j8-5b5498b7d5-frgh4-ca (Command, 3.0 s): containerd restarted",
  ]);
});

test("nothing is told of what stays as it is, nor of components, providers and the stack", () => {
  const { lines } = tell([
    begins("same", command, "a"),
    ends("same", command, "a"),
    begins("create", "tkc-registry:index:TrustedNode", node, false),
    ends("create", "tkc-registry:index:TrustedNode", node, false),
    begins("create", "pulumi:providers:kubernetes", "cluster"),
    ends("create", "pulumi:providers:kubernetes", "cluster"),
    begins("create", "pulumi:pulumi:Stack", "tkc-registry-lab", false),
    ends("create", "pulumi:pulumi:Stack", "tkc-registry-lab", false),
    event({ preludeEvent: { config: {} } }),
    event({ cancelEvent: {} }),
  ]);
  assert.deepEqual(lines, []);
});

test("messages are told once, warnings and errors as such and in full", () => {
  const error = `3 problems:\n  ${"a long story ".repeat(20)}[code]`;
  const { lines, run } = tell([
    says("info", "checked beforehand:\n  3 nodes\n"),
    says("warning", "the token expires soon"),
    says("warning", "the token expires soon"),
    says("error", error),
    says("debug", "not for people, and maybe secret"),
    "a plain line, of the CLI itself",
    event({ stdoutEvent: { message: "^C received; cancelling.\n", color: "never" } }),
    "",
  ]);
  assert.deepEqual(lines.slice(0, 4), [
    "  checked beforehand:",
    "    3 nodes",
    "  warning: the token expires soon",
    "  error: 3 problems:",
  ]);
  assert.equal(
    lines
      .join(" ")
      .replace(/ +/g, " ")
      .match(/a long story/g)?.length,
    20,
  );
  assert.deepEqual(lines.slice(-2), ["  a plain line, of the CLI itself", "  ^C received; cancelling."]);
  assert.ok(!run.said.some((said) => said.includes("not for people")));
});

test("a resource that failed is told, and all that was said is kept", () => {
  const about = { urn: urn(command, `${node}-ca`) };
  const { lines, run } = tell([
    begins("create", command, `${node}-ca`),
    says("info", "trying\n", { ...about, ephemeral: true }),
    says("info", "trying again\n", { ...about, ephemeral: true }),
    says("error", "exit status 4: the node said no\n", about),
    fails("create", command, `${node}-ca`),
  ]);
  assert.equal(lines[0], "  error: …workers-pn7j8-5b5498b7d5-frgh4-ca: exit status 4: the node said no");
  assert.equal(lines[1], "  failed to create …workers-pn7j8-5b5498b7d5-frgh4-ca (Command, 4.0 s)");
  const said = run.said.join("\n");
  for (const word of ["trying\n", "trying again", "the node said no", "failed to create"])
    assert.ok(said.includes(word), said);
});

test("what is worked on is told while it is", () => {
  const steps = [begins("create", command, `${node}-ca`), begins("create", command, "b")];
  assert.equal(tell(steps).run.underWay, "…workers-pn7j8-5b5498b7d5-frgh4-ca, b");
  assert.equal(tell([...steps, ends("create", command, `${node}-ca`)]).run.underWay, "b");
});

test("the summary is a sentence, and there is none of a run that didn't get so far", () => {
  const summary = (resourceChanges: object): string | undefined =>
    tell([event({ summaryEvent: { durationSeconds: 6, resourceChanges } })]).run.summary;
  assert.equal(summary({ same: 23 }), "23 unchanged, in 6 s");
  assert.equal(summary({ create: 2, update: 1, same: 20 }), "2 created, 1 updated, 20 unchanged, in 6 s");
  assert.equal(tell([]).run.summary, undefined);
});

for (const cut of ['{"sequence":1,"timest', '{"seq']) {
  test(`an event that was cut off is told as such: ${cut}`, () => {
    const { lines, run } = tell([cut]);
    assert.deepEqual(lines, ["  (the engine's output was cut off here)"]);
    assert.ok(!run.said.join("").includes("seq"));
  });
}

test("an error is told of each resource that has it, and a warning's text as an error too", () => {
  const { lines } = tell([
    says("warning", "no answer\n"),
    ...["a-ca", "b-ca", "b-ca"].map((name) =>
      says("error", "no answer\n", { urn: urn(command, `${prefix}${name}`) }),
    ),
  ]);
  assert.deepEqual(lines, ["  warning: no answer", "  error: …a-ca: no answer", "  error: …b-ca: no answer"]);
});

/** What CLI 3.259 printed of a stack with one node that is done and one that fails: most of its debug messages left out. */
const recorded = readFileSync(path.join(__dirname, "up.jsonl"), "utf8").split("\n");

test("a recorded run is told in a dozen lines: what changed, what the nodes said, what failed", () => {
  const { lines, run } = tell(recorded);
  assert.deepEqual(
    lines.map((line) => line.replace(/, \d+\.\d s\)/, ")")),
    [
      "  checked beforehand:",
      "    ns1: the token is valid until 2026-11-27T20:02:39.000Z",
      "    2 nodes: 1 control plane, 1 worker",
      "  warning: not Ready at the moment: tkc-cluster-1-workers-pn7j8-5b5498b7d5-frgh4",
      "  created  …workers-pn7j8-5b5498b7d5-frgh4-ca (Command)",
      "           first contact: trusting its host key SHA256:x",
      "           installed 1 CA certificate(s) in the trust store",
      "  created  …control-plane-6wg5h-ca (Command)",
      "           first contact: trusting its host key SHA256:x",
      "           installed 1 CA certificate(s) in the trust store",
      `  error: …workers-pn7j8-5b5498b7d5-frgh4-containerd: exit status 1: running "echo 'node-not-ready:`,
      `    it was not Ready within 300 s' >&2; exit 1":`,
      "  node-not-ready: it was not Ready within 300 s",
      "  failed to create …workers-pn7j8-5b5498b7d5-frgh4-containerd (Command)",
      "  created  …control-plane-6wg5h-containerd (Command): containerd restarted; Ready",
      "  error: update failed",
    ],
  );
  assert.match(run.summary!, /^7 created, in \d+ s$/);
  assert.equal(run.underWay, "");
});
