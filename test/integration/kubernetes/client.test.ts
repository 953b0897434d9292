import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, readFileSync } from "node:fs";
import type { RequestOptions } from "node:https";
import { type Socket, connect } from "node:net";
import * as path from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import type { Cluster, KubeConfig } from "@kubernetes/client-node";
import { checkRights, dryRunPod, dryRunSecret, findSecret } from "../../../kubernetes/checks";
import { kubeContext, type KubeContext } from "../../../kubernetes/client";
import { execInfo, limitPlugins } from "../../../kubernetes/credentialPlugin";
import { discoverNodes } from "../../../kubernetes/nodes";
import { Pki, type Identity } from "../certificates/pki";
import { problem, startServer, unusedPort, type Handler, type TestServer } from "../net/server";

/** An API server's answers by `METHOD path`; 404 for the rest. */
type Answers = Record<string, { status?: number; body: unknown } | undefined>;

const status = (code: number, message: string): { status: number; body: unknown } => ({
  status: code,
  body: { kind: "Status", apiVersion: "v1", status: "Failure", message, code },
});

describe("a cluster through a kubeconfig context", () => {
  let pki: Pki;
  let ca: Identity;
  let leaf: Identity;
  let server: TestServer;
  let answers: Answers = {};
  const kubeconfig = process.env.KUBECONFIG;
  const api: Handler = ({ method, url, headers }, response) => {
    const answer =
      headers.authorization === "Bearer good"
        ? (answers[`${method} ${url}`] ?? status(404, `${url} not found`))
        : status(401, "Unauthorized");
    response
      .writeHead(answer.status ?? 200, { "content-type": "application/json" })
      .end(JSON.stringify(answer.body));
  };

  const write = (name: string, change: { server?: string; ca?: Identity; token?: string } = {}): string =>
    pki.file(
      name,
      JSON.stringify({
        clusters: [
          {
            name: "c",
            cluster: {
              server: change.server ?? `https://${server.host}`,
              "certificate-authority-data": Buffer.from((change.ca ?? ca).cert).toString("base64"),
            },
          },
          { name: "broken" },
        ],
        users: [{ name: "u", user: { token: change.token ?? "good" } }],
        contexts: [
          { name: "tkc-cluster-1", context: { cluster: "c", user: "u" } },
          { name: "halfway", context: { cluster: "broken", user: "u" } },
        ],
      }),
    );
  const open = (name = "tkc-cluster-1"): Promise<KubeContext> =>
    kubeContext(name, { subject: "clusterContext", login: () => "npm run login -- --server 10.0.0.1" });

  before(async () => {
    pki = new Pki();
    ca = pki.ca("kubernetes");
    leaf = pki.server("kube-apiserver", "IP:127.0.0.1", ca);
    server = await startServer(leaf, api);
  });
  beforeEach(() => {
    answers = {};
    server.received.length = 0;
    process.env.KUBECONFIG = write("config");
  });
  after(async () => {
    if (kubeconfig === undefined) delete process.env.KUBECONFIG;
    else process.env.KUBECONFIG = kubeconfig;
    await server[Symbol.asyncDispose]();
  });

  describe("is opened", () => {
    it("without a request, from the first file that has it, as kubectl reads KUBECONFIG", async () => {
      const first = write("first", { token: "first" });
      process.env.KUBECONFIG = `/proc/nonexistent:${pki.file("empty", "# none\n")}:${process.env.KUBECONFIG ?? ""}:${first}`;
      const context = await open();
      assert.equal(context.server, `https://${server.host}`);
      assert.deepEqual(server.received, []);
      answers["GET /api/v1/nodes"] = { body: { items: [] } };
      await assert.rejects(discoverNodes(context), problem("no-nodes"));
    });

    it("or told with the contexts that there are", async () => {
      await assert.rejects(
        open("ns1"),
        problem(
          "context-not-found",
          /clusterContext/,
          /"ns1"; it has halfway, tkc-cluster-1/,
          /npm run login/,
        ),
      );
      await assert.rejects(open("halfway"), problem("context-incomplete", /names a cluster/));
      process.env.KUBECONFIG = "/nonexistent/config";
      await assert.rejects(open(), problem("kubeconfig-missing", /\/nonexistent\/config/, /npm run login/));
      process.env.KUBECONFIG = pki.file("bad", "users: [secret");
      await assert.rejects(
        open(),
        (error: Error) => problem("kubeconfig-malformed")(error) && !error.message.includes("secret"),
      );
    });
  });

  it("answers many questions at once, over a few connections", async () => {
    answers["GET /api/v1/nodes/w1"] = { body: { metadata: { name: "w1" } } };
    const context = await open();
    const ask = async (): Promise<string | undefined> => {
      const node = await context.request({ verb: "get", resource: "nodes" }, () =>
        context.core.readNode({ name: "w1" }),
      );
      return node.metadata?.name;
    };
    const names = await Promise.all(Array.from({ length: 100 }, ask));
    assert.deepEqual([...new Set(names)], ["w1"]);
    assert.ok(server.connections < 20, `${server.connections} connections`);
  });

  describe("answers, or the reason is told:", () => {
    const list = async (): Promise<unknown> => discoverNodes(await open());

    it("an expired login, with the command that renews it", async () => {
      process.env.KUBECONFIG = write("expired", { token: "expired" });
      await assert.rejects(
        list(),
        problem("login-expired", /context tkc-cluster-1/, /`npm run login -- --server 10\.0\.0\.1`/),
      );
    });

    it("no rights, with the verb and what on", async () => {
      answers["GET /api/v1/nodes"] = status(403, 'nodes is forbidden: User "alana" cannot list resource');
      await assert.rejects(list(), problem("no-rights", /may not list nodes \(403: nodes is forbidden/));
    });

    it("a cluster that is unwell, not reached, or of another CA", async () => {
      answers["GET /api/v1/nodes"] = status(503, "etcd is away");
      await assert.rejects(list(), problem("cluster-failing", /503: etcd is away/));
      process.env.KUBECONFIG = write("away", { server: `https://127.0.0.1:${await unusedPort(leaf)}` });
      await assert.rejects(list(), problem("cluster-unreachable", /connection is refused/));
      process.env.KUBECONFIG = write("other", { ca: pki.ca("other") });
      await assert.rejects(list(), problem("cluster-certificate", /authority that is not trusted/));
    });

    it("a cluster that is not reached, at once for all who wait, and anew for who asks later", async () => {
      const port = await unusedPort(leaf);
      process.env.KUBECONFIG = write("later", { server: `https://127.0.0.1:${port}` });
      const context = await open();
      const asked = await Promise.allSettled(Array.from({ length: 20 }, () => discoverNodes(context)));
      for (const each of asked) {
        assert.equal(each.status, "rejected");
        assert.ok(problem("cluster-unreachable")(each.reason as Error));
      }
      await using there = await startServer(leaf, api, [], {}, port);
      answers["GET /api/v1/nodes"] = { body: { items: [] } };
      await assert.rejects(discoverNodes(context), problem("no-nodes"));
      assert.equal(there.connections, 1);
    });

    it("a cluster that takes no connection, before its time for an answer is up", async () => {
      // A listener whose queue is full: the kernel drops what comes then, as a firewall does.
      const listen = `require("net").createServer().listen({port: 0, host: "127.0.0.1", backlog: 1}, function () {
        console.log(this.address().port); process.kill(process.pid, "SIGSTOP"); })`;
      const listener = spawn(process.execPath, ["-e", listen], { stdio: ["ignore", "pipe", "inherit"] });
      const sockets: Socket[] = [];
      try {
        const [chunk] = (await once(listener.stdout, "data")) as [Buffer];
        const port = Number(chunk.toString());
        for (let count = 0; count < 4; count += 1)
          sockets.push(connect(port, "127.0.0.1").on("error", () => {}));
        process.env.KUBECONFIG = write("full", { server: `https://127.0.0.1:${port}` });
        await assert.rejects(list(), problem("cluster-unreachable", /it takes no connection within 10 s/));
      } finally {
        sockets.forEach((socket) => socket.destroy());
        listener.kill("SIGKILL");
      }
    });

    it("a credential that cannot be had", async () => {
      const exec = { apiVersion: "client.authentication.k8s.io/v1", command: "/nonexistent/login" };
      process.env.KUBECONFIG = pki.file(
        "exec",
        JSON.stringify({
          clusters: [{ name: "c", cluster: { server: `https://${server.host}` } }],
          users: [{ name: "u", user: { exec } }],
          contexts: [{ name: "tkc-cluster-1", context: { cluster: "c", user: "u" } }],
        }),
      );
      await assert.rejects(list(), problem("cluster-credential", /\/nonexistent\/login/));
    });

    it("a context that would send its token to whoever answers, before anything is sent", async () => {
      const entry = (cluster: object) =>
        pki.file(
          "insecure",
          JSON.stringify({
            clusters: [{ name: "c", cluster }],
            users: [{ name: "u", user: { token: "good" } }],
            contexts: [{ name: "tkc-cluster-1", context: { cluster: "c", user: "u" } }],
          }),
        );
      for (const cluster of [
        { server: `https://${server.host}`, "insecure-skip-tls-verify": true },
        { server: `http://${server.host}` },
        { server: `HTTP://${server.host}` },
      ]) {
        process.env.KUBECONFIG = entry(cluster);
        await assert.rejects(open(), problem("context-insecure", /tkc-cluster-1/));
      }
      assert.deepEqual(server.received, []);
    });

    it("a token that no header takes, from the file or a plugin, without a word of it", async () => {
      const secret = "eyJhbGciOi-the-token";
      for (const bad of [`${secret}\n`, `${secret} `, `${secret}\r\n`, `a\n${secret}`, `${secret}\u00fc`]) {
        process.env.KUBECONFIG = write("broken-token", { token: bad });
        await assert.rejects(list(), (error: Error) => {
          assert.ok(!error.message.includes(secret), error.message);
          return problem("cluster-credential", /its token has a line break/)(error);
        });
      }
    });

    it("a user of whom something is not sent, since its rights would be others", async () => {
      process.env.KUBECONFIG = pki.file(
        "groups",
        JSON.stringify({
          clusters: [{ name: "c", cluster: { server: `https://${server.host}` } }],
          users: [{ name: "u", user: { token: "good", as: "ann", "as-groups": ["dev"] } }],
          contexts: [{ name: "tkc-cluster-1", context: { cluster: "c", user: "u" } }],
        }),
      );
      await assert.rejects(open(), problem("context-unsupported", /as-groups/));
    });

    describe("a tokenFile", () => {
      const withFile = (tokenFile: string, token?: string): string =>
        pki.file(
          "token-file",
          JSON.stringify({
            clusters: [
              {
                name: "c",
                cluster: {
                  server: `https://${server.host}`,
                  "certificate-authority-data": Buffer.from(ca.cert).toString("base64"),
                },
              },
            ],
            users: [{ name: "u", user: { tokenFile, ...(token === undefined ? {} : { token }) } }],
            contexts: [{ name: "tkc-cluster-1", context: { cluster: "c", user: "u" } }],
          }),
        );

      it("is read as client-go reads it: beside the kubeconfig, without its line end, before a token", async () => {
        answers["GET /api/v1/nodes"] = { body: { items: [] } };
        const file = pki.file("token", "good\n");
        for (const [name, token] of [[file], [`./${path.basename(file)}`], [file, "old"]] as const) {
          process.env.KUBECONFIG = withFile(name, token);
          await assert.rejects(list(), problem("no-nodes"));
        }
      });

      it("that is missing is told with its path; with a token beside it, that counts", async () => {
        answers["GET /api/v1/nodes"] = { body: { items: [] } };
        process.env.KUBECONFIG = withFile("/nonexistent/token");
        await assert.rejects(
          open(),
          problem("cluster-credential", /tokenFile \/nonexistent\/token .*ENOENT/),
        );
        process.env.KUBECONFIG = withFile("/nonexistent/token", "good");
        await assert.rejects(list(), problem("no-nodes"));
      });
    });

    it("an API that is only reached through a proxy, with the way to name it", async () => {
      process.env.KUBECONFIG = write("unreached", { server: `https://127.0.0.1:${await unusedPort(leaf)}` });
      process.env.HTTPS_PROXY = "http://user:secret@proxy.example.com:3128";
      try {
        await assert.rejects(list(), (error: Error) => {
          assert.ok(!error.message.includes("secret"));
          return problem("cluster-unreachable", /HTTPS_PROXY is set, and is not used .*proxy-url/)(error);
        });
      } finally {
        delete process.env.HTTPS_PROXY;
      }
    });

    describe("a credential plugin", () => {
      const secret = "plugin-secret";
      /** The kubeconfig's client with a plugin that is this shell script. */
      const through = async (script: string, seconds = 30): Promise<KubeConfig> => {
        const { KubeConfig } = await import("@kubernetes/client-node");
        const config = new KubeConfig();
        const command = pki.file(`plugin-${(count += 1)}`, `#!/bin/sh\n${script}\n`);
        chmodSync(command, 0o755);
        const env = [{ name: "SECRET", value: secret }];
        config.loadFromClusterAndUser({ name: "c", server: `https://${server.host}` } as Cluster, {
          name: "u",
          exec: { apiVersion: "client.authentication.k8s.io/v1", command, env },
        });
        limitPlugins(config, {
          context: "ns1",
          user: config.getCurrentUser()!,
          cluster: config.getCurrentCluster()!,
          seconds,
        });
        return config;
      };
      let count = 0;
      const token = async (config: KubeConfig): Promise<unknown> => {
        const options: RequestOptions = { headers: {} };
        await config.applyToHTTPSOptions(options);
        return (options.headers as Record<string, unknown>).Authorization;
      };

      it("gives its token, and gets its own environment and none of our secrets", async () => {
        process.env.PULUMI_CONFIG = secret;
        try {
          const config = await through(
            `[ "$SECRET" = ${secret} ] || exit 3; [ -z "\${PULUMI_CONFIG+set}" ] || exit 4
             cat; echo '{"status":{"token":"t"}}'`,
          );
          assert.equal(await token(config), "Bearer t");
        } finally {
          delete process.env.PULUMI_CONFIG;
        }
      });

      it("is told what is asked of it, as client-go tells it", async () => {
        const config = await through(
          `[ -n "$KUBERNETES_EXEC_INFO" ] || exit 5
           echo "{\\"status\\":{\\"token\\":\\"$(printf %s "$KUBERNETES_EXEC_INFO" | base64 | tr -d '\\n')\\"}}"`,
        );
        const sent = String(await token(config)).replace("Bearer ", "");
        assert.deepEqual(JSON.parse(Buffer.from(sent, "base64").toString()), {
          kind: "ExecCredential",
          apiVersion: "client.authentication.k8s.io/v1",
          spec: { interactive: false },
        });
        const exec = { apiVersion: "client.authentication.k8s.io/v1beta1", provideClusterInfo: true };
        const cluster = { name: "c", server: "https://api:6443", caData: "Y2E=", skipTLSVerify: false };
        assert.deepEqual(JSON.parse(execInfo({ exec }, cluster)), {
          kind: "ExecCredential",
          apiVersion: "client.authentication.k8s.io/v1beta1",
          spec: {
            cluster: { server: "https://api:6443", "certificate-authority-data": "Y2E=" },
            interactive: false,
          },
        });
      });

      it("whose token no header takes is refused, without a word of it", async () => {
        const config = await through(`printf '{"status":{"token":"the-plugins-token\\\\n"}}'`);
        await assert.rejects(token(config), (error: Error) => {
          assert.ok(!error.message.includes("the-plugins-token"), error.message);
          return problem("cluster-credential", /prints a token with a line break/)(error);
        });
      });

      it("that hangs, its own children too, is ended", async () => {
        const pid = path.join(pki.folder, "plugin.pid");
        const config = await through(`sleep 600 & echo $! > '${pid}'; wait`, 3);
        await assert.rejects(
          token(config),
          problem("cluster-credential", /context ns1.*plugin-\d+" does not end within 3 s/),
        );
        process.kill(Number(readFileSync(pid, "utf8")));
      });

      it("that fails is told without a word of what it printed", async () => {
        for (const [script, seen] of [
          ['set -x; : "$SECRET"; exit 7', /ends with code 7/],
          ['echo "$SECRET"', /prints no credential/],
          ["echo '{}'", /prints no credential/],
          ['while :; do echo "$SECRET"; done', /prints without end/],
          ['echo "$SECRET"; kill -9 $$', /is ended by a signal/],
        ] as const) {
          await assert.rejects(
            token(await through(script)),
            (error: Error) =>
              problem("cluster-credential", seen, /kubectl --context ns1/)(error) &&
              !error.message.includes(secret),
            script,
          );
        }
      });
    });

    it("a CA that is no root is taken, as kubectl takes it", async () => {
      const intermediate = pki.ca("intermediate", ca);
      await using below = await startServer(pki.server("below", "IP:127.0.0.1", intermediate), api);
      process.env.KUBECONFIG = write("partial", { server: `https://${below.host}`, ca: intermediate });
      answers["GET /api/v1/nodes"] = { body: { items: [] } };
      await assert.rejects(list(), problem("no-nodes"));
    });
  });

  it("gives its nodes", async () => {
    answers["GET /api/v1/nodes"] = {
      body: {
        kind: "NodeList",
        apiVersion: "v1",
        metadata: { resourceVersion: "1" },
        items: [
          {
            metadata: {
              name: "worker-1",
              uid: "6f1c8f0e-5d3c-4c7b-9d52-2f7f1b8f9a11",
              creationTimestamp: "2020-09-18T02:44:13Z",
              labels: { "kubernetes.io/os": "linux" },
            },
            status: {
              addresses: [{ type: "InternalIP", address: "198.18.1.12" }],
              conditions: [{ type: "Ready", status: "True", lastHeartbeatTime: "2020-09-18T02:44:13Z" }],
              nodeInfo: {
                machineID: "ec2a5a6c1f1a4b1d8f9a5a6c1f1a4b1d",
                osImage: "Debian GNU/Linux 12 (bookworm)",
                containerRuntimeVersion: "containerd://1.6.20~ds1",
              },
            },
          },
        ],
      },
    };
    const [node] = (await discoverNodes(await open())).nodes;
    assert.deepEqual(
      [node!.name, node!.address, node!.role, node!.ready],
      ["worker-1", "198.18.1.12", "worker", true],
    );
  });

  it("tells every right that is missing in one list", async () => {
    const review = "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    const needs = [
      { verb: "get", resource: "nodes" },
      { verb: "list", resource: "nodes" },
      { verb: "create", resource: "pods", subresource: "exec", namespace: "ns1" },
      { verb: "patch", group: "apps", resource: "deployments", namespace: "default", name: "web" },
    ];
    answers[review] = { status: 201, body: { status: { allowed: true } } };
    await checkRights(await open(), needs);
    assert.deepEqual(
      server.received.map(
        ({ body }) => (JSON.parse(body) as { spec: { resourceAttributes: unknown } }).spec.resourceAttributes,
      ),
      needs.map((need) => ({ group: "", ...need })),
    );
    answers[review] = { status: 201, body: { status: { allowed: false } } };
    await assert.rejects(
      checkRights(await open(), needs),
      problem(
        "no-rights",
        /may not get, list nodes; create pods\/exec in namespace ns1; patch deployments\.apps "web" in namespace default\./,
      ),
    );
  });

  it("reads a Secret with its labels and decoded values", async () => {
    const context = await open();
    const metadata = { name: "x", uid: "uid-of-x", labels: { app: "a" }, annotations: { note: "n" } };
    answers["GET /api/v1/namespaces/ns1/secrets/x"] = {
      body: { metadata, data: { key: Buffer.from("väl").toString("base64") } },
    };
    assert.deepEqual(await findSecret(context, "ns1", "x"), {
      uid: "uid-of-x",
      labels: { app: "a" },
      annotations: { note: "n" },
      deleting: false,
      type: "Opaque",
      immutable: false,
      data: { key: "väl" },
    });
    assert.equal(await findSecret(context, "ns1", "absent"), undefined);
    answers["GET /api/v1/namespaces/ns1/secrets/x"] = status(403, "no");
    await assert.rejects(
      findSecret(context, "ns1", "x"),
      problem("no-rights", /get secrets "x" in namespace ns1/),
    );
  });

  it("tells that a pull secret's namespace is missing, without creating anything", async () => {
    const context = await open();
    const request = "POST /api/v1/namespaces/team/secrets?dryRun=All";
    answers[request] = { status: 201, body: {} };
    await dryRunSecret(context, "team", "pullSecret.namespaces");
    answers[request] = status(404, 'namespaces "team" not found');
    await assert.rejects(
      dryRunSecret(context, "team", "pullSecret.namespaces"),
      problem("namespace-not-found", /pullSecret\.namespaces/, /no namespace team/),
    );
  });

  it("tries a pod without creating it, and tells what admission says", async () => {
    const context = await open();
    const request = "POST /api/v1/namespaces/default/pods?dryRun=All";
    const spec = { containers: [{ name: "c", image: "harbor.example.com/ns1/nginx" }] };
    answers[request] = { status: 201, body: {} };
    await dryRunPod(context, "default", { metadata: { labels: { app: "a" } }, spec });
    const sent = JSON.parse(server.received[0]!.body) as { metadata: unknown };
    assert.deepEqual(sent.metadata, { generateName: "tkc-registry-dry-run-", labels: { app: "a" } });

    const cases: [number, string, string, RegExp][] = [
      [
        403,
        'pods "tkc-registry-dry-run-x" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false',
        "pod-security",
        /deployment: namespace default would refuse the pod: it violates PodSecurity "restricted:latest": allow.*enforce=baseline/,
      ],
      [403, "exceeded quota: compute", "pod-refused", /exceeded quota/],
      [422, "Pod is invalid: spec.containers", "pod-refused", /is invalid/],
      [404, 'namespaces "default" not found', "namespace-not-found", /no namespace default/],
      [
        403,
        'pods is forbidden: User "alana" cannot create resource "pods"',
        "no-rights",
        /may not create pods in namespace default/,
      ],
      [401, "Unauthorized", "login-expired", /npm run login/],
    ];
    for (const [code, message, expected, pattern] of cases) {
      answers[request] = status(code, message);
      await assert.rejects(
        dryRunPod(context, "default", { spec }, { subject: "deployment" }),
        problem(expected, pattern),
      );
    }
  });
});
