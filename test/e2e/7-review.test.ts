import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { after, before, describe, test } from "node:test";
import { reviewSchema } from "../../cli/review/findings";
import { exec } from "../../lab/exec";
import { type Fleet, fleetKubeconfigFile } from "../../lab/fleet";
import { eventually } from "../../lab/inspect";
import { projectRoot } from "../../lab/paths";
import { LabStack, type Run } from "../../lab/stack";
import { fleet as fleetPlace, supervisor } from "../../lab/topology";
import { Pki } from "../integration/certificates/pki";
import * as lab from "./lab";

/** The reviews that were read and found right. `TKC_WRITE_REVIEWS=1` writes them anew. */
const golden = path.join(projectRoot, "test", "e2e", "reviews");

/** A review without what is different each time: fingerprints become numbers, in the order in which they come. */
function comparable(markdown: string): string {
  const numbers = new Map<string, number>();
  const numbered = (digest: string): string => {
    if (!numbers.has(digest)) numbers.set(digest, numbers.size + 1);
    return `SHA-256 number ${numbers.get(digest)!}`;
  };
  return markdown
    .replace(/\bSHA256:[A-Za-z0-9+/\\]{43,}/g, "SHA256:of the node")
    .replace(/\b[0-9a-f]{64}\b/g, numbered)
    .replace(/\b\d{4}-\d\d-\d\d(T[\d:.]+Z)?/g, "YYYY-MM-DD");
}

describe("a review says what the engine will do to each node and why, and a saved plan holds it to that", () => {
  const stack = new LabStack("e2e-review", { kubeconfigs: [fleetKubeconfigFile] });
  const folder = mkdtempSync(path.join(tmpdir(), "tkc-registry-review-"));
  const plan = path.join(folder, "plan.json");
  const pki = new Pki();
  const cas = { "127.0.0.1:1": pki.ca("First CA"), "127.0.0.1:2": pki.ca("Second CA") } as const;
  const renewed = pki.ca("First CA, renewed");
  type Host = keyof typeof cas;
  let fleet: Fleet;

  const settings = (...hosts: readonly Host[]): Record<string, unknown> => ({
    ...{ namespace: supervisor.namespace, cluster: fleetPlace.name, access: "direct" },
    registries: hosts.map((host) => ({
      host,
      ca: { from: "file", path: pki.file(`${host.slice(-1)}.crt`, cas[host].cert) },
      credentials: { from: "none" },
      requireReachable: false,
    })),
    deployment: { enabled: false },
    nodes: { workersAtOnce: 2, readyTimeoutSeconds: 30 },
  });
  before(async () => {
    fleet = await lab.fleetUp(7, { controlPlanes: 2, rehashSeconds: 0.2, restartSeconds: 0.2 });
    await stack.configure(settings("127.0.0.1:1", "127.0.0.1:2"));
  });
  after(async () => {
    await stack.destroy();
    await stack.remove();
    await lab.fleetDown();
    rmSync(folder, { recursive: true, force: true });
  });

  const review = async (
    words: readonly string[] = [],
    env: NodeJS.ProcessEnv = {},
  ): Promise<{ code: number; stdout: string; stderr: string }> => {
    const { cwd, env: own } = await stack.command([]);
    const args = [
      "run",
      "--silent",
      "review",
      "--",
      "--stack",
      stack.name,
      "--config-file",
      stack.settingsFile,
    ];
    return await exec("npm", [...args, ...words], {
      ...{ cwd, allowFailure: true },
      env: { ...own, NODE_OPTIONS: "", ...env },
    });
  };
  /** Compares the review with the one of that name. */
  const expectReview = async (name: string, code: 0 | 1, env: NodeJS.ProcessEnv = {}): Promise<void> => {
    const found = await review([], env);
    assert.equal(found.code, code, found.stderr + found.stdout);
    const shown = comparable(found.stdout);
    const file = path.join(golden, `${name}.md`);
    if (process.env["TKC_WRITE_REVIEWS"] === "1") {
      mkdirSync(golden, { recursive: true });
      writeFileSync(file, shown);
    }
    assert.ok(existsSync(file), `${file} is not there; this is what it would be:\n${shown}`);
    assert.equal(shown, readFileSync(file, "utf8"));
  };
  const differences = async (): Promise<{ code: number; found: string[] }> => {
    const { code, stdout, stderr } = await review(["--json", "--plan", plan]);
    assert.notEqual(code, 2, stderr);
    const found = reviewSchema.parse(JSON.parse(stdout)).plan!;
    assert.equal(found.holds, code === 0);
    return { code, found: found.differences.map(({ subject, text }) => `${subject}: ${text}`) };
  };

  const experimental = { PULUMI_EXPERIMENTAL: "true" };
  const succeed = async (run: Promise<Run>): Promise<string> => {
    const { code, output } = await run;
    assert.equal(code, 0, output);
    return output;
  };
  const savePlan = async (): Promise<void> => {
    const { argv, cwd, env } = await stack.command(["preview", "--save-plan", plan]);
    const [program, ...args] = argv;
    await exec(program, args, { cwd, env: { ...env, ...experimental } });
  };
  const upByPlan = (): Promise<Run> => stack.up(experimental, ["--plan", plan]);

  /** What the nodes saw, and what is in their trust stores. */
  const world = async (): Promise<unknown> => [
    await fleet.events(),
    [...(await fleet.addedFiles())],
    await Promise.all(fleet.nodes.map((node) => fleet.bundle(node))),
  ];
  /** The plan is not applied, and nothing is touched. */
  const expectRefused = async (...expected: readonly RegExp[]): Promise<void> => {
    const { code, found } = await differences();
    assert.equal(code, 1);
    for (const pattern of expected)
      assert.ok(
        found.some((line) => pattern.test(line)),
        found.join("\n"),
      );
    const earlier = await world();
    const { code: ended, output } = await upByPlan();
    assert.notEqual(ended, 0, output);
    assert.match(output, /violates plan|not allowed by the plan/);
    assert.deepEqual(await world(), earlier);
  };

  const node = (index: number): Fleet["nodes"][number] => fleet.nodes[index]!;
  const deleteFile = (index: number): Promise<string> =>
    fleet.onNode(node(index), "rm $(ls /etc/ssl/certs/tkc-registry-*.pem | head -n 1)");

  test("a first run: all nodes are new", async () => {
    await expectReview("new", 1);
  });

  test("a plan of it is applied whole, and then there is nothing to do", async () => {
    await savePlan();
    assert.deepEqual(await differences(), { code: 0, found: [] });
    await succeed(upByPlan());
    assert.equal((await fleet.events()).filter(({ kind }) => kind === "restart").length, fleet.nodes.length);
    await expectReview("nothing", 0);
    const preview = await succeed(stack.preview());
    assert.doesNotMatch(preview, /^ *[~+-] /m);
    await savePlan();
    const earlier = await world();
    await succeed(upByPlan());
    assert.deepEqual(await world(), earlier);
  });

  test("drift: a file removed, a bundle rebuilt, a containerd older than our change, a node without power", async () => {
    await deleteFile(2);
    await fleet.onNode(
      node(3),
      "cd /etc/ssl/certs && cat $(ls *.pem | grep -v tkc-registry) >/etc/pki/tls/certs/ca-bundle.crt",
    );
    await fleet.onNode(
      node(4),
      `echo "$(cat /proc/sys/kernel/random/boot_id) $(sed 's/ .*//; s/[.]//' /proc/uptime)" >/var/lib/tkc-registry/changed`,
    );
    await fleet.stop(node(5));
    await expectReview("drift", 1);
    await expectReview("drift-skipped", 1, { TKC_REGISTRY_UNREACHABLE_NODES: "skip" });
    const preview = await succeed(stack.preview());
    assert.match(preview, /its CA file is missing or altered → install, restart containerd/);
    assert.match(preview, /will restart: 3 workers; not reached: 1 worker; 3 nodes untouched/);
    await fleet.start(node(5));
    await savePlan();
    assert.deepEqual(await differences(), { code: 0, found: [] });
    await succeed(upByPlan());
    await expectReview("nothing", 0);
  });

  test("a plan is refused, and no node touched, where a node has drifted since", async () => {
    await deleteFile(2);
    await savePlan();
    await deleteFile(6);
    await expectRefused(new RegExp(`^${node(6).name}: `));
    await succeed(stack.up());
  });

  test("a plan is refused, and no node touched, where a node has joined since", async () => {
    await deleteFile(2);
    await savePlan();
    const joined = await fleet.add();
    await expectRefused(new RegExp(`^${joined.name}: it was not there`));
    await succeed(stack.up());
  });

  test("a plan is refused, and no node touched, where a CA has changed since; it holds when that is as it was", async () => {
    await deleteFile(2);
    await savePlan();
    pki.file("1.crt", renewed.cert);
    await expectRefused(new RegExp(`^${node(2).name}: `), new RegExp(`^${node(0).name}: `));
    pki.file("1.crt", cas["127.0.0.1:1"].cert);
    await succeed(upByPlan());
  });

  test("new CAs, a registry removed, a node replaced, and one that is gone", async () => {
    await fleet.replace(node(5));
    await fleet.remove(node(6));
    await stack.configure(settings("127.0.0.1:1"));
    pki.file("1.crt", renewed.cert);
    await expectReview("registries", 1);
    await succeed(stack.up());
    await eventually("nothing is left to do", async () => ((await review()).code === 0 ? true : undefined));
  });
});
