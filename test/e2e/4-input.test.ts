import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { before, after, describe, test } from "node:test";
import { type ExecResult, exec } from "../../lab/exec";
import * as lab from "../../lab/lab";
import { LabStack } from "../../lab/stack";
import { find, kubectl, onAllNodes, writes } from "../../lab/inspect";
import { harborSettings, labFile, mistakenSettings } from "../../lab/settings";

/** A self-signed CA whose time was January 2020. */
function expiredCertificate(): string {
  const folder = mkdtempSync(path.join(tmpdir(), "expired-"));
  const file = (name: string, content = ""): string => {
    writeFileSync(path.join(folder, name), content);
    return path.join(folder, name);
  };
  const config = file(
    "ca.cnf",
    `[ca]\ndefault_ca=x\n[x]\ndatabase=${file("index")}\nnew_certs_dir=${folder}\nrand_serial=yes\ndefault_md=sha256\npolicy=p\n` +
      "[p]\ncommonName=supplied\n[req]\ndistinguished_name=dn\n[dn]\n[v3]\nbasicConstraints=critical,CA:TRUE\n",
  );
  const openssl = (...args: string[]): void => void execFileSync("openssl", args, { stdio: "pipe" });
  const [key, request, certificate] = [file("key"), file("csr"), file("crt")];
  openssl(
    "req",
    "-new",
    "-newkey",
    "rsa:2048",
    "-nodes",
    "-config",
    config,
    "-keyout",
    key,
    "-out",
    request,
    "-subj",
    "/CN=old",
  );
  openssl(
    ...[
      "ca",
      "-batch",
      "-notext",
      "-selfsign",
      "-config",
      config,
      "-keyfile",
      key,
      "-in",
      request,
      "-out",
      certificate,
    ],
    ...["-extensions", "v3", "-startdate", "20200101000000Z", "-enddate", "20200201000000Z"],
  );
  return readFileSync(certificate, "utf8");
}

/** What nobody may have touched when the input was bad. */
async function everything(): Promise<unknown> {
  return {
    nodes: await onAllNodes(writes),
    jumpbox: await find("supervisor", "pod", "ns1", "jumpbox-ubuntu"),
    secret: await find("workload", "secret", "default", "harbor-svc-pull-secret"),
    deployment: await find("workload", "deployment", "default", "tkc-nginx-harbor-svc-deployment"),
  };
}

describe("bad input is refused by a clear message before anything changes", () => {
  const stack = new LabStack("e2e-input");
  const { harbor } = lab.registries();
  let untouched: unknown;

  before(async () => {
    untouched = await everything();
  });
  after(async () => {
    await stack.destroy();
  });

  async function refused(settings: Record<string, unknown>, ...messages: RegExp[]): Promise<void> {
    await refusedFor({}, settings, ...messages);
  }
  async function refusedFor(
    env: NodeJS.ProcessEnv,
    settings: Record<string, unknown>,
    ...messages: RegExp[]
  ): Promise<void> {
    await stack.configure(settings);
    const { code, output } = await stack.up(env);
    assert.notEqual(code, 0, output);
    for (const message of messages) assert.match(output, message);
    assert.doesNotMatch(output, /\n\s+at .*\.[jt]s:\d+/, "the message comes with a stack trace");
    assert.deepEqual(await everything(), untouched);
  }
  const registry = (changes: Record<string, unknown>): Record<string, unknown> =>
    harborSettings({ registries: [{ ...(harborSettings()["registries"] as object[])[0], ...changes }] });
  const pem = (content: string): object => ({ from: "file", path: labFile("bad-ca.pem", content) });
  const docker = (content: string): object => ({
    from: "dockerConfig",
    path: labFile("bad-config.json", content),
  });

  test("a setting that is missing", () => {
    const settings = Object.entries(harborSettings()).filter(([name]) => name !== "cluster");
    return refused(Object.fromEntries(settings), /missing[^]*cluster/i);
  });
  test("settings: an unknown one, two of the wrong shape", () =>
    refused(
      harborSettings({ adopt: "yes", access: "teleport", jumpbx: {} }),
      /3 problems/,
      /tkc-registry:jumpbx: there is no such setting/,
      /tkc-registry:adopt: it is "yes"/,
      /tkc-registry:access: it is "teleport"/,
    ));
  test("an image whose registry is none of the stack's", () =>
    refused(
      harborSettings({ deployment: { image: "other.example/team/nginx:1.0" } }),
      /other\.example, is none of the stack's/,
    ));
  test("a context that the kubeconfig doesn't have; a CA file that is no PEM; a config.json that is missing", () =>
    refused(
      {
        ...registry({
          ca: pem("hello"),
          credentials: { from: "dockerConfig", path: "/nonexistent/config.json" },
        }),
        clusterContext: "tkc-cluster-9",
      },
      /3 problems/,
      /clusterContext: [^\n]*tkc-cluster-9[^\n]*tkc-cluster-1/,
      /registries\[0\]\.ca\.path: there is no certificate in it/,
      /registries\[0\]\.credentials: [^\n]*\/nonexistent\/config\.json/,
    ));
  test("a cluster without an SSH secret; an HTML page instead of a certificate; a config.json that is malformed", () =>
    refused(
      {
        ...registry({ ca: pem("<html><body>404</body></html>"), credentials: docker("{ not json") }),
        cluster: "tkc-cluster-9",
        clusterContext: "tkc-cluster-1",
      },
      /3 problems/,
      /secret ns1\/tkc-cluster-9-ssh/,
      /registries\[0\]\.ca\.path: [^\n]*HTML/,
      /registries\[0\]\.credentials[^\n]*not JSON/,
    ));
  test("an expired CA; a config.json without this registry; a pull secret in a namespace that isn't there", () =>
    refused(
      {
        ...registry({
          ca: pem(expiredCertificate()),
          credentials: docker(JSON.stringify({ auths: { "other.example": { auth: "eDp5" } } })),
        }),
        pullSecret: { namespaces: ["default", "no-such-team"] },
      },
      /3 problems/,
      /registries\[0\]\.ca\.path: the certificate [^\n]* expired at 2020-02-01/,
      /registries\[0\]\.credentials: [^\n]*other\.example/,
      /pullSecret\.namespaces: the cluster has no namespace no-such-team/,
    ));
  test("a fingerprint that is not the CA's", () =>
    refused(
      registry({ ca: { from: "harbor", sha256: "ab".repeat(32) } }),
      new RegExp(harbor.caSha256.slice(0, 8), "i"),
    ));
  test("a wrong registry password", () => {
    const auth = Buffer.from(`${harbor.user}:wrong-password`).toString("base64");
    return refused(
      registry({ credentials: docker(JSON.stringify({ auths: { [harbor.host]: { auth } } })) }),
      /registries\[0\]\.credentials: [^\n]*does not accept the user/,
    );
  });

  for (const [mode, message] of [
    ["404", /404/],
    ["500", /500/],
    ["html", /HTML/],
  ] as const) {
    test(`a getcert that answers ${mode}`, async () => {
      await lab.setGetcert(mode);
      try {
        await refused(harborSettings(), message);
      } finally {
        await lab.setGetcert("v2");
      }
    });
  }

  test("a namespace that would refuse the pod", async () => {
    await kubectl("workload", "create", "quota", "no-pods", "-n", "default", "--hard=pods=0");
    try {
      await refused(harborSettings(), /no-pods/);
    } finally {
      await kubectl("workload", "delete", "quota", "no-pods", "-n", "default");
    }
  });

  test("rights that are missing, named by verb and resource", async () => {
    const env = await lab.unprivilegedOperator();
    const missing =
      /may not [^\n]*create pods\/exec in namespace ns1[^]*may not get, list nodes; [^\n]*patch, delete secrets in namespace default; [^\n]*deployments\.apps in namespace default/;
    await refusedFor(env, harborSettings(), missing);
  });

  test("a context of another cluster than the one that is named", async () => {
    const { env } = await lab.operator();
    const KUBECONFIG = labFile("other.kubeconfig", readFileSync(env["KUBECONFIG"]!, "utf8"));
    const config = (...args: string[]): Promise<ExecResult> =>
      exec("kubectl", ["config", ...args], { env: { ...env, KUBECONFIG } });
    const path = "jsonpath={.contexts[?(@.name=='ns1')].context['cluster','user']}";
    const [supervisor, user] = (await config("view", "--output", path)).stdout.split(" ");
    await config("set-context", "other", "--cluster", supervisor!, "--user", user!);
    await refusedFor(
      { KUBECONFIG },
      harborSettings({ clusterContext: "other" }),
      /clusterContext: the context other is for https:[^\n]* and the cluster ns1\/tkc-cluster-1 is at [\d.]+:6443 by secret ns1\/tkc-cluster-1-kubeconfig/,
    );
  });

  test("a login that has expired, with the command that renews it", async () => {
    const { KUBECONFIG } = (await lab.operator()).env;
    const claims = Buffer.from(JSON.stringify({ exp: 1600400000 })).toString("base64url");
    const expired = readFileSync(KUBECONFIG!, "utf8").replace(
      /(token: \S+?\.)[\w-]+(\.\S+)/g,
      `$1${claims}$2`,
    );
    await refusedFor(
      { KUBECONFIG: labFile("expired.kubeconfig", expired) },
      harborSettings(),
      /context ns1: [^\n]* which expired at 2020-09-18T03:33:20[^]*npm run login -- --server [\d.]+ --namespace ns1 --cluster tkc-cluster-1/,
    );
  });

  test("a wrong password of a registry whose image isn't used, and what else only the registries and the cluster know", () =>
    refused(
      mistakenSettings(),
      /3 problems/,
      /registries\[0\]\.ca\.sha256: /,
      /registries\[1\]\.credentials: [^\n]*does not accept the user/,
      /pullSecret\.namespaces: /,
    ));
});
