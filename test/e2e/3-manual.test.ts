import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import * as lab from "../../lab/lab";
import { LabStack } from "../../lab/stack";
import {
  containerd,
  eventually,
  find,
  goBundle,
  kubectl,
  onAllNodes,
  pullSecretAuths,
  trustStore,
} from "../../lab/inspect";
import { dockerConfigFile, harborSettings, labFile } from "../../lab/settings";

const deploymentName = "tkc-nginx-harbor-svc-deployment";
const app = "nginx-harbor-svc-app";

/** The procedure's own objects, as people have them: not ours, no label. */
async function byHand(): Promise<void> {
  const { harbor } = lab.registries();
  const jumpbox = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "jumpbox-ubuntu", namespace: "ns1" },
    spec: {
      terminationGracePeriodSeconds: 1,
      containers: [
        {
          name: "ubuntu",
          image: "ubuntu:latest",
          imagePullPolicy: "IfNotPresent",
          command: ["/bin/bash", "-c", "--"],
          args: [
            "mkdir /root/.ssh; cp /root/ssh/ssh-privatekey /root/.ssh/id_rsa; while true; do sleep 30; done;",
          ],
          volumeMounts: [{ mountPath: "/root/ssh", name: "ssh-key", readOnly: true }],
        },
      ],
      volumes: [{ name: "ssh-key", secret: { secretName: "tkc-cluster-1-ssh" } }],
    },
  };
  const deployment = {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: deploymentName, namespace: "default", labels: { app } },
    spec: {
      replicas: 1,
      selector: { matchLabels: { app } },
      template: {
        metadata: { labels: { app } },
        spec: {
          containers: [{ name: app, image: harbor.image, ports: [{ containerPort: 80 }] }],
          imagePullSecrets: [{ name: "harbor-svc-pull-secret" }],
        },
      },
    },
  };
  await kubectl("supervisor", "apply", "-f", labFile("by-hand-jumpbox.json", JSON.stringify(jumpbox)));
  await kubectl(
    "supervisor",
    "wait",
    "-n",
    "ns1",
    "--for=condition=Ready",
    "pod/jumpbox-ubuntu",
    "--timeout=600s",
  );
  await kubectl(
    "workload",
    ...["create", "secret", "generic", "harbor-svc-pull-secret", "-n", "default"],
    ...[`--from-file=.dockerconfigjson=${dockerConfigFile()}`, "--type=kubernetes.io/dockerconfigjson"],
  );
  await kubectl("workload", "apply", "-f", labFile("by-hand-deployment.json", JSON.stringify(deployment)));
  const ca = readFileSync(harbor.caFile, "utf8");
  for (const { name, os } of await lab.nodes()) {
    if (os !== "photon") continue;
    await lab.nodeExec(
      name,
      ["sh", "-c", "cat > /etc/ssl/certs/harbor-registy.crt && /usr/bin/rehash_ca_certificates.sh"],
      ca,
    );
    await lab.nodeExec(name, ["systemctl", "restart", "containerd"]);
  }
}

describe("coming from the manual procedure", () => {
  const stack = new LabStack("e2e-manual");
  let stores: Record<string, string> = {};

  before(async () => {
    await byHand();
    stores = await onAllNodes(trustStore);
  });
  after(async () => {
    await stack.destroy();
    await kubectl("supervisor", "delete", "pod", "jumpbox-ubuntu", "-n", "ns1", "--ignore-not-found");
    await kubectl(
      "workload",
      "delete",
      "secret",
      "harbor-svc-pull-secret",
      "-n",
      "default",
      "--ignore-not-found",
    );
    await kubectl("workload", "delete", "deployment", deploymentName, "-n", "default", "--ignore-not-found");
    for (const { name, os } of await lab.nodes()) {
      if (os === "photon") {
        await lab.nodeExec(name, [
          "sh",
          "-c",
          "rm -f /etc/ssl/certs/harbor-registy.crt && /usr/bin/rehash_ca_certificates.sh",
        ]);
        await lab.nodeExec(name, ["systemctl", "restart", "containerd"]);
      }
    }
  });

  test("what is there already is found before anything changes, and the choice is shown", async () => {
    await stack.configure(harborSettings());
    const { code, output } = await stack.up();
    assert.notEqual(code, 0);
    for (const name of ["jumpbox-ubuntu", "harbor-svc-pull-secret", deploymentName])
      assert.ok(output.includes(name), name);
    assert.match(output, /adopt: true/);
    assert.deepEqual(await onAllNodes(trustStore), stores);
    assert.equal(await stack.resourceCount(), 0);
  });

  test("adopt: true takes them over; other registries' credentials and the hand-made CA stay", async () => {
    await stack.configure(harborSettings({ adopt: true }));
    const pod = (await find("supervisor", "pod", "ns1", "jumpbox-ubuntu")) as { metadata: { uid: string } };
    const { code, output } = await stack.up();
    assert.equal(code, 0, output);

    const podNow = (await find("supervisor", "pod", "ns1", "jumpbox-ubuntu")) as {
      metadata: { uid: string };
    };
    assert.equal(podNow.metadata.uid, pod.metadata.uid);
    assert.deepEqual(
      Object.keys(await pullSecretAuths("default", "harbor-svc-pull-secret")).sort(),
      [lab.registries().harbor.host, "registry.other.example"].sort(),
    );
    await eventually("the adopted Deployment runs", async () => {
      const deployment = (await find("workload", "deployment", "default", deploymentName)) as {
        status: { readyReplicas?: number };
      };
      return deployment.status.readyReplicas === 1 ? true : undefined;
    });

    const { nodes } = (await stack.outputs()) as { nodes: { name: string; alsoTrustedBy: string[] }[] };
    for (const { name, os } of await lab.nodes()) {
      const expected = os === "photon" ? ["/etc/ssl/certs/harbor-registy.crt"] : [];
      assert.deepEqual(nodes.find((node) => node.name === name)?.alsoTrustedBy, expected, name);
    }
    const pem = readFileSync(lab.registries().harbor.caFile, "utf8").trim();
    for (const [node, bundle] of Object.entries(await onAllNodes(goBundle)))
      assert.ok(bundle.includes(pem), node);
  });

  test("a second up changes nothing", async () => {
    const earlier = await onAllNodes(containerd);
    const { code, output } = await stack.up();
    assert.equal(code, 0, output);
    assert.doesNotMatch(output, /\d+ (created|updated|replaced|deleted)/);
    assert.deepEqual(await onAllNodes(containerd), earlier);
  });

  test("destroy takes out what the stack added, and leaves what was there before", async () => {
    const { code, output } = await stack.destroy();
    assert.equal(code, 0, output);
    assert.deepEqual(await onAllNodes(trustStore), stores);
    assert.ok(await find("supervisor", "pod", "ns1", "jumpbox-ubuntu"));
    assert.ok(await find("workload", "secret", "default", "harbor-svc-pull-secret"));
    assert.ok(await find("workload", "deployment", "default", deploymentName));
  });
});
