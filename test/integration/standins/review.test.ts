import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import * as path from "node:path";
import { after, before, describe, it } from "node:test";
import type { Review } from "../../../cli/review/findings";
import { projectRoot } from "../../../lab/paths";
import { type NodeChange, formatChange } from "../../../plan/reasons";
import type { CommandResult } from "../command";
import { makeProject, skip, type Project } from "./project";

const change: NodeChange = {
  node: "w1",
  role: "worker",
  turn: 1,
  reasons: [{ code: "file-missing", host: "harbor.example.com", text: "its CA file is missing" }],
  action: "install",
  restart: true,
};

/** What the official CLI's events say, of resources of this package's types. */
describe("a review of what the engine itself previews", { skip }, () => {
  let project: Project;
  before(async () => {
    project = await makeProject();
    await project.write(`
      import * as pulumi from "@pulumi/pulumi";
      import { local } from "@pulumi/command";
      const is = (what: string): boolean => (process.env.WORLD ?? "").split(" ").includes(what);
      if (is("refused")) throw new pulumi.RunError("node w1: it does not answer. Look at it [node-silent]");
      const make = (type: string, name: string, inputs: object, parent?: pulumi.Resource) =>
        new pulumi.ComponentResource("tkc-registry:index:" + type, name, inputs, { parent });
      const certificates = [{ registry: "harbor.example.com", sha256: (is("ca") ? "b" : "a").repeat(64) }];
      const trust = make("RegistryTrust", "trust", {});
      const nodes = make("TrustedNodes", "trust", { certificates }, trust);
      let earlier: pulumi.Resource | undefined;
      for (const name of ["cp1", "w1", ...(is("joined") ? ["w2"] : [])]) {
        const node = make("TrustedNode", "trust-" + name, { node: name }, nodes);
        if (name === "w1" && is("drift")) pulumi.log.info(${JSON.stringify(formatChange(change))}, node);
        const environment = {
          TKC_REGISTRY_NODE: name,
          TKC_REGISTRY_NONCE: name === "w1" && is("drift") ? "2" : "1",
          PASSWORD: pulumi.secret("hunter2"),
        };
        const options = { parent: node, dependsOn: earlier ? [earlier] : [] };
        earlier = new local.Command("trust-" + name + "-ca", { create: "true", environment }, options);
      }
      if (is("drift")) pulumi.log.warn("harbor.example.com was not asked");
      (trust as any).registerOutputs({
        registries: certificates.map(({ registry, sha256 }) => ({
          host: registry,
          certificates: [{ sha256, subject: "CN=CA", notAfter: "2036-01-01T00:00:00.000Z" }],
        })),
      });
      export const password = pulumi.secret("hunter2");`);
    await project.run(["up", "--yes", "--skip-preview"]);
  });
  after(() => project.remove());

  /** Runs the command with this project's `pulumi`. */
  const review = (world: string, ...words: string[]): Promise<CommandResult> => {
    const program = `require(${JSON.stringify(path.join(projectRoot, "dist", "run.js"))})`;
    const args = ["-e", program, "--", "v1", "review", "--stack", "test", ...words];
    const options = { cwd: project.folder, env: { ...project.env, WORLD: world } };
    return new Promise((resolve) => {
      execFile(process.execPath, args, options, (error, stdout, stderr) =>
        resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
      );
    });
  };
  const found = async (world: string, ...words: string[]): Promise<Review & { code: number | null }> => {
    const { code, stdout, stderr } = await review(world, "--json", ...words);
    assert.notEqual(stdout, "", stderr);
    assert.doesNotMatch(stdout + stderr, /hunter2|ciphertext/);
    return { ...(JSON.parse(stdout) as Review), code };
  };

  it("says that there is nothing to do where nothing changed", async () => {
    const { code, changes, nodes, risks } = await found("");
    assert.deepEqual([code, changes, risks], [0, false, []]);
    assert.deepEqual(
      nodes.map(({ name, action }) => [name, action]),
      [
        ["cp1", "none"],
        ["w1", "none"],
      ],
    );
  });

  it("has the program's reason, a new node, new certificates and warnings", async () => {
    const { code, nodes, certificates, warnings } = await found("drift joined ca");
    assert.equal(code, 1);
    assert.deepEqual(
      nodes.map(({ name, action, step, restart, reasons: [reason] }) => [
        name,
        action,
        step,
        restart,
        reason?.code,
      ]),
      [
        ["w1", "install", 1, true, "file-missing"],
        ["cp1", "none", null, false, undefined],
        ["w2", "install", null, null, "new"],
      ],
    );
    assert.deepEqual(
      certificates.map(({ sha256, subject, notAfter, change }) => [sha256[0], subject, notAfter, change]),
      [
        ["b", "CN=CA", "2036-01-01T00:00:00.000Z", "added"],
        ["a", "CN=CA", "2036-01-01T00:00:00.000Z", "removed"],
      ],
    );
    assert.deepEqual(warnings, ["harbor.example.com was not asked"]);
  });

  it("of a refusal prints what the program said", async () => {
    const { code, stdout, stderr } = await review("refused");
    assert.deepEqual([code, stdout], [2, ""]);
    const said = stderr.replace(/^Previewing: .*\n/gm, "");
    assert.equal(said, "node w1: it does not answer. Look at it [node-silent]\n");
  });

  it("holds a plan that the engine saved against now, as the engine itself does", async () => {
    await project.run(["preview", "--save-plan", "plan.json"], { env: { WORLD: "drift" } });
    const plan = path.join(project.folder, "plan.json");
    assert.match(await readFile(plan, "utf8"), /ciphertext/);
    const same = await found("drift", "--plan", plan);
    assert.deepEqual([same.code, same.plan], [0, { holds: true, differences: [] }]);
    const back = await found("", "--plan", plan);
    assert.deepEqual(
      [back.code, back.plan!.differences],
      [1, [{ subject: "w1", text: "it was to be changed, and now it is to be left alone" }]],
    );
    const joined = await found("drift joined", "--plan", plan);
    assert.deepEqual(
      [joined.code, joined.plan!.differences],
      [1, [{ subject: "w2", text: "it was not there, and now it is to be made" }]],
    );
    const up = ["up", "--yes", "--skip-preview", "--plan", "plan.json"];
    const env = { PULUMI_EXPERIMENTAL: "true" };
    const refused = await project.run(up, { allowFailure: true, env: { ...env, WORLD: "drift joined" } });
    assert.match(refused.stdout + refused.stderr, /create is not allowed by the plan/);
  });
});
