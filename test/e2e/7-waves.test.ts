import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { type Fleet, type FleetNode, fleetKubeconfigFile } from "../../lab/fleet";
import { LabStack, type Run } from "../../lab/stack";
import { fleet as fleetPlace, supervisor } from "../../lab/topology";
import { Pki } from "../integration/certificates/pki";
import * as lab from "./lab";
import { tree } from "./processes";

/** Two pools of simulated nodes, and a node of Windows: which nodes are done, in which order. */
describe("waves over two pools of 64 nodes", () => {
  const stack = new LabStack("e2e-waves", { kubeconfigs: [fleetKubeconfigFile] });
  const windows = "fleet-windows-001";
  const pki = new Pki();
  const authorities = { first: pki.ca("First CA"), second: pki.ca("Second CA") };
  const host = "127.0.0.1:1"; // no registry that this machine reaches
  let fleet: Fleet;
  let pools: Readonly<Record<"a" | "b", readonly FleetNode[]>>;

  before(async () => {
    fleet = await lab.fleetUp(64, { controlPlanes: 1, rehashSeconds: 0.2, restartSeconds: 0.2 });
    const workers = fleet.nodes.filter(({ controlPlane }) => !controlPlane);
    // Not in the order of their names.
    pools = {
      a: workers.filter((_, index) => index % 2 === 1),
      b: workers.filter((_, index) => index % 2 === 0),
    };
    await fleet.label(pools.a, "pool=a");
    await fleet.label(pools.b, "pool=b");
    await fleet.registerWindows(windows);
  });
  after(async () => {
    await stack.destroy();
    await stack.remove();
    await lab.fleetDown();
  });

  const settings = (ca: keyof typeof authorities, more: object, pauseSeconds: number) => ({
    namespace: supervisor.namespace,
    cluster: fleetPlace.name,
    access: "direct",
    registries: [
      {
        host,
        ca: { from: "file", path: pki.file(`${ca}.crt`, authorities[ca].cert) },
        credentials: { from: "none" },
        requireReachable: false,
      },
    ],
    deployment: { enabled: false },
    nodes: { readyTimeoutSeconds: 30, ...more },
    rollout: { waves: [{ select: "pool=a", workersAtOnce: 16 }, "pool=b"], pauseSeconds },
  });
  const exclude = { exclude: "kubernetes.io/os=windows" };
  const succeed = async (run: Promise<Run>): Promise<string> => {
    const { code, output } = await run;
    assert.equal(code, 0, output);
    return output;
  };
  /** Seconds since boot, as the events have them. */
  const now = (): number => Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
  /** When each node's containerd was restarted since a time, by the node's name. */
  async function restarts(since: number): Promise<ReadonlyMap<string, readonly number[]>> {
    const found = new Map<string, number[]>();
    for (const { node, kind, at } of await fleet.events())
      if (kind === "restart" && at > since) found.set(node, [...(found.get(node) ?? []), at]);
    return found;
  }
  const timesOf = (found: ReadonlyMap<string, readonly number[]>, nodes: readonly FleetNode[]): number[] =>
    nodes.flatMap(({ name }) => found.get(name) ?? []);

  test("a Windows node refuses the run in one line, which says how it is left out", async () => {
    await stack.configure(settings("first", {}, 0));
    const { code, output } = await stack.up();
    assert.notEqual(code, 0);
    assert.match(output, new RegExp(`node ${windows}: it runs "Windows Server 2022 Datacenter"`));
    assert.match(output, /set `nodes\.exclude: "kubernetes\.io\/os=windows"`/);
    assert.equal(await stack.resourceCount(), 0);
  });

  test("the pools are done one after the other, the Windows node is left alone, and a second run changes nothing", async () => {
    const since = now();
    await stack.configure(settings("first", exclude, 3));
    const output = await succeed(stack.up());
    assert.match(
      output,
      new RegExp(`left out by nodes\\.exclude \\(kubernetes\\.io/os=windows\\): ${windows}`),
    );
    const found = await restarts(since);
    const [controlPlane, a, b] = [fleet.nodes.filter((each) => each.controlPlane), pools.a, pools.b].map(
      (nodes) => timesOf(found, nodes),
    ) as [number[], number[], number[]];
    assert.deepEqual([controlPlane.length, a.length, b.length], [1, pools.a.length, pools.b.length]);
    const [first, ...others] = a.sort((one, other) => one - other);
    assert.ok(first! < Math.min(...controlPlane), "the control plane began before the first worker was done");
    assert.ok(Math.max(...controlPlane) < others[0]!, "pool a began before the control plane was done");
    assert.ok(Math.max(...a) < Math.min(...b), "pool b began before pool a was done");
    const { excludedNodes } = (await stack.outputs()) as { excludedNodes: unknown };
    assert.deepEqual(excludedNodes, [{ name: windows, by: `nodes.exclude (${exclude.exclude})` }]);
    const again = now();
    assert.doesNotMatch(await succeed(stack.up()), /\d+ (?:created|updated|replaced|deleted)/);
    assert.equal((await restarts(again)).size, 0);
  });

  test("a run that is killed between two waves goes on there", async () => {
    const since = now();
    await stack.configure(settings("second", exclude, 600));
    const { argv, cwd, env } = await stack.command(["up", "--yes", "--skip-preview", "--continue-on-error"]);
    const child = spawn(argv[0], argv.slice(1), {
      cwd,
      env,
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    let said = "";
    const between = new Promise<boolean>((resolve) => {
      for (const output of [child.stdout, child.stderr])
        output.setEncoding("utf8").on("data", (text: string) => {
          said += text;
          if (said.includes("wave 1 is done")) resolve(true);
        });
      child.on("close", () => resolve(false));
    });
    assert.ok(await between, said);
    const closed = new Promise((resolve) => child.on("close", resolve));
    for (const signal of ["SIGSTOP", "SIGKILL"] as const)
      for (const pid of tree(child.pid!)) {
        try {
          process.kill(pid, signal);
        } catch {
          // It has ended meanwhile.
        }
      }
    await closed;
    await stack.cancel();
    const first = await restarts(since);
    assert.equal(timesOf(first, pools.a).length, pools.a.length);
    assert.equal(timesOf(first, pools.b).length, 0);

    const later = now();
    // It would wait there again, if it did anything in the first wave.
    await succeed(stack.up());
    const second = await restarts(later);
    assert.equal(timesOf(second, pools.a).length, 0);
    assert.equal(timesOf(second, pools.b).length, pools.b.length);
  });

  test("a pool that is left out later loses the CA, and destroy leaves nothing on any node", async () => {
    const since = now();
    await stack.configure(
      settings("second", { exclude: "pool!=a,!node-role.kubernetes.io/control-plane" }, 0),
    );
    const output = await succeed(stack.up());
    assert.match(output, /left out from now on, so that our CAs are removed from them: /);
    const found = await restarts(since);
    assert.equal(timesOf(found, pools.a).length, 0);
    assert.equal(timesOf(found, pools.b).length, pools.b.length);
    const files = await fleet.addedFiles();
    for (const { name } of pools.b) assert.equal(files.get(name)?.length ?? 0, 0, name);
    await succeed(stack.destroy());
    for (const [name, its] of await fleet.addedFiles()) assert.equal(its.length, 0, name);
  });
});
