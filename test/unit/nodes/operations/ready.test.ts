import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type NodeState, nodeState, waitReady } from "../../../../nodes/operations/ready";
import type { NodeTarget } from "../../../../nodes/protocol/spec";
import type { Clock } from "../../../../support/clock";
import { problem } from "../../../integration/net/server";

const target = { name: "n", uid: "uid-n", clusterContext: "c" } as NodeTarget;

/** Time that passes as soon as somebody waits. */
class FastClock implements Clock {
  #now = 0;
  now = (): number => this.#now;
  sleep = (seconds: number): Promise<void> => {
    this.#now += seconds * 1000;
    return Promise.resolve();
  };
}

const date = (time: string): Date => new Date(`2026-01-01T${time}Z`);

/** Waits for a node; `seen` is what the API says of it after so many seconds. */
async function wait(
  seen: (seconds: number) => { ready?: boolean; heartbeat?: string; renewal?: string; well?: boolean },
  { timeout = 300, restarted = true } = {},
): Promise<number> {
  const clock = new FastClock();
  const readNode = (): Promise<NodeState> => {
    const { ready = true, heartbeat, renewal, well = false } = seen(clock.now() / 1000);
    return Promise.resolve({
      uid: "uid-n",
      controlPlane: false,
      pins: {},
      ready,
      message: "said",
      heartbeat: heartbeat === undefined ? undefined : date(heartbeat),
      renewal: () => Promise.resolve(renewal === undefined ? undefined : date(renewal)),
      isWell: () => Promise.resolve(well),
    });
  };
  await waitReady(target, timeout, { readNode, clock }, restarted ? "2026-01-01T10:00:00Z" : undefined);
  return clock.now() / 1000;
}

describe("a node is Ready after a restart", () => {
  it("by a condition or a Lease of its kubelet from since then alone", async () => {
    const later = (before: string, after: string) => (seconds: number) => (seconds < 20 ? before : after);
    const lease = later("09:59:55.5", "10:00:05.25");
    assert.equal(await wait((s) => ({ heartbeat: "09:58:00", renewal: lease(s) })), 20);
    const condition = later("09:58:00", "10:00:04");
    assert.equal(await wait((s) => ({ heartbeat: condition(s), renewal: "09:59:59" })), 20);
    assert.equal(await wait(() => ({ heartbeat: "10:00:01" })), 0);
    await assert.rejects(
      wait(() => ({ heartbeat: "09:58:00", renewal: "09:59:59" })),
      problem("node-not-ready", /its kubelet has said nothing since containerd was started/),
    );
  });

  it("by its kubelet's own answer, which comes sooner", async () => {
    const stale = { heartbeat: "09:58:00", renewal: "09:59:59" };
    assert.equal(await wait((s) => ({ ...stale, well: s >= 4 })), 4);
    await assert.rejects(
      wait(() => ({ ...stale, ready: false, well: true })),
      problem("node-not-ready", /said/),
    );
  });

  it("not by what was written in the second of the start, which may be from before it", async () => {
    await assert.rejects(
      wait(() => ({ heartbeat: "10:00:00", renewal: "10:00:00.9" })),
      problem("node-not-ready"),
    );
  });

  it("not by a kubelet that lives and says that it is not Ready", async () => {
    await assert.rejects(
      wait(() => ({ ready: false, heartbeat: "10:00:09", renewal: "10:00:09" })),
      problem("node-not-ready", /said/),
    );
  });

  it("without the right to read its Lease, when it was Ready for as long as a kubelet may take to say otherwise", async () => {
    assert.ok((await wait(() => ({ heartbeat: "09:58:00" }))) >= 45);
    // Meanwhile its kubelet says that it is not.
    const seen = (s: number) => ({ ready: s < 30 || s > 60, heartbeat: "09:58:00" });
    assert.ok((await wait(seen)) >= 60 + 45);
    await assert.rejects(
      wait(() => ({ heartbeat: "09:58:00" }), { timeout: 30 }),
      problem("node-not-ready"),
    );
  });

  it("by any condition where nothing was restarted", async () => {
    assert.equal(await wait(() => ({ heartbeat: "09:58:00" }), { restarted: false }), 0);
  });
});

it("a Node object's heartbeat and role are read as kubelets and administrators write them", () => {
  const object = (lastHeartbeatTime: unknown) => ({
    metadata: { uid: "u", labels: { "node-role.kubernetes.io/control-plane": "" } },
    status: { conditions: [{ type: "Ready", status: "True", lastHeartbeatTime }] },
  });
  const time = "2026-01-01T10:00:00Z";
  for (const given of [time, new Date(time)])
    assert.equal(nodeState(object(given)).heartbeat?.toISOString(), "2026-01-01T10:00:00.000Z");
  for (const given of [undefined, "soon", 5]) assert.equal(nodeState(object(given)).heartbeat, undefined);
  assert.equal(nodeState(object(time)).controlPlane, true);
});
