import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import * as path from "node:path";
import { after, before, describe, it } from "node:test";
import { readSettingsText } from "../../../config/settingsFile";
import { projectRoot } from "../../../lab/paths";
import { scalars } from "../../unit/config/scalars";
import { makeProject, skip, type Project } from "./project";

/** What the engine's own CLI makes of a settings file, and what `npm run check:settings` takes it for. */
describe("a settings file", { skip }, () => {
  let project: Project;
  let file: string;
  let own: string;
  before(async () => {
    project = await makeProject();
    file = path.join(project.folder, "Pulumi.test.yaml");
    own = await readFile(file, "utf8"); // the stack's encryption
  });
  after(() => project.remove());

  /** The settings by name, as programs get them. */
  async function pulumiReads(config: string): Promise<Record<string, string>> {
    await writeFile(file, `${own}${config}`);
    const { stdout } = await project.run(["config", "--json"]);
    const settings = JSON.parse(stdout) as Record<string, { value: string }>;
    return Object.fromEntries(Object.entries(settings).map(([name, { value }]) => [name, value]));
  }
  /** JSON of either writer, compared as what it says. */
  const said = (settings: Readonly<Record<string, string>>): Record<string, unknown> =>
    Object.fromEntries(
      Object.entries(settings).map(([name, value]) => [
        name,
        /^[[{]/.test(value) ? (JSON.parse(value) as unknown) : value,
      ]),
    );

  const lines = [
    ...scalars.flatMap(([yaml], at) => [`a${at}: ${yaml}`, `b${at}: [${yaml}]`]),
    "keys: {1: a, 0644: b, 10.5: c, true: d}",
    "standins:config:old: x",
    "other:name: y",
    "anchor: &x {b: 1, d: 4}",
    "alias: *x",
    "merged: {<<: *x, b: 2}",
    "block: |\n    8080",
    "notSecret: {secure: 5}",
  ];
  const config = `config:\n${lines.map((line) => `  ${line}\n`).join("")}`;

  it("is read as Pulumi reads it", async () => {
    assert.deepEqual(
      said(readSettingsText(config, "file", "standins").values),
      said(await pulumiReads(config)),
    );
  });

  it("gives what the tests of this repository say that it gives", async () => {
    const read = said(await pulumiReads(config));
    scalars.forEach(([yaml, text, value], at) => {
      assert.equal(read[`standins:a${at}`], text, yaml);
      assert.deepEqual(read[`standins:b${at}`], [value], yaml);
    });
  });

  it("keeps text what `pulumi config set --path --type string` is given, as the message says", async () => {
    await writeFile(file, own);
    await project.run(["config", "set", "--path", "env.PORT", "8080"]);
    await project.run(["config", "set", "--path", "--type", "string", "env.TEXT", "8080"]);
    const { values } = readSettingsText(await readFile(file, "utf8"), "file", "standins");
    assert.deepEqual(JSON.parse(values["standins:env"]!), { PORT: 8080, TEXT: "8080" });
  });

  it("of production takes the image of staging's output by the lines of docs/environments.md", async () => {
    await writeFile(file, own);
    const digest = `sha256:${"ab".repeat(32)}`;
    await project.write(`export const image = "harbor.example.com/shop/web:1.8.3@${digest}";`);
    await project.run(["up", "--yes", "--skip-preview"]);
    await project.run(["stack", "init", "prod"]);
    const production = path.join(project.folder, "Pulumi.prod.yaml");
    const example = path.join(projectRoot, "examples", "environments", "Pulumi.prod.yaml");
    const before = (await readFile(example, "utf8")).replaceAll("tkc-registry:", "standins:");
    await writeFile(production, before);

    const { stdout } = await project.run(["stack", "output", "image", "--stack", "test"]);
    await project.run(["config", "set", "--stack", "prod", "--path", "deployment.image", stdout.trim()]);
    const after = await readFile(production, "utf8");
    const line = (text: string): string | undefined => /^ *image: .*$/m.exec(text)?.[0];
    assert.equal(line(after), `    image: harbor.example.com/shop/web:1.8.3@${digest}`);
    const values = (text: string) => readSettingsText(text, "file", "standins").values;
    assert.deepEqual(values(after), values(before.replace(line(before)!, line(after)!)));
    for (const comment of before.match(/#.*/g)!) assert.ok(after.includes(comment), comment);
  });
});
