import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parse } from "yaml";
import { settingsSchema } from "../../../config/schema";
import { settingsText } from "../../../lab/settingsFile";

interface Settings {
  readonly encryptionsalt?: string;
  readonly config: Readonly<Record<string, unknown>>;
}
const read = (text: string): Settings => parse(text) as Settings;
const namespaced = (settings: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(settings).map(([key, value]) => [`tkc-registry:${key}`, value]));

const salt = "encryptionsalt: v1:aBc+/=:v1:dEf==:gHi==\n";
const settings = {
  namespace: "ns1",
  cluster: "tkc-cluster-1",
  registries: [
    {
      host: "198.18.0.67",
      ca: { from: "harbor", sha256: "00:11:22" },
      credentials: { from: "dockerConfig", path: "/run/docker config.json" },
    },
    {
      host: "198.18.0.70:8443",
      kind: "generic",
      ca: { from: "inline", pem: "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n" },
      credentials: { from: "password", username: "puller" },
    },
  ],
  pullSecret: { namespaces: ["default", "no-such-team"] },
  adopt: true,
};

test("the file says the settings and keeps the salt; what else was in it goes", () => {
  const text = settingsText(
    `${salt}config: {"tkc-registry:adopt":false,"tkc-registry:trust":"auto"}\n`,
    settings,
  );
  assert.deepEqual(read(text), {
    encryptionsalt: "v1:aBc+/=:v1:dEf==:gHi==",
    config: namespaced(settings),
  });
  assert.equal(settingsText(text, settings), text);
});

test("a file that is empty, as `stack init` without a passphrase leaves it, gets the settings alone", () => {
  assert.deepEqual(read(settingsText("", { namespace: "ns1" })), {
    config: namespaced({ namespace: "ns1" }),
  });
});

test("it is in block style, no wider than a terminal, with a comment before each setting", () => {
  const lines = settingsText(salt, settings).split("\n");
  assert.deepEqual(
    lines.filter((line) => /[{[]/.test(line.replace(/#.*/, "")) || line.length > 100),
    [],
  );
  for (const key of Object.keys(settings)) {
    const at = lines.findIndex((line) => line.startsWith(`  tkc-registry:${key}:`));
    assert.match(lines[at - 1]!, /^ {2}# /, key);
  }
});

test("every setting that there is has a comment", () => {
  const names = Object.keys(settingsSchema.shape);
  const text = settingsText("", Object.fromEntries(names.map((name) => [name, "x"])));
  for (const name of names) assert.match(text, new RegExp(`^  # .*\\n  tkc-registry:${name}: x$`, "m"));
});

test("whatever the values are, they come back", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.stringMatching(/^[a-z]{1,9}$/), fc.jsonValue()), (values) => {
      const plain = JSON.parse(JSON.stringify(values)) as Record<string, unknown>;
      assert.deepEqual(JSON.parse(JSON.stringify(read(settingsText(salt, plain)).config)), namespaced(plain));
    }),
  );
});

test("texts that YAML 1.1 takes for something else are quoted", () => {
  const text = settingsText("", { a: "yes", b: "1e5", c: "0x1F", d: "1_000", e: "12:30:45", f: "null" });
  for (const value of ["yes", "1e5", "0x1F", "1_000", "12:30:45", "null"])
    assert.ok(text.includes(`"${value}"`), text);
});
