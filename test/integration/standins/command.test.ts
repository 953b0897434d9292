import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import * as path from "node:path";
import { after, before, describe, it } from "node:test";
import { makeProject, skip, type Project } from "./project";

describe("the stand-in for command:local:Command", { skip }, () => {
  let project: Project;
  before(async () => {
    project = await makeProject();
  });
  after(() => project.remove());

  /** What the commands wrote since, a line each. */
  const log = async (): Promise<string[]> =>
    (await readFile(path.join(project.folder, "log"), "utf8")).trim().split("\n");

  const program = (args: string, extra = ""): string => `
    import * as pulumi from "@pulumi/pulumi";
    import { local } from "@pulumi/command";
    const first = new local.Command("first", { ${args} });
    export const stdout = first.stdout;
    ${extra}
  `;
  const verbs = `
    create: "echo create $VALUE >> log; echo made $VALUE",
    update: "echo update $VALUE after $PULUMI_COMMAND_STDOUT >> log; echo remade $VALUE; echo note >&2",
    delete: "echo delete $VALUE after $PULUMI_COMMAND_STDOUT and $PULUMI_COMMAND_STDERR >> log",
  `;

  it("creates in order of dependency, in the project's folder", async () => {
    await project.write(
      program(
        `${verbs} environment: { VALUE: "one" }`,
        `new local.Command("second", { create: "echo second >> log", stdin: first.stdout, delete: "echo undo second >> log" });`,
      ),
    );
    const preview = await project.run(["preview", "--diff"]);
    assert.match(preview.stdout, /\+ command:local:Command: \(create\)/);
    await project.run(["up", "--yes"]);
    assert.deepEqual(await log(), ["create one", "second"]);
    assert.deepEqual(await project.outputs(), { stdout: "made one" });
  });

  it("does nothing when nothing changed", async () => {
    const up = await project.run(["up", "--yes", "--skip-preview"]);
    assert.match(up.stdout, /3 unchanged/);
    assert.equal((await log()).length, 2);
  });

  it("updates in place on any changed input, with the last output in the environment", async () => {
    await project.write(program(`${verbs} environment: { VALUE: "two" }`));
    const preview = await project.run(["preview", "--diff"]);
    assert.match(preview.stdout, /VALUE: "one" => "two"/);
    await project.run(["up", "--yes", "--skip-preview"]);
    assert.deepEqual((await log()).slice(2), ["update two after made one", "undo second"]);
    assert.deepEqual(await project.outputs(), { stdout: "remade two" });
  });

  it("runs create again when there is no update", async () => {
    const args = `create: "echo again $VALUE >> log; echo again", delete: "echo gone >> log"`;
    await project.write(program(`${args}, environment: { VALUE: "three" }`));
    await project.run(["up", "--yes", "--skip-preview"]);
    await project.write(program(`${args}, environment: { VALUE: "four" }`));
    await project.run(["up", "--yes", "--skip-preview"]);
    assert.deepEqual((await log()).slice(4), ["again three", "again four"]);
  });

  it("replaces when triggers change, not when there are some for the first time, and deletes after creating", async () => {
    for (const trigger of [0, 1]) {
      const args = `create: "echo new >> log", delete: "echo old gone >> log"`;
      await project.write(program(`${args}, triggers: [${trigger}]`));
      await project.run(["up", "--yes", "--skip-preview"]);
    }
    assert.deepEqual((await log()).slice(6), ["new", "new", "old gone"]);
  });

  it("refreshes without running anything", async () => {
    const before = await log();
    await project.run(["refresh", "--yes", "--skip-preview"]);
    assert.deepEqual(await log(), before);
  });

  it("keeps a failed create out of the state, and shows what it printed", async () => {
    await project.write(
      program(
        `create: "echo new >> log", delete: "echo old gone >> log", triggers: [1]`,
        `new local.Command("failing", { create: "echo what went wrong >&2; exit 7", delete: "echo never >> log" });`,
      ),
    );
    const up = await project.run(["up", "--yes", "--skip-preview"], { allowFailure: true });
    assert.notEqual(up.code, 0);
    assert.match(up.stdout, /exit status 7/);
    assert.match(up.stdout, /what went wrong/);
    assert.equal(await project.resource("failing"), undefined);
  });

  it("keeps the old state when an update fails", async () => {
    await project.write(program(`create: "exit 1", delete: "echo old gone >> log", triggers: [1]`));
    assert.notEqual((await project.run(["up", "--yes", "--skip-preview"], { allowFailure: true })).code, 0);
    assert.equal((await project.resource("first"))?.inputs.create, "echo new >> log");
  });

  it("keeps the output secret where that is asked for, not because an input is", async () => {
    const stack = async (name: string, options: string): Promise<string> => {
      const args = `create: "cat; echo ${name}", stdin: pulumi.secret("tell no one"), logging: "none", triggers: [1]`;
      await project.write(program(`${args} }, ${options}`));
      const up = await project.run(["up", "--yes", "--skip-preview"]);
      assert.deepEqual(await project.outputs(), { stdout: `tell no one${name}` });
      return up.stdout + (await project.run(["stack", "export"])).stdout;
    };
    assert.match(await stack("known", "{"), /tell no oneknown/);
    const asked = await stack("asked", `{ additionalSecretOutputs: ["stdout"]`);
    assert.ok(!asked.includes("tell no oneasked"), asked);
  });

  it("refuses a line that would hang the official plugin, where it is logged", async () => {
    const long = "head -c 65536 /dev/zero | tr '\\\\0' x";
    await project.write(program(`create: "${long} | wc -c; ${long}", logging: "none"`));
    await project.run(["up", "--yes", "--skip-preview"]);
    await project.write(program(`create: "${long}"`));
    const up = await project.run(["up", "--yes", "--skip-preview"], { allowFailure: true });
    assert.notEqual(up.code, 0);
    assert.match(up.stdout, /a line of 64 KiB or more, which would hang the official plugin/);
  });

  it("deletes on destroy with no program, with the last outputs in the environment", async () => {
    await project.write(program(`${verbs} environment: { VALUE: "five" }`));
    await project.run(["up", "--yes", "--skip-preview"]);
    await project.write(program(`${verbs} environment: { VALUE: "six" }`));
    await project.run(["up", "--yes", "--skip-preview"]);
    await project.write("throw new Error('destroy runs no program')");
    await project.run(["destroy", "--yes", "--skip-preview"]);
    assert.equal((await log()).at(-1), "delete six after remade six and note");
  });
});
