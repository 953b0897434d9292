import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { riskCodes } from "../../cli/review/findings";
import type { StackOutputs } from "../../components/stackOutputs";
import { errorsFile, errorsPage } from "../../docs/errors";
import { reviewJsonSchema, reviewSchemaFile } from "../../docs/reviewSchema";
import { schemaFile, settingsFile, settingsJsonSchema, settingsPage } from "../../docs/settings";
import { UserError } from "../../support/errors";

const root = path.join(__dirname, "..", "..");

test("each test that docs/reliability.md names is there", () => {
  const page = readFileSync(path.join(root, "docs", "reliability.md"), "utf8");
  const named = [...page.matchAll(/`((?:unit|integration|e2e)\/[\w/-]+)`: ([^·|\n]+)/g)];
  assert.ok(named.length > 30);
  const missing = named.filter(([, file, name]) => {
    const source = readFileSync(path.join(root, "test", `${file!}.test.ts`), "utf8");
    return !source.includes(name!.trim());
  });
  assert.deepEqual(
    missing.map(([text]) => text),
    [],
  );
});

test("docs/errors.md is of the rooms' problems", () => {
  assert.ok(
    readFileSync(errorsFile, "utf8") === errorsPage(),
    "docs/errors.md is not of these problems: run `npm run docs`",
  );
});

test("docs/settings.md and settings.schema.json are of the settings that there are", () => {
  for (const [file, text] of [
    [settingsFile, settingsPage()],
    [schemaFile, settingsJsonSchema()],
  ] as const)
    assert.ok(readFileSync(file, "utf8") === text, `${file} is not of these settings: run \`npm run docs\``);
});

test("review.schema.json is of what a review finds", () => {
  assert.ok(readFileSync(reviewSchemaFile, "utf8") === reviewJsonSchema(), "run `npm run docs`");
});

test("docs/review.md has each risk that a review names", () => {
  const page = readFileSync(path.join(root, "docs", "review.md"), "utf8");
  const [, table] = page.split("| Risk | When |\n|---|---|\n");
  const named = [...table!.split("\n\n")[0]!.matchAll(/^\| `([\w-]+)` \|/gm)].map(([, code]) => code);
  assert.deepEqual(named, [...riskCodes]);
});

test("docs/outputs.md has each output of a stack, and each thing that it says of a node", () => {
  const outputs = {
    ...{ jumpbox: true, nodes: true, excludedNodes: true, registries: true },
    ...{ pullSecret: true, deployment: true, image: true },
  } satisfies Record<keyof StackOutputs, true>;
  const node = {
    ...{ name: true, role: true, address: true, osImage: true, skipped: true, trustStore: true, trust: true },
    ...{ hostKey: true, certificates: true, alsoTrustedBy: true, containerdStarted: true },
  } satisfies Record<keyof StackOutputs["nodes"][number], true>;
  const [first, second] = readFileSync(path.join(root, "docs", "outputs.md"), "utf8").split("A node has:");
  const named = (part: string): string[] =>
    [...part.matchAll(/^\| (`.*?) \|/gm)].flatMap(([, cell]) =>
      [...cell!.matchAll(/`(\w+)`/g)].map(([, name]) => name!),
    );
  assert.deepEqual(named(first!), Object.keys(outputs));
  assert.deepEqual(named(second!), Object.keys(node));
});

test("settings files are in version control", () => {
  const ignored = readFileSync(path.join(root, ".gitignore"), "utf8");
  assert.doesNotMatch(ignored, /^Pulumi/m);
});

test("a message ends with the code that docs/errors.md explains, each of several too", () => {
  const problem = { code: "no-nodes", subject: "it", seen: "seen", remedy: "Do" } as const;
  assert.equal(new UserError(problem).message, "it: seen. Do [no-nodes]");
  const both = new UserError(problem, { ...problem, code: "node-silent" }).message;
  assert.match(both, /Do \[no-nodes\]\n[^]*Do \[node-silent\]$/);
});
