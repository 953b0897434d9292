import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import * as path from "node:path";
import { describe, it } from "node:test";
import Ajv from "ajv/dist/2020";
import { parse, stringify } from "yaml";
import { checkSettings, ownSettings } from "../../../config/settings";
import { readSettingsText } from "../../../config/settingsFile";
import { schemaFile } from "../../../docs/settings";
import { packageRoot } from "../../../support/build";
import { describeProblem, UserError } from "../../../support/errors";
import { everySetting, sha256 } from "./everySetting";

const schema = JSON.parse(readFileSync(schemaFile, "utf8")) as object;
const validate = new Ajv({ strictTypes: false }).compile(schema);

/** What the schema finds wrong in the file, as an editor reads it. */
const marks = (yaml: string): string[] =>
  validate(yaml.startsWith("{") ? JSON.parse(yaml) : parse(yaml))
    ? []
    : validate.errors!.map((error) => `${error.instancePath} ${error.message!}`);

/** What the program finds wrong in it. */
function problems(yaml: string): string[] {
  try {
    const { values: all, encrypted: places } = readSettingsText(yaml, "file", "tkc-registry");
    const { values, problems: foreign } = ownSettings(all, "tkc-registry");
    const encrypted = places.map(([key, ...rest]) => [key.slice("tkc-registry:".length), ...rest]);
    const secretNames = new Set(encrypted.map(([name]) => String(name)));
    return [...foreign, ...checkSettings({ values, secretNames, encrypted }).problems].map(describeProblem);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return [error.message];
  }
}

const secure = { secure: "v1:AAAA:BBBB" };

/** Every setting there is, as the file may have it. */
const whole = {
  ...everySetting,
  registries: [
    ...everySetting.registries,
    { host: "b.example.com", ca: { from: "harbor", trustOnFirstUse: true } },
  ],
  passwords: { "10.0.0.1:8443": secure },
  deployment: { ...everySetting.deployment, env: { A: "b", B: secure } },
};
const least = {
  namespace: "ns1",
  cluster: "tkc-cluster-1",
  registries: [{ host: "a.example.com", ca: { from: "harbor", sha256 } }],
};

const inFile = (settings: Readonly<Record<string, unknown>>, beside: object = {}): object => {
  const config = Object.fromEntries(
    Object.entries(settings).flatMap(([name, value]) =>
      value === undefined ? [] : [[name.includes(":") ? name : `tkc-registry:${name}`, value]],
    ),
  );
  return { ...beside, config };
};
const file = (...settings: Parameters<typeof inFile>): string =>
  stringify(inFile(...settings), { compat: "yaml-1.1", aliasDuplicateObjects: false });
const withRegistry = (changes: object) =>
  file({ ...least, registries: [{ ...least.registries[0], ...changes }] });

describe("settings.schema.json", () => {
  it("is in the package, by the name that editors and programs take", () => {
    assert.equal(require.resolve("tkc-registry/schema.json"), schemaFile);
    const { files } = JSON.parse(readFileSync(path.join(packageRoot, "package.json"), "utf8")) as {
      files: string[];
    };
    assert.ok(files.includes(path.basename(schemaFile)));
  });

  const bare = Object.fromEntries(Object.entries(least).map(([name, value]) => [`x:${name}`, value]));
  const good: Readonly<Record<string, string>> = {
    "all settings": file(whole),
    "the least that there can be": file(least),
    "what is Pulumi's own": file(least, {
      secretsprovider: "passphrase",
      encryptionsalt: "v1:x",
      encryptedkey: "x",
    }),
    "other programs' settings": file({ ...least, "kubernetes:context": "x", "tkc-other:y": { z: 1 } }),
    "settings without a namespace": stringify({ config: least }),
    "settings with `config` in their names": file(
      Object.fromEntries(
        Object.entries(least).map(([name, value]) => [`tkc-registry:config:${name}`, value]),
      ),
    ),
    "JSON in texts, as `pulumi config set` without --path leaves it": file({
      ...least,
      registries: JSON.stringify(least.registries),
      adopt: "true",
    }),
    "a name of digits": file({ ...least, namespace: 123, cluster: 4 }),
    "whole settings that are encrypted": file({
      ...whole,
      registries: secure,
      passwords: secure,
      namespace: secure,
    }),
    "texts that are encrypted": withRegistry({ host: secure, ca: { from: "chain", sha256: secure } }),
    "a fingerprint with colons and its title": withRegistry({
      ca: { from: "harbor", sha256: `sha256 Fingerprint=${"AB:".repeat(31)}AB` },
    }),
  };
  for (const [what, yaml] of Object.entries(good))
    it(`takes ${what}, as the program does`, () => {
      assert.deepEqual(marks(yaml), []);
      assert.deepEqual(problems(yaml), []);
    });

  const bad: Readonly<Record<string, string>> = {
    "an unknown setting": file({ ...least, clustr: "x" }),
    "an unknown setting without a namespace": file({ ...least, "tkc-registry:config:clustr": "x" }),
    "an unknown key in a setting": file({ ...least, jumpbox: { tag: "x" } }),
    "an unknown key in a registry": withRegistry({ insecure: true }),
    "an unknown key in a CA": withRegistry({ ca: { from: "file", path: "x", trustOnFirstUse: true } }),
    "no cluster": file({ ...least, cluster: undefined }),
    "settings of another project alone": file(bare),
    "no registry": file({ ...least, registries: [] }),
    "a registry without a CA": withRegistry({ ca: undefined }),
    "a CA from the network without a fingerprint": withRegistry({ ca: { from: "chain" } }),
    "a CA that is not to be trusted on first use": withRegistry({
      ca: { from: "harbor", trustOnFirstUse: false },
    }),
    "a CA from nowhere": withRegistry({ ca: { from: "moon" } }),
    "Harbor's offer of a registry that is none": withRegistry({ kind: "generic" }),
    "a short fingerprint": withRegistry({ ca: { from: "chain", sha256: "abcd" } }),
    "a URL in place of a host": withRegistry({ host: "https://a.example.com" }),
    "a user with a colon": withRegistry({ credentials: { from: "password", username: "a:b" } }),
    "a namespace with capitals": file({ ...least, namespace: "NS" }),
    "a wrong word": file({ ...least, access: "teleport" }),
    "a port too high": file({ ...least, deployment: { port: 70000 } }),
    "half a replica": file({ ...least, deployment: { replicas: 1.5 } }),
    "a number in place of text": file({ ...least, deployment: { env: { PORT: 8080 } } }),
    "an encrypted number": file({ ...least, deployment: { replicas: secure } }),
    "a text in place of a list": file({ ...least, registries: "a.example.com" }),
    "a word in place of a truth value": file({ ...least, adopt: "yes" }),
    "a password in clear": file({ ...whole, passwords: { "10.0.0.1:8443": "hunter2" } }),
    "a password in clear beside an encrypted one": file({
      ...whole,
      passwords: { "10.0.0.1:8443": secure, "a.example.com": "hunter2" },
    }),
    "an empty setting": file({ ...least, namespace: null }),
    "a list of settings": "config: [a]\n",
  };
  for (const [what, yaml] of Object.entries(bad))
    it(`marks ${what}, which the program refuses`, () => {
      assert.notDeepEqual(marks(yaml), []);
      assert.notDeepEqual(problems(yaml), []);
      assert.doesNotMatch(problems(yaml).join("\n"), /hunter2/);
    });

  const examples = [
    "Pulumi.example.yaml",
    ...readdirSync(path.join(packageRoot, "examples", "environments"))
      .filter((name) => name.startsWith("Pulumi."))
      .map((name) => path.join("examples", "environments", name)),
  ];
  for (const example of examples)
    it(`takes ${example}, which names it, as the program does`, () => {
      const text = readFileSync(path.join(packageRoot, example), "utf8");
      const [, named] = /^# yaml-language-server: \$schema=(.*)\n/.exec(text) ?? [];
      assert.equal(path.resolve(packageRoot, path.dirname(example), named!), schemaFile);
      assert.deepEqual(marks(text), []);
      assert.deepEqual(problems(text), []);
    });

  it("takes the image of production's example from what staging's has as its output", () => {
    const imageOf = (stack: string): string => {
      const file = path.join(packageRoot, "examples", "environments", `Pulumi.${stack}.yaml`);
      const { config } = parse(readFileSync(file, "utf8")) as {
        config: { "tkc-registry:deployment": { image: string } };
      };
      return config["tkc-registry:deployment"].image;
    };
    assert.match(imageOf("staging"), /:[\d.]+$/);
    assert.match(imageOf("prod").replace(imageOf("staging"), ""), /^@sha256:[0-9a-f]{64}$/);
  });

  type Place = readonly (string | number)[];
  const placesIn = (value: unknown, at: Place = []): Place[] =>
    typeof value !== "object" || value === null
      ? [at]
      : [at, ...Object.entries(value).flatMap(([key, item]) => placesIn(item, [...at, key]))];
  const values = [
    ...[
      null,
      true,
      0,
      8080,
      1.5,
      "",
      " ",
      "x",
      "X",
      "true",
      "0644",
      "/x",
      "a\nb",
      "a b",
      "x:y",
      sha256,
      "[]",
      "{}",
    ],
    ...["none", [], {}, [1], ["a"], { a: "b" }, secure, { secure: 5 }, { from: "none" }, undefined],
  ];

  it("marks nothing that the program takes, whatever stands in whichever place", () => {
    let [marked, taken] = [0, 0];
    for (const place of placesIn(whole).filter(({ length }) => length > 0))
      for (const value of values) {
        // Pulumi makes text of a list, too, and such a text may be a context's name.
        if (place.length === 1 && /Context$/.test(String(place[0])) && typeof value === "object") continue;
        const settings = structuredClone(whole) as Record<string, unknown>;
        let at = settings;
        for (const key of place.slice(0, -1)) at = at[key] as Record<string, unknown>;
        at[place.at(-1)!] = value;
        const yaml = JSON.stringify(inFile(settings)); // is YAML, too, and soon read
        const found = marks(yaml);
        if (found.length === 0) taken++;
        else if (problems(yaml).length > 0) marked++;
        else assert.fail(`the program takes what the schema marks: ${found.join("; ")}\n${yaml}`);
      }
    assert.ok(marked > 500 && taken > 200, `${marked} marked, ${taken} taken`);
  });
});
