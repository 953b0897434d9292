import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { after, before, describe, test } from "node:test";
import { exec } from "../../lab/exec";
import { find, onAllNodes, trustStore } from "../../lab/inspect";
import * as lab from "../../lab/lab";
import { LabStack, type Run } from "../../lab/stack";
import { makeConsumer, npmInstall, pack, type Packed, versionsHere } from "../integration/package/project";
import { expectNoChanges, expectTrust, pemOf } from "./nodes";

describe("a program of somebody else's, with the package from npm", () => {
  const { harbor } = lab.registries();
  const folder = mkdtempSync(path.join(tmpdir(), "tkc-registry-consumer-"));
  const here = path.join(folder, "here");
  let stack = new LabStack("e2e-consumer", { project: here });
  let stores: Record<string, string> = {};
  let packed: Packed;

  const checkOut = async (project: string): Promise<void> => {
    // The lab has the providers of these versions.
    await makeConsumer(
      project,
      packed,
      versionsHere("@pulumi/pulumi", "@pulumi/command", "@pulumi/kubernetes"),
    );
    await npmInstall(project);
  };
  const succeed = async (run: Promise<Run>): Promise<string> => {
    const { code, output } = await run;
    assert.equal(code, 0, output);
    return output;
  };
  /** A program in the project's folder, with the stack's environment. */
  const run = async ([program, ...args]: readonly [string, ...string[]], input?: string): Promise<string> => {
    const { cwd, env } = await stack.command([]);
    const options = input === undefined ? {} : { input };
    return (await exec(program, args, { cwd, env, ...options })).stdout;
  };
  const configure = async (values: Readonly<Record<string, string>>, password: string): Promise<void> => {
    await stack.configure({});
    const plain = Object.entries(values).flatMap(([name, value]) => ["--plaintext", `${name}=${value}`]);
    await run((await stack.command(["config", "set-all", ...plain])).argv);
    await run((await stack.command(["config", "set", "--secret", "password"])).argv, password);
  };

  before(async () => {
    packed = await pack(folder);
    await checkOut(here);
    stores = await onAllNodes(trustStore);
    const { host, caSha256, user, password, image } = harbor;
    await configure({ host, caSha256, user, image }, password);
  });
  after(async () => {
    await stack.destroy();
    rmSync(folder, { recursive: true, force: true });
  });

  test("up makes every node trust the registry, and every node runs its image", async () => {
    await succeed(stack.up());
    await expectTrust(pemOf(harbor.caFile));
    const verify = [
      "-e",
      "require('tkc-registry/run')",
      "--",
      "v1",
      "verify",
      "--stack",
      stack.name,
      "--pull",
    ];
    await run([process.execPath, ...verify]);
    const { status } = (await find("workload", "deployment", "default", "consumer")) as {
      status: { readyReplicas?: number };
    };
    assert.equal(status.readyReplicas, 1);
    assert.ok(!(await stack.state()).includes(harbor.password));
  });

  test("a second up changes nothing", async () => {
    expectNoChanges(await stack.up());
  });

  test("destroy from another checkout leaves every trust store byte for byte as before", async () => {
    const elsewhere = path.join(folder, "elsewhere");
    await checkOut(elsewhere);
    rmSync(here, { recursive: true });
    stack = new LabStack(stack.name, { project: elsewhere });
    await succeed(stack.destroy());
    assert.deepEqual(await onAllNodes(trustStore), stores);
    assert.equal(await stack.resourceCount(), 0);
    assert.equal(await find("workload", "deployment", "default", "consumer"), undefined);
  });
});
