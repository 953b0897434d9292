import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { after, before, describe, it } from "node:test";
import * as grpc from "@grpc/grpc-js";
import { LanguageRuntimeClient } from "@pulumi/pulumi/proto/language_grpc_pb";
import * as proto from "@pulumi/pulumi/proto/language_pb";
import type { PackageDependency } from "@pulumi/pulumi/proto/plugin_pb";
import { Struct, type JavaScriptValue } from "google-protobuf/google/protobuf/struct_pb";
import { projectRoot } from "../../../lab/paths";
import { connectPlugin, type Plugin } from "../../../lab/standins/rpc/client";
import { sdkVersion } from "../../../lab/standins/versions";
import { makeProject, skip, type Project } from "./project";

describe("the stand-in language host", { skip }, () => {
  let project: Project;
  before(async () => {
    project = await makeProject();
  });
  after(() => project.remove());

  it("gives the program its configuration, and keeps secrets secret", async () => {
    await project.write(`
      import * as pulumi from "@pulumi/pulumi";
      const config = new pulumi.Config();
      export const greeting = config.require("greeting");
      export const password = config.requireSecret("password");
      export const where = \`\${pulumi.getProject()}.\${pulumi.getStack()} \${pulumi.runtime.isDryRun()}\`;
    `);
    await project.run(["config", "set", "greeting", "hello"]);
    await project.run(["config", "set", "--secret", "password", "correct horse"]);
    const up = await project.run(["up", "--yes"]);
    assert.match(up.stdout, /password: \[secret\]/);
    assert.ok(!up.stdout.includes("correct horse"));
    assert.ok(!up.stdout.includes("warning"), up.stdout);
    assert.deepEqual(await project.outputs(), {
      greeting: "hello",
      password: "correct horse",
      where: "standins.test false",
    });
    const exported = await project.run(["stack", "export"]);
    assert.ok(!exported.stdout.includes("correct horse"));
  });

  it("shows an error of the program once, and fails the run", async () => {
    await project.write(`throw new Error("the cluster has no nodes");`);
    const up = await project.run(["up", "--yes"], { allowFailure: true });
    assert.notEqual(up.code, 0);
    assert.equal(up.stdout.split("the cluster has no nodes").length, 2, up.stdout);
  });

  it("fails the run when the program ends early", async () => {
    await project.write(`process.exit(3);`);
    const up = await project.run(["up", "--yes"], { allowFailure: true });
    assert.notEqual(up.code, 0);
    assert.match(up.stdout, /exit code 3/);
  });

  it("passes on what the program prints", async () => {
    await project.write(`console.log("from the program");`);
    const preview = await project.run(["preview"]);
    assert.match(preview.stdout, /from the program/);
  });

  it("lets a lock that a dead run left be cancelled", async () => {
    await project.run(["cancel", "--yes", "test"]);
  });

  it("holds the program to a policy pack, which knows the stack", async () => {
    const pack = await mkdtemp(path.join(tmpdir(), "tkc-registry-policy-"));
    try {
      await symlink(path.join(projectRoot, "node_modules"), path.join(pack, "node_modules"));
      await writeFile(path.join(pack, "PulumiPolicy.yaml"), "runtime: nodejs\nmain: index.js\n");
      await writeFile(
        path.join(pack, "package.json"),
        JSON.stringify({ name: "pack", version: "1.0.0", main: "index.js" }),
      );
      await writeFile(
        path.join(pack, "index.js"),
        `const { PolicyPack } = require("@pulumi/policy");
        const pulumi = require("@pulumi/pulumi");
        new PolicyPack("pack", { policies: [{
          name: "no-sleep",
          description: "No command sleeps.",
          enforcementLevel: "mandatory",
          validateResource: ({ type, props }, report) => {
            if (type === "command:local:Command" && props.create.includes("sleep"))
              report("sleeps in " + pulumi.getStack() + ", greeted with " + new pulumi.Config().get("greeting"));
          },
        }] });`,
      );
      const program = (create: string): string =>
        `import { local } from "@pulumi/command"; new local.Command("one", { create: "${create}" });`;
      await project.write(program("true"));
      await project.run(["preview", "--policy-pack", pack]);
      await project.write(program("sleep 1"));
      const preview = await project.run(["preview", "--policy-pack", pack], { allowFailure: true });
      assert.notEqual(preview.code, 0);
      assert.match(preview.stdout, /no-sleep/);
      assert.match(preview.stdout, /sleeps in test, greeted with hello/);
    } finally {
      await rm(pack, { recursive: true, force: true });
    }
  });
});

describe("the stand-in language host answers the engine", () => {
  let folder: string;
  let host: Plugin;
  let client: LanguageRuntimeClient;
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "tkc-registry-language-"));
    const program = path.join(projectRoot, "lab", "standins", "languageNodejs.ts");
    host = await connectPlugin(
      spawn(process.execPath, ["--import", require.resolve("tsx"), program, "127.0.0.1:1"], {
        stdio: ["pipe", "pipe", "inherit"],
      }),
    );
    client = new LanguageRuntimeClient(host.address, grpc.credentials.createInsecure());
  });
  after(async () => {
    client.close();
    host.stop();
    await rm(folder, { recursive: true, force: true });
  });

  function programInfo(directory: string, options: Record<string, JavaScriptValue> = {}): proto.ProgramInfo {
    const info = new proto.ProgramInfo();
    info.setRootDirectory(directory);
    info.setProgramDirectory(directory);
    info.setEntryPoint(".");
    info.setOptions(Struct.fromJavaScript(options));
    return info;
  }

  async function required(directory: string): Promise<PackageDependency.AsObject[]> {
    const request = new proto.GetRequiredPackagesRequest();
    request.setInfo(programInfo(directory));
    const response = await new Promise<proto.GetRequiredPackagesResponse>((resolve, reject) => {
      client.getRequiredPackages(request, (error, answer) => (error ? reject(error) : resolve(answer)));
    });
    return response.getPackagesList().map((each) => each.toObject());
  }

  it("with the providers that this project needs, in the versions that are installed for it", async () => {
    assert.deepEqual(
      (await required(projectRoot)).map(({ name, kind, version }) => ({ name, kind, version })),
      (["command", "kubernetes"] as const).map((name) => ({
        name,
        kind: "resource",
        version: `v${sdkVersion(name)}`,
      })),
    );
  });

  it("with what a package says of its provider, however deep it is installed", async () => {
    const modules = path.join(folder, "node_modules");
    const packages = {
      "@pulumi/plain": { version: "1.2.3", pulumi: { resource: true } },
      "@pulumi/none": { version: "1.0.0", pulumi: { resource: false } },
      "@other/named": { version: "1.0.0", pulumi: { resource: true, name: "own", version: "v2.0.0-rc.1" } },
      nameless: { version: "1.0.0", pulumi: { resource: true } },
      unlabelled: { version: "1.0.0" },
      "unlabelled/node_modules/deep": {
        version: "1.0.0",
        pulumi: {
          resource: true,
          name: "deep",
          server: "https://plugins.example",
          parameterization: { name: "base", version: "3.0.0", value: "dmFsdWU=" },
        },
      },
    };
    for (const [name, content] of Object.entries(packages)) {
      await mkdir(path.join(modules, name), { recursive: true });
      const text = JSON.stringify({ name: name.replace(/.*node_modules\//, ""), ...content });
      await writeFile(path.join(modules, name, "package.json"), text);
    }
    await symlink(path.join(modules, "unlabelled"), path.join(modules, "again")); // as pnpm has them
    await mkdir(path.join(modules, "broken"));
    await writeFile(path.join(modules, "broken", "package.json"), "{");
    const none = { kind: "resource", server: "", checksumsMap: [], parameterization: undefined };
    assert.deepEqual(await required(folder), [
      { ...none, name: "own", version: "v2.0.0-rc.1" },
      { ...none, name: "plain", version: "v1.2.3" },
      {
        ...none,
        name: "deep",
        version: "v1.0.0",
        server: "https://plugins.example",
        parameterization: { name: "base", version: "3.0.0", value: "dmFsdWU=" },
      },
    ]);
    assert.deepEqual(await required(path.join(modules, "nameless")), []);
  });

  /** Runs a plugin of one file, and gives what it printed and how it ended. */
  async function runPlugin(
    script: string,
    options: Record<string, JavaScriptValue> = {},
  ): Promise<{ stdout: string; stderr: string; error: string | undefined }> {
    const plugin = await mkdtemp(path.join(folder, "plugin-"));
    await writeFile(path.join(plugin, "index.js"), script);
    await symlink(path.join(projectRoot, "node_modules"), path.join(plugin, "node_modules"));
    const request = new proto.RunPluginRequest();
    request.setPwd(folder);
    request.setKind("resource");
    request.setInfo(programInfo(plugin, options));
    request.setArgsList(["127.0.0.1:1", "last"]);
    request.setEnvList([`PATH=${process.env.PATH ?? ""}`, "GIVEN=a=b"]);
    const stream = client.runPlugin(request);
    const output = { stdout: "", stderr: "" };
    stream.on("data", (response: proto.RunPluginResponse) => {
      output.stdout += Buffer.from(response.getStdout_asU8()).toString();
      output.stderr += Buffer.from(response.getStderr_asU8()).toString();
    });
    const error = await new Promise<string | undefined>((resolve) => {
      stream.on("end", () => resolve(undefined)).on("error", ({ message }: Error) => resolve(message));
    });
    return { ...output, error };
  }

  it("by running a plugin with what it is given, and its options", async () => {
    const { stdout, stderr, error } = await runPlugin(
      `const { GIVEN, HOME, PULUMI_NODEJS_TYPESCRIPT, PULUMI_NODEJS_TSCONFIG_PATH } = process.env;
      console.error("noted");
      const env = [GIVEN, HOME, PULUMI_NODEJS_TYPESCRIPT, PULUMI_NODEJS_TSCONFIG_PATH];
      console.log(JSON.stringify([process.argv.slice(2), process.cwd(), ...env]));`,
      { typescript: false, tsconfig: "own.json" },
    );
    assert.equal(error, undefined);
    assert.deepEqual(JSON.parse(stdout), [["127.0.0.1:1", "last"], folder, "a=b", null, "false", "own.json"]);
    assert.match(stderr, /noted/);
  });

  it("with the exit code of a plugin that fails", async () => {
    assert.match((await runPlugin("process.exit(3);")).error ?? "", /exit code 3/);
  });
});
