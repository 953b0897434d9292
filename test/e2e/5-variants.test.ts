import assert from "node:assert/strict";
import { chmodSync, readFileSync } from "node:fs";
import * as path from "node:path";
import { after, before, describe, test } from "node:test";
import { exec } from "../../lab/exec";
import * as lab from "./lab";
import { LabStack } from "../../lab/stack";
import {
  find,
  goBundle,
  kubectl,
  onAllNodes,
  pullSecretAuths,
  trusts,
  withoutSecrets,
} from "../../lab/inspect";
import { harborSettings, labFile } from "../../lab/settings";

interface WatchedSecret {
  readonly metadata: { readonly uid: string; readonly resourceVersion: string };
  readonly data: Readonly<Record<string, string>>;
}

/** One stack after another on the same nodes, each with another of the ways that the settings allow. */
describe("the other ways", () => {
  const stack = new LabStack("e2e-variants");
  const { harbor, custom } = lab.registries();

  before(async () => {
    await stack.configure(harborSettings());
  });
  after(async () => {
    await stack.destroy();
  });

  const registry = (
    changes: Record<string, unknown>,
    more: Record<string, unknown> = {},
  ): Record<string, unknown> =>
    harborSettings({
      deployment: { enabled: false },
      registries: [{ ...(harborSettings()["registries"] as object[])[0], ...changes }],
      ...more,
    });

  async function trusted(
    settings: Record<string, unknown>,
    caFile: string,
    env: NodeJS.ProcessEnv = {},
  ): Promise<string> {
    await stack.configure(settings);
    const { code, output } = await stack.up(env);
    assert.equal(code, 0, output);
    const pem = readFileSync(caFile, "utf8").trim();
    for (const [node, bundle] of Object.entries(await onAllNodes(goBundle)))
      assert.ok(bundle.includes(pem), node);
    return output;
  }

  test("a node that shows another host key than the configured one is left alone, the others are done", async () => {
    const worker = (await lab.nodes()).find((node) => node.role === "worker")!.name;
    await stack.configure(
      registry(
        {},
        { nodes: { hostKeys: { [worker]: `SHA256:${"A".repeat(43)}` } }, rollout: { canary: false } },
      ),
    );
    const { code, output } = await stack.up();
    assert.notEqual(code, 0);
    assert.match(output, new RegExp(`${worker}[^]*host key`));
    const pem = readFileSync(harbor.caFile, "utf8");
    for (const [node, trusted] of Object.entries(await onAllNodes((name) => trusts(name, pem)))) {
      assert.equal(trusted, node !== worker, node);
    }
    assert.equal(await find("workload", "secret", "default", "harbor-svc-pull-secret"), undefined);
  });

  test("a Harbor that only knows getcert v1; an SSH key from a file; credentials from docker's helper", async () => {
    const key = (await find("supervisor", "secret", "ns1", "tkc-cluster-1-ssh")) as {
      data: Record<string, string>;
    };
    const sshKeyFile = labFile("node-key", Buffer.from(key.data["ssh-privatekey"]!, "base64").toString());
    const helper = labFile(
      "docker-credential-lab",
      `#!/bin/sh\nprintf '{"ServerURL":"%s","Username":"%s","Secret":"%s"}' '${harbor.host}' '${harbor.user}' '${harbor.password}'\n`,
    );
    chmodSync(helper, 0o700);
    const config = labFile("helper-config.json", JSON.stringify({ credHelpers: { [harbor.host]: "lab" } }));
    const { env } = await lab.operator();
    await lab.setGetcert("v1-only");
    try {
      await withoutSecrets(["tkc-cluster-1-ssh", "tkc-cluster-1-ssh-password"], () =>
        trusted(
          registry({ credentials: { from: "dockerConfig", path: config } }, { nodes: { sshKeyFile } }),
          harbor.caFile,
          { PATH: `${path.dirname(helper)}:${env["PATH"] ?? ""}` },
        ),
      );
    } finally {
      await lab.setGetcert("v2");
    }
    assert.deepEqual(await pullSecretAuths("default", "harbor-svc-pull-secret"), {
      [harbor.host]: `${harbor.user}:${harbor.password}`,
    });
  });

  test("nodes without an SSH key take the password from its secret; the CA comes inline", async () => {
    // Another CA, so that every node has something to do: a way in that isn't used proves nothing.
    await withoutSecrets(["tkc-cluster-1-ssh"], () =>
      trusted(
        registry({
          host: custom.host,
          kind: "generic",
          ca: { from: "inline", pem: readFileSync(custom.caFile, "utf8") },
          credentials: { from: "none" },
        }),
        custom.caFile,
      ),
    );
  });

  test("the CA that is no longer listed is gone from every node", async () => {
    const pem = readFileSync(harbor.caFile, "utf8").trim();
    for (const [node, bundle] of Object.entries(await onAllNodes(goBundle)))
      assert.ok(!bundle.includes(pem), node);
  });

  test("the pull secret is gone where no registry needs one", async () => {
    assert.equal(await find("workload", "secret", "default", "harbor-svc-pull-secret"), undefined);
  });

  test("a CA from a file; the pull secret in several namespaces; a ServiceAccount's other entries stay", async () => {
    const setEntries = async (imagePullSecrets: object[]): Promise<void> => {
      const patch = labFile("service-account.json", JSON.stringify({ imagePullSecrets }));
      const account = ["patch", "serviceaccount", "default", "-n", "default"];
      await kubectl("workload", ...account, "--type=merge", "--patch-file", patch);
    };
    await kubectl("workload", "create", "namespace", "team-b");
    try {
      await setEntries([{ name: "somebody-elses" }]);
      await trusted(
        registry(
          { ca: { from: "file", path: harbor.caFile } },
          { pullSecret: { namespaces: ["default", "team-b"], defaultServiceAccount: true } },
        ),
        harbor.caFile,
      );
      const entries = async (namespace: string): Promise<string[]> => {
        const account = (await find("workload", "serviceaccount", namespace, "default")) as {
          imagePullSecrets?: { name: string }[];
        };
        return (account.imagePullSecrets ?? []).map((entry) => entry.name);
      };
      assert.deepEqual(await entries("default"), ["somebody-elses", "harbor-svc-pull-secret"]);
      assert.deepEqual(await entries("team-b"), ["harbor-svc-pull-secret"]);
      assert.ok(await find("workload", "secret", "team-b", "harbor-svc-pull-secret"));

      const { code, output } = await stack.destroy();
      assert.equal(code, 0, output);
      assert.deepEqual(await entries("default"), ["somebody-elses"]);
    } finally {
      await setEntries([]);
      await kubectl("workload", "delete", "namespace", "team-b");
    }
  });

  test("a changed password of the registry: the pull secret has the new one without ever being gone, no pod is restarted, and pulls work", async () => {
    await stack.configure(harborSettings());
    const first = await stack.up();
    assert.equal(first.code, 0, first.output);
    const [namespace, name] = ["default", "harbor-svc-pull-secret"];
    const secret = async (): Promise<WatchedSecret> =>
      (await find("workload", "secret", namespace, name)) as unknown as WatchedSecret;
    const pods = async (): Promise<unknown> => {
      const ofApp = ["get", "pods", "-n", namespace, "-l", "app=nginx-harbor-svc-app", "-o", "json"];
      const { items } = JSON.parse(await kubectl("workload", ...ofApp)) as {
        items: {
          metadata: { uid: string };
          status: { startTime: string; containerStatuses: { restartCount: number; containerID: string }[] };
        }[];
      };
      return items.map(({ metadata: { uid }, status: { startTime, containerStatuses } }) => ({
        uid,
        startTime,
        containers: containerStatuses.map(({ restartCount, containerID }) => ({ restartCount, containerID })),
      }));
    };
    const pulls = async (): Promise<number> => {
      const { cwd, env } = await stack.command([]);
      const words = ["run", "--silent", "verify", "--", "--stack", stack.name, "--pull"];
      return (await exec("npm", words, { cwd, env, allowFailure: true, timeout: 1800 })).code;
    };
    const [before, running] = [await secret(), await pods()];

    const changed = await lab.setRegistryPassword("harbor");
    assert.equal(await pulls(), 1, "the registry still takes the old password");
    await stack.configure(harborSettings()); // writes docker's config.json, as `docker login` would
    const { code, output } = await stack.up();
    assert.equal(code, 0, output);
    assert.match(output, /\b1 updated/);
    assert.doesNotMatch(output, /\d+ (created|replaced|deleted)/);

    // Every change since then, in order: the API server keeps them for some minutes.
    const since = new URLSearchParams({
      watch: "true",
      fieldSelector: `metadata.name=${name}`,
      resourceVersion: before.metadata.resourceVersion,
      timeoutSeconds: "3",
    });
    const watched = await kubectl(
      "workload",
      "get",
      "--raw",
      `/api/v1/namespaces/${namespace}/secrets?${since.toString()}`,
    );
    const events = watched
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { type: string; object: WatchedSecret });
    assert.deepEqual([...new Set(events.map(({ type }) => type))], ["MODIFIED"]);
    const now = await secret();
    assert.equal(events.at(-1)!.object.metadata.resourceVersion, now.metadata.resourceVersion);
    for (const { metadata, data } of [...events.map(({ object }) => object), now]) {
      assert.equal(metadata.uid, before.metadata.uid);
      assert.ok(data[".dockerconfigjson"], "the pull secret was empty for a moment");
    }
    assert.deepEqual(await pullSecretAuths(namespace, name), {
      [changed.host]: `${changed.user}:${changed.password}`,
    });
    assert.deepEqual(await pods(), running);
    assert.equal(await pulls(), 0);
  });

  test("a CA is trusted on first use, and no other until it is accepted; the image is deployed by its digest", async () => {
    const settings = (accepted: object = {}): Record<string, unknown> =>
      harborSettings({
        deployment: { pinDigest: true },
        registries: [
          ...(harborSettings()["registries"] as object[]),
          {
            host: custom.host,
            kind: "generic",
            ca: { from: "chain", trustOnFirstUse: true, ...accepted },
            credentials: { from: "none" },
          },
        ],
      });
    const told = await trusted(settings(), custom.caFile);
    assert.match(
      told,
      new RegExp(`${custom.host}: [^\n]*first use[^\n]*${custom.caSha256}|${custom.caSha256}[^\n]*first use`),
    );
    const { image } = (await stack.outputs()) as { image: string };
    assert.match(image, /^[^@]+:latest@sha256:[0-9a-f]{64}$/);
    const running = await kubectl(
      ...(["workload", "get", "pods", "-n", "default", "-l", "app=nginx-harbor-svc-app"] as const),
      ...["-o", "jsonpath={.items[?(@.status.phase=='Running')].spec.containers[0].image}"],
    );
    assert.ok(running.split(" ").includes(image), running);
    assert.doesNotMatch(await trusted(settings(), custom.caFile), /first use/);

    const changed = await lab.rotateCa("custom");
    const { code, output } = await stack.up();
    assert.notEqual(code, 0);
    assert.match(
      output,
      new RegExp(`registries\\[1\\]\\.ca: [^\n]*${changed.caSha256}[^\n]*${custom.caSha256}`),
    );
    const pem = readFileSync(changed.caFile, "utf8");
    for (const [node, trusting] of Object.entries(await onAllNodes((name) => trusts(name, pem))))
      assert.ok(!trusting, node);

    await trusted(settings({ sha256: changed.caSha256 }), changed.caFile);
    await trusted(settings(), changed.caFile);
  });
});
