import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import {
  containerd,
  containerdStarts,
  eventually,
  find,
  goBundle,
  kubectl,
  onAllNodes,
  pullFailure,
  pullSecretAuths,
  trustStore,
  trusts,
  writes,
} from "../../lab/inspect";
import * as lab from "./lab";
import { harborSettings } from "../../lab/settings";
import { LabStack } from "../../lab/stack";
import { nodeScript } from "../../nodes/script/script";
import { resourceName, shownUpdates } from "./nodes";

const namespace = "default";
const deploymentName = "tkc-nginx-harbor-svc-deployment";

/** The pods of a Deployment's app, with what their containers say. */
async function pods(
  app: string,
): Promise<{ name: string; image: string; ready: boolean; waiting: string }[]> {
  const list = JSON.parse(
    await kubectl("workload", "get", "pods", "-n", namespace, "-l", `app=${app}`, "-o", "json"),
  ) as {
    items: {
      metadata: { name: string; deletionTimestamp?: string };
      spec: { containers: { image: string }[] };
      status: { containerStatuses?: { ready: boolean; state: { waiting?: { message?: string } } }[] };
    }[];
  };
  return list.items
    .filter((pod) => !pod.metadata.deletionTimestamp)
    .map((pod) => ({
      name: pod.metadata.name,
      image: pod.spec.containers[0]!.image,
      ready: pod.status.containerStatuses?.[0]?.ready ?? false,
      waiting: pod.status.containerStatuses?.[0]?.state.waiting?.message ?? "",
    }));
}

const pemOf = (file: string): string => new X509Certificate(readFileSync(file)).toString().trim();

describe("the stack on the lab, from the first up to destroy", () => {
  const stack = new LabStack("e2e");
  const registries = lab.registries();
  const harborPem = pemOf(registries.harbor.caFile);
  const customPem = pemOf(registries.custom.caFile);
  /** Each node's trust store as it was before the stack first touched it. */
  const stores = new Map<string, string>();
  const expectStores = async (): Promise<void> => {
    const now = await onAllNodes(trustStore);
    for (const [node, store] of Object.entries(now)) assert.equal(store, stores.get(node), node);
  };

  before(async () => {
    for (const [node, store] of Object.entries(await onAllNodes(trustStore))) stores.set(node, store);
    await stack.configure(harborSettings({ pullSecret: { defaultServiceAccount: true } }));
  });
  after(async () => {
    await stack.destroy();
  });

  test("before: no node trusts the registry, and its image fails with an unknown authority", async () => {
    for (const [node, trusted] of Object.entries(await onAllNodes((name) => trusts(name, harborPem)))) {
      assert.ok(!trusted, `${node} trusts the registry already`);
    }
    assert.match(
      await pullFailure("before", registries.harbor.image),
      /x509: certificate signed by unknown authority/,
    );
  });

  test("preview names the script by its SHA-256 and every node, and changes nothing", async () => {
    const { code, output } = await stack.preview();
    assert.equal(code, 0, output);
    for (const { name } of await lab.nodes())
      assert.ok(output.includes(`${resourceName(name)}-ca`), `${name} is not in the preview`);
    assert.ok(output.includes(nodeScript().sha256));
    await expectStores();
    assert.equal(await find("supervisor", "pod", "ns1", "jumpbox-ubuntu"), undefined);
  });

  test("up brings trust to every node, restarts each containerd once, and the Deployment runs", async () => {
    const [earlier, starts] = [await onAllNodes(containerd), await onAllNodes(containerdStarts)];
    const { code, output } = await stack.up();
    assert.equal(code, 0, output);

    for (const [node, bundle] of Object.entries(await onAllNodes(goBundle))) {
      assert.ok(bundle.includes(harborPem), `${node} has no registry CA where Go reads it`);
    }
    for (const [node, now] of Object.entries(await onAllNodes(containerd))) {
      assert.ok(now.started > earlier[node]!.started, `containerd of ${node} has not loaded the CA`);
      assert.equal(
        await containerdStarts(node),
        starts[node]! + 1,
        `containerd of ${node} was not restarted once`,
      );
    }
    const [pod] = await pods("nginx-harbor-svc-app");
    assert.deepEqual(pod && { image: pod.image, ready: pod.ready }, {
      image: registries.harbor.image,
      ready: true,
    });
  });

  test("one worker was restarted first, then the control-plane nodes, and then the other workers", async () => {
    const started = await onAllNodes(containerd);
    const byRole = async (role: string): Promise<number[]> =>
      (await lab.nodes())
        .filter((node) => node.role === role)
        .sort((a, b) => (a.name < b.name ? -1 : 1))
        .map((node) => started[node.name]!.started);
    const [controlPlane, [first, ...others]] = [await byRole("control-plane"), await byRole("worker")];
    assert.ok(first! < Math.min(...controlPlane));
    assert.ok(Math.max(...controlPlane) < Math.min(...others));
  });

  test("each operating system has the CA where its own tools keep it", async () => {
    const files = await onAllNodes((node) =>
      lab.nodeExec(node, [
        "sh",
        "-c",
        "ls /etc/ssl/certs/tkc-registry-*.pem /usr/local/share/ca-certificates/tkc-registry-*.crt 2>/dev/null || true",
      ]),
    );
    for (const { name, os } of await lab.nodes()) {
      const expected =
        os === "photon"
          ? /\/etc\/ssl\/certs\/tkc-registry-.*\.pem/
          : /\/usr\/local\/share\/ca-certificates\/tkc-registry-.*\.crt/;
      assert.match(files[name]!, expected);
    }
  });

  test("SSH went through the jumpbox with the Supervisor's key: never by password, and not from this machine", async () => {
    for (const [node, journal] of Object.entries(
      await onAllNodes((name) => lab.nodeExec(name, ["journalctl", "-u", "ssh", "-o", "cat", "--no-pager"])),
    )) {
      const accepted = [...journal.matchAll(/^Accepted (\w+) for vmware-system-user from (\S+)/gm)];
      assert.ok(accepted.length > 0, `nobody logged in to ${node}`);
      for (const [, method, from] of accepted) {
        assert.equal(method, "publickey", node);
        assert.ok(
          from!.startsWith("198.18.16."),
          `${node} was reached from ${from!}, not from a Supervisor pod`,
        );
      }
    }
  });

  test("the jumpbox holds a private copy of the key in memory", async () => {
    const show =
      "stat -c %a /root/.ssh/id_rsa; stat -f -c %T /root/.ssh; cmp /root/ssh/ssh-privatekey /root/.ssh/id_rsa && echo same";
    const output = await kubectl("supervisor", "exec", "-n", "ns1", "jumpbox-ubuntu", "--", "sh", "-c", show);
    assert.equal(output, "600\ntmpfs\nsame\n");
  });

  test("port 22 of the nodes is closed to the operator's machine: the jumpbox is the only way in", async () => {
    for (const { name, address } of await lab.nodes()) {
      const answer = await new Promise<string>((resolve) => {
        const socket = connect({ host: address, port: 22, timeout: 2000 });
        socket.on("connect", () => resolve("open")).on("error", () => resolve("closed"));
        socket.on("timeout", () => resolve("closed")).on("close", () => socket.destroy());
        socket.unref();
      });
      assert.equal(answer, "closed", name);
    }
  });

  test("a jumpbox that can't install an SSH client serves as the way in all the same", async () => {
    // The lab's pods have no way to a package server. That nothing waits for the client, a component test holds.
    await eventually("the pod says that it could not", async () => {
      const logs = await kubectl("supervisor", "logs", "-n", "ns1", "jumpbox-ubuntu");
      return logs.includes("openssh-client could not be installed") ? true : undefined;
    });
    const { status } = (await find("supervisor", "pod", "ns1", "jumpbox-ubuntu")) as {
      status: { containerStatuses: { ready: boolean; restartCount: number }[] };
    };
    const [{ ready, restartCount } = {}] = status.containerStatuses;
    assert.deepEqual([ready, restartCount], [true, 0]);
  });

  test("the pull secret holds this registry's credentials and no other", async () => {
    const { type } = (await find("workload", "secret", namespace, "harbor-svc-pull-secret")) as {
      type: string;
    };
    assert.equal(type, "kubernetes.io/dockerconfigjson");
    const { host, user, password } = registries.harbor;
    assert.deepEqual(await pullSecretAuths(namespace, "harbor-svc-pull-secret"), {
      [host]: `${user}:${password}`,
    });
  });

  test("the default ServiceAccount uses the pull secret too", async () => {
    const account = (await find("workload", "serviceaccount", namespace, "default")) as {
      imagePullSecrets?: object[];
    };
    assert.deepEqual(account.imagePullSecrets, [{ name: "harbor-svc-pull-secret" }]);
  });

  test("state holds no key, no token and no password in clear", async () => {
    const state = await stack.state();
    const encoded = Buffer.from(`${registries.harbor.user}:${registries.harbor.password}`).toString("base64");
    const { password } = lab.supervisorLogin();
    const key = Buffer.from("-----BEGIN RSA").toString("base64").slice(0, -2);
    for (const secret of [registries.harbor.password, encoded, password, "PRIVATE KEY", key, "eyJ"]) {
      assert.ok(!state.includes(secret), "a secret is in the state in clear");
    }
  });

  test("a second up changes nothing, writes nothing and restarts nothing", async () => {
    const earlier = { containerd: await onAllNodes(containerd), writes: await onAllNodes(writes) };
    const { code, output } = await stack.up();
    assert.equal(code, 0, output);
    assert.match(output, /\b\d+ unchanged/);
    assert.doesNotMatch(output, /\d+ (created|updated|replaced|deleted)/);
    assert.deepEqual({ containerd: await onAllNodes(containerd), writes: await onAllNodes(writes) }, earlier);
  });

  test("a node that lost the CA shows in the preview, alone, and up repairs it, alone", async () => {
    const [worker] = (await lab.nodes()).filter((node) => node.role === "worker" && node.os === "photon");
    const name = worker!.name;
    await lab.nodeExec(name, [
      "sh",
      "-c",
      "rm /etc/ssl/certs/tkc-registry-*.pem && /usr/bin/rehash_ca_certificates.sh >/dev/null",
    ]);
    assert.ok(!(await trusts(name, harborPem)));
    const earlier = await onAllNodes(containerd);

    const preview = await stack.preview();
    assert.equal(preview.code, 0, preview.output);
    assert.deepEqual(shownUpdates(preview), [name]);
    assert.ok(!(await trusts(name, harborPem)));

    const { code, output } = await stack.up();
    assert.equal(code, 0, output);
    assert.match(output, /\b4 updated/); // with what the run planned
    assert.ok(await trusts(name, harborPem));
    const now = await onAllNodes(containerd);
    const restarted = Object.keys(now).filter((node) => now[node]!.pid !== earlier[node]!.pid);
    assert.deepEqual(restarted, [name]);
    assert.doesNotMatch((await stack.up()).output, /\d+ (created|updated|replaced|deleted)/);
  });

  test("outputs name every node as the cluster has it, with its host key and certificate", async () => {
    const { nodes } = (await stack.outputs()) as {
      nodes: { name: string; hostKey: string; certificates: string[] }[];
    };
    const sha256 = createHash("sha256").update(new X509Certificate(harborPem).raw).digest("hex");
    const list = JSON.parse(await kubectl("workload", "get", "nodes", "-o", "json")) as {
      items: {
        metadata: { name: string; labels: Record<string, string> };
        status: {
          addresses: { type: string; address: string }[];
          nodeInfo: { osImage: string };
        };
      }[];
    };
    const expected = list.items.map(({ metadata: { name, labels }, status: { addresses, nodeInfo } }) => ({
      name,
      role: "node-role.kubernetes.io/control-plane" in labels ? "control-plane" : "worker",
      address: addresses.find(({ type }) => type === "InternalIP")!.address,
      osImage: nodeInfo.osImage,
    }));
    assert.equal(nodes.length, expected.length);
    for (const node of nodes) {
      const { name, role, address, osImage } = node as unknown as (typeof expected)[number];
      assert.deepEqual(
        { name, role, address, osImage },
        expected.find((each) => each.name === name),
      );
      assert.match(node.hostKey, /^SHA256:/);
      assert.deepEqual(node.certificates, [sha256]);
    }
  });

  test("a custom registry joins: CA from its TLS chain, password from configuration, its image runs", async () => {
    await stack.configure(
      harborSettings({
        registries: [
          ...(harborSettings()["registries"] as object[]),
          {
            host: registries.custom.host,
            kind: "generic",
            ca: { from: "chain", sha256: registries.custom.caSha256 },
            credentials: { from: "password", username: registries.custom.user },
          },
        ],
        deployment: { image: registries.custom.image },
      }),
      { [registries.custom.host]: registries.custom.password },
    );
    const earlier = await onAllNodes(containerd);
    const { code, output } = await stack.up();
    assert.equal(code, 0, output);
    for (const [node, bundle] of Object.entries(await onAllNodes(goBundle))) {
      assert.ok(
        bundle.includes(harborPem) && bundle.includes(customPem),
        `${node} does not trust both registries`,
      );
    }
    for (const [node, now] of Object.entries(await onAllNodes(containerd))) {
      assert.notEqual(now.pid, earlier[node]!.pid, `containerd of ${node} has not loaded the second CA`);
    }
    const running = (await pods("nginx-harbor-svc-app")).filter((pod) => pod.ready);
    assert.deepEqual(
      running.map((pod) => pod.image),
      [registries.custom.image],
    );
    assert.ok(!(await stack.state()).includes(registries.custom.password));
  });

  test("a new worker: the next up touches it alone", async () => {
    const name = await lab.addWorker({ os: "debian" });
    try {
      const earlier = await onAllNodes(containerd);
      const { code, output } = await stack.up();
      assert.equal(code, 0, output);
      const now = await onAllNodes(containerd);
      const touched = Object.keys(now).filter((node) => now[node]!.pid !== earlier[node]!.pid);
      assert.deepEqual(touched, [name]);
      assert.ok((await goBundle(name)).includes(customPem));
    } finally {
      await lab.removeNode(name);
    }
  });

  test("a node that is gone does not block up", async () => {
    const { code, output } = await stack.up();
    assert.equal(code, 0, output);
    assert.match(output, /gone/);
  });

  test("destroy leaves every trust store byte for byte as before, with containerds that have dropped the CAs", async () => {
    const earlier = await onAllNodes(containerd);
    const { code, output } = await stack.destroy();
    assert.equal(code, 0, output);
    await expectStores();
    for (const [node, now] of Object.entries(await onAllNodes(containerd))) {
      assert.notEqual(now.pid, earlier[node]!.pid, `containerd of ${node} still trusts the registry`);
    }
    assert.equal(await find("supervisor", "pod", "ns1", "jumpbox-ubuntu"), undefined);
    assert.equal(await find("workload", "secret", namespace, "harbor-svc-pull-secret"), undefined);
    assert.equal(await find("workload", "deployment", namespace, deploymentName), undefined);
    const account = (await find("workload", "serviceaccount", namespace, "default")) as {
      imagePullSecrets?: object[];
    };
    assert.deepEqual(account.imagePullSecrets ?? [], []);
    assert.equal(await stack.resourceCount(), 0);
  });
});
