import * as assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readLastRun } from "../../../components/lastRun";
import { formatReport } from "../../../nodes/report";

const stdout = formatReport({
  version: "1",
  report: "ca",
  node: "w1",
  uid: "uid-1",
  hostKey: `SHA256:${"A".repeat(43)}`,
  os: "photon",
  sha256: [],
  alsoTrustedBy: [],
  nonce: "of-the-run",
}).trimEnd();
const command = (outputs: unknown) => ({ type: "command:local:Command", outputs });
const environment = { TKC_REGISTRY_NONCE: "of-the-installation" };

describe("what the state holds", () => {
  it("is each node's UID, host key and nonce, and the jumpbox pod", () => {
    const { nodes, jumpbox } = readLastRun({
      "urn:stack": { type: "pulumi:pulumi:Stack", outputs: { jumpbox: "other" } },
      "urn:w1-ca": command({ stdout, environment }),
      "urn:pod": { type: "kubernetes:core/v1:Pod", outputs: { metadata: { name: "jumpbox-ubuntu" } } },
    });
    assert.equal(jumpbox, "jumpbox-ubuntu");
    assert.deepEqual(
      [...nodes],
      [["w1", { uid: "uid-1", hostKey: `SHA256:${"A".repeat(43)}`, nonce: "of-the-installation" }]],
    );
  });

  it("is nothing where there is nothing, or what is there is of another kind", () => {
    assert.deepEqual(readLastRun({}), { jumpbox: undefined, nodes: new Map() });
    const odd = {
      failed: command({ environment }),
      older: command({ stdout, environment: {} }),
      garbled: command({ stdout: "?", environment }),
      other: command({ stdout: "hello", environment: { A: "b" } }),
      none: command(null),
    };
    assert.equal(readLastRun(odd).nodes.size, 0);
  });
});
