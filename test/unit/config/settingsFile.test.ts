import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type FileConfiguration, readSettingsText } from "../../../config/settingsFile";
import { UserError } from "../../../support/errors";
import { scalars } from "./scalars";

const read = (text: string): FileConfiguration => readSettingsText(text, "settings file", "tkc-registry");
const values = (text: string): FileConfiguration["values"] => read(text).values;

/** The value of the setting `a`, whose YAML this is. */
const alone = (yaml: string): string | undefined => values(`config:\n  a: ${yaml}\n`)["tkc-registry:a"];
/** The same within a list. */
const inside = (yaml: string): unknown => {
  const json = values(`config:\n  a: [${yaml}]\n`)["tkc-registry:a"]!;
  return (JSON.parse(json) as unknown[])[0];
};

describe("a settings file", () => {
  for (const [yaml, text, value] of scalars)
    it(`gives ${yaml} as Pulumi does`, () => {
      assert.equal(alone(yaml), text);
      assert.deepEqual(inside(yaml), value);
    });

  it("gives keys without quotes as Pulumi does", () => {
    assert.equal(alone("{1: a, 0644: b, 10.5: c, true: d}"), '{"1":"a","420":"b","10.5":"c","true":"d"}');
  });

  it("takes a setting without namespace, and one with `config` in it, for the project's", () => {
    assert.deepEqual(values("config:\n  a: 1\n  tkc-registry:config:b: 2\n  other:c: 3\n"), {
      ...{ "tkc-registry:a": "1", "tkc-registry:b": "2", "other:c": "3" },
    });
  });

  it("may be empty, have no settings, and have other things", () => {
    for (const text of ["", "# nothing\n", "config:\n", "encryptionsalt: v1:x\nconfig: {}\n"])
      assert.deepEqual(read(text), { values: {}, encrypted: [], hasEnvironments: false });
    assert.ok(read("environment: [dev]\n").hasEnvironments);
  });

  it("may be of Windows, with a byte order mark, and with anchors", () => {
    assert.equal(values("\uFEFFconfig:\r\n  a: b\r\n")["tkc-registry:a"], "b");
    const shared = values("config:\n  a: &x {b: 1, d: 4}\n  c: *x\n  e: {<<: *x, b: 2}\n");
    assert.equal(shared["tkc-registry:c"], '{"b":1,"d":4}');
    assert.deepEqual(JSON.parse(shared["tkc-registry:e"]!), { b: 2, d: 4 });
  });

  it("has encrypted values, alone and within others, each with a text of its own in its place", () => {
    const { values: given, encrypted } = read(
      "config:\n  a: {secure: v1:x}\n  b: {c: [1, {secure: v1:y}]}\n  d: {secure: 5}\n  e: {secure: v1:z, f: 1}\n",
    );
    assert.deepEqual(encrypted, [["tkc-registry:a"], ["tkc-registry:b", "c", 1]]);
    assert.equal(given["tkc-registry:a"], "encrypted-1");
    assert.equal(given["tkc-registry:b"], '{"c":[1,"encrypted-2"]}');
    assert.equal(given["tkc-registry:d"], '{"secure":5}');
    assert.equal(given["tkc-registry:e"], '{"secure":"v1:z","f":1}');
  });

  const refused: readonly (readonly [what: string, yaml: string, seen: RegExp])[] = [
    ["a key that is there twice", "config:\n  a: x\n  a: y\n", /line 3: a key is there twice/],
    ["a key that is there twice in a value", "config:\n  a: {b: 1, b: 2}\n", /line 2: a key is there twice/],
    [
      "one setting in two spellings",
      "config:\n  a: x\n  tkc-registry:a: y\n",
      /tkc-registry:a is there twice/,
    ],
    ["a second document", "config:\n  a: x\n---\nconfig:\n  b: y\n", /line 3: a second document begins/],
    ["a tab as indentation", "config:\n\ta: x\n", /line 2: it is indented by a tab/],
    ["quotes that do not end", 'config:\n  a: "hunter2\n', /it is not YAML \(MISSING_CHAR\)/],
    ["an alias of nothing", "config:\n  a: *hunter2\n", /has no anchor/],
    ["a list of settings", "config: [hunter2]\n", /`config` is not a mapping/],
    ["a text", "hunter2\n", /it is not a mapping/],
    ["a name with too many colons", "config:\n  hunter2:b:c: 1\n", /neither NAME nor NAMESPACE:NAME/],
    ["a number that is none", "config:\n  a: [.inf]\n", /JSON has not/],
    ["a number that is none, alone", "config:\n  a: -.Inf\n", /JSON has not/],
  ];
  for (const [what, yaml, seen] of refused)
    it(`is refused with ${what}, and not quoted`, () => {
      assert.throws(
        () => read(yaml),
        (error) => {
          assert.ok(error instanceof UserError);
          assert.match(error.message, seen);
          assert.match(error.message, /^settings file: .* \[settings-file\]$/);
          assert.doesNotMatch(error.message, /hunter2/);
          return true;
        },
      );
    });
});
