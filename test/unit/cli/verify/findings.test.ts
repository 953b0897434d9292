import * as assert from "node:assert/strict";
import { describe, it } from "node:test";
import { describeFindings } from "../../../../cli/verify/describe";
import { type Evidence, judge as judgeSet, nodesToAsk } from "../../../../cli/verify/judge";
import { findingsOf } from "../../../../cli/verify/stackFindings";
import type { ClusterNode } from "../../../../kubernetes/types";
import type { Observation } from "../../../../nodes/operations/inspection";
import type { ScriptSuccess } from "../../../../nodes/protocol/report";
import { readDeployedStack } from "../../../../state/exportedState";
import type { Problem } from "../../../../support/errors";
import {
  exported,
  harbor,
  ids,
  nodeResources,
  registriesOutput,
  setResources,
  stackResource,
  target,
} from "../../state/state";

const custom = { registry: "other.example", sha256: "b".repeat(64) };
const both = [harbor, custom];
const now = new Date("2026-01-01T12:00:00Z");
const image = "harbor.example:8443/ns1/nginx:1";

const judge = (evidence: Evidence) =>
  findingsOf({ name: "dev", warnings: [] }, [judgeSet(evidence)], [], now);
const stackOf = (
  names: readonly string[],
  { certificates = [harbor], notAfter = "2027-01-01T00:00:00Z" } = {},
) =>
  readDeployedStack(
    exported([
      stackResource({ registries: registriesOutput(notAfter, certificates), image }),
      ...names.flatMap((name) => nodeResources(target({ name, uid: `uid-${name}` }), { certificates })),
    ]),
    "dev",
  );
const listed = (name: string, change: Partial<ClusterNode> = {}): ClusterNode => ({
  name,
  uid: `uid-${name}`,
  machineId: "0123456789abcdef0123456789abcdef",
  hostName: "node-1",
  role: "worker",
  address: "10.0.0.1",
  osImage: "VMware Photon OS/Linux",
  containerRuntime: "containerd://1.6.20",
  ready: true,
  labels: {},
  pins: {},
  ...change,
});
const report = (change: Partial<ScriptSuccess> = {}): Observation => ({
  kind: "answered",
  report: {
    end: "ok",
    os: "photon",
    bundle: "/etc/pki/tls/certs/ca-bundle.crt",
    bootId: "0".repeat(36),
    changed: false,
    restarted: false,
    loaded: true,
    trusted: [harbor.sha256],
    present: [harbor.sha256],
    trust: "system",
    alsoTrustedBy: [],
    records: [],
    unclaimed: [],
    added: [],
    bodies: [],
    unterminated: [],
    containerdStarted: "2026-01-01T00:00:00Z",
    ...change,
  },
});
const silent = (code: Problem["code"], seen = "no answer"): Observation => ({
  kind: "silent",
  problem: { code, subject: "node w1 (10.0.0.1 port 22)", seen, remedy: "Check that it runs" },
});
const evidence = ({ stack = stackOf(["w1"]), ...change }: Partial<Evidence> = {}): Evidence => ({
  name: "dev",
  stack,
  set: stack.sets[0]!,
  listed: [listed("w1")],
  excluded: [],
  observed: new Map([["w1", report()]]),
  pulls: new Map(),
  served: new Map(),
  labelled: { objects: [], problems: [] },
  now,
  expiresWithin: 30,
  ...change,
});
const seen = (observation: Observation, change: Partial<Evidence> = {}) =>
  judge(evidence({ observed: new Map([["w1", observation]]), ...change }));
const codes = ({ problems }: { problems: readonly { code: string }[] }) => problems.map(({ code }) => code);

describe("what was found", () => {
  it("is also what other stacks have, which is no problem, and what nobody claims", () => {
    const id = "00000000-0000-4000-8000-000000000001";
    const records = [
      { id, owner: "tkc-registry.dev" },
      { id: undefined, owner: "a; rm -rf" },
    ];
    const unclaimed = ["/etc/ssl/certs/tkc-registry-old.pem"];
    const object = (name: string, stack: { owner: string; id?: string }) => ({
      ...{ kind: "Secret", namespace: "web", name, uid: `uid-${name}`, stack },
    });
    const objects = [
      object("theirs", { owner: "tkc-registry.dev", id }),
      object("legacy", { owner: "tkc-registry.dev" }),
    ];
    const listing = { code: "no-rights", subject: "Pods of context ns1", seen: "s", remedy: "r" };
    const found = seen(report({ records, unclaimed }), { labelled: { objects, problems: [listing] } });
    assert.equal(found.ok, true);
    assert.deepEqual(found.nodes[0]!.records, [
      { owner: "tkc-registry.dev", id },
      { owner: "a; rm -rf", id: null },
    ]);
    assert.deepEqual(found.nodes[0]!.unclaimed, unclaimed);
    assert.deepEqual(
      found.objects.map(({ name, ours }) => [name, ours]),
      [
        ["theirs", false],
        ["legacy", false],
      ],
    );
    assert.deepEqual(codes({ problems: found.warnings }), ["unclaimed-file", "no-rights"]);
    const text = describeFindings(found);
    assert.match(text, /All is well, with 2 warnings/);
    assert.match(
      text,
      new RegExp(`Also there:[^]*node w1: .*tkc-registry\\.dev \\(id ${id}\\).*--stack dev --id ${id}`),
    );
    assert.match(text, /--owner 'a; rm -rf'/);
    assert.match(text, /Secret web\/theirs: it belongs to the stack tkc-registry\.dev/);
    assert.match(text, /npm run forget -- --stack dev --unclaimed/);
  });

  it("names nodes that are left out, and judges none of them", () => {
    const by = "nodes.exclude (pool=b)";
    const stack = stackOf(["w1", "w2"]);
    const [, second] = stack.sets[0]!.nodes;
    const findings = judge(
      evidence({
        stack,
        excluded: [
          { name: "w2", uid: second!.target.uid, by },
          { name: "win1", uid: "u", by: "nodes.select (!os)" },
        ],
      }),
    );
    assert.deepEqual([findings.ok, findings.nodes.map(({ name }) => name)], [true, ["w1"]]);
    assert.deepEqual(
      findings.excluded.map(({ name, inStack }) => [name, inStack]),
      [
        ["w2", true],
        ["win1", false],
      ],
    );
    const text = describeFindings(findings);
    assert.match(
      text,
      /^Left out, and not asked:\n {2}by nodes\.exclude \(pool=b\): w2 \(its CA has yet to be removed: run `pulumi up`\)\n {2}by nodes\.select \(!os\): win1$/m,
    );
    assert.doesNotMatch(describeFindings(judge(evidence())), /Left out/);
  });

  it("is well where all holds, and says so in a table and in a structure that is an interface", () => {
    const findings = judge(evidence());
    assert.deepEqual(findings, {
      version: 1,
      stack: "dev",
      checkedAt: "2026-01-01T12:00:00.000Z",
      ok: true,
      registries: [
        {
          host: harbor.registry,
          registryTrust: "tkc-cluster-1",
          certificates: [
            {
              sha256: harbor.sha256,
              subject: "CN=CA of harbor.example:8443",
              notAfter: "2027-01-01T00:00:00Z",
              daysLeft: 364,
              validity: "valid",
            },
          ],
          verifies: null,
        },
      ],
      nodes: [
        {
          name: "w1",
          registryTrust: "tkc-cluster-1",
          role: "worker",
          ok: true,
          inCluster: true,
          inStack: true,
          reachable: true,
          hostKeyAsPinned: true,
          trust: "system",
          containerdStarted: "2026-01-01T00:00:00Z",
          registries: [{ host: harbor.registry, ok: true, caFile: true, read: true, loaded: true }],
          pulls: [],
          records: [],
          unclaimed: [],
        },
      ],
      excluded: [],
      objects: [],
      problems: [],
      warnings: [],
      notes: [],
      unchecked: [],
    });
    assert.equal(
      describeFindings(findings),
      [
        "NODE  REGISTRY             REACHED  HOST KEY  CA FILE  READ  LOADED  CA EXPIRES",
        "w1    harbor.example:8443  yes      yes       yes      yes   yes     in 364 d",
        "",
        "All is well: 1 node trusts harbor.example:8443.",
        "",
      ].join("\n"),
    );
  });

  it("says at the end with which of several sets of nodes something is wrong", () => {
    const stack = readDeployedStack(
      exported([
        ...setResources("lab", ids[0]!, target({ uid: "uid-w1" })),
        ...setResources("prod", ids[1]!, target({ uid: "uid-w1" })),
      ]),
      "dev",
    );
    const told = (lab: Partial<ScriptSuccess>) => {
      const sets = stack.sets.map((set) => {
        const observed = new Map([["w1", report(set.trust === "lab" ? lab : {})]]);
        return judgeSet(evidence({ stack, set, observed }));
      });
      return describeFindings(findingsOf({ name: "dev", warnings: [] }, sets, [], now));
    };
    assert.match(told({}), /\nAll is well: the nodes of lab and prod trust their registries\.\n$/);
    assert.match(
      told({ loaded: false }),
      /\nProblems:\n {2}lab: node w1: containerd [^]*\nNot well: something is wrong with lab; all is well with prod\.\n$/,
    );
  });

  it("has a remedy for a CA that was changed, of which a node's pull tells", () => {
    const pull = (message: string) => {
      const pulls = new Map([["w1", [{ image, ok: false, message }]]]);
      return describeFindings(judge(evidence({ pulls })));
    };
    assert.match(
      pull(
        "failed to do request: tls: failed to verify certificate: x509: certificate signed by unknown authority",
      ),
      /registry's CA was changed: see it with `npm run ca -- harbor\.example:8443`.*`pulumi up` \[pull-failed\]/,
    );
    assert.match(pull("not found"), /Look at what it says \[pull-failed\]/);
  });

  it("is told where no node reported its CA, or the registry was not reached", () => {
    const served = new Map([[harbor.registry, { verifies: null, seen: "not reached" }]]);
    const found = judge(evidence({ served }));
    assert.deepEqual([found.ok, found.registries[0]!.verifies], [true, null]);
    assert.match(
      describeFindings(found),
      /Warnings:\n.*registry harbor\.example:8443: not reached\..*`--pull`/,
    );
  });

  it("names what a node lacks: the file, the bundle, the restart", () => {
    const trust = (change: Partial<ScriptSuccess>) => {
      const findings = seen(report(change));
      const { caFile, read, loaded, ok } = findings.nodes[0]!.registries[0]!;
      assert.equal(ok, false);
      assert.equal(findings.ok, false);
      return [codes(findings), caFile, read, loaded];
    };
    assert.deepEqual(trust({ trusted: [], present: [] }), [["ca-file-missing"], false, null, true]);
    assert.deepEqual(trust({ trusted: [] }), [["ca-not-read"], true, false, true]);
    assert.deepEqual(trust({ loaded: false }), [["containerd-not-restarted"], true, true, false]);
    assert.deepEqual(trust({ loaded: undefined }), [["containerd-not-restarted"], true, true, false]);
    assert.match(
      describeFindings(seen(report({ trusted: [], trust: "certs.d" }))),
      /not in the folder that containerd reads/,
    );
  });

  it("takes a certificate that counts as trusted to be in place, and each registry by itself", () => {
    const stack = stackOf(["w1"], { certificates: both });
    const findings = seen(report({ present: [] }), { stack });
    assert.deepEqual(
      findings.nodes[0]!.registries.map(({ host, ok }) => [host, ok]),
      [
        [harbor.registry, true],
        [custom.registry, false],
      ],
    );
    assert.deepEqual(codes(findings), ["ca-file-missing"]);
    assert.match(findings.problems[0]!.seen, /other\.example/);
  });

  it("tells how far the way to a silent node goes", () => {
    const way = (code: Problem["code"]) => {
      const findings = seen(silent(code));
      assert.deepEqual(codes(findings), [code]);
      const [node] = findings.nodes;
      assert.equal(node!.registries[0]!.caFile, null);
      return [node!.reachable, node!.hostKeyAsPinned];
    };
    assert.deepEqual(way("node-silent"), [false, null]);
    assert.deepEqual(way("ssh-refused"), [false, null]);
    assert.deepEqual(way("relay-pod-missing"), [false, null]);
    assert.deepEqual(way("ssh-handshake"), [true, null]);
    assert.deepEqual(way("host-key-changed"), [true, false]);
    assert.deepEqual(way("ssh-auth"), [true, true]);
    assert.deepEqual(way("ssh-account"), [true, true]);
    assert.deepEqual(way("node-busy"), [true, true]);
  });

  it("is told in lines that can be printed, whatever was said", () => {
    const told = describeFindings(seen(silent("ssh-lost", "\u001b[2Jgone\nAll is well\u202e")));
    assert.match(told, /\[2Jgone All is well/);
    assert.doesNotMatch(told, /[\p{Cc}\p{Cf}](?<!\n)|^All is well/mu);
  });

  it("adds the address that the cluster has by now to a silent node", () => {
    const moved = seen(silent("ssh-timeout"), { listed: [listed("w1", { address: "10.0.0.9" })] });
    assert.match(moved.problems[0]!.remedy, /10\.0\.0\.9 by now: run `pulumi up`/);
  });

  it("fails for nodes that the stack has not, has no longer, or has another of", () => {
    const stack = stackOf(["w1", "w2", "w3"]);
    const nodes = [listed("w1"), listed("w2", { uid: "new" }), listed("w4", { role: "control-plane" })];
    assert.deepEqual(
      nodesToAsk(stack.sets[0]!, nodes).map(({ target: { name } }) => name),
      ["w1"],
    );
    const findings = judge(evidence({ stack, listed: nodes }));
    assert.deepEqual(
      findings.problems.map(({ code, subject, remedy }) => [code, subject, remedy]),
      [
        ["node-replaced", "node w2", "Run `pulumi up`"],
        ["node-gone", "node w3", "Run `pulumi up`"],
        ["node-not-in-stack", "node w4", "Run `pulumi up`"],
      ],
    );
    assert.deepEqual(
      findings.nodes.map(({ name, role, ok, inCluster, inStack, reachable }) =>
        [name, role, ok, inCluster, inStack, reachable].join(" "),
      ),
      [
        "w1 worker true true true true",
        "w2 worker false true false ",
        "w3  false false true ",
        "w4 control-plane false true false ",
      ],
    );
    assert.match(describeFindings(findings), /\nNot well: something is wrong with 3 of 4 nodes\.\n$/);
  });

  it("warns of a certificate that expires soon, and fails for one that has", () => {
    const until = (notAfter: string, expiresWithin = 30) =>
      judge(evidence({ stack: stackOf(["w1"], { notAfter }), expiresWithin }));
    const soon = until("2026-01-20T00:00:00Z");
    assert.equal(soon.ok, true);
    assert.deepEqual(
      soon.warnings.map(({ code }) => code),
      ["ca-expires"],
    );
    assert.match(describeFindings(soon), /in 18 d\n[^]*expires in 18 days,[^]*All is well, with 1 warning: /);
    assert.deepEqual(until("2026-01-20T00:00:00Z", 7).warnings, []);
    const over = until("2025-12-31T00:00:00Z");
    assert.equal(over.ok, false);
    assert.deepEqual([codes(over), over.registries[0]!.certificates[0]!.daysLeft], [["ca-expired"], -2]);
    assert.match(
      describeFindings(over),
      /EXPIRED[^]*Not well: something is wrong with the CA of 1 registry\./,
    );
    // A run that did not come to its end left no outputs.
    const stack = readDeployedStack(exported(nodeResources(target({ uid: "uid-w1" }))), "dev");
    const unknown = judge(evidence({ stack }));
    assert.deepEqual([unknown.ok, unknown.warnings.map(({ code }) => code)], [true, ["ca-expiry-unknown"]]);
  });

  it("warns of a node that is not Ready", () => {
    const findings = judge(evidence({ listed: [listed("w1", { ready: false })] }));
    assert.deepEqual([findings.ok, findings.warnings.map(({ code }) => code)], [true, ["node-not-ready"]]);
  });

  it("has a column for pulls where they were tried, by the registry of the image", () => {
    const pulls = (ok: boolean) => new Map([["w1", [{ image, ok, message: ok ? null : "x509: unknown" }]]]);
    const stack = stackOf(["w1"], { certificates: both });
    const observed = new Map([["w1", report({ trusted: both.map(({ sha256 }) => sha256) })]]);
    const well = judge(evidence({ stack, observed, pulls: pulls(true) }));
    assert.equal(well.ok, true);
    const text = describeFindings(well);
    assert.match(text, / PULL\nw1 .* yes\nw1 .* -\n/);
    assert.match(text, /All is well: 1 node trusts all 2 registries and can pull\.\n$/);
    const failed = judge(evidence({ stack, observed, pulls: pulls(false) }));
    assert.deepEqual(codes(failed), ["pull-failed"]);
    assert.match(describeFindings(failed), / NO\n[^]*nginx:1 could not be pulled: x509: unknown\./);
  });

  it("tells what is the same of many nodes once", () => {
    const names = Array.from({ length: 8 }, (_, index) => `w${index}`);
    const observed = new Map(names.map((name) => [name, silent("relay-pod-missing", "the pod is gone")]));
    const findings = judge(
      evidence({ stack: stackOf(names), listed: names.map((name) => listed(name)), observed }),
    );
    assert.equal(findings.problems.length, 8);
    assert.match(
      describeFindings(findings),
      /\n {2}node w0, node w1, node w2, node w3, node w4 and 3 more: the pod is gone\. Check that it runs \[relay-pod-missing\]\n/,
    );
  });
});
