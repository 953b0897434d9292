import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { parseCaReport, parseContainerdReport } from "../nodes/protocol/report";
import type { RegistryHost } from "../registry/types";
import { UserError } from "../support/errors";
import { replacesVariable } from "../support/names";

/** What the state holds of a node. */
export interface RecordedNode {
  readonly uid: string;
  /** The host key that it showed, `SHA256:…`; undefined where it was never reached. */
  readonly hostKey: string | undefined;
  /** The nonce of its last installation. */
  readonly nonce: string;
  /** Whether it could not be reached, and was skipped, before it was done. */
  readonly skipped: boolean;
}

/** A Kubernetes object that the state holds. */
export interface RecordedObject {
  /** `Pod`, `Secret`, `Deployment`. */
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/** The jumpbox pod that the state holds. */
export interface RecordedPod extends RecordedObject {
  /** The UID of the pod that it was made in place of. */
  readonly replaces: string | undefined;
}

/** What the state held when this run began. */
export interface LastRun {
  /** The stack's own jumpbox pod. */
  readonly jumpbox: RecordedPod | undefined;
  /** What the stack has in the workload cluster. */
  readonly objects: readonly RecordedObject[];
  /** By node name. */
  readonly nodes: ReadonlyMap<string, RecordedNode>;
  /** SHA-256 of the certificates that nodes were to trust, by registry. */
  readonly trusted: ReadonlyMap<RegistryHost, readonly string[]>;
}

const resources = z.record(z.string(), z.object({ type: z.string(), outputs: z.unknown() }));
const nodeOutputs = z.object({
  stdout: z.string(),
  environment: z.object({ TKC_REGISTRY_NONCE: z.string() }),
});
const containerdOutputs = z.object({
  stdout: z.string(),
  environment: z.object({ TKC_REGISTRY_CA: z.string() }),
});
const certificates = z.array(z.object({ registry: z.string(), sha256: z.string() }));
const nodesOutputs = z.object({ certificates });
const trustOutputs = z.object({ environment: z.object({ TKC_REGISTRY_TRUST: z.string() }) });
const objectOutputs = z.object({
  kind: z.string(),
  metadata: z.object({ namespace: z.string(), name: z.string(), uid: z.string() }),
});
const podOutputs = z.object({
  spec: z.object({
    containers: z.array(
      z.object({ env: z.array(z.object({ name: z.string(), value: z.string().optional() })).optional() }),
    ),
  }),
});
const clusterTypes = new Set(["kubernetes:core/v1:Secret", "kubernetes:apps/v1:Deployment"]);

/** A report that this release can't read is no reason to fail: the node is then looked after as a new one. */
function readReport<T>(parse: (stdout: string) => T, stdout: string): T | undefined {
  try {
    return parse(stdout);
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

/**
 * Reads what the engine says of the stack's resources, by URN.
 *
 * @throws UserError `state-unreadable`
 */
export function readLastRun(answer: unknown): LastRun {
  const parsed = resources.safeParse(answer);
  if (!parsed.success) {
    throw new UserError({
      code: "state-unreadable",
      subject: "the stack's state",
      seen: "what the engine says of it is not understood",
      remedy: "Use a release of the Pulumi CLI that package.json's @pulumi/pulumi goes with",
    });
  }
  const nodes = new Map<string, RecordedNode>();
  const notRestarted = new Set<string>();
  const objects: RecordedObject[] = [];
  const ofNodes = new Map<RegistryHost, Set<string>>();
  let ofStack: Map<RegistryHost, Set<string>> | undefined;
  let jumpbox: RecordedPod | undefined;
  for (const { type, outputs } of Object.values(parsed.data)) {
    if (type === "command:local:Command") {
      const ca = nodeOutputs.safeParse(outputs).data;
      const installed = ca && readReport(parseCaReport, ca.stdout);
      if (installed) {
        const { uid, hostKey } = installed;
        const nonce = ca.environment.TKC_REGISTRY_NONCE;
        nodes.set(installed.node, { uid, hostKey, nonce, skipped: "skipped" in installed });
      }
      addCertificates(ofNodes, nodeCertificates(outputs));
      const containerd = containerdOutputs.safeParse(outputs).data;
      const loaded = containerd && readReport(parseContainerdReport, containerd.stdout);
      if (loaded && "skipped" in loaded) notRestarted.add(loaded.uid);
    } else if (type === "tkc-registry:index:TrustedNodes") {
      const found = nodesOutputs.safeParse(outputs).data;
      if (found) ofStack = addCertificates(new Map(), found.certificates);
    } else if (type.startsWith("kubernetes:")) {
      const found = objectOutputs.safeParse(outputs).data;
      if (!found) continue;
      const { kind, metadata } = found;
      const object: RecordedObject = { kind, ...metadata };
      if (type === "kubernetes:core/v1:Pod") jumpbox = { ...object, replaces: replacedPod(outputs) };
      else if (clusterTypes.has(type)) objects.push(object);
    }
  }
  for (const [name, node] of nodes) {
    if (notRestarted.has(node.uid)) nodes.set(name, { ...node, skipped: true });
  }
  // A run that was cut off may have reached nodes and not said for all of them what it was about.
  const trusted = [...(ofStack ?? ofNodes)].map(([registry, sha256]) => [registry, [...sha256]] as const);
  return { jumpbox, objects, nodes, trusted: new Map(trusted) };
}

function addCertificates(
  to: Map<RegistryHost, Set<string>>,
  more: z.infer<typeof certificates>,
): Map<RegistryHost, Set<string>> {
  for (const { registry, sha256 } of more) to.set(registry, (to.get(registry) ?? new Set()).add(sha256));
  return to;
}

function nodeCertificates(outputs: unknown): z.infer<typeof certificates> {
  try {
    const text = trustOutputs.safeParse(outputs).data?.environment.TKC_REGISTRY_TRUST ?? "[]";
    return certificates.safeParse(JSON.parse(text)).data ?? [];
  } catch {
    return [];
  }
}

function replacedPod(outputs: unknown): string | undefined {
  const containers = podOutputs.safeParse(outputs).data?.spec.containers ?? [];
  return containers.flatMap(({ env = [] }) => env).find(({ name }) => name === replacesVariable)?.value;
}

/** Asks the engine for the state of the running stack, as the last run left it. */
export async function lastRun(): Promise<LastRun> {
  const stackName = `${pulumi.getOrganization()}/${pulumi.getProject()}/${pulumi.getStack()}`;
  // What `StackReference` asks for is the stack's outputs, which a run that failed has not set.
  const { outputs } = (await pulumi.runtime.invoke("pulumi:pulumi:readStackResourceOutputs", {
    stackName,
  })) as { outputs: unknown };
  return readLastRun(outputs);
}
