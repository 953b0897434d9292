/**
 * `npm run init` as a person runs it, in a process and a folder of its own: with API servers, registries, and a terminal
 * where somebody answers.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { parse } from "yaml";
import { assertBuildIsFresh, packageRoot } from "../../../../support/build";
import { shellWord } from "../../../../support/text";
import type { Identity } from "../../certificates/pki";
import type { CommandResult } from "../../command";
import { FakeApi } from "../../kubernetes/fakeApi";
import { type Handler, type TestServer, startServer } from "../../net/server";

const base64 = (text: string): string => Buffer.from(text).toString("base64");
assertBuildIsFresh();
/** What comes before the words of `init`, in any folder. */
const command = [
  "-e",
  `require(${JSON.stringify(path.join(packageRoot, "dist", "run.js"))})`,
  "--",
  "v1",
  "init",
];

/** What a registry's user is logged in with. */
const login = "puller:a password";

describe("init", () => {
  let api: FakeApi;
  let root: Identity;
  let other: Identity;
  let leaf: Identity;
  let registry: Handler;
  /** Harbor, which offers its CA; and a registry that serves the whole chain. */
  let harbor: TestServer;
  let generic: TestServer;
  let folder: string;
  let home: string;

  before(async () => {
    api = await FakeApi.start();
    const { pki } = api;
    [root, other] = [pki.ca("Example Root"), pki.ca("Other Root")];
    leaf = pki.server("registry", "IP:127.0.0.1", root);
    registry = ({ method, headers, url }, response) => {
      if (url === "/api/v2.0/systeminfo/getcert") response.end(root.cert);
      else if (headers.authorization !== `Basic ${base64(login)}`)
        response.writeHead(401, { "www-authenticate": "Basic" }).end();
      else if (url === "/v2/" || url.includes("/nginx/"))
        response.end(method === "HEAD" ? undefined : JSON.stringify({ schemaVersion: 2 }));
      else response.writeHead(404).end();
    };
    harbor = await startServer(leaf, registry);
    const plain: Handler = (request, response) =>
      request.url.includes("getcert") ? response.writeHead(404).end() : registry(request, response);
    generic = await startServer(leaf, plain, [root]);
  });
  after(async () => {
    await Promise.all([harbor, generic].map((server) => server[Symbol.asyncDispose]()));
    await api.stop();
  });
  beforeEach(() => {
    folder = fs.mkdtempSync(path.join(api.pki.folder, "project-"));
    home = fs.mkdtempSync(path.join(api.pki.folder, "home-"));
    fs.writeFileSync(path.join(folder, "Pulumi.yaml"), "name: tkc-registry\nruntime: nodejs\n");
    const auths = { [harbor.host]: { auth: base64(login) }, [generic.host]: { auth: base64(login) } };
    fs.mkdirSync(path.join(home, ".docker"));
    fs.writeFileSync(path.join(home, ".docker", "config.json"), JSON.stringify({ auths }));
    for (const server of [harbor, generic]) server.received.length = 0;
    wellClusters();
  });

  /** A Supervisor and a cluster on which a stack could be brought up. */
  const wellClusters = (): void => {
    api.reset();
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
    const key = privateKey.export({ type: "sec1", format: "pem" }) as string;
    api.secret("tkc-cluster-1-ssh", { "ssh-privatekey": key });
    const administrator = {
      clusters: [
        { name: "c", cluster: { server: api.server, "certificate-authority-data": base64(api.ca) } },
      ],
    };
    api.secret("tkc-cluster-1-kubeconfig", { value: JSON.stringify(administrator) });
    api.cluster("cluster.x-k8s.io", { metadata: { uid: "cluster-1" } });
    api.object("tkc-cluster-1", "/api/v1/namespaces/kube-system", { metadata: { uid: "system-1" } });
    for (const context of ["ns1", "tkc-cluster-1"] as const) {
      const review = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
      api.object(context, review, { status: { allowed: true } });
    }
    api.object("ns1", "/api/v1/namespaces/ns1/pods", { metadata: {} });
    for (const kind of ["pods", "secrets"])
      api.object("tkc-cluster-1", `/api/v1/namespaces/default/${kind}`, { metadata: {} });
    api.node("w1", {
      metadata: { name: "w1", uid: "uid-w1" },
      status: {
        addresses: [{ type: "InternalIP", address: "198.18.1.7" }],
        conditions: [{ type: "Ready", status: "True" }],
        nodeInfo: {
          machineID: "0".repeat(32),
          osImage: "VMware Photon OS/Linux",
          containerRuntimeVersion: "containerd://1.6.20",
        },
      },
    });
  };

  const environment = (PATH = process.env.PATH): NodeJS.ProcessEnv => ({
    ...{ PATH, HOME: home, KUBECONFIG: api.kubeconfig, TERM: "dumb" },
  });
  const ended = async (child: ChildProcess): Promise<CommandResult> => {
    const output = { stdout: "", stderr: "" };
    child.stdout?.setEncoding("utf8").on("data", (text: string) => (output.stdout += text));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (output.stderr += text));
    const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
    assert.doesNotMatch(output.stdout + output.stderr, /a password|PRIVATE KEY|\n\s+at /);
    return { code, ...output };
  };
  const init = (...args: string[]): Promise<CommandResult> =>
    ended(
      spawn(process.execPath, [...command, ...args], {
        ...{ cwd: folder, env: environment(), stdio: ["ignore", "pipe", "pipe"] },
      }),
    );

  /**
   * Runs it at a terminal, where each question is answered when it is asked.
   *
   * @param pulumi - A folder with a `pulumi`.
   */
  const talk = async (
    args: readonly string[],
    answers: readonly (readonly [question: string, answer: string])[],
    pulumi?: string,
  ): Promise<{ code: number | null; said: string }> => {
    const line = [process.execPath, ...command, ...args].map(shellWord).join(" ");
    const child = spawn("script", ["-qefc", line, "/dev/null"], {
      cwd: folder,
      env: environment(pulumi && `${pulumi}:${process.env.PATH!}`),
      stdio: ["pipe", "pipe", "pipe"],
    });
    const left = [...answers];
    let unread = "";
    child.stdout.on("data", (chunk: Buffer) => {
      unread += chunk.toString();
      const [question, answer] = left[0] ?? ["", ""];
      const at = unread.indexOf(question);
      if (left.length === 0 || at < 0) return;
      unread = unread.slice(at + question.length);
      left.shift();
      child.stdin.write(`${answer}\n`);
    });
    const { code, stdout } = await ended(child);
    assert.deepEqual(left, [], stdout);
    return { code, said: stdout.replaceAll("\r", "") };
  };

  const file = (stack: string): string => path.join(folder, `Pulumi.${stack}.yaml`);
  const written = (stack: string): Record<string, unknown> => {
    const { config } = parse(fs.readFileSync(file(stack), "utf8")) as { config: Record<string, unknown> };
    return Object.fromEntries(
      Object.entries(config).map(([name, value]) => [name.replace("tkc-registry:", ""), value]),
    );
  };
  /** The files of the folder, but for those that were there. */
  const files = (): string[] => fs.readdirSync(folder).filter((name) => name !== "Pulumi.yaml");
  const place = ["--namespace", "ns1", "--cluster", "tkc-cluster-1"];

  it("writes what the flags say and the registries show, makes the checks of a run, and says what is next", async () => {
    const { code, stdout, stderr } = await init(
      ...["dev", ...place, "--registry", harbor.host, "--registry", `${generic.host},ca=chain`],
      ...["--ca-sha256", `${harbor.host}=${root.sha256}`, "--trust-on-first-use", generic.host],
      ...["--image", `${harbor.host}/ns1/nginx:1`],
    );
    assert.equal(code, 0, stdout + stderr);
    assert.deepEqual(written("dev"), {
      namespace: "ns1",
      cluster: "tkc-cluster-1",
      registries: [
        {
          ...{ host: harbor.host, kind: "harbor" },
          ...{ ca: { from: "harbor", sha256: root.sha256 }, credentials: { from: "dockerConfig" } },
        },
        {
          ...{ host: generic.host, kind: "generic" },
          ...{ ca: { from: "chain", trustOnFirstUse: true }, credentials: { from: "dockerConfig" } },
        },
      ],
      deployment: { image: `${harbor.host}/ns1/nginx:1` },
    });
    assert.match(fs.readFileSync(file("dev"), "utf8"), /^config:\n/); // there is no schema
    assert.match(stdout, /^wrote Pulumi\.dev\.yaml\nchecked:\n {2}1 node \(0 control plane, 1 worker\)/);
    assert.match(stderr, /^Warning: .*trusted on first use/m);
    assert.match(
      stdout,
      /\nNext:\n {2}pulumi stack init dev\n {2}pulumi preview --diff --stack dev\n {2}pulumi up .*--stack dev\n$/,
    );
    const asked = api.requests.filter((request) => !/ GET |selfsubjectaccessreviews/.test(request));
    assert.ok(asked.length > 0);
    assert.deepEqual(
      asked.filter((request) => !/ POST \S+\/(?:pods|secrets)$/.test(request)),
      [], // dry runs
    );
  });

  it("names the schema that is there in the first line, for editors", async () => {
    const own = [...place, "--registry", `${harbor.host},ca=file:ca.pem`];
    const firstLine = async (stack: string): Promise<string> => {
      await init(stack, ...own);
      return fs.readFileSync(file(stack), "utf8").split("\n")[0]!;
    };
    fs.writeFileSync(path.join(folder, "settings.schema.json"), "{}");
    assert.equal(await firstLine("here"), "# yaml-language-server: $schema=./settings.schema.json");
    const installed = path.join(folder, "node_modules", "tkc-registry");
    fs.mkdirSync(installed, { recursive: true });
    fs.writeFileSync(path.join(installed, "settings.schema.json"), "{}");
    assert.equal(
      await firstLine("package"),
      "# yaml-language-server: $schema=./node_modules/tkc-registry/settings.schema.json",
    );
  });

  it("tells in one message all that is missing where there is no terminal, and writes nothing", async () => {
    const nothing = await init("dev");
    assert.equal(nothing.code, 2);
    for (const form of ["--namespace NAMESPACE", "--cluster CLUSTER", "--registry HOST"])
      assert.match(nothing.stderr, new RegExp(`→ Give ${form}.*\\[init-incomplete\\]`));
    // What --yes takes is never a fingerprint.
    const { code, stderr } = await init(
      ...["dev", "--namespace", "ns1", "--yes", "--registry", harbor.host, "--registry", generic.host],
      ...["--access", "bastion"],
    );
    assert.equal(code, 2);
    for (const form of [
      "--cluster CLUSTER",
      "--bastion USER@HOST[:PORT]",
      "--bastion-host-key SHA256:…",
      `--ca-sha256 ${harbor.host}=SHA256`,
      `--ca-sha256 ${generic.host}=SHA256`,
    ])
      assert.ok(stderr.includes(`→ Give ${form}, or run it at a terminal [init-incomplete]`), stderr);
    assert.match(stderr, /^5 problems/m);
    assert.deepEqual(files(), []);
  });

  it("refuses a registry whose CA is not of the fingerprint that was given, and writes nothing", async () => {
    const { code, stderr } = await init(
      ...["dev", ...place, "--registry", harbor.host, "--ca-sha256", `${harbor.host}=${other.sha256}`],
    );
    assert.equal(code, 2);
    assert.match(stderr, /ca-fingerprint-mismatch/);
    assert.ok(stderr.includes(other.sha256) && stderr.includes(root.sha256), stderr);
    assert.deepEqual(files(), []);
  });

  it("overwrites no file, also not one that appears while it asks", async () => {
    fs.writeFileSync(file("dev"), "mine");
    const { code, stderr } = await init("dev");
    assert.equal(code, 2);
    assert.match(stderr, /^Pulumi\.dev\.yaml: there is such a file.*\[stack-file-exists\]\n$/);

    fs.rmSync(file("dev"));
    await using slow = await startServer(api.pki.server("slow", "IP:127.0.0.1", root), (_, response) => {
      fs.writeFileSync(file("dev"), "mine");
      response.writeHead(404).end();
    });
    const late = await init("dev", ...place, "--registry", `${slow.host},ca=file:x.pem`);
    assert.equal(late.code, 2);
    assert.match(late.stderr, /\[stack-file-exists\]/);
    assert.equal(fs.readFileSync(file("dev"), "utf8"), "mine");
    assert.deepEqual(files(), ["Pulumi.dev.yaml"]);
  });

  it("writes nothing that a run would refuse, and says it in a run's words", async () => {
    const { code, stderr } = await init(
      ...["dev", "--namespace", "NS 1", "--cluster", "tkc-cluster-1", "--image", "elsewhere.example/nginx"],
      ...["--registry", `${harbor.host},ca=file:ca.pem`],
    );
    assert.equal(code, 2);
    assert.match(stderr, /setting tkc-registry:namespace: it is "NS 1"[^\n]*\n[^\n]*\[bad-setting\]/);
    assert.match(stderr, /setting tkc-registry:deployment\.image: [^\n]*\n[^\n]*\[bad-setting\]/);
    assert.deepEqual(files(), []);
  });

  it("keeps the file and prints what a run would print, where the checks find problems", async () => {
    api.secret("tkc-cluster-1-ssh", { "ssh-privatekey": "none" });
    const { code, stdout, stderr } = await init(
      ...["dev", ...place, "--registry", harbor.host, "--ca-sha256", `${harbor.host}=${root.sha256}`],
      ...["--image", `${harbor.host}/ns1/other:1`],
    );
    assert.equal(code, 1);
    assert.match(stderr, /^2 problems were found:$[^]*\[ssh-key-invalid\][^]*\[image-not-found\]/m);
    assert.match(
      stdout,
      /^wrote Pulumi\.dev\.yaml\n\nOnce these are put right:\n {2}pulumi stack init dev\n/,
    );
    assert.deepEqual(files(), ["Pulumi.dev.yaml"]);
  });

  it("sends no password, takes none, and names the command that sets it", async () => {
    const { code, stdout } = await init(
      ...["dev", ...place, "--registry", harbor.host, "--ca-sha256", `${harbor.host}=${root.sha256}`],
      ...["--user", `${harbor.host}=robot$ns1`],
    );
    assert.equal(code, 0, stdout);
    const [registry] = written("dev")["registries"] as { credentials: unknown }[];
    assert.deepEqual(registry!.credentials, { from: "password", username: "robot$ns1" });
    assert.match(stdout, /not checked, as its password is not set yet: the login to 127/);
    assert.ok(
      stdout.includes(
        `\n  pulumi config set --secret --path 'passwords["${harbor.host}"]' --stack dev\n  pulumi preview`,
      ),
      stdout,
    );
    assert.match(stdout, /reads it from stdin/);
    assert.deepEqual(
      harbor.received.filter(({ headers }) => headers.authorization !== undefined),
      [],
    );
  });

  describe("from another environment", () => {
    beforeEach(() => {
      fs.writeFileSync(
        file("prod"),
        `encryptionsalt: v1:salt
secretsprovider: passphrase
config:
  tkc-registry:namespace: ns1
  tkc-registry:cluster: prod-1
  tkc-registry:supervisorContext: ns1@prod
  tkc-registry:clusterContext: prod-1@prod
  tkc-registry:access: bastion
  tkc-registry:bastion: { host: 127.0.0.1, port: 1, user: ops, hostKey: "SHA256:${"a".repeat(43)}" }
  tkc-registry:nodes: { workersAtOnce: 4, hostKeys: { w9: "SHA256:${"b".repeat(43)}" } }
  tkc-registry:registries:
    - host: ${harbor.host}
      kind: harbor
      ca: { from: harbor, sha256: ${root.sha256} }
      credentials: { from: password, username: puller }
  tkc-registry:passwords:
    ${harbor.host}: { secure: v1:of-prod }
  tkc-registry:deployment:
    image: ${harbor.host}/ns1/nginx:1
    env: { LEVEL: info, TOKEN: { secure: v1:token-of-prod } }
  tkc-registry:pullSecret: '{"namespaces":["default","web"]}'
  other:setting: x
`,
      );
      for (const kind of ["pods", "secrets"])
        api.object("tkc-cluster-1", `/api/v1/namespaces/web/${kind}`, { metadata: {} });
    });

    it("takes what can be the same, never what is secret or another cluster's, and asks for the cluster", async () => {
      const without = await init("dev", "--from", "prod");
      assert.equal(without.code, 2);
      assert.match(without.stderr, /^--cluster: it is missing/m);

      const { code, stdout, stderr } = await init(
        ...["dev", "--from", "prod", ...place, "--supervisor-context", "ns1", "--access", "jumpbox"],
      );
      assert.equal(code, 0, stdout + stderr);
      assert.deepEqual(written("dev"), {
        namespace: "ns1",
        cluster: "tkc-cluster-1",
        registries: [
          {
            ...{ host: harbor.host, kind: "harbor", ca: { from: "harbor", sha256: root.sha256 } },
            credentials: { from: "password", username: "puller" },
          },
        ],
        deployment: { image: `${harbor.host}/ns1/nginx:1`, env: { LEVEL: "info" } },
        nodes: { workersAtOnce: 4 },
        pullSecret: { namespaces: ["default", "web"] },
      });
      assert.doesNotMatch(fs.readFileSync(file("dev"), "utf8"), /secure|salt|secretsprovider|other:|prod/);
      assert.ok(stdout.includes("--path deployment.env.TOKEN --stack dev\n"), stdout);
      assert.ok(stdout.includes(`--path 'passwords["${harbor.host}"]' --stack dev\n`), stdout);
    });

    it("keeps its way and its contexts where nothing else is said, and its pins hold", async () => {
      const { code, stderr } = await init("dev", "--from", "prod", "--cluster", "tkc-cluster-1");
      assert.equal(code, 1);
      assert.match(stderr, /setting tkc-registry:supervisorContext: .*"ns1@prod"/);
      const { supervisorContext, access, bastion } = written("dev");
      const { host } = bastion as { host: string };
      assert.deepEqual([supervisorContext, access, host], ["ns1@prod", "bastion", "127.0.0.1"]);

      const text = fs.readFileSync(file("prod"), "utf8").replace(root.sha256, other.sha256);
      fs.writeFileSync(file("prod"), text);
      const changed = await init("uat", "--from", "prod", "--cluster", "tkc-cluster-1");
      assert.equal(changed.code, 2);
      assert.match(changed.stderr, /ca-fingerprint-mismatch/);
      assert.ok(!fs.existsSync(file("uat")));
    });

    it("tells nodes that do not answer by the way that is there already", async () => {
      fs.appendFileSync(file("prod"), "  tkc-registry:adopt: true\n");
      api.object("ns1", "/api/v1/namespaces/ns1/pods/jumpbox-ubuntu", {
        metadata: { name: "jumpbox-ubuntu", uid: "uid-of-pod" },
        spec: { containers: [{ name: "ubuntu", image: "ubuntu:latest" }] },
        status: { phase: "Running", conditions: [{ type: "Ready", status: "True" }] },
      });
      api.pod.refusal = { status: 403, body: "" };
      const args = [...place, "--supervisor-context", "ns1", "--access", "jumpbox"];
      const { code, stdout, stderr } = await init("dev", "--from", "prod", ...args);
      api.pod.refusal = undefined;
      assert.equal(code, 1, stdout);
      assert.match(stderr, /^node w1 .*\[no-rights\]$/m);
      assert.match(stdout, /^wrote Pulumi\.dev\.yaml\n\nOnce these are put right:/);
    });

    it("refuses one that a run would refuse, and names it", async () => {
      fs.appendFileSync(file("prod"), "  tkc-registry:trsut: system\n");
      const { code, stderr } = await init("dev", "--from", "prod");
      assert.equal(code, 2);
      assert.match(stderr, /^in Pulumi\.prod\.yaml:\nsetting tkc-registry:trsut: .*\[unknown-setting\]\n$/);
    });

    it("refuses one that is missing, or not as Pulumi writes it", async () => {
      const absent = await init("dev", "--from", "nobody");
      assert.match(absent.stderr, /^--from: .*Pulumi\.nobody\.yaml does not exist.*\[file-unreadable\]/);
      for (const [text, seen] of [
        ["config: [x", /it is not YAML at line \d+\. /],
        ["config: [x]", /it is not as Pulumi writes it\. /],
      ] as const) {
        fs.writeFileSync(file("prod"), text);
        const { code, stderr } = await init("dev", "--from", "prod");
        assert.equal(code, 2);
        assert.match(stderr, seen);
        assert.match(stderr, /\[stack-file-malformed\]/);
      }
      assert.deepEqual(files(), ["Pulumi.prod.yaml"]);
    });
  });

  describe("at a terminal", () => {
    /** As two logins leave it. */
    const loggedIn = (): void => {
      const entry = (name: string, namespace?: string): object => ({
        name,
        context: { cluster: name, user: name, ...(namespace === undefined ? {} : { namespace }) },
      });
      const names = ["ns1", "tkc-cluster-1"];
      fs.writeFileSync(
        api.kubeconfig,
        JSON.stringify({
          clusters: names.map((name) => ({
            name,
            cluster: { server: api.server, "certificate-authority-data": base64(api.ca) },
          })),
          users: names.map((name) => ({ name, user: { token: `token-of-${name}` } })),
          contexts: [entry("ns1", "ns1"), entry("tkc-cluster-1")],
        }),
      );
    };
    const cluster = [
      ["Kubeconfig context of the Supervisor (there are ns1, tkc-cluster-1) [ns1]: ", ""],
      ["Supervisor namespace [ns1]: ", ""],
      ["Kubeconfig context of the cluster (there are ns1, tkc-cluster-1) [tkc-cluster-1]: ", ""],
      ["Cluster [tkc-cluster-1]: ", ""],
      ["How nodes are reached (jumpbox, bastion or direct) [jumpbox]: ", ""],
    ] as const;
    beforeEach(loggedIn);

    it("offers what it finds, and pins the CA once its fingerprint is confirmed", async () => {
      const { code, said } = await talk(
        ["dev"],
        [
          ...cluster,
          ["Registry, as in image names (host or host:port): ", harbor.host],
          ["Another registry (empty: no more): ", ""],
          [`CA of ${harbor.host} (harbor, chain or file:PATH) [harbor]: `, ""],
          [
            "Did the registry's administrator tell you this SHA-256, by another way than this network? (yes/no): ",
            "yes",
          ],
          [`User to pull from ${harbor.host} with (empty: what \`docker login\` left; none: no login): `, ""],
          [`Image of the Deployment (none: no Deployment) [${harbor.host}/ns1/nginx:latest]: `, ""],
          ["Run those up to `preview` now? (yes/no): ", "no"],
        ],
      );
      assert.equal(code, 0, said);
      assert.match(said, /1 node \(0 control plane, 1 worker\)[^]*How nodes are reached/);
      assert.ok(said.includes(`SHA-256      ${root.sha256}`), said);
      assert.deepEqual(written("dev"), {
        namespace: "ns1",
        cluster: "tkc-cluster-1",
        registries: [
          {
            ...{ host: harbor.host, kind: "harbor", ca: { from: "harbor", sha256: root.sha256 } },
            credentials: { from: "dockerConfig" },
          },
        ],
        deployment: { image: `${harbor.host}/ns1/nginx:latest` },
      });
    });

    it("pins nothing that was not confirmed, with --yes too, and writes nothing then", async () => {
      for (const answer of ["y", ""]) {
        const { code, said } = await talk(
          ["dev", ...place, "--registry", harbor.host, "--yes"],
          [["by another way than this network? (yes/no): ", answer]],
        );
        assert.equal(code, 2, said);
        assert.match(said, /was not confirmed.*Nothing was written.*\[ca-not-confirmed\]/);
      }
      // The end of the terminal is no answer either.
      const { code, said } = await talk(
        ["dev", ...place, "--registry", harbor.host, "--yes"],
        [["by another way than this network? (yes/no): ", "\x04"]],
      );
      assert.equal(code, 2, said);
      assert.match(said, /the question was not answered. Nothing was written.*\[init-incomplete\]/);
      assert.deepEqual(files(), []);
    });

    it("takes a fingerprint that is typed for a CA that it would not have offered, if the registry has it", async () => {
      await using both = await startServer(leaf, registry, [root]); // it offers a CA, and serves one
      const asked = `SHA-256 of the CA of ${both.host}, as its administrator tells it: `;
      const args = ["dev", "--registry", `${both.host},ca=chain`, "--anonymous", both.host, "--yes"];
      const wrong = await talk(args, [[asked, other.sha256]]);
      assert.equal(wrong.code, 2, wrong.said);
      assert.match(wrong.said, /\[ca-fingerprint-mismatch\]/);
      const none = await talk(args, [[asked, "yes"]]);
      assert.match(none.said, /\[fingerprint-shape\]/);
      assert.deepEqual(files(), []);
      const { code, said } = await talk([...args, "--no-deployment"], [[asked, root.sha256]]);
      assert.equal(code, 0, said);
      assert.deepEqual(written("dev"), {
        namespace: "ns1",
        cluster: "tkc-cluster-1",
        registries: [
          {
            ...{ host: both.host, kind: "harbor" },
            ...{ ca: { from: "chain", sha256: root.sha256 }, credentials: { from: "none" } },
          },
        ],
        deployment: { enabled: false },
      });
    });

    it("runs pulumi where it is told to, which asks for the password itself", async () => {
      const programs = fs.mkdtempSync(path.join(api.pki.folder, "programs-"));
      const record = path.join(programs, "record");
      fs.writeFileSync(
        path.join(programs, "pulumi"),
        `#!/bin/sh\necho "$*" >>'${record}'\n[ "$1" = stack ] || { printf 'value: '; read -r value; echo "length \${#value}" >>'${record}'; }\n`,
        { mode: 0o755 },
      );
      const args = [
        ...[
          "dev",
          ...place,
          "--access",
          "jumpbox",
          "--registry",
          harbor.host,
          "--user",
          `${harbor.host}=puller`,
        ],
        ...["--ca-sha256", `${harbor.host}=${root.sha256}`, "--no-deployment"],
      ];
      const { code, said } = await talk(
        args,
        [
          ["Run those up to `preview` now? (yes/no): ", "yes"],
          ["value: ", "secret"],
        ],
        programs,
      );
      assert.equal(code, 0, said);
      assert.deepEqual(fs.readFileSync(record, "utf8").trim().split("\n"), [
        "stack init dev",
        `config set --secret --path passwords["${harbor.host}"] --stack dev`,
        "length 6",
      ]);

      fs.writeFileSync(path.join(programs, "pulumi"), "#!/bin/sh\nexit 255\n");
      const failed = await talk(["uat", ...args.slice(1)], [["now? (yes/no): ", "yes"]], programs);
      assert.equal(failed.code, 1);
      assert.match(failed.said, /pulumi stack init uat: it ended with code 255.*\[pulumi-failed\]/);
      fs.rmSync(path.join(programs, "pulumi"));
    });
  });
});
