import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Fleet, type FleetEvent, type FleetNode, fleetKubeconfigFile } from "../../lab/fleet";
import { eventually, kubectl } from "../../lab/inspect";
import { LabStack, type Run } from "../../lab/stack";
import { fleet as fleetPlace, supervisor } from "../../lab/topology";
import { all } from "../all";
import { Pki } from "../integration/certificates/pki";
import { startServer } from "../integration/net/server";
import * as lab from "./lab";
import { tree } from "./processes";

/**
 * What has to be done often, on simulated nodes with a real sshd each: ways in, upgrades of whole clusters, kill points,
 * faults of the network. `7-life` proves on real nodes that each of these does what it says.
 */
describe("many nodes", () => {
  const stack = new LabStack("e2e-fleet", { kubeconfigs: [fleetKubeconfigFile] });
  const jumpboxPod = "e2e-fleet-jumpbox";
  let fleet: Fleet;
  /** How many certificates a node's bundle has from its image. */
  let imageCertificates: number;
  const controlPlanes = 3;
  const workers = 2;

  before(async () => {
    fleet = await lab.fleetUp(controlPlanes + workers, {
      controlPlanes,
      rehashSeconds: 0.2,
      restartSeconds: 0.2,
    });
    imageCertificates = [...(await fleet.leftovers()).values()][0]!.certificates;
  });
  after(async () => {
    await stack.destroy();
    await stack.remove();
    await lab.fleetDown();
  });

  /** Registries that neither this machine nor a node reaches: those of the lab get other CAs from tests that run beside these. */
  const pki = new Pki();
  const registries = {
    first: { host: "127.0.0.1:1", ca: pki.ca("First CA") },
    second: { host: "127.0.0.1:2", ca: pki.ca("Second CA") },
  } as const;
  type RegistryName = keyof typeof registries;
  const caOf = (name: RegistryName): Record<string, unknown> & { readonly host: string } => {
    const { host, ca } = registries[name];
    return {
      host,
      ca: { from: "file", path: pki.file(`${name}.crt`, ca.cert) },
      credentials: { from: "none" },
      requireReachable: false,
    };
  };
  const sha256Of = (name: RegistryName): string => registries[name].ca.sha256;
  const settings = (more: Record<string, unknown> = {}, names: readonly RegistryName[] = ["first"]) => ({
    namespace: supervisor.namespace,
    cluster: fleetPlace.name,
    access: "direct",
    jumpbox: { name: jumpboxPod },
    registries: names.map(caOf),
    deployment: { enabled: false },
    nodes: { workersAtOnce: 2, readyTimeoutSeconds: 30 },
    ...more,
  });
  const succeed = async (run: Promise<Run>): Promise<string> => {
    const { code, output } = await run;
    assert.equal(code, 0, output);
    return output;
  };
  const up = (): Promise<string> => succeed(stack.up());
  const unchanged = async (): Promise<void> => {
    const output = await up();
    assert.doesNotMatch(output, /\d+ (created|updated|replaced|deleted)/);
  };
  /** Restarts since a time, by node. */
  const restarts = async (since = 0): Promise<Map<string, FleetEvent[]>> => {
    const found = new Map<string, FleetEvent[]>(fleet.nodes.map(({ name }) => [name, []]));
    for (const event of await fleet.events()) {
      if (event.kind === "restart" && event.at > since) found.get(event.node)?.push(event);
    }
    return found;
  };
  const counts = async (since = 0): Promise<Record<string, number>> =>
    Object.fromEntries([...(await restarts(since))].map(([name, events]) => [name, events.length]));
  const each = <T>(value: (node: FleetNode) => T): Record<string, T> =>
    Object.fromEntries(fleet.nodes.map((node) => [node.name, value(node)]));
  /** The node that a run does before all others. */
  const firstWorker = (): string =>
    fleet.nodes.flatMap(({ name, controlPlane }) => (controlPlane ? [] : [name])).sort()[0]!;
  /** Seconds since boot, as the events have them. */
  const now = (): number => Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);

  async function assertTrust(names: readonly RegistryName[]): Promise<void> {
    const left = await fleet.leftovers();
    const details = JSON.stringify([...left], undefined, 1);
    for (const { asides, kept, certificates } of left.values()) {
      assert.deepEqual([asides, kept, certificates], [[], [], imageCertificates + names.length], details);
    }
    const files = await fleet.addedFiles();
    for (const { name } of fleet.nodes) assert.equal(files.get(name)?.length ?? 0, names.length, name);
    if (names.length === 0) return;
    const { nodes } = (await stack.outputs()) as { nodes: { certificates: string[] }[] };
    for (const node of nodes) assert.deepEqual([...node.certificates].sort(), names.map(sha256Of).sort());
  }

  /** Nothing of us runs on any node any more, nor in the pod. */
  async function assertQuiet(): Promise<void> {
    await eventually("all is quiet on the nodes", async () => {
      const left = [...(await fleet.leftovers()).values()];
      return left.every(({ sessions, processes }) => sessions === 0 && processes.length === 0)
        ? true
        : undefined;
    });
    for (const [name, { asides, kept, certificates }] of await fleet.leftovers()) {
      assert.deepEqual([asides, kept], [[], []], name);
      assert.ok(
        certificates >= imageCertificates,
        `${name} has ${certificates} certificates, and had ${imageCertificates}`,
      );
    }
  }

  /** No stream into a node is left in the pod, where there is one. */
  async function assertNoRelays(): Promise<void> {
    const script =
      "for each in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$each; echo; done 2>/dev/null | grep -c 'rela[y] 198' || :";
    const exec = ["exec", "-n", supervisor.namespace, jumpboxPod, "--", "sh", "-c", script];
    await eventually("no relay is left in the pod", async () => {
      const count = await kubectl("supervisor", ...exec).catch((error: unknown) => {
        if (/not found/.test(String(error))) return "0";
        throw error;
      });
      return count.trim() === "0" ? true : undefined;
    });
  }

  /** The intervals in which control-plane nodes were restarted don't touch. */
  function assertOneAtATime(events: readonly FleetEvent[]): void {
    const names = new Set(fleet.nodes.filter(({ controlPlane }) => controlPlane).map(({ name }) => name));
    const ofControlPlane = events.filter(({ node }) => names.has(node)).sort((a, b) => a.at - b.at);
    const order = ofControlPlane.map(({ node }) => node);
    // Each node's events are all together.
    const runs = order.filter((node, index) => node !== order[index - 1]);
    assert.equal(runs.length, new Set(runs).size, `they were mixed: ${order.join(" ")}`);
  }

  const ways: Readonly<Record<string, () => Promise<Record<string, unknown>>>> = {
    direct: () => Promise.resolve({ access: "direct" }),
    "a bastion, by key": async () => {
      const { host, port, user, keyFile, hostKey } = await fleet.bastion();
      return { access: "bastion", bastion: { host, port, user, hostKey, sshKeyFile: keyFile } };
    },
    jumpbox: () => Promise.resolve({ access: "jumpbox" }),
  };
  for (const [way, access] of Object.entries(ways)) {
    test(`${way}: up, no change, drift is repaired alone, destroy, and no pod where none is needed`, async () => {
      await fleet.reset();
      await stack.configure(settings(await access()));
      await up();
      await assertTrust(["first"]);
      assertOneAtATime(await fleet.events());
      await unchanged();
      const drifted = fleet.nodes.at(-1)!;
      await fleet.onNode(drifted, "rm /etc/ssl/certs/tkc-registry-*.pem");
      const since = now();
      await up();
      assert.deepEqual(
        await counts(since),
        each((node) => (node === drifted ? 1 : 0)),
      );
      const types = await stack.resourceTypes();
      assert.equal(types.includes("kubernetes:core/v1:Pod"), way === "jumpbox");
      const leaving = now();
      await succeed(stack.destroy());
      await assertTrust([]);
      assert.deepEqual(
        await counts(leaving),
        each(() => 1),
      );
      assertOneAtATime((await fleet.events()).filter(({ at }) => at > leaving));
      await assertQuiet();
    });
  }

  test("a bastion that shows another host key stops the run before any node is reached", async () => {
    const { bastion } = (await ways["a bastion, by key"]!()) as { bastion: object };
    await stack.configure(
      settings({ access: "bastion", bastion: { ...bastion, hostKey: `SHA256:${"A".repeat(43)}` } }),
    );
    const earlier = await fleet.handshakes();
    const { code, output } = await stack.up();
    assert.notEqual(code, 0);
    assert.match(output, /bastion .*its host key was to be SHA256:A+, and is SHA256:/);
    assert.equal(await fleet.handshakes(), earlier);
    assert.equal(await stack.resourceCount(), 0);
  });

  test("a registry that only this machine reaches: refused with no node touched, from here or by the jumpbox", async () => {
    await fleet.reset();
    const ca = pki.ca("CA of a registry here");
    const leaf = pki.server("registry", "IP:127.0.0.1", ca);
    await using registry = await startServer(leaf, (_, response) => response.end());
    const only = {
      ...{ host: registry.host, kind: "generic", credentials: { from: "none" } },
      ca: { from: "file", path: pki.file("here.crt", ca.cert) },
    };
    const refusal = new RegExp(
      `nodes (\\S+, ){4}\\S+: the connection to ${registry.host} is refused there.*\\[node-registry-unreachable\\]`,
    );
    for (const access of ["direct", "jumpbox"]) {
      await stack.configure(settings({ access, registries: [only] }));
      const since = now();
      const { code, output } = await stack.up();
      assert.notEqual(code, 0);
      assert.match(output, refusal);
      await assertTrust([]);
      assert.deepEqual(
        await counts(since),
        each(() => 0),
      );
      await succeed(stack.destroy());
    }
    await stack.configure(settings({ registries: [{ ...only, requireReachable: false }] }));
    assert.match(await up(), refusal);
    await succeed(stack.destroy());
  });

  test("containerd is left alone at the end where that was asked for", async () => {
    await stack.configure(settings({ restartOnRemoval: false }));
    await up();
    const since = now();
    await succeed(stack.destroy());
    await assertTrust([]);
    assert.deepEqual(
      await counts(since),
      each(() => 0),
    );
  });

  test("a node laid out as RHEL's: trusts, shows what others took away, and is left as it was", async () => {
    await fleet.reset();
    const node = fleet.nodes.at(-1)!;
    await fleet.layOutAsRhel(node);
    const bundle = await fleet.bundle(node);
    await stack.configure(settings());
    await up();
    await assertTrust(["first"]);
    const { nodes } = (await stack.outputs()) as { nodes: { name: string; trustStore: string }[] };
    assert.deepEqual(
      Object.fromEntries(nodes.map(({ name, trustStore }) => [name, trustStore])),
      each(({ name }) => (name === node.name ? "rhel" : "photon")),
    );
    await fleet.onNode(node, "update-ca-trust");
    await unchanged();
    await fleet.onNode(node, "rm /etc/pki/ca-trust/source/anchors/tkc-registry-*; update-ca-trust extract");
    const since = now();
    await up();
    assert.deepEqual(
      await counts(since),
      each(({ name }) => (name === node.name ? 1 : 0)),
    );
    await assertTrust(["first"]);
    await fleet.onNode(node, "update-ca-trust");
    await succeed(stack.destroy());
    await assertTrust([]);
    assert.equal(await fleet.bundle(node), bundle);
    await fleet.reset();
  });

  test("an upgrade that replaces all nodes at once: one up brings every one to trust, and gives the old ones up", async () => {
    await stack.configure(settings());
    await up();
    await fleet.replace(fleet.nodes);
    const since = now();
    const output = await up();
    await assertTrust(["first"]);
    assert.deepEqual(
      await counts(since),
      each(() => 1),
    );
    assertOneAtATime((await fleet.events()).filter(({ at }) => at > since));
    assert.doesNotMatch(output, /host key was to be/);
    await unchanged();
  });

  test("an address that changes hands in one run: the new node keeps the CA and restarts once, the old one is given up", async () => {
    const old = fleet.nodes.at(-1)!;
    await fleet.remove(old);
    const added = await fleet.add({ address: old.address });
    const since = now();
    const output = await up();
    assert.match(
      output,
      new RegExp(`it is gone; its address ${old.address} is now ${added.name}'s: ${old.name}`),
    );
    assert.deepEqual(
      await counts(since),
      each((node) => (node.name === added.name ? 1 : 0)),
    );
    await assertTrust(["first"]);
    await unchanged();
  });

  test("a node without power: an error, or skipped and named; the first up that reaches it installs it", async () => {
    const away = await fleet.add();
    await fleet.stop(away);
    const failed = await stack.up();
    assert.notEqual(failed.code, 0);
    assert.match(failed.output, new RegExp(`node ${away.name} .*(ECONNREFUSED|no answer)`));
    const skipping = { TKC_REGISTRY_UNREACHABLE_NODES: "skip" };
    const output = await succeed(stack.up(skipping));
    assert.match(output, new RegExp(`skipped: ${away.name}`));
    const skipped = async (): Promise<string[]> =>
      ((await stack.outputs()) as { nodes: { name: string; skipped?: string }[] }).nodes.flatMap(
        ({ name, skipped }) => (skipped === undefined ? [] : [name]),
      );
    assert.deepEqual(await skipped(), [away.name]);
    const again = await succeed(stack.up(skipping));
    assert.doesNotMatch(again, /\d+ (created|updated|replaced|deleted)/);
    assert.match(again, new RegExp(`skipped: node ${away.name}`));
    const preview = await succeed(stack.preview(skipping));
    assert.doesNotMatch(preview, /\(update\)/);

    await fleet.start(away);
    const since = now();
    await up();
    assert.deepEqual(
      await counts(since),
      each((node) => (node.name === away.name ? 1 : 0)),
    );
    assert.deepEqual(await skipped(), []);
    await assertTrust(["first"]);
    await unchanged();
    await fleet.remove(away);
    await up();
  });

  test("a containerd that fails stops the control plane there, with its log; the next run picks up at that node", async () => {
    const [first, second] = fleet.nodes.filter(({ controlPlane }) => controlPlane).map(({ name }) => name);
    const broken = fleet.nodes.find(({ name }) => name === second)!;
    const canary = firstWorker();
    await stack.configure(settings({}, ["second"]));
    await fleet.breakContainerd(broken, "fails");
    const since = now();
    const { code, output } = await stack.up();
    assert.notEqual(code, 0);
    assert.match(output, new RegExp(`node ${second!}: systemctl restart failed[^]*failed to load TOML`));
    assert.deepEqual(
      await counts(since),
      each(({ name }) => (name === first || name === canary ? 1 : 0)),
    );
    await fleet.breakContainerd(broken, "works");
    await up();
    assert.deepEqual(
      await counts(since),
      each(() => 1),
    );
    assertOneAtATime((await fleet.events()).filter(({ at, kind }) => at > since && kind === "restart"));
    await unchanged();
  });

  test("a node that isn't Ready again in time stops the control plane there; the next run goes on", async () => {
    const controlPlane = fleet.nodes.filter((node) => node.controlPlane);
    const [first] = controlPlane;
    await stack.configure(settings({}, ["first"]));
    await fleet.setReady(first!, false);
    const since = now();
    const { code, output } = await stack.up();
    assert.notEqual(code, 0);
    assert.match(output, new RegExp(`node ${first!.name}: it was not Ready after 30 s`));
    assert.deepEqual(
      await counts(since),
      each(({ name }) => (name === first!.name || name === firstWorker() ? 1 : 0)),
    );
    await fleet.setReady(first!, true);
    await up();
    assert.deepEqual(
      await counts(since),
      each(() => 1),
    );
    await unchanged();
  });

  test("a way that is slow, loses packets and cuts connections off costs time, and nothing is done twice", async () => {
    const since = now();
    await stack.configure(settings({}, ["second"]));
    await fleet.setFaults({ delayMs: 40, lossPercent: 5 });
    await up();
    await fleet.setFaults({ cutAfterBytes: 20_000, cutFirst: 6 });
    await stack.configure(settings({}, ["second", "first"]));
    await up();
    await fleet.clearFaults();
    await assertTrust(["second", "first"]);
    assert.deepEqual(
      await counts(since),
      each(() => 2),
    );
    await unchanged();
    await succeed(stack.destroy());
  });

  /** How far a run has come, as the nodes saw it: SSH connections, trust stores that it changed, restarts. */
  const progress = async (before: Awaited<ReturnType<Fleet["addedFiles"]>>): Promise<number> => {
    const [handshakes, events, files] = await Promise.all([
      fleet.handshakes(),
      fleet.events(),
      fleet.addedFiles(),
    ]);
    const changed = fleet.nodes.filter(({ name }) => String(files.get(name)) !== String(before.get(name)));
    return handshakes + events.length + changed.length;
  };

  type Stop = "SIGKILL" | "SIGINT" | "SIGINT twice";
  /**
   * Runs the CLI and stops it once the nodes have seen so many steps of it.
   *
   * @returns whether it was stopped, rather than at its end before that.
   */
  async function interrupted(verb: "up" | "destroy", steps: number, stop: Stop): Promise<boolean> {
    const args = [verb, "--yes", "--skip-preview", "--continue-on-error"];
    const { argv, cwd, env } = await stack.command(args);
    const [program, ...rest] = argv;
    const files = await fleet.addedFiles();
    const target = (await progress(files)) + steps;
    const child = spawn(program, rest, { cwd, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
    const { pid } = child;
    let closed = false as boolean;
    // Its programs share the pipes: they close when the last of them has ended.
    const end = new Promise<void>((resolve) => child.on("close", () => resolve())).then(() => {
      closed = true;
    });
    for (const output of [child.stdout, child.stderr]) output.resume();
    while (!closed && (await progress(files)) < target) await sleep(50);
    const stopped = !closed;
    if (stopped && stop === "SIGKILL") {
      for (const each of tree(pid!)) signal(each, "SIGSTOP");
      for (const each of tree(pid!)) signal(each, "SIGKILL");
    } else if (stopped) {
      signal(-pid!, "SIGINT");
      if (stop === "SIGINT twice") {
        await sleep(300);
        signal(-pid!, "SIGINT");
      }
    }
    await end;
    assert.deepEqual(tree(pid!).slice(1), [], "processes of the run are left");
    return stopped;
  }
  function signal(pid: number, name: NodeJS.Signals): void {
    try {
      process.kill(pid, name);
    } catch {
      // It has ended meanwhile.
    }
  }

  describe("interrupted", () => {
    before(async () => {
      await fleet.reset();
      await stack.configure(settings({ access: "jumpbox" }));
    });

    // Each node takes three steps: a connection, a change of its trust store, a restart.
    for (const steps of all ? [2, 8, 11] : [8]) {
      test(`a first up is killed after ${steps} steps on nodes: destroy leaves no CA behind, also where state knows of nothing`, async () => {
        assert.ok(await interrupted("up", steps, "SIGKILL"), "it had ended before");
        await stack.cancel();
        await assertQuiet();
        await succeed(stack.destroy());
        await assertTrust([]);
      });
    }

    type Point = readonly [verb: "up" | "destroy", steps: number, stop: Stop];
    const points: readonly Point[] = [
      ["up", 1, "SIGKILL"],
      ["up", 6, "SIGKILL"],
      ["up", 10, "SIGKILL"],
      ["destroy", 7, "SIGKILL"],
      ["up", 4, "SIGINT"],
      ["up", 8, "SIGINT twice"],
      ["destroy", 5, "SIGINT"],
    ];
    const morePoints: readonly Point[] = [
      ...[2, 3, 4, 5, 7, 8, 9, 11].map((steps) => ["up", steps, "SIGKILL"] as const),
      ...[1, 3, 5, 9, 11].map((steps) => ["destroy", steps, "SIGKILL"] as const),
    ];
    const tried = all ? [...points, ...morePoints] : points;
    test(`${tried.length} times up and destroy are killed or interrupted: the next up finishes, and touches what was left`, async (t) => {
      let registry: RegistryName = "first";
      await stack.configure(settings({ access: "jumpbox" }, [registry]));
      await up();
      for (const [verb, steps, stop] of tried) {
        await t.test(`${verb}, after ${steps} steps on nodes, ${stop}`, async () => {
          registry = registry === "first" ? "second" : "first";
          await stack.configure(settings({ access: "jumpbox" }, [registry]));
          const since = now();
          const stopped = await interrupted(verb, steps, stop);
          await stack.cancel();
          assert.ok(stopped, "it had ended before");
          await assertQuiet();
          await assertNoRelays();
          await up();
          await assertTrust([registry]);
          const most = verb === "up" ? 1 : 2;
          for (const [name, count] of Object.entries(await counts(since)))
            assert.ok(count <= most, `${name}: ${count}`);
        });
      }
      await unchanged();
      await succeed(stack.destroy());
      await assertTrust([]);
    });
  });
});
