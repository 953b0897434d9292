import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
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
});
