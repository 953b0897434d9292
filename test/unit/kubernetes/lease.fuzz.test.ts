/**
 * Runs that restart containerd on control-plane nodes, on a model of the API server and of the nodes, in time that only
 * passes here. Requests are slow, their answers get lost, runs are killed or stopped, restarts fail, and the API says that a node
 * is Ready for a while after it is not.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Lease, LeaseContent, LeaseStore, NodeMark } from "../../../kubernetes/lease";
import { Turns } from "../../../kubernetes/turns";
import { kubernetesProblem } from "../../../kubernetes/problems";
import { nodeProblem } from "../../../nodes/problems";
import type { Clock } from "../../../support/clock";
import { UserError } from "../../../support/errors";
import { runs } from "../../fuzz";

/** Numbers from a seed. */
function numbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Time that passes when nobody has anything to do at the present moment. */
class World {
  now = 0;
  readonly #waiting: { at: number; go: () => void }[] = [];

  sleep(seconds: number): Promise<void> {
    return new Promise((go) => this.#waiting.push({ at: this.now + seconds * 1000, go }));
  }

  /** Lets time pass until this is so. */
  async until(done: () => boolean, limit: number): Promise<void> {
    while (!done()) {
      // All that follows from what has happened until now: no chain of promises here is longer.
      for (let turn = 0; turn < 40; turn++) await Promise.resolve();
      await new Promise(setImmediate);
      if (done()) return;
      this.#waiting.sort((a, b) => a.at - b.at);
      const next = this.#waiting.shift();
      assert.ok(next, "nobody waits for anything, and not all is done");
      this.now = Math.max(this.now, next.at);
      assert.ok(this.now < limit * 1000, `not done after ${limit} s`);
      next.go();
    }
  }
}

/** A Lease in an API server that has nothing else. */
class Server {
  lease: Lease | undefined;
  #version = 0;

  write(content: LeaseContent): Lease {
    return (this.lease = { ...content, version: String(++this.#version) });
  }
}

interface Faults {
  readonly seed: number;
  /** Of a hundred requests, how many lose their answer or never arrive. */
  readonly lost: number;
  /** The longest time that a request takes on its way, seconds. */
  readonly slow: number;
  /** Of a hundred restarts, how many fail. */
  readonly failing: number;
  /** After how many seconds each run is killed, if it is. */
  readonly killed: readonly (number | undefined)[];
  /** Of a hundred turns, how many stop for a while as a laptop that sleeps does. */
  readonly stopping: number;
  /** Whether all runs are on one machine, where each sees which process has ended. */
  readonly together: boolean;
}

/** A node of the control plane. */
class ModelNode {
  ready = true;
  /** Since when it has been as it is. */
  since = 0;
  restarting = false;
  #lock: Promise<void> = Promise.resolve();

  constructor(
    readonly name: string,
    private readonly world: World,
  ) {}

  get uid(): string {
    return `uid-of-${this.name}`;
  }

  /** What the API says: a kubelet reports up to 40 s late that it is not Ready, and at once that it is. */
  get readyByApi(): boolean {
    return this.ready || this.world.now - this.since < 40_000;
  }

  set(ready: boolean): void {
    this.ready = ready;
    this.since = this.world.now;
  }

  /** Runs one script at a time, as the node's own lock has it. */
  async locked<T>(script: () => Promise<T>): Promise<T> {
    const run = this.#lock.then(script);
    this.#lock = run.then(
      () => undefined,
      () => undefined,
    );
    return await run;
  }
}

/** Never settles: what a killed run waits for. */
const never = new Promise<never>(() => undefined);

/** Runs the whole schedule, and asserts that no two nodes were restarting or not Ready by it at once. */
async function play(faults: Faults): Promise<void> {
  const world = new World();
  const server = new Server();
  const random = numbers(faults.seed);
  const chance = (percent: number): boolean => random() * 100 < percent;
  const nodes = ["a", "b", "c"].map((name) => new ModelNode(name, world));
  let restarts = 0;
  let left = faults.killed.length;
  let failure: unknown;
  /** Also what a killed run has begun counts. */
  const fail = (error: unknown): void => {
    failure ??= error;
    left = 0;
  };

  const run = async (name: string, killedAt: number | undefined): Promise<void> => {
    const isDead = (): boolean => killedAt !== undefined && world.now >= killedAt * 1000;
    let stoppedUntil = 0;
    const maybeStop = (percent: number): void => {
      if (chance(percent)) stoppedUntil = world.now + random() * 200_000;
    };
    const alive = async <T>(value: T): Promise<T> => {
      if (isDead()) return await never;
      if (world.now >= stoppedUntil) return value;
      await world.sleep((stoppedUntil - world.now) / 1000);
      return await alive(value);
    };
    const clock: Clock = {
      now: () => world.now,
      sleep: async (seconds, signal) => {
        signal?.throwIfAborted();
        const aborted = new Promise<never>((_, reject) => {
          signal?.addEventListener("abort", () => reject(new Error("aborted")));
        });
        aborted.catch(() => undefined);
        await Promise.race([world.sleep(seconds), aborted]);
        await alive(undefined);
      },
    };
    /** A request: on its way, done there or not, and its answer on its way back or lost. */
    const request = async <T>(act: () => T): Promise<T> => {
      await world.sleep(random() * faults.slow);
      const arrives = !chance(faults.lost);
      // What is on its way when its sender is killed is done all the same.
      const answer = arrives ? act() : undefined;
      maybeStop(faults.stopping / 10);
      await world.sleep(random() * faults.slow);
      await alive(undefined);
      if (!arrives || chance(faults.lost)) {
        await world.sleep(20);
        await alive(undefined);
        throw kubernetesProblem.error("cluster-unreachable", { subject: "model", seen: "lost" }, "request");
      }
      return answer as T;
    };
    const store: LeaseStore = {
      read: () => request(() => server.lease),
      create: (content) => request(() => (server.lease ? undefined : server.write(content))),
      replace: (content, version) =>
        request(() => (server.lease?.version === version ? server.write(content) : undefined)),
      delete: (version) =>
        request(() => {
          if (server.lease?.version !== version) return false;
          server.lease = undefined;
          return true;
        }),
    };
    const ended = (process: string): boolean => {
      const at = faults.killed[Number(process)];
      return faults.together && at !== undefined && world.now >= at * 1000;
    };
    const turns = new Turns(store, clock, ended, name);

    const fence = async (own: ModelNode, unsettled: NodeMark | undefined): Promise<void> => {
      const other = nodes.find(({ uid }) => uid === unsettled?.uid);
      if (other && other !== own) {
        // As `settle`: what was begun there has ended, and its kubelet has said since that it is Ready.
        await world.sleep(random() * 3);
        await other.locked(() => Promise.resolve());
        await alive(undefined);
        if (!other.ready) throw notReady(other.name);
      }
      for (let tries = 0; nodes.some((node) => node !== own && !node.readyByApi); tries++) {
        if (tries > 100) throw notReady("others");
        await clock.sleep(2);
      }
    };
    const restart = async (node: ModelNode): Promise<void> => {
      await node.locked(async () => {
        const others = nodes.filter((each) => each !== node && (each.restarting || !each.ready));
        if (others.length > 0) {
          const names = others.map((each) => each.name).join(", ");
          fail(new Error(`at ${world.now} ms ${node.name} is restarted while ${names} is not well`));
        }
        restarts += 1;
        node.restarting = true;
        node.set(false);
        await world.sleep(0.1 + random() * (chance(10) ? 90 : 5));
        node.restarting = false;
        if (chance(faults.failing)) {
          // Somebody puts it right later.
          void world.sleep(30 + random() * 300).then(() => node.set(true));
        } else {
          void world.sleep(random() * 10).then(() => node.set(true));
        }
      });
    };

    for (const node of [...nodes].sort(() => random() - 0.5)) {
      for (let again = true; again;) {
        again = await turns
          .take(
            {
              owner: name,
              node,
              limit: 100_000,
              fence: (unsettled) => fence(node, unsettled),
              log: () => undefined,
            },
            async (turn) => {
              maybeStop(faults.stopping);
              await world.sleep(random() * 5);
              await alive(undefined);
              await turn.begin();
              if (isDead()) await never;
              // The script arrives a moment later, also if its sender is killed meanwhile.
              const script = world.sleep(random() * 6).then(() => restart(node));
              await script;
              await alive(undefined);
              for (let tries = 0; !node.ready; tries++) {
                if (tries > 30) throw notReady(node.name);
                await clock.sleep(2);
              }
              turn.settled();
              return false;
            },
          )
          .catch(async (error: unknown) => {
            if (!(error instanceof UserError)) throw error;
            await clock.sleep(30); // its operator runs it again
            return true;
          });
      }
    }
  };
  const notReady = (seen: string): UserError =>
    nodeProblem.error("control-plane-not-ready", { subject: "model", seen });

  faults.killed.forEach((killedAt, index) => {
    const over = killedAt === undefined ? never : world.sleep(killedAt);
    Promise.race([run(String(index), killedAt), over]).then(() => (left -= 1), fail);
  });
  await world.until(() => left <= 0, 200_000);
  if (failure !== undefined) throw failure as Error;
  const survivors = faults.killed.filter((at) => at === undefined).length;
  assert.ok(restarts >= survivors * nodes.length, "each run that lives restarts each node");
}

describe("the turns of the control plane", () => {
  it("never let two nodes be restarted at once, whatever gets lost, is slow or is killed, and always go on", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          seed: fc.integer(),
          lost: fc.constantFrom(0, 5, 25),
          slow: fc.constantFrom(0.05, 2, 15),
          failing: fc.constantFrom(0, 20),
          killed: fc.array(fc.option(fc.integer({ min: 1, max: 300 }), { nil: undefined }), {
            minLength: 2,
            maxLength: 4,
          }),
          stopping: fc.constantFrom(0, 30),
          together: fc.boolean(),
        }),
        play,
      ),
      runs("turns of the control plane"),
    );
  });
});
