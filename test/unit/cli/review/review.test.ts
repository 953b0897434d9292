import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import Ajv from "ajv/dist/2020";
import { leafWords } from "../../../../certificates/certificates";
import { describeReview } from "../../../../cli/review/describe";
import type { Review } from "../../../../cli/review/findings";
import { judge } from "../../../../cli/review/judge";
import { type Preview, PreviewReader } from "../../../../cli/review/preview";
import { reviewSchemaFile } from "../../../../docs/reviewSchema";
import { type NodeChange, type ReasonCode, formatChange, reasonCodes } from "../../../../plan/reasons";
import { UserError } from "../../../../support/errors";
import * as events from "./events";

const now = new Date("2026-11-27T12:00:00.000Z");
const request = { stack: "prod", isProtected: false, now, differences: undefined };
const review = (preview: Preview, more: Partial<Parameters<typeof judge>[1]> = {}): Review =>
  judge(preview, { ...request, ...more });
const markdown = (preview: Preview, more?: Partial<Parameters<typeof judge>[1]>): string =>
  describeReview(review(preview, more));
const codes = ({ risks }: Review): string[] => risks.map(({ code }) => code);

const harbor = "harbor.example.com";
const set = (): object[] => events.nodes([events.ca("a")], [events.ca("a")]);
const inOrder = [set(), events.node("cp1"), events.node("w1")];

/** What is done for each reason, and how it is told in a table of one node. */
const reasons: Readonly<Record<ReasonCode, readonly ["install" | "skip", string]>> = {
  new: ["install", "install | it is told so"],
  replaced: ["install", "install | it is told so"],
  "file-missing": ["install", "install | `harbor.example.com`: it is told so"],
  "bundle-rebuilt": ["install", "install | it is told so"],
  "containerd-older": ["install", "install | it is told so"],
  "new-ca": ["install", "install | `harbor.example.com`: it is told so"],
  "registry-removed": ["install", "install | `harbor.example.com`: it is told so"],
  interrupted: ["install", "install | it is told so"],
  unreachable: ["install", "install | it is told so"],
  skipped: ["skip", "skip | it is told so"],
  "not-asked": ["skip", "skip | it is told so"],
  "script-changed": ["install", "install | it is told so"],
  "settings-changed": ["install", "install | it is told so"],
  "first-contact": ["install", "install | it is told so"],
  "no-longer-in-cluster": ["install", "install | it is told so"],
  excluded: ["install", "install | it is told so"],
  "in-order": ["skip", "skip | it is told so"],
};

describe("a review", () => {
  it("of a stack in order says that there is nothing to do, and no more", () => {
    const found = review(events.preview(...inOrder));
    assert.equal(found.changes, false);
    assert.deepEqual(found.risks, []);
    const text = describeReview(found);
    assert.match(text, /^# Review of the stack `prod`\n\n\*\*Nothing to do\.\*\*\n/);
    assert.doesNotMatch(text, /## (?:What matters|Nodes|Objects|Image)/);
  });

  it("names the nodes that the settings leave out", () => {
    const line = "left out by nodes.exclude (kubernetes.io/os=windows): win1, win2";
    const message = `checked beforehand:\n  3 nodes\n  ${line}\n`;
    const told = [{ diagnosticEvent: { prefix: "info: ", message, color: "never", severity: "info" } }];
    const found = review(events.preview(...inOrder, told));
    assert.deepEqual(found.leftOut, [line]);
    assert.match(describeReview(found), /^## Nodes that the settings leave out\n\n- left out by nodes/m);
    assert.deepEqual(review(events.preview(...inOrder)).leftOut, []);
  });

  it("has a test of each reason", () => {
    assert.deepEqual(Object.keys(reasons), [...reasonCodes]);
  });
  for (const [code, [action, row]] of Object.entries(reasons) as [ReasonCode, (typeof reasons)[ReasonCode]][])
    it(`tells the reason ${code} in the program's words`, () => {
      const ofHost = row.includes(harbor) ? { host: harbor } : {};
      const change = {
        action,
        restart: action === "install",
        reasons: [{ code, ...ofHost, text: "it is told so" }],
      };
      const found = review(
        events.preview(set(), events.node("w1", { op: action === "install" ? "update" : "same", change })),
      );
      assert.deepEqual(
        found.nodes[0]!.reasons,
        [{ code, host: ofHost.host ?? null, text: "it is told so" }],
        JSON.stringify(found.nodes),
      );
      assert.match(
        describeReview(found),
        new RegExp(`\`w1\` \\| worker \\| ${row.replaceAll("|", "\\|")} \\|`),
      );
    });

  it("says what the engine will do, whatever the program says", () => {
    const install = { reasons: [{ code: "file-missing", text: "its CA file is missing" }] } as const;
    const [node] = review(events.preview(set(), events.node("w1", { op: "same", change: install }))).nodes;
    assert.deepEqual([node!.action, node!.restart], ["none", false]);
    const [silent] = review(events.preview(set(), events.node("w1", { op: "update" }))).nodes;
    assert.deepEqual([silent!.action, silent!.restart], ["install", null]);
    assert.match(silent!.reasons[0]!.text, /TKC_REGISTRY_NONCE$/);
    const [fresh] = review(events.preview(set(), events.node("w1", { op: "create" }))).nodes;
    assert.equal(fresh!.reasons[0]!.code, "new");
  });

  it("names the node that goes first and has to pull, and no other, as long as it is still to pull", () => {
    const canary = (op: string): object[] => {
      const environment = {
        TKC_REGISTRY_CANARY: JSON.stringify({ node: "w1", uid: "uid-of-w1", nonce: "n" }),
      };
      const urn = events.nodesUrn.replace(/::trust$/, "$command:local:Command::trust-canary");
      return events.resource(urn, { op, parent: events.nodesUrn, after: { inputs: { environment } } });
    };
    const nodes = [events.node("w1", { op: "update" }), events.node("w2", { op: "update" })];
    const found = review(events.preview(set(), ...nodes, canary("create")));
    assert.deepEqual(
      found.nodes.map(({ name, canary: first }) => [name, first]),
      [
        ["w1", true],
        ["w2", false],
      ],
    );
    assert.deepEqual(found.others, []);
    assert.match(describeReview(found), /`w1` \|.*\| install, then pull \|/);
    assert.match(describeReview(found), /No other node is touched before the first has pulled an image\./);
    // That of a run that failed at its pull: nothing is done to the node itself.
    const again = review(events.preview(...inOrder, canary("create")));
    assert.match(describeReview(again), /`w1` \|.*\| none, then pull \|/);
    const idle = review(events.preview(...inOrder, canary("same")));
    assert.ok(!idle.changes && !idle.nodes.some(({ canary: first }) => first));
  });

  it("gives the nodes that are touched in the order that the program says", () => {
    const touched = ["w3", "w2", "w1"].map((name, at) =>
      events.node(name, { op: "update", change: { turn: 4 - at } }),
    );
    const first = events.node("cp1", { op: "update", change: { role: "control-plane", turn: 1 } });
    const { nodes } = review(
      events.preview(set(), ...touched, events.node("w0"), events.node("w9", { op: "update" }), first),
    );
    assert.deepEqual(
      nodes.map(({ name, role, step }) => [name, role, step]),
      [
        ["cp1", "control-plane", 1],
        ["w1", "worker", 2],
        ["w2", "worker", 3],
        ["w3", "worker", 4],
        ["w0", null, null],
        ["w9", null, null],
      ],
    );
  });

  it("sums up what happens to the nodes, restarts by role", () => {
    const restart = { reasons: [{ code: "new-ca", text: "x" }] } as const;
    const text = markdown(
      events.preview(
        set(),
        events.node("cp1", { op: "update", change: { ...restart, role: "control-plane" } }),
        events.node("w1", { op: "update", change: restart }),
        events.node("w2", { op: "create", change: { ...restart, restart: null } }),
        events.node("w3", { op: "delete" }),
        events.node("w4"),
      ),
    );
    assert.match(
      text,
      /\*\*Changes\.\*\* 3 nodes installed; containerd restarts on 1 control plane, then 1 worker; containerd may restart on 1 worker; 1 node out of the stack; 1 node untouched\.\n/,
    );
    assert.match(text, /`w3` \| {2}\| leave the stack \| it is no longer in the cluster, .* \| no \|/);
  });

  it("tells of a node that left the cluster what the program says of it, at the resource of all nodes", () => {
    const text = "it is no longer in the cluster, so that nothing is removed from it";
    const gone = {
      node: "w1",
      reasons: [{ code: "no-longer-in-cluster", text }],
      action: "none",
      restart: false,
    };
    const line = { urn: events.nodesUrn, message: formatChange(gone as NodeChange), severity: "info" };
    const preview = events.preview(set(), events.node("w1", { op: "delete" }), [{ diagnosticEvent: line }]);
    const [node] = review(preview).nodes;
    assert.deepEqual([node!.action, node!.restart, node!.reasons[0]!.text], ["remove", false, text]);
  });

  it("names the cluster of each node where there are two", () => {
    const other = JSON.parse(
      JSON.stringify([set(), events.node("w9", { op: "create" })]).replaceAll("::trust", "::other"),
    ) as object[][];
    const text = markdown(events.preview(set(), events.node("w1", { op: "create" }), ...other));
    assert.match(text, /\| order \| cluster \| node \|/);
    assert.match(text, /\| `other` \| `w9` \|/);
    assert.match(text, /\| `trust` \| `w1` \|/);
  });

  it("shows certificates before and after, with what the state and the run know of each", () => {
    const outputs = (...registries: object[]) => ({ outputs: { registries } });
    const preview = events.preview(
      events.resource(events.trustUrn, {
        before: outputs(events.told(events.ca("a")), events.told(events.ca("b"))),
        after: outputs(events.told(events.ca("b")), events.told(events.ca("c"), "2027-01-01T00:00:00.000Z")),
      }),
      events.nodes(
        [events.ca("a"), events.ca("b")],
        [events.ca("b"), events.ca("c"), events.ca("d", "x.example")],
      ),
    );
    const found = review(preview);
    assert.deepEqual(
      found.certificates.map(({ sha256, subject, change }) => [sha256[0], subject, change]),
      [
        ["b", "CN=CA b", "kept"],
        ["c", "CN=CA c", "added"],
        ["d", null, "added"],
        ["a", "CN=CA a", "removed"],
      ],
    );
    assert.deepEqual(codes(found), ["ca-expires", "ca-removed"]);
    assert.match(
      describeReview(found),
      /\| `harbor\.example\.com` \| added \| `c{64}` \| `CN=CA c` \| 2027-01-01 \|/,
    );
    assert.match(describeReview(found), /\| `x\.example` \| added \| `d{64}` \| not known \| not known \|/);
  });

  it("shows images before and after, and warns of a tag in a protected environment only", () => {
    const digest = `sha256:${"1".repeat(64)}`;
    const to = (after: string) => events.preview(events.deployment({ before: `${harbor}/web:1`, after }));
    const tag = to(`${harbor}/web:2`);
    assert.deepEqual(codes(review(tag)), []);
    assert.deepEqual(codes(review(tag, { isProtected: true })), ["image-by-tag"]);
    const pinned = review(to(`${harbor}/web:2@${digest}`), { isProtected: true });
    assert.deepEqual(codes(pinned), []);
    assert.deepEqual(pinned.images[0]!.after, { reference: `${harbor}/web:2@${digest}`, tag: "2", digest });
    assert.match(describeReview(pinned), new RegExp(`after \\| .*\`2\` \\| \`${digest}\` \\|`));
    assert.equal(review(to(events.unknown), { isProtected: true }).images[0]!.after?.digest ?? null, null);
  });

  it("tells objects that are created, adopted, updated, replaced, deleted, left and unchanged", () => {
    const adopted = events.placed({ "tkc-registry/adopted": "true" });
    const [before, after] = [events.placed(), events.placed()];
    const of = (op: string, states: Parameters<typeof events.secret>[1]): string =>
      review(events.preview(events.secret(op, states))).objects[0]!.change;
    assert.equal(of("create", { after }), "created");
    assert.equal(of("create", { after: adopted }), "adopted");
    assert.equal(of("update", { before, after }), "updated");
    assert.equal(of("create-replacement", { before, after }), "replaced");
    assert.equal(of("delete", { before }), "deleted");
    assert.equal(of("delete", { before: { ...adopted, retainOnDelete: true } }), "left");
    assert.equal(of("same", { before, after }), "unchanged");
    assert.match(
      markdown(events.preview(events.secret("delete", { before: { ...adopted, retainOnDelete: true } }))),
      /\| Secret `web\/pull` \| left in the cluster, and out of the stack \|/,
    );
  });

  it("tells that a ServiceAccount is changed, which a command does", () => {
    const urn =
      "urn:pulumi:prod::tkc-registry::tkc-registry:index:PullSecret$command:local:Command::pull-secret-web-default";
    const environment = { TKC_REGISTRY_SERVICE_ACCOUNT: "default", TKC_REGISTRY_NAMESPACE: "web" };
    const { objects } = review(
      events.preview(events.resource(urn, { op: "create", after: { inputs: { environment } } })),
    );
    assert.deepEqual(objects, [
      { kind: "ServiceAccount", namespace: "web", name: "default", change: "updated" },
    ]);
  });

  it("names risks: first use, leaf, control plane, replaced, first contact, unreachable, no drift check", () => {
    const because = (code: ReasonCode, role: NodeChange["role"] = "worker") =>
      ({ op: "update", change: { role, reasons: [{ code, text: "x" }] } }) as const;
    const found = review(
      events.preview(
        set(),
        events.node("cp1", because("new-ca", "control-plane")),
        events.node("w1", because("replaced")),
        events.node("w2", because("first-contact")),
        events.node("w3", { change: { action: "skip", reasons: [{ code: "unreachable", text: "x" }] } }),
        [
          events.warning(
            `registries[0].ca: the CA of ${harbor} is trusted on first use, as nothing vouches for it`,
          ),
          events.warning(`registries[0].ca: the certificate CN=x ${leafWords}: nodes need its successor`),
          events.warning("the nodes were not asked what they trust: the jumpbox pod is not running yet"),
        ],
      ),
    );
    assert.deepEqual(codes(found), [
      ...["trust-on-first-use", "ca-is-leaf", "control-plane", "node-replaced"],
      ...["first-contact", "unreachable", "no-drift-check"],
    ]);
    const text = describeReview(found);
    assert.ok(text.indexOf("## What matters") < text.indexOf("## Nodes"));
    assert.match(text, /`cp1` \[control-plane\]/);
    assert.match(text, /## Warned of, and not checked\n\n(?:- .*\n){3}/);
  });

  it("names no drift check where the settings say not to ask", () => {
    const config = { preludeEvent: { config: { "tkc-registry:nodes": JSON.stringify({ inspect: false }) } } };
    assert.deepEqual(codes(review(events.preview(set(), events.node("w1"), [config]))), ["no-drift-check"]);
  });

  it("lists what else the program changes, and keeps to itself what other resources warn of", () => {
    const urn = "urn:pulumi:prod::shop::aws:s3/bucket:Bucket::logs";
    const found = review(
      events.preview(events.resource(urn, { op: "create", after: { inputs: { password: "hunter2" } } }), [
        events.warning("the password hunter2 is weak", urn),
      ]),
    );
    assert.equal(found.changes, true);
    assert.deepEqual(found.others, [{ type: "aws:s3/bucket:Bucket", name: "logs", operation: "create" }]);
    assert.doesNotMatch(JSON.stringify(found), /hunter2/);
  });

  it("shows no value that it does not name: no environment, no data, no address, no setting", () => {
    const preview = events.preview(
      set(),
      events.node("w1", { op: "update" }),
      events.deployment({ before: `${harbor}/web:1`, after: `${harbor}/web:2` }),
      events.secret("create", { after: events.placed() }),
    );
    const found = review(preview);
    for (const text of [describeReview(found), JSON.stringify(found)])
      assert.doesNotMatch(text, /in-clear|TOKEN|ciphertext|\[secret\]|ns1/);
  });

  it("makes no markup, link or mention of what comes from outside", () => {
    const hostile = "a | b <img src=x> @team [x](https://evil.example) `c` www.evil.example #12";
    const text = markdown(
      events.preview(set(), events.node("w1|x`y", { op: "update" }), [events.warning(hostile)]),
    );
    const warned = text.slice(text.indexOf("## Warned"));
    assert.doesNotMatch(warned, /(?<!\\)<img|@team|(?<!\\)\[x|https:|www\.|(?<!\\)`c|#12/);
    const row = text.split("\n").find((line) => line.includes("w1"))!;
    assert.equal(row.match(/(?<!\\)\|/g)!.length, 7, row);
  });

  it("is as review.schema.json says", () => {
    const validate = new Ajv({ strictTypes: false }).compile(
      JSON.parse(readFileSync(reviewSchemaFile, "utf8")) as object,
    );
    const found = review(
      events.preview(
        set(),
        events.node("w1", { op: "create", change: { reasons: [{ code: "new", text: "it is new" }] } }),
        events.deployment({ after: `${harbor}/web:2` }, { op: "create" }),
        events.secret("create", { after: events.placed() }),
      ),
      { isProtected: true, differences: [{ subject: "w1", text: "x" }] },
    );
    assert.ok(validate(found), JSON.stringify(validate.errors));
    assert.equal(validate({ ...found, version: 2 }), false);
  });
});

describe("a preview", () => {
  it("is refused where a line is no event of the engine", () => {
    for (const line of ["Previewing update (dev):", "[]", '{"resourcePreEvent":{"metadata":{"op":1}}}'])
      assert.throws(
        () => new PreviewReader("prod").add(line),
        (error) => error instanceof UserError && error.problems[0]!.code === "preview-failed",
        line,
      );
  });

  it("keeps what the engine tells last of a resource, and all its operations", () => {
    const outputs = (image: string) => ({ outputs: { image } });
    const { steps } = events.preview(
      events.resource(events.stackUrn, { before: outputs("old") }),
      events.resource(events.stackUrn, { op: "create-replacement", after: outputs("first") }),
      events.resource(events.stackUrn, { op: "delete-replaced", after: outputs("last") }),
    );
    assert.equal(steps.length, 1);
    const [{ operations, before, after }] = steps as [(typeof steps)[number]];
    assert.deepEqual(operations, ["same", "create-replacement", "delete-replaced"]);
    assert.deepEqual([before!.outputs, after!.outputs], [{ image: "old" }, { image: "last" }]);
  });
});
