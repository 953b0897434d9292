import * as assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import type { Observation } from "../../../nodes/operations/inspection";
import type { ScriptSuccess } from "../../../nodes/protocol/report";
import { nonceOf } from "../../../plan/drift";
import type { RecordedNode } from "../../../state/previousState";
import type { Problem } from "../../../support/errors";

const sha256 = "ab".repeat(32);
const wanted = { certificates: [{ registry: "harbor.example", sha256 }], unreachable: "fail" } as const;
const skipping = { ...wanted, unreachable: "skip" } as const;
const recorded = (change: Partial<RecordedNode> = {}): RecordedNode => ({
  uid: "uid",
  hostKey: undefined,
  nonce: "recorded",
  skipped: false,
  former: undefined,
  ...change,
});
const healthy: ScriptSuccess = {
  end: "ok",
  os: "photon",
  bundle: "/etc/pki/tls/certs/ca-bundle.crt",
  bootId: "01234567-89ab-cdef-0123-456789abcdef",
  changed: false,
  restarted: false,
  loaded: true,
  trusted: [sha256],
  present: [sha256],
  alsoTrustedBy: [],
  records: [],
  unclaimed: [],
  added: [],
  bodies: [],
  unterminated: [],
  containerdStarted: "2026-01-02T03:04:05Z",
  nonce: "recorded",
};
const answered = (change: Partial<ScriptSuccess> = {}): Observation => ({
  kind: "answered",
  report: { ...healthy, ...change },
});
const silentFor = (code: Problem["code"]): Observation => ({
  kind: "silent",
  problem: { code, subject: "node w1", seen: "", remedy: "" },
});
const silent = silentFor("ssh-timeout");

describe("the nonce of a node", () => {
  it("stays while the node is well, and while nothing is known of it", () => {
    assert.equal(nonceOf("uid", recorded(), answered(), wanted), "recorded");
    assert.equal(nonceOf("uid", recorded(), undefined, wanted), "recorded");
    const more = [sha256, "cd".repeat(32)];
    assert.equal(nonceOf("uid", recorded(), answered({ trusted: more }), wanted), "recorded");
  });

  it("is the node's own where a run that was cut off has installed it", () => {
    assert.equal(nonceOf("uid", recorded(), answered({ nonce: "later" }), wanted), "later");
  });

  it("changes, to the same in preview and update, when the node has to be looked after", () => {
    for (const observed of [
      answered({ trusted: [] }),
      answered({ loaded: false }),
      answered({ nonce: undefined }),
      silent,
    ]) {
      const nonce = nonceOf("uid", recorded(), observed, wanted);
      assert.notEqual(nonce, "recorded");
      assert.equal(nonceOf("uid", recorded(), observed, wanted), nonce);
      // Recorded by the run that repairs it: the same drift another time is another nonce.
      assert.notEqual(nonceOf("uid", recorded({ nonce }), observed, wanted), nonce);
    }
  });

  it("stays where a node that can't be reached is to be skipped, and changes when it is there again", () => {
    for (const skipped of [false, true])
      assert.equal(nonceOf("uid", recorded({ skipped }), silent, skipping), "recorded");
    assert.equal(nonceOf("uid", recorded(), answered(), skipping), "recorded");
    assert.notEqual(nonceOf("uid", recorded({ skipped: true }), answered(), skipping), "recorded");
    // Not asked: it must be tried.
    assert.notEqual(nonceOf("uid", recorded({ skipped: true }), undefined, skipping), "recorded");
  });

  it("changes for a node that is reached and is not the one that it was, whatever is skipped", () => {
    for (const code of ["host-key-changed", "ssh-auth", "node-wrong-node"] as const)
      assert.notEqual(nonceOf("uid", recorded(), silentFor(code), skipping), "recorded");
  });

  it("is another one on each new node", () => {
    assert.notEqual(
      nonceOf("uid-1", undefined, undefined, wanted),
      nonceOf("uid-2", undefined, undefined, wanted),
    );
  });

  it("is what a node command takes, whatever was observed", () => {
    const reports = fc.record({ loaded: fc.boolean(), trusted: fc.array(fc.string()) });
    fc.assert(
      fc.property(fc.string(), fc.string(), reports, (uid, nonce, change) => {
        assert.match(
          nonceOf(uid, recorded({ nonce }), answered({ ...change, nonce: undefined }), wanted),
          /^[0-9a-f]{16}$/,
        );
      }),
    );
  });
});
