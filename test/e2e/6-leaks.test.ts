import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { after, before, describe, test } from "node:test";
import type { Client } from "../../lab/exec";
import { breakContainerd, find, kubectl, mendContainerd, withoutSecrets } from "../../lab/inspect";
import * as lab from "./lab";
import { projectRoot } from "../../lab/paths";
import { harborSettings, labFile } from "../../lab/settings";
import { LabStack } from "../../lab/stack";
import { supervisor } from "../../lab/topology";
import { type Finding, type Secret, SecretSearch, describeSecrets } from "./secretSearch";
import { type Trace, sampled, traced, tracingObstacle } from "./trace";

/** Each command that people give, with every secret in its way, at the highest verbosity that it takes. */
describe("no secret leaks", () => {
  const stack = new LabStack("e2e-leaks");
  /** HOME and TMPDIR of all commands, and the kubeconfig that `login` writes. */
  const folder = mkdtempSync(path.join(tmpdir(), "tkc-registry-leaks-"));
  const kubeconfig = path.join(folder, "kubeconfig");
  const loud = ["--debug", "-v=9", "--logtostderr", "--logflow"];
  const runs = new Map<string, Trace>();
  const secrets: Secret[] = [];
  let obstacle: string | undefined;
  let search: SecretSearch;
  let state: { readonly folder: string; readonly home: string };
  /** What was found on nodes and in logs while the stack was there. */
  const found = { nodes: [] as Finding[], logs: [] as Finding[], state: [] as Finding[] };

  /** With characters that JSON, percent-encoding and shells write otherwise than they are. */
  const recognisable = (name: string): string => `${name} "<&'%$\\é+/ ${crypto.randomUUID()}`;
  const planted = {
    harbor: recognisable("harbor"),
    custom: recognisable("custom"),
    wrongHarbor: recognisable("wrong-harbor"),
    wrongCustom: recognisable("wrong-custom"),
  };

  const dockerConfig = (name: string, password: string): string => {
    const { host, user } = lab.registries().harbor;
    const auth = Buffer.from(`${user}:${password}`).toString("base64");
    return labFile(name, JSON.stringify({ auths: { [host]: { auth } } }));
  };
  const configure = async (config: string, password: string): Promise<void> => {
    const { custom } = lab.registries();
    const [harbor] = harborSettings()["registries"] as object[];
    await stack.configure(
      harborSettings({
        pullSecret: { defaultServiceAccount: true },
        registries: [
          { ...harbor, credentials: { from: "dockerConfig", path: config } },
          {
            host: custom.host,
            kind: "generic",
            ca: { from: "chain", sha256: custom.caSha256 },
            credentials: { from: "password", username: custom.user },
          },
        ],
      }),
      { [custom.host]: password },
    );
  };

  /** Runs a command, which is to succeed, or to fail with certain words. */
  async function run(
    name: string,
    failure: RegExp | undefined,
    { argv, cwd, env }: Required<Client>,
  ): Promise<void> {
    const surroundings = { ...env, HOME: path.join(folder, "home"), TMPDIR: path.join(folder, "tmp") };
    for (const place of [surroundings.HOME, surroundings.TMPDIR]) mkdirSync(place, { recursive: true });
    const trace = await (obstacle === undefined ? traced : sampled)({ argv, cwd, env: surroundings });
    const ending = `${name} ended with ${trace.code}: ${trace.stdout.slice(-2000)}`;
    assert.equal(trace.code === 0, failure === undefined, ending);
    if (failure) assert.match(trace.stdout, failure);
    runs.set(name, trace);
  }
  const pulumi = async (
    name: string,
    failure: RegExp | undefined,
    words: readonly string[],
    env: NodeJS.ProcessEnv = {},
  ): Promise<void> => {
    const command = await stack.command(words);
    await run(name, failure, { ...command, env: { ...command.env, KUBECONFIG: kubeconfig, ...env } });
  };
  const up = ["up", "--yes", "--skip-preview", "--continue-on-error"];

  const login = async (): Promise<void> => {
    const { server, user, password, caFile } = lab.supervisorLogin();
    const who = ["--server", server, "--user", user, "--namespace", "ns1", "--cluster", "tkc-cluster-1"];
    const how = ["--ca-file", caFile, "--kubeconfig", kubeconfig];
    const { env } = await lab.operator();
    await run("login", undefined, {
      argv: ["npm", "run", "login", "--", ...who, ...how],
      cwd: projectRoot,
      env: { ...env, TKC_REGISTRY_VCENTER_PASSWORD: password },
    });
  };

  async function everySecret(): Promise<Secret[]> {
    const secret = async (name: string, key: string): Promise<string> => {
      const { data } = (await find("supervisor", "secret", "ns1", name)) as { data: Record<string, string> };
      return Buffer.from(data[key]!, "base64").toString();
    };
    const lines = (name: string, pem: string): Secret[] =>
      pem
        .split("\n")
        .filter((line) => line.length >= 40 && !line.startsWith("-"))
        .map((value, index) => ({ name: `${name}, line ${index + 1}`, value }));
    const tokens = [...readFileSync(kubeconfig, "utf8").matchAll(/token: ['"]?([\w.-]+)/g)];
    assert.equal(tokens.length, 2, "login wrote two tokens");
    const adminKey = /client-key-data"?: ?"?([\w+/=]+)/.exec(
      await secret("tkc-cluster-1-kubeconfig", "value"),
    )![1]!;
    return [
      ...lines("the SSH key", await secret("tkc-cluster-1-ssh", "ssh-privatekey")),
      ...lines("the administrator's key", Buffer.from(adminKey, "base64").toString()),
      { name: "the nodes' password", value: await secret("tkc-cluster-1-ssh-password", "ssh-passwordkey") },
      { name: "the vCenter password", value: lab.supervisorLogin().password },
      // What a token says is no secret; its signature is.
      ...tokens.map(([, token], index) => ({
        name: `${["the Supervisor's", "the cluster's"][index]} token`,
        value: token!.split(".")[2]!,
      })),
      ...Object.entries(planted).map(([name, value]) => ({ name: `the registry password ${name}`, value })),
      {
        name: "the stack's passphrase",
        value: readFileSync((await lab.operator()).env["PULUMI_CONFIG_PASSPHRASE_FILE"]!, "utf8").trim(),
      },
    ];
  }

  /** The cluster keeps its Secrets in its own database, on the control plane: that is where they belong. */
  const database = "/var/lib/etcd";
  const searchNodes = async (): Promise<void> => {
    for (const { name } of await lab.nodes()) found.nodes.push(...(await search.node(name, [database])));
  };
  const searchLogs = async (): Promise<void> => {
    const pods = (cluster: "supervisor" | "workload", namespace: string, selector: string): Promise<string> =>
      kubectl(cluster, "logs", "-n", namespace, "-l", selector, "--all-containers", "--prefix", "--tail=-1");
    const machines = [supervisor.name, ...(await lab.nodes()).map(({ name }) => name)];
    const journals = machines.map(async (name) => [
      `journal of ${name}`,
      await lab.nodeExec(name, ["journalctl", "-o", "cat", "--no-pager"]),
    ]);
    found.logs.push(
      ...(await search.texts({
        "log of the jumpbox": await kubectl("supervisor", "logs", "-n", "ns1", "jumpbox-ubuntu"),
        "log of the Deployment": await pods("workload", "default", "app=nginx-harbor-svc-app"),
        ...(Object.fromEntries(await Promise.all(journals)) as Record<string, string>),
      })),
    );
  };
  /** The backend with the stack's history and backups, Pulumi's folder with its logs, and the settings file. */
  const searchState = async (): Promise<void> => {
    found.state.push(...(await search.files(state.folder, state.home, stack.settingsFile)));
  };

  before(async () => {
    obstacle = await tracingObstacle();
    if (obstacle !== undefined) {
      process.stdout.write(`processes are sampled, and what they write isn't seen: ${obstacle}\n`);
    }
    for (const name of ["harbor", "custom"] as const) await lab.setRegistryPassword(name, planted[name]);
    await login();
    secrets.push(...(await everySecret()));
    search = new SecretSearch(secrets);
    const { env } = await lab.operator();
    state = {
      folder: new URL(env["PULUMI_BACKEND_URL"]!).pathname,
      home: env["PULUMI_HOME"]!,
    };

    await configure(dockerConfig("wrong-docker-config.json", planted.wrongHarbor), planted.wrongCustom);
    await pulumi("up that is refused", /does not let .* in|refuse|credential/, [...up, ...loud]);

    // docker's credential helper, as what it is given is the program's own surroundings.
    const { host, user } = lab.registries().harbor;
    const helper = labFile("docker-credential-leaks", '#!/bin/sh\ncat "$0.json"\n');
    chmodSync(helper, 0o700);
    labFile(
      "docker-credential-leaks.json",
      JSON.stringify({ ServerURL: host, Username: user, Secret: planted.harbor }),
    );
    await configure(
      labFile("helper-config.json", JSON.stringify({ credHelpers: { [host]: "leaks" } })),
      planted.custom,
    );
    await pulumi("preview", undefined, ["preview", "--diff", ...loud], {
      PATH: `${path.dirname(helper)}:${(await stack.command([])).env["PATH"]}`,
    });

    await configure(dockerConfig("right-docker-config.json", planted.harbor), planted.custom);
    const broken = (await lab.nodes()).find(({ role }) => role === "worker")!.name;
    await breakContainerd(broken);
    try {
      await pulumi("up that fails", /systemctl restart failed/, [...up, ...loud]);
      await searchNodes();
    } finally {
      await mendContainerd(broken);
    }
    await pulumi("up", undefined, [...up, ...loud]);
    // The nodes' password is only used where there is no key.
    const since = `@${Math.floor(Date.now() / 1000)}`;
    await withoutSecrets(["tkc-cluster-1-ssh"], () =>
      pulumi("up, less loud", undefined, [...up, "--debug", "-v=8", "--logtostderr", "--logflow"]),
    );
    const sshd = await lab.nodeExec(broken, ["journalctl", "-u", "ssh", "--since", since, "-o", "cat"]);
    assert.match(sshd, /^Accepted password for vmware-system-user/m);
    const { cwd, env: verifyEnv } = await stack.command([]);
    await run("verify", undefined, {
      argv: ["npm", "run", "verify", "--", "--stack", stack.name, "--pull"],
      cwd,
      env: { ...verifyEnv, KUBECONFIG: kubeconfig },
    });
    await Promise.all([searchNodes(), searchLogs(), searchState()]);
    await pulumi("destroy", undefined, [
      "destroy",
      "--yes",
      "--skip-preview",
      "--continue-on-error",
      ...loud,
    ]);
    await Promise.all([searchNodes(), searchState()]);
  });
  after(async () => {
    if (secrets.length > 0) search.close();
    if (stack.exists) await stack.destroy();
    for (const name of ["harbor", "custom"] as const) await lab.setRegistryPassword(name);
    rmSync(folder, { recursive: true });
  });

  const nothing = (findings: readonly Finding[]): void =>
    assert.equal(findings.length, 0, describeSecrets(findings));
  /** Texts of all runs, by the run's name. */
  const ofRuns = (texts: (trace: Trace, name: string) => readonly string[]): Record<string, string> =>
    Object.fromEntries([...runs].map(([name, trace]) => [name, [...new Set(texts(trace, name))].join("\n")]));

  test("the search finds every secret in each form in which programs write it", async () => {
    const base64 = (text: string): string => Buffer.from(text).toString("base64");
    const samples = secrets.flatMap(({ name, value }) => {
      const dockerJson = JSON.stringify({ auths: { host: { auth: base64(`robot$tkc:${value}`) } } });
      const texts: Record<string, string> = {
        clear: `see ${value}.`,
        JSON: JSON.stringify({ password: value }),
        "JSON in JSON": JSON.stringify({ passwords: JSON.stringify({ host: value }) }),
        percent: `https://robot:${encodeURIComponent(value)}@host/`,
        form: new URLSearchParams({ password: value }).toString(),
        base64: `Basic ${base64(value)}`,
        "base64 after one byte": base64(`:${value}\n`),
        "base64 after two bytes": base64(`u:${value}, and more`),
        base64url: Buffer.from(`{"p":"${value}"}`).toString("base64url"),
        "base64 of JSON": base64(JSON.stringify({ password: value })),
        hexadecimal: Buffer.from(value).toString("hex"),
        "docker's auth": dockerJson,
        "a Secret's data": JSON.stringify({ data: { ".dockerconfigjson": base64(dockerJson) } }),
      };
      return Object.entries(texts).map(([form, text]) => ({ name, form, text }));
    });
    const places = Object.fromEntries(samples.map(({ name, form, text }) => [`${name} as ${form}`, text]));
    const hits = new Set((await search.texts(places)).map(({ secret, place }) => `${secret} in ${place}`));
    const missed = samples
      .map(({ name, form }) => `${name} in ${name} as ${form}`)
      .filter((each) => !hits.has(each));
    assert.deepEqual(missed, []);
    nothing(await search.texts({ harmless: "the SSH key, tkc-cluster-1, robot$tkc" }));
  });

  test("the programs that were to be watched were seen, and secrets where they belong", async () => {
    const expected: Record<string, readonly RegExp[]> = {
      login: [/^npm /, /v1 login/],
      "up that is refused": [/^pulumi up/, /cmd\/run/],
      preview: [/^pulumi preview/, /docker-credential-leaks get/],
      "up that fails": [
        /^pulumi up/,
        /pulumi-resource-kubernetes/,
        /pulumi-resource-command/,
        /\/client ca apply/,
      ],
      up: [
        /^pulumi up/,
        /pulumi-language-nodejs/,
        /cmd\/run/,
        /\/client containerd restart/,
        /v1 service-account attach/,
      ],
      verify: [/v1 verify/, /^pulumi stack export/],
      destroy: [/^pulumi destroy/, /v1 check-removal/, /v1 ca remove/, /v1 ca sweep/],
    };
    for (const [name, patterns] of Object.entries(expected)) {
      const lines = runs.get(name)!.processes.map(({ argv }) => argv.join(" "));
      // Others may be too short to be sampled.
      for (const pattern of obstacle === undefined ? patterns : patterns.slice(0, 1))
        assert.ok(
          lines.some((line) => pattern.test(line)),
          `${name}: no process ${pattern}`,
        );
    }
    const environments = await search.texts(ofRuns(({ processes }) => processes.flatMap(({ env }) => env)));
    const expectedThere = [
      ["the vCenter password", "login", "TKC_REGISTRY_VCENTER_PASSWORD="],
      ["the registry password custom", "up", "PULUMI_CONFIG="],
    ] as const;
    for (const [secret, place, variable] of expectedThere) {
      assert.ok(
        environments.some(
          (each) => each.secret === secret && each.place === place && each.before.startsWith(variable),
        ),
        `${secret} was not seen in ${variable} of ${place}`,
      );
    }
    if (obstacle === undefined) {
      const kept = await search.texts(writtenBy("login"));
      assert.deepEqual(
        kept.map(({ secret }) => secret).sort(),
        ["the Supervisor's token", "the cluster's token"].sort(),
      );
    }
    const [controlPlane] = (await lab.nodes()).filter(({ role }) => role === "control-plane");
    const onControlPlane = await search.node(controlPlane!.name);
    assert.ok(
      onControlPlane.length > 0 && onControlPlane.every(({ place }) => place.includes(`:${database}/`)),
    );
  });

  const writtenBy = (name: string): Record<string, Buffer> =>
    Object.fromEntries(
      [...runs.get(name)!.written].map(([file, content]) => [`${file}, written by ${name}`, content]),
    );

  /**
   * At `-v=9` Pulumi's engine and its Kubernetes provider log each property that they pass on, whether it is a secret or
   * not (`MarshalProperties` and `UnmarshalProperties` in the engine's `sdk/go/common/resource/plugin/rpc.go`, 3.274 too).
   * That is so of the one secret that is a property of a resource: the pull secret's content. Up to `-v=8` they do not. The
   * engine writes JSON lines; the provider writes glog's, which the engine repeats in its own log and as debug messages.
   */
  const isPropertyLog = ({ secret, form, before }: Finding): boolean =>
    /^the registry password (harbor|custom)$/.test(secret) &&
    form.startsWith("base64") &&
    /^[^[]{0,200}(?:Unm|M)arshaling property for RPC\[.*kubernetes:core\/v1:Secret/.test(before);

  test("what commands print holds none, but for the pull secret in Pulumi's own log at -v=9", async () => {
    const findings = await search.texts(ofRuns(({ stdout, stderr }) => [stdout, stderr]));
    nothing(findings.filter((finding) => !isPropertyLog(finding)));
    const loudest = new Set(findings.map(({ place }) => place));
    for (const name of ["login", "up that is refused", "up, less loud", "verify"])
      assert.ok(!loudest.has(name), `the engine logged a secret in ${name}`);
  });

  test("no program has one in its arguments", async () => {
    nothing(await search.texts(ofRuns(({ processes }) => processes.map(({ argv }) => argv.join(" ")))));
  });

  test("no program has one in its environment, but for Pulumi's own way to hand settings to the program", async () => {
    const texts = ofRuns(({ processes }) =>
      processes.flatMap(({ argv, env }) => {
        const words = argv.join(" ");
        // The language host gives the program its settings so, and login is given its password so; not their children.
        const given = [
          ...(words.includes("/@pulumi/pulumi/cmd/run") ? ["PULUMI_CONFIG="] : []),
          ...(/^npm$| login /.test(words) ? ["TKC_REGISTRY_VCENTER_PASSWORD="] : []),
        ];
        return env
          .filter((each) => !given.some((variable) => each.startsWith(variable)))
          .map((each) => `${argv[0]}: ${each}`);
      }),
    );
    nothing(await search.texts(texts));
    const helpers = runs
      .get("preview")!
      .processes.filter(({ argv }) => argv.join(" ").includes("docker-credential-leaks"));
    for (const { env } of helpers) assert.ok(!env.some((each) => each.startsWith("PULUMI_CONFIG=")));
  });

  test("no file that is written holds one, but for the kubeconfig, private, with its tokens", async () => {
    const isKubeconfig = ({ place, secret }: Finding): boolean =>
      place.startsWith(kubeconfig) && secret.endsWith("token");
    const written = Object.assign({}, ...[...runs.keys()].map(writtenBy)) as Record<string, Buffer>;
    const left = new Set(
      [...runs.values()].flatMap((trace) => trace.left).filter((file) => existsSync(file)),
    );
    const findings = [...(await search.texts(written)), ...(await search.files(folder, ...left))];
    nothing(findings.filter((finding) => !isKubeconfig(finding)));
    assert.equal(statSync(kubeconfig).mode & 0o777, 0o600);
  });

  test("the state, its history and backups, Pulumi's folder and the settings file hold none", () => {
    nothing(found.state);
  });

  test("no node holds one, after an up that failed, while the stack is up, and after destroy", () => {
    nothing(found.nodes);
  });

  test("the pods' logs and the machines' journals hold none", () => {
    nothing(found.logs);
  });
});
