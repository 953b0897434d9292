/** Nodes that are asked whether they reach the registries: over a real sshd, with the real script. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import * as path from "node:path";
import type { Observation } from "../../../nodes/operations/inspection";
import type { WantedRegistry } from "../../../nodes/operations/reach";
import type { NodeTarget } from "../../../nodes/protocol/spec";
import { transportFor } from "../../../nodes/routes/transportFor";
import { SessionPool } from "../../../nodes/ssh/pool";
import { nodeProblem } from "../../../nodes/problems";
import { RegistryReach, isInstalled } from "../../../plan/reach";
import { type NodeChange, type ReasonCode, reason, reasonCodes } from "../../../plan/reasons";
import { UserError } from "../../../support/errors";
import { Pki } from "../certificates/pki";
import { type TestServer, startServer, unusedPort } from "../net/server";
import { FakeRoot, fakeRootsImpossible } from "../nodes/script/fakeRoot";
import { SshServer, freePort, sshdImpossible } from "../nodes/ssh/sshServer";

const pki = new Pki();
const ca = pki.ca("Registry CA");
const leaf = pki.server("registry", "IP:127.0.0.1", ca);

const change = (node: string, code: ReasonCode): NodeChange => ({
  ...{ node, reasons: [reason(code)], action: "install", restart: true },
});

describe("the nodes' look at the registries", { skip: fakeRootsImpossible() || sshdImpossible() }, () => {
  let server: SshServer;
  let programs: string;
  let root: FakeRoot;
  let pool: SessionPool;
  let registry: TestServer;
  before(async () => {
    programs = fs.mkdtempSync("/tmp/tkc-registry-programs-");
    server = await SshServer.start({ programs });
    registry = await startServer(leaf, (_, response) => response.end());
  });
  after(async () => {
    await server.stop();
    await registry[Symbol.asyncDispose]();
    fs.rmSync(programs, { recursive: true });
  });
  beforeEach(() => {
    root = new FakeRoot("photon", "bash");
    const sudo = `#!/bin/sh\n[ "$1" = -n ] && shift\nexec '${root.enter}' "$@"\n`;
    fs.writeFileSync(path.join(programs, "sudo"), sudo, { mode: 0o755 });
    pool = new SessionPool({
      transport: transportFor({ kind: "direct" }),
      credentials: { kind: "key", privateKey: server.client.privateKey, source: "a key" },
      connect: { attempts: 1, delay: 1 },
    });
  });
  afterEach(async () => {
    await pool.close();
    root.remove();
  });

  const target = (name: string, port = server.port): NodeTarget => ({
    ...{ name, uid: `uid-of-${name}`, machineId: root.machineId, address: "127.0.0.1", port, user: "root" },
    access: { kind: "direct" },
    sshKey: { from: "file", path: "/nowhere" },
    clusterContext: "c",
  });
  const wanted = (host: string, more: Partial<WantedRegistry> = {}): WantedRegistry => ({
    ...{ host, hostname: "127.0.0.1", ca: [ca.cert], served: leaf.sha256, required: true },
    setting: "registries[0].requireReachable",
    ...more,
  });
  const lookOf = (
    nodes: readonly { readonly target: NodeTarget; readonly change: NodeChange }[],
    registries: readonly WantedRegistry[],
    observed?: ReadonlyMap<string, Promise<Observation>>,
  ): RegistryReach =>
    new RegistryReach(
      nodes.map(({ target: at, change: what }) => ({
        target: at,
        decision: Promise.resolve({ change: what }),
      })),
      registries,
      observed,
      { inSession: pool.use, stack: { owner: "demo.dev" } },
    );
  const two = () => ["w1", "w2"].map((name) => ({ target: target(name), change: change(name, "new") }));
  const problemsOf = async (run: Promise<unknown>): Promise<string[]> => {
    const error: unknown = await run.then(
      () => assert.fail("it was not refused"),
      (seen: unknown) => seen,
    );
    assert.ok(error instanceof UserError, String(error));
    return error.problems.map(({ code, subject }) => `${subject} ${code}`);
  };

  it("finds nothing where the registry answers them as it should", async () => {
    assert.deepEqual(await lookOf(two(), [wanted(registry.host)]).all(), []);
  });

  it("refuses all nodes together, once for each finding, and none is touched", async () => {
    const closed = `127.0.0.1:${await unusedPort(leaf)}`;
    const forger = pki.ca("Registry CA");
    await using impostor = await startServer(pki.server("registry", "IP:127.0.0.1", forger), (_, response) =>
      response.end(),
    );
    const before = root.snapshot(true);
    const reach = lookOf(two(), [wanted(registry.host), wanted(closed), wanted(impostor.host)]);
    const logins = server.logins;
    const expected = ["nodes w1, w2 node-registry-unreachable", "nodes w1, w2 node-registry-other-chain"];
    assert.deepEqual(await problemsOf(reach.all()), expected);
    assert.deepEqual(await problemsOf(reach.all()), expected);
    assert.equal(server.logins, logins + 2); // it was asked once
    assert.deepEqual(root.snapshot(true), before);
    assert.deepEqual(impostor.received, []);
  });

  it("only warns of a registry that may come later: at the node where the plan could not", async () => {
    const closed = `127.0.0.1:${await unusedPort(leaf)}`;
    const later = [wanted(closed, { required: false })];
    const told = (who: string): string =>
      `${who}: the connection to ${closed} is refused there [node-registry-unreachable]`;
    const nodes = two();
    const reach = lookOf(nodes, later);
    assert.deepEqual(await reach.all(), [told("nodes w1, w2")]);
    const first = target("w1");
    assert.deepEqual(await pool.use(first, undefined, (session) => reach.one({ target: first }, session)), [
      told("node w1"),
    ]);
    const seen = Promise.resolve({ kind: "answered" } as Observation);
    const planned = lookOf(nodes, later, new Map(nodes.map(({ target: { name } }) => [name, seen])));
    assert.deepEqual(await planned.all(), [told("nodes w1, w2")]);
    assert.deepEqual(
      await pool.use(first, undefined, (session) => planned.one({ target: first }, session)),
      [],
    );
  });

  it("does not ask nodes of which nothing is to be installed, nor those that were silent", async () => {
    const closed = `127.0.0.1:${await unusedPort(leaf)}`;
    const problem = nodeProblem("node-silent", { subject: "node w2", seen: "it did not answer" });
    const observed = new Map<string, Promise<Observation>>([
      ["w1", Promise.resolve({ kind: "answered" } as Observation)],
      ["w2", Promise.resolve({ kind: "silent", problem })],
    ]);
    const nodes = [
      { target: target("w1"), change: change("w1", "script-changed") },
      { target: target("w2"), change: change("w2", "unreachable") },
    ];
    const logins = server.logins;
    const reach = lookOf(nodes, [wanted(closed)], observed);
    assert.deepEqual(await reach.all(), []);
    assert.equal(server.logins, logins);
    // Once it is there after all, it is asked in its session, before anything is written.
    const [, second] = nodes;
    const asked = pool.use(second!.target, undefined, (session) => reach.one(second!, session));
    assert.deepEqual(await problemsOf(asked), ["node w2 node-registry-unreachable"]);
  });

  it("leaves a node that is not reached to its own installation", async () => {
    const nodes = [{ target: target("gone", await freePort()), change: change("gone", "new") }];
    assert.deepEqual(await lookOf(nodes, [wanted(registry.host)]).all(), []);
  });

  it("is for what gets a CA or a restart, and for nothing else", () => {
    const installed = reasonCodes.filter((code) => isInstalled(change("w1", code)));
    assert.deepEqual(installed, [
      ...["new", "replaced", "file-missing", "bundle-rebuilt", "containerd-older", "new-ca"],
      ...["interrupted", "unreachable", "skipped"],
    ]);
    assert.equal(isInstalled({ ...change("w1", "skipped"), action: "skip" }), false);
  });
});
