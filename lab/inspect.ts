/**
 * What the clusters and the nodes themselves say: the tests and the demonstration judge by this, never by the stack's own
 * output. And what can be wrong with a node.
 */
import assert from "node:assert/strict";
import { replacingProgram } from "./wholeFiles";
import * as lab from "./lab";
import { labFile, podFromRegistry } from "./settings";
import { eventually } from "./waiting";

export { eventually };

export interface ContainerdProcess {
  readonly pid: string;
  /** Microseconds on the node's monotonic clock. */
  readonly started: number;
  /** The same for people, as systemd writes it. */
  readonly startedAt: string;
}

/** The containerd that runs on a node. */
export async function containerd(node: string): Promise<ContainerdProcess> {
  const output = await lab.nodeExec(node, [
    "systemctl",
    "show",
    "-p",
    "MainPID,ExecMainStartTimestampMonotonic,ExecMainStartTimestamp",
    "containerd",
  ]);
  const values = Object.fromEntries(
    output
      .trim()
      .split("\n")
      .map((line) => line.split("=") as [string, string]),
  );
  assert.notEqual(values["MainPID"], "0", `containerd does not run on ${node}`);
  return {
    pid: values["MainPID"]!,
    started: Number(values["ExecMainStartTimestampMonotonic"]),
    startedAt: values["ExecMainStartTimestamp"]!,
  };
}

/** How often containerd was started on a node since the machine began to keep a journal. */
export async function containerdStarts(node: string): Promise<number> {
  const journal = await lab.nodeExec(node, ["journalctl", "-u", "containerd", "-o", "cat", "--no-pager"]);
  return journal.split("\n").filter((line) => line.startsWith("Started containerd")).length;
}

/** Names, kinds, links and contents of everything that makes up a node's trust store; not times. */
export async function trustStore(node: string): Promise<string> {
  const script = `
    for top in /etc/ssl/certs /etc/pki /usr/local/share/ca-certificates; do
      [ -e "$top" ] || continue
      find "$top" -printf '%p %y %m %U %l ' \\( -type f -exec sha256sum {} \\; -o -printf '\\n' \\)
    done | sort
    ls -d /var/lib/tkc-registry 2>/dev/null || true`;
  return await lab.nodeExec(node, ["sh", "-c", script]);
}

/** The file that Go programs of this node read their roots from. */
export async function goBundle(node: string): Promise<string> {
  return await lab.nodeExec(node, [
    "sh",
    "-c",
    "for f in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do if [ -f $f ]; then exec cat $f; fi; done; exit 1",
  ]);
}

/** Whether Go programs that start on this node now will trust a certificate, given as PEM. */
export async function trusts(node: string, pem: string): Promise<boolean> {
  return (await goBundle(node)).includes(pem.trim());
}

/** Every file below the trust store's folders with inode, size and time of change, to see whether anything was written. */
export async function writes(node: string): Promise<string> {
  return await lab.nodeExec(node, [
    "sh",
    "-c",
    "find /etc/ssl/certs /etc/pki /usr/local/share/ca-certificates /var/lib/tkc-registry -printf '%p %i %s %C@ %T@\\n' 2>/dev/null | sort",
  ]);
}

/** All nodes' answers to one question, by name. */
export async function onAllNodes<T>(ask: (node: string) => Promise<T>): Promise<Record<string, T>> {
  const names = (await lab.nodes()).map((node) => node.name);
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await ask(name)] as const)));
}

export const kubectl = async (cluster: "supervisor" | "workload", ...args: string[]): Promise<string> =>
  await lab.adminKubectl(cluster, args);

/** An object, or undefined where there is none. */
export async function find(
  cluster: "supervisor" | "workload",
  kind: string,
  namespace: string,
  name: string,
): Promise<Record<string, unknown> | undefined> {
  const text = await kubectl(cluster, "get", kind, name, "-n", namespace, "--ignore-not-found", "-o", "json");
  return text.trim() === "" ? undefined : (JSON.parse(text) as Record<string, unknown>);
}

/** Tries a pod with an image of a registry and gives what the cluster says of the failed pull. */
export async function pullFailure(name: string, image: string): Promise<string> {
  await kubectl("workload", "apply", "-f", podFromRegistry(name, image));
  const uid = await kubectl(
    "workload",
    "get",
    "pod",
    name,
    "-n",
    "default",
    "-o",
    "jsonpath={.metadata.uid}",
  );
  try {
    return await eventually("the pull fails with an x509 error", async () => {
      // Of this very pod: events outlive theirs by an hour.
      const selector = `involvedObject.uid=${uid}`;
      const events = await kubectl(
        "workload",
        ...[
          "get",
          "events",
          "-n",
          "default",
          "--field-selector",
          selector,
          "-o",
          "jsonpath={range .items[*]}{.message}{'\\n'}{end}",
        ],
      );
      return events.split("\n").find((message) => message.includes("x509"));
    });
  } finally {
    await kubectl("workload", "delete", "pod", name, "-n", "default", "--wait");
  }
}

/** The registries that a pull secret has credentials for, each with its `auth` decoded to `user:password`. */
export async function pullSecretAuths(namespace: string, name: string): Promise<Record<string, string>> {
  const secret = (await find("workload", "secret", namespace, name)) as
    { data: Record<string, string> } | undefined;
  const decoded = (text: string): string => Buffer.from(text, "base64").toString();
  const config = JSON.parse(decoded(secret!.data[".dockerconfigjson"]!)) as {
    auths: Record<string, { auth: string }>;
  };
  return Object.fromEntries(Object.entries(config.auths).map(([host, { auth }]) => [host, decoded(auth)]));
}

/** Does something while the Supervisor has not these secrets of the cluster. */
export async function withoutSecrets(names: readonly string[], act: () => Promise<unknown>): Promise<void> {
  const manifests = await Promise.all(
    names.map(async (name) => {
      const { type, data } = (await find("supervisor", "secret", "ns1", name)) as {
        type: string;
        data: object;
      };
      const metadata = { name, namespace: "ns1" };
      return labFile(
        `secret-${name}.json`,
        JSON.stringify({ apiVersion: "v1", kind: "Secret", metadata, type, data }),
      );
    }),
  );
  await kubectl("supervisor", "delete", "secret", "-n", "ns1", ...names);
  try {
    await act();
  } finally {
    for (const manifest of manifests) await kubectl("supervisor", "apply", "-f", manifest);
  }
}

const isolations = {
  /** Nothing comes back. */
  dropped: ["DROP"],
  /** Connections are refused. */
  rejected: ["REJECT", "--reject-with", "tcp-reset"],
} as const;

/** Cuts a node's port 22 off from everybody; its kubelet goes on. {@link joinNode} is the way back, and so is a boot. */
export async function isolateNode(node: string, how: keyof typeof isolations = "dropped"): Promise<void> {
  await joinNode(node);
  await lab.nodeExec(node, [
    "iptables",
    "-I",
    "INPUT",
    "-p",
    "tcp",
    "--dport",
    "22",
    "-j",
    ...isolations[how],
  ]);
}

/** Lets those who could reach a node's port 22 before reach it again. */
export async function joinNode(node: string): Promise<void> {
  for (const target of Object.values(isolations)) {
    const rule = `INPUT -p tcp --dport 22 -j ${target.join(" ")}`;
    await lab.nodeExec(node, ["sh", "-c", `while iptables -D ${rule} 2>/dev/null; do :; done`]);
  }
}

const containerdConfiguration = "/etc/containerd/config.toml";

/** Changes containerd's configuration; the containerd that runs still has the old one. */
async function configureContainerd(node: string, change: (toml: string) => string): Promise<void> {
  const toml = change(await lab.nodeExec(node, ["cat", containerdConfiguration]));
  await lab.nodeExec(node, replacingProgram(containerdConfiguration), toml);
}

/** A containerd's configuration with another `config_path` of its registries, or with none. */
export function withConfigPath(toml: string, folder: string | undefined): string {
  const table = '[plugins."io.containerd.grpc.v1.cri".registry]';
  const [rest = ""] = toml.split(`\n${table}\n`); // it is written last
  return folder === undefined ? rest : `${rest}\n${table}\n  config_path = ${JSON.stringify(folder)}\n`;
}

/** Sets where a node's containerd looks for the settings of registries (`hosts.toml`), and restarts it. */
export async function setContainerdConfigPath(node: string, folder: string | undefined): Promise<void> {
  await configureContainerd(node, (toml) => withConfigPath(toml, folder));
  await lab.nodeExec(node, ["systemctl", "restart", "containerd"]);
}

const broken = "lab broke it\n";

/** Has a node's containerd fail at its next start; the one that runs goes on. The journal names the file's last line. */
export async function breakContainerd(node: string): Promise<void> {
  await configureContainerd(node, (toml) => (toml.endsWith(broken) ? toml : toml + broken));
}

/** Mends what {@link breakContainerd} broke, and starts containerd unless it runs. */
export async function mendContainerd(node: string): Promise<void> {
  await configureContainerd(node, (toml) => toml.replace(broken, ""));
  await lab.nodeExec(node, ["sh", "-c", "systemctl reset-failed containerd; systemctl start containerd"]);
}
