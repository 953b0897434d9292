import assert from "node:assert/strict";
import { appendFileSync, copyFileSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { after, before, describe, test } from "node:test";
import { exec } from "../../lab/exec";
import { type Fleet, fleetKubeconfigFile } from "../../lab/fleet";
import { onAllNodes, trustStore } from "../../lab/inspect";
import * as lab from "../../lab/lab";
import { projectRoot } from "../../lab/paths";
import { dockerConfigFile } from "../../lab/settings";
import { LabStack } from "../../lab/stack";
import { cluster, fleet as fleetPlace, supervisor } from "../../lab/topology";
import { node, npmInstall, pack, versionsHere } from "../integration/package/project";
import { configure, succeed } from "./consumer";
import { expectNoChanges, expectTrust, pemOf } from "./nodes";

describe("the examples, with the package from npm", () => {
  const { harbor, custom } = lab.registries();
  const folder = mkdtempSync(path.join(tmpdir(), "tkc-registry-examples-"));
  const examples = path.join(folder, "examples");
  const here = { namespace: supervisor.namespace, cluster: cluster.name };
  const fleetCluster = { namespace: supervisor.namespace, name: fleetPlace.name };
  let fleet: Fleet;
  let stores: Record<string, string> = {};

  const stackOf = (example: string, env: NodeJS.ProcessEnv = {}): LabStack =>
    new LabStack(`e2e-${example}`, {
      project: path.join(examples, example),
      kubeconfigs: [fleetKubeconfigFile],
      env,
    });

  before(async () => {
    const { tarball } = await pack(folder);
    cpSync(path.join(projectRoot, "examples"), examples, { recursive: true });
    const dependencies = {
      ...versionsHere("@pulumi/pulumi", "@pulumi/command", "@pulumi/kubernetes", "p-limit"),
      ...versionsHere("@types/node", "tsx", "typescript"),
      "tkc-registry": `file:${tarball}`,
    };
    writeFileSync(path.join(folder, "package.json"), JSON.stringify({ private: true, dependencies }));
    await npmInstall(folder);
    fleet = await lab.fleetUp(4, { rehashSeconds: 0.2, restartSeconds: 0.2 });
    stores = await onAllNodes(trustStore);
  });
  after(async () => {
    await lab.fleetDown();
    rmSync(folder, { recursive: true, force: true });
  });

  test("compile", async () => {
    const compiler = path.join(folder, "node_modules/typescript/bin/tsc");
    for (const example of ["minimal", "custom-registry", "bastion", "two-clusters", "adopted-objects"])
      await node(path.join(examples, example), compiler, "--noEmit");
    await node(path.join(examples, "fleet-of-clusters"), compiler, "--noEmit", "up.ts", "--esModuleInterop");
  });

  test("minimal, custom-registry, bastion and adopted-objects pass all checks and preview every node", async () => {
    const { host, port, user, keyFile, hostKey } = await fleet.bastion();
    const image = harbor.image.replace(`${harbor.host}/`, "");
    const { user: name, password, caSha256 } = harbor;
    const settings: Record<string, [values: object, secrets?: Record<string, string>]> = {
      minimal: [{ ...here, registry: harbor.host, caSha256, user: name, image }, { password }],
      "custom-registry": [
        { ...here, registry: custom.host, caFile: custom.caFile, user: custom.user, namespaces: ["default"] },
        { password: custom.password },
      ],
      bastion: [
        {
          ...{ namespace: supervisor.namespace, cluster: fleetPlace.name, registry: harbor.host, caSha256 },
          ...{ bastion: host, bastionPort: port, bastionUser: user, bastionHostKey: hostKey },
          bastionKeyFile: keyFile,
        },
      ],
      "adopted-objects": [{ ...here, registry: harbor.host, caSha256, image }],
    };
    const docker = path.join(folder, "docker");
    mkdirSync(docker);
    copyFileSync(dockerConfigFile(), path.join(docker, "config.json"));
    for (const [example, [values, secrets]] of Object.entries(settings)) {
      const stack = stackOf(example, { DOCKER_CONFIG: docker });
      await configure(stack, { ...values }, secrets);
      const output = await succeed(stack.preview());
      const nodes = output.match(/tkc-registry:index:TrustedNode: \(create\)/g) ?? [];
      const expected = example === "bastion" ? fleet.nodes.length : Object.keys(stores).length;
      assert.equal(nodes.length, expected, output);
      await stack.remove();
    }
  });

  test("two-clusters: both at once; what depends on them comes after every node; destroy leaves both as they were", async () => {
    const stack = stackOf("two-clusters");
    const program = path.join(examples, "two-clusters", "index.ts");
    appendFileSync(
      program,
      `
import { local } from "@pulumi/command";
const late = new local.Command("late", { create: "date +%s" }, { dependsOn: clusters });
export const after = late.stdout;
export const started = pulumi.all(clusters.map((trust) => trust.nodes)).apply((all) => all.flat().map((each) => each.containerdStarted));
`,
    );
    const clusters = [
      { namespace: here.namespace, name: here.cluster },
      { ...fleetCluster, access: "direct" },
    ];
    await configure(stack, { registry: harbor.host, caFile: harbor.caFile, clusters });
    try {
      await succeed(stack.up());
      await expectTrust(pemOf(harbor.caFile));
      for (const { name } of fleet.nodes) assert.equal((await fleet.addedFiles()).get(name)?.length, 1, name);
      const outputs = (await stack.outputs()) as { nodes: object[]; after: string; started: string[] };
      assert.equal(outputs.nodes.length, fleet.nodes.length + Object.keys(stores).length);
      for (const started of outputs.started)
        assert.ok(Number(outputs.after) >= Math.floor(Date.parse(started) / 1000), JSON.stringify(outputs));
      expectNoChanges(await stack.up());
    } finally {
      await succeed(stack.destroy());
    }
    assert.equal(await stack.resourceCount(), 0);
    await stack.remove();
    assert.deepEqual(await onAllNodes(trustStore), stores);
    for (const { name } of fleet.nodes)
      assert.equal((await fleet.addedFiles()).get(name)?.length ?? 0, 0, name);
  });

  test("fleet-of-clusters: a stack a cluster, one table, and a cluster that fails leaves the others alone", async () => {
    const project = path.join(examples, "fleet-of-clusters");
    const registry = { host: harbor.host, credentials: { from: "none" } };
    const file = path.join(folder, "clusters.json");
    const clusters = [
      { namespace: here.namespace, name: here.cluster },
      { ...fleetCluster, access: "direct" },
      { namespace: here.namespace, name: "no-such-cluster" },
    ];
    writeFileSync(
      file,
      JSON.stringify({ registries: [{ ...registry, ca: { from: "file", path: harbor.caFile } }], clusters }),
    );
    const { env } = await stackOf("fleet-of-clusters").command([]);
    const run = async (...options: string[]): Promise<{ code: number; lines: string[] }> => {
      const { code, stdout } = await exec("npx", ["tsx", "up.ts", file, ...options], {
        ...{ cwd: project, env: { ...env, PULUMI_STACK: undefined }, allowFailure: true },
      });
      return { code, lines: stdout.trimEnd().split("\n") };
    };
    try {
      const { code, lines } = await run();
      assert.equal(code, 1, lines.join("\n"));
      assert.match(lines[1]!, /^ns1\.tkc-cluster-1 +done +\d+ create/);
      assert.match(lines[2]!, /^ns1\.fleet +done +\d+ create/);
      assert.match(lines[3]!, /^ns1\.no-such-cluster +failed .*no-such-cluster/);
      await expectTrust(pemOf(harbor.caFile));
    } finally {
      const { lines } = await run("--destroy");
      assert.match(lines[1]!, /done/);
      assert.match(lines[2]!, /done/);
    }
    assert.deepEqual(await onAllNodes(trustStore), stores);
  });
});
