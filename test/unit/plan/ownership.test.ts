import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ownerMetadata, ownership, stackOwner } from "../../../plan/ownership";

test("a stack's identity is a valid label value, whatever the stack is called", () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), fc.string({ minLength: 1 }), (project, stack) => {
      assert.match(stackOwner(project, stack), /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/);
    }),
  );
});

test("a plain stack's identity can be read by people", () => {
  assert.equal(stackOwner("tkc-registry", "prod"), "tkc-registry.prod");
});

test("long names that differ at their end stay different", () => {
  const long = "s".repeat(80);
  assert.notEqual(stackOwner("p", `${long}1`), stackOwner("p", `${long}2`));
});

const owner = "tkc-registry.dev";
test("an object without our label is a stranger's", () => {
  assert.deepEqual(ownership({ labels: { app: "x" }, annotations: {} }, owner), { kind: "foreign" });
});
test("our label without managed-by is no proof of ownership", () => {
  assert.deepEqual(ownership({ labels: { "tkc-registry/stack": owner }, annotations: {} }, owner), {
    kind: "foreign",
  });
});
test("an object of another stack is named as that stack's", () => {
  const found = ownerMetadata("tkc-registry.prod");
  assert.deepEqual(ownership(found, owner), { kind: "foreign", stack: "tkc-registry.prod" });
});
test("an object that a cut-off run left is ours", () => {
  assert.deepEqual(ownership(ownerMetadata(owner), owner), { kind: "ours" });
});
test("an adopted object is remembered as adopted", () => {
  const found = ownerMetadata(owner, true);
  assert.deepEqual(ownership(found, owner), { kind: "adopted" });
});
test("an object that another stack had only adopted can be adopted again", () => {
  assert.deepEqual(ownership(ownerMetadata("tkc-registry.prod", true), owner), { kind: "foreign" });
});
test("a run that was cut off leaves its fields to the same field manager as the next one", () => {
  const { annotations } = ownerMetadata(owner);
  assert.equal(annotations["pulumi.com/patchFieldManager"], "tkc-registry");
  assert.equal(annotations["pulumi.com/patchForce"], "true");
});
