import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { childEnvironment } from "../../children";

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

  it("is otherwise this process's", () => {
    assert.deepEqual(childEnvironment(), childEnvironment(process.env));
    assert.equal(childEnvironment().PATH, process.env.PATH);
  });
});
