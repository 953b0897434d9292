import assert from "node:assert/strict";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import * as path from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { projectRoot } from "../../../lab/paths";
import { makeProject, skip, type Project } from "./project";

/** The engine with the component, among resources that are taken down after it. */
describe("a destroy that is checked before it takes anything down", { skip }, () => {
  let project: Project;
  /** The project's `tkc-registry/run`, which notes its words, and fails as long as there is a file `refuse`. */
  let env: NodeJS.ProcessEnv;
  const write = (word: string): Promise<void> =>
    project.write(`
      import * as pulumi from "@pulumi/pulumi";
      import { local } from "@pulumi/command";
      import { RemovalCheck } from ${JSON.stringify(path.join(projectRoot, "components", "removalCheck"))};
      const made = (name: string, dependsOn: pulumi.Resource[] = []) =>
        new local.Command(name, { create: "true", delete: "echo " + name + " >> log" }, { dependsOn });
      const jumpbox = made("jumpbox");
      const nodes = new pulumi.ComponentResource("test:index:Nodes", "nodes");
      const node = new local.Command(
        "node",
        { create: "true", delete: "echo node >> log" },
        { parent: nodes, dependsOn: [jumpbox] },
      );
      const deployment = made("deployment", [nodes]);
      new RemovalCheck(
        "removal-check",
        {
          connection: {
            port: 22,
            user: "u",
            access: { kind: "direct" },
            sshKey: { from: "file", path: ${JSON.stringify(word)} },
            clusterContext: "c",
          },
          hostKeys: {},
          removal: { unreachable: "skip", restart: true },
          readyTimeoutSeconds: 300,
          owner: "o",
          id: "5d1b5d2e-0f0c-4d6f-9a3e-2f7c1b1f0a11",
        },
        { dependsOn: [jumpbox, nodes, deployment] },
      );
    `);
  const log = async (): Promise<string[]> =>
    (await readFile(path.join(project.folder, "log"), "utf8").catch(() => ""))
      .trim()
      .split("\n")
      .filter(Boolean);
  const destroy = (...args: string[]) =>
    project.run(["destroy", "--yes", "--skip-preview", ...args], { allowFailure: true, env });

  beforeEach(async () => {
    project = await makeProject();
    const modules = path.join(project.folder, "modules");
    await mkdir(path.join(modules, "tkc-registry"), { recursive: true });
    await writeFile(
      path.join(modules, "tkc-registry", "run.js"),
      `const fs = require("node:fs");
      if (fs.existsSync("refuse")) { console.error("context ns1: its login has expired"); process.exit(1); }
      fs.appendFileSync("log", process.argv.slice(1).join(" ") + "\\n");`,
    );
    env = { NODE_PATH: modules };
    await write("key-1");
    await project.run(["up", "--yes", "--skip-preview"], { env });
  });
  afterEach(() => project.remove());

  const words = "v1 check-removal --unreachable skip";

  it("asks first, and then takes down all", async () => {
    assert.equal((await destroy()).code, 0);
    assert.deepEqual(await log(), [words, "deployment", "node", "jumpbox"]);
  });

  it("takes nothing down that is refused, also where errors are passed over, and all when it is well", async () => {
    await writeFile(path.join(project.folder, "refuse"), "");
    for (const args of [[], ["--continue-on-error"]]) {
      const { code, stdout, stderr } = await destroy(...args);
      assert.notEqual(code, 0);
      assert.match(`${stdout}${stderr}`, /its login has expired/);
      assert.deepEqual(await log(), [], args.join(" "));
    }
    await rm(path.join(project.folder, "refuse"));
    assert.equal((await destroy("--continue-on-error")).code, 0);
    assert.deepEqual(await log(), [words, "deployment", "node", "jumpbox"]);
  });

  it("is not asked by an update that changes it, and is before a target that it depends on", async () => {
    await write("key-2");
    await project.run(["up", "--yes", "--skip-preview"], { env });
    assert.deepEqual(await log(), []);
    const { code, stdout, stderr } = await destroy("--target", "**::deployment", "--target-dependents");
    assert.equal(code, 0, `${stdout}${stderr}`);
    assert.deepEqual(await log(), [words, "deployment"]);
  });
});
