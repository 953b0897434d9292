import assert from "node:assert/strict";
import * as path from "node:path";
import { after, before, describe, it } from "node:test";
import { projectRoot } from "../../../lab/paths";
import { makeProject, skip, type Project } from "./project";

/** What the engine and the language host show of a program of somebody's whose plan is refused. */
describe("a refusal in somebody's program", { skip }, () => {
  let project: Project;
  before(async () => {
    project = await makeProject();
  });
  after(() => project.remove());

  const preview = async (program: string): Promise<{ code: number; text: string }> => {
    await project.write(`
      import * as pulumi from "@pulumi/pulumi";
      import { local } from "@pulumi/command";
      import * as tkc from ${JSON.stringify(path.join(projectRoot, "dist", "components"))};
      const trust = (name: string, registries: any[]) =>
        new tkc.RegistryTrust(name, { cluster: { namespace: "ns1", name }, registries, access: "direct" });
      const registry = { host: "127.0.0.1:1", kind: "generic", credentials: { from: "none" } } as const;
      const file = (sha256?: any) => ({ ...registry, ca: { from: "file", path: "/nonexistent.pem", sha256 } });
      ${program}`);
    const { code, stdout, stderr } = await project.run(["preview", "--non-interactive"], {
      allowFailure: true,
      env: { KUBECONFIG: path.join(project.folder, "no-kubeconfig") },
    });
    const all = stdout + stderr;
    return { code, text: all.slice(all.indexOf("Diagnostics:")) }; // before it are the same messages, as they came
  };
  const times = (text: string, what: RegExp): number => [...text.matchAll(new RegExp(what, "g"))].length;

  it("is told once, with the problems of all components, their codes and no stack", async () => {
    const { code, text } = await preview(`
      const t = trust("c1", [file("no fingerprint")]);
      const pullSecret = new tkc.PullSecret("pull", { trust: t, namespaces: ["a", "a"] });
      new tkc.RegistryDeployment("web", { trust: t, pullSecret, image: "docker.io/library/nginx", port: 0 });
      new local.Command("after", { create: "true" }, { dependsOn: t });
    `);
    assert.notEqual(code, 0);
    assert.match(text, /RegistryTrust c1: registries\[0\]\.ca\.sha256: /);
    assert.match(text, /PullSecret pull: namespaces\[1\]: /);
    assert.match(text, /RegistryDeployment web: port: /);
    assert.equal(times(text, /3 problems were found/), 1, text);
    assert.doesNotMatch(text, /PromiseRejection|unhandled|\n\s+at |local:Command|runtime detected/i, text);
  });

  it("of what the program cannot know yet names the argument", async () => {
    const { code, text } = await preview(`
      const made = new local.Command("made", { create: "echo pem" });
      trust("c1", [{ ...registry, ca: { from: "inline", pem: made.stdout } }]);
    `);
    assert.notEqual(code, 0);
    assert.match(text, /RegistryTrust c1: registries\[0\]\.ca\.pem: .*\[unknown-at-preview\]/);
    assert.equal(times(text, /unknown-at-preview/), 1, text);
    assert.doesNotMatch(text, /PromiseRejection|unhandled|\n\s+at /i, text);
  });

  it("of one of two clusters does not repeat itself, nor hide the other's", async () => {
    const { code, text } = await preview(`
      trust("c1", [file()]);
      trust("c2", [file()]);
    `);
    assert.notEqual(code, 0);
    for (const name of ["c1", "c2"]) assert.match(text, new RegExp(name));
    assert.doesNotMatch(text, /PromiseRejection|unhandled|\n\s+at /i, text);
  });
});
