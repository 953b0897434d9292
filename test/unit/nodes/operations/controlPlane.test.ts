/** What restarts containerd on control-plane nodes, on an API and nodes that only answer. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { NodeMark } from "../../../../kubernetes/lease";
import type { ClusterNode } from "../../../../kubernetes/types";
import type { ControlPlane } from "../../../../nodes/operations/controlPlane";
import { type OperationContext, restartContainerd } from "../../../../nodes/operations/operations";
import { type RemovalContext, removeCa, sweep } from "../../../../nodes/operations/removal";
import type { CommandInput } from "../../../../nodes/protocol/environment";
import { parseCaReport } from "../../../../nodes/protocol/report";
import {
  type NodeTarget,
  connectionEnvironment,
  nodeEnvironment,
  pinName,
} from "../../../../nodes/protocol/spec";
import type { Session } from "../../../../nodes/ssh/session";
import { sshProblem } from "../../../../nodes/ssh/problems";
import { problem } from "../../../integration/net/server";

const sha256 = "ab".repeat(32);
const connection = {
  ...{ port: 22, user: "u", clusterContext: "c", access: { kind: "direct" as const } },
  sshKey: { from: "file" as const, path: "/key" },
};
const targetOf = ({ name, uid, machineId, address }: ClusterNode): NodeTarget => ({
  ...{ name, uid, machineId, address, ...connection },
});
const node = (name: string, role: ClusterNode["role"], ready = true): ClusterNode => ({
  ...{ name, uid: `uid-${name}`, role, ready, hostName: name, pins: {}, labels: {} },
  machineId: Buffer.from(name.padEnd(16, "-")).toString("hex"),
  ...{
    address: `198.18.1.${name.charCodeAt(1)}`,
    osImage: "Photon",
    containerRuntime: "containerd://1.6.20",
  },
});

/** A cluster, and a log of what is done on its nodes. */
class Cluster {
  readonly log: string[] = [];
  readonly told: string[] = [];
  /** The host key that each node was last to show. */
  readonly pinned = new Map<string, string | undefined>();
  nodes = [node("c1", "control-plane"), node("c2", "control-plane"), node("w1", "worker")];
  /** What an earlier run left. */
  unsettled: NodeMark | undefined;
  /** Whether containerd runs on a node. */
  running: (name: string) => boolean = () => true;
  refuse: ((name: string) => Error | undefined) | undefined;
  #now = 0;

  readonly controlPlane: ControlPlane = {
    list: () => Promise.resolve(this.nodes.filter(({ role }) => role === "control-plane")),
    takeTurn: async (_context, { node: its, fence }, act) => {
      this.log.push(`turn ${its.name}`);
      await fence(this.unsettled);
      return await act({
        begin: () => Promise.resolve(void this.log.push(`begin ${its.name}`)),
        settled: () => void this.log.push(`settled ${its.name}`),
      });
    },
  };

  readonly context: RemovalContext = {
    inSession: async (target, hostKey, act) => {
      this.pinned.set(target.name, hostKey);
      const refusal = this.refuse?.(target.name);
      if (refusal) throw refusal;
      return await act(this.#session(target.name));
    },
    readNode: (_context, name) => {
      const its = this.nodes.find((each) => each.name === name);
      return Promise.resolve(
        its && {
          ...{ uid: its.uid, ready: its.ready, message: "", controlPlane: its.role === "control-plane" },
          pins: {},
          ...{ heartbeat: new Date("2026-01-01T10:00:09Z"), renewal: () => Promise.resolve(undefined) },
          isWell: () => Promise.resolve(false),
        },
      );
    },
    controlPlane: this.controlPlane,
    unreachable: "fail",
    log: (line) => void this.told.push(line),
    clock: {
      now: () => this.#now,
      sleep: (seconds) => Promise.resolve(void (this.#now += seconds * 1000)),
    },
    restart: true,
    listNodes: (_context, isMeant = () => true) => Promise.resolve(this.nodes.filter(isMeant)),
    notePin: () => Promise.resolve(),
    proveCluster: () => Promise.resolve("there"),
  };

  #session(name: string): Session {
    const exec = (_command: string, { input }: { input: string }) => {
      const op = /^op (\w+)$/m.exec(input)?.[1];
      const hostName = /^hostName (\S+)$/m.exec(input)?.[1];
      const asked = hostName === undefined ? "" : ` as ${Buffer.from(hostName, "base64").toString()}`;
      this.log.push(`${op} ${name}${asked}`);
      const lines = [
        ...["protocol=1", "os=photon", "bundle=/b", `bootId=${"0".repeat(36)}`, "changed=true"],
        ...[`restarted=${op !== "status"}`, "loaded=true", `trusted=${sha256}`],
        ...(this.running(name) ? ["containerdStarted=2026-01-01T10:00:00Z"] : []),
        "end=ok",
      ];
      return Promise.resolve({ code: 0, stdout: lines.map((line) => `${line}\n`).join(""), stderr: "" });
    };
    return { exec, hostKey: `SHA256:${"A".repeat(43)}`, user: "u" } as unknown as Session;
  }

  input(name: string): CommandInput {
    const target = targetOf(this.nodes.find((each) => each.name === name)!);
    return { target, stack: { owner: "demo.dev" }, readyTimeout: 10 };
  }

  restart(name: string, change: Partial<OperationContext> = {}): Promise<string> {
    const ca = parseCaReport(
      `version=1\nreport=ca\nnode=${name}\nuid=uid-${name}\nhostKey=SHA256:${"A".repeat(43)}\nos=photon\nsha256=${sha256}\nnonce=1\n`,
    );
    return restartContainerd(this.input(name), ca, { ...this.context, ...change });
  }

  remove(name: string, change: Partial<RemovalContext> = {}): Promise<string> {
    const environment = { ...nodeEnvironment(this.input(name).target), TKC_REGISTRY_OWNER: "demo.dev" };
    return removeCa({ ...environment, TKC_REGISTRY_READY_TIMEOUT: "10" }, { ...this.context, ...change });
  }

  sweep(hostKeys: Record<string, string> = {}, more: Record<string, string> = {}): Promise<string> {
    const environment = {
      ...connectionEnvironment(connection),
      ...more,
      ...{ TKC_REGISTRY_OWNER: "demo.dev", TKC_REGISTRY_HOST_KEYS: JSON.stringify(hostKeys) },
    };
    return sweep({ ...environment, TKC_REGISTRY_READY_TIMEOUT: "10" }, this.context);
  }
}

describe("a restart of containerd", () => {
  it("on a control-plane node is done in a turn, on a worker without, by each command", async () => {
    const done = ["turn c1", "begin c1", "restart c1", "settled c1"];
    const up = new Cluster();
    await up.restart("c1");
    assert.deepEqual(up.log.splice(0), done);
    await up.restart("w1");
    assert.deepEqual(up.log.splice(0), ["restart w1"]);
    await up.remove("c1");
    assert.deepEqual(up.log.splice(0), done.join().replace("restart", "remove").split(","));
    await up.remove("c1", { restart: false });
    assert.deepEqual(up.log.splice(0), ["remove c1"]);
    await up.sweep();
    assert.deepEqual(up.log.splice(0), [
      "remove w1",
      ...["turn c1", "begin c1", "remove c1", "settled c1"],
      ...["turn c2", "begin c2", "remove c2", "settled c2"],
    ]);
  });

  it("waits until all other control-plane nodes are Ready, and is refused where they do not become so", async () => {
    const cluster = new Cluster();
    cluster.nodes = [node("c1", "control-plane"), node("c2", "control-plane", false)];
    const refused = problem("control-plane-not-ready", /node c1: .*not Ready: c2/);
    await assert.rejects(cluster.restart("c1"), refused);
    await assert.rejects(cluster.remove("c1"), refused);
    assert.deepEqual(cluster.log, ["turn c1", "turn c1"]);
    // The node itself need not be.
    cluster.nodes = [node("c1", "control-plane"), node("c2", "control-plane")];
    await cluster.restart("c2");
    assert.ok(cluster.log.includes("restart c2"));
    // Nor a worker.
    cluster.nodes.push(node("w1", "worker", false));
    await cluster.restart("c2");
  });

  it("looks after the node on which another run ended, first", async () => {
    const cluster = new Cluster();
    cluster.unsettled = { name: "c2", uid: "uid-c2" };
    await cluster.restart("c1");
    assert.deepEqual(cluster.log.splice(0), ["turn c1", "status c2", "begin c1", "restart c1", "settled c1"]);
    cluster.running = (name) => name !== "c2";
    await assert.rejects(
      cluster.restart("c1"),
      problem("control-plane-not-ready", /on c2 another run ended, and containerd does not run there/),
    );
    assert.deepEqual(cluster.log.splice(0), ["turn c1", "status c2"]);
    // Its own node it puts right itself; and one that is gone is nobody's.
    cluster.unsettled = { name: "c1", uid: "uid-c1" };
    await cluster.restart("c1");
    cluster.unsettled = { name: "c2", uid: "uid-of-another" };
    await cluster.restart("c1");
    assert.ok(!cluster.log.includes("status c2"));
  });

  it("insists on the host key that is known of such a node, by the settings before the note on it", async () => {
    const [given, noted] = [`SHA256:${"B".repeat(43)}`, `SHA256:${"C".repeat(43)}`];
    const cluster = new Cluster();
    cluster.unsettled = { name: "c2", uid: "uid-c2" };
    await cluster.restart("c1");
    assert.equal(cluster.pinned.get("c2"), undefined);
    const [c1, c2] = cluster.nodes;
    cluster.nodes = [c1!, { ...c2!, pins: { [pinName({ owner: "demo.dev" })]: noted } }];
    await cluster.restart("c1");
    assert.equal(cluster.pinned.get("c2"), noted);
    await cluster.restart("c1", { hostKeyOf: ({ name }) => (name === "c2" ? given : undefined) });
    assert.equal(cluster.pinned.get("c2"), given);
    await cluster.remove("c1");
    assert.equal(cluster.pinned.get("c2"), noted);
    // The sweep has them all; it is at c1 first.
    let first: string | undefined;
    cluster.refuse = (name) => {
      if (name === "c2") first ??= cluster.pinned.get("c2");
      return undefined;
    };
    await cluster.sweep({ c2: given });
    assert.equal(first, given);
  });

  it("is settled only where the node was seen Ready", async () => {
    const cluster = new Cluster();
    cluster.nodes = [node("c1", "control-plane", false), node("c2", "control-plane")];
    await assert.rejects(cluster.restart("c1"), problem("node-not-ready"));
    assert.deepEqual(cluster.log, ["turn c1", "begin c1", "restart c1"]);
  });
});

describe("a sweep of a stack that leaves nodes out", () => {
  const noted = { [pinName({ owner: "demo.dev" })]: `SHA256:${"C".repeat(43)}` };
  const swept = async (selections: readonly object[], change: Partial<ClusterNode> = {}) => {
    const cluster = new Cluster();
    cluster.nodes = [node("w1", "worker"), { ...node("x1", "worker"), labels: { pool: "b" }, ...change }];
    await cluster.sweep({}, { TKC_REGISTRY_SELECTIONS: JSON.stringify(selections) });
    return { done: cluster.log, told: cluster.told.filter((line) => line.includes("left out")) };
  };
  const exclude = { exclude: "pool=b" };

  it("goes to no node that none of its runs has meant, and says so", async () => {
    for (const selections of [[exclude], [{ select: "!other,!pool" }], [{ exclude: "pool" }, exclude]]) {
      const { done, told } = await swept(selections);
      assert.deepEqual(done, ["remove w1"]);
      const [name, its] = Object.entries(selections.at(-1)!)[0] as [string, string];
      assert.deepEqual(told, [`x1: left out by nodes.${name} (${its}), and so left alone`]);
    }
  });

  it("goes to one on which its note is, or which an earlier run meant: that may have been killed there", async () => {
    const both = { done: ["remove w1", "remove x1"], told: [] };
    assert.deepEqual(await swept([exclude], { pins: noted }), both);
    assert.deepEqual(await swept([{}, exclude]), both);
    assert.deepEqual(await swept([{ select: "pool" }, exclude]), both);
    // Of a system on which no run ever works.
    assert.deepEqual((await swept([{}, exclude], { osImage: "Windows Server 2022" })).done, ["remove w1"]);
    assert.deepEqual((await swept([{}])).done, both.done);
  });
});

describe("a node that refuses the user", () => {
  const refusals = [
    sshProblem.error("ssh-account", { subject: "n", seen: "s" }, "locked", "u"),
    sshProblem.error(
      "ssh-auth",
      { subject: "n", seen: "s" },
      { role: "node", user: "u", source: "s", route: "r" },
    ),
  ];
  it("is passed over on removal where unreachable nodes are, and never at an up", async () => {
    for (const refusal of refusals) {
      const cluster = new Cluster();
      cluster.refuse = () => refusal;
      const removal = { skipRefusals: true, unreachable: "skip" } as const;
      await cluster.remove("w1", removal);
      assert.match(cluster.told.join("\n"), /^skipped: w1, our CA/m);
      await assert.rejects(cluster.remove("w1", { skipRefusals: true }), refusal);
      await assert.rejects(cluster.restart("w1", { unreachable: "skip" }), refusal);
    }
  });
});

describe("nodes that share a machine id", () => {
  it("are asked for their host names too in the sweep, and no other is", async () => {
    const cluster = new Cluster();
    const [c1, , w1] = cluster.nodes;
    cluster.nodes = [c1!, { ...w1!, machineId: c1!.machineId }, node("w2", "worker")];
    await cluster.sweep();
    const removals = cluster.log.filter((line) => line.startsWith("remove")).sort();
    assert.deepEqual(removals, ["remove c1 as c1", "remove w1 as w1", "remove w2"]);
  });

  it("are known by the command's environment at its removal", async () => {
    const cluster = new Cluster();
    const target = { ...cluster.input("w1").target, hostName: "w1.example.com" };
    const environment = { ...nodeEnvironment(target), TKC_REGISTRY_OWNER: "demo.dev" };
    await removeCa(environment, cluster.context);
    assert.deepEqual(cluster.log, ["remove w1 as w1.example.com"]);
  });
});
