import assert from "node:assert/strict";
import { chmod, mkdir, mkdtemp, readlink, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { findOfficialPulumi } from "../../../lab/official";
import { labFolder } from "../../../lab/paths";
import { pulumiEnvironment } from "../../../lab/pulumi";
import { sdkVersion } from "../../../lab/standins/versions";
import { standInTools } from "../../../lab/tools";

describe("finding an official Pulumi", () => {
  let folder: string;
  let env: NodeJS.ProcessEnv;
  const program = async (file: string, script = "exit 1"): Promise<void> => {
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, `#!/bin/sh\n${script}\n`);
    await chmod(file, 0o755);
  };
  const plugin = (name: string, version: string): Promise<void> =>
    program(
      path.join(
        folder,
        "home",
        ".pulumi",
        "plugins",
        `resource-${name}-v${version}`,
        `pulumi-resource-${name}`,
      ),
    );
  const [kubernetes, command] = [sdkVersion("kubernetes"), sdkVersion("command")];

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "tkc-registry-official-"));
    env = { PATH: `${path.join(folder, "bin")}:/usr/bin:/bin`, HOME: path.join(folder, "home") };
    await program(path.join(folder, "bin", "pulumi"), "echo v3.259.0");
    await program(path.join(folder, "bin", "pulumi-language-nodejs"));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it("takes one that is complete, and runs it with its own plugins", async () => {
    await plugin("kubernetes", kubernetes);
    await plugin("command", command);
    const found = await findOfficialPulumi(env);
    assert.ok(found);
    assert.match(found.description, /official Pulumi v3\.259\.0/);
    const tools = { ...standInTools(), pulumi: { flavour: "official" as const, ...found } };
    const settings = { folder: path.join(folder, "lab") };
    // Whatever an earlier run with the stand-ins left there is gone.
    pulumiEnvironment(standInTools(), settings);
    const { PULUMI_HOME = "" } = pulumiEnvironment(tools, settings);
    assert.equal(await readlink(path.join(PULUMI_HOME, "plugins")), found.plugins);
  });

  it("wants both plugins", async () => {
    await plugin("kubernetes", kubernetes);
    assert.equal(await findOfficialPulumi(env), undefined);
  });

  it("wants plugins of the SDKs' major versions", async () => {
    await plugin("kubernetes", "3.30.2");
    await plugin("command", command);
    assert.equal(await findOfficialPulumi(env), undefined);
  });

  it("wants the language host", async () => {
    await plugin("kubernetes", kubernetes);
    await plugin("command", command);
    await rm(path.join(folder, "bin", "pulumi-language-nodejs"));
    assert.equal(await findOfficialPulumi(env), undefined);
  });

  it("does not take the lab's own programs for official ones", async () => {
    const { path: folders } = standInTools();
    assert.ok(folders.every((each) => each.startsWith(labFolder)));
    env.PATH = [...folders, "/usr/bin", "/bin"].join(":");
    await plugin("kubernetes", kubernetes);
    await plugin("command", command);
    assert.equal(await findOfficialPulumi(env), undefined);
  });

  it("asks a plugin on PATH for its version", async () => {
    const { PULUMI_HOME = "" } = pulumiEnvironment(standInTools(), { folder: path.join(folder, "lab") });
    for (const [name, version] of [
      ["kubernetes", kubernetes],
      ["command", command],
    ] as const) {
      const executable = path.join(
        PULUMI_HOME,
        "plugins",
        `resource-${name}-v${version}`,
        `pulumi-resource-${name}`,
      );
      await program(path.join(folder, "bin", `pulumi-resource-${name}`), `exec ${executable} "$@"`);
    }
    const found = await findOfficialPulumi(env);
    assert.match(found?.description ?? "", new RegExp(`kubernetes ${kubernetes} and command ${command}`));
    assert.equal(found?.plugins, undefined);
  });
});
