import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { after, before, describe, test } from "node:test";
import { exec } from "../../lab/exec";
import { containerd, find, onAllNodes, trustStore, trusts } from "../../lab/inspect";
import * as lab from "../../lab/lab";
import { projectRoot } from "../../lab/paths";
import { harborSettings } from "../../lab/settings";
import { LabStack, type Run } from "../../lab/stack";
import { all } from "../all";
import { expectNoChanges, pemOf, shownUpdates, storeWrites } from "./nodes";

/** Code that people's stacks were brought up with: what it left in states and on nodes must stay readable. */
interface Earlier {
  readonly commit: string;
  /** The resources that this code adds, by the ends of their URNs; all that it renames counts as the same. */
  readonly adds: readonly string[];
}

/** The last commit before the stack's resources got a component above them. */
const beforeComponents: Earlier = {
  commit: "cff1acd07beb60f6345dc281a099fcbe675da285",
  adds: ["command:local:Command::trust-plan", "tkc-registry:index:RegistryTrust::trust"],
};
/** The last commit before stacks had ids. */
const beforeIds: Earlier = {
  commit: "d4193c9e3756c27b7c813a0a51a7560358fb77ca",
  adds: [
    ...beforeComponents.adds,
    "command:local:Command::trust-identity",
    "command:local:Command::trust-removal-check",
    "tkc-registry:index:RemovalCheck::trust-removal-check",
  ],
};

/** Puts a commit into a folder and installs it, as whoever cloned it did. */
async function installEarlier(earlierCommit: string, folder: string): Promise<void> {
  const git = (...args: string[]): Promise<{ code: number }> =>
    exec("git", ["-C", projectRoot, ...args], { allowFailure: true });
  const { code } = await git("cat-file", "-e", `${earlierCommit}^{commit}`);
  assert.equal(code, 0, `this clone lacks commit ${earlierCommit}: run \`git fetch --unshallow\` in it`);
  // An archive, unlike a worktree, leaves nothing in the repository where the test is killed.
  const archive = `${folder}.tar`;
  await exec("git", ["-C", projectRoot, "archive", "--output", archive, earlierCommit]);
  mkdirSync(folder);
  await exec("tar", ["-xf", archive, "-C", folder]);
  rmSync(archive);
  // Its `prepare` script compiles `dist`, which the commands in the state run.
  await exec("npm", ["ci", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"], {
    cwd: folder,
    env: { ...process.env, NODE_OPTIONS: "" },
  });
}

for (const { commit, adds } of all ? [beforeComponents, beforeIds] : [beforeComponents])
  describe(`a stack that commit ${commit.slice(0, 7)} brought up, in the hands of this code`, () => {
    const parent = mkdtempSync(path.join(tmpdir(), "tkc-registry-earlier-"));
    const project = path.join(parent, "project");
    const earlier = new LabStack("e2e-upgrade", { project });
    const stack = new LabStack("e2e-upgrade");
    const settings = (): Record<string, unknown> =>
      harborSettings({
        pullSecret: { defaultServiceAccount: true },
        registries: [
          ...(harborSettings()["registries"] as object[]),
          {
            host: lab.registries().custom.host,
            kind: "generic",
            ca: { from: "chain", sha256: lab.registries().custom.caSha256 },
            credentials: { from: "password", username: lab.registries().custom.user },
          },
        ],
      });
    /** Each node's trust store before the earlier code touched it. */
    let stores: Record<string, string> = {};

    const succeed = async (run: Promise<Run>): Promise<string> => {
      const { code, output } = await run;
      assert.equal(code, 0, output);
      return output;
    };
    /** The URNs of all resources of the state, with when each was made. */
    const recorded = async (): Promise<Map<string, string | undefined>> => {
      const { deployment } = JSON.parse(await stack.state()) as {
        deployment: { resources: { urn: string; created?: string }[] };
      };
      return new Map(deployment.resources.map(({ urn, created }) => [urn, created]));
    };

    before(async () => {
      await installEarlier(commit, project);
      stores = await onAllNodes(trustStore);
      const { host, password } = lab.registries().custom;
      await earlier.configure(settings(), { [host]: password });
      await succeed(earlier.up());
    });
    after(async () => {
      await stack.destroy();
      rmSync(parent, { recursive: true, force: true });
    });

    test("the first up takes the stack over, restarts no containerd and writes no byte to a trust store, and the next one changes nothing", async () => {
      const [runtimes, written, state] = [
        await onAllNodes(containerd),
        await storeWrites(),
        await recorded(),
      ];
      const output = await succeed(stack.up());
      assert.doesNotMatch(output, /\d+ (replaced|deleted)/);
      assert.deepEqual(await onAllNodes(containerd), runtimes);
      assert.deepEqual(await storeWrites(), written);
      // What was renamed keeps the time at which it was made.
      const times = [...state.values()];
      const added = [...(await recorded())]
        .filter(([, created]) => !times.includes(created))
        .map(([urn]) => urn);
      assert.deepEqual(added.map((urn) => /[^$:]+(:[^$:]+)*::[^:]+$/.exec(urn)![0]).sort(), [...adds].sort());
      assert.match(output, new RegExp(`\\+ ${adds.length} created`));
      const again = await stack.up();
      expectNoChanges(again);
      assert.match(again.output, /\b\d+ unchanged/);
    });

    test("a node that lost a CA shows in the preview, alone, and up repairs it, alone", async () => {
      const { name } = (await lab.nodes()).find(({ role, os }) => role === "worker" && os === "photon")!;
      const lose = "rm /etc/ssl/certs/tkc-registry-*.pem && /usr/bin/rehash_ca_certificates.sh >/dev/null";
      await lab.nodeExec(name, ["sh", "-c", lose]);
      const runtimes = await onAllNodes(containerd);

      const preview = await stack.preview();
      assert.equal(preview.code, 0, preview.output);
      assert.deepEqual(shownUpdates(preview), [name]); // prettier-ignore

      await succeed(stack.up());
      for (const { caFile } of Object.values(lab.registries()))
        assert.ok(await trusts(name, pemOf(caFile)), `${name} lacks ${caFile}`);
      const now = await onAllNodes(containerd);
      assert.deepEqual(Object.keys(now).filter((node) => now[node]!.pid !== runtimes[node]!.pid), [name]); // prettier-ignore
    });

    test("destroy leaves every trust store byte for byte as before the first up, and nothing of the stack", async () => {
      await succeed(stack.destroy());
      assert.deepEqual(await onAllNodes(trustStore), stores);
      assert.equal(await stack.resourceCount(), 0);
      assert.equal(await find("supervisor", "pod", "ns1", "jumpbox-ubuntu"), undefined);
      assert.equal(await find("workload", "secret", "default", "harbor-svc-pull-secret"), undefined);
      const deployment = await find("workload", "deployment", "default", "tkc-nginx-harbor-svc-deployment");
      assert.equal(deployment, undefined);
    });
  });
