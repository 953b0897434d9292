import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type SavedPlan, comparePlans as compare, parseSavedPlan } from "../../../../cli/review/savedPlan";
import { UserError } from "../../../../support/errors";
import { nodeUrn, nodesUrn } from "./events";

const ca = (name: string): string =>
  nodeUrn(name).replace(`::trust-${name}`, `$command:local:Command::trust-${name}-ca`);
const encrypted = (ciphertext: string) => ({
  "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
  ciphertext,
});
type Entry = { goal?: object; steps?: string[]; state?: unknown };
const plan = (resourcePlans: Record<string, Entry>): SavedPlan =>
  parseSavedPlan(
    JSON.stringify({
      manifest: { time: "2026-11-27T12:00:00Z", magic: "x", version: "v3.259.0" },
      resourcePlans,
    }),
    "plan.json",
  );
const update = (environment: object, more: object = {}): Entry => ({
  goal: { type: "command:local:Command", inputDiff: { updates: { environment } }, outputDiff: {}, ...more },
  steps: ["update"],
});

const names = new Map([[nodeUrn("w1"), "tkc-cluster-1-w1"]]);
const comparePlans = (saved: SavedPlan, now: SavedPlan) => compare(saved, now, names);

describe("what differs from a saved plan", () => {
  it("is nothing where the engine would do the same, with secrets encrypted anew", () => {
    const at = (ciphertext: string) =>
      plan({ [ca("w1")]: update({ TKC_REGISTRY_NONCE: "a", SECRET: encrypted(ciphertext) }) });
    assert.deepEqual(comparePlans(at("v1:a"), at("v1:b")), []);
  });

  it("is a node that joined, and one that left", () => {
    const saved = plan({ [ca("w1")]: { steps: ["same"] } });
    const now = plan({ [ca("w2")]: { steps: ["create"] } });
    assert.deepEqual(comparePlans(saved, now), [
      { subject: "tkc-cluster-1-w1", text: "it was to be left alone, and now it is not there" },
      { subject: "trust-w2", text: "it was not there, and now it is to be made" },
    ]);
  });

  it("is what a node's command is given, by what that stands for and never by its value", () => {
    const saved = plan({
      [ca("w1")]: update({ TKC_REGISTRY_NONCE: "a", TKC_REGISTRY_NODE_ADDRESS: "10.0.0.1" }),
    });
    const now = plan({ [ca("w1")]: update({ TKC_REGISTRY_NONCE: "b", OTHER: "hunter2" }) });
    const differences = comparePlans(saved, now);
    assert.deepEqual(differences, [
      {
        subject: "tkc-cluster-1-w1",
        text: "it was to be changed in another way: environment.OTHER, its address, what the node has",
      },
    ]);
  });

  for (const other of ["-up", "-containerd"])
    it(`is told once of a node whose two commands both differ, of which one is called ${other}`, () => {
      const both = (step: string) =>
        plan({ [ca("w1")]: { steps: [step] }, [ca("w1").replace(/-ca$/, other)]: { steps: [step] } });
      assert.equal(comparePlans(both("same"), both("update")).length, 1);
    });

  it("is the order, where a node waits for another one", () => {
    const after = (name: string) => plan({ [ca("w1")]: update({}, { dependencies: [ca(name)] }) });
    assert.deepEqual(comparePlans(after("w2"), after("w3")), [
      { subject: "tkc-cluster-1-w1", text: "its turn is another" },
    ]);
  });

  it("is the script or a certificate of all nodes", () => {
    const nodes = (sha256: string) =>
      plan({
        [nodesUrn]: { goal: { inputDiff: { updates: { certificates: [{ sha256 }] } } }, steps: ["same"] },
      });
    assert.match(comparePlans(nodes("a"), nodes("b"))[0]!.text, /: certificates$/);
  });

  it("is the digest of the whole run only where nothing better is known", () => {
    const urn =
      "urn:pulumi:prod::tkc-registry::tkc-registry:index:RegistryTrust$command:local:Command::trust-plan";
    const of = (digest: string, nonce: string) =>
      plan({
        [urn]: update({ TKC_REGISTRY_PLAN: digest }),
        [ca("w1")]: update({ TKC_REGISTRY_NONCE: nonce }),
      });
    assert.deepEqual(comparePlans(of("a", "1"), of("b", "1")), [
      { subject: "trust-plan", text: "what the run would do differs" },
    ]);
    assert.deepEqual(
      comparePlans(of("a", "1"), of("b", "2")).map(({ subject }) => subject),
      ["tkc-cluster-1-w1"],
    );
  });

  it("names five things at most", () => {
    const now = plan({
      [ca("w1")]: update(Object.fromEntries(["a", "b", "c", "d", "e", "f", "g"].map((name) => [name, 1]))),
    });
    assert.match(comparePlans(plan({ [ca("w1")]: update({}) }), now)[0]!.text, /environment\.e and 2 more$/);
  });

  it("can't be told from what is no plan", () => {
    for (const text of ["", "[", "{}", "[]", '{"manifest":{},"resourcePlans":{"a":{"steps":1}}}'])
      assert.throws(
        () => parseSavedPlan(text, "plan.json"),
        (error) => error instanceof UserError && /plan\.json .*\[plan-unreadable\]/.test(error.message),
        text,
      );
  });
});
