import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { FoundObject } from "../../../kubernetes/checks";
import type { StackIdentity } from "../../../nodes/protocol/spec";
import {
  type Claim,
  claimOf,
  isOurs,
  ownerMetadata,
  ownership,
  resolveOwnership,
  stackOwner,
} from "../../../plan/ownership";
import { problem } from "../../integration/net/server";

test("a stack's readable name is a valid label value, whatever the stack is called", () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), fc.string({ minLength: 1 }), (project, stack) => {
      assert.match(stackOwner(project, stack), /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/);
    }),
  );
});

test("a plain stack's name can be read by people", () => {
  assert.equal(stackOwner("tkc-registry", "prod"), "tkc-registry.prod");
});

test("long names that differ at their end stay different", () => {
  const long = "s".repeat(80);
  assert.notEqual(stackOwner("p", `${long}1`), stackOwner("p", `${long}2`));
});

const [ours, theirs] = [
  { owner: "tkc-registry.dev", id: "5d1b5d2e-0f0c-4d6f-9a3e-2f7c1b1f0a11" },
  { owner: "tkc-registry.dev", id: "00000000-0000-4000-8000-000000000001" },
];
const claim = (change: Partial<Claim> = {}): (() => Promise<Claim>) => {
  return () => Promise.resolve({ ids: new Set([ours.id]), formers: new Set(), uids: new Set(), ...change });
};
const found = (stack: StackIdentity, adopted = false): FoundObject => ({
  uid: "uid-1",
  ...ownerMetadata(stack, adopted),
});
const neverAsked = (): Promise<Claim> => Promise.reject(new Error("the state was read"));

test("an object without our label is a stranger's, for which the state is not read", async () => {
  assert.deepEqual(await ownership(undefined, neverAsked), { kind: "absent" });
  const labels = { app: "x" };
  assert.deepEqual(await ownership({ uid: "u", labels, annotations: {} }, neverAsked), { kind: "foreign" });
});
test("our label without managed-by is no proof of ownership", async () => {
  const labels = { "tkc-registry/stack": ours.owner, "tkc-registry/id": ours.id };
  assert.deepEqual(await ownership({ uid: "u", labels, annotations: {} }, claim()), { kind: "foreign" });
});
test("an object of another stack is named as that stack's, also of one with the same name", async () => {
  assert.deepEqual(await ownership(found(theirs), claim()), { kind: "foreign", stack: theirs });
  // Before the first run, no object can be ours, whatever it is called.
  const fresh = claim({ ids: new Set() });
  assert.deepEqual(await ownership(found(ours), fresh), { kind: "foreign", stack: ours });
  const legacy = { owner: ours.owner, id: undefined };
  assert.deepEqual(await ownership(found(legacy), fresh), { kind: "foreign", stack: legacy });
  assert.deepEqual(await ownership(found(legacy), claim()), { kind: "foreign", stack: legacy });
});
test("names that read the same do not make stacks the same", () => {
  assert.equal(stackOwner("tkc", "registry.prod"), stackOwner("tkc.registry", "prod"));
});
test("an object that a cut-off run left is ours, whatever the stack was called", async () => {
  assert.deepEqual(await ownership(found(ours), claim()), { kind: "ours" });
  assert.deepEqual(await ownership(found({ ...ours, owner: "tkc-registry.old" }), claim()), { kind: "ours" });
});
test("a stack that takes up another cluster keeps what it has outside of it", () => {
  const set = (id: string) => ({ id, former: undefined });
  const pod = { kind: "Pod", namespace: "ns1", name: "jumpbox-ubuntu", uid: "uid-1", replaces: undefined };
  const state = {
    ...{ canary: {}, jumpbox: pod, objects: [], nodes: new Map(), clusters: [], trusted: new Map() },
    identity: undefined,
    identities: new Map([["the-cluster-before", set(ours.id)]]),
  };
  assert.ok(isOurs("uid-1", ours, claimOf(state)));
  assert.ok(!isOurs("uid-1", theirs, claimOf(state)));
});
test("an object of a release that made no ids is ours by the state, or by the name of then", async () => {
  const legacy = found({ owner: "tkc-registry.old" });
  assert.deepEqual(await ownership(legacy, claim({ ids: new Set(), uids: new Set(["uid-1"]) })), {
    kind: "ours",
  });
  assert.deepEqual(await ownership(legacy, claim({ formers: new Set(["tkc-registry.old"]) })), {
    kind: "ours",
  });
  assert.equal((await ownership(legacy, claim({ formers: new Set(["tkc-registry.dev"]) }))).kind, "foreign");
  // An id that is another's counts more than what the state says.
  assert.equal((await ownership(found(theirs), claim({ uids: new Set(["uid-1"]) }))).kind, "foreign");
});
test("an adopted object is remembered as adopted", async () => {
  assert.deepEqual(await ownership(found(ours, true), claim()), { kind: "adopted" });
});
test("an object that another stack had only adopted can be adopted again", async () => {
  assert.deepEqual(await ownership(found(theirs, true), claim()), { kind: "foreign" });
});
test("the remedy names the stack, its id, and a command that takes its labels off", async () => {
  const what = { kind: "secret", namespace: "default", name: "pull", context: "tkc-1" };
  const options = { claim: claim(), adopt: true, otherName: "`pullSecret.name`" };
  await assert.rejects(
    resolveOwnership(what, found(theirs), options),
    problem(
      "object-of-another-stack",
      /^secret default\/pull: it belongs to the stack tkc-registry\.dev \(id 00000000-/,
      /kubectl --context tkc-1 -n default label secret pull tkc-registry\/stack- tkc-registry\/id-/,
    ),
  );
  // What that command leaves is adopted.
  const labels = { "app.kubernetes.io/managed-by": "tkc-registry" };
  assert.equal(await resolveOwnership(what, { uid: "uid-1", labels, annotations: {} }, options), "adopted");
});
test("a run that was cut off leaves its fields to the same field manager as the next one", () => {
  const { annotations } = ownerMetadata(ours);
  assert.equal(annotations["pulumi.com/patchFieldManager"], "tkc-registry");
  assert.equal(annotations["pulumi.com/patchForce"], "true");
});
