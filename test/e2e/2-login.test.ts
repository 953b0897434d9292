import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { after, describe, test } from "node:test";
import { exec, type ExecResult } from "../../lab/exec";
import * as lab from "../../lab/lab";
import { projectRoot } from "../../lab/paths";
import { harborSettings } from "../../lab/settings";
import { LabStack } from "../../lab/stack";

describe("login with vCenter credentials", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "tkc-registry-login-"));
  const kubeconfig = path.join(folder, "kubeconfig");
  after(() => rmSync(folder, { recursive: true }));
  const { server, user, password, caFile, caSha256 } = lab.supervisorLogin();

  const login = (options: readonly string[], given = password): Promise<ExecResult> =>
    exec(
      "npm",
      [
        "run",
        "--silent",
        "login",
        "--",
        "--server",
        server,
        "--user",
        user,
        "--namespace",
        "ns1",
        "--kubeconfig",
        kubeconfig,
        ...options,
      ],
      {
        cwd: projectRoot,
        env: { ...process.env, TKC_REGISTRY_VCENTER_PASSWORD: given },
        allowFailure: true,
        timeout: 600,
      },
    );
  const verified = ["--ca-file", caFile];

  async function refused(result: Promise<ExecResult>, message: RegExp): Promise<void> {
    const { code, stdout, stderr } = await result;
    assert.notEqual(code, 0);
    assert.match(stdout + stderr, message);
    assert.doesNotMatch(stdout + stderr, /\n\s+at /);
    assert.ok(!existsSync(kubeconfig), "a kubeconfig was written");
  }

  test("a wrong password is told as such", () =>
    refused(login(["--cluster", "tkc-cluster-1", ...verified], "wrong-password"), /password/));
  test("an unknown cluster is told as such", () =>
    refused(login(["--cluster", "tkc-cluster-9", ...verified]), /tkc-cluster-9/));
  test("a Supervisor whose certificate does not verify is not given the password", () =>
    refused(login(["--cluster", "tkc-cluster-1", "--fingerprint", "ab".repeat(32)]), /fingerprint/i));
  test("a Supervisor of another authority than the CA file's is not given the password", () =>
    refused(
      login(["--cluster", "tkc-cluster-1", "--ca-file", lab.registries().harbor.caFile]),
      /is not believed[^]*Nothing was sent/,
    ));
  test("without a CA file or a fingerprint, only public authorities are trusted", () =>
    refused(login(["--cluster", "tkc-cluster-1"]), /is not believed[^]*Nothing was sent/));
  test("a password in the arguments is refused", () =>
    refused(
      login(["--cluster", "tkc-cluster-1", ...verified, "--password", "any-word"]),
      /TKC_REGISTRY_VCENTER_PASSWORD/,
    ));

  for (const [how, options] of [
    ["its CA file", verified],
    ["its fingerprint", ["--fingerprint", caSha256]],
  ] as const) {
    test(`the Supervisor verified by ${how}: contexts for the namespace and the cluster that work, in a private file`, async () => {
      rmSync(kubeconfig, { force: true });
      const { code, stdout, stderr } = await login(["--cluster", "tkc-cluster-1", ...options]);
      assert.equal(code, 0, stdout + stderr);
      assert.doesNotMatch(stdout + stderr, /eyJ/, "a token was printed");
      assert.equal(statSync(kubeconfig).mode & 0o777, 0o600);
      const { env } = await lab.operator();
      const kubectl = async (context: string, ...args: string[]): Promise<string> =>
        (await exec("kubectl", ["--context", context, ...args], { env: { ...env, KUBECONFIG: kubeconfig } }))
          .stdout;
      assert.match(
        await kubectl("ns1", "get", "secret", "tkc-cluster-1-ssh", "-o", "name"),
        /secret\/tkc-cluster-1-ssh/,
      );
      assert.match(await kubectl("tkc-cluster-1", "get", "nodes", "-o", "name"), /control-plane/);
      assert.doesNotMatch(readFileSync(kubeconfig, "utf8"), /insecure-skip-tls-verify: true/);
    });
  }

  test("the operator has rights in the namespace only, as on a real Supervisor", async () => {
    const { env } = await lab.operator();
    const { code, stderr } = await exec(
      "kubectl",
      ["--context", "ns1", "get", "secrets", "-n", "kube-system"],
      {
        env: { ...env, KUBECONFIG: kubeconfig },
        allowFailure: true,
      },
    );
    assert.notEqual(code, 0);
    assert.match(stderr, /Forbidden/);
  });

  test("an expired token is told as such by the stack, with the command that renews it", async () => {
    await lab.setTokenLifetime("10s"); // the login still has to try the token, on a busy machine too
    try {
      const { code, stdout, stderr } = await login(["--cluster", "tkc-cluster-1", ...verified, "--force"]);
      assert.equal(code, 0, stdout + stderr);
    } finally {
      await lab.setTokenLifetime("10h");
    }
    // API servers remember for ten more seconds that a token was good.
    await new Promise((resolve) => setTimeout(resolve, 22_000));
    const stack = new LabStack("e2e-login");
    await stack.configure(harborSettings());
    const { code, output } = await stack.up({ KUBECONFIG: kubeconfig });
    assert.notEqual(code, 0);
    assert.match(output, /does not accept its login[^]*npm run login -- --server/);
    assert.equal(await stack.resourceCount(), 0);
  });
});
