import assert from "node:assert/strict";
import * as path from "node:path";
import { after, before, describe, it } from "node:test";
import { projectRoot } from "../../../lab/paths";
import { readPreviousState } from "../../../state/previousState";
import { makeProject, skip, type Project } from "./project";

/** The engine with the identity of a set of nodes, and a command that is given it as those of nodes are. */
describe("the identity of a set of nodes", { skip }, () => {
  let project: Project;
  before(async () => {
    project = await makeProject();
    await write("a");
  });
  after(() => project.remove());

  /** @param word - An input of the command that is given the id. */
  const write = (word: string, whenKnown = "fs.appendFileSync('known', id)"): Promise<void> =>
    project.write(`
      import * as fs from "node:fs";
      import * as pulumi from "@pulumi/pulumi";
      import { local } from "@pulumi/command";
      import { Identity } from ${JSON.stringify(path.join(projectRoot, "components", "identity"))};
      const { id } = new Identity("c1", async (id: string) => { ${whenKnown}; });
      const node = new local.Command("w1-ca", {
        create: "cat known",
        environment: { TKC_REGISTRY_ID: id, WORD: ${JSON.stringify(word)} },
      });
      export const known = node.stdout;
      export const given = id;
    `);
  const up = (...args: string[]) => project.run(["up", "--yes", "--skip-preview", ...args]);
  const idNow = async (): Promise<unknown> => (await project.outputs())["given"];

  it("is made by the first update as its saved plan says, and is known to the program before the command", async () => {
    await project.run(["preview", "--save-plan", "plan.json"]);
    await up("--plan", "plan.json");
    const { known, given } = await project.outputs();
    assert.match(String(given), /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    assert.equal(known, given);
    const identity = await project.resource("c1-identity");
    const state = readPreviousState(
      { [identity!.urn]: { type: "command:local:Command", outputs: identity!.outputs } },
      { names: ["c1"], alone: false },
    );
    assert.equal(state.identity?.id, given);
  });

  it("stays what it is through changes, refreshes, renamings and saved plans", async () => {
    const first = await idNow();
    await write("b");
    await project.run(["preview", "--save-plan", "plan.json"]);
    await up("--plan", "plan.json");
    assert.equal(await idNow(), first);
    await up("--refresh");
    await project.run(["refresh", "--yes", "--skip-preview"]);
    assert.equal(await idNow(), first);
    await project.run(["stack", "rename", "other"]);
    await write("c");
    await up();
    assert.equal(await idNow(), first);
    const { stdout } = await up("--expect-no-changes");
    assert.match(stdout, /unchanged/);
  });

  it("keeps what needs it from being made where the program refuses it", async () => {
    await write("d", "throw new Error('another run goes on')");
    const { code, stdout, stderr } = await project.run(["up", "--yes", "--skip-preview"], {
      allowFailure: true,
    });
    assert.notEqual(code, 0);
    assert.equal(`${stdout}${stderr}`.split("another run goes on").length > 1, true, stdout + stderr);
    const { inputs } = (await project.resource("w1-ca"))!;
    assert.equal((inputs["environment"] as Record<string, string>)["WORD"], "c");
    // A preview needs no service, and so is not refused.
    await project.run(["preview"]);
  });
});
