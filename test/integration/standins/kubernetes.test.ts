import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startApiServer, type ApiServer } from "./apiServer";
import { makeProject, skip, type Project } from "./project";

describe("the stand-in for the Kubernetes provider", { skip }, () => {
  let server: ApiServer;
  let project: Project;
  before(async () => {
    server = await startApiServer();
    project = await makeProject({ kubeconfig: server.kubeconfig });
  });
  after(async () => {
    await project.remove();
    await server.stop();
  });

  interface Live {
    readonly metadata: {
      readonly uid: string;
      readonly labels?: Record<string, string>;
      readonly name: string;
    };
    readonly data?: Record<string, string>;
    readonly spec?: Record<string, unknown>;
  }
  const live = async (kind: string, name: string): Promise<Live | undefined> => {
    const output = await server.kubectl(["get", kind, name, "--ignore-not-found", "--output=json"]);
    return output === "" ? undefined : (JSON.parse(output) as Live);
  };
  const program = (resources: string, settings = "", identifier = "ns1/cluster"): string => `
    import * as pulumi from "@pulumi/pulumi";
    import * as k8s from "@pulumi/kubernetes";
    const provider = new k8s.Provider("provider", {
      context: "ns1", clusterIdentifier: ${JSON.stringify(identifier)}, ${settings}
    });
    const opts = { provider };
    ${resources}
  `;
  const secret = (password: string, metadata = `name: "pull"`): string => `
    const secret = new k8s.core.v1.Secret("secret", {
      metadata: { ${metadata} },
      type: "Opaque",
      stringData: { password: pulumi.secret("${password}") },
    }, opts);
    export const data = secret.data;
    export const id = secret.id;
  `;
  const pod = (image: string, annotations = `"pulumi.com/skipAwait": "true"`): string => `
    const pod = new k8s.core.v1.Pod("pod", {
      metadata: { name: "pod", annotations: { ${annotations} } },
      spec: { containers: [{ name: "main", image: "${image}" }] },
    }, opts);
    export const phase = pod.status.phase;
  `;
  /** Plays the kubelet: sets the status of an object as soon as it is there. */
  const setStatus = async (kind: string, name: string, status: unknown): Promise<void> => {
    for (let attempt = 0; (await live(kind, name)) === undefined; attempt++) {
      assert.ok(attempt < 120, `${kind} ${name} never came`);
      await sleep(250);
    }
    const patch = JSON.stringify({ status });
    await server.kubectl(["patch", kind, name, "--subresource=status", "--type=merge", `--patch=${patch}`]);
  };

  it("creates in the context's namespace, and keeps a Secret's data secret", async () => {
    await project.write(program(secret("first") + pod("registry.test/a:1")));
    const up = await project.run(["up", "--yes", "--skip-preview"]);
    assert.ok(!up.stdout.includes("warning"), up.stdout);
    assert.equal((await live("secret", "pull"))?.data?.password, Buffer.from("first").toString("base64"));
    const outputs = await project.outputs();
    assert.equal(outputs.id, "ns1/pull");
    assert.deepEqual(outputs.data, { password: Buffer.from("first").toString("base64") });
    assert.equal(outputs.phase, "Pending");
    const { stdout } = await project.run(["stack", "export"]);
    assert.ok(!stdout.includes("first") && !stdout.includes(Buffer.from("first").toString("base64")));
  });

  it("reports no change when nothing changed", async () => {
    const up = await project.run(["up", "--yes", "--skip-preview"]);
    assert.match(up.stdout, /4 unchanged/);
  });

  it("refuses an object that exists, and leaves it as it is", async () => {
    const before = await live("secret", "pull");
    const other = await makeProject({ kubeconfig: server.kubeconfig });
    try {
      await other.write(program(secret("other")));
      const up = await other.run(["up", "--yes", "--skip-preview"], { allowFailure: true });
      assert.notEqual(up.code, 0);
      assert.match(up.stdout, /already exists/);
      assert.deepEqual(await live("secret", "pull"), before);
    } finally {
      await other.remove();
    }
  });

  it("replaces a Secret whose data changed, the old one first", async () => {
    const before = await live("secret", "pull");
    await project.write(program(secret("second") + pod("registry.test/a:1")));
    const preview = await project.run(["preview", "--diff"]);
    assert.match(preview.stdout, /replace/);
    assert.ok(!preview.stdout.includes("second"));
    await project.run(["up", "--yes", "--skip-preview"]);
    const after = await live("secret", "pull");
    assert.notEqual(after?.metadata.uid, before?.metadata.uid);
    assert.equal(after?.data?.password, Buffer.from("second").toString("base64"));
  });

  it("updates a Secret in place with enableSecretMutable", async () => {
    const before = await live("secret", "pull");
    await project.write(program(secret("third") + pod("registry.test/a:1"), "enableSecretMutable: true"));
    await project.run(["up", "--yes", "--skip-preview"]);
    const after = await live("secret", "pull");
    assert.equal(after?.metadata.uid, before?.metadata.uid);
    assert.equal(after?.data?.password, Buffer.from("third").toString("base64"));
  });

  it("replaces a pod whose spec changed, and updates one whose labels did", async () => {
    const before = await live("pod", "pod");
    await project.write(program(secret("third") + pod("registry.test/a:2"), "enableSecretMutable: true"));
    const preview = await project.run(["preview", "--diff"]);
    assert.match(preview.stdout, /image\s*: "registry.test\/a:1" => "registry.test\/a:2"/);
    await project.run(["up", "--yes", "--skip-preview"]);
    const replaced = await live("pod", "pod");
    assert.notEqual(replaced?.metadata.uid, before?.metadata.uid);
    const annotations = `"pulumi.com/skipAwait": "true" }, labels: { app: "x"`;
    await project.write(
      program(secret("third") + pod("registry.test/a:2", annotations), "enableSecretMutable: true"),
    );
    await project.run(["up", "--yes", "--skip-preview"]);
    const updated = await live("pod", "pod");
    assert.equal(updated?.metadata.uid, replaced?.metadata.uid);
    assert.deepEqual(updated?.metadata.labels, { app: "x" });
  });

  it("replaces a pod whose container's environment changed, the old one first", async () => {
    const withValue = (value: string): string =>
      program(
        secret("third") +
          pod("registry.test/a:2").replace(
            `name: "main"`,
            `name: "main", env: [{ name: "A", value: "${value}" }]`,
          ),
        "enableSecretMutable: true",
      );
    await project.write(withValue("one"));
    await project.run(["up", "--yes", "--skip-preview"]);
    const before = await live("pod", "pod");
    await project.write(withValue("two"));
    const { stdout } = await project.run(["up", "--yes", "--skip-preview"]);
    const after = await live("pod", "pod");
    assert.notEqual(after?.metadata.uid, before?.metadata.uid);
    assert.match(JSON.stringify(after?.spec), /"name":"A","value":"two"/);
    assert.ok(stdout.indexOf("deleted original") < stdout.indexOf("created replacement"), stdout);
  });

  it("sees what others changed after a refresh, and puts it right", async () => {
    const settings = "enableSecretMutable: true";
    const annotations = `"pulumi.com/skipAwait": "true", "pulumi.com/patchForce": "true" }, labels: { app: "x"`;
    await project.write(program(secret("third") + pod("registry.test/a:2", annotations), settings));
    await project.run(["up", "--yes", "--skip-preview"]);
    await server.kubectl(["label", "--overwrite", "pod", "pod", "app=drifted"]);
    await project.run(["refresh", "--yes", "--skip-preview"]);
    const preview = await project.run(["preview", "--diff"]);
    assert.match(preview.stdout, /app\s*: "drifted" => "x"/);
    await project.run(["up", "--yes", "--skip-preview"]);
    assert.deepEqual((await live("pod", "pod"))?.metadata.labels, { app: "x" });
    await server.kubectl(["delete", "pod", "pod"]);
    await project.run(["refresh", "--yes", "--skip-preview"]);
    assert.equal(await project.resource("pod"), undefined);
  });

  it("makes what is gone anew in an up that refreshes first", async () => {
    const before = await live("secret", "pull");
    await server.kubectl(["delete", "secret", "pull"]);
    await project.write(program(secret("third"), "enableSecretMutable: true"));
    const { stdout } = await project.run(["up", "--yes", "--skip-preview", "--refresh"]);
    const after = await live("secret", "pull");
    assert.ok(after !== undefined && after.metadata.uid !== before?.metadata.uid, stdout);
  });

  it("destroys what is gone already, its namespace too", async () => {
    const other = await makeProject({ kubeconfig: server.kubeconfig });
    try {
      await server.kubectl(["create", "namespace", "ns2"]);
      await other.write(
        program(
          secret("gone", `name: "gone", namespace: "ns2"`) +
            pod("registry.test/a:1").replaceAll('"pod"', '"gone"'),
        ),
      );
      await other.run(["up", "--yes", "--skip-preview"]);
      await server.kubectl(["delete", "secret", "gone", "--namespace=ns2"]);
      await server.kubectl(["delete", "pod", "gone"]);
      await server.kubectl(["delete", "namespace", "ns2", "--wait=false"]);
      await other.run(["destroy", "--yes", "--skip-preview"]);
      assert.equal(await other.resource("secret"), undefined);
    } finally {
      await other.remove();
    }
  });

  it("drops what is on an unreachable cluster only where that is asked for", async () => {
    const folder = await mkdtemp(path.join(tmpdir(), "tkc-registry-unreachable-"));
    const kubeconfig = path.join(folder, "kubeconfig"); // the state holds its name
    const text = await readFile(server.kubeconfig, "utf8");
    await writeFile(kubeconfig, text);
    const other = await makeProject({ kubeconfig });
    try {
      await other.write(program(secret("kept", `name: "unreachable"`)));
      await other.run(["up", "--yes", "--skip-preview"]);
      await writeFile(kubeconfig, text.replace(/127\.0\.0\.1:\d+/, "127.0.0.1:9"));
      for (const command of ["refresh", "destroy"]) {
        const refused = await other.run([command, "--yes", "--skip-preview"], { allowFailure: true });
        assert.notEqual(refused.code, 0, refused.stdout);
        assert.match(refused.stdout, /rerunning the operation with the PULUMI_K8S_DELETE_UNREACHABLE/);
        assert.notEqual(await other.resource("secret"), undefined);
      }
      const env = { PULUMI_K8S_DELETE_UNREACHABLE: "true" };
      const preview = await other.run(["refresh", "--preview-only"], { env });
      assert.match(preview.stdout, /1 to delete/);
      const { stdout } = await other.run(["destroy", "--yes", "--skip-preview"], { env });
      assert.match(stdout, /warning: configured Kubernetes cluster is unreachable: /);
      assert.match(stdout, /Deleting the unreachable resource from Pulumi state/);
      assert.equal(await other.resource("secret"), undefined);
    } finally {
      await other.remove();
      await rm(folder, { recursive: true });
    }
    assert.notEqual(await live("secret", "unreachable"), undefined);
  });

  it("keeps the objects when only the provider's other settings change", async () => {
    const before = await live("secret", "pull");
    await project.write(program(secret("third"), "enableSecretMutable: true, upsertExistingObjects: true"));
    const up = await project.run(["up", "--yes", "--skip-preview"]);
    assert.ok(!/replace/.test(up.stdout), up.stdout);
    assert.equal((await live("secret", "pull"))?.metadata.uid, before?.metadata.uid);
  });

  it("destroys what it made, and nothing else", async () => {
    await server.kubectl(["create", "configmap", "of-another"]);
    await project.run(["destroy", "--yes", "--skip-preview"]);
    assert.equal(await live("secret", "pull"), undefined);
    assert.notEqual(await live("configmap", "of-another"), undefined);
  });

  it("takes over an object with upsertExistingObjects", async () => {
    await server.kubectl(["create", "secret", "generic", "pull", "--from-literal=password=by-hand"]);
    await project.write(
      program(
        secret("taken", `name: "pull", annotations: { "pulumi.com/patchForce": "true" }`),
        "upsertExistingObjects: true",
      ),
    );
    await project.run(["up", "--yes", "--skip-preview"]);
    assert.equal((await live("secret", "pull"))?.data?.password, Buffer.from("taken").toString("base64"));
    await project.run(["destroy", "--yes", "--skip-preview"]);
  });

  it("names objects that have no name, and keeps the name", async () => {
    const unnamed = (value: string): string => `
      const map = new k8s.core.v1.ConfigMap("settings", { data: { key: "${value}" } }, opts);
      export const name = map.metadata.name;
    `;
    await project.write(program(unnamed("one"), "enableConfigMapMutable: true"));
    await project.run(["up", "--yes", "--skip-preview"]);
    const first = await project.outputs();
    assert.match(String(first.name), /^settings-[0-9a-f]{8}$/);
    await project.write(program(unnamed("two"), "enableConfigMapMutable: true"));
    await project.run(["up", "--yes", "--skip-preview"]);
    assert.deepEqual(await project.outputs(), first);
    await project.run(["destroy", "--yes", "--skip-preview"]);
  });

  it("waits until a pod is Running and Ready", async () => {
    await project.write(program(pod("registry.test/a:1", "")));
    const up = project.run(["up", "--yes", "--skip-preview"]);
    await setStatus("pod", "pod", { phase: "Running", conditions: [{ type: "Ready", status: "True" }] });
    await up;
    assert.deepEqual(await project.outputs(), { phase: "Running" });
    await project.run(["destroy", "--yes", "--skip-preview"]);
  });

  it("says why a pod isn't ready, and keeps it in state for the next run", async () => {
    const message = "x509: certificate signed by unknown authority";
    await project.write(program(pod("registry.test/a:1", `"pulumi.com/timeoutSeconds": "3"`)));
    const up = project.run(["up", "--yes", "--skip-preview"], { allowFailure: true });
    await setStatus("pod", "pod", {
      phase: "Pending",
      containerStatuses: [
        {
          name: "main",
          image: "registry.test/a:1",
          imageID: "",
          ready: false,
          restartCount: 0,
          state: { waiting: { reason: "ErrImagePull", message } },
        },
      ],
    });
    const { code, stdout } = await up;
    assert.notEqual(code, 0);
    assert.ok(stdout.includes(`container main: [ErrImagePull] ${message}`), stdout);
    assert.equal((await project.resource("pod"))?.initErrors?.length, 1);
    const again = project.run(["up", "--yes", "--skip-preview"]);
    await setStatus("pod", "pod", { phase: "Running", conditions: [{ type: "Ready", status: "True" }] });
    await again;
    assert.equal((await project.resource("pod"))?.initErrors, undefined);
    await project.run(["destroy", "--yes", "--skip-preview"]);
  });

  it("waits until a Deployment's new pods are available", async () => {
    await project.write(
      program(`
        const deployment = new k8s.apps.v1.Deployment("deployment", {
          metadata: { name: "web" },
          spec: {
            replicas: 2,
            selector: { matchLabels: { app: "web" } },
            template: {
              metadata: { labels: { app: "web" } },
              spec: { containers: [{ name: "main", image: "registry.test/a:1" }] },
            },
          },
        }, opts);
        export const available = deployment.status.availableReplicas;
      `),
    );
    const up = project.run(["up", "--yes", "--skip-preview"]);
    await setStatus("deployment", "web", {
      observedGeneration: 1,
      replicas: 2,
      updatedReplicas: 2,
      readyReplicas: 2,
      availableReplicas: 2,
    });
    await up;
    assert.deepEqual(await project.outputs(), { available: 2 });
  });

  it("says in the preview what the server would refuse", async () => {
    await project.write(program(pod("registry.test/a:1").replace('name: "main"', 'name: "Not A Name"')));
    const preview = await project.run(["preview"], { allowFailure: true });
    assert.notEqual(preview.code, 0);
    assert.match(preview.stdout, /Not A Name/);
  });
});
