/** `npm run review` as a person runs it: in a process of its own, with a `pulumi` that prints events. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { reviewSchema } from "../../../cli/review/findings";
import { packageRoot } from "../../../support/build";
import * as events from "../../unit/cli/review/events";
import type { CommandResult } from "../command";

const set = events.nodes([events.ca("a")], [events.ca("a")]);
const inOrder = events.lines(set, events.node("w1"));
const drifted = events.lines(
  set,
  events.node("w1", {
    op: "update",
    change: {
      reasons: [{ code: "file-missing", host: "harbor.example.com", text: "its CA file is missing" }],
    },
  }),
);

describe("npm run review", () => {
  let folder: string;
  beforeEach(() => (folder = fs.mkdtempSync("/tmp/tkc-registry-review-test-")));
  afterEach(() => fs.rmSync(folder, { recursive: true }));
  const inFolder = (name: string): string => path.join(folder, name);

  /** A `pulumi` that notes how it is called, prints these lines, and then does as the script says. */
  function pulumi(lines: readonly string[], script = ""): void {
    fs.writeFileSync(inFolder("events"), lines.map((line) => `${line}\n`).join(""));
    const text = `#!/bin/sh\necho "$PULUMI_ENABLE_STREAMING_JSON_PREVIEW $*" >'${inFolder("called")}'\ncat '${inFolder("events")}'\n${script}\n`;
    fs.writeFileSync(inFolder("pulumi"), text, { mode: 0o755 });
  }
  const review = (
    words: string,
    searchPath = `${folder}:${process.env.PATH ?? ""}`,
  ): Promise<CommandResult> => {
    const program = `require(${JSON.stringify(path.join(packageRoot, "dist", "run.js"))})`;
    const args = ["-e", program, "--", "v1", "review", ...words.split(" ")];
    const env = { PATH: searchPath, TMPDIR: folder };
    return new Promise((resolve) => {
      execFile(process.execPath, args, { cwd: folder, env }, (error, stdout, stderr) =>
        resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
      );
    });
  };

  it("ends with 0 where there is nothing to do, and asks pulumi for the events of a preview", async () => {
    pulumi(inOrder);
    const { code, stdout, stderr } = await review("--stack prod --config-file other.yaml");
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(stdout, /^# Review of the stack `prod`\n\n\*\*Nothing to do\.\*\*\n/);
    assert.equal(
      fs.readFileSync(inFolder("called"), "utf8"),
      "true preview --json --stack prod --config-file other.yaml --non-interactive --color never\n",
    );
  });

  it("ends with 1 where there are changes, and tells them", async () => {
    pulumi(drifted);
    const { code, stdout } = await review("--stack prod");
    assert.equal(code, 1);
    assert.match(
      stdout,
      /\| 1 \| `w1` \| worker \| install \| `harbor\.example\.com`: its CA file is missing \| yes \|/,
    );
  });

  it("prints JSON as review.schema.json says", async () => {
    pulumi(drifted);
    const { code, stdout } = await review("--stack prod --json --protected");
    assert.equal(code, 1);
    const found = reviewSchema.strict().parse(JSON.parse(stdout));
    assert.deepEqual([found.stack, found.protected, found.nodes.length], ["prod", true, 1]);
  });

  it("writes the file that is named, whole or not at all, and prints nothing", async () => {
    pulumi(drifted);
    const { code, stdout } = await review(`--stack prod --out ${inFolder("review.md")}`);
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(fs.readFileSync(inFolder("review.md"), "utf8"), /^# Review/);
    const failed = await review(`--stack prod --out ${inFolder("nowhere/review.md")}`);
    assert.equal(failed.code, 2);
    assert.match(
      failed.stderr,
      /^--out: .*nowhere\/review\.md cannot be written \(ENOENT\).*\[out-not-written\]\n$/,
    );
    assert.deepEqual(fs.readdirSync(folder).sort(), ["called", "events", "pulumi", "review.md"]);
  });

  it("of a preview that the program refuses prints what it said, ends with 2, and leaves the file", async () => {
    const refusal = "node w1: it does not answer. Look at it [node-silent]";
    const error = (message: string) =>
      JSON.stringify({ diagnosticEvent: { prefix: "error: ", message: `${message}\n`, severity: "error" } });
    fs.writeFileSync(inFolder("review.md"), "earlier");
    pulumi(
      [...inOrder.slice(0, 5), error(refusal), error(refusal)],
      "echo 'error: preview failed' >&2; exit 1",
    );
    const { code, stdout, stderr } = await review(`--stack prod --out ${inFolder("review.md")}`);
    assert.deepEqual([code, stdout, stderr], [2, "", `${refusal}\n`]);
    assert.equal(fs.readFileSync(inFolder("review.md"), "utf8"), "earlier");
  });

  it("says what is wrong where pulumi ends otherwise, and ends with 2", async () => {
    const refused = async (pattern: RegExp, words = "--stack prod", searchPath?: string): Promise<void> => {
      const { code, stdout, stderr } = await review(words, searchPath);
      assert.deepEqual([code, stdout], [2, ""], stderr);
      assert.match(stderr, pattern);
    };
    pulumi([], "echo \"error: no stack named 'prod' found\" >&2; exit 6");
    await refused(/stack prod: pulumi said: error: no stack named 'prod' found.*\[stack-missing\]\n$/);
    pulumi([], "echo 'error: it is broken' >&2; exit 255");
    await refused(/stack prod: pulumi said: error: it is broken.*\[preview-failed\]\n$/);
    pulumi(["Previewing update (prod):"]);
    await refused(
      /stack prod: a line that `pulumi preview --json` printed is not JSON.*\[preview-failed\]\n$/,
    );
    pulumi(inOrder.slice(0, -2));
    await refused(/printed no summary of its events.*\[preview-failed\]\n$/);
    await refused(
      /pulumi: it is not on PATH.*\[pulumi-missing\]\n$/,
      "--stack prod",
      path.dirname(process.execPath),
    );
    await refused(/--stack: it is missing.*npm run review -- --help.*\[bad-arguments\]\n$/, "--json");
    await refused(/--secret is unknown.*\[bad-arguments\]\n$/, "--stack prod --secret x");
  });

  describe("with a saved plan", () => {
    const command = events
      .lines(events.node("w1"))
      .map((line) => /"urn":"([^"]*-ca)"/.exec(line)?.[1])
      .find((urn) => urn !== undefined)!;
    const plan = (step: string): string =>
      JSON.stringify({
        manifest: { version: "v3.259.0" },
        resourcePlans: { [command]: { steps: [step], state: { secret: "hunter2" } } },
      });
    /** The plan of now, which pulumi is told to write. */
    const saving = (text: string): string =>
      `while [ "$1" != --save-plan ]; do shift; done\ncat >"$2" <<'END'\n${text}\nEND`;
    beforeEach(() => fs.writeFileSync(inFolder("plan.json"), plan("same")));

    it("ends with 0 where it holds, though there is something to do", async () => {
      fs.writeFileSync(inFolder("plan.json"), plan("update"));
      pulumi(drifted, saving(plan("update")));
      const { code, stdout, stderr } = await review(`--stack prod --plan ${inFolder("plan.json")}`);
      assert.deepEqual([code, stderr], [0, ""]);
      assert.match(stdout, /## What differs from the saved plan\n\nNothing differs: /);
    });

    it("ends with 1 where it does not, says why node by node, and leaves no plan behind", async () => {
      pulumi(drifted, saving(plan("update")));
      const { code, stdout } = await review(`--stack prod --plan ${inFolder("plan.json")}`);
      assert.equal(code, 1);
      assert.match(stdout, /\n- `w1`: it was to be left alone, and now it is to be changed\n/);
      assert.doesNotMatch(stdout, /hunter2/);
      assert.deepEqual(fs.readdirSync(folder).sort(), ["called", "events", "plan.json", "pulumi"]);
    });

    it("ends with 2 where it can't be read", async () => {
      pulumi(drifted, saving(plan("update")));
      const missing = await review(`--stack prod --plan ${inFolder("none.json")}`);
      assert.equal(missing.code, 2);
      assert.match(missing.stderr, /^--plan: the file .*none\.json does not exist.*\[file-unreadable\]\n$/);
      fs.writeFileSync(inFolder("plan.json"), "{}");
      const bad = await review(`--stack prod --plan ${inFolder("plan.json")}`);
      assert.equal(bad.code, 2);
      assert.match(bad.stderr, /^--plan: .*plan\.json is not a plan that .*\[plan-unreadable\]\n$/);
    });
  });

  it("has a help text", async () => {
    const { code, stdout } = await review("--help");
    assert.equal(code, 0);
    assert.match(stdout, /npm run review -- --stack NAME \[options\][^]*Exit code: 0 /);
  });
});
