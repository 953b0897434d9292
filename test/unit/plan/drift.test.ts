import * as assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import type { Observation } from "../../../nodes/operations/inspection";
import type { ScriptSuccess } from "../../../nodes/protocol/report";
import { type KnownNode, type WantedNode, changeOf, nonceOf, repeatedReport } from "../../../plan/drift";
import { type Installation, nodeCommand } from "../../../plan/nodeCommand";
import type { RecordedNode } from "../../../state/previousState";
import type { Problem } from "../../../support/errors";
import { recordedNode, target } from "../state/state";

const host = "harbor.example";
const other = "other.example:8443";
const [sha256, second] = ["ab".repeat(32), "cd".repeat(32)] as [string, string];
const id = "5d1b5d2e-0f0c-4d6f-9a3e-2f7c1b1f0a11";

/** What a node is to be, if the settings are not changed. */
const wanted = (change: Partial<Installation> = {}, more: Partial<WantedNode> = {}): WantedNode => {
  const installation: Installation = {
    certificates: [{ registry: host, sha256 }],
    trustMode: "system",
    removal: { unreachable: "fail", restart: true },
    scriptSha256: "0".repeat(64),
    owner: "p.s",
    readyTimeoutSeconds: 300,
    ...change,
  };
  const command = nodeCommand(target(), installation);
  return { ...installation, unreachable: "fail", command, id, pinned: true, ...more };
};
const skipping = wanted({}, { unreachable: "skip" });
/** A record of a run that wanted the same. */
const recorded = (change: Partial<RecordedNode> = {}, of = wanted()): RecordedNode => {
  const { create, delete: remove, environment } = of.command;
  const nonce = change.nonce ?? "recorded";
  return recordedNode({
    certificates: of.certificates,
    command: {
      create,
      delete: remove,
      environment: { ...environment, TKC_REGISTRY_ID: id, TKC_REGISTRY_NONCE: nonce },
    },
    report: "report=ca",
    ...change,
  });
};
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
  trust: "system",
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
/** What a node says on which there is nothing of ours. */
const untouched: Partial<ScriptSuccess> = { trusted: [], present: [], nonce: undefined, trust: undefined };
const silentFor = (code: Problem["code"]): Observation => ({
  kind: "silent",
  problem: { code, subject: "node w1", seen: "no answer; it is off", remedy: "" },
});
const silent = silentFor("ssh-timeout");

const known = (of: RecordedNode | undefined, observed: Observation | undefined): KnownNode => ({
  ...{ name: "w1", uid: "uid", recorded: of, replaces: false, observed },
});
const nonce = (of: RecordedNode | undefined, observed: Observation | undefined, to = wanted()): string =>
  nonceOf(known(of, observed), to);

describe("the nonce of a node", () => {
  it("stays while the node is well, and while nothing is known of it", () => {
    assert.equal(nonce(recorded(), answered()), "recorded");
    assert.equal(nonce(recorded(), undefined), "recorded");
    assert.equal(nonce(recorded(), answered({ trusted: [sha256, second] })), "recorded");
  });

  it("is the node's own where a run that was cut off has installed it", () => {
    assert.equal(nonce(recorded(), answered({ nonce: "later" })), "later");
  });

  it("changes, to the same in preview and update, when the node has to be looked after, and says why", () => {
    for (const [observed, why] of [
      [answered({ trusted: [], present: [] }), "file-missing"],
      [answered({ trusted: [] }), "bundle-rebuilt"],
      [answered({ loaded: false }), "containerd-older"],
      [answered({ nonce: undefined }), "interrupted"],
      [silent, "unreachable"],
    ] as const) {
      const made = nonce(recorded(), observed);
      assert.match(made, new RegExp(`^${why}-[0-9a-f]{16}$`));
      assert.equal(nonce(recorded(), observed), made);
      // Recorded by the run that repairs it: the same drift another time is another nonce.
      assert.notEqual(nonce(recorded({ nonce: made }), observed), made);
    }
  });

  it("stays where a node that can't be reached is to be skipped, and changes when it is there again", () => {
    for (const skipped of [false, true])
      assert.equal(nonce(recorded({ skipped }), silent, skipping), "recorded");
    assert.equal(nonce(recorded(), answered(), skipping), "recorded");
    assert.notEqual(nonce(recorded({ skipped: true }), answered(), skipping), "recorded");
    // Not asked: it must be tried.
    assert.notEqual(nonce(recorded({ skipped: true }), undefined, skipping), "recorded");
  });

  it("changes for a node that is reached and is not the one that it was, whatever is skipped", () => {
    for (const code of ["host-key-changed", "ssh-auth", "node-wrong-node"] as const)
      assert.notEqual(nonce(recorded(), silentFor(code), skipping), "recorded");
  });

  it("is another one on each new node", () => {
    const of = (uid: string): string => nonceOf({ ...known(undefined, undefined), uid }, wanted());
    assert.notEqual(of("uid-1"), of("uid-2"));
    assert.match(of("uid-1"), /^new-/);
  });
});

/** `action restart: codes` of a node's change. */
const said = (of: RecordedNode | undefined, observed: Observation | undefined, to = wanted()): string => {
  const { action, restart, reasons } = changeOf(known(of, observed), to);
  const codes = reasons.map(({ code, host: at }) => (at === undefined ? code : `${code} ${at}`)).join(", ");
  return `${action} ${restart}: ${codes}`;
};
const two = [
  { registry: host, sha256 },
  { registry: other, sha256: second },
];

describe("why a node is touched", () => {
  const skipped = recorded({ skipped: true });
  const cases: [what: string, of: RecordedNode | undefined, seen: Observation | undefined, to: WantedNode, said: string][] = [
    ["in order", recorded(), answered(), wanted(), "none false: in-order"],
    ["not asked", recorded(), undefined, wanted(), "none false: not-asked"],
    ["new, not asked", undefined, undefined, wanted({}, { pinned: false }), "install null: new, first-contact"],
    ["new, and nothing of ours there", undefined, answered(untouched), wanted(), "install true: new"],
    ["new, by containerd's folders", undefined, answered(untouched), wanted({ trustMode: "certs.d" }), "install false: new"],
    ["new, by what it can", undefined, answered(untouched), wanted({ trustMode: "auto" }), "install null: new"],
    ["new, with another stack there", undefined, answered({ ...untouched, records: [{ id: undefined, owner: "o" }] }), wanted(), "install null: new"],
    ["new, done by a killed run", undefined, answered(), wanted(), "install false: new, interrupted"],
    ["new, begun by a killed run", undefined, answered({ loaded: false }), wanted(), "install true: new, interrupted"],
    ["new and silent", undefined, silent, wanted({}, { pinned: false }), "install null: unreachable, new"],
    ["new and skipped", undefined, silent, skipping, "skip false: skipped, new"],
    ["file gone", recorded(), answered({ trusted: [], present: [] }), wanted(), `install true: file-missing ${host}`],
    ["all gone", recorded(), answered(untouched), wanted(), `install true: file-missing ${host}`],
    ["bundle rebuilt", recorded(), answered({ trusted: [] }), wanted(), `install true: bundle-rebuilt ${host}`],
    ["containerd older", recorded(), answered({ loaded: false }), wanted(), "install true: containerd-older"],
    ["installed by a killed run", recorded(), answered({ nonce: "later" }), wanted(), "install false: interrupted"],
    ["half done by a killed run", recorded(), answered({ nonce: undefined, loaded: false }), wanted(), "install true: interrupted, containerd-older"],
    ["cut off before containerd", recorded({ settled: false }), answered(), wanted(), "install false: interrupted"],
    ["cut off before containerd, not asked", recorded({ settled: false }), undefined, wanted(), "install null: interrupted, not-asked"],
    ["silent", recorded(), silent, wanted(), "install null: unreachable"],
    ["silent, to be skipped", recorded(), silent, skipping, "skip false: skipped"],
    ["reached and refused", recorded(), silentFor("host-key-changed"), skipping, "install null: unreachable"],
    ["skipped before", skipped, answered(), wanted(), "install false: skipped"],
    ["skipped before, not asked", skipped, undefined, wanted({}, { pinned: false }), "install null: skipped, not-asked, first-contact"],
    ["registry added", recorded(), answered(), wanted({ certificates: two }), `install true: new-ca ${other}`],
    ["CA renewed", recorded(), answered(), wanted({ certificates: [{ registry: host, sha256: second }] }), `install true: new-ca ${host}`],
    ["registry removed", recorded({}, wanted({ certificates: two })), answered({ trusted: [sha256, second] }), wanted(), `install true: registry-removed ${other}`],
    ["order of registries", recorded({}, wanted({ certificates: two })), answered({ trusted: [sha256, second], present: [second] }), wanted({ certificates: [...two].reverse() }), "install false: settings-changed"],
    ["other script", recorded(), answered(), wanted({ scriptSha256: "1".repeat(64) }), "install false: script-changed"],
    ["other timeout", recorded(), answered(), wanted({ readyTimeoutSeconds: 60 }), "install false: settings-changed"],
    ["other way out", recorded(), answered(), wanted({ removal: { unreachable: "skip", restart: true } }), "install false: settings-changed"],
    ["other timeout, not asked", recorded(), undefined, wanted({ readyTimeoutSeconds: 60 }), "install null: settings-changed, not-asked"],
    ["other way of trust", recorded(), answered(), wanted({ trustMode: "certs.d" }), "install true: settings-changed"],
    ["no id yet", recorded(), answered(), wanted({}, { id: undefined }), "install false: settings-changed"],
  ]; // prettier-ignore
  for (const [what, of, seen, to, expected] of cases)
    it(`is told: ${what}`, () => assert.equal(said(of, seen, to), expected));

  it("is told: another node of the same name", () => {
    const { reasons, action } = changeOf({ ...known(undefined, undefined), replaces: true }, wanted());
    assert.deepEqual([action, reasons[0]?.code], ["install", "replaced"]);
  });

  it("names a registry once, the setting that changed, and why a node was not reached", () => {
    const texts = (of: RecordedNode, seen: Observation, to = wanted()): string[] =>
      changeOf(known(of, seen), to).reasons.map(({ text }) => text);
    const certificates = [...two, { registry: host, sha256: "ef".repeat(32) }];
    const of = recorded({}, wanted({ certificates }));
    assert.equal(
      said(of, answered({ trusted: [], present: [second] }), wanted({ certificates })),
      `install true: file-missing ${host}, bundle-rebuilt ${other}`,
    );
    assert.deepEqual(texts(recorded(), answered(), wanted({ readyTimeoutSeconds: 60 })), [
      "changed: how long it may take to be Ready",
    ]);
    assert.deepEqual(texts(recorded(), silent), ["no answer, it is off (ssh-timeout)"]);
    assert.deepEqual(
      texts(of, answered({ trusted: [sha256, second], present: [] }), wanted({ certificates: two })),
      ["one of its CA certificates is no longer to be trusted"],
    );
    const folders = wanted({ trustMode: "certs.d" });
    assert.deepEqual(texts(recorded({}, folders), answered({ trusted: [], trust: "certs.d" }), folders), [
      "containerd no longer reads its CA",
    ]);
  });

  const flags = fc.record({
    loaded: fc.boolean(),
    trusted: fc.subarray([sha256, second]),
    present: fc.subarray([sha256, second]),
    nonce: fc.constantFrom("recorded", "later", undefined),
  });
  const observations = fc.oneof(
    fc.constantFrom(undefined, silent, silentFor("ssh-auth"), answered(untouched)),
    flags.map((change) => answered(change)),
  );
  const wishes = fc
    .record({
      certificates: fc.constantFrom(two, two.slice(0, 1), [...two].reverse()),
      trustMode: fc.constantFrom("system", "certs.d", "auto"),
      readyTimeoutSeconds: fc.constantFrom(60, 300),
    } as const)
    .chain((change) =>
      fc.constantFrom("fail", "skip").map((unreachable) => wanted(change, { unreachable } as const)),
    );

  it("is never left out where the engine sees a difference, nor made up where it sees none", () => {
    fc.assert(
      fc.property(wishes, wishes, observations, fc.boolean(), (before, to, observed, wasSkipped) => {
        const of = recorded({ skipped: wasSkipped }, before);
        const made = nonce(of, observed, to);
        assert.match(made, /^[0-9A-Za-z-]{1,64}$/);
        const { action, reasons } = changeOf(known(of, observed), to);
        const same = JSON.stringify(before.command) === JSON.stringify(to.command) && made === of.nonce;
        if (action === "skip") assert.equal(made, of.nonce);
        else assert.equal(action === "none", same, reasons.map(({ code }) => code).join());
      }),
    );
  });
});

describe("what a node's command is going to print again", () => {
  const repeated = (of: RecordedNode | undefined, seen: Observation | undefined, to = wanted()) =>
    repeatedReport(known(of, seen), to);

  it("is known where nothing of the installation changes", () => {
    for (const to of [
      wanted(),
      wanted({ readyTimeoutSeconds: 60 }),
      wanted({ scriptSha256: "1".repeat(64) }),
    ])
      assert.equal(repeated(recorded(), answered(), to), "report=ca");
  });

  it("is not where the node changes, was not asked or is new", () => {
    const added = wanted({ certificates: two });
    for (const [of, seen, to] of [
      [recorded(), answered({ loaded: false }), wanted()],
      [recorded(), answered({ trusted: [] }), wanted()],
      [recorded(), undefined, wanted({ readyTimeoutSeconds: 60 })],
      [recorded(), silent, wanted()],
      [recorded({ skipped: true }), answered(), wanted()],
      [undefined, answered(), wanted()],
      [recorded(), answered({ trusted: [sha256, second], present: [sha256, second] }), added],
    ] as const)
      assert.equal(repeated(of, seen, to), undefined);
  });
});
