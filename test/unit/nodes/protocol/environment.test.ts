import * as assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { X509Certificate, createHash } from "node:crypto";
import { describe, it } from "node:test";
import {
  certificatesFor,
  checkScript,
  pinnedHostKey,
  readCommandInput,
  readTrust,
} from "../../../../nodes/protocol/environment";
import { formatReport } from "../../../../nodes/protocol/report";
import { type NodeTarget, nodeEnvironment, pinOf } from "../../../../nodes/protocol/spec";
import {
  type NodeOperation,
  certificateFileName,
  nodeScript,
  remoteCommand,
  shellQuote,
} from "../../../../nodes/script/script";
import { UserError } from "../../../../support/errors";
import { problem } from "../../../integration/net/server";

const target: NodeTarget = {
  name: "node-1",
  uid: "uid-1",
  machineId: "",
  address: "fd00::1",
  port: 22,
  user: "vmware-system-user",
  access: { kind: "direct" },
  sshKey: { from: "file", path: "/home/me/key" },
  clusterContext: "tkc-cluster-1",
  cluster: { supervisor: "ns1", namespace: "ns1", name: "tkc-cluster-1" },
  hostKey: undefined,
};
const environment = { ...nodeEnvironment(target), TKC_REGISTRY_OWNER: "demo.dev" };

const codes = (run: () => unknown): string[] => {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof UserError);
    return error.problems.map(({ code, subject }) => `${code} ${subject}`);
  }
  return [];
};

describe("the environment of node commands", () => {
  it("is read as the program wrote it", () => {
    const read = { ...target, hostName: undefined };
    assert.deepEqual(readCommandInput(environment), {
      target: read,
      stack: { owner: "demo.dev", id: undefined },
      readyTimeout: 300,
    });
    const id = "5d1b5d2e-0f0c-4d6f-9a3e-2f7c1b1f0a11";
    assert.equal(readCommandInput({ ...environment, TKC_REGISTRY_ID: id }).stack.id, id);
    assert.throws(() => readCommandInput({ ...environment, TKC_REGISTRY_ID: "../x" }), UserError);
    const pinned = { ...target, hostName: "node-1.example.com", hostKey: `SHA256:${"b".repeat(43)}` };
    assert.deepEqual(readCommandInput({ ...environment, ...nodeEnvironment(pinned) }).target, pinned);
    // As a release that did not record the cluster's name left it in the state.
    const older = { ...environment, TKC_REGISTRY_CLUSTER: undefined };
    assert.deepEqual(readCommandInput(older).target, { ...read, cluster: undefined });
  });

  it("is refused with every problem at once", () => {
    const wrong = {
      ...environment,
      TKC_REGISTRY_NODE_PORT: "0",
      TKC_REGISTRY_ACCESS: '{"kind":"magic"}',
      TKC_REGISTRY_OWNER: "",
    };
    assert.deepEqual(
      codes(() => readCommandInput(wrong)),
      [
        "bad-environment TKC_REGISTRY_NODE_PORT",
        "bad-environment TKC_REGISTRY_ACCESS.kind",
        "bad-environment TKC_REGISTRY_OWNER",
      ],
    );
  });

  it("takes addresses only", () => {
    for (const address of ["-oProxyCommand=x", "a b", "$(id)", "", "host;id"]) {
      const wrong = { ...environment, TKC_REGISTRY_NODE_ADDRESS: address };
      assert.deepEqual(
        codes(() => readCommandInput(wrong)),
        ["bad-environment TKC_REGISTRY_NODE_ADDRESS"],
      );
    }
  });

  it("takes names that are no option, path or further line, where they become arguments", () => {
    const access = { kind: "jumpbox", context: "c", namespace: "n", pod: "p", container: "u" };
    const wrong = [
      { TKC_REGISTRY_NODE: "-o=name" },
      { TKC_REGISTRY_NODE_MACHINE_ID: "\n" },
      { TKC_REGISTRY_OWNER: "demo.dev\n" },
      { TKC_REGISTRY_CLUSTER_CONTEXT: "a\0b" },
      { TKC_REGISTRY_ACCESS: JSON.stringify({ ...access, pod: "--kubeconfig=/tmp/x" }) },
      {
        TKC_REGISTRY_SSH_KEY: JSON.stringify({
          from: "supervisor",
          context: "c",
          namespace: "n",
          cluster: "../x",
        }),
      },
      { TKC_REGISTRY_CLUSTER: JSON.stringify({ supervisor: "s", namespace: "n", name: "-A" }) },
    ];
    for (const each of wrong)
      assert.equal(codes(() => readCommandInput({ ...environment, ...each })).length, 1);
    const trust = JSON.stringify([{ registry: "r\nop remove", sha256: "0".repeat(64) }]);
    assert.equal(codes(() => readTrust({ TKC_REGISTRY_TRUST: trust })).length, 1);
  });

  it("pins a node only by its own name, though it be that of what every object has", () => {
    assert.equal(pinOf({}, "constructor"), undefined);
    assert.equal(pinOf({ constructor: "SHA256:x" }, "constructor"), "SHA256:x");
  });

  it("must name the script that is installed", () => {
    const { sha256 } = nodeScript();
    checkScript({ TKC_REGISTRY_SCRIPT_SHA256: sha256 }, sha256);
    assert.match(
      codes(() => checkScript({ TKC_REGISTRY_SCRIPT_SHA256: "0".repeat(64) }, sha256)).join(),
      /other-script/,
    );
    assert.match(codes(() => checkScript({}, sha256)).join(), /bad-environment/);
  });

  it("holds only as many certificates as a node's report can name", () => {
    const trust = (count: number): string =>
      JSON.stringify(Array.from({ length: count }, () => ({ registry: "r", sha256: "0".repeat(64) })));
    assert.equal(readTrust({ TKC_REGISTRY_TRUST: trust(24) }).certificates.length, 24);
    for (const wrong of [trust(0), trust(25), "[", "{}"]) {
      assert.equal(codes(() => readTrust({ TKC_REGISTRY_TRUST: wrong })).length, 1);
    }
  });

  it("pins the host key of the settings, else the last one of the same node", () => {
    const last = (uid: string): string =>
      formatReport({
        version: "1",
        report: "ca",
        node: "node-1",
        uid,
        hostKey: `SHA256:${"c".repeat(43)}`,
        os: "photon",
        sha256: [],
        alsoTrustedBy: [],
        nonce: "n",
      });
    assert.equal(pinnedHostKey({}, target), undefined);
    assert.equal(pinnedHostKey({ PULUMI_COMMAND_STDOUT: last("uid-1") }, target), `SHA256:${"c".repeat(43)}`);
    assert.equal(pinnedHostKey({ PULUMI_COMMAND_STDOUT: last("uid-0") }, target), undefined);
    const hostKey = `SHA256:${"d".repeat(43)}`;
    assert.equal(pinnedHostKey({ PULUMI_COMMAND_STDOUT: last("uid-1") }, { ...target, hostKey }), hostKey);
    assert.match(
      codes(() => pinnedHostKey({ PULUMI_COMMAND_STDOUT: "?" }, target)).join(),
      /bad-node-report/,
    );
  });
});

describe("what is sent to a node", () => {
  it("is refused where the script would not see it as it is, or would see another parameter", () => {
    const operation = { op: "install", machineId: "", nodeName: "n", owner: "o", nonce: "x" } as const;
    const certificate = { name: "n", registry: "r", sha256: "0".repeat(64), der: Buffer.of() };
    const wrong: Partial<NodeOperation>[] = [
      { machineId: "\n" },
      { owner: "o\0" },
      { nonce: "x\nop remove" },
      { certificates: [{ ...certificate, registry: "r\nrestart no" }] },
    ];
    for (const each of wrong)
      assert.match(codes(() => remoteCommand({ ...operation, ...each })).join(), /bad-parameter/);
  });

  it("names certificates by registry, port and fingerprint, safely for any host", () => {
    const sha256 = "0123456789abcdef".repeat(4);
    assert.deepEqual(
      [
        "harbor.example",
        "Harbor.example:443",
        "10.0.0.1:5000",
        "[fd00::1]:8443",
        "[fd00::1]",
        "a/../b",
        "x".repeat(300),
      ].map((registry) => certificateFileName(registry, sha256)),
      [
        "tkc-registry-harbor.example-443-0123456789abcdef",
        "tkc-registry-harbor.example-443-0123456789abcdef",
        "tkc-registry-10.0.0.1-5000-0123456789abcdef",
        "tkc-registry-fd00--1-8443-0123456789abcdef",
        "tkc-registry-fd00--1-443-0123456789abcdef",
        "tkc-registry-a-..-b-443-0123456789abcdef",
        `tkc-registry-${"x".repeat(64)}-443-0123456789abcdef`,
      ],
    );
  });

  it("says for each certificate which registry it is for, and how it is to be trusted", () => {
    const pem = execFileSync(
      "openssl",
      "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout /dev/null -subj /CN=x".split(
        " ",
      ),
      { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] },
    );
    const der = new X509Certificate(pem).raw;
    const sha256 = createHash("sha256").update(der).digest("hex");
    const trust = ["harbor.example", "harbor.example:443"].map((registry) => ({ registry, sha256 }));
    const certificates = certificatesFor(trust, new Map([[sha256, { der }]]));
    assert.deepEqual(
      certificates.map(({ registry }) => registry),
      ["harbor.example", "harbor.example:443"],
      "two folders, though they share a name in the trust store",
    );
    const operation = { op: "install", machineId: "m", nodeName: "n", owner: "o", certificates } as const;
    assert.throws(() => certificatesFor(trust, new Map()), problem("bad-certificates", /is missing/));
    const { input } = remoteCommand({ ...operation, trust: "auto" });
    assert.match(input, /^trust auto$/m);
    const { name } = certificates[0]!;
    assert.ok(
      input.includes(`\ncertificate ${name} ${sha256} ${der.toString("base64")} harbor.example:443\n`),
    );
    assert.doesNotMatch(remoteCommand(operation).input.split("\n\n")[0]!, /^trust /m);
  });

  it("keeps every parameter out of the command line", () => {
    const operation = { op: "status", machineId: "m", nodeName: "n'; id", owner: "$(id)" } as const;
    const { command, input } = remoteCommand(operation);
    assert.equal(command, remoteCommand({ ...operation, op: "remove", owner: "else" }).command);
    assert.match(command, /^sudo -n sh -c '/);
    assert.doesNotMatch(input, /\$\(id\)|n'; id/);
    assert.ok(input.endsWith(nodeScript().text));
  });

  it("quotes for the shell", () => {
    assert.equal(shellQuote("it's $HOME"), `'it'\\''s $HOME'`);
  });
});
