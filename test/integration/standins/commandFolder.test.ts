import assert from "node:assert/strict";
import { mkdir, rm, writeFile } from "node:fs/promises";
import * as path from "node:path";
import { after, before, describe, it } from "node:test";
import { LocalWorkspace, type LocalWorkspaceOptions } from "@pulumi/pulumi/automation";
import { assertCommandsFindPackage } from "../../../components/commandFolder";
import { projectRoot } from "../../../lab/paths";
import { pulumiEnvironment } from "../../../lab/pulumi";
import { labTools } from "../../../lab/tools";
import { exports, version } from "../../../package.json";
import { makeProject, skip, type Project } from "./project";

/** The engine with a program that first asks whether commands will find the package. */
describe("the package that commands load", { skip }, () => {
  let project: Project;
  before(async () => {
    project = await makeProject();
    const module = (name: string): string => JSON.stringify(path.join(projectRoot, "components", name));
    await project.write(`
      import { local } from "@pulumi/command";
      import { assertCommandsFindPackage } from ${module("commandFolder")};
      import { printableError } from ${module("sdk")};
      export = async () => {
        await assertCommandsFindPackage().catch((error) => { throw printableError(error); });
        new local.Command("first", { create: "true" });
      };
    `);
  });
  after(() => project.remove());

  /** Installs a release of the package where the engine runs commands. */
  const install = async (release: string): Promise<void> => {
    const folder = path.join(project.folder, "..", "node_modules", "tkc-registry");
    await rm(folder, { recursive: true, force: true });
    await mkdir(path.join(folder, "dist"), { recursive: true });
    const packageJson = JSON.stringify({ name: "tkc-registry", version: release, exports });
    await writeFile(path.join(folder, "package.json"), packageJson);
    await writeFile(path.join(folder, "dist", "run.js"), "");
  };
  const preview = async (): Promise<string> => {
    const { stdout, stderr } = await project.run(["preview"], { allowFailure: true });
    return `${stdout}${stderr}`;
  };
  /** What an inline program of the Automation API comes to. It runs in this process, and so in this checkout. */
  const inline = async (options: LocalWorkspaceOptions): Promise<unknown> => {
    const env = pulumiEnvironment(labTools(), { folder: path.join(project.folder, "..", "pulumi") });
    process.env["PATH"] = env["PATH"]!; // where the Automation API looks for the CLI
    let said: unknown;
    const program = async (): Promise<void> => {
      said = await assertCommandsFindPackage().then(() => "found", String);
    };
    const stack = await LocalWorkspace.createOrSelectStack(
      { stackName: "inline", projectName: "standins", program },
      { ...options, envVars: JSON.parse(JSON.stringify(env)) as Record<string, string> },
    );
    await stack.preview();
    return said;
  };

  it("has to be where the engine runs them: without it nothing is made", async () => {
    const said = await preview();
    assert.match(said, /folder \S+\/program: .* do not find .*npm install.*\[package-not-found\]/);
    assert.doesNotMatch(said, /first/);
  });

  it("has to be of the program's own release", async () => {
    await install("0.0.1");
    const said = await preview();
    assert.match(
      said,
      new RegExp(
        `find tkc-registry 0\\.0\\.1, and the program runs ${version} *\\. .*\\[package-not-found\\]`,
      ),
    );
    assert.doesNotMatch(said, /first/);
    await install(version);
    assert.match(await preview(), /first/);
  });

  it("is looked for in the project's folder also by an inline program that runs in another", async () => {
    await install("0.0.1");
    assert.equal(await inline({}), "found"); // a project that the Automation API makes up is in this folder
    const { folder } = project;
    const projectSettings = { name: "standins", runtime: "nodejs", main: folder } as const;
    for (const options of [{ workDir: folder }, { projectSettings }])
      assert.match(String(await inline(options)), /folder \S+\/program: .* 0\.0\.1.*\[package-not-found\]/);
    await install(version);
    assert.equal(await inline({ workDir: folder }), "found");
  });
});
