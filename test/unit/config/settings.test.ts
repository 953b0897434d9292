import assert from "node:assert/strict";
import { test } from "node:test";
import { ownSettings, parseSettings } from "../../../config/settings";
import { UserError, describeProblem } from "../../../support/errors";

const sha256 = "ab".repeat(32);
const minimal = {
  namespace: "ns1",
  cluster: "tkc-cluster-1",
  registries: JSON.stringify([{ host: "10.213.208.67", ca: { from: "harbor", sha256 } }]),
};
const parse = (changes: Record<string, unknown> = {}, secrets: readonly string[] = ["passwords"]) =>
  parseSettings(
    Object.fromEntries(
      Object.entries<unknown>({ ...minimal, ...changes }).flatMap(([name, value]) =>
        value === undefined ? [] : [[name, typeof value === "string" ? value : JSON.stringify(value)]],
      ),
    ),
    new Set(secrets),
  );

/** The problems' subjects, without the namespace of the settings. */
const refused = (changes: Record<string, unknown>, secrets?: readonly string[]): Record<string, string> => {
  try {
    parse(changes, secrets);
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
    return Object.fromEntries(
      error.problems.map((p) => [p.subject.replace("setting tkc-registry:", ""), `${p.seen} | ${p.remedy}`]),
    );
  }
  assert.fail("these settings were accepted");
};

test("three settings are enough, and the defaults are those of the manual procedure", () => {
  const { trust, pullSecrets, deployments } = parse();
  assert.equal(trust.supervisorContext, "ns1");
  assert.equal(trust.clusterContext, "tkc-cluster-1");
  assert.deepEqual(trust.jumpbox, { name: "jumpbox-ubuntu", image: "ubuntu:latest", install: true });
  assert.equal(trust.nodes.user, "vmware-system-user");
  assert.equal(pullSecrets.length, 1);
  const { name, namespaces, defaultServiceAccount } = pullSecrets[0]!;
  assert.deepEqual(
    { name, namespaces, defaultServiceAccount },
    { name: "harbor-svc-pull-secret", namespaces: ["default"], defaultServiceAccount: false },
  );
  const [deployment, ...others] = deployments;
  assert.equal(others.length, 0);
  assert.equal(deployment!.name, "tkc-nginx-harbor-svc-deployment");
  assert.equal(deployment!.app, "nginx-harbor-svc-app");
  assert.equal(deployment!.port, 80);
  assert.equal(deployment!.image, "10.213.208.67/ns1/nginx:latest");
  assert.deepEqual(trust.registries[0]?.credentials, { from: "dockerConfig" });
});

test("every missing setting is named in one go", () => {
  const problems = refused({ namespace: undefined, cluster: undefined, registries: undefined });
  assert.deepEqual(Object.keys(problems).sort(), ["cluster", "namespace", "registries"]);
  for (const problem of Object.values(problems)) assert.match(problem, /^it is missing \|/);
});

test("an unknown setting is answered with the one that was meant, or else with those there are", () => {
  assert.match(refused({ clustr: "x" })["clustr"] ?? "", /no such setting .*Write `cluster`/);
  assert.match(refused({ registrys: [] })["registrys"] ?? "", /no such setting .*Write `registries`/);
  assert.match(refused({ jumpbox: { nam: "x" } })["jumpbox.nam"] ?? "", /no such setting .*Write `name`/);
  assert.match(refused({ jumpbox: { tag: "x" } })["jumpbox.tag"] ?? "", /use one of: name, image/);
  const registries = [{ host: "h.example", ca: { from: "file", path: "x", sha: "y" } }];
  assert.match(refused({ registries })["registries[0].ca.sha"] ?? "", /no such setting .*from, path, sha256/);
});

test("a password for no registry of the stack is told as that, without a word of it", () => {
  const passwords = { "10.213.208.68": "s3cret" };
  const told = refused({ passwords })['passwords["10.213.208.68"]'] ?? "";
  assert.match(told, /the stack has no registry of this name .*10\.213\.208\.67/);
  assert.doesNotMatch(told, /s3cret/);
});

test("a namespace that is named twice is refused", () => {
  const pullSecret = { namespaces: ["default", "web", "default"] };
  assert.match(refused({ pullSecret })["pullSecret.namespaces[2]"] ?? "", /default is named twice/);
});

test("a value of the wrong shape is shown with the shape that is allowed", () => {
  assert.match(refused({ namespace: "NS 1" })["namespace"] ?? "", /it is "NS 1" \| .*lower-case/);
  assert.match(refused({ adopt: "yes" })["adopt"] ?? "", /it is "yes" \| Give true or false/);
  assert.match(
    refused({ deployment: { replicas: 1.5 } })["deployment.replicas"] ?? "",
    /it is 1.5 \| Give a whole number/,
  );
  assert.match(refused({ access: "teleport" })["access"] ?? "", /Give jumpbox, bastion or direct/);
  assert.match(refused({ access: "bastion" })["bastion"] ?? "", /Give the bastion's host, user and hostKey/);
  assert.match(
    refused({ bastion: { host: "b.example", user: "ops" } })["bastion.hostKey"] ?? "",
    /it is missing.*ssh-keygen -lf/,
  );
  for (const host of ["-oProxyCommand=id", "ops@b.example", "a b"])
    assert.match(refused({ bastion: { host, user: "ops" } })["bastion.host"] ?? "", /without port or user/);
  assert.match(refused({ unreachableNodes: "ignore" })["unreachableNodes"] ?? "", /Give fail or skip/);
  assert.match(refused({ trust: "all" })["trust"] ?? "", /Give system, certs.d or auto/);
  assert.match(refused({ registries: "not json" })["registries"] ?? "", /Give a list of registries/);
});

test("a value of the wrong type is told in our words", () => {
  for (const [changes, setting, shape] of [
    [{ jumpbox: "x" }, "jumpbox", /Give settings/],
    [{ pullSecret: { namespaces: "default" } }, "pullSecret.namespaces", /Give a list/],
    [
      { deployment: { resources: { requests: { cpu: 1 } } } },
      "deployment.resources.requests.cpu",
      /Give text/,
    ],
  ] as const) {
    assert.match(refused(changes)[setting] ?? "", shape);
  }
});

test("a pull secret that the Deployment could not use is refused", () => {
  const problems = refused({ pullSecret: { namespaces: ["team-b"] } });
  assert.match(
    problems["pullSecret.namespaces"] ?? "",
    /the Deployment's namespace \(`deployment.namespace`\) is not among them/,
  );
  const registries = [{ host: "h.example", ca: { from: "harbor", sha256 }, credentials: { from: "none" } }];
  assert.deepEqual(parse({ registries, pullSecret: { namespaces: ["team-b"] } }).pullSecrets, []);
});

test("one context for both clusters is refused", () => {
  assert.match(refused({ clusterContext: "ns1" })["clusterContext"] ?? "", /so is the Supervisor's/);
});

test("a registry is given as image names give it", () => {
  const problem = refused({ registries: [{ host: "https://h.example/x", ca: { from: "harbor", sha256 } }] });
  assert.match(problem["registries[0].host"] ?? "", /h\.example/);
});

test("a CA from the network without a fingerprint is refused, unless trust on first use is asked for", () => {
  for (const from of ["harbor", "chain"]) {
    for (const ca of [{ from }, { from, trustOnFirstUse: false }]) {
      const problem = refused({ registries: [{ host: "h.example", ca }] });
      assert.match(
        problem["registries[0].ca.sha256"] ?? "",
        /it is missing \| Give a SHA-256 fingerprint.*or `trustOnFirstUse: true`/,
      );
    }
    for (const ca of [
      { from, trustOnFirstUse: true },
      { from, trustOnFirstUse: true, sha256 },
    ])
      assert.deepEqual(parse({ registries: [{ host: "h.example", ca }] }).trust.registries[0]?.ca, ca);
  }
});

test("trust on first use is for what comes from the registry", () => {
  const registries = [{ host: "h.example", ca: { from: "file", path: "x", trustOnFirstUse: true } }];
  assert.match(refused({ registries })["registries[0].ca.trustOnFirstUse"] ?? "", /no such setting/);
});

test("only Harbor is asked for its CA", () => {
  const registries = [{ host: "h.example", kind: "generic", ca: { from: "harbor", sha256 } }];
  assert.match(refused({ registries })["registries[0].ca.from"] ?? "", /only Harbor/);
});

test("an image whose registry is none of the stack's is refused, port included", () => {
  const registries = [{ host: "h.example:8443", ca: { from: "chain", sha256 } }];
  const problem = refused({ registries, deployment: { image: "h.example/team/nginx:1.0" } });
  assert.match(problem["deployment.image"] ?? "", /h\.example, is none of the stack's \| .*h\.example:8443/);
  assert.equal(
    parse({ registries, deployment: { image: "h.example:8443/team/nginx:1.0" } }).deployments[0]?.image,
    "h.example:8443/team/nginx:1.0",
  );
});

test("a registry listed twice is refused", () => {
  const registry = { host: "h.example", ca: { from: "harbor", sha256 } };
  const problem = refused({ registries: [registry, { ...registry, host: "H.example" }] });
  assert.match(problem["registries[1].host"] ?? "", /Remove one of the two/);
});

const withPassword = [
  {
    host: "h.example",
    ca: { from: "harbor", sha256 },
    credentials: { from: "password", username: "robot$tkc" },
  },
];

test("a password that is missing is asked for with the command that sets it", () => {
  const problem = refused({ registries: withPassword });
  assert.match(problem['passwords["h.example"]'] ?? "", /it is missing \| Run: pulumi config set --secret/);
});

test("a password kept in clear is refused, and not repeated", () => {
  const problems = refused({ registries: withPassword, passwords: { "h.example": "hunter2" } }, []);
  assert.match(problems["passwords"] ?? "", /kept in clear/);
  assert.doesNotMatch(JSON.stringify(problems), /hunter2/);
});

test("a password of the wrong shape is not repeated either", () => {
  const problems = refused({ registries: withPassword, passwords: { "h.example": { nested: "hunter2" } } });
  assert.doesNotMatch(JSON.stringify(problems), /hunter2/);
});

test("a value that may be a secret, or hold one, is not repeated, wherever it was put", () => {
  const registry = { host: "h.example", ca: { from: "harbor", sha256 } };
  const told = JSON.stringify([
    refused({ registries: [{ ...registry, credentials: "robot:hunter2" }] }),
    refused({ registries: [{ ...registry, host: "https://robot:hunter2@h.example" }] }),
    refused({ registries: "- host: h.example\n  password: hunter2" }),
    refused({ deployment: { env: { PIN: 17022002 } } }),
    refused({ deployment: { image: "robot:hunter2@h.example/x" } }),
    refused({ access: "hunter2" }, ["access", "passwords"]),
  ]);
  assert.doesNotMatch(told, /hunter2|17022002/);
});

test("a text with a line break or a control character is no name, path or user", () => {
  for (const changes of [
    { clusterContext: "tkc\u0000" },
    { supervisorContext: "a\nb" },
    { nodes: { user: "root\u202e" } },
  ])
    assert.equal(Object.keys(refused(changes)).length, 1);
});

test("a name of what every object has is no setting", () => {
  const settings = JSON.parse('{"__proto__":{"adopt":true},"constructor":"x","toString":"1"}') as object;
  assert.deepEqual(Object.keys(refused({ ...settings })).sort(), ["__proto__", "constructor", "toString"]);
});

test("a user name with a colon, which no registry could take apart, is refused", () => {
  const credentials = { from: "password", username: "a:b" };
  const registries = [{ host: "h.example", ca: { from: "harbor", sha256 }, credentials }];
  assert.match(
    refused({ registries, passwords: { "h.example": "x" } })["registries[0].credentials.username"] ?? "",
    /colon/,
  );
});

test("an image or a host that is empty is told as such, by its name", () => {
  const { "deployment.image": image } = refused({ deployment: { image: "" } });
  assert.match(image ?? "", /^it is "" \| Give the image with its registry/);
  const registries = [{ host: "", ca: { from: "harbor", sha256 } }];
  assert.match(refused({ registries })["registries[0].host"] ?? "", /^it is "" \| Give the registry/);
});

test("an image is taken without the blanks around it", () => {
  const { deployments, trust } = parse({
    deployment: { image: " 10.213.208.67/a/b:1 " },
    jumpbox: { image: "ubuntu " },
  });
  assert.deepEqual([deployments[0]?.image, trust.jumpbox.image], ["10.213.208.67/a/b:1", "ubuntu"]);
});

test("a password for a registry that the stack doesn't have is refused", () => {
  const problems = refused({ passwords: { "other.example": "x" } });
  assert.match(problems['passwords["other.example"]'] ?? "", /Name one of the stack's registries/);
});

test("a number or truth value in place of text is told with the way to keep it text", () => {
  const registry = { host: "h.example", ca: { from: "harbor", sha256 } };
  for (const [changes, setting, seen] of [
    [{ deployment: { env: { PORT: 8080 } } }, "deployment.env.PORT", "it is a number"],
    [{ deployment: { env: { DEBUG: true } } }, "deployment.env.DEBUG", "it is a truth value"],
    [{ deployment: { args: ["-p", 80] } }, "deployment.args[1]", "it is 80, a number"],
    [{ deployment: { app: 7 } }, "deployment.app", "it is 7, a number"],
    [{ pullSecret: { namespaces: [true] } }, "pullSecret.namespaces[0]", "it is true, a truth value"],
    [{ registries: [{ ...registry, host: 10.5 }] }, "registries[0].host", "it is 10.5, a number"],
    [
      { registries: [{ ...registry, ca: { from: "chain", sha256: 12 } }] },
      "registries[0].ca.sha256",
      "it is 12, a number",
    ],
    [{ nodes: { hostKeys: { "1": 5 } } }, "nodes.hostKeys.1", "it is 5, a number"],
    [{ passwords: { "h.example": 12345 } }, 'passwords["h.example"]', "it is a number"],
  ] as const) {
    const told = refused(changes)[setting] ?? "";
    assert.ok(told.startsWith(`${seen} | Give `), told);
    assert.ok(
      told.endsWith(
        `. To keep it text, write it in quotes in the stack's settings file, or run: pulumi config set --path --type string '${setting}' VALUE`,
      ),
      told,
    );
  }
});

test("a setting of ours in a namespace that is nearly the project's is told, and others' settings are not", () => {
  const { values, problems } = ownSettings(
    {
      ...{ "tkc-registry:cluster": "a", "tkc-registy:cluster": "b", "tkc-registry2:zzz": "c" },
      ...{ "kubernetes:namespace": "d", "TKC-Registry:adopt": "true" },
    },
    "tkc-registry",
  );
  assert.deepEqual(values, { cluster: "a" });
  assert.deepEqual(problems.map(describeProblem), [
    "setting tkc-registy:cluster: the project is tkc-registry. Write `tkc-registry:cluster`, if that is what is meant, or remove it [unknown-setting]",
    "setting TKC-Registry:adopt: the project is tkc-registry. Write `tkc-registry:adopt`, if that is what is meant, or remove it [unknown-setting]",
  ]);
  assert.throws(() => parseSettings(minimal, new Set(), undefined, problems), /tkc-registy:cluster/);
});

test("label selectors are checked, and a wave is one alone or with what differs in it", () => {
  const { nodes, rollout } = parse({
    nodes: { select: "pool in (a,b)", exclude: "kubernetes.io/os=windows" },
    rollout: { waves: ["pool=a", { select: "pool=b", workersAtOnce: 2, pauseSeconds: 0 }], pauseSeconds: 60 },
  }).trust;
  assert.deepEqual([nodes.select, nodes.exclude], ["pool in (a,b)", "kubernetes.io/os=windows"]);
  assert.deepEqual(rollout, {
    canary: true,
    waves: [{ select: "pool=a" }, { select: "pool=b", workersAtOnce: 2, pauseSeconds: 0 }],
    pauseSeconds: 60,
  });
  assert.deepEqual(parse().trust.rollout, { canary: true, waves: [], pauseSeconds: 0 });
  const wrong = refused({
    nodes: { select: "pool=(a", exclude: " " },
    rollout: {
      waves: ["a b", { select: "x/y/z" }, { select: "a", width: 2 }, 5, { select: "a", workersAtOnce: 0 }],
    },
  });
  assert.match(
    wrong["nodes.select"]!,
    /^found "\(", where a value is expected \| Give a label selector as `kubectl -l`/,
  );
  assert.match(wrong["nodes.exclude"]!, /^it is empty \| Give a label selector/);
  assert.match(
    wrong["rollout.waves[0]"]!,
    /^found "b", where an operator is expected \| Give a label selector/,
  );
  assert.match(wrong["rollout.waves[1].select"]!, /^"x\/y\/z" is not the key of a label/);
  assert.match(
    wrong["rollout.waves[2].width"]!,
    /no such setting .*use one of: select, workersAtOnce, pauseSeconds/,
  );
  assert.match(
    wrong["rollout.waves[3]"]!,
    /^it is 5 \| Give .*, or an object with `select`, and `workersAtOnce` or/,
  );
  assert.match(wrong["rollout.waves[4].workersAtOnce"]!, /Give a whole number of workers from 1 to 256/);
  assert.match(refused({ rollout: { waves: "pool=a" } })["rollout.waves"]!, /Give a list of label selectors/);
  assert.match(
    refused({ rollout: { pauseSeconds: -1 } })["rollout.pauseSeconds"]!,
    /seconds from 0 to 86400/,
  );
});
