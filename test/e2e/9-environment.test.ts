import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { after, before, describe, test } from "node:test";
import { exec, type ExecResult } from "../../lab/exec";
import { onAllNodes, trustStore } from "../../lab/inspect";
import { projectRoot } from "../../lab/paths";
import { cluster, supervisor } from "../../lab/topology";
import * as lab from "./lab";
import { expectTrust, pemOf, storeWrites } from "./nodes";

/** What docs/environments.md and docs/review.md have an operator type, from an empty folder on. */
describe("a new environment by the docs: init, check, review, and the reviewed plan applied", () => {
  const { harbor } = lab.registries();
  const folder = mkdtempSync(path.join(tmpdir(), "tkc-registry-environment-"));
  const checkout = path.join(folder, "tkc-registry");
  const image = harbor.image;
  let env: NodeJS.ProcessEnv;
  let stores: Record<string, string> = {};

  const sh = async (line: string, input = ""): Promise<ExecResult> =>
    await exec("bash", ["-c", line], { cwd: checkout, env, input, allowFailure: true });
  const succeed = async (line: string, input?: string): Promise<string> => {
    const { code, stdout, stderr } = await sh(line, input);
    assert.equal(code, 0, `${line}\n${stdout}${stderr}`);
    return stdout + stderr;
  };

  before(async () => {
    const { stdout } = await exec("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
      cwd: projectRoot,
    });
    for (const file of stdout.split("\0").filter((name) => name !== ""))
      cpSync(path.join(projectRoot, file), path.join(checkout, file));
    mkdirSync(path.join(folder, "state"));
    env = {
      ...(await lab.operator()).env,
      NODE_OPTIONS: "",
      PULUMI_BACKEND_URL: `file://${path.join(folder, "state")}?metadata=skip`,
      PULUMI_CONFIG_PASSPHRASE: "the team's",
      PULUMI_EXPERIMENTAL: "true",
    };
    delete env["PULUMI_STACK"];
    stores = await onAllNodes(trustStore);
  });
  after(async () => {
    await sh("pulumi destroy --stack dev --yes --skip-preview --continue-on-error");
    rmSync(folder, { recursive: true, force: true });
  });

  test("init writes the settings, and says what is missing", async () => {
    await succeed("npm ci --no-audit --no-fund");
    const { code, stdout, stderr } = await sh(
      [
        `npm run init -- dev --yes --namespace ${supervisor.namespace} --cluster ${cluster.name}`,
        `--registry ${harbor.host},kind=harbor,ca=harbor --ca-sha256 ${harbor.host}=${harbor.caSha256}`,
        `--user '${harbor.host}=${harbor.user}' --image ${image}`,
      ].join(" "),
    );
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout + stderr, /pulumi config set --secret --path/);
    const written = readFileSync(path.join(checkout, "Pulumi.dev.yaml"), "utf8");
    assert.match(written, /^# yaml-language-server: \$schema=/);
    assert.ok(!written.includes(harbor.password));
  });

  test("what it names as missing is set, and the settings pass without any access", async () => {
    await succeed("pulumi stack init dev");
    await succeed(
      `pulumi config set --stack dev --secret --path 'passwords["${harbor.host}"]'`,
      harbor.password,
    );
    await succeed("env -u KUBECONFIG -u PULUMI_CONFIG_PASSPHRASE HOME=/nonexistent npm run check:settings");
  });

  test("the review tells that every node is new, and the saved plan of it is applied", async () => {
    const { code, stderr } = await sh("npm run review -- --stack dev --out review.md");
    assert.equal(code, 1, stderr);
    const review = readFileSync(path.join(checkout, "review.md"), "utf8");
    for (const { name } of await lab.nodes())
      assert.match(review, new RegExp(`\`${name}\` .* install.* it is new`));
    assert.match(review, new RegExp(harbor.caSha256.replaceAll(":", ""), "i"));
    assert.ok(!review.includes(harbor.password));
    await succeed("pulumi preview --stack dev --save-plan plan.json");
    await succeed("npm run review -- --stack dev --plan plan.json");
    await succeed("pulumi up --stack dev --plan plan.json --yes");
    await expectTrust(pemOf(harbor.caFile));
    await succeed("npm run verify -- --stack dev --pull");
  });

  test("then the review says that there is nothing to do, and a plan of the past is refused", async () => {
    assert.match(await succeed("npm run review -- --stack dev"), /\*\*Nothing to do\.\*\*/);
    const [first, second] = await lab.nodes();
    const removeCa = "rm $(find /etc/ssl /usr/local/share -type f -name 'tkc-registry-*')";
    const drift = (node: string): Promise<string> => lab.nodeExec(node, ["sh", "-c", removeCa]);
    await drift(first!.name);
    await succeed("pulumi preview --stack dev --save-plan plan.json");
    await drift(second!.name);
    const earlier = await storeWrites();
    const { code, stdout } = await sh("pulumi up --stack dev --plan plan.json --yes --skip-preview");
    assert.notEqual(code, 0, stdout);
    assert.deepEqual(await storeWrites(), earlier);
    assert.equal((await sh("npm run review -- --stack dev --plan plan.json")).code, 1);
  });

  test("destroy leaves every trust store byte for byte as before", async () => {
    await succeed("pulumi destroy --stack dev --yes --skip-preview");
    assert.deepEqual(await onAllNodes(trustStore), stores);
  });
});
