import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { TrustSettings } from "../../../config/settings";
import type { ClusterNode } from "../../../kubernetes/types";
import { planLanes } from "../../../plan/lanes";
import { type NodeChange, reason } from "../../../plan/reasons";
import { waveEnds, waveFindings, wavesOf } from "../../../plan/waves";

const node = (name: string, pool?: string): ClusterNode => ({
  ...{ name, role: name.startsWith("cp") ? "control-plane" : "worker", uid: `uid-${name}`, machineId: "m" },
  ...{ hostName: name, address: "10.0.0.1", osImage: "Photon", containerRuntime: "containerd://1", pins: {} },
  ...{ ready: true, labels: pool === undefined ? {} : { pool } },
});
const settings = (rollout: Partial<TrustSettings["rollout"]>): TrustSettings =>
  ({
    nodes: { workersAtOnce: 8 },
    rollout: { waves: [], pauseSeconds: 0, ...rollout },
    setting: (name: string) => name,
  }) as unknown as TrustSettings;
const nodes = [node("cp1"), node("w1", "a"), node("w2", "a"), node("w3", "b"), node("w4")];
const waves = [{ select: "pool=a", workersAtOnce: 1, pauseSeconds: 60 }, { select: "pool in (a,b)" }];

describe("waves", () => {
  it("are told in words: how many workers each has, and what comes between", () => {
    assert.deepEqual(waveFindings(nodes, settings({})), { facts: [], warnings: [] });
    assert.deepEqual(waveFindings(nodes, settings({ waves, pauseSeconds: 5 })), {
      facts: [
        "waves: 1 (pool=a): 2 workers, 1 at once, then 60 s; 2 (pool in (a,b)): 1 worker, 1 at once, then 5 s; last: 1 worker, 1 at once",
      ],
      warnings: [],
    });
    const { warnings } = waveFindings(nodes, settings({ waves: [...waves, { select: "pool=a" }] }));
    assert.deepEqual(warnings, ["rollout.waves[2] (pool=a) means no worker that no earlier wave means"]);
  });

  const ends = (
    action: NodeChange["action"] = "install",
    nonce = "n",
    of = settings({ waves }),
    change: Partial<NodeChange> = {},
  ) => {
    const order = planLanes(nodes, 8, { waves: wavesOf(of) });
    const decided = nodes.map((each) => ({
      node: each,
      command: { create: "c", delete: "d", environment: {} },
      nonce: each.name === "w2" ? nonce : "n",
      change: {
        ...{ node: each.name, reasons: [reason("new")], restart: true },
        action: each.name === "w2" ? action : "none",
        ...change,
      } satisfies NodeChange,
    }));
    return waveEnds(order, decided, of.rollout);
  };

  it("end after all of their nodes, but for the last, which nothing waits for", () => {
    assert.deepEqual(
      [...ends().values()].map(({ wave, pauseSeconds }) => ({ wave, pauseSeconds })),
      [
        { wave: 1, pauseSeconds: 60 },
        { wave: 2, pauseSeconds: 0 },
      ],
    );
    assert.equal(ends("install", "n", settings({})).size, 0);
    const all = settings({ waves: [{ select: "!nothing" }] });
    assert.equal(ends("install", "n", all).size, 0);
  });

  it("wait where anything is installed in the wave, and else not", () => {
    const works = (action: NodeChange["action"]): boolean[] =>
      [...ends(action).values()].map((end) => end.works);
    assert.deepEqual(works("install"), [true, false]);
    assert.deepEqual(works("none"), [false, false]);
    assert.deepEqual(works("skip"), [false, false]);
    const updated = { reasons: [reason("script-changed")], restart: false };
    const [end] = [...ends("install", "n", settings({ waves }), updated).values()];
    assert.equal(end!.works, false);
  });

  it("have a digest that tells what is planned for the wave's nodes, and for no others", () => {
    const digests = (nonce: string): string[] =>
      [...ends("install", nonce).values()].map((end) => end.digest);
    const [first, second] = digests("n");
    assert.deepEqual(digests("n"), [first, second]);
    const [changed, same] = digests("other");
    assert.notEqual(changed, first);
    assert.equal(same, second);
  });
});
