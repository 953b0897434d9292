import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import * as path from "node:path";
import { after, before, describe, it } from "node:test";
import { formatReport } from "../../../nodes/protocol/report";
import { projectRoot } from "../../../lab/paths";
import { makeProject, skip, type Project } from "./project";

const id = "5d1b5d2e-0f0c-4d6f-9a3e-2f7c1b1f0a11";
const sha256 = "a".repeat(64);
const node = { version: "1", node: "cp-1", uid: "uid-cp-1" } as const;
const reports = {
  ca: formatReport({
    ...{ ...node, report: "ca", hostKey: `SHA256:${"A".repeat(43)}`, os: "photon", trust: "system" },
    ...{ sha256: [sha256], alsoTrustedBy: [], nonce: "n" },
  }),
  containerd: formatReport({
    ...{ ...node, report: "containerd", bootId: "0".repeat(36) },
    ...{ containerdStarted: "2026-01-01T00:00:00Z", loaded: [sha256] },
  }),
};

/** The engine with a set of nodes, whose program fails for one of them, and with what comes after the nodes. */
describe("a node whose command fails", { skip }, () => {
  let project: Project;
  before(async () => {
    project = await makeProject();
    const served = path.join(project.folder, `tkc-registry-${id.split("-").slice(0, 2).join("-")}`);
    await mkdir(served);
    for (const [name, report] of Object.entries(reports)) await writeFile(path.join(served, name), report);
    await writeFile(
      path.join(served, "client"),
      `#!/bin/sh
      if [ "$TKC_REGISTRY_NODE" = bad-1 ]; then
        echo "node bad-1: no space left [node-write-failed]" >&2
        exit 1
      fi
      cat "\${0%/*}/$1"`,
      { mode: 0o755 },
    );
    await project.write(`
      import * as pulumi from "@pulumi/pulumi";
      import { local } from "@pulumi/command";
      import { RemovalCheck } from ${JSON.stringify(path.join(projectRoot, "components", "removalCheck"))};
      import { nodeCommand } from ${JSON.stringify(path.join(projectRoot, "plan", "nodeCommand"))};
      import { TrustedNodes } from ${JSON.stringify(path.join(projectRoot, "components", "trustedNodes"))};
      pulumi.runtime.registerStackTransformation(({ type, props, opts }) => ({
        opts,
        props:
          type === "command:local:Command"
            ? { ...props, create: props.create.replace("\${PULUMI_HOME:-$HOME/.pulumi}", ${JSON.stringify(project.folder)}) }
            : props,
      }));
      const connection = {
        ...{ port: 22, user: "u", access: { kind: "direct" }, clusterContext: "c" },
        sshKey: { from: "file", path: "k" },
      };
      const node = (name: string, role: string) => {
        const known = { name, uid: "uid-" + name, machineId: "m", address: "10.0.0.1" };
        const target = { ...known, ...connection };
        return {
          ...{ node: { ...known, role, osImage: "o", ready: true, pins: {}, labels: {} }, target, nonce: "n" },
          command: nodeCommand(target, { ...common, certificates, trustMode: "system", scriptSha256: "s" }),
          change: { node: name, reasons: [], action: "none", restart: false },
          repeats: undefined,
        };
      };
      const certificates = [{ registry: "r.example", sha256: ${JSON.stringify(sha256)} }];
      const common = {
        ...{ connection, hostKeys: {}, removal: { unreachable: "fail", restart: true } },
        ...{ readyTimeoutSeconds: 300, owner: "o", id: ${JSON.stringify(id)} },
      } as const;
      const plans = [node("cp-1", "control-plane"), node("bad-1", "worker"), node("w-1", "worker")];
      const nodes = new TrustedNodes("c1", {
        ...common,
        nodes: plans,
        order: plans.map(({ node }) => ({ node, after: node.name === "cp-1" ? [] : ["cp-1"] })),
        waveEnds: new Map(),
        canary: {},
        ...{ certificates, script: { text: "s", sha256: "s" } },
      });
      const later = new local.Command("later", { create: "echo later" }, { dependsOn: [nodes] });
      new RemovalCheck("removal-check", common, { dependsOn: [nodes, later] });
      export const found = nodes.nodes;
    `);
  });
  after(() => project.remove());

  for (const [where, args] of [
    ["where it ends the run", []],
    ["where errors are passed over", ["--continue-on-error"]],
  ] as const)
    it(`is the only error, ${where}`, async () => {
      const { code, stdout, stderr } = await project.run(["up", "--yes", "--skip-preview", ...args], {
        allowFailure: true,
      });
      assert.notEqual(code, 0);
      const said = `${stdout}${stderr}`;
      assert.match(said, /node bad-1: no space left \[node-write-failed\]/);
      const errors = said.slice(said.indexOf("Diagnostics:")).match(/error: .*/g) ?? [];
      const others = errors.filter((error) => error !== "error: update failed"); // the engine's own sum
      assert.equal(others.length, 1, said);
      assert.match(others[0]!, /exit status 1/);
      // What comes after the nodes has not been made.
      const { stdout: state } = await project.run(["stack", "export"]);
      assert.match(state, /::c1-cp-1-up/);
      assert.doesNotMatch(state, /check-removal|::c1-bad-1-ca|echo later/);
    });
});
