import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import * as path from "node:path";
import { describe, it } from "node:test";
import { packageRoot } from "../../../support/build";
import { childEnvironment } from "../../../support/childEnvironment";

describe("the environment of a program that we start", () => {
  it("has none of the variables that hold the stack's configuration, its passphrase or a login", () => {
    const ours = {
      PULUMI_CONFIG: "{}",
      PULUMI_CONFIG_SECRET_KEYS: "[]",
      PULUMI_CONFIG_PASSPHRASE: "p",
      PULUMI_CONFIG_PASSPHRASE_FILE: "/p",
      PULUMI_ACCESS_TOKEN: "t",
      TKC_REGISTRY_VCENTER_PASSWORD: "v",
    };
    const theirs = {
      PATH: "/bin",
      KUBECONFIG: "/k",
      AWS_PROFILE: "a",
      PULUMI_CONFIGURED: "",
      HTTPS_PROXY: "",
    };
    assert.deepEqual(childEnvironment({ ...theirs, ...ours }), theirs);
  });

  it("is given to each of them but `pulumi`, which reads the stack", () => {
    for (const folder of ["cli", "vsphere", "nodes", "kubernetes", "registry", "net", "certificates"]) {
      const files = readdirSync(path.join(packageRoot, folder), { recursive: true, encoding: "utf8" });
      for (const file of files.filter((name) => name.endsWith(".ts"))) {
        const source = readFileSync(path.join(packageRoot, folder, file), "utf8");
        const starts = source.match(/(?<![.\w])(?:spawn|execFile|fork)(?:Sync)?\((?!"pulumi")/g) ?? [];
        assert.equal(source.match(/childEnvironment\(/g)?.length ?? 0, starts.length, `${folder}/${file}`);
      }
    }
  });

  it("is this process's unless another is given, and stays apart from it", () => {
    process.env.PULUMI_ACCESS_TOKEN = "t";
    try {
      const { PULUMI_ACCESS_TOKEN, ...others } = process.env;
      assert.equal(PULUMI_ACCESS_TOKEN, "t");
      const child = childEnvironment();
      assert.deepEqual(child, others);
      child.PATH = "/changed";
      assert.equal(process.env.PATH, others.PATH);
    } finally {
      delete process.env.PULUMI_ACCESS_TOKEN;
    }
  });
});
