import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import * as path from "node:path";
import { after, before, describe, it } from "node:test";
import { projectRoot } from "../../../lab/paths";
import { makeProject, skip, type Project } from "./project";

/** The engine with the digest of what a run plans, and a command that stands for all that depends on it. */
describe("a saved plan", { skip }, () => {
  let project: Project;
  before(async () => {
    project = await makeProject();
  });
  after(() => project.remove());

  /** @param digest - Of what the run plans. The command that comes after is the same in all runs but for its word. */
  const write = (digest: string, word: string): Promise<void> =>
    project.write(`
      import { local } from "@pulumi/command";
      import { plannedRun } from ${JSON.stringify(path.join(projectRoot, "components", "plannedRun"))};
      const planned = plannedRun("prod", Promise.resolve(${JSON.stringify(digest)}), undefined, {});
      new local.Command(
        "w1-ca",
        { create: "touch touched", environment: { WORD: ${JSON.stringify(word)} } },
        { dependsOn: planned },
      );
    `);
  const save = () => project.run(["preview", "--save-plan", "plan.json"]);
  const apply = (...args: string[]) =>
    project.run(["up", "--yes", "--plan", "plan.json", ...args], { allowFailure: true });
  const touched = (): boolean => existsSync(path.join(project.folder, "touched"));

  for (const args of [[], ["--skip-preview"]]) {
    const how = args.length > 0 ? ", without a preview" : "";

    it(`of another run is refused before anything is touched${how}`, async () => {
      await write("a".repeat(64), "first");
      await save();
      // The command is as planned: another node is not.
      await write("b".repeat(64), "first");
      const { code, stdout, stderr } = await apply(...args);
      assert.notEqual(code, 0);
      assert.match(stdout + stderr, /::prod-plan.*violates plan/s);
      assert.equal(touched(), false);
      assert.equal(await project.resource("w1-ca"), undefined);
    });
  }

  it("is applied to the world that it was made for, first and later, and then nothing changes", async () => {
    await write("a".repeat(64), "first");
    await save();
    assert.equal((await apply("--skip-preview")).code, 0);
    assert.equal(touched(), true);
    await write("b".repeat(64), "second");
    await save();
    assert.equal((await apply("--skip-preview")).code, 0);
    const { inputs } = (await project.resource("w1-ca"))!;
    assert.deepEqual(inputs["environment"], { WORD: "second" });
    await project.run(["up", "--yes", "--skip-preview", "--expect-no-changes"]);
  });

  it("is refused where only the digest differs of what is there already", async () => {
    await save();
    await write("c".repeat(64), "second");
    const { code, stdout, stderr } = await apply("--skip-preview");
    assert.notEqual(code, 0);
    assert.match(stdout + stderr, /violates plan/);
    const { inputs } = (await project.resource("prod-plan"))!;
    assert.deepEqual(inputs["environment"], { TKC_REGISTRY_PLAN: "b".repeat(64) });
  });
});
