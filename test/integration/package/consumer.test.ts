import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { after, before, describe, it } from "node:test";
import { exec } from "../../../lab/exec";
import { peerDependencies } from "../../../package.json";
import { testOfAll } from "../../all";
import { cleanEnvironment, makeConsumer, node, npmInstall, pack, sdkFolders, versionsHere, type Packed } from "./project"; // prettier-ignore

const folder = mkdtempSync(path.join(tmpdir(), "tkc-registry-consumer-"));
let packed: Packed;
before(async () => {
  packed = await pack(folder);
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** The program compiles, and what it imports is what CommonJS and ESM programs get. */
async function expectUsable(project: string): Promise<void> {
  await node(project, "node_modules/typescript/bin/tsc", "--noEmit");
  const required = await node(project, "-p", "Object.keys(require('tkc-registry')).sort().join()");
  const names = required.trim().split(",");
  assert.deepEqual(names, ["PullSecret", "RegistryDeployment", "RegistryTrust"]);
  const script = `import { ${names.join(", ")} } from "tkc-registry"; console.log([${names.join()}].map((each) => typeof each).join());`;
  await writeFile(path.join(project, "program.mjs"), script);
  assert.match(await node(project, "program.mjs"), /^(?:function(?:,|\n))+$/);
}

describe("an empty project that installs the package", () => {
  const project = path.join(folder, "empty");
  before(async () => {
    await makeConsumer(project, packed, versionsHere("@pulumi/pulumi"));
    await npmInstall(project);
  });

  it("compiles a strict program, and loads the package from CommonJS and ESM", () => expectUsable(project));

  it("reaches no module inside it", async () => {
    for (const name of [
      "dist/components.js",
      "dist/kubernetesClient.js",
      "components",
      "nodes/script/relay.sh",
    ]) {
      const script = `try { require.resolve("tkc-registry/${name}") } catch ({ code }) { console.log(code) }`;
      assert.equal(await node(project, "-e", script), "ERR_PACKAGE_PATH_NOT_EXPORTED\n", name);
    }
  });

  it("finds its commands from its own folder, as those in the state are run", async () => {
    const run = ["-e", "require('tkc-registry/run')", "--", "v1"];
    const words = ["ca", "remove"];
    const { code, stderr } = await exec(process.execPath, [...run, ...words], { cwd: project, env: cleanEnvironment, allowFailure: true }); // prettier-ignore
    assert.notEqual(code, 0);
    assert.match(stderr, /\[[a-z-]+\]$/m); // a refusal of its own: the environment says nothing of a node
  });

  it("has one copy of Pulumi's SDK", () => {
    assert.deepEqual(sdkFolders(project), [path.join(project, "node_modules", "@pulumi", "pulumi")]);
  });
});

/** The oldest that the package takes, and one newer than the tests' own. */
const otherSdks = [peerDependencies["@pulumi/pulumi"].slice(1), "3.276.0"];
for (const sdk of otherSdks)
  testOfAll(`a project with SDK ${sdk} has one copy of it, and uses the package`, async () => {
    const project = path.join(folder, `sdk-${sdk}`);
    await makeConsumer(project, packed, { "@pulumi/pulumi": sdk });
    await npmInstall(project);
    assert.deepEqual(sdkFolders(project), [path.join(project, "node_modules", "@pulumi", "pulumi")]);
    await expectUsable(project);
  });

testOfAll("a pnpm workspace has one copy of Pulumi's SDK, and uses the package", async () => {
  const workspace = path.join(folder, "workspace");
  const project = path.join(workspace, "infra");
  await makeConsumer(project, packed, versionsHere("@pulumi/pulumi"));
  await writeFile(path.join(workspace, "package.json"), JSON.stringify({ name: "workspace", private: true }));
  await writeFile(path.join(workspace, "pnpm-workspace.yaml"), "packages: [infra]\n");
  const pnpm = ["--yes", "--prefer-offline", "pnpm@^10", "install", "--prefer-offline", "--ignore-scripts"];
  await exec("npx", [...pnpm, "--store-dir", path.join(folder, "pnpm-store")], { cwd: workspace, env: cleanEnvironment }); // prettier-ignore
  // pnpm puts nothing beside a project that it does not name itself.
  assert.ok(!existsSync(path.join(project, "node_modules", "@pulumi", "kubernetes")));
  assert.equal(sdkFolders(project).length, 1);
  await expectUsable(project);
});
