import assert from "node:assert/strict";
import { chmod, mkdir, mkdtemp, readdir, readlink, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { findOfficialPulumi, requireOfficialPulumi } from "../../../lab/official";
import { labFolder } from "../../../lab/paths";
import { pulumiEnvironment } from "../../../lab/pulumi";
import { sdkVersion } from "../../../lab/standins/versions";
import { labTools } from "../../../lab/tools";

describe("finding the parts of an official Pulumi", () => {
  let folder: string;
  let env: NodeJS.ProcessEnv;
  const program = async (file: string, script = "exit 1"): Promise<string> => {
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, `#!/bin/sh\n${script}\n`);
    await chmod(file, 0o755);
    return file;
  };
  const installed = (name: string, version: string): Promise<string> =>
    program(
      path.join(folder, "home/.pulumi/plugins", `resource-${name}-v${version}`, `pulumi-resource-${name}`),
    );
  const onPath = (name: string, script?: string): Promise<string> =>
    program(path.join(folder, "bin", name), script);
  const [kubernetes, command] = [sdkVersion("kubernetes"), sdkVersion("command")];
  /** The plugins that the engine gets, by folder, and where each is from. */
  const given = async (home: string): Promise<Record<string, string>> => {
    const plugins = path.join(home, "plugins");
    const links = (await readdir(plugins)).map(async (entry) => {
      const [file] = await readdir(path.join(plugins, entry));
      return [entry, await readlink(path.join(plugins, entry, file!))] as const;
    });
    return Object.fromEntries(await Promise.all(links));
  };

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "tkc-registry-official-"));
    env = { PATH: `${path.join(folder, "bin")}:/usr/bin:/bin`, HOME: path.join(folder, "home") };
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it("finds none where there is none", async () => {
    assert.deepEqual(await findOfficialPulumi(env), {});
  });

  it("takes each that is there, and of the others the lab's own", async () => {
    const host = await onPath("pulumi-language-nodejs");
    const plugin = await installed("command", command);
    const found = await findOfficialPulumi(env);
    assert.deepEqual(found, {
      languageHost: { executable: host, version: sdkVersion("pulumi") },
      command: { executable: plugin, version: command },
    });
    const tools = labTools(found);
    assert.deepEqual(
      tools.pulumi.map((line) => /\((official|built|a stand-in)/.exec(line)?.[1]),
      ["built", "official", "built", "official"],
    );
    const { PULUMI_HOME = "", PULUMI_IGNORE_AMBIENT_PLUGINS } = pulumiEnvironment(tools, {
      folder: path.join(folder, "lab"),
    });
    assert.equal(PULUMI_IGNORE_AMBIENT_PLUGINS, "true");
    const plugins = await given(PULUMI_HOME);
    assert.equal(plugins[`language-nodejs-v${sdkVersion("pulumi")}`], host);
    assert.equal(plugins[`resource-command-v${command}`], plugin);
    const [provider] = Object.keys(plugins).filter((name) => name.startsWith("resource-kubernetes-"));
    assert.match(provider ?? "", new RegExp(`^resource-kubernetes-v${kubernetes}\\+source\\.[0-9a-f]{12}$`));
    assert.ok(plugins[provider!]!.startsWith(labFolder));
    assert.equal(Object.keys(plugins).length, 3);
  });

  it("runs a complete one with its own CLI, and leaves people's own plugins as they are", async () => {
    const cli = await onPath("pulumi", "echo v3.259.0");
    await onPath("pulumi-language-nodejs");
    const provider = await installed("kubernetes", kubernetes);
    await installed("command", command);
    await installed("aws", "7.0.0");
    const found = await findOfficialPulumi(env);
    assert.deepEqual(found.cli, { executable: cli, version: "3.259.0" });
    const tools = labTools(found);
    assert.ok(tools.pulumi.every((line) => line.endsWith("(official)")));
    assert.equal(tools.path[0], path.dirname(cli));
    const settings = { folder: path.join(folder, "lab") };
    const { PULUMI_HOME = "" } = pulumiEnvironment(tools, settings);
    assert.equal((await given(PULUMI_HOME))[`resource-kubernetes-v${kubernetes}`], provider);
    assert.equal((await readdir(path.join(folder, "home/.pulumi/plugins"))).length, 3);
  });

  it("names what is missing where all are wanted", async () => {
    await onPath("pulumi", "echo v3.259.0");
    await installed("kubernetes", "3.30.2");
    await assert.rejects(requireOfficialPulumi(env), (error: Error) => {
      assert.match(
        error.message,
        /: pulumi-language-nodejs, pulumi-resource-kubernetes, pulumi-resource-command\b/,
      );
      return true;
    });
  });

  it("gives each set of parts a home of its own, as an engine may be using the other", async () => {
    const settings = { folder: path.join(folder, "lab") };
    const before = await given(pulumiEnvironment(labTools(), settings).PULUMI_HOME ?? "");
    const plugin = await installed("kubernetes", "4.99.0");
    const { PULUMI_HOME = "" } = pulumiEnvironment(labTools(await findOfficialPulumi(env)), settings);
    const plugins = await given(PULUMI_HOME);
    assert.deepEqual(
      Object.keys(plugins).filter((name) => name.startsWith("resource-kubernetes-")),
      ["resource-kubernetes-v4.99.0"],
    );
    assert.equal(plugins["resource-kubernetes-v4.99.0"], plugin);
    assert.deepEqual(await given(pulumiEnvironment(labTools(), settings).PULUMI_HOME ?? ""), before);
  });

  it("takes the newest plugin of the SDK's major version, and none of another", async () => {
    await installed("kubernetes", "3.30.2");
    assert.equal((await findOfficialPulumi(env)).kubernetes, undefined);
    await installed("kubernetes", "4.9.0");
    await installed("kubernetes", "4.25.0");
    assert.equal((await findOfficialPulumi(env)).kubernetes?.version, "4.25.0");
  });

  it("does not take the lab's own programs for official ones", async () => {
    const home = path.join(labFolder, "home");
    const PATH = [...labTools().path, path.dirname(labTools().plugins[0]!.executable), env.PATH].join(":");
    assert.deepEqual(await findOfficialPulumi({ ...env, PATH, PULUMI_HOME: home }), {});
  });

  it("asks a plugin on PATH for its version, and takes none that does not answer", async () => {
    const standIn = labTools().plugins.find(({ name }) => name === "command")!;
    const executable = await onPath("pulumi-resource-command", `exec ${standIn.executable} "$@"`);
    await onPath("pulumi-resource-kubernetes");
    const found = await findOfficialPulumi(env);
    assert.deepEqual(found.command, { executable, version: command });
    assert.equal(found.kubernetes, undefined);
  });
});
