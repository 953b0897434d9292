import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { describe, it } from "node:test";
import {
  type Finding,
  type WantedRegistry,
  judgeSight,
  judgeSights,
  tellFindings,
} from "../../../../nodes/operations/reach";
import type { Sight } from "../../../../nodes/protocol/report";
import { describeProblem } from "../../../../support/errors";
import { type Identity, Pki } from "../../../integration/certificates/pki";

const pki = new Pki();
const ca = pki.ca("Registry CA");
const leaf = pki.server("registry", "DNS:harbor.example", ca);
const host = "harbor.example:8443";

const registry = (change: Partial<WantedRegistry> = {}): WantedRegistry => ({
  ...{ host, hostname: "harbor.example", ca: [ca.cert], served: leaf.sha256 },
  ...{ required: true, setting: "registries[0].requireReachable" },
  ...change,
});
const sight = (change: Partial<Sight>): Sight => ({
  ...{ registry: host, outcome: "chain", status: undefined, proxy: undefined, chain: [], known: false },
  ...change,
});
const showing = (...chain: readonly Identity[]): Pick<Sight, "outcome" | "chain"> => ({
  outcome: "chain",
  chain: chain.map(({ cert }) => new X509Certificate(cert).raw),
});
/** What is said of a sight of node w1, problems before warnings. */
const said = (seen: Sight, of = registry()): string[] => {
  const finding = judgeSight(seen, of);
  const { problems, warnings } = tellFindings(new Map([["w1", finding ? [finding] : []]]));
  return [...problems.map(describeProblem), ...warnings];
};

describe("what a node sees of a registry", () => {
  it("is well where containerd would accept the chain with the CA, whichever of its certificates that is", () => {
    assert.deepEqual(said(sight(showing(leaf, ca))), []);
    const another = pki.server("another", "DNS:harbor.example", ca); // behind the same balancer
    assert.deepEqual(said(sight(showing(another))), []);
    assert.deepEqual(said(sight(showing(another)), registry({ served: undefined })), []);
    assert.deepEqual(said(sight({ outcome: "unseen" })), []);
  });

  it("is a problem for an impostor, with what both see", () => {
    const forger = pki.ca("Registry CA"); // of the same name
    const forged = pki.server("registry", "DNS:harbor.example", forger);
    const [problem = "", ...more] = said(sight(showing(forged, forger)));
    assert.deepEqual(more, []);
    assert.match(
      problem,
      /^node w1: harbor\.example:8443 shows there the certificate CN=registry \(issued by CN=Registry CA, /,
    );
    assert.ok(
      problem.includes(`SHA-256 ${forged.sha256}), and to this machine another one (SHA-256 ${leaf.sha256})`),
      problem,
    );
    assert.match(
      problem,
      /containerd would refuse it: .*\. No node was touched\..*`registries\[0\]\.requireReachable: false` \[node-registry-other-chain\]$/,
    );
    assert.match(
      said(sight(showing(forged)), registry({ served: undefined }))[0]!,
      /and this machine does not reach it;/,
    );
  });

  it("is a problem for a certificate of the CA that is another host's, the same as here or not", () => {
    const other = pki.server("other", "DNS:other.example", ca);
    assert.match(said(sight(showing(other)))[0]!, /\[node-registry-other-chain\]$/);
    assert.match(
      said(sight(showing(other)), registry({ served: other.sha256 }))[0]!,
      /to this machine the same;/,
    );
    const garbage = sight({ outcome: "chain", chain: [Buffer.from("no certificate")] });
    assert.match(said(garbage)[0]!, /shows there what is no certificate, .*\[node-registry-other-chain\]$/);
  });

  it("is only told where the node accepts what a proxy shows in its place", () => {
    const proxied = pki.server("proxied", "DNS:harbor.example", pki.ca("Proxy CA"));
    const [warning = "", ...more] = said(sight({ ...showing(proxied), known: true, proxy: "proxy:3128" }));
    assert.deepEqual(more, []);
    assert.match(
      warning,
      /^node w1: .*by the proxy proxy:3128, .*it is accepted there without the CA that is to be installed$/,
    );
  });

  it("has a problem for each reason that keeps it from there, with the remedy for what is in the way", () => {
    const proxy = "proxy:3128";
    for (const [change, expected] of [
      [
        { outcome: "unresolved" },
        /^node w1: the name of harbor\.example:8443 is not resolved there\. .*name servers.*\[node-registry-unresolved\]$/,
      ],
      [
        { outcome: "unresolved", proxy },
        /the proxy proxy:3128 \(set for containerd, for harbor\.example:8443\) is not resolved.*HTTPS_PROXY.*\[node-registry-unresolved\]$/,
      ],
      [
        { outcome: "refused" },
        /connection to harbor\.example:8443 is refused.*network.*\[node-registry-unreachable\]$/,
      ],
      [{ outcome: "no-route" }, /no route to harbor\.example:8443 .*\[node-registry-unreachable\]$/],
      [{ outcome: "slow" }, /does not answer there within 10 s.*\[node-registry-unreachable\]$/],
      [
        { outcome: "lost", proxy },
        /connection to the proxy proxy:3128 .* fails.*NO_PROXY.*\[node-registry-unreachable\]$/,
      ],
      [
        { outcome: "denied", proxy, status: 407 },
        /answers 407 .*user and password.*\[node-registry-proxy\]$/,
      ],
      [
        { outcome: "denied", proxy, status: 403 },
        /answers 403 .*let the nodes through.*\[node-registry-proxy\]$/,
      ],
      [{ outcome: "denied", proxy }, /does not answer as a proxy does.*\[node-registry-proxy\]$/],
      [{ outcome: "no-tls" }, /does not answer in TLS there\. .*\[node-registry-no-tls\]$/],
    ] as const) {
      const [problem = "", ...more] = said(sight(change));
      assert.match(problem, expected);
      assert.match(problem, /No node was touched\./);
      assert.deepEqual(more, []);
    }
  });

  it("is a warning where the registry may come later", () => {
    const later = registry({ required: false });
    assert.deepEqual(said(sight({ outcome: "refused" }), later), [
      `node w1: the connection to ${host} is refused there [node-registry-unreachable]`,
    ]);
  });

  it("is told once for all nodes with the same finding, and apart for others", () => {
    const closed = judgeSights([sight({ outcome: "refused" })], [registry()]);
    const names = (count: number): Map<string, readonly Finding[]> =>
      new Map(Array.from({ length: count }, (_, at) => [`w${at + 1}`, closed]));
    const subjects = (found: ReadonlyMap<string, readonly Finding[]>): string[] =>
      tellFindings(found).problems.map(({ subject }) => subject);
    assert.deepEqual(subjects(names(2)), ["nodes w1, w2"]);
    assert.deepEqual(subjects(names(5)), ["nodes w1, w2, w3, w4, w5"]);
    assert.deepEqual(subjects(names(40)), ["nodes w1, w2 and 38 more"]);
    const another = judgeSights([sight({ outcome: "unresolved" })], [registry()]);
    assert.deepEqual(subjects(names(2).set("cp", another).set("w9", [])), ["nodes w1, w2", "node cp"]);
  });
});
