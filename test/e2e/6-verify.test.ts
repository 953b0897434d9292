import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Findings } from "../../cli/verify/findings";
import { type ExecResult, exec } from "../../lab/exec";
import { eventually, kubectl, onAllNodes, writes } from "../../lab/inspect";
import * as lab from "../../lab/lab";
import { harborSettings } from "../../lab/settings";
import { LabStack } from "../../lab/stack";

describe("npm run verify", () => {
  const stack = new LabStack("e2e-verify");
  const { host } = lab.registries().harbor;

  const verify = async (...options: string[]): Promise<ExecResult> => {
    const { cwd, env } = await stack.command([]);
    const words = ["run", "--silent", "verify", "--", "--stack", stack.name, ...options];
    return await exec("npm", words, { cwd, env, allowFailure: true, timeout: 1800 });
  };
  const findings = async (code: number, ...options: string[]): Promise<Findings> => {
    const result = await verify("--json", ...options);
    assert.equal(result.code, code, result.stdout + result.stderr);
    return JSON.parse(result.stdout) as Findings;
  };

  before(async () => {
    await stack.configure(harborSettings());
    const { code, output } = await stack.up();
    assert.equal(code, 0, output);
  });
  after(async () => {
    await stack.destroy();
  });

  test("finds every node of a stack that is up well, and writes nothing there", async () => {
    const earlier = await onAllNodes(writes);
    const { code, stdout, stderr } = await verify();
    assert.equal(code, 0, stdout + stderr);
    for (const { name } of await lab.nodes())
      assert.match(stdout, new RegExp(`^${name} +${host.replaceAll(".", "\\.")}( +yes){5} +in \\d+ d$`, "m"));
    assert.match(stdout, /\nAll is well.*\n$/);
    assert.deepEqual(await onAllNodes(writes), earlier);
  });

  test("pulls on every node, by pods that are gone then", async () => {
    const { nodes } = await findings(0, "--pull");
    assert.deepEqual(
      nodes.map(({ name, pulls }) => [name, pulls.map(({ ok }) => ok)]),
      (await lab.nodes()).map(({ name }) => [name, [true]]).sort(),
    );
    await eventually("no pod is left", async () => {
      const selector = "tkc-registry/purpose=verify-pull";
      const pods = await kubectl("workload", "get", "pods", "-A", "-l", selector, "-o", "name");
      return pods.trim() === "" ? true : undefined;
    });
  });

  test("names the node that lost the CA, where a pull fails as soon as containerd is started again", async () => {
    const { name } = (await lab.nodes()).find(({ role, os }) => role === "worker" && os === "photon")!;
    const lose =
      "rm /etc/ssl/certs/tkc-registry-*.pem && /usr/bin/rehash_ca_certificates.sh >/dev/null && systemctl restart containerd";
    await lab.nodeExec(name, ["sh", "-c", lose]);
    const { ok, nodes, problems } = await findings(1, "--pull");
    assert.equal(ok, false);
    assert.deepEqual(
      nodes.filter((node) => !node.ok).map((node) => node.name),
      [name],
    );
    assert.deepEqual(problems.map(({ code, subject }) => [code, subject]).sort(), [
      ["ca-file-missing", `node ${name}`],
      ["pull-failed", `node ${name}`],
    ]);
    assert.match(nodes.find((node) => node.name === name)!.pulls[0]!.message!, /x509/);

    const { code, output } = await stack.up();
    assert.equal(code, 0, output);
    await findings(0, "--pull");
  });
});
