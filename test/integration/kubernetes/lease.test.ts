/** The turns of the control plane at an API server: what is written there, and what each refusal of it does. */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { namedContexts } from "../../../kubernetes/client";
import { type NodeMark, leaseStore } from "../../../kubernetes/lease";
import { type Turn, Turns } from "../../../kubernetes/turns";
import type { Clock } from "../../../support/clock";
import { problem } from "../net/server";
import { FakeApi } from "./fakeApi";

const node = { name: "cp-1", uid: "uid-1" };
const placed = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/tkc-registry-control-plane";

describe("the turns of the control plane at an API server", () => {
  let api: FakeApi;
  before(async () => {
    api = await FakeApi.start();
  });
  after(() => api.stop());
  beforeEach(() => api.reset());

  /** Time that passes as soon as somebody waits. */
  const clock = (): Clock => {
    let now = 0;
    return {
      now: () => now,
      sleep: async (seconds, signal) => {
        await new Promise(setImmediate); // others are at work too
        signal?.throwIfAborted();
        // Renewals are waited for until their signal here.
        if (signal && seconds === 15)
          await new Promise((_, reject) => signal.addEventListener("abort", reject));
        now += seconds * 1000;
      },
    };
  };
  const program = async (isOver: (mark: string) => boolean = () => false, time = clock()): Promise<Turns> =>
    new Turns(leaseStore(await namedContexts()("tkc-cluster-1")), time, isOver, "mark");
  const take = async <T>(
    turns: Turns,
    act: (turn: Turn) => Promise<T>,
    { owner = "demo.dev", its = node, limit = 1000, log = [] as string[] } = {},
    seen: (NodeMark | undefined)[] = [],
  ): Promise<T> =>
    await turns.take(
      {
        ...{ owner, node: its, limit, log: (line) => void log.push(line) },
        fence: (unsettled) => Promise.resolve(void seen.push(unsettled)),
      },
      act,
    );
  const settle = async (turn: Turn): Promise<void> => {
    await turn.begin();
    turn.settled();
  };
  interface Written {
    readonly metadata: { readonly annotations?: Record<string, string> };
    readonly spec: { readonly holderIdentity?: string; readonly renewTime: string };
  }
  const written = (): Written | undefined => api.objectAt("tkc-cluster-1", placed) as Written | undefined;

  it("is written as Kubernetes writes it, and gone when the turn ended well", async () => {
    await take(await program(), async (turn) => {
      assert.match(written()?.spec.holderIdentity ?? "", /^demo\.dev on \S+ \([0-9a-f]{8}\)$/);
      assert.match(written()?.spec.renewTime ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
      assert.equal(written()?.metadata.annotations?.["tkc-registry/restarting"], undefined);
      await turn.begin();
      assert.equal(written()?.metadata.annotations?.["tkc-registry/restarting"], "cp-1 uid-1");
      turn.settled();
    });
    assert.equal(written(), undefined);
  });

  it("is one program's at a time", async () => {
    let at = 0;
    const work = async (turn: Turn): Promise<void> => {
      await turn.begin();
      assert.equal((at += 1), 1, "two at once");
      for (let pause = 0; pause < 20; pause++) await new Promise(setImmediate);
      at -= 1;
      turn.settled();
    };
    // Each of them waits as long as it takes, with the lease renewed by nobody: it must be short enough.
    const programs = await Promise.all([program(), program(), program()]);
    await Promise.all(programs.flatMap((turns) => [take(turns, work), take(turns, work)]));
    assert.equal(written(), undefined);
  });

  it("names the node that an earlier run did not see Ready again, until one has", async () => {
    const turns = await program();
    await assert.rejects(
      take(turns, async (turn) => {
        await turn.begin();
        throw new Error("containerd did not start");
      }),
      /did not start/,
    );
    assert.equal(written()?.spec.holderIdentity, undefined);
    const seen: (NodeMark | undefined)[] = [];
    const other = { name: "cp-2", uid: "uid-2" };
    await take(await program(), settle, { its: other }, seen);
    await take(await program(), settle, { its: other }, seen);
    assert.deepEqual(seen, [node, undefined]);
    // What a turn on the node itself does not see settled stays so, even if it sent nothing there.
    const failing = async (turn: Turn): Promise<void> => {
      await turn.begin();
      throw new Error("it failed");
    };
    await assert.rejects(take(await program(), failing));
    await take(await program(), () => Promise.resolve());
    await take(await program(), settle, { its: other }, seen);
    assert.deepEqual(seen.at(-1), node);
  });

  it("stays as it is where a turn ended before anything was sent to the node", async () => {
    await take(await program(), () => Promise.resolve());
    assert.equal(written(), undefined);
  });

  const others = (renewTime: string) => ({
    metadata: { resourceVersion: "other", annotations: { "tkc-registry/process": "other" } },
    spec: {
      ...{ holderIdentity: "demo.prod on there (1)", leaseDurationSeconds: 60 },
      ...{ acquireTime: "2026-01-01T10:00:00.000000Z", renewTime },
    },
  });

  it("is waited for while its holder renews it, by this clock, whatever its holder's clock says", async () => {
    for (const year of [1999, 2199]) {
      let renewals = 0;
      const time = clock();
      const renewing: Clock = {
        now: () => time.now(),
        sleep: async (seconds, signal) => {
          if (seconds === 2 && ++renewals % 20 === 0)
            api.turn(others(new Date(Date.UTC(year, 0, 1, 0, 0, renewals)).toISOString()));
          await time.sleep(seconds, signal);
        },
      };
      api.turn(others(`${year}-01-01T00:00:00.000000Z`));
      const log: string[] = [];
      await assert.rejects(
        take(await program(undefined, renewing), settle, { limit: 300, log }),
        problem(
          "control-plane-lease",
          /after 300 s demo\.prod on there \(1\) has had .* since 2026-01-01T10:00:00Z/,
        ),
      );
      assert.equal(log.length, 1, log.join("\n"));
      // Nobody renews it any more.
      await take(await program(), settle);
      assert.equal(written(), undefined);
    }
  });

  it("is taken over sooner from a process of this machine that has ended", async () => {
    const soon = async (isOver: (mark: string) => boolean): Promise<number> => {
      api.turn(others("2026-01-01T10:00:00.000000Z"));
      const time = clock();
      await take(await program(isOver, time), settle);
      return time.now() / 1000;
    };
    const ended = await soon((mark) => mark === "other");
    assert.ok(ended >= 10 && ended < 20, `${ended} s`);
    assert.ok((await soon(() => false)) >= 60);
  });

  it("that another run took over is not given back, and nothing is sent to the node in it", async () => {
    let tries = 0;
    let taken = false;
    await take(await program(), async (turn) => {
      if (++tries === 1) {
        api.turn(others("2026-01-01T10:00:00.000000Z"));
        taken = true;
      }
      await turn.begin();
      assert.ok(!taken || tries > 1, "sent in a turn that was lost");
      turn.settled();
    });
    assert.equal(tries, 2);
    await take(await program(), async (turn) => {
      await settle(turn);
      api.turn(others("2026-01-01T10:00:00.000000Z"));
    });
    assert.equal(written()?.spec.holderIdentity, "demo.prod on there (1)");
  });

  it("needs no right to Leases: without one it says so, and goes on behind the fence", async () => {
    for (const verb of ["get", "create", "update"]) {
      api.reset();
      api.refusedOnLeases.add(verb);
      const [log, seen]: [string[], NodeMark[]] = [[], []];
      assert.equal(
        await take(await program(), async (turn) => (await settle(turn), "done"), { log }, seen),
        "done",
      );
      assert.match(log.join("\n"), /without a Lease: .*\[no-rights\]/, verb);
      assert.equal(seen.length, 1, "the fence");
    }
    api.reset();
    api.refusedOnLeases.add("delete");
    await take(await program(), settle);
    assert.equal(written()?.spec.holderIdentity, undefined);
  });

  it("tells an object that is no Lease", async () => {
    api.turn({ metadata: {} });
    await assert.rejects(take(await program(), settle), problem("control-plane-lease", /no Lease/));
  });
});
