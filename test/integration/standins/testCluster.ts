/**
 * A whole cluster on loopback for a stack that the engine runs: API servers with a jumpbox pod, nodes that are real sshds
 * with a file system each, and a registry.
 */
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { FakeApi } from "../kubernetes/fakeApi";
import { type TestServer, startServer } from "../net/server";
import { FakeRoot } from "../nodes/script/fakeRoot";
import { SshServer } from "../nodes/ssh/sshServer";

const name = "tkc-cluster-1";

/** Addresses of loopback that no other process of the tests has: nodes are asked at port 22. */
const loopback = (index: number): string =>
  `127.${1 + ((process.pid >> 8) % 250)}.${process.pid % 256}.${index}`;

export class TestNode {
  private constructor(
    readonly name: string,
    /** As the cluster has it. */
    readonly address: string,
    readonly root: FakeRoot,
    readonly server: SshServer,
    private readonly programs: string,
  ) {}

  static async start(short: string, index: number): Promise<TestNode> {
    const root = new FakeRoot("photon", "bash");
    root.write("etc/machine-id", `${createHash("sha256").update(short).digest("hex").slice(0, 32)}\n`);
    const programs = fs.mkdtempSync("/tmp/tkc-registry-programs-");
    const sudo = `#!/bin/sh\n[ "$1" = -n ] && shift\nexec '${root.enter}' "$@"\n`;
    fs.writeFileSync(path.join(programs, "sudo"), sudo, { mode: 0o755 });
    const server = await SshServer.start({ programs, settings: [`ListenAddress ${loopback(index)}:22`] });
    return new TestNode(`${name}-${short}`, `198.18.1.${index}`, root, server, programs);
  }

  /** As the API server has it. */
  get object(): object {
    const isWorker = !this.name.includes("control");
    return {
      metadata: {
        ...{ name: this.name, uid: `uid-of-${this.name}` },
        labels: isWorker ? {} : { "node-role.kubernetes.io/control-plane": "" },
      },
      status: {
        addresses: [{ type: "InternalIP", address: this.address }],
        conditions: [{ type: "Ready", status: "True" }],
        nodeInfo: {
          machineID: this.root.read("etc/machine-id").trim(),
          osImage: "VMware Photon OS/Linux",
          containerRuntimeVersion: "containerd://1.6.20",
        },
      },
    };
  }

  async stop(): Promise<void> {
    await this.server.stop();
    this.root.remove();
    fs.rmSync(this.programs, { recursive: true });
  }
}

export class TestCluster {
  private constructor(
    readonly api: FakeApi,
    readonly registry: TestServer,
    readonly nodes: readonly TestNode[],
    /** A stack's settings for it. The jumpbox pod is somebody's, so that no provider is needed to make one. */
    readonly settings: Readonly<Record<string, unknown>>,
  ) {}

  /** @param names - Of its nodes, without the cluster's. They are there when {@link list} says so. */
  static async start(...names: readonly string[]): Promise<TestCluster> {
    const api = await FakeApi.start();
    const ca = api.pki.ca("Registry CA");
    const shown = api.pki.server("registry", "IP:127.0.0.1", ca);
    const registry = await startServer(shown, (_, response) => response.end(), [ca]);
    const nodes = await Promise.all(names.map((short, index) => TestNode.start(short, index + 1)));
    const { client } = nodes[0]!.server;
    for (const [index, { server, address }] of nodes.entries()) {
      fs.writeFileSync(path.join(server.folder, "authorized_keys"), client.publicKey);
      api.pod.addresses.set(address, loopback(index + 1));
    }
    api.secret(`${name}-ssh`, { "ssh-privatekey": client.privateKey });
    api.cluster("cluster.x-k8s.io", { metadata: { uid: "5d1b5d2e-0f0c-4d6f-9a3e-2f7c1b1f0a11" } });
    api.object(name, "/api/v1/namespaces/kube-system", {
      metadata: { uid: "9c2b5d2e-1f0c-4d6f-9a3e-2f7c1b1f0a12" },
    });
    api.object("ns1", "/api/v1/namespaces/ns1/pods/jumpbox-ubuntu", {
      metadata: { name: "jumpbox-ubuntu", uid: "uid-of-pod" },
      spec: { containers: [{ name: "jumpbox" }] },
      status: { phase: "Running" },
    });
    for (const context of ["ns1", name] as const)
      api.object(context, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {
        status: { allowed: true },
      });
    return new TestCluster(api, registry, nodes, {
      ...{ namespace: "ns1", cluster: name, adopt: true, nodes: { user: "root" } },
      registries: [
        {
          ...{ host: registry.host, kind: "generic", credentials: { from: "none" } },
          ca: { from: "file", path: api.pki.file("registry-ca.pem", ca.cert) },
        },
      ],
      deployment: { enabled: false },
    });
  }

  /** Lets the cluster have the first nodes. */
  list(count: number): void {
    for (const node of this.nodes.slice(0, count)) this.api.node(node.name, node.object);
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
    await this.api.stop();
    await this.registry[Symbol.asyncDispose]();
  }
}
