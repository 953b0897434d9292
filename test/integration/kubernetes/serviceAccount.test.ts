import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { after, before, describe, it } from "node:test";

const root = path.resolve(__dirname, "../../..");

/** Answers `get` with the file `account`, keeps `patch`'s arguments in the file `patch`. */
const fakeKubectl = `#!/bin/sh
case " $* " in
  *" get "*) cat "$FAKE/account" ;;
  *) printf '%s\\n' "$@" >"$FAKE/patch" ;;
esac
`;

describe("the command service-account", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(path.join(tmpdir(), "tkc-registry-kubectl-"));
    writeFileSync(path.join(folder, "kubectl"), fakeKubectl, { mode: 0o755 });
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const environment = {
    TKC_REGISTRY_CLUSTER_CONTEXT: "tkc-cluster-1",
    TKC_REGISTRY_NAMESPACE: "default",
    TKC_REGISTRY_SERVICE_ACCOUNT: "default",
    TKC_REGISTRY_PULL_SECRET: "harbor-svc-pull-secret",
  };
  const run = async (
    verb: string,
    env: NodeJS.ProcessEnv,
  ): Promise<{ code: number | null; output: string }> => {
    const child = spawn(
      process.execPath,
      [
        "--import",
        "tsx",
        "-e",
        `require(${JSON.stringify(path.join(root, "cli", "run.ts"))})`,
        "--",
        "v1",
        "service-account",
        verb,
      ],
      {
        cwd: root,
        env: { PATH: `${folder}:${process.env.PATH ?? ""}`, FAKE: folder, ...env },
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
    const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
    return { code, output };
  };

  it("takes what it is about from the environment, and reports what the next run must know", async () => {
    writeFileSync(
      path.join(folder, "account"),
      '{"metadata":{"resourceVersion":"7"},"imagePullSecrets":[{"name":"a"}]}',
    );
    const attached = await run("attach", environment);
    assert.deepEqual(attached, {
      code: 0,
      output:
        "namespace=default\nservice-account=default\npull-secret=harbor-svc-pull-secret\npreexisting=false\n",
    });
    const patch = readFileSync(path.join(folder, "patch"), "utf8");
    assert.match(patch, /^--context\ntkc-cluster-1\n/);
    assert.match(patch, /"path":"\/metadata\/resourceVersion","value":"7"/);

    writeFileSync(
      path.join(folder, "account"),
      '{"metadata":{"resourceVersion":"8"},"imagePullSecrets":[{"name":"a"},{"name":"harbor-svc-pull-secret"}]}',
    );
    const detached = await run("detach", { ...environment, PULUMI_COMMAND_STDOUT: attached.output });
    assert.match(detached.output, /harbor-svc-pull-secret removed/);
    assert.match(
      readFileSync(path.join(folder, "patch"), "utf8"),
      /"op":"replace","path":"\/imagePullSecrets","value":\[\{"name":"a"\}\]/,
    );
  });

  it("refuses to run without it, and says when kubectl is missing", async () => {
    assert.match((await run("attach", {})).output, /TKC_REGISTRY_CLUSTER_CONTEXT/);
    assert.match((await run("frobnicate", environment)).output, /neither attach nor detach/);
    const missing = await run("attach", { ...environment, PATH: "/nonexistent" });
    assert.deepEqual([missing.code, /kubectl: it is not on PATH/.test(missing.output)], [1, true]);
  });
});
