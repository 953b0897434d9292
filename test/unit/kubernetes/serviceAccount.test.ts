import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  type AccountApi,
  attach,
  detach,
  formatState,
  parseState,
  type PatchStep,
} from "../../../kubernetes/serviceAccount";
import { problem } from "../../integration/net/server";

interface Account {
  metadata: { resourceVersion: string; annotations?: Record<string, string> };
  imagePullSecrets?: { name: string }[];
}

/** An API server with one ServiceAccount; `interfere` runs between reading and patching it. */
class FakeCluster implements AccountApi {
  readonly context = "tkc-cluster-1";
  account: Account | undefined;
  patches = 0;
  interfere: (() => void) | undefined;

  constructor(names?: readonly string[]) {
    this.account = {
      metadata: { resourceVersion: "1" },
      ...(names ? { imagePullSecrets: names.map((name) => ({ name })) } : {}),
    };
  }

  get names(): string[] {
    return (this.account?.imagePullSecrets ?? []).map(({ name }) => name);
  }

  write(names: readonly string[]): void {
    this.account!.imagePullSecrets = names.map((name) => ({ name }));
    this.account!.metadata.resourceVersion += "x";
  }

  read(): Promise<unknown> {
    return Promise.resolve(structuredClone(this.account));
  }

  patch(_target: unknown, steps: readonly PatchStep[]): Promise<string | undefined> {
    this.interfere?.();
    const next = structuredClone(this.account!);
    for (const step of steps) {
      if (!apply(next, step))
        return Promise.resolve("the server rejected our request due to an error in our request");
    }
    next.metadata.resourceVersion += "p";
    this.account = next;
    this.patches += 1;
    return Promise.resolve(undefined);
  }
}

function apply(account: Account, { op, path, value }: PatchStep): boolean {
  if (op === "test") return account.metadata.resourceVersion === value;
  if (path === "/imagePullSecrets/-") {
    account.imagePullSecrets!.push(value as { name: string });
  } else if (path === "/imagePullSecrets") {
    if (op === "remove") delete account.imagePullSecrets;
    else account.imagePullSecrets = value as { name: string }[];
  } else if (path === "/metadata/annotations") {
    account.metadata.annotations = value as Record<string, string>;
  } else if (path === "/metadata/annotations/tkc-registry~1image-pull-secrets") {
    if (op === "remove") delete account.metadata.annotations!["tkc-registry/image-pull-secrets"];
    else account.metadata.annotations!["tkc-registry/image-pull-secrets"] = value as string;
  } else return false;
  return true;
}

const target = { namespace: "default", serviceAccount: "default", pullSecret: "harbor-svc-pull-secret" };
const ours = target.pullSecret;
const promptly = (api: AccountApi) => ({ api, waitSeconds: 0 });

describe("a ServiceAccount's pull secrets", () => {
  it("get ours at the end, and lose it again, with everybody else's untouched and in order", async () => {
    const names = fc.uniqueArray(fc.constantFrom("a", "b", "c", "d", "e"));
    await fc.assert(
      fc.asyncProperty(fc.option(names, { nil: undefined }), async (theirs) => {
        const cluster = new FakeCluster(theirs);
        const state = await attach(target, undefined, promptly(cluster));
        assert.deepEqual(cluster.names, [...(theirs ?? []), ours]);
        assert.equal(state.preexisting, false);
        assert.deepEqual(await attach(target, state, promptly(cluster)), state);
        assert.equal(cluster.patches, 1);
        cluster.write(["z", ...cluster.names, "y"]);
        await detach(target, state, cluster);
        assert.deepEqual(cluster.names, ["z", ...(theirs ?? []), "y"]);
        assert.equal(cluster.account!.metadata.annotations?.["tkc-registry/image-pull-secrets"], undefined);
      }),
    );
  });

  it("keep an entry that was there before us, also after updates", async () => {
    const cluster = new FakeCluster(["a", ours]);
    const first = await attach(target, undefined, promptly(cluster));
    assert.equal(first.preexisting, true);
    const second = await attach(target, parseState(formatState(first)), promptly(cluster));
    assert.deepEqual(second, first);
    assert.match(await detach(target, second, cluster), /had harbor-svc-pull-secret before: it stays/);
    assert.equal(cluster.patches, 0);
    assert.deepEqual(cluster.names, ["a", ours]);
  });

  it("lose an entry of a run that was killed before it could report", async () => {
    const cluster = new FakeCluster();
    await attach(target, undefined, promptly(cluster));
    const state = await attach(target, undefined, promptly(cluster));
    assert.equal(state.preexisting, false);
    await detach(target, undefined, cluster);
    assert.deepEqual(cluster.names, []);
  });

  it("get ours again where somebody took it out, whoever's it was", async () => {
    const cluster = new FakeCluster([ours]);
    const state = await attach(target, undefined, promptly(cluster));
    cluster.write(["a"]);
    const again = await attach(target, state, promptly(cluster));
    assert.deepEqual(cluster.names, ["a", ours]);
    assert.equal(again.preexisting, false);
  });

  it("get ours in the new place, and lose it in the old, when the settings change", async () => {
    const cluster = new FakeCluster(["a"]);
    const state = await attach({ ...target, pullSecret: "old" }, undefined, promptly(cluster));
    await attach(target, state, promptly(cluster));
    assert.deepEqual(cluster.names, ["a", ours]);
    assert.equal(cluster.account!.metadata.annotations!["tkc-registry/image-pull-secrets"], ours);
  });

  it("lose nothing that somebody writes at the same moment", async () => {
    const cluster = new FakeCluster(["a"]);
    let left = 3;
    cluster.interfere = () => {
      if (left > 0) cluster.write([...cluster.names, `b${(left -= 1)}`]);
    };
    const state = await attach(target, undefined, promptly(cluster));
    assert.deepEqual(cluster.names, ["a", "b2", "b1", "b0", ours]);
    left = 1;
    await detach(target, state, cluster);
    assert.deepEqual(cluster.names, ["a", "b2", "b1", "b0", "b0"]);
  });

  it("are waited for in a new namespace, and told where they never come", async () => {
    const cluster = new FakeCluster();
    const { account } = cluster;
    cluster.account = undefined;
    await assert.rejects(
      attach(target, undefined, promptly(cluster)),
      problem("service-account-missing", /default\/default/),
    );
    const waiting = attach(target, undefined, { api: cluster, waitSeconds: 30 });
    cluster.account = account;
    await waiting;
    assert.deepEqual(cluster.names, [ours]);
  });

  it("that are gone, with their namespace or alone, need nothing removed", async () => {
    const cluster = new FakeCluster();
    cluster.account = undefined;
    assert.match(await detach(target, { ...target, preexisting: false }, cluster), /does not exist any more/);
    assert.match(
      await detach(target, { ...target, preexisting: false }, new FakeCluster(["a"])),
      /nothing to remove/,
    );
  });

  it("that take no patch, though nobody else writes them, are told with what the API said", async () => {
    const cluster = new FakeCluster(["a"]);
    cluster.patch = () => Promise.resolve("admission webhook says no");
    await assert.rejects(
      attach(target, undefined, promptly(cluster)),
      problem("service-account", /admission webhook says no/),
    );
  });

  it("that are none are not taken for empty ones", async () => {
    const cluster = new FakeCluster();
    cluster.read = () => Promise.resolve({ kind: "Status" });
    await assert.rejects(detach(target, undefined, cluster), problem("service-account"));
  });
});

describe("the command's state", () => {
  it("reads back as it was written, and as nothing where it is something else", () => {
    const state = { ...target, preexisting: true };
    assert.deepEqual(parseState(formatState(state)), state);
    assert.deepEqual(parseState(formatState(state).trim()), state);
    assert.equal(parseState(undefined), undefined);
    assert.equal(parseState("hello"), undefined);
  });
});
