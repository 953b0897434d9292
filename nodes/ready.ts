import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { UserError } from "../errors";
import { getObject } from "./kubectl";

const nodeSchema = z.object({
  metadata: z.object({ uid: z.string() }),
  status: z.object({
    conditions: z
      .array(z.object({ type: z.string(), status: z.string(), message: z.string().optional() }))
      .default([]),
  }),
});

/** A Node object, as far as it is of interest here. */
export interface NodeState {
  readonly uid: string;
  readonly ready: boolean;
  /** What the kubelet says of its readiness. */
  readonly message: string;
}

/**
 * Asks the workload cluster's API for a node.
 *
 * @returns `undefined` only where the API answers that there is no such node.
 * @throws UserError `cluster-…` when the API cannot be asked or refuses to tell: that is not "gone".
 */
export async function getNode(context: string, name: string): Promise<NodeState | undefined> {
  const found = await getObject("cluster", `node ${name}`, context, ["node", name]);
  if (found === undefined) return undefined;
  const { metadata, status } = nodeSchema.parse(found);
  const ready = status.conditions.find(({ type }) => type === "Ready");
  return {
    uid: metadata.uid,
    ready: ready?.status === "True",
    message: ready?.message ?? "no Ready condition",
  };
}

const pollInterval = 2000;

/**
 * Waits until a node is Ready. An API that does not answer is asked again: it may run on this very node.
 *
 * @param timeout - seconds
 * @throws UserError `node-not-ready`, `node-gone`, `cluster-…`
 */
export async function waitReady(context: string, name: string, uid: string, timeout: number): Promise<void> {
  const end = performance.now() + timeout * 1000;
  for (;;) {
    let last: UserError;
    try {
      const node = await getNode(context, name);
      if (node?.uid !== uid) {
        throw new UserError({
          code: "node-gone",
          subject: `node ${name}`,
          seen: `while it was waited for, the node was ${node ? "replaced" : "removed"}`,
          remedy: "Run `pulumi up` again, which takes the nodes that there are now",
        });
      }
      if (node.ready) return;
      last = new UserError({
        code: "node-not-ready",
        subject: `node ${name}`,
        seen: `it was not Ready after ${timeout} s: ${node.message}`,
        remedy: "Look at the kubelet and containerd on the node; when it is Ready, run again",
      });
    } catch (error) {
      if (!(error instanceof UserError) || error.problems[0]?.code !== "cluster-api-unreachable") throw error;
      last = error;
    }
    if (performance.now() >= end) throw last;
    await sleep(pollInterval);
  }
}
