/**
 * `npm run verify` as a person runs it, in a process of its own: with a real sshd and the node script in a node's file
 * system, a `pulumi` that prints a state, and an API server that has nodes and pods.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { X509Certificate, createHash } from "node:crypto";
import * as fs from "node:fs";
import { createServer } from "node:https";
import * as path from "node:path";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import type { Findings } from "../../../../cli/verify/findings";
import type { NodeTarget } from "../../../../nodes/protocol/spec";
import { certificateFileName } from "../../../../nodes/script/script";
import { caFingerprints } from "../../../../vsphere/identity";
import { packageRoot } from "../../../../support/build";
import {
  encrypted,
  exported,
  hostKey as strangeKey,
  ids,
  labels as labelsOf,
  nodeResources,
  owner,
  registriesOutput,
  resource,
  setResources,
  stackResource,
  target,
} from "../../../unit/state/state";
import { Pki } from "../../certificates/pki";
import { nodeArguments } from "../../command";
import { type Handler, type TestServer, startServer } from "../../net/server";
import { jumpboxAccess } from "../../nodes/routes/jumpboxAccess";
import { PodServer } from "../../nodes/routes/podServer";
import {
  type Certificate,
  FakeRoot,
  fakeRootsImpossible,
  makeCertificate,
} from "../../nodes/script/fakeRoot";
import { SshServer, freePort, sshdImpossible } from "../../nodes/ssh/sshServer";

const registry = "harbor.example:8443";
const image = `${registry}/ns1/nginx:1`;
const managedBy = "app.kubernetes.io/managed-by=tkc-registry";

interface Pod {
  metadata: { name: string; labels: Record<string, string>; deletionTimestamp?: string };
  spec: {
    nodeName: string;
    imagePullSecrets: object[];
    containers: { image: string; imagePullPolicy: string; securityContext: object }[];
    [more: string]: unknown;
  };
  status: object;
}

/** The API of the cluster, and of the Supervisor: nodes, rights, pods that the kubelet answers for, one secret. */
class Api {
  nodes: object[] = [];
  /** What has our labels in the whole cluster; undefined where the user may not list it. */
  labelled: Record<string, object[] | undefined> = { secrets: [], deployments: [] };
  /** UIDs of the namespace kube-system, and of the cluster in the Supervisor. */
  kubeSystem = "system-1";
  cluster: string | undefined = "cluster-1";
  secrets: Record<string, Record<string, string>> = {};
  /** What a pod's status becomes when it is looked at. */
  kubelet: (pod: Pod) => object = () => ({});
  pods = new Map<string, Pod>();
  /** All that were ever created. */
  created: Pod[] = [];
  /** How many there were at once at most. */
  peak = 0;
  refusal: string | undefined;
  onCreated: () => void = () => undefined;

  readonly handle: Handler = ({ method, url, body }, response) => {
    const { pathname, searchParams } = new URL(url, "https://api");
    const answer = (status: number, object: unknown): void =>
      void response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(object));
    const missing = (): void => answer(404, { kind: "Status", code: 404, message: `${pathname} not found` });
    const [, name] = /\/pods\/([^/]+)$/.exec(pathname) ?? [];
    const [, plural] = /^\/api(?:s\/apps)?\/v1\/(secrets|deployments)$/.exec(pathname) ?? [];
    const [, secret] = /\/secrets\/([^/]+)$/.exec(pathname) ?? [];
    if (pathname === "/api/v1/namespaces/kube-system") answer(200, { metadata: { uid: this.kubeSystem } });
    else if (pathname === "/apis")
      answer(200, { groups: [{ name: "cluster.x-k8s.io", versions: [{ version: "v1" }] }] });
    else if (pathname === "/apis/cluster.x-k8s.io/v1") answer(200, { resources: [{ name: "clusters" }] });
    else if (pathname.endsWith("/clusters/tkc-cluster-1") && this.cluster !== undefined)
      answer(200, { metadata: { uid: this.cluster } });
    else if (pathname === "/api/v1/nodes") answer(200, { items: this.nodes });
    else if (pathname.endsWith("/selfsubjectaccessreviews")) answer(201, { status: { allowed: true } });
    else if (plural !== undefined)
      if (this.labelled[plural] && searchParams.get("labelSelector") === managedBy)
        answer(200, { items: this.labelled[plural] });
      else answer(403, { kind: "Status", code: 403, message: `cannot list ${plural}` });
    else if (secret !== undefined)
      if (this.secrets[secret]) answer(200, { data: this.secrets[secret] });
      else missing();
    else if (pathname.endsWith("/events")) answer(200, { items: [] });
    else if (pathname === "/api/v1/namespaces/web/pods" && method === "POST") {
      if (this.refusal !== undefined) answer(403, { kind: "Status", code: 403, message: this.refusal });
      else if (searchParams.has("dryRun")) answer(201, JSON.parse(body));
      else {
        const pod = this.add(JSON.parse(body) as Pod, `tkc-registry-verify-${this.created.length}`);
        this.created.push(pod);
        answer(201, pod);
        this.onCreated();
      }
    } else if (pathname === "/api/v1/namespaces/web/pods") {
      const wanted = (searchParams.get("labelSelector") ?? "").split(",").map((pair) => pair.split("="));
      const items = [...this.pods.values()].filter(({ metadata }) =>
        wanted.every(([key, value]) => metadata.labels[key!] === value),
      );
      answer(200, { items });
    } else if (name !== undefined) {
      const pod = this.pods.get(name);
      if (!pod) missing();
      else if (method === "DELETE") {
        this.pods.delete(name);
        answer(200, pod);
      } else answer(200, { ...pod, status: this.kubelet(pod) });
    } else missing();
  };

  add(pod: Pod, name: string): Pod {
    const full = { ...pod, metadata: { ...pod.metadata, name } };
    this.pods.set(name, full);
    this.peak = Math.max(this.peak, this.pods.size);
    return full;
  }
}

const apiNode = (name: string, change: { uid?: string; role?: string } = {}) => ({
  metadata: {
    name,
    uid: change.uid ?? `uid-${name}`,
    labels: change.role === undefined ? {} : { [`node-role.kubernetes.io/${change.role}`]: "" },
  },
  status: {
    addresses: [{ type: "InternalIP", address: `10.0.${name.charCodeAt(0)}.${name.charCodeAt(1)}` }],
    conditions: [{ type: "Ready", status: "True" }],
    nodeInfo: {
      machineID: "0123456789abcdef0123456789abcdef",
      osImage: "VMware Photon OS/Linux",
      containerRuntimeVersion: "containerd://1.6.20",
    },
  },
});

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

describe("verify", { skip: fakeRootsImpossible() || sshdImpossible() }, () => {
  let server: SshServer;
  let apiServer: TestServer;
  let pod: PodServer;
  let root: FakeRoot;
  let api: Api;
  let ca: Certificate;
  /** Of the API servers, as PEM. */
  let apiCa: string;
  const pki = new Pki();
  /** Programs of the operator: `pulumi`. And those of the node: `sudo`. */
  const [operator, programs] = [path.join(pki.folder, "bin"), path.join(pki.folder, "node")];
  const kubeconfig = path.join(pki.folder, "kubeconfig");

  before(async () => {
    fs.mkdirSync(operator);
    fs.mkdirSync(programs);
    ca = makeCertificate("Harbor CA");
    server = await SshServer.start({ programs });
    const identity = pki.server("kube-apiserver", "IP:127.0.0.1");
    pod = new PodServer(createServer(identity));
    await new Promise<void>((resolve) => pod.server.listen(0, "127.0.0.1", resolve));
    apiCa = identity.cert;
    apiServer = await startServer(identity, (request, response) => api.handle(request, response));
    const cluster = {
      server: `https://${apiServer.host}`,
      "certificate-authority-data": Buffer.from(identity.cert).toString("base64"),
    };
    const jumpbox = { ...cluster, server: pod.context.server.replace("http:", "https:") };
    fs.writeFileSync(
      kubeconfig,
      JSON.stringify({
        clusters: [
          { name: "c", cluster },
          { name: "j", cluster: jumpbox },
          { name: "s", cluster: { ...cluster, server: `https://127.0.0.1:${await freePort()}` } },
        ],
        users: [{ name: "u", user: { token: "the-token" } }],
        contexts: [
          { name: "tkc-cluster-1", context: { cluster: "c", user: "u" } },
          { name: "ns1", context: { cluster: "c", user: "u" } },
          { name: "jumpbox", context: { cluster: "j", user: "u" } },
          { name: "silent", context: { cluster: "s", user: "u" } },
        ],
      }),
    );
  });
  after(async () => {
    await server.stop();
    await pod.stop();
    await apiServer[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    root = new FakeRoot("photon", "bash");
    fs.writeFileSync(
      path.join(programs, "sudo"),
      `#!/bin/sh\n[ "$1" = -n ] && shift\nexec '${root.enter}' "$@"\n`,
      { mode: 0o755 },
    );
    await root.succeed({ op: "install", owner, nonce: "first", certificates: installed() });
    await root.succeed({ op: "restart", owner });
    api = new Api();
    api.nodes = [apiNode("w1")];
    const key = Buffer.from(server.client.privateKey).toString("base64");
    api.secrets["tkc-cluster-1-ssh"] = { "ssh-privatekey": key };
    state(node());
  });
  afterEach(() => root.remove());

  const node = (change: Partial<NodeTarget> = {}): NodeTarget =>
    target({ address: "127.0.0.1", port: server.port, user: "root", ...change });
  const pinned = (): string => server.hostKeys["ed25519"]!.fingerprint;
  const certificates = () => [{ registry, sha256: ca.sha256 }];
  const installed = () => [{ name: certificateFileName(registry, ca.sha256), registry, ...ca }];
  const nodes = (targets: readonly NodeTarget[], key = pinned()): object[] =>
    targets.flatMap((each) => nodeResources(each, { certificates: certificates(), key }));
  const outputs = () => ({
    registries: registriesOutput("2999-01-01T00:00:00.000Z", certificates()),
    image,
    pullSecret: "harbor-pull",
  });
  const placed = (type: string, name: string): object =>
    resource(type, name, { inputs: { metadata: { name, namespace: "web" }, data: encrypted } });
  const write = (resources: readonly object[]): void => {
    fs.writeFileSync(path.join(operator, "state.json"), JSON.stringify(exported(resources)));
    pulumi(`cat '${operator}/state.json'`);
  };
  const state = (...targets: NodeTarget[]): void =>
    write([
      stackResource(outputs()),
      ...nodes(targets),
      placed("kubernetes:core/v1:Secret", "harbor-pull"),
      placed("kubernetes:apps/v1:Deployment", "nginx"),
    ]);
  const pulumi = (script: string): void =>
    fs.writeFileSync(
      path.join(operator, "pulumi"),
      `#!/bin/sh\nprintf '%s\\n' "$*" >'${operator}/arguments'\n${script}\n`,
      { mode: 0o755 },
    );

  const start = (words: string, searchPath = `${operator}:${process.env.PATH ?? ""}`) =>
    spawn(process.execPath, [...nodeArguments, ...`v1 verify ${words}`.trim().split(" ")], {
      cwd: packageRoot,
      env: { PATH: searchPath, KUBECONFIG: kubeconfig, TMPDIR: process.env.TMPDIR },
      stdio: ["ignore", "pipe", "pipe"],
    });
  const ended = async (child: ReturnType<typeof start>): Promise<Outcome> => {
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
    for (const secret of ["the-token", "PRIVATE KEY", "ciphertext"])
      assert.ok(!(stdout + stderr).includes(secret), `${secret} was printed`);
    assert.doesNotMatch(stderr, /\n\s+at |Warning:/);
    return { code, stdout, stderr };
  };
  const verify = (words = "--stack dev", searchPath?: string): Promise<Outcome> =>
    ended(start(words, searchPath));
  const findings = async (words = "", code = 1): Promise<Findings> => {
    const outcome = await verify(`--stack dev --json ${words}`.trim());
    assert.equal(outcome.code, code, outcome.stdout + outcome.stderr);
    return JSON.parse(outcome.stdout) as Findings;
  };
  const codes = ({ problems }: Findings): string[] => problems.map(({ code }) => code);

  it("finds a node well, and changes nothing there", async () => {
    const before = root.snapshot(true);
    const { code, stdout, stderr } = await verify();
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /\nw1 +harbor\.example:8443( +yes){5} +in \d+ d\n/);
    assert.match(stdout, /\n\nAll is well, with 1 warning: 1 node trusts harbor\.example:8443\.\n$/);
    assert.match(
      stdout,
      /registry harbor\.example:8443: this machine does not reach it: .*\[registry-not-told\]/,
    );
    assert.deepEqual(root.snapshot(true), before);
    assert.equal(root.lines("lab/restarts"), 1);
    assert.deepEqual(api.created, []);
    assert.equal(
      fs.readFileSync(path.join(operator, "arguments"), "utf8"),
      "stack export --stack dev --non-interactive --color never\n",
    );
  });

  it("names what other stacks have on the node and in the cluster, and what it could not look for", async () => {
    const lost = { owner, id: "00000000-0000-4000-8000-000000000001" };
    const another = makeCertificate("Another CA");
    const name = certificateFileName(registry, another.sha256);
    await root.succeed({
      ...{ op: "install", ...lost, nonce: "n" },
      certificates: [{ name, registry, ...another }],
    });
    await root.succeed({ op: "restart", owner });
    const labels = {
      "app.kubernetes.io/managed-by": "tkc-registry",
      "tkc-registry/stack": owner,
      "tkc-registry/id": lost.id,
    };
    api.labelled["secrets"] = [{ metadata: { name: "pull", namespace: "web", uid: "uid-lost", labels } }];
    api.labelled["deployments"] = undefined;
    const found = await findings("", 0);
    assert.deepEqual(found.nodes[0]!.records, [lost]);
    assert.deepEqual(found.objects, [
      {
        ...{ kind: "Secret", namespace: "web", name: "pull", owner, id: lost.id, ours: false },
        registryTrust: "tkc-cluster-1",
      },
    ]);
    assert.deepEqual(
      [found.notes, found.warnings].map((list) => list.map(({ code }) => code)),
      [
        ["other-stack-on-node", "other-stack-in-cluster"],
        ["registry-not-told", "objects-not-listed"],
      ],
    );
  });

  it("goes through the jumpbox pod where the stack does", async () => {
    const access = { ...jumpboxAccess, context: "jumpbox" };
    state(node({ access, sshKey: { from: "file", path: path.join(server.folder, "client") } }));
    const { code, stdout, stderr } = await verify();
    assert.equal(code, 0, stdout + stderr);
    // As the API server says it of a pod that is gone.
    const message = 'pods "jumpbox-ubuntu" not found';
    const status = { kind: "Status", apiVersion: "v1", status: "Failure", message, code: 404 };
    pod.refusal = { status: 404, body: JSON.stringify(status) };
    try {
      const gone = await verify();
      assert.deepEqual([gone.code, gone.stdout], [2, ""], gone.stderr);
      assert.match(gone.stderr, /^the way to 1 node: .*not found.*`pulumi up`.*\[relay-pod-missing\]$/m);
      assert.doesNotMatch(gone.stderr, /[{}]/);
    } finally {
      pod.refusal = undefined;
    }
  });

  it("says whether the nodes' CAs verify what the registry serves here, and what to do where it was changed", async () => {
    const [now, old] = [pki.ca("CA of now"), pki.ca("CA of then")];
    await using harbor = await startServer(pki.server("harbor", "IP:127.0.0.1", now), (_, response) =>
      response.end(),
    );
    const deployed = async ({ cert: pem }: { cert: string }): Promise<Findings["registries"][0]> => {
      const { raw: der } = new X509Certificate(pem);
      const sha256 = createHash("sha256").update(der).digest("hex");
      const given = [{ registry: harbor.host, sha256 }];
      const name = certificateFileName(harbor.host, sha256);
      await root.succeed({
        ...{ op: "install", owner, nonce: sha256.slice(0, 8) },
        certificates: [{ name, registry: harbor.host, sha256, der }],
      });
      await root.succeed({ op: "restart", owner });
      write([
        stackResource({ registries: registriesOutput("2999-01-01T00:00:00.000Z", given) }),
        ...nodeResources(node(), { certificates: given, key: pinned() }),
      ]);
      const { code, stdout, stderr } = await verify();
      assert.match(
        stdout,
        code === 0
          ? new RegExp(`The nodes' CAs verify what is served here by ${harbor.host}[^]*All is well: `)
          : /nodes' CAs do not verify what it serves: .*`npm run ca -- 127[^]*wrong with what 1 registry serves/,
        stderr,
      );
      return (await findings("", code ?? 2)).registries[0]!;
    };
    assert.equal((await deployed(now)).verifies, true);
    assert.equal((await deployed(old)).verifies, false);
    assert.deepEqual(codes(await findings()), ["registry-not-verified"]);
  });

  it("asks only the cluster that the state knows, and says where that is gone", async () => {
    const recorded = {
      ...{ supervisor: "ns1", namespace: "ns1", name: "tkc-cluster-1" },
      ...{ uids: { clusters: "cluster-1" }, kubeSystem: "system-1" },
      supervisorCa: caFingerprints(apiCa),
    };
    // Of one node it is recorded alone, as an update that was cut off leaves it.
    const second = node({ name: "w2", uid: "uid-w2", cluster: recorded });
    state(node(), second);
    api.nodes = [apiNode("w1"), apiNode("w2")];
    const well = await verify();
    assert.equal(well.code, 0, well.stdout + well.stderr);
    api.kubeSystem = "system-2";
    const other = await verify();
    assert.deepEqual([other.code, other.stdout], [2, ""]);
    assert.match(other.stderr, /context tkc-cluster-1: .*\[other-cluster\]\n$/);
    api.cluster = "cluster-2";
    const gone = await verify();
    assert.equal(gone.code, 2);
    assert.match(
      gone.stderr,
      /cluster ns1\/tkc-cluster-1: the Supervisor says that it is gone\..*\[cluster-gone\]/,
    );
  });

  describe("of several sets of nodes", () => {
    const [prod, lab] = ids as [string, string];
    let labCa: Certificate;
    const labTrusts = () => [{ registry: "lab.example", sha256: labCa.sha256 }];
    before(() => {
      labCa = makeCertificate("CA of the lab");
    });
    beforeEach(async () => {
      const name = certificateFileName("lab.example", labCa.sha256);
      await root.succeed({ op: "install", owner, id: prod, nonce: "n", certificates: installed() });
      await root.succeed({
        ...{ op: "install", owner, id: lab, nonce: "n" },
        certificates: [{ name, registry: "lab.example", ...labCa }],
      });
      await root.succeed({ op: "restart", owner, id: lab });
    });
    /** Two sets, of which one is reached by a context of its own. */
    const both = (clusterContext = "tkc-cluster-1"): void => {
      const options = { key: pinned(), notAfter: "2999-01-01T00:00:00.000Z" };
      write([
        ...setResources("prod", prod, node(), { ...options, certificates: certificates() }),
        ...setResources("lab", lab, node({ clusterContext }), { ...options, certificates: labTrusts() }),
        resource("tkc-registry:index:RegistryDeployment", "web", {
          inputs: { id: prod },
          outputs: { image },
        }),
        resource("kubernetes:apps/v1:Deployment", "web", {
          inputs: { metadata: { name: "web", namespace: "web", labels: labelsOf(prod) } },
        }),
      ]);
    };

    it("checks each, takes nothing of one for another stack's, and checks one alone where it is named", async () => {
      both();
      const metadata = { name: "left", namespace: "web", uid: "uid-left", labels: labelsOf(lab) };
      api.labelled["secrets"] = [{ metadata }];
      const found = await findings("", 0);
      // What the node has without an id is of another stack.
      const others = [{ owner, id: null }];
      assert.deepEqual(
        found.nodes.map(({ registryTrust, name, ok, records }) => ({ registryTrust, name, ok, records })),
        ["lab", "prod"].map((registryTrust) => ({ registryTrust, name: "w1", ok: true, records: others })),
      );
      assert.deepEqual(
        found.registries.map(({ registryTrust, host }) => [registryTrust, host]),
        [
          ["lab", "lab.example"],
          ["prod", registry],
        ],
      );
      assert.deepEqual(
        found.objects.map(({ name, id, ours, registryTrust }) => [name, id, ours, registryTrust]),
        [
          ["left", lab, true, "lab"],
          ["left", lab, true, "prod"],
        ],
      );
      const { stdout } = await verify();
      assert.match(
        stdout,
        /^lab:\nNODE [^\n]+\nw1 +lab\.example( +yes){5} [^]*\n\nprod:\nNODE [^\n]+\nw1 +harbor/,
      );
      assert.match(
        stdout,
        /\n {2}lab: Secret web\/left, prod: Secret web\/left: the state does not have it\..*\[object-not-in-state\]\n/,
      );
      assert.match(
        stdout,
        /\n\nAll is well, with 4 warnings: the nodes of lab and prod trust their registries\.\n$/,
      );
      const alone = await findings("--trust lab", 0);
      assert.deepEqual(
        alone.nodes.map(({ registryTrust }) => registryTrust),
        ["lab"],
      );
      const wrong = await verify("--stack dev --trust nowhere");
      assert.deepEqual([wrong.code, wrong.stdout], [2, ""]);
      assert.equal(
        wrong.stderr,
        '--trust: the stack has no RegistryTrust "nowhere". Give one of those that it has: lab, prod [bad-arguments]\n',
      );
    });

    it("tells of the others what it finds where one cannot be asked, with the exit code of a check that failed", async () => {
      for (const [context, code] of [
        ["moved", "context-not-found"],
        ["silent", "cluster-unreachable"],
      ] as const) {
        both(context);
        const { code: exitCode, stdout, stderr } = await verify();
        assert.equal(exitCode, 2, stdout + stderr);
        assert.match(stdout, /^prod:\nNODE [^\n]+\nw1 +harbor\.example:8443( +yes){5} /);
        assert.match(stdout, new RegExp(`\nProblems:\n  lab: context ${context}: .*\\[${code}\\]\n`));
        assert.match(stdout, /\n\nNot well: lab could not be checked; all is well with prod\.\n$/);
        const found = await findings("", 2);
        assert.deepEqual([found.ok, found.unchecked], [false, ["lab"]]);
        assert.deepEqual(
          found.problems.map(({ registryTrust, code: of }) => [registryTrust, of]),
          [["lab", code]],
        );
        const alone = await verify("--stack dev --trust lab");
        assert.deepEqual([alone.code, alone.stdout], [2, ""]);
        assert.match(alone.stderr, new RegExp(`^context ${context}: .*\\[${code}\\]$`, "m"));
      }
    });

    it("pulls the images of each on its own nodes, and none where it runs none", async () => {
      both();
      api.kubelet = () => ({ phase: "Pending", containerStatuses: [{ imageID: "sha256:1", state: {} }] });
      for (const words of ["--pull", `--pull --image ${image}`]) {
        const { nodes: found } = await findings(words, 0);
        assert.deepEqual(
          found.map(({ registryTrust, pulls }) => [registryTrust, pulls]),
          [
            ["lab", []],
            ["prod", [{ image, ok: true, message: null }]],
          ],
        );
      }
      assert.equal(api.created[0]!.metadata.labels["tkc-registry/id"], prod);
    });
  });

  it("tells a CA file that was removed, and a containerd that was not restarted", async () => {
    const [name] = fs.readdirSync(root.at(root.store)).filter((file) => file.startsWith("tkc-registry-"));
    fs.rmSync(root.at(root.store, name!));
    const lost = await findings();
    assert.deepEqual(codes(lost), ["ca-file-missing"]);
    assert.deepEqual(lost.nodes[0]!.registries, [
      { host: registry, ok: false, caFile: false, read: null, loaded: true },
    ]);
    await root.succeed({ op: "install", owner, nonce: "second", certificates: installed() });
    const stale = await findings();
    assert.deepEqual(codes(stale), ["containerd-not-restarted"]);
    assert.equal(stale.nodes[0]!.registries[0]!.loaded, false);
  });

  it("tells a host key that is another one, a node that does not answer, and all that the stack doesn't have", async () => {
    const silentPort = await freePort();
    const other = (name: string, change: Partial<NodeTarget> = {}): NodeTarget =>
      node({ name, uid: `uid-${name}`, ...change });
    write([
      stackResource(outputs()),
      ...nodes([node(), other("w3", { port: silentPort }), other("w4"), other("w5")]),
      ...nodes([other("w2")], strangeKey),
    ]);
    api.nodes = ["w1", "w2", "w3", "w6"].map((name) => apiNode(name));
    api.nodes.push(apiNode("w5", { uid: "new" }));
    const { code, stdout, stderr } = await verify();
    assert.equal(code, 1, stdout + stderr);
    assert.match(stderr, /Asking the nodes: \d of 3 have answered/);
    assert.match(stdout, /\nw1 +harbor\.example:8443( +yes){5} /);
    assert.match(stdout, /\nw2 +harbor\.example:8443 +yes +NO +- +- +- /);
    assert.match(stdout, /\nw3 +harbor\.example:8443 +NO +- +- +- +- /);
    assert.match(stdout, /\n {2}node w2: .*host key was to be SHA256:A+, and is SHA256:/);
    assert.match(stdout, /\n {2}node w3: SSH as "root" directly failed 4 times/);
    assert.match(
      stdout,
      /\n {2}node w4: the stack has it, and the cluster no longer\. Run `pulumi up` \[node-gone\]\n/,
    );
    assert.match(
      stdout,
      /\n {2}node w5: the stack has an earlier node of this name\. Run `pulumi up` \[node-replaced\]\n/,
    );
    assert.match(stdout, /\n {2}node w6: it is not in the stack\. Run `pulumi up` \[node-not-in-stack\]\n/);
    assert.match(stdout, /\n\nNot well: something is wrong with 5 of 6 nodes\.\n$/);
  });

  describe("--pull", () => {
    const pulled = () => ({ phase: "Pending", containerStatuses: [{ imageID: "sha256:1", state: {} }] });

    it("pulls on every node, control plane included, by pods that are restricted, the stack's, and gone then", async () => {
      api.nodes.push(apiNode("cp1", { role: "control-plane" }));
      state(node(), node({ name: "cp1", uid: "uid-cp1" }));
      const labels = {
        "app.kubernetes.io/managed-by": "tkc-registry",
        "tkc-registry/stack": owner,
        "tkc-registry/purpose": "verify-pull",
      };
      api.add({ metadata: { name: "", labels }, spec: {}, status: {} } as unknown as Pod, "leftover");
      const others = { ...labels, "tkc-registry/stack": "another" };
      api.add({ metadata: { name: "", labels: others }, spec: {}, status: {} } as unknown as Pod, "other");
      api.kubelet = pulled;
      const { ok, nodes: found } = await findings("--pull", 0);
      assert.ok(ok);
      assert.deepEqual(
        found.map(({ name, role, pulls }) => ({ name, role, pulls })),
        ["cp1", "w1"].map((name) => ({
          name,
          role: name === "w1" ? "worker" : "control-plane",
          pulls: [{ image, ok: true, message: null }],
        })),
      );
      assert.deepEqual([...api.pods.keys()], ["other"]);
      assert.deepEqual(api.created.map(({ spec }) => spec.nodeName).sort(), ["cp1", "w1"]);
      for (const { metadata, spec } of api.created) {
        for (const [key, value] of Object.entries(labels)) assert.equal(metadata.labels[key], value);
        assert.deepEqual(spec.imagePullSecrets, [{ name: "harbor-pull" }]);
        assert.deepEqual(spec["tolerations"], [{ operator: "Exists" }]);
        assert.equal(spec["automountServiceAccountToken"], false);
        assert.ok(Number(spec["activeDeadlineSeconds"]) > 0);
        assert.equal(spec.containers[0]!.image, image);
        assert.equal(spec.containers[0]!.imagePullPolicy, "Always");
      }
    });

    it("gives the kubelet's message where a pull fails, of each image that was asked for", async () => {
      const bad = `${registry}/ns1/missing:1`;
      api.kubelet = ({ spec }) =>
        spec.containers[0]!.image === bad
          ? {
              phase: "Pending",
              containerStatuses: [
                { imageID: "", state: { waiting: { reason: "ErrImagePull", message: "not found at all" } } },
              ],
            }
          : pulled();
      const more = Array.from({ length: 10 }, (_, index) => apiNode(`x${index}`));
      api.nodes.push(...more);
      const { code, stdout, stderr } = await verify(`--stack dev --pull --image ${image} --image ${bad}`);
      assert.equal(code, 1, stderr);
      assert.match(stdout, / PULL\n/);
      assert.match(stdout, /\nw1 .* NO\n/);
      assert.match(
        stdout,
        /node w1, node x0, .* and 6 more: harbor\.example:8443\/ns1\/missing:1 could not be pulled: not found at all/,
      );
      assert.equal(api.created.length, 22);
      assert.ok(api.peak <= 16, `there were ${api.peak} pods at once`);
      assert.equal(api.pods.size, 0);
    });

    it("makes a pod once more that somebody deleted", async () => {
      api.kubelet = pulled;
      api.onCreated = () => {
        if (api.created.length === 1) api.pods.clear();
      };
      await findings("--pull", 0);
      assert.equal(api.created.length, 2);
      assert.equal(api.pods.size, 0);
    });

    it("deletes its pods when it is ended by a signal", async () => {
      api.kubelet = () => ({ phase: "Pending" });
      const child = start("--stack dev --pull");
      api.onCreated = () => void child.kill("SIGTERM");
      const { code, stdout, stderr } = await ended(child);
      assert.equal(code, 2);
      assert.equal(stdout, "");
      assert.match(stderr, /SIGTERM: deleting the pods\n.*ended by SIGTERM/s);
      assert.equal(api.created.length, 1);
      assert.equal(api.pods.size, 0);
    });

    it("is refused for an image of no registry of the stack's, for none, and by a namespace that takes no such pod", async () => {
      const refused = async (words: string, message: RegExp): Promise<void> => {
        const { code, stdout, stderr } = await verify(`--stack dev --pull ${words}`.trim());
        assert.equal(code, 2, stdout);
        assert.match(stderr, message);
        assert.deepEqual([stdout, api.created], ["", []]);
      };
      await refused(
        "--image docker.io/library/nginx",
        /none of the stack's registries\. Give an image of harbor/,
      );
      write([stackResource({ ...outputs(), image: null }), ...nodes([node()])]);
      await refused("", /has no image\. Give one with --image/);
      state(node());
      api.refusal = 'pods "x" is forbidden: violates PodSecurity "made-up"';
      await refused("", /violates PodSecurity/);
    });
  });

  it("says what it could not find out, and why, with a code of its own", async () => {
    const refused = async (words: string, message: RegExp, searchPath?: string): Promise<void> => {
      const { code, stdout, stderr } = await verify(words, searchPath);
      assert.deepEqual([code, stdout], [2, ""], stderr);
      assert.match(stderr, message);
    };
    await refused("", /^--stack: it is missing\. See `npm run verify -- --help` \[bad-arguments\]\n$/);
    await refused("--stack -x --image a", /^arguments: /);
    await refused(
      "--stack dev --image a --expires-within x",
      /2 problems[^]*--expires-within: "x"[^]*--image: it is for --pull/,
    );
    await refused("--stack dev", /pulumi: it is not on PATH/, path.dirname(process.execPath));
    pulumi("echo \"error: no stack named 'dev' found\" >&2; exit 6");
    await refused("--stack dev", /stack dev: pulumi said: error: no stack named 'dev' found\. Name a stack/);
    pulumi("echo 'error: passphrase must be set with PULUMI_CONFIG_PASSPHRASE' >&2; exit 255");
    await refused("--stack dev", /Set PULUMI_CONFIG_PASSPHRASE or/);
    write([]);
    await refused("--stack dev", /stack dev: nothing is deployed\. Run `pulumi up` first/);
    state(node());
    delete api.secrets["tkc-cluster-1-ssh"];
    await refused(
      "--stack dev",
      /secret ns1\/tkc-cluster-1-ssh: neither it nor tkc-cluster-1-ssh-password exists/,
    );
  });

  it("has a help text", async () => {
    const { code, stdout } = await verify("--help");
    assert.equal(code, 0);
    assert.match(stdout, /^Usage: npm run verify -- --stack NAME/);
  });
});
