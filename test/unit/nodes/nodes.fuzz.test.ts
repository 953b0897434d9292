import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { runOnNode } from "../../../nodes/operations/node";
import {
  checkScript,
  pinnedHostKey,
  readCaOutput,
  readCommandInput,
  readNodeIdentity,
  readNonce,
  readSweepInput,
  readTrust,
  unreachablePolicy,
} from "../../../nodes/protocol/environment";
import {
  type CaReport,
  type ContainerdReport,
  formatReport,
  parseCaReport,
  parseContainerdReport,
  parseScriptOutput,
} from "../../../nodes/protocol/report";
import { type NodeTarget, nodeEnvironment, nodeVariables } from "../../../nodes/protocol/spec";
import type { ExecResult, Session } from "../../../nodes/ssh/session";
import { hostile, hostileJson, readOrTold, readOrToldLater, runs, secret } from "../../fuzz";

const hex = fc.stringMatching(/^[0-9a-f]{64}$/);
const uid = fc.stringMatching(/^[0-9A-Za-z-]{1,64}$/);
const name = fc.oneof(fc.constant("constructor"), fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/));
const fingerprint = fc.stringMatching(/^SHA256:[A-Za-z0-9+/]{43}$/);
const word = fc.stringMatching(/^[a-z-]{1,40}$/);
const time = fc
  .date({ min: new Date(0), max: new Date("2100-01-01"), noInvalidDate: true })
  .map((date) => date.toISOString().replace(/\.\d+/, ""));
/** As a time is written, of any numbers. */
const nearlyTime = fc.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
const file = fc.stringMatching(/^\/[\x20-\x7e]{0,60}$/);
const bootId = fc.uuid();
const common = { version: fc.constant("1" as const), node: name, uid };
const plain = { noNullPrototype: true };

const caReport: fc.Arbitrary<CaReport> = fc.oneof(
  fc.record(
    {
      ...{ ...common, report: fc.constant("ca" as const), hostKey: fingerprint },
      ...{ os: fc.constantFrom("photon" as const, "debian" as const, "rhel" as const), nonce: uid },
      ...{ trust: fc.constantFrom("system" as const, "certs.d" as const) },
      ...{ sha256: fc.array(hex, { maxLength: 24 }), alsoTrustedBy: fc.array(file, { maxLength: 16 }) },
    },
    plain,
  ),
  fc.record(
    { ...common, report: fc.constant("ca" as const), skipped: word, hostKey: fingerprint, nonce: uid },
    plain,
  ),
);
const containerdReport: fc.Arbitrary<ContainerdReport> = fc.oneof(
  fc.record(
    {
      ...{ ...common, report: fc.constant("containerd" as const), bootId, containerdStarted: time },
      loaded: fc.array(hex, { maxLength: 24 }),
    },
    plain,
  ),
  fc.record({ ...common, report: fc.constant("containerd" as const), skipped: word }, plain),
);

/** One edit of a text, by what is hostile or by one of its own lines again. */
const edits = fc.array(
  fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    text: hostile,
    cut: fc.nat({ max: 8 }),
    again: fc.boolean(),
  }),
  { maxLength: 3 },
);
function edited(text: string, changes: typeof edits extends fc.Arbitrary<infer T> ? T : never): string {
  let result = text;
  for (const { at, text: added, cut, again } of changes) {
    const place = Math.floor(at * result.length);
    const lines = result.split("\n");
    const what = again ? `\n${lines[Math.floor(at * (lines.length - 1))]!}\n` : added;
    result = result.slice(0, place) + what + result.slice(place + cut);
  }
  return result;
}

/** What is edited has another time, too. */
const withTime = (text: string, other: string): string =>
  text.replace(/^containerdStarted=.*$/m, `containerdStarted=${other}`);

const printableJson = /^[\x20-\x7e]*$/;

describe("hostile reports of nodes", () => {
  it("are read as they were written, or as what they could have been, or refused in one clear line", () => {
    fc.assert(
      fc.property(caReport, containerdReport, edits, nearlyTime, (ca, containerd, changes, other) => {
        assert.deepEqual(parseCaReport(formatReport(ca)), ca);
        assert.deepEqual(parseContainerdReport(formatReport(containerd)), containerd);
        for (const [parse, report] of [
          [parseCaReport, ca],
          [parseContainerdReport, containerd],
        ] as const) {
          const read = readOrTold(() => parse(edited(withTime(formatReport(report), other), changes)));
          if (!read) continue;
          assert.match(JSON.stringify(read), printableJson);
          assert.deepEqual(parse(formatReport(read)), read);
          assert.match(read.node, /^[a-z0-9][a-z0-9.-]*$/);
          if ("containerdStarted" in read)
            assert.ok(!Number.isNaN(Date.parse(read.containerdStarted)), read.containerdStarted);
          if ("hostKey" in read && read.hostKey !== undefined)
            assert.match(read.hostKey, /^SHA256:[A-Za-z0-9+/]{43}$/);
          if ("sha256" in read) for (const sha256 of read.sha256) assert.match(sha256, /^[0-9a-f]{64}$/);
        }
      }),
      runs("node reports"),
    );
  });

  const success = fc
    .record({
      ...{ trusted: fc.array(hex, { maxLength: 3 }), loaded: fc.boolean(), started: time, bootId },
      ...{ os: fc.constantFrom("photon", "debian", "rhel"), bundle: file, nonce: uid, changed: fc.boolean() },
    })
    .map((said) =>
      [
        ...["protocol=1", ...said.trusted.map((sha256) => `trusted=${sha256}`), `loaded=${said.loaded}`],
        ...[
          `containerdStarted=${said.started}`,
          `nonce=${said.nonce}`,
          `os=${said.os}`,
          `bundle=${said.bundle}`,
        ],
        ...[`bootId=${said.bootId}`, `changed=${said.changed}`, "restarted=false", "end=ok", ""],
      ].join("\n"),
    );
  const failure = fc
    .record({
      error: fc.oneof(word, fc.constantFrom("constructor", "wrong-node")),
      detail: hostile,
      log: hostile,
    })
    .map(({ error, detail, log }) =>
      [
        `protocol=1\nerror=${error}`,
        `detail=${detail}`,
        `log=${Buffer.from(log).toString("base64")}`,
        "end=failed",
        "",
      ].join("\n"),
    );

  it("of the script are read only where they are complete and printable", () => {
    fc.assert(
      fc.property(success, edits, hostile, nearlyTime, (written, changes, before, other) => {
        const report = parseScriptOutput(`${before}\n${edited(withTime(written, other), changes)}`);
        assert.equal(parseScriptOutput(`${before}\n${written}`)?.end, "ok");
        if (report?.end !== "ok") return;
        assert.match(JSON.stringify(report), printableJson);
        for (const sha256 of [...report.trusted, ...report.present]) assert.match(sha256, /^[0-9a-f]{64}$/);
        if (report.containerdStarted !== undefined)
          assert.ok(!Number.isNaN(Date.parse(report.containerdStarted)), report.containerdStarted);
      }),
      runs("node output"),
    );
  });

  it("are told in one clear line, whatever node, script and sudo say", async () => {
    const result = fc.record({
      code: fc.constantFrom(0, 1, undefined),
      stdout: fc.oneof(failure, hostile),
      stderr: fc.oneof(
        hostile,
        hostile.map((text) => `sudo: ${text}`),
      ),
    });
    const operation = { op: "status" as const, machineId: "", nodeName: "n", owner: "o" };
    await fc.assert(
      fc.asyncProperty(result, edits, async (said: ExecResult, changes) => {
        const stdout = edited(said.stdout, changes);
        const session = { exec: () => Promise.resolve({ ...said, stdout }) } as unknown as Session;
        const report = await readOrToldLater(() => runOnNode(session, operation));
        assert.equal(report, undefined);
      }),
      runs("node output told"),
    );
  });
});

describe("a hostile environment of a node command", () => {
  const objectNameShape = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?$/);
  const context = fc
    .oneof(fc.constantFrom("ns1", "a b", "-x", "$(touch $MARK)"), hostile)
    .map((text) => text.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, ""))
    .filter((text) => text !== "");
  const target: fc.Arbitrary<NodeTarget> = fc.record(
    {
      ...{ name, uid, machineId: fc.oneof(fc.constant(""), fc.stringMatching(/^[0-9a-f]{32}$/)) },
      hostName: fc.option(fc.stringMatching(/^[A-Za-z0-9]([A-Za-z0-9.-]{0,40}[A-Za-z0-9])?$/), {
        nil: undefined,
      }),
      ...{ address: fc.oneof(fc.ipV4(), fc.ipV6()), port: fc.integer({ min: 1, max: 65535 }), user: context },
      access: fc.oneof(
        fc.record(
          {
            kind: fc.constant("jumpbox" as const),
            context,
            namespace: objectNameShape,
            pod: objectNameShape,
            container: objectNameShape,
          },
          plain,
        ),
        fc.record(
          {
            kind: fc.constant("bastion" as const),
            host: objectNameShape,
            port: fc.integer({ min: 1, max: 65535 }),
            user: context,
            hostKey: fingerprint,
          },
          plain,
        ),
        fc.constant({ kind: "direct" as const }),
      ),
      sshKey: fc.oneof(
        fc.record(
          {
            from: fc.constant("supervisor" as const),
            context,
            namespace: objectNameShape,
            cluster: objectNameShape,
          },
          plain,
        ),
        fc.record({ from: fc.constant("file" as const), path: context }, plain),
      ),
      ...{ clusterContext: context, hostKey: fc.option(fingerprint, { nil: undefined }) },
      cluster: fc.option(
        fc.record({ supervisor: context, namespace: objectNameShape, name: objectNameShape }, plain),
        { nil: undefined },
      ),
    },
    plain,
  );

  it("is read as the program wrote it", () => {
    fc.assert(
      fc.property(target, fc.integer({ min: 1, max: 86_400 }), (wanted, seconds) => {
        const environment = {
          ...nodeEnvironment(wanted),
          TKC_REGISTRY_OWNER: "p.s",
          TKC_REGISTRY_READY_TIMEOUT: String(seconds),
        };
        assert.deepEqual(readCommandInput(environment), {
          target: wanted,
          stack: { owner: "p.s", id: undefined },
          readyTimeout: seconds,
        });
      }),
      runs("environment as written"),
    );
  });

  it("gives only what no shell, option parser, path or line could take for something else, or is refused in clear lines", () => {
    const value = fc.oneof(
      hostile,
      hostileJson.map((json) => JSON.stringify(json)),
    );
    const overlay = fc.dictionary(
      fc.constantFrom(
        ...nodeVariables,
        "TKC_REGISTRY_HOST_KEYS",
        "TKC_REGISTRY_FORMER_OWNER",
        "TKC_REGISTRY_UNREACHABLE_NODES",
      ),
      value,
      { maxKeys: 2, noNullPrototype: true },
    );
    const inAccess = fc
      .tuple(fc.constantFrom("context", "namespace", "pod", "container"), hostile)
      .map(([key, text]) =>
        JSON.stringify({
          kind: "jumpbox",
          context: "c",
          namespace: "n",
          pod: "p",
          container: "u",
          [key]: text,
        }),
      );
    const inTrust = hostile.map((registry) => JSON.stringify([{ registry, sha256: "0".repeat(64) }]));
    fc.assert(
      fc.property(
        target,
        overlay,
        fc.option(inAccess),
        fc.option(inTrust),
        secret,
        (wanted, changes, access, trust, hidden) => {
          const environment: Record<string, string> = {
            ...{ ...nodeEnvironment(wanted), TKC_REGISTRY_OWNER: "p.s", SECRET: hidden },
            ...(access === null ? {} : { TKC_REGISTRY_ACCESS: access }),
            ...(trust === null ? {} : { TKC_REGISTRY_TRUST: trust }),
            ...changes,
          };
          const input = readOrTold(() => readCommandInput(environment));
          if (input) {
            const {
              target: read,
              stack: { owner },
            } = input;
            assert.match(owner, /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/);
            assert.match(read.name, /^[a-z0-9][a-z0-9.-]*$/);
            assert.match(read.address, /^[0-9A-Za-z:][0-9A-Za-z.:-]*(%[0-9A-Za-z.]+)?$/);
            assert.match(read.uid, /^[0-9A-Za-z-]+$/);
            assert.match(read.machineId, /^[0-9A-Fa-f-]*$/);
            for (const text of [read.clusterContext, read.user]) assert.doesNotMatch(text, /[\0\r\n]/);
            if (read.access.kind === "jumpbox") {
              assert.doesNotMatch(read.access.context, /[\0\r\n]/);
              for (const text of [read.access.namespace, read.access.pod, read.access.container])
                assert.match(text, /^[a-z0-9][a-z0-9.-]*$/);
            }
            readOrTold(() => pinnedHostKey(environment, read));
          }
          readOrTold(() => readNodeIdentity(environment));
          const sweep = readOrTold(() => readSweepInput(environment));
          for (const key of Object.values(sweep?.hostKeys ?? {})) assert.match(key, /^SHA256:/);
          for (const { registry } of readOrTold(() => readTrust(environment))?.certificates ?? []) {
            assert.match(registry, /^[0-9A-Za-z[][0-9A-Za-z.:[\]-]*$/);
          }
          const nonce = readOrTold(() => readNonce(environment));
          if (nonce !== undefined) assert.match(nonce, /^[0-9A-Za-z-]+$/);
          readOrTold(() => unreachablePolicy(environment, "fail"));
          readOrTold(() => readCaOutput(environment));
          readOrTold(() => checkScript(environment, "0".repeat(64)));
        },
      ),
      runs("environment"),
    );
  });
});
