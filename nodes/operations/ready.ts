import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import type { OpenContext } from "../../kubernetes/client";
import { pinsOf } from "../../kubernetes/pins";
import { transientCodes } from "../../kubernetes/problems";
import { UserError } from "../../support/errors";
import type { NodeTarget } from "../protocol/spec";
import { kubernetesProblem } from "../../kubernetes/problems";
import { nodeProblem } from "../problems";

const nodeSchema = z.object({
  metadata: z.object({ uid: z.string(), annotations: z.record(z.string(), z.string()).optional() }),
  status: z.object({
    conditions: z
      .array(z.object({ type: z.string(), status: z.string(), message: z.string().optional() }))
      .default([]),
  }),
});

/** The parts of a Node object that are used here. */
export interface NodeState {
  readonly uid: string;
  readonly ready: boolean;
  /** The message of its Ready condition. */
  readonly message: string;
  /** As {@link ClusterNode.pins}. */
  readonly pins: Readonly<Record<string, string>>;
}

/**
 * Asks the workload cluster's API for a node.
 *
 * @returns `undefined` only where the API answers that there is no such node.
 * @throws UserError when the API does not answer or refuses: the node may still exist.
 */
export type NodeReader = (context: string, name: string) => Promise<NodeState | undefined>;

/**
 * Parses a Node object.
 *
 * @throws UserError `node-malformed`
 */
export function nodeState(object: unknown): NodeState {
  const parsed = nodeSchema.safeParse(object);
  if (!parsed.success) {
    throw kubernetesProblem.error(
      "node-malformed",
      {
        subject: "a Node object",
        seen: `its ${parsed.error.issues[0]?.path.map(String).join(".") ?? "content"} is missing or not as kubelets write it`,
      },
      "waited",
    );
  }
  const { metadata, status } = parsed.data;
  const ready = status.conditions.find(({ type }) => type === "Ready");
  return {
    uid: metadata.uid,
    ready: ready?.status === "True",
    message: ready?.message ?? "no Ready condition",
    pins: pinsOf(metadata.annotations),
  };
}

/** Reads nodes by the API. */
export const nodeReader =
  (open: OpenContext): NodeReader =>
  async (context, name) => {
    const cluster = await open(context);
    const node = await cluster.find({ verb: "get", resource: "nodes", name }, () =>
      cluster.core.readNode({ name }),
    );
    return node && nodeState(node);
  };

const pollInterval = 2000;

/**
 * Waits until a node is Ready. An API that does not answer is asked again.
 *
 * @param timeout - seconds
 * @throws UserError `node-not-ready`, `node-gone`, and what the reader throws; the signal's reason.
 */
export async function waitReady(
  { name, uid, clusterContext }: NodeTarget,
  timeout: number,
  { readNode, signal }: { readonly readNode: NodeReader; readonly signal?: AbortSignal },
): Promise<void> {
  const end = performance.now() + timeout * 1000;
  for (;;) {
    let last: UserError;
    try {
      const node = await readNode(clusterContext, name);
      if (node?.uid !== uid) {
        throw nodeProblem.error(
          "node-gone",
          {
            subject: `node ${name}`,
            seen: `while it was waited for, the node was ${node ? "replaced" : "removed"}`,
          },
          "waiting",
        );
      }
      if (node.ready) return;
      last = nodeProblem.error(
        "node-not-ready",
        { subject: `node ${name}`, seen: `it was not Ready after ${timeout} s: ${node.message}` },
        "waited",
      );
    } catch (error) {
      // The API may run on the very node that restarts.
      if (!(error instanceof UserError) || !transientCodes.has(error.problems[0]?.code ?? "")) throw error;
      last = error;
    }
    if (performance.now() >= end) throw last;
    await sleep(pollInterval, undefined, signal ? { signal } : {});
  }
}
