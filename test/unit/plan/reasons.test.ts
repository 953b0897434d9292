import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import {
  type NodeChange,
  type ReasonCode,
  formatChange,
  parseChange,
  reason,
  reasonCodes,
  summarize,
} from "../../../plan/reasons";

const change = (node: string, codes: readonly ReasonCode[], more: Partial<NodeChange> = {}): NodeChange => ({
  ...{ node, reasons: codes.map((code) => reason(code)), action: "install", restart: true },
  ...more,
});

describe("the line of a node", () => {
  it("says why it is touched, what is done, and the same in words for programs", () => {
    const lost = reason("file-missing", { host: "harbor.example:8443" });
    assert.equal(
      formatChange(change("w1", [], { reasons: [lost, reason("containerd-older")] })),
      "w1: harbor.example:8443: its CA file is missing or altered; its containerd is older than our change " +
        "→ install, restart containerd [file-missing harbor.example:8443, containerd-older]",
    );
    assert.equal(
      formatChange(change("w1", ["new", "first-contact"], { restart: null })),
      "w1: it is new; first contact: its host key will be noted " +
        "→ install, restart containerd where it has not loaded the CA [new, first-contact]",
    );
    assert.match(
      formatChange(change("w1", ["new-ca"], { role: "worker", turn: 2 })),
      /^w1 \(worker, turn 2\): its CA is new to the node → /,
    );
    assert.match(
      formatChange(change("w1", ["script-changed"], { restart: false })),
      / → install, no restart of /,
    );
    assert.match(
      formatChange(change("w1", ["skipped"], { action: "skip", restart: false })),
      / → skip it \[skipped\]$/,
    );
  });

  const hosts = fc.constantFrom("h.example", "h.example:8443", "[fd00::1]:5000", "10.0.0.1");
  const hostile = fc.constantFrom("a; b", "→ skip it [new]", "h.example: x", "]\n[", " [in-order", "; ");
  const reasons = fc
    .record({
      code: fc.constantFrom(...reasonCodes),
      host: fc.option(hosts, { nil: undefined }),
      text: fc.option(fc.oneof(fc.string({ unit: "binary" }), hostile, fc.lorem()), { nil: undefined }),
    })
    .map(({ code, host, text }) =>
      reason(code, {
        ...(host === undefined ? {} : { host }),
        ...(text === undefined ? {} : { text }),
      }),
    );
  const changes: fc.Arbitrary<NodeChange> = fc
    .tuple(
      fc.record(
        {
          role: fc.constantFrom(...(["control-plane", "worker"] as const)),
          turn: fc.integer({ min: 1, max: 999_999 }),
        },
        { requiredKeys: [] },
      ),
      fc.stringMatching(/^[a-z0-9]([-a-z0-9.]{0,20}[a-z0-9])?$/),
      fc.array(reasons, { minLength: 1, maxLength: 6 }),
      fc.constantFrom(
        ...(["install true", "install false", "install null", "none false", "skip false"] as const),
      ),
    )
    .map(([who, node, why, what]) => {
      const [action, restart] = what.split(" ") as [NodeChange["action"], string];
      return { ...who, node, reasons: why, action, restart: JSON.parse(restart) as boolean | null };
    });

  it("is read as it was written, whatever is said in it", () => {
    fc.assert(
      fc.property(changes, (each) => {
        const line = formatChange(each);
        assert.doesNotMatch(line, /\n/);
        assert.deepEqual(parseChange(line), each);
      }),
    );
  });

  it("is not taken for one that it is not", () => {
    const line = formatChange(change("w1", ["new", "first-contact"]));
    for (const other of [
      "",
      "w1: it is new",
      line.replace("install", "remove"),
      line.replace("[new, ", "["),
      line.replace("[new,", "[newer,"),
      line.replace("[new,", "[new h.example,"),
      `${line} `,
      `w1: a\nb${line}`,
    ])
      assert.equal(parseChange(other), undefined, other);
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.lorem()), (text) => {
        assert.equal(parseChange(text), undefined);
      }),
    );
  });
});

describe("the line of all nodes", () => {
  const of = (role: "control-plane" | "worker", ...all: NodeChange[]) =>
    all.map((each) => ({ ...each, role }));
  const well = change("w9", ["in-order"], { action: "none", restart: false });

  it("counts what restarts, in the order in which it does, and what stays as it is", () => {
    assert.equal(
      summarize([
        ...of("worker", change("w1", ["new-ca"]), change("w2", ["new-ca"]), well, well),
        ...of("control-plane", change("cp1", ["new-ca"])),
      ]),
      "will restart: 1 control plane, then 2 workers; 2 nodes untouched",
    );
  });

  it("tells apart what only the nodes can tell, what needs no restart, and what is not reached", () => {
    assert.equal(
      summarize(
        of(
          "worker",
          change("w1", ["new"], { restart: null }),
          change("w2", ["script-changed"], { restart: false }),
          change("w3", ["unreachable"], { restart: null }),
          change("w4", ["skipped"], { action: "skip", restart: false }),
        ),
      ),
      "will restart where the CA is not loaded: 1 worker; no restart: 1 worker; not reached: 1 worker; skipped: 1 worker",
    );
  });

  it("is not there where nothing is to be done", () => {
    assert.equal(
      summarize(of("worker", well, change("w1", ["not-asked"], { action: "none", restart: false }))),
      undefined,
    );
  });
});
