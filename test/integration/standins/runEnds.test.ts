import assert from "node:assert/strict";
import * as path from "node:path";
import { after, before, describe, it } from "node:test";
import { projectRoot } from "../../../lab/paths";
import { makeProject, skip, type Project } from "./project";

/** The engine with a program of two nodes, one of which may fail, and with what comes after them. */
describe("a run", { skip }, () => {
  let project: Project;
  before(async () => {
    project = await makeProject();
    const component = (name: string): string => JSON.stringify(path.join(projectRoot, "components", name));
    await project.write(`
      import * as pulumi from "@pulumi/pulumi";
      import { local } from "@pulumi/command";
      import { tellAtTheEnd } from ${component("runSummary")};
      import { keepingKnown } from ${component("stackOutputs")};
      export = () => {
        const trust = new pulumi.ComponentResource("test:index:Trust", "trust");
        const [well, failing] = ["echo well", process.env["FAILS"] ? "exit 1" : "echo well"].map(
          (create, index) => new local.Command("w" + index, { create }, { parent: trust }),
        );
        const nodes = pulumi.all([well.stdout, failing.stdout]);
        const later = new local.Command("later", { create: "echo later" }, { dependsOn: [failing] });
        const tell = tellAtTheEnd(() => "what became of the nodes\\n  w0", trust);
        if (!pulumi.runtime.isDryRun()) nodes.apply(tell);
        const image = later.stdout.apply((printed) => {
          if (!process.env["REFUSED"]) return printed;
          const refusal = new pulumi.RunError("it is refused [refused]");
          delete refusal.stack; // as ours are: the SDK takes long to print one
          throw refusal;
        });
        return keepingKnown({ jumpbox: null, registries: [], nodes, image } as any);
      };
    `);
  });
  after(() => project.remove());

  const run = (args: readonly string[], how?: "FAILS" | "REFUSED") =>
    project.run(args, how === undefined ? {} : { allowFailure: true, env: { [how]: "yes" } });
  const up = ["up", "--yes", "--skip-preview"];
  const outputs = { jumpbox: null, registries: [], nodes: ["well", "well"], image: "later" };
  const told = (stdout: string): number =>
    stdout.slice(stdout.indexOf("Diagnostics:")).split("what became of the nodes\n      w0").length - 1;

  it("that ends well says once what became of its nodes", async () => {
    const { stdout } = await run(up);
    assert.equal(told(stdout), 1, stdout);
    assert.deepEqual(await project.outputs(), outputs);
  });

  for (const [how, args] of [
    ["that the engine ends at a failure", up],
    ["that goes on after a failure", [...up, "--continue-on-error"]],
  ] as const)
    it(`${how} says it too, and neither removes an output nor shows one as removed`, async () => {
      const { code, stdout } = await run(args, "FAILS");
      assert.notEqual(code, 0);
      assert.equal(told(stdout), 1, stdout);
      assert.match(stdout, /^Outputs:\n {4}image *: "later"/m);
      assert.doesNotMatch(stdout, /^ *- /m);
      assert.deepEqual(await project.outputs(), outputs);
    });

  for (const args of [["preview"], up])
    it(`of \`${args[0]}\` that is refused is told once, and removes no output either`, async () => {
      const { code, stdout, stderr } = await run(args, "REFUSED");
      assert.notEqual(code, 0);
      const said = stdout.slice(stdout.indexOf("Diagnostics:")) + stderr;
      assert.equal(said.split("it is refused [refused]").length - 1, 1, said);
      assert.doesNotMatch(said, /^ *- |unhandled|^ +at /m);
      assert.deepEqual(await project.outputs(), outputs);
    });

  it("with nothing to do shows no difference after a failed one, outputs included", async () => {
    const { stdout } = await run(["preview", "--diff", "--expect-no-changes"]);
    assert.doesNotMatch(stdout, /Outputs|^ *[-+~] /m);
  });
});
