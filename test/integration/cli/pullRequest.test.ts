/** The shell steps of examples/ci/review.yaml, as GitHub's runner runs them, with stand-ins for the forge, npm and pulumi. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { parse } from "yaml";
import { packageRoot } from "../../../support/build";
import * as events from "../../unit/cli/review/events";
import type { CommandResult } from "../command";

interface Job {
  readonly env?: Readonly<Record<string, string>>;
  readonly if?: string;
  readonly permissions: Readonly<Record<string, string>>;
  readonly environment?: string;
  readonly steps: readonly {
    readonly name?: string;
    readonly uses?: string;
    readonly run?: string;
    readonly env?: Readonly<Record<string, string>>;
  }[];
}

const file = path.join(packageRoot, "examples", "ci", "review.yaml");
const workflow = parse(fs.readFileSync(file, "utf8")) as {
  readonly on: unknown;
  readonly permissions: object;
  readonly jobs: { readonly settings: Job; readonly review: Job };
};
const { settings, review } = workflow.jobs;

/** What GitHub fills in. */
const expressions: Readonly<Record<string, string>> = {
  "matrix.stack": "prod",
  "vars.SUPERVISOR": "supervisor.example.com",
  "vars.NAMESPACE": "ns1",
  "vars.CLUSTER": "tkc-cluster-1",
  "vars.VCENTER_USER": "ci@vsphere.local",
  "vars.PROTECTED": "yes",
  "vars.PULUMI_BACKEND_URL": "file:///state",
  "secrets.VCENTER_PASSWORD": "hunter2-vcenter",
  "secrets.PULUMI_CONFIG_PASSPHRASE": "hunter2-passphrase",
  "github.token": "hunter2-token",
  "github.event.pull_request.number": "7",
};
const filledIn = (env: Readonly<Record<string, string>> = {}): Record<string, string> =>
  Object.fromEntries(
    Object.entries(env).map(([name, value]) => [
      name,
      value.replace(/\$\{\{ (.*?) \}\}/g, (_, expression: string) => {
        assert.ok(expression in expressions, expression);
        return expressions[expression]!;
      }),
    ]),
  );

describe("the workflow for pull requests", () => {
  let folder: string;
  beforeEach(() => {
    folder = fs.mkdtempSync("/tmp/tkc-registry-workflow-");
    for (const name of ["github-env", "summary", "calls"]) fs.writeFileSync(inFolder(name), "");
    const dist = JSON.stringify(path.join(packageRoot, "dist", "run.js"));
    const node = `exec '${process.execPath}' -e 'require(${dist})' -- v1`;
    program("gh", `case "$*" in *"--jq"*) cat '${inFolder("own")}' 2>/dev/null || true;; esac`);
    // As npm does: it prints lines of its own, unless it is silent, and hands on the exit code.
    program(
      "npm",
      `[ "$1" = ci ] && exit 0
       shift; [ "$1" = --silent ] && shift || echo "> tkc-registry"
       name="$1"; shift; [ "\${1-}" = -- ] && shift
       case "$name" in login) exit 0;; check:settings) ${node} check-settings;; *) ${node} "$name" "$@";; esac`,
    );
    pulumi(
      events.lines(
        events.nodes([events.ca("a")], [events.ca("a")]),
        events.node("w1", { op: "create", change: { reasons: [{ code: "new", text: "it is new" }] } }),
        events.deployment({ after: "harbor.example.com/web:1" }, { op: "create" }),
      ),
    );
  });
  afterEach(() => fs.rmSync(folder, { recursive: true }));

  const inFolder = (name: string): string => path.join(folder, name);
  const read = (name: string): string => fs.readFileSync(inFolder(name), "utf8");
  function program(name: string, script: string): void {
    const text = `#!/bin/sh\necho "${name} $*" >>'${inFolder("calls")}'\n${script}\n`;
    fs.writeFileSync(inFolder(name), text, { mode: 0o755 });
  }
  function pulumi(lines: readonly string[], script = ""): void {
    fs.writeFileSync(inFolder("events"), lines.map((line) => `${line}\n`).join(""));
    program("pulumi", `cat '${inFolder("events")}'\n${script}`);
  }

  /** Runs a job's shell steps one after the other, until one fails. */
  async function run(job: Job): Promise<CommandResult & { failed: string | undefined }> {
    const all = { stdout: "", stderr: "" };
    for (const { name, run: script, env } of job.steps) {
      if (script === undefined) continue;
      const noted = read("github-env")
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => line.split("=", 2) as [string, string]);
      const options = {
        cwd: folder,
        env: {
          ...{
            PATH: `${folder}:${process.env.PATH ?? ""}`,
            RUNNER_TEMP: folder,
            GITHUB_REPOSITORY: "shop/infra",
          },
          ...{ GITHUB_ENV: inFolder("github-env"), GITHUB_STEP_SUMMARY: inFolder("summary") },
          ...Object.fromEntries(noted),
          ...filledIn(job.env),
          ...filledIn(env),
        },
      };
      const code = await new Promise<number>((resolve) => {
        execFile("bash", ["-e", "-c", script], options, (error, stdout, stderr) => {
          all.stdout += stdout;
          all.stderr += stderr;
          resolve(error ? Number(error.code) : 0);
        });
      });
      if (code !== 0) return { ...all, code, failed: name };
    }
    return { ...all, code: 0, failed: undefined };
  }

  it("gives pull requests from forks a check without access, and no more", () => {
    assert.equal(workflow.on, "pull_request"); // pull_request_target would give their code the secrets
    assert.deepEqual(workflow.permissions, {});
    assert.deepEqual(settings.permissions, { contents: "read" });
    assert.doesNotMatch(JSON.stringify(settings), /secrets\.|vars\.|environment/);
    assert.equal(review.if, "github.event.pull_request.head.repo.full_name == github.repository");
    assert.equal(review.environment, "${{ matrix.stack }}");
  });

  it("has no expression in a script, where a branch's name could be a command", () => {
    for (const { run: script = "" } of [...settings.steps, ...review.steps])
      assert.doesNotMatch(script, /\$\{\{/);
  });

  it("checks the settings, and fails where one is wrong", async () => {
    const good = fs.readFileSync(path.join(packageRoot, "Pulumi.example.yaml"), "utf8");
    fs.writeFileSync(inFolder("Pulumi.prod.yaml"), good);
    assert.equal((await run(settings)).code, 0);
    fs.writeFileSync(
      inFolder("Pulumi.prod.yaml"),
      good.replace("tkc-registry:cluster:", "tkc-registry:clutser:"),
    );
    const { code, stdout } = await run(settings);
    assert.notEqual(code, 0);
    assert.match(stdout, /clutser: there is no such setting\n.*\[unknown-setting\]/);
  });

  it("logs in with a user of its own, reviews, and makes the comment of the stack", async () => {
    const { failed, stderr, stdout } = await run(review);
    assert.equal(failed, undefined, stderr);
    const calls = read("calls");
    assert.match(
      calls,
      /npm run login -- --server supervisor\.example\.com .* --user ci@vsphere\.local .*\n/,
    );
    assert.match(calls, /npm run --silent review -- --stack prod --out .*review\.md --protected\n/);
    assert.match(calls, /gh pr comment 7 --repo shop\/infra --body-file .*review\.md\.comment\n/);
    assert.match(
      read("review.md.comment"),
      /^<!-- tkc-registry review of prod -->\n# Review of the stack `prod`\n/,
    );
    assert.match(read("review.md.comment"), /\[image-by-tag\]/);
    assert.equal(read("summary"), read("review.md"));
    assert.doesNotMatch(calls + read("review.md.comment") + stdout + stderr, /hunter2/);
  });

  it("changes the comment that it made earlier", async () => {
    fs.writeFileSync(inFolder("own"), "4711\n4712\n");
    assert.equal((await run(review)).failed, undefined);
    assert.match(
      read("calls"),
      /gh api --silent --method PATCH repos\/shop\/infra\/issues\/comments\/4711 --field body=@.*\.comment\n/,
    );
    assert.doesNotMatch(read("calls"), /gh pr comment/);
  });

  it("makes no comment of a preview that is refused, and shows why", async () => {
    const message = "node w1: it does not answer. Look at it [node-silent]";
    pulumi([JSON.stringify({ diagnosticEvent: { message, severity: "error" } })], "exit 1");
    const { failed, stderr } = await run(review);
    assert.equal(failed, "Review");
    assert.match(stderr, /\[node-silent\]/);
    assert.doesNotMatch(read("calls"), /gh /);
    assert.equal(read("summary"), "");
  });
});
