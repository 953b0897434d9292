import assert from "node:assert/strict";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { before, describe, test } from "node:test";
import type { Result, Summary } from "../../lab/bench/figures";
import type { Step, Transport } from "../../lab/bench/peers";
import { exec } from "../../lab/exec";
import { projectRoot } from "../../lab/paths";
import { existingEngine } from "../../lab/podman";
import { readState } from "../../lab/state";
import { fleet } from "../../lab/topology";
import { all } from "../all";

const nodes = 8;
/** Those that do everything again, and those that first ask what there is to do. */
const [repeating, asking] = all
  ? [
      ["sequential", "xargs-ssh"],
      ["ansible", "pyinfra", "tkc-registry"],
    ]
  : [["xargs-ssh"], ["tkc-registry"]];
const floors = all ? ["engine-floor", "node-work"] : ["engine-floor"];

/** In small: what it counts is checked here, never how long anything takes. */
describe("the benchmark", () => {
  const labWasUp = readState() !== undefined;
  let results: readonly Result[];

  before(async () => {
    const json = path.join(mkdtempSync(path.join(tmpdir(), "bench-")), "results.json");
    const peers = [...repeating, ...asking, ...floors].join(",");
    const quick = ["--peers", peers, "--runs", "1", "--rehash-seconds", "0.1", "--restart-seconds", "0.1"];
    await exec(
      "npm",
      ["run", "--silent", "bench", "--", "--nodes", String(nodes), ...quick, "--json", json],
      {
        cwd: projectRoot,
        env: { ...process.env, NODE_OPTIONS: "" },
      },
    );
    results = JSON.parse(readFileSync(json, "utf8")) as Result[];
  });

  function figures(peer: string, step: Step["name"], transport?: Transport): Summary {
    const found = results.find(
      (result) => result.peer === peer && (transport === undefined || result.transport === transport),
    );
    assert.ok(found?.[step], `${peer}: ${step}`);
    return found[step];
  }

  test("every peer did the work on every node", () => {
    assert.deepEqual(
      results.filter(({ verified }) => !verified).map(({ peer }) => peer),
      [],
    );
    for (const peer of [...repeating, ...asking]) {
      const { rehashes, restarts } = figures(peer, "first");
      // Our own stack adds its certificate to the bundle, and runs no rehash.
      const rehashed = peer === "tkc-registry" ? 0 : nodes;
      assert.deepEqual({ rehashes, restarts }, { rehashes: rehashed, restarts: nodes }, peer);
    }
  });

  test("a second run touches nothing, but with those that do everything again", () => {
    for (const peer of [...repeating, ...asking]) {
      const again = repeating.includes(peer) ? nodes : 0;
      const { rehashes, restarts } = figures(peer, "second");
      assert.deepEqual({ rehashes, restarts }, { rehashes: again, restarts: again }, peer);
    }
  });

  test("every peer has one SSH connection a node, also where it has several sessions", () => {
    for (const peer of [...repeating, ...asking])
      for (const step of ["first", "second"] as const)
        assert.equal(figures(peer, step).handshakes, nodes, `${peer}: ${step}`);
  });

  for (const transport of ["direct", "jumpbox"] as const) {
    test(`our own stack has one SSH connection a node and run, and no process a node to hold it: ${transport}`, () => {
      for (const step of ["first", "second", "drift"] as const)
        assert.equal(figures("tkc-registry", step, transport).handshakes, nodes, step);
      assert.ok(figures("tkc-registry", "second", transport).processes < 2 * nodes);
    });

    test(`our own stack repairs the one node that drifted, and leaves every node as it found it: ${transport}`, () => {
      assert.equal(figures("tkc-registry", "drift", transport).restarts, 1);
      assert.equal(figures("tkc-registry", "destroy", transport).restarts, nodes);
    });
  }

  test("the engine's floor ran as many commands as our own stack, and touched no node", () => {
    const commands = results.find(({ peer }) => peer === "tkc-registry")!.commands!;
    const { processes, handshakes, restarts } = figures("engine-floor", "first");
    assert.ok(processes > commands);
    assert.deepEqual([handshakes, restarts], [0, 0]);
  });

  test("it takes away what it brought up", async () => {
    assert.equal(readState() !== undefined, labWasUp);
    assert.equal(await existingEngine()?.state(fleet.name), undefined);
  });
});
