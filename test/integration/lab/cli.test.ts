/** What the lab makes of the CLI's output, and the CLI of the lab's settings file, held against the CLI itself. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import { after, before, describe, it } from "node:test";
import { parse } from "yaml";
import { EngineRun } from "../../../lab/engineRun";
import { width } from "../../../lab/layout";
import { settingsText } from "../../../lab/settingsFile";
import { makeProject, skip, type Project } from "../standins/project";

const node = "tkc-cluster-1-workers-pn7j8-5b5498b7d5-frgh4";
const told = "installed 1 CA certificate in the trust store";

/** Nodes as the stack has them: a component, and in it a command that tells what it did on stderr. */
const program = (create: string): string => `
  import * as pulumi from "@pulumi/pulumi";
  import { local } from "@pulumi/command";
  void pulumi.log.info("checked beforehand:\\n  3 nodes");
  void pulumi.log.warn("tokens are valid for an hour");
  const nodes = new pulumi.ComponentResource("tkc-registry:index:TrustedNode", "${node}");
  const ca = new local.Command("${node}-ca", { create: ${JSON.stringify(create)}, logging: "stderr" }, { parent: nodes });
  export const stdout = ca.stdout;
`;
const works = `echo "${node}: ${told}" >&2; echo done`;

describe("the Pulumi CLI, as the lab meets it", { skip }, () => {
  let project: Project;
  before(async () => {
    project = await makeProject();
  });
  after(() => project.remove());

  /** Runs `pulumi up` and gives what a person is told of it, and all that was said. */
  async function up(create: string): Promise<{ code: number; lines: string[]; run: EngineRun }> {
    await project.write(program(create));
    const args = ["up", "--yes", "--skip-preview", "--json", "--color", "never"];
    const { code, stdout, stderr } = await project.run(args, { allowFailure: true });
    const lines: string[] = [];
    const run = new EngineRun({ print: (line) => lines.push(line), prefix: "tkc-cluster-1-" });
    for (const line of `${stdout}\n${stderr}`.split("\n")) run.line(line);
    for (const line of lines) assert.ok(line.length <= width, line);
    return { code, lines, run };
  }

  it("is told by a line for each resource that it made, with what the node said", async () => {
    const { code, lines, run } = await up(works);
    assert.equal(code, 0, run.said.join("\n"));
    assert.ok(lines.includes("  checked beforehand:") && lines.includes("    3 nodes"), lines.join("\n"));
    assert.ok(lines.includes("  warning: tokens are valid for an hour"), lines.join("\n"));
    const made = lines.filter((line) => line.startsWith("  created "));
    assert.equal(made.length, 1, lines.join("\n"));
    assert.match(made[0]!, /^ {2}created {2}…workers-pn7j8-5b5498b7d5-frgh4-ca \(Command, \d+\.\d s\)/);
    assert.ok(lines.join("\n").includes(told), lines.join("\n"));
    assert.match(run.summary!, /^3 created, in \d+ s$/);
  });

  it("is told by its summary where nothing changed", async () => {
    const { lines, run } = await up(works);
    assert.ok(!lines.some((line) => /^ {2}(created|updated|deleted)/.test(line)), lines.join("\n"));
    assert.match(run.summary!, /^3 unchanged, in \d+ s$/);
  });

  it("is told in full where it failed", async () => {
    const { code, lines, run } = await up(`echo "the node said no" >&2; exit 4`);
    assert.notEqual(code, 0);
    assert.ok(
      lines.some((line) => line.startsWith("  failed to update …workers")),
      lines.join("\n"),
    );
    assert.match(lines.join("\n"), /error: .*exit status 4/);
    assert.ok(run.said.some((said) => said.includes("the node said no")));
  });

  it("keeps a settings file's comments and values when it writes it anew", async () => {
    const file = path.join(project.folder, "Pulumi.test.yaml");
    const settings = {
      namespace: "ns1",
      registries: [{ host: "198.18.0.67", ca: { from: "harbor", sha256: "12e45" } }],
    };
    writeFileSync(file, settingsText(readFileSync(file, "utf8"), settings));
    const comments = (): string[] => readFileSync(file, "utf8").match(/# .*/g) ?? [];
    const before = comments();
    assert.ok(before.length > 4);
    await project.run(["config", "set", "tkc-registry:trust", "auto", "--config-file", file]);
    await project.run(["config", "set", "--secret", "--path", 'tkc-registry:passwords["a:1"]', "secret"]);
    const { config } = parse(readFileSync(file, "utf8")) as { config: Record<string, unknown> };
    const { "tkc-registry:passwords": passwords, ...others } = config;
    assert.deepEqual(others, {
      "tkc-registry:namespace": settings.namespace,
      "tkc-registry:registries": settings.registries,
      "tkc-registry:trust": "auto",
    });
    assert.deepEqual(Object.keys((passwords as Record<string, object>)["a:1"]!), ["secure"]);
    assert.deepEqual(comments(), before);
    const { stdout } = await project.run(["config", "get", "--path", "tkc-registry:registries[0].ca.sha256"]);
    assert.equal(stdout.trim(), "12e45");
  });
});
