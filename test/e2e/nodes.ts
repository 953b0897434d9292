/** What the tests on real nodes have in common. */
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { containerd, containerdStarts, goBundle, onAllNodes, writes } from "../../lab/inspect";
import type { Run } from "../../lab/stack";
import { cluster } from "../../lab/topology";

/** A certificate's PEM, as the nodes' bundles have it. */
export const pemOf = (file: string): string => new X509Certificate(readFileSync(file)).toString().trim();

/** What is asked of each node's containerd, to be compared with {@link expectRestarts}. */
export const starts = async (): Promise<Record<string, { pid: string; count: number }>> =>
  await onAllNodes(async (node) => ({
    pid: (await containerd(node)).pid,
    count: await containerdStarts(node),
  }));

/** These nodes' containerds were each started once since, those of all other nodes not at all. */
export async function expectRestarts(
  earlier: Awaited<ReturnType<typeof starts>>,
  nodes: string[],
): Promise<void> {
  for (const [node, { pid, count }] of Object.entries(await starts())) {
    const times = nodes.includes(node) ? 1 : 0;
    const before = earlier[node];
    assert.ok(before, `${node} was not there before`);
    assert.equal(count - before.count, times, `containerd of ${node} was not started ${times} time(s)`);
    assert.equal(pid !== before.pid, times === 1, `containerd of ${node}`);
  }
}

/** Every node's Go programs trust these. */
export async function expectTrust(...pems: string[]): Promise<void> {
  for (const [node, bundle] of Object.entries(await onAllNodes(goBundle)))
    for (const pem of pems) assert.ok(bundle.includes(pem), `${node} lacks a CA`);
}

/** What was written to each node's trust store: not the record, which a changed name of the stack changes. */
export const storeWrites = async (): Promise<Record<string, string>> =>
  await onAllNodes(async (node) =>
    (await writes(node))
      .split("\n")
      .filter((line) => !line.startsWith("/var/lib/tkc-registry"))
      .join("\n"),
  );

/** What a node's resources are named after: its name with the component's in place of the cluster's. */
export const resourceName = (node: string): string => node.replace(`${cluster.name}-`, "trust-");

/** The nodes whose CA a preview shows as an update. */
export function shownUpdates({ output }: Run): string[] {
  const steps = output.matchAll(
    /^ *~ command:local:Command: \(update\)\n(?: *\[[^\n]*\n)*? *\[urn=[^\n]*::trust-([a-z0-9-]+)-ca\]/gm,
  );
  return [...steps].map(([, node]) => `${cluster.name}-${node!}`).sort();
}

export function expectNoChanges({ code, output }: Run): void {
  assert.equal(code, 0, output);
  assert.doesNotMatch(output, /\d+ (created|updated|replaced|deleted)/);
}
