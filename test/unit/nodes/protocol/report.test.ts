import * as assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type CaReport,
  type ContainerdReport,
  certificateLimit,
  formatReport,
  parseCaReport,
  parseContainerdReport,
  parseReachOutput,
  parseScriptOutput,
} from "../../../../nodes/protocol/report";
import { UserError } from "../../../../support/errors";

const ca: CaReport = {
  version: "1",
  report: "ca",
  node: "tkc-cluster-1-control-plane-6wg5h",
  uid: "0b8f7a3e-1f7e-4f3c-9d6b-0a7a5a0e7f11",
  hostKey: `SHA256:${"A".repeat(43)}`,
  os: "photon",
  sha256: ["0".repeat(64), "1".repeat(64)],
  alsoTrustedBy: ["/etc/ssl/certs/harbor-registy.crt"],
  nonce: "9a0c",
};
const containerd: ContainerdReport = {
  version: "1",
  report: "containerd",
  node: ca.node,
  uid: ca.uid,
  bootId: "058a30cd-2611-4153-bc1a-06f011d6ce66",
  containerdStarted: "2024-02-29T23:59:59Z",
  loaded: ca.sha256,
};
const success = [
  "protocol=1",
  `trusted=${"0".repeat(64)}`,
  "loaded=true",
  "containerdStarted=2024-02-29T23:59:59Z",
  "os=debian",
  "bundle=/etc/ssl/certs/ca-certificates.crt",
  "bootId=058a30cd-2611-4153-bc1a-06f011d6ce66",
  "changed=true",
  "restarted=false",
  "end=ok",
  "",
].join("\n");

describe("reports of node commands", () => {
  it("are read as they were written, with or without what Pulumi trims", () => {
    for (const written of [formatReport(ca), formatReport(ca).trimEnd()])
      assert.deepEqual(parseCaReport(written), ca);
    for (const written of [formatReport(containerd), formatReport(containerd).trimEnd()])
      assert.deepEqual(parseContainerdReport(written), containerd);
    const alone = { ...ca, alsoTrustedBy: [] };
    assert.deepEqual(parseCaReport(formatReport(alone)), alone);
  });

  it("of a newer release may say more", () => {
    assert.deepEqual(parseCaReport(`${formatReport(ca)}colour=blue\n`), ca);
  });

  it("stay under 8 KiB with as many certificates as there may be", () => {
    const most = <T>(item: T): T[] => Array.from({ length: certificateLimit }, () => item);
    const report = { ...ca, sha256: most(ca.sha256[0]!) };
    assert.ok(formatReport(report).length < 7 * 1024);
  });

  it("are refused when a value is missing, doubled or of another form", () => {
    for (const damaged of [
      "",
      formatReport(ca).replace(/^uid=.*\n/m, ""),
      `${formatReport(ca)}uid=other\n`,
      formatReport(ca).replace(/SHA256:A/, "MD5:A"),
      formatReport(ca).replace("version=1", "version=2"),
      formatReport(ca).replace("report=ca", "report=else"),
      formatReport(ca).replace("alsoTrustedBy=/etc", "alsoTrustedBy=etc"),
      `${formatReport(ca)}no line of ours\n`,
      `${formatReport(ca)}${"sha256=".padEnd(71, "0")}\n`.repeat(40),
    ]) {
      assert.throws(() => parseCaReport(damaged), UserError);
    }
    assert.throws(() => parseCaReport(formatReport(containerd)), UserError);
  });
});

describe("output of the node script", () => {
  it("is found behind what a login shell prints", () => {
    const report = parseScriptOutput(`Welcome to Photon\nprotocol=1\nend=ok\n${success}`);
    assert.equal(report?.end, "ok");
    assert.deepEqual(report.alsoTrustedBy, []);
    assert.equal(report.changed, true);
  });

  it("says how a node trusts and which files are there, unless an earlier release wrote it", () => {
    const earlier = parseScriptOutput(success);
    assert.ok(earlier?.end === "ok");
    assert.deepEqual([earlier.trust, earlier.present], [undefined, []]);
    const present = "1".repeat(64);
    const report = parseScriptOutput(success.replace("os=", `present=${present}\ntrust=certs.d\nos=`));
    assert.ok(report?.end === "ok");
    assert.deepEqual([report.trust, report.present], ["certs.d", [present]]);
    assert.equal(parseScriptOutput(success.replace("os=", "trust=magic\nos=")), undefined);
  });

  it("tells other stacks' records, and files that nobody claims", () => {
    const id = "6f1d2c3b-0000-4000-8000-0123456789ab";
    const name = (text: string): string => Buffer.from(text).toString("base64");
    const lines = [
      `record=${id} ${name("tkc.prod")}`,
      `record=- ${name("tkc\n.dev")}`,
      "unclaimed=/etc/ssl/certs/tkc-registry-x.pem",
      "unterminated=/etc/ssl/certs/corp.pem",
    ];
    const report = parseScriptOutput(success.replace("os=", `${lines.join("\n")}\nos=`));
    assert.ok(report?.end === "ok");
    assert.deepEqual(report.records, [
      { id, owner: "tkc.prod" },
      { id: undefined, owner: "tkc?.dev" },
    ]);
    assert.deepEqual(report.unclaimed, ["/etc/ssl/certs/tkc-registry-x.pem"]);
    assert.deepEqual(report.unterminated, ["/etc/ssl/certs/corp.pem"]);
    const earlier = parseScriptOutput(success);
    assert.ok(earlier?.end === "ok");
    assert.deepEqual([earlier.records, earlier.unclaimed, earlier.unterminated], [[], [], []]);
    assert.equal(parseScriptOutput(success.replace("os=", "record=* x\nos=")), undefined);
  });

  it("is nothing unless it is complete", () => {
    for (let length = 0; length < success.length; length += 1) {
      assert.equal(parseScriptOutput(success.slice(0, length)), undefined);
    }
  });

  it("tells a failure", () => {
    const report = parseScriptOutput(
      "protocol=1\nerror=wrong-node\ndetail=the machine id is x=y\nend=failed\n",
    );
    assert.deepEqual(report, { end: "failed", error: "wrong-node", detail: "the machine id is x=y" });
  });

  it("is found behind any amount of noise, and is none where it is too long itself", () => {
    assert.equal(parseScriptOutput(`${"x".repeat(100_000)}\n${success}`)?.end, "ok");
    assert.equal(parseScriptOutput(`protocol=1\n${"a=x\n".repeat(100_000)}end=ok\n`), undefined);
  });

  it("is none with a time that there is not", () => {
    assert.equal(parseScriptOutput(success.replace("2024-02-29T23:59", "2024-13-29T23:59")), undefined);
  });
});

describe("a report of what a node sees of registries", () => {
  const report = (...lines: readonly string[]): string => ["protocol=1", ...lines, "end=ok", ""].join("\n");
  const sightsOf = (...lines: readonly string[]) => {
    const read = parseReachOutput(report(...lines));
    return read?.end === "ok" ? read.sights : read;
  };

  it("has each registry, with its certificates put together from their pieces, whatever comes between", () => {
    assert.deepEqual(
      sightsOf(
        "sight=a.example chain - -",
        "chain=a.example 0 aGVs",
        "sight=b.example:5000 chain - proxy:3128",
        "chain=b.example:5000 0 YQ==",
        "chain=a.example 0 bG8=",
        "chain=a.example 1 d29ybGQ=",
        "known=b.example:5000",
        "sight=c.example denied 407 proxy:3128",
      ),
      [
        {
          ...{ registry: "a.example", outcome: "chain", status: undefined, proxy: undefined, known: false },
          chain: [Buffer.from("hello"), Buffer.from("world")],
        },
        {
          ...{ registry: "b.example:5000", outcome: "chain", status: undefined, proxy: "proxy:3128" },
          ...{ chain: [Buffer.from("a")], known: true },
        },
        {
          ...{ registry: "c.example", outcome: "denied", status: 407, proxy: "proxy:3128" },
          ...{ chain: [], known: false },
        },
      ],
    );
  });

  it("is none with anything in it that is not of this form", () => {
    for (const line of [
      "sight=a.example",
      "sight=a.example fine - -",
      "sight=a.example denied 4070 -",
      "sight=a.example chain - a proxy",
      "chain=a.example 0 <script>",
      "chain=a.example 100 aGVs",
      `chain=a.example 0 ${"a".repeat(2001)}`,
    ])
      assert.equal(sightsOf("sight=b.example chain - -", line), undefined, line);
    assert.equal(parseReachOutput("sight=a.example chain - -\nend=ok\n"), undefined);
  });

  it("may be a failure, as any", () => {
    const failed = parseReachOutput("protocol=1\nerror=wrong-node\ndetail=it is another\nend=failed\n");
    assert.deepEqual(failed, { end: "failed", error: "wrong-node", detail: "it is another" });
  });
});
