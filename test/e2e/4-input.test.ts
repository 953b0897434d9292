import assert from "node:assert/strict";
import { before, after, describe, test } from "node:test";
import * as lab from "../../lab/lab";
import { LabStack } from "../../lab/stack";
import { find, kubectl, onAllNodes, writes } from "../../lab/inspect";
import { harborSettings, mistakenSettings } from "../../lab/settings";

/** What nobody may have touched when the input was bad. */
async function everything(): Promise<unknown> {
  return {
    nodes: await onAllNodes(writes),
    jumpbox: await find("supervisor", "pod", "ns1", "jumpbox-ubuntu"),
    secret: await find("workload", "secret", "default", "harbor-svc-pull-secret"),
    deployment: await find("workload", "deployment", "default", "tkc-nginx-harbor-svc-deployment"),
  };
}

/**
 * One pass of each kind that only the real programs decide: Pulumi's own settings, an API server's rights and quotas,
 * registries. Which input is bad, and what is said of it, is proved where it is decided (`unit/config`,
 * `integration/plan`, `integration/registry`).
 */
describe("bad input is refused by a clear message before anything changes", () => {
  const stack = new LabStack("e2e-input");
  let untouched: unknown;

  before(async () => {
    untouched = await everything();
  });
  after(async () => {
    await stack.destroy();
  });

  const refused = (settings: Record<string, unknown>, ...messages: RegExp[]): Promise<void> =>
    refusedFor({}, settings, ...messages);
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

  test("a setting that is missing", () => {
    const settings = Object.entries(harborSettings()).filter(([name]) => name !== "cluster");
    return refused(Object.fromEntries(settings), /missing[^]*cluster/i);
  });

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

  test("a wrong password of a registry whose image isn't used, and what else only the registries and the cluster know", () =>
    refused(
      mistakenSettings(),
      /3 problems/,
      /registries\[0\]\.ca\.sha256: /,
      /registries\[1\]\.credentials: [^\n]*does not accept the user/,
      /pullSecret\.namespaces: /,
    ));
});
