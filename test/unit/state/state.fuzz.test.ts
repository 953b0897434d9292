import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { describeFindings } from "../../../cli/verify/describe";
import { judge } from "../../../cli/verify/judge";
import { findingsOf } from "../../../cli/verify/stackFindings";
import { readDeployedStack } from "../../../state/exportedState";
import { readPreviousState } from "../../../state/previousState";
import { changed, hostile, hostileJson, place, readOrTold, runs, secret } from "../../fuzz";
import {
  caStdout,
  exported,
  harbor,
  ids,
  nodeResources,
  registriesOutput,
  resource,
  setResources,
  stackResource,
  target,
} from "./state";

const value = fc.oneof(hostile, hostileJson);

const notAfter = "2027-01-01T00:00:00.000Z";
const secretResource = resource("kubernetes:core/v1:Secret", "s", {
  inputs: { metadata: { name: "s", namespace: "web" } },
  outputs: { kind: "Secret", metadata: { name: "s", namespace: "web", uid: "u" } },
});
const whole = exported([
  stackResource({ registries: registriesOutput(notAfter), image: "harbor.example:8443/a/b:1" }),
  resource("tkc-registry:index:TrustedNodes", "c", { inputs: { script: {}, certificates: [harbor] } }),
  ...nodeResources(target()),
  ...nodeResources(target({ name: "w2", uid: "uid-w2" })),
  ...setResources("lab", ids[0]!, target({ name: "x1", uid: "uid-x1", clusterContext: "lab" })),
  secretResource,
]);

describe("a hostile state", () => {
  it("is read as what the last run left, or refused in a clear line, by the program", () => {
    const object = {
      kind: "Pod",
      metadata: { namespace: "n", name: "p", uid: "u" },
      spec: { containers: [{ env: [{ name: "TKC_REGISTRY_REPLACES_POD", value: "x" }] }] },
    };
    const answer = {
      "urn:a": {
        type: "command:local:Command",
        outputs: { stdout: caStdout(target()), environment: { TKC_REGISTRY_NONCE: "n" } },
      },
      "urn:b": { type: "kubernetes:core/v1:Pod", outputs: object },
      "urn:c": { type: "kubernetes:core/v1:Secret", outputs: { ...object, kind: "Secret" } },
    };
    fc.assert(
      fc.property(place, value, fc.boolean(), secret, (pick, what, all, text) => {
        const given = all ? what : changed(answer, pick, what);
        const read = readOrTold(() => readPreviousState(given, { names: ["c1"], alone: all }), [text]);
        for (const [name, { hostKey }] of read?.nodes ?? []) {
          assert.match(name, /^[a-z0-9][a-z0-9.-]*$/);
          if (hostKey !== undefined) assert.match(hostKey, /^SHA256:/);
        }
        for (const each of read?.objects ?? []) assert.equal(typeof each.uid, "string");
      }),
      runs("last run"),
    );
  });

  it("is read as a stack with nodes that can be asked, or refused in a clear line, by verify", () => {
    fc.assert(
      fc.property(place, value, place, value, fc.boolean(), (pick, what, pick2, what2, all) => {
        const given = all ? what : changed(changed(whole, pick, what), pick2, what2);
        const stack = readOrTold(() => readDeployedStack(given, "dev"));
        if (!stack) return;
        assert.ok(stack.sets.length > 0 && stack.sets.every(({ nodes }) => nodes.length > 0));
        for (const { target: read, hostKey, certificates } of stack.sets.flatMap(({ nodes }) => nodes)) {
          assert.match(read.name, /^[a-z0-9][a-z0-9.-]*$/);
          if (hostKey !== undefined) assert.match(hostKey, /^SHA256:[A-Za-z0-9+/]{43}$/);
          for (const { sha256 } of certificates) assert.match(sha256, /^[0-9a-f]{64}$/);
        }
      }),
      runs("stack state"),
    );
  });

  it("is described in lines that can be printed, whatever it, the nodes and the kubelets say", () => {
    const pull = fc.record({
      image: fc.constant("harbor.example:8443/a/b:1"),
      ok: fc.boolean(),
      message: fc.option(hostile),
    });
    const problem = fc.record({
      code: fc.constantFrom("ssh-timeout" as const, "host-key-changed" as const, "node-busy" as const),
      subject: hostile,
      seen: hostile,
      remedy: hostile,
    });
    fc.assert(
      fc.property(place, value, fc.array(pull, { maxLength: 2 }), problem, (pick, what, pulls, silence) => {
        const stack = readOrTold(() => readDeployedStack(changed(whole, pick, what), "dev"));
        if (!stack) return;
        const [set] = stack.sets;
        const listed = set!.nodes.map(({ target: { name, uid, machineId, address } }) => ({
          ...{
            name,
            uid,
            machineId,
            hostName: name,
            address,
            role: "worker" as const,
            osImage: "",
            containerRuntime: "",
            ready: false,
            pins: {},
            labels: {},
          },
        }));
        const now = new Date("2026-01-01");
        const found = judge({
          served: new Map(),
          excluded: [],
          labelled: { objects: [], problems: [] },
          ...{ name: "dev", set: set!, stack, listed, now, expiresWithin: 30 },
          observed: new Map(listed.map(({ name }) => [name, { kind: "silent", problem: silence }])),
          pulls: new Map(listed.map(({ name }) => [name, pulls])),
        });
        const findings = findingsOf(
          { name: "dev", warnings: stack.warnings },
          [found],
          stack.unread.map(({ trust, problem: why }) => ({ trust, problems: [why] })),
          now,
        );
        for (const line of describeFindings(findings).split("\n"))
          assert.doesNotMatch(line, /[\p{C}\p{Zl}\p{Zp}]/u);
      }),
      runs("findings"),
    );
  });
});
