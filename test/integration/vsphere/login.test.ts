import assert from "node:assert/strict";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import { before, describe, it } from "node:test";
import { parseKubeconfigYaml } from "../../../kubernetes/kubeconfig";
import { login, type LoginRequest, type LoginResult } from "../../../vsphere/login";
import { Pki, type Identity } from "../certificates/pki";
import { type CommandResult, runCommand } from "../command";
import { problem, startServer, unusedPort, type Handler, type TestServer } from "../net/server";

const user = "alana@vsphere.local";
const password = "hunter2$x";
const basic = `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
const expires = new Date("2031-01-02T03:04:05.000Z");
const jwt = (subject: string): string =>
  [{ alg: "none" }, { sub: subject, exp: expires.getTime() / 1000 }]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".") + ".x";

let pki: Pki;
let vsphere: Identity;
let supervisorLeaf: Identity;
let clusterCa: Identity;
let clusterLeaf: Identity;

before(() => {
  pki = new Pki();
  vsphere = pki.ca("vSphere CA");
  supervisorLeaf = pki.server("supervisor", "IP:127.0.0.1", vsphere);
  clusterCa = pki.ca("tkc-cluster-1 CA");
  clusterLeaf = pki.server("kube-apiserver", "IP:127.0.0.1", clusterCa);
});

interface Vsphere extends AsyncDisposable {
  readonly supervisor: TestServer;
  readonly api: TestServer;
  readonly cluster: TestServer;
}

const ready: Handler = ({ url, headers }, response) => {
  const known = /^Bearer ey/.test(headers.authorization as string);
  response.writeHead(url === "/readyz" && known ? 200 : 401).end("ok");
};

/** A Supervisor with its login and its API, and a workload cluster; `change` answers in their place where it does. */
async function startVsphere(
  change: { login?: Handler; api?: Handler; cluster?: Handler; apiLeaf?: Identity; ca?: string } = {},
): Promise<Vsphere> {
  const api = await startServer(change.apiLeaf ?? supervisorLeaf, change.api ?? ready, [vsphere]);
  const cluster = await startServer(clusterLeaf, change.cluster ?? ready);
  const supervisor = await startServer(
    supervisorLeaf,
    (request, response) => {
      change.login?.(request, response);
      if (response.writableEnded) return;
      const body = JSON.parse(request.body) as {
        guest_cluster_name?: string;
        guest_cluster_namespace?: string;
      };
      if (request.url !== "/wcp/login" || request.method !== "POST") response.writeHead(404).end();
      else if (request.headers.authorization !== basic) response.writeHead(401).end("Unauthorized");
      else if (body.guest_cluster_name === undefined)
        response.end(JSON.stringify({ session_id: jwt("supervisor") }));
      else if (body.guest_cluster_name !== "tkc-cluster-1" || body.guest_cluster_namespace !== "ns1") {
        response.writeHead(404).end("guest cluster not found");
      } else {
        response.end(
          JSON.stringify({
            session_id: jwt("cluster"),
            guest_cluster_server: cluster.host,
            guest_cluster_ca: Buffer.from(change.ca ?? clusterCa.cert).toString("base64"),
          }),
        );
      }
    },
    [vsphere],
  );
  return {
    supervisor,
    api,
    cluster,
    async [Symbol.asyncDispose]() {
      await Promise.all([supervisor, api, cluster].map((server) => server[Symbol.asyncDispose]()));
    },
  };
}

const reports: string[] = [];
const logIn = ({ supervisor, api }: Vsphere, change: Partial<LoginRequest> = {}): Promise<LoginResult> =>
  login({
    server: { hostname: "127.0.0.1", port: supervisor.port },
    apiPort: api.port,
    trust: { ca: [vsphere.cert] },
    user,
    password,
    namespace: "ns1",
    cluster: "tkc-cluster-1",
    waitSeconds: 0,
    report: (line) => void reports.push(line),
    ...change,
  });

const refusal =
  (code: string, ...patterns: RegExp[]) =>
  (error: Error): boolean => {
    for (const secret of [password, basic.slice(6)]) assert.ok(!error.message.includes(secret));
    return problem(code, ...patterns)(error);
  };

describe("the login to a Supervisor", () => {
  it("gives a token for the Supervisor and one for the cluster, each with its server, CA and end", async () => {
    await using vcenter = await startVsphere();
    const { supervisor, cluster } = await logIn(vcenter);
    assert.deepEqual(supervisor, {
      name: vcenter.api.host,
      server: `https://${vcenter.api.host}`,
      ca: [vsphere.cert],
      token: jwt("supervisor"),
      expires,
    });
    assert.equal(cluster.server, `https://${vcenter.cluster.host}`);
    assert.equal(cluster.token, jwt("cluster"));
    assert.match(cluster.ca.join(""), /BEGIN CERTIFICATE/);
    assert.deepEqual(
      vcenter.supervisor.received.map(({ body }) => JSON.parse(body) as unknown),
      [{}, { guest_cluster_name: "tkc-cluster-1", guest_cluster_namespace: "ns1" }],
    );
  });

  it("takes the fingerprint of any certificate that is served, in the CA's place", async () => {
    await using vcenter = await startVsphere();
    for (const identity of [vsphere, supervisorLeaf]) {
      const { supervisor } = await logIn(vcenter, { trust: { sha256: identity.sha256 } });
      assert.equal(supervisor.ca.join("").replaceAll(/\s/g, ""), identity.cert.replaceAll(/\s/g, ""));
    }
  });

  it("sends no password to a server of another fingerprint, another CA or another name", async () => {
    const elsewhere = pki.server("elsewhere", "DNS:elsewhere.example.com", vsphere);
    await using wrong = await startServer(elsewhere, (_, response) => response.end("{}"), [vsphere]);
    await using vcenter = await startVsphere();
    const named = { server: { hostname: "127.0.0.1", port: wrong.port } };
    await assert.rejects(
      logIn(vcenter, { trust: { sha256: clusterCa.sha256 } }),
      refusal("supervisor-fingerprint-mismatch", new RegExp(vsphere.sha256), /not sent/, /--fingerprint/),
    );
    await assert.rejects(
      logIn(vcenter, { trust: { ca: [clusterCa.cert] } }),
      refusal("supervisor-certificate", new RegExp(vsphere.sha256)),
    );
    await assert.rejects(
      logIn(vcenter, { trust: "public-roots" }),
      refusal("supervisor-certificate", /--ca-file/),
    );
    await assert.rejects(logIn(vcenter, named), refusal("supervisor-certificate", /elsewhere\.example\.com/));
    await assert.rejects(
      logIn(vcenter, { ...named, trust: { sha256: vsphere.sha256 } }),
      refusal("supervisor-certificate"),
    );
    assert.deepEqual([...vcenter.supervisor.received, ...wrong.received], []);
  });

  it("fails on a wrong password, at once and without another try", async () => {
    await using vcenter = await startVsphere();
    await assert.rejects(
      logIn(vcenter, { password: "wrong", waitSeconds: 60 }),
      refusal("login-refused", /alana@vsphere\.local/, /401/),
    );
    assert.equal(vcenter.supervisor.received.length, 1);
  });

  it("fails on a cluster or namespace that is not known, or not this user's", async () => {
    await using vcenter = await startVsphere();
    await assert.rejects(
      logIn(vcenter, { cluster: "tkc-cluster-9" }),
      refusal("cluster-not-found", /"tkc-cluster-9" in namespace "ns1"/, /guest cluster not found/),
    );
    // A user of one namespace may not list the clusters of all.
    await assert.rejects(
      logIn(vcenter, { namespace: "ns9" }),
      refusal("cluster-not-found", /"ns9"/, /`kubectl -n ns9 get tanzukubernetesclusters`/),
    );
    await using forbidding = await startVsphere({ login: (_, response) => response.writeHead(403).end() });
    await assert.rejects(logIn(forbidding), refusal("login-refused", /no access/));
  });

  it("fails on what is not ready or not reached, and tells how to wait", async () => {
    await using starting = await startVsphere({ login: (_, response) => response.writeHead(503).end() });
    await assert.rejects(logIn(starting), refusal("supervisor-not-ready", /503/, /--wait/));
    await using unready = await startVsphere({ cluster: (_, response) => response.writeHead(500).end() });
    await assert.rejects(logIn(unready), refusal("cluster-not-ready", /tkc-cluster-1/));
    const port = await unusedPort(supervisorLeaf);
    await assert.rejects(
      logIn(unready, { server: { hostname: "127.0.0.1", port } }),
      refusal("supervisor-unreachable", /refused/),
    );
    await assert.rejects(
      logIn(unready, { apiPort: port }),
      refusal("supervisor-unreachable", new RegExp(`port ${port}`)),
    );
  });

  it("waits for what is not ready, and says so", async () => {
    let refusals = 1;
    await using vcenter = await startVsphere({
      login: (_, response) => {
        if (refusals-- > 0) response.writeHead(503).end();
      },
    });
    reports.length = 0;
    await logIn(vcenter, { waitSeconds: 30 });
    assert.match(reports.join("\n"), /Waiting, for up to \d+ s: .*503/);
  });

  it("fails where an API's certificate is not of the CA that was given for it", async () => {
    await using badCluster = await startVsphere({ ca: vsphere.cert });
    await assert.rejects(logIn(badCluster), refusal("cluster-certificate"));
    assert.deepEqual(badCluster.cluster.received, []);
    await using badApi = await startVsphere({ apiLeaf: clusterLeaf });
    await assert.rejects(logIn(badApi), refusal("supervisor-certificate"));
    assert.deepEqual(badApi.api.received, []);
  });

  it("fails where something else answers", async () => {
    const answers: [string, RegExp][] = [
      ["<html>", /not a login's/],
      ['{"session_id": "a b"}', /session_id/],
      ["{}", /session_id/],
    ];
    for (const [body, pattern] of answers) {
      await using vcenter = await startVsphere({ login: (_, response) => response.end(body) });
      await assert.rejects(logIn(vcenter), refusal("supervisor-answer", pattern));
    }
  });

  it("fails on an address of the cluster that there is not, or that means another one to others", async () => {
    for (const address of ["1.2.3.4.5", "10.0.0.1:99999", "[::::]", "0x7f.1", "-x"]) {
      const body = { guest_cluster_server: address, guest_cluster_ca: "x", session_id: jwt("cluster") };
      const answer: Handler = (request, response) => {
        if (request.body.includes("guest_cluster_name")) response.end(JSON.stringify(body));
      };
      await using vcenter = await startVsphere({ login: answer });
      await assert.rejects(logIn(vcenter), refusal("supervisor-answer", /guest_cluster_server/), address);
    }
  });

  it("repeats no refusal in which a server echoes what it was sent", async () => {
    const echo: Handler = ({ headers }, response) => response.writeHead(403).end(headers.authorization);
    await using vcenter = await startVsphere({ login: echo });
    await assert.rejects(
      logIn(vcenter),
      (error: Error) =>
        refusal("login-refused", /\(403\)/)(error) && !error.message.includes(basic.split(" ")[1]!),
    );
  });
});

describe("npm run login", () => {
  const run = (args: readonly string[], env: NodeJS.ProcessEnv): Promise<CommandResult> =>
    runCommand(["v1", "login", ...args], { HOME: pki.folder, ...env });

  it("writes both contexts beside what the kubeconfig had, mode 0600, and shows no token and no password", async () => {
    await using vcenter = await startVsphere();
    const kubeconfig = pki.file(
      "config",
      'clusters: [{name: mine, cluster: {server: "https://mine"}}]\ncontexts: [{name: mine, context: {cluster: mine, user: me}}]\ncurrent-context: mine\n',
    );
    const args = [
      ...["--server", vcenter.supervisor.host, "--api-port", String(vcenter.api.port)],
      ...[
        "--namespace",
        "ns1",
        "--cluster",
        "tkc-cluster-1",
        "--ca-file",
        pki.file("vsphere.crt", vsphere.cert),
      ],
    ];
    const env = {
      KUBECONFIG: kubeconfig,
      TKC_REGISTRY_VCENTER_USER: user,
      TKC_REGISTRY_VCENTER_PASSWORD: password,
    };
    const { code, stdout, stderr } = await run(args, env);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /ns1 .*valid until 2031-01-02T03:04:05\.000Z/);
    for (const secret of [password, jwt("supervisor"), jwt("cluster")])
      assert.ok(!(stdout + stderr).includes(secret));
    assert.equal(statSync(kubeconfig).mode & 0o777, 0o600);

    const config = (await parseKubeconfigYaml(readFileSync(kubeconfig, "utf8"), kubeconfig)) as {
      contexts: { name: string; context: { namespace?: string; user: string } }[];
      users: { name: string; user: { token: string } }[];
      "current-context": string;
    };
    assert.equal(config["current-context"], "mine");
    assert.deepEqual(
      config.contexts.map(({ name, context }) => [name, context.namespace]),
      [
        ["mine", undefined],
        ["ns1", "ns1"],
        ["tkc-cluster-1", undefined],
      ],
    );
    assert.deepEqual(
      config.users.map(({ user: { token } }) => token),
      [jwt("supervisor"), jwt("cluster")],
    );

    await using another = await startVsphere();
    const moved = [
      ...args.slice(0, 1),
      another.supervisor.host,
      "--api-port",
      String(another.api.port),
      ...args.slice(4),
    ];
    const before = readFileSync(kubeconfig, "utf8");
    const refused = await run(moved, env);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /context "ns1" there is for https:\/\/127\.0\.0\.1:\d+[^]*--force/);
    assert.equal(readFileSync(kubeconfig, "utf8"), before);
    assert.equal((await run([...moved, "--force"], env)).code, 0);
  });

  it("keeps two sites of the same names side by side in one kubeconfig, each under its own contexts", async () => {
    await using here = await startVsphere();
    await using there = await startVsphere();
    const kubeconfig = path.join(pki.folder, "sites");
    const logInTo = ({ supervisor, api }: Vsphere, ...names: string[]): Promise<CommandResult> =>
      run(
        [
          ...["--server", supervisor.host, "--api-port", String(api.port), "--namespace", "ns1"],
          ...["--cluster", "tkc-cluster-1", "--fingerprint", vsphere.sha256, "--kubeconfig", kubeconfig],
          ...names,
        ],
        { TKC_REGISTRY_VCENTER_USER: user, TKC_REGISTRY_VCENTER_PASSWORD: password },
      );
    const own = ["--supervisor-context", "ns1@there", "--cluster-context", "tkc-cluster-1@there"];
    const servers = async (): Promise<Record<string, [string | undefined, string | undefined]>> => {
      const { contexts, clusters, users } = (await parseKubeconfigYaml(
        readFileSync(kubeconfig, "utf8"),
        kubeconfig,
      )) as {
        contexts: { name: string; context: { cluster: string; user: string } }[];
        clusters: { name: string; cluster: { server: string } }[];
        users: { name: string; user: { token: string } }[];
      };
      return Object.fromEntries(
        contexts.map(({ name, context }) => [
          name,
          [
            clusters.find((cluster) => cluster.name === context.cluster)?.cluster.server,
            users.find((each) => each.name === context.user)?.user.token,
          ],
        ]),
      );
    };
    const both = {
      ns1: [`https://${here.api.host}`, jwt("supervisor")],
      "tkc-cluster-1": [`https://${here.cluster.host}`, jwt("cluster")],
      "ns1@there": [`https://${there.api.host}`, jwt("supervisor")],
      "tkc-cluster-1@there": [`https://${there.cluster.host}`, jwt("cluster")],
    };

    assert.equal((await logInTo(here)).code, 0);
    const refused = await logInTo(there);
    assert.equal(refused.code, 1);
    for (const name of ["ns1", "tkc-cluster-1"])
      assert.match(
        refused.stderr,
        new RegExp(
          `context "${name}" there is for https://\\S+, not https://\\S+\\s+→ Keep both: log in with --super`,
        ),
      );
    const named = await logInTo(there, ...own);
    assert.equal(named.code, 0, named.stderr);
    assert.match(
      named.stdout,
      /\n {2}ns1@there {2}https[^]*\n {2}tkc-cluster-1@there {2}https[^]*supervisorContext/,
    );
    assert.deepEqual(await servers(), both);
    // Each of them again, as after ten hours.
    assert.equal((await logInTo(there, ...own)).code, 0);
    assert.equal((await logInTo(here)).code, 0);
    assert.deepEqual(await servers(), both);
    const crossed = await logInTo(here, ...own);
    assert.equal(crossed.code, 1);
    assert.match(crossed.stderr, /context "ns1@there" there is for/);
    assert.deepEqual(await servers(), both);
  });

  it("asks for nothing where there is no terminal, and says which variable to set", async () => {
    const { code, stderr } = await run(["--server", "127.0.0.1", "--namespace", "ns1", "--cluster", "c"], {
      TKC_REGISTRY_VCENTER_USER: user,
    });
    assert.equal(code, 1);
    assert.match(stderr, /TKC_REGISTRY_VCENTER_PASSWORD: it is not set, and there is no terminal/);
  });

  it("leaves the kubeconfig alone when the login fails, and explains itself", async () => {
    await using vcenter = await startVsphere();
    const kubeconfig = path.join(pki.folder, "untouched");
    writeFileSync(kubeconfig, "");
    const { code, stderr } = await run(
      [
        ...[
          "--server",
          vcenter.supervisor.host,
          "--api-port",
          String(vcenter.api.port),
          "--namespace",
          "ns1",
        ],
        ...[
          "--cluster",
          "tkc-cluster-1",
          "--fingerprint",
          vsphere.sha256,
          "--kubeconfig",
          kubeconfig,
          "--user",
          user,
        ],
      ],
      { TKC_REGISTRY_VCENTER_PASSWORD: "wrong" },
    );
    assert.equal(code, 1);
    assert.match(stderr, /does not accept the user/);
    assert.doesNotMatch(stderr, /\n\s+at /);
    assert.equal(readFileSync(kubeconfig, "utf8"), "");
    const { stdout } = await run(["--help"], {});
    assert.match(stdout, /Usage: npm run login/);
  });
});
