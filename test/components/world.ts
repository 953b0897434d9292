/** Programs of the components, with API servers and a registry on loopback. */
import { randomUUID } from "node:crypto";
import * as pulumi from "@pulumi/pulumi";
import type { RegistryTrustArgs } from "../../components/registryTrustArgs";
import { formatReport, parseCaReport } from "../../nodes/protocol/report";
import { World, login } from "../integration/plan/world";

export const sha256 = "ab".repeat(32);

const parsedNode = (report: string): { node: string; uid: string } => {
  const { node: name, uid } = parseCaReport(report);
  return { node: name, uid };
};

/** What the commands print, as far as the components read it; no id is used twice. */
export const stdout = (type: string, inputs: Record<string, unknown>): Record<string, unknown> => {
  if (type !== "command:local:Command") {
    const { kind, metadata } = inputs as { kind?: string; metadata?: { name: string } };
    return kind === undefined || metadata === undefined
      ? {}
      : { metadata: { ...metadata, uid: `uid-of-${metadata.name}` } };
  }
  const create = inputs["create"] as string;
  if (create.includes("randomUUID")) return { stdout: randomUUID() };
  if (!/ v1 | (ca|containerd) /.test(create) || create.includes("service-account")) return {};
  const environment = inputs["environment"] as Record<string, string>;
  const { TKC_REGISTRY_NODE: name = "", TKC_REGISTRY_NODE_UID: uid = "" } = environment;
  const common = { version: "1", node: name, uid } as const;
  const report = create.endsWith("ca apply")
    ? formatReport({
        ...common,
        report: "ca",
        hostKey: `SHA256:${"B".repeat(43)}`,
        os: "photon",
        sha256: [sha256],
        alsoTrustedBy: [],
        nonce: "n",
      })
    : formatReport({
        ...common,
        report: "containerd",
        bootId: "01234567-89ab-cdef-0123-456789abcdef",
        containerdStarted: "2026-01-02T03:04:05Z",
        loaded: [sha256],
        ...parsedNode(environment["TKC_REGISTRY_CA"]!),
      });
  return { stdout: report.trimEnd(), stderr: "" };
};

/** A world in which the components' programs run, with a folder for their services. */
export async function startWorld(): Promise<World> {
  const world = await World.start();
  process.env["PULUMI_HOME"] = world.pki.folder;
  process.setMaxListeners(0); // each program's service clears up at the end of the process
  return world;
}

/** Arguments that are all well. Nodes are not inspected: there are none. */
export const trustArgs = (world: World, change: Partial<RegistryTrustArgs> = {}): RegistryTrustArgs => ({
  cluster: { namespace: "ns1", name: "tkc-cluster-1" },
  registries: [
    {
      host: world.registry.host,
      kind: "generic",
      ca: { from: "inline", pem: world.ca.cert },
      credentials: { username: login.username, password: pulumi.secret(login.password) },
    },
  ],
  nodes: { inspect: false },
  ...change,
});
