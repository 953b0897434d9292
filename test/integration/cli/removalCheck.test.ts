/** What `destroy` does first, as a process of its own: with a real sshd, and API servers that say what is wrong. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type Server, createServer } from "node:net";
import * as path from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { writePin } from "../../../kubernetes/pins";
import { namedContexts } from "../../../kubernetes/client";
import { type NodeConnection, connectionEnvironment, pinName } from "../../../nodes/protocol/spec";
import { caFingerprints } from "../../../vsphere/identity";
import { type CommandResult, runCommand } from "../command";
import { FakeApi } from "../kubernetes/fakeApi";
import { jumpboxAccess } from "../nodes/routes/jumpboxAccess";
import { SshImpostor } from "../nodes/ssh/impostor";
import { SshServer, freePort, sshdImpossible } from "../nodes/ssh/sshServer";

const owner = "demo.dev";
const podPlace = "/api/v1/namespaces/ns1/pods/jumpbox-ubuntu";
const kubeSystem = "/api/v1/namespaces/kube-system";
const reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const object = (uid: string): object => ({ metadata: { uid } });

describe("the check before a destroy", { skip: sshdImpossible() }, () => {
  let server: SshServer;
  let api: FakeApi;
  let programs: string;
  /** The node's sudo, by its body. */
  const sudo = (body: string): void =>
    writeFileSync(path.join(programs, "sudo"), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
  before(async () => {
    programs = mkdtempSync("/tmp/tkc-registry-programs-");
    server = await SshServer.start({ programs });
    api = await FakeApi.start();
  });
  after(async () => {
    await server.stop();
    await api.stop();
    rmSync(programs, { recursive: true });
  });
  beforeEach(() => {
    api.reset();
    sudo('[ "$*" = "-n true" ]');
    api.pod.addresses.clear();
    api.secret("tkc-cluster-1-ssh", { "ssh-privatekey": server.client.privateKey });
    api.object("ns1", podPlace, { metadata: {}, status: { phase: "Running" } });
    for (const context of ["ns1", "tkc-cluster-1"] as const)
      api.object(context, reviews, { status: { allowed: true } });
    api.object("tkc-cluster-1", kubeSystem, object("system-1"));
    api.cluster("cluster.x-k8s.io", object("cluster-1"));
    api.object("tkc-cluster-1", "/api/v1/nodes", { items: [] });
  });

  const nodes = (...names: string[]): void => {
    api.object("tkc-cluster-1", "/api/v1/nodes", undefined);
    names.forEach((name, index) => {
      const address = `198.18.1.${index + 1}`;
      api.pod.addresses.set(address, "127.0.0.1");
      api.node(name, {
        metadata: { name, uid: `uid-of-${name}` },
        status: {
          addresses: [{ type: "InternalIP", address }],
          nodeInfo: {
            machineID: "0123456789abcdef0123456789abcdef",
            osImage: "VMware Photon OS/Linux",
            containerRuntimeVersion: "containerd://1.6.20",
          },
        },
      });
    });
  };
  const connection = (change: Partial<NodeConnection> = {}): NodeConnection => ({
    port: server.port,
    user: "root",
    access: jumpboxAccess,
    sshKey: { from: "supervisor", context: "ns1", namespace: "ns1", cluster: "tkc-cluster-1" },
    clusterContext: "tkc-cluster-1",
    cluster: {
      ...{ supervisor: "ns1", namespace: "ns1", name: "tkc-cluster-1" },
      ...{ uids: { clusters: "cluster-1" }, kubeSystem: "system-1", supervisorCa: caFingerprints(api.ca) },
    },
    ...change,
  });
  const check = (
    change: Partial<NodeConnection> = {},
    { words = [], more = {} }: { words?: readonly string[]; more?: NodeJS.ProcessEnv } = {},
  ): Promise<CommandResult> =>
    runCommand(["v1", "check-removal", ...words], {
      KUBECONFIG: process.env.KUBECONFIG,
      ...connectionEnvironment(connection(change)),
      TKC_REGISTRY_OWNER: owner,
      ...more,
    });
  const passes = async (run: Promise<CommandResult>): Promise<string> => {
    const { code, stdout, stderr } = await run;
    assert.deepEqual([code, stdout], [0, ""], stderr);
    return stderr;
  };
  /** The codes of the problems that it refuses for, and all that it says. */
  const refused = async (run: Promise<CommandResult>): Promise<{ codes: string[]; said: string }> => {
    const { code, stdout, stderr } = await run;
    assert.deepEqual([code, stdout], [1, ""], stderr);
    assert.doesNotMatch(stderr, /^ +at |PRIVATE KEY|s3cret/m);
    return { codes: [...stderr.matchAll(/\[([a-z-]+)\]$/gm)].map(([, each]) => each!), said: stderr };
  };

  it("passes where all is well: it logs in to each node, and changes nothing anywhere", async () => {
    nodes("w1", "w2");
    const logins = server.logins;
    assert.match(await passes(check()), /^checked before anything is taken down: 2 nodes of tkc-cluster-1$/m);
    assert.equal(server.logins, logins + 2);
    const changing = api.requests.filter((line) => !/ GET /.test(line) && !line.endsWith(reviews));
    assert.deepEqual(changing, []);
  });

  it("logs in to no node that the removal will leave alone, and names it", async () => {
    nodes("w1", "w2");
    const exclude = "kubernetes.io/os=windows";
    api.node("win", {
      metadata: { name: "win", uid: "uid-of-win", labels: { "kubernetes.io/os": "windows" } },
      status: { nodeInfo: { osImage: "Windows Server 2022", machineID: "WIN" } },
    });
    const logins = server.logins;
    const more = { TKC_REGISTRY_SELECTIONS: JSON.stringify([{}, { exclude }]) };
    const said = await passes(check({}, { more }));
    assert.match(said, /^checked before anything is taken down: 2 nodes of tkc-cluster-1$/m);
    assert.match(
      said,
      /^win: left out by nodes\.exclude \(kubernetes\.io\/os=windows\), and so left alone$/m,
    );
    assert.equal(server.logins, logins + 2);
    // It is no node that could be checked.
    assert.deepEqual((await refused(check())).codes, ["node-os"]);
  });

  it("says which login has ended, and how it is renewed", async () => {
    nodes("w1");
    for (const context of ["ns1", "tkc-cluster-1"] as const) api.fail(context, 401, "Unauthorized");
    const { codes, said } = await refused(check());
    assert.deepEqual(codes, ["login-expired", "login-expired"]);
    const login = "npm run login -- --server 127.0.0.1 --namespace ns1 --cluster tkc-cluster-1";
    assert.equal(said.split(login).length, 3, said);
    // Also that of a Supervisor that nothing else of the removal needs.
    api.fail("tkc-cluster-1");
    const alone = { access: { kind: "direct" }, sshKey: { from: "file", path: "/nowhere" } } as const;
    assert.deepEqual((await refused(check(alone))).codes.sort(), ["login-expired", "ssh-key-file"]);
  });

  it("refuses a way that is not there, and says everything at once", async () => {
    nodes("w1");
    const logins = server.logins;
    for (const [pod, code] of [
      [undefined, "relay-pod-missing"],
      [{ metadata: {}, status: { phase: "Failed" } }, "relay-pod-not-running"],
      [
        { metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" }, status: { phase: "Running" } },
        "relay-pod-not-running",
      ],
    ] as const) {
      api.object("ns1", podPlace, pod);
      assert.deepEqual((await refused(check())).codes, [code]);
    }
    api.secret("tkc-cluster-1-ssh", undefined);
    api.object("tkc-cluster-1", reviews, { status: { allowed: false } });
    const { codes } = await refused(check());
    assert.deepEqual(codes.sort(), ["no-rights", "relay-pod-not-running", "ssh-secret-missing"]);
    assert.equal(server.logins, logins, "no node is gone to");
    const bastion = {
      kind: "bastion",
      host: "127.0.0.1",
      port: await freePort(),
      user: "root",
      hostKey: server.hostKeys.ed25519!.fingerprint,
      keyFile: `${server.folder}/client`,
    } as const;
    assert.ok((await refused(check({ access: bastion }))).codes.includes("bastion-ssh-refused"));
  });

  it("refuses nodes that are not reached or are not the ones, all at once, or passes over those that may be", async () => {
    nodes("w1", "w2", "w3");
    api.pod.addresses.set("198.18.1.2", "127.0.0.2");
    const cluster = await namedContexts()("tkc-cluster-1");
    await writePin(
      cluster,
      { name: "w3", uid: "uid-of-w3" },
      pinName({ owner }),
      server.stranger.fingerprint,
    );
    const { codes, said } = await refused(check());
    assert.deepEqual(codes.sort(), ["host-key-changed", "ssh-refused"]);
    assert.match(said, /node w2 .*refused/);
    const skip = { words: ["--unreachable", "skip"] };
    const other = await refused(check({}, skip));
    assert.deepEqual(other.codes.sort(), ["host-key-changed", "ssh-refused"]);
    assert.match(other.said, /^will be passed over: node w2 /m);
    assert.match(other.said, /^node w3 .*\[host-key-changed\]$/m);
    // The settings' host key counts before the one that is noted.
    const hostKeys = { TKC_REGISTRY_HOST_KEYS: JSON.stringify({ w3: server.hostKeys.ed25519!.fingerprint }) };
    assert.match(await passes(check({}, { ...skip, more: hostKeys })), /^will be passed over: node w2 /m);
    const policy = { ...hostKeys, TKC_REGISTRY_UNREACHABLE_NODES: "fail" };
    assert.deepEqual((await refused(check({}, { ...skip, more: policy }))).codes, ["ssh-refused"]);
  });

  it("passes over nodes that refuse the user where the removal will, and refuses them otherwise", async () => {
    nodes("w1");
    api.secret("tkc-cluster-1-ssh", { "ssh-privatekey": server.stranger.privateKey });
    assert.deepEqual((await refused(check())).codes, ["ssh-auth"]);
    const skip = { words: ["--unreachable", "skip"] };
    assert.match(await passes(check({}, skip)), /^will be passed over: node w1 .*\[ssh-auth\]$/m);
    api.secret("tkc-cluster-1-ssh", { "ssh-privatekey": server.client.privateKey });
    for (const [words, code] of [
      ["sudo: Account or password is expired, reset your password and try again", "ssh-account"],
      ["sudo: sorry, you must have a tty to run sudo", "node-sudo"],
      ["sudo: a password is required", "node-sudo"],
    ] as const) {
      sudo(`echo '${words}' >&2; exit 1`);
      assert.deepEqual((await refused(check())).codes, [code]);
      assert.match(
        await passes(check({}, skip)),
        new RegExp(`^will be passed over: node w1.*\\[${code}\\]$`, "m"),
      );
    }
  });

  it("sends no password to whatever answers at a node's address", async () => {
    nodes("w1", "w2");
    api.secret("tkc-cluster-1-ssh", undefined);
    api.secret("tkc-cluster-1-ssh-password", { "ssh-passwordkey": "s3cret" });
    const impostor = await SshImpostor.start();
    try {
      const { codes, said } = await refused(check({ port: impostor.port }));
      assert.deepEqual(codes, ["ssh-password-unpinned", "ssh-password-unpinned"]);
      assert.match(said, /node w1: .*[^]*node w2: /);
      const cluster = await namedContexts()("tkc-cluster-1");
      for (const name of ["w1", "w2"])
        await writePin(
          cluster,
          { name, uid: `uid-of-${name}` },
          pinName({ owner }),
          server.hostKeys.ed25519!.fingerprint,
        );
      const pinned = await refused(check({ port: impostor.port }));
      assert.deepEqual(pinned.codes, ["host-key-changed", "host-key-changed"]);
      assert.deepEqual(impostor.offered, []);
    } finally {
      await impostor.stop();
    }
  });

  it("refuses another cluster of the context's name, and another Supervisor", async () => {
    nodes("w1");
    const logins = server.logins;
    api.object("tkc-cluster-1", kubeSystem, object("system-2"));
    assert.deepEqual((await refused(check())).codes, ["other-cluster"]);
    api.object("tkc-cluster-1", kubeSystem, object("system-1"));
    const elsewhere = { ...connection().cluster!, supervisorCa: ["ab".repeat(32)] };
    assert.deepEqual((await refused(check({ cluster: elsewhere }))).codes, ["other-supervisor"]);
    api.object("tkc-cluster-1", kubeSystem, object("system-2"));
    assert.deepEqual((await refused(check({ cluster: elsewhere }))).codes, ["other-supervisor"]);
    api.change({ "tkc-cluster-1": { ca: api.pki.ca("kubernetes") } });
    assert.deepEqual((await refused(check())).codes, ["cluster-certificate"]);
    assert.equal(server.logins, logins, "no node is gone to");
  });

  it("passes for a cluster that is gone or was replaced, whatever went with it, and says so", async () => {
    api.secret("tkc-cluster-1-ssh", undefined);
    api.object("ns1", podPlace, undefined);
    const away = { "tkc-cluster-1": { server: `https://127.0.0.1:${await freePort()}` } };
    const gone =
      /^the cluster is gone; nothing is to be removed .*PULUMI_K8S_DELETE_UNREACHABLE=true pulumi destroy/m;
    for (const now of [undefined, object("cluster-2")]) {
      api.cluster("cluster.x-k8s.io", now);
      api.change({});
      api.object("tkc-cluster-1", kubeSystem, object("system-2"));
      assert.match(await passes(check()), gone);
      api.change(away);
      assert.match(await passes(check()), gone);
    }
    api.cluster("cluster.x-k8s.io", object("cluster-1"));
    assert.ok((await refused(check())).codes.includes("cluster-unreachable"));
  });

  it("ends where a node never answers, and says meanwhile what it waits for", async () => {
    const silent: Server = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const { port } = silent.address() as { port: number };
    try {
      nodes("w1");
      const { said } = await refused(check({ port, access: jumpboxAccess }));
      assert.match(said, /^Reaching the nodes: 0 of 1 have answered$/m);
      assert.match(said, /node w1\b.*\[(?:ssh-timeout|node-silent)\]$/m);
      nodes();
      api.object("tkc-cluster-1", "/api/v1/nodes", { items: [] });
      assert.match(await passes(check({ port })), /: 0 nodes of/);
    } finally {
      silent.close();
    }
  });
});
