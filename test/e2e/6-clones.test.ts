import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { after, before, describe, test } from "node:test";
import { dumpYaml, loadYaml } from "../../kubernetes/kubernetesClient";
import { exec } from "../../lab/exec";
import { find, goBundle, kubectl, onAllNodes, trustStore, trusts } from "../../lab/inspect";
import * as lab from "../../lab/lab";
import { harborSettings, labFile } from "../../lab/settings";
import { LabStack, type Run } from "../../lab/stack";
import { expectNoChanges, expectTrust, pemOf } from "./nodes";

/** A kubeconfig like the operator's, with another user or cluster behind one of its contexts. */
async function kubeconfigWith(
  name: string,
  change: (config: Kubeconfig) => void,
): Promise<NodeJS.ProcessEnv> {
  const { env } = await lab.operator();
  const config = loadYaml<Kubeconfig>(readFileSync(env["KUBECONFIG"]!, "utf8"));
  change(config);
  return { KUBECONFIG: labFile(`${name}.kubeconfig`, dumpYaml(config)) };
}

interface Kubeconfig {
  contexts: { name: string; context: { cluster: string; user: string } }[];
  users: { name: string; user: { token?: string } }[];
}

const contextOf = (config: Kubeconfig, name: string): Kubeconfig["contexts"][number]["context"] =>
  config.contexts.find((context) => context.name === name)!.context;

describe("two clones of one stack, other clusters, other people's CAs", () => {
  const { harbor, custom } = lab.registries();
  const [harborPem, customPem] = [pemOf(harbor.caFile), pemOf(custom.caFile)];
  const backend = mkdtempSync(path.join(tmpdir(), "tkc-registry-clone-"));
  const ours = new LabStack("e2e-twins");
  /** A clone by somebody else: the same project, the same stack's name, another backend. */
  const clone = new LabStack("e2e-twins", {
    folder: "e2e-twins-clone",
    env: { PULUMI_BACKEND_URL: `file://${backend}` },
  });
  const cloneSettings = {
    ...harborSettings(),
    registries: [
      {
        host: custom.host,
        kind: "generic",
        ca: { from: "file", path: custom.caFile },
        credentials: { from: "password", username: custom.user },
      },
    ],
    jumpbox: { name: "jumpbox-of-the-clone" },
    pullSecret: { name: "pull-secret-of-the-clone" },
    deployment: { enabled: false },
  };
  const passwords = { [custom.host]: custom.password };
  let stores: Record<string, string> = {};

  const succeed = async (run: Promise<Run>): Promise<string> => {
    const { code, output } = await run;
    assert.equal(code, 0, output);
    return output;
  };
  const refused = async (run: Promise<Run>, ...words: RegExp[]): Promise<void> => {
    const { code, output } = await run;
    assert.notEqual(code, 0, output);
    for (const word of words) assert.match(output, word);
  };
  const npm = async (script: string, stack: LabStack, ...args: string[]): Promise<Run> => {
    const { env, cwd } = await stack.command([]);
    const lines: string[] = [];
    const argv = ["run", "--silent", script, "--", "--stack", stack.name, ...args];
    const { code } = await exec("npm", argv, {
      cwd,
      env: { ...env, NODE_OPTIONS: "" },
      allowFailure: true,
      onLine: (line) => lines.push(line),
    });
    return { code, output: lines.join("\n") };
  };
  const journal = (node: string): Promise<string> =>
    lab.nodeExec(node, ["journalctl", "-t", "tkc-registry", "-o", "cat", "--no-pager"]);

  before(async () => {
    stores = await onAllNodes(trustStore);
    await ours.configure(harborSettings({ pullSecret: { defaultServiceAccount: true } }));
    await clone.configure(cloneSettings, passwords);
  });
  after(async () => {
    await clone.destroy();
    await ours.destroy();
    rmSync(backend, { recursive: true, force: true });
  });

  test("two clones of one name on the same nodes: each keeps its CA when the other comes, changes and goes", async () => {
    await succeed(ours.up());
    await expectTrust(harborPem);
    await succeed(clone.up());
    await expectTrust(harborPem, customPem);
    expectNoChanges(await ours.up());
    expectNoChanges(await clone.up());
    await succeed(clone.destroy());
    await expectTrust(harborPem);
    for (const [node, trusted] of Object.entries(await onAllNodes((name) => trusts(name, customPem))))
      assert.ok(!trusted, `${node} trusts the clone's CA after its destroy`);
    expectNoChanges(await ours.up());
  });

  test("an object of a clone of the same name is another stack's", async () => {
    await clone.configure({ ...cloneSettings, pullSecret: {} }, passwords);
    await refused(clone.preview(), /object-of-another-stack/, /\(id [0-9a-f-]{36}\)/);
    await clone.configure(cloneSettings, passwords);
  });

  test("each change of a node is a line of its journal: stack, id, operation, fingerprint, result", async () => {
    for (const [node, lines] of Object.entries(await onAllNodes(journal))) {
      assert.match(lines, new RegExp(`tkc-registry\\.e2e-twins.*install.*${harbor.caSha256}`), node);
      assert.match(lines, /remove/, node);
    }
  });

  test("destroy with a context of the right name that leads to another cluster takes nothing", async () => {
    const elsewhere = await kubeconfigWith("elsewhere", (config) =>
      Object.assign(contextOf(config, "tkc-cluster-1"), contextOf(config, "ns1")),
    );
    const resources = await ours.resourceCount();
    // The other cluster is the Supervisor's own, in which the operator may now do everything.
    const binding = ["clusterrolebinding", "e2e-clones"];
    const { user } = lab.supervisorLogin();
    await kubectl("supervisor", "create", ...binding, "--clusterrole=cluster-admin", `--user=sso:${user}`);
    try {
      await refused(ours.destroy(elsewhere), /\[other-cluster\]/);
      await refused(ours.up(elsewhere), /\[(?:other|wrong)-cluster\]/);
    } finally {
      await kubectl("supervisor", "delete", ...binding);
    }
    const { code, output } = await npm("verify", ours);
    assert.equal(code, 0, output);
    await expectTrust(harborPem);
    assert.equal(await ours.resourceCount(), resources);
  });

  test("destroy with an expired login is refused in our words while everything is there", async () => {
    const expired = await kubeconfigWith("expired", (config) => {
      for (const { user } of config.users) user.token = "expired";
    });
    const resources = await ours.resourceCount();
    const { code, output } = await ours.destroy(expired);
    assert.notEqual(code, 0, output);
    assert.match(output, /\[login-expired\]/);
    assert.match(output, /npm run login/);
    assert.doesNotMatch(output, /PULUMI_K8S_DELETE_UNREACHABLE|memcache\.go/);
    assert.equal(await ours.resourceCount(), resources);
    assert.ok(await find("workload", "deployment", "default", "tkc-nginx-harbor-svc-deployment"));
    await expectTrust(harborPem);
  });

  test("other people's CAs are neither lost nor woken, and are there byte for byte after destroy", async () => {
    await succeed(ours.destroy());
    const nodes = await lab.nodes();
    const add = `
      if [ -d /etc/pki/tls/certs ] && [ -x /usr/bin/rehash_ca_certificates.sh ]; then
        cat >>/etc/pki/tls/certs/ca-bundle.crt
      else
        cat >>/etc/ssl/certs/ca-certificates.crt
      fi`;
    for (const { name } of nodes) await lab.nodeExec(name, ["sh", "-c", add], `${customPem}\n`);
    const before = await onAllNodes(trustStore);
    await succeed(ours.up());
    await expectTrust(harborPem, customPem);
    await succeed(ours.destroy());
    assert.deepEqual(await onAllNodes(trustStore), before);
    // What was appended by hand is the last block.
    const lines = customPem.split("\n").length;
    const drop = `
      for file in /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/certs/ca-certificates.crt; do
        [ -f "$file" ] && tail -n ${lines} "$file" | cmp -s - /tmp/appended.pem || continue
        total=$(wc -l <"$file"); head -n $((total - ${lines})) "$file" >"$file.aside" && cat "$file.aside" >"$file" && rm "$file.aside"
      done; rm /tmp/appended.pem`;
    for (const { name } of nodes)
      await lab.nodeExec(name, ["sh", "-c", `cat >/tmp/appended.pem; ${drop}`], `${customPem}\n`);
    assert.deepEqual(await onAllNodes(trustStore), stores);
    for (const bundle of Object.values(await onAllNodes(goBundle))) assert.ok(!bundle.includes(customPem));
  });
});
