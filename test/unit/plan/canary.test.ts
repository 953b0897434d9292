import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type Candidate, chooseCanary } from "../../../plan/canary";
import { planLanes } from "../../../plan/lanes";
import { type NodeChange, reason } from "../../../plan/reasons";

const reasonFor = {
  install: reason("new"),
  none: reason("in-order"),
  skip: reason("skipped"),
  remove: reason("excluded"),
};
const candidate = (
  name: string,
  {
    role = "worker",
    ready = true,
    action = "install",
    unreachable = false,
  }: Partial<Pick<Candidate["node"], "role" | "ready"> & Pick<NodeChange, "action">> & {
    unreachable?: boolean;
  } = {},
): Candidate => ({
  node: { name, uid: `uid-of-${name}`, role, ready },
  change: {
    node: name,
    reasons: [unreachable ? reason("unreachable") : reasonFor[action]],
    ...{ action, restart: null },
  },
});
const chosen = (nodes: readonly Candidate[], unproven?: string): string | undefined =>
  chooseCanary(nodes, unproven === undefined ? undefined : { uid: `uid-of-${unproven}` })?.node.name;

describe("the node that goes first", () => {
  it("is a worker that is to be installed and is well, the first in their order", () => {
    const cp = candidate("a", { role: "control-plane" });
    assert.equal(chosen([cp, candidate("w2"), candidate("w1")]), "w2");
    assert.equal(chosen([candidate("w1", { action: "none" }), candidate("w2"), cp]), "w2");
    assert.equal(chosen([candidate("w1", { ready: false }), candidate("w2")]), "w2");
    assert.equal(chosen([candidate("w1", { unreachable: true }), candidate("w2")]), "w2");
    assert.equal(chosen([candidate("w1", { action: "skip" }), candidate("w2")]), "w2");
  });

  it("is a control-plane node where no worker is to be installed, or none is well", () => {
    const cp = candidate("cp", { role: "control-plane" });
    assert.equal(chosen([cp]), "cp");
    assert.equal(chosen([cp, candidate("w1", { action: "none" })]), "cp");
    assert.equal(chosen([cp, candidate("w1", { ready: false })]), "cp");
    assert.equal(chosen([cp, candidate("w1", { unreachable: true })]), "cp");
  });

  it("is one all the same where none is well: one failure is enough", () => {
    assert.equal(chosen([candidate("w2", { unreachable: true }), candidate("w1", { ready: false })]), "w1");
  });

  it("is none where nothing is to be installed", () => {
    assert.equal(
      chosen([candidate("w1", { action: "none" }), candidate("w2", { action: "skip" })]),
      undefined,
    );
  });

  it("is none where only another script or setting is recorded, and no containerd restarts", () => {
    const updated = (name: string, change: Partial<NodeChange>): Candidate => {
      const of = candidate(name);
      return { ...of, change: { ...of.change, reasons: [reason("script-changed")], ...change } };
    };
    assert.equal(chosen([updated("w1", { restart: false })]), undefined);
    assert.equal(chosen([updated("w1", { restart: false }), candidate("w2")]), "w2");
    assert.equal(chosen([updated("w1", { restart: null })]), "w1"); // it was not asked
    const lost = reason("file-missing", { host: "a.example" });
    assert.equal(chosen([updated("w1", { restart: false, reasons: [lost] })]), "w1");
    assert.equal(chosen([updated("w1", { restart: false }), candidate("w2")], "w1"), "w1");
  });

  it("is that of the last run again where it has not pulled, however it is by now", () => {
    const others = [candidate("w1"), candidate("w3")];
    for (const how of [{}, { action: "none" }, { ready: false }, { unreachable: true }] as const)
      assert.equal(chosen([...others, candidate("w2", how)], "w2"), "w2");
    assert.equal(chosen([...others, candidate("w2", { action: "skip" })], "w2"), "w1");
    assert.equal(chosen(others, "w2"), "w1"); // the node is gone
    assert.equal(
      chosen([candidate("w1", { action: "none" }), candidate("w2", { action: "none" })], "w2"),
      "w2",
    );
  });
});

describe("runs one after another", () => {
  const node = fc.record({ role: fc.constantFrom("control-plane" as const, "worker" as const) });

  it("never touch a second node before the first has pulled, whatever fails, and touch all in the end", () => {
    fc.assert(
      fc.property(
        fc.array(node, { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 1, max: 4 }),
        // What becomes of each run: its canary's installation, then its pull, fail; a kill comes at any point of it.
        fc.array(
          fc.record({ install: fc.boolean(), pull: fc.boolean(), ready: fc.boolean(), killedAt: fc.nat(4) }),
          {
            maxLength: 12,
          },
        ),
        (kinds, width, fates) => {
          const nodes = kinds.map(({ role }, index) => ({
            name: `n${index}`,
            role,
            installed: false,
            ready: true,
          }));
          let [planned, pulled] = ["", ""];
          let everProven = false;
          const run = (fate: (typeof fates)[number]): void => {
            const candidates = nodes.map(({ name, role, ready, installed }) =>
              candidate(name, { role, ready, action: installed ? "none" : "install" }),
            );
            const [before] = planned.split(" ");
            const first = chosen(candidates, planned === pulled ? undefined : before);
            if (first === undefined) return;
            const order = planLanes(nodes, width, { first });
            assert.deepEqual([order[0]!.node.name, order[0]!.after], [first, []]);
            for (const { after } of order.slice(1)) assert.ok(after.length > 0, "a node waits for nobody");
            const wanted = nodes.filter(({ installed }) => !installed).map(({ name }) => name);
            planned = `${first} ${wanted.join(",")}`;
            const own = nodes.find(({ name }) => name === first)!;
            if (fate.killedAt === 0 || !fate.install) return;
            own.installed = true;
            own.ready = fate.ready;
            const touched = nodes.filter(({ installed }) => installed).length;
            if (!everProven) assert.equal(touched, 1);
            if (fate.killedAt === 1 || !fate.pull) return;
            pulled = planned;
            everProven = true;
            own.ready = true;
            for (const each of nodes) each.installed = true;
          };
          for (const fate of fates) run(fate);
          run({ install: true, pull: true, ready: true, killedAt: 4 });
          assert.ok(nodes.every(({ installed }) => installed));
          assert.equal(planned, pulled);
        },
      ),
    );
  });
});
