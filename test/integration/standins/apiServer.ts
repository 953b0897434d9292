/** A real Kubernetes API server on loopback, with no nodes and no controllers but the garbage collector. */
import { spawn, type ChildProcess } from "node:child_process";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { exec } from "../../../lab/exec";
import { standInTools } from "../../../lab/tools";

export interface ApiServer {
  readonly kubeconfig: string;
  /** Runs kubectl and gives what it printed. */
  kubectl(args: readonly string[], input?: unknown): Promise<string>;
  stop(): Promise<void>;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export async function startApiServer(): Promise<ApiServer> {
  const binaries = standInTools().kubernetes;
  const folder = await mkdtemp(path.join(tmpdir(), "tkc-registry-api-"));
  const file = (name: string): string => path.join(folder, name);
  const [clientPort, peerPort] = [await freePort(), await freePort()];
  const [apiPort, controllersPort] = [await freePort(), await freePort()];
  const token = randomBytes(16).toString("hex");
  const keys = generateKeyPairSync("rsa", { modulusLength: 2048 });
  await writeFile(file("key.pem"), keys.privateKey.export({ type: "pkcs8", format: "pem" }));
  await writeFile(file("key.pub"), keys.publicKey.export({ type: "spki", format: "pem" }));
  await writeFile(file("tokens.csv"), `${token},operator,operator,system:masters\n`);
  await writeFile(
    file("kubeconfig"),
    JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      clusters: [
        {
          name: "api",
          cluster: { server: `https://127.0.0.1:${apiPort}`, "insecure-skip-tls-verify": true },
        },
      ],
      users: [{ name: "operator", user: { token } }],
      contexts: [{ name: "ns1", context: { cluster: "api", user: "operator", namespace: "ns1" } }],
      "current-context": "ns1",
    }),
  );

  const processes: ChildProcess[] = [];
  const start = (name: string, args: readonly string[]): void => {
    const child = spawn(path.join(binaries, name), args, { stdio: ["ignore", "ignore", "pipe"] });
    let tail = "";
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => (tail = (tail + chunk).slice(-2000)));
    child.on("exit", (code) => {
      if (code !== null && code !== 0) process.stderr.write(`${name} ended with code ${code}:\n${tail}\n`);
    });
    processes.push(child);
  };
  start("etcd", [
    `--data-dir=${file("etcd")}`,
    `--listen-client-urls=http://127.0.0.1:${clientPort}`,
    `--advertise-client-urls=http://127.0.0.1:${clientPort}`,
    `--listen-peer-urls=http://127.0.0.1:${peerPort}`,
    `--initial-advertise-peer-urls=http://127.0.0.1:${peerPort}`,
    `--initial-cluster=default=http://127.0.0.1:${peerPort}`,
    "--unsafe-no-fsync",
    "--log-level=error",
  ]);
  start("kube-apiserver", [
    `--etcd-servers=http://127.0.0.1:${clientPort}`,
    "--bind-address=127.0.0.1",
    `--secure-port=${apiPort}`,
    `--cert-dir=${file("certificates")}`,
    `--token-auth-file=${file("tokens.csv")}`,
    "--authorization-mode=RBAC",
    `--service-account-key-file=${file("key.pub")}`,
    `--service-account-signing-key-file=${file("key.pem")}`,
    "--service-account-issuer=https://kubernetes.default.svc",
    "--service-cluster-ip-range=198.19.0.0/24",
    "--endpoint-reconciler-type=none",
    // No controller makes the service accounts that it would look for.
    "--disable-admission-plugins=ServiceAccount",
  ]);
  const kubectl: ApiServer["kubectl"] = async (args, input) => {
    const options = {
      env: { ...process.env, KUBECONFIG: file("kubeconfig") },
      ...(input === undefined ? {} : { input: JSON.stringify(input) }),
    };
    return (await exec(path.join(binaries, "kubectl"), ["--context=ns1", ...args], options)).stdout;
  };
  const startGarbageCollector = (): void =>
    start("kube-controller-manager", [
      `--kubeconfig=${file("kubeconfig")}`,
      "--controllers=garbage-collector-controller",
      "--leader-elect=false",
      "--bind-address=127.0.0.1",
      `--secure-port=${controllersPort}`,
    ]);
  const server: ApiServer = {
    kubeconfig: file("kubeconfig"),
    kubectl,
    async stop() {
      // The API server first: it doesn't end in order without etcd.
      for (const child of [...processes].reverse()) {
        if (child.exitCode !== null || child.signalCode !== null) continue;
        child.kill("SIGKILL");
        await new Promise((resolve) => child.once("exit", resolve));
      }
      await rm(folder, { recursive: true, force: true });
    },
  };
  try {
    for (let attempt = 0; ; attempt++) {
      try {
        await kubectl(["create", "namespace", "ns1"]);
        startGarbageCollector(); // it gives up when there is no API server yet
        return server;
      } catch (error) {
        if (attempt === 120) throw error;
        await sleep(500);
      }
    }
  } catch (error) {
    await server.stop();
    throw error;
  }
}
