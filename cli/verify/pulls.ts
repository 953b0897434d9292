/**
 * The pulls of `npm run verify --pull`: an image on each node, by pods that are deleted again.
 * It never leaves a pod behind when it is interrupted.
 */
import { setMaxListeners } from "node:events";
import type { KubeContext } from "../../kubernetes/client";
import { type PullResult, tryPulls } from "../../kubernetes/pullPods";
import type { ClusterNode } from "../../kubernetes/types";
import { ownerMetadata } from "../../plan/ownership";
import type { DeployedSet } from "../../state/exportedState";
import { withProgress } from "../progress";
import type { PullFinding } from "./findings";
import { cliProblem } from "../problems";

/** Tries the pulls; a signal ends them, and the process, once their pods are deleted. */
export async function pullOnNodes(
  cluster: KubeContext,
  listed: readonly ClusterNode[],
  images: readonly string[],
  set: DeployedSet,
): Promise<Map<string, PullFinding[]>> {
  const interruption = new AbortController();
  setMaxListeners(0, interruption.signal); // each pod that is waited for is one
  const interrupt = (signal: NodeJS.Signals): void => {
    if (interruption.signal.aborted) return; // a terminal and npm both send one
    process.stderr.write(`${signal}: deleting the pods\n`);
    interruption.abort(
      cliProblem.error("interrupted", { subject: "verify", seen: `it was ended by ${signal}` }),
    );
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, interrupt);
  try {
    const trials = listed.flatMap(({ name: node }) => images.map((image) => ({ node, image })));
    let done = 0;
    const place = {
      namespace: set.pulls.namespace,
      login: set.pulls.secret === undefined ? undefined : { pullSecret: set.pulls.secret },
      labels: ownerMetadata(set.identity).labels,
    };
    const options = { signal: interruption.signal, onResult: () => void (done += 1) };
    const results: PullResult[] = await withProgress(
      tryPulls(cluster, trials, place, options),
      () => `Pulling: ${done} of ${trials.length} are known`,
    );
    const byNode = new Map<string, PullFinding[]>();
    for (const { node, ...finding } of results) byNode.set(node, [...(byNode.get(node) ?? []), finding]);
    return byNode;
  } finally {
    for (const signal of signals) process.off(signal, interrupt);
  }
}
