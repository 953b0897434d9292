import * as z from "zod";
import type { OpenContext } from "../../kubernetes/client";
import { kubeletIsWell, kubeletRenewal } from "../../kubernetes/kubelet";
import { isControlPlane } from "../../kubernetes/nodes";
import { pinsOf } from "../../kubernetes/pins";
import { kubernetesProblem, transientCodes } from "../../kubernetes/problems";
import { type Clock, systemClock } from "../../support/clock";
import { UserError } from "../../support/errors";
import { nodeProblem } from "../problems";
import type { NodeTarget } from "../protocol/spec";

const time = z
  .string()
  .transform((text) => new Date(text))
  .refine((date) => !Number.isNaN(date.getTime()))
  .optional()
  .catch(undefined);
const nodeSchema = z.object({
  metadata: z.object({
    uid: z.string(),
    labels: z.record(z.string(), z.string()).optional(),
    annotations: z.record(z.string(), z.string()).optional(),
  }),
  status: z.object({
    conditions: z
      .array(
        z.object({
          type: z.string(),
          status: z.string(),
          message: z.string().optional(),
          lastHeartbeatTime: z.preprocess(
            (value) => (value instanceof Date ? value.toISOString() : value),
            time,
          ),
        }),
      )
      .default([]),
  }),
});

/** The parts of a Node object that are used here. */
export interface NodeState {
  readonly uid: string;
  readonly controlPlane: boolean;
  readonly ready: boolean;
  /** The message of its Ready condition. */
  readonly message: string;
  /** As {@link ClusterNode.pins}. */
  readonly pins: Readonly<Record<string, string>>;
  /** When its kubelet wrote the Ready condition, by the node's clock. */
  readonly heartbeat: Date | undefined;
  /** When its kubelet last renewed its Lease, by the node's clock; `undefined` where that cannot be read. */
  readonly renewal: () => Promise<Date | undefined>;
  /** Whether its kubelet answers now that it is well; `false` where it cannot be asked. */
  readonly isWell: () => Promise<boolean>;
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
export function nodeState(object: unknown): Omit<NodeState, "renewal" | "isWell"> {
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
    controlPlane: isControlPlane(metadata.labels),
    ready: ready?.status === "True",
    message: ready?.message ?? "no Ready condition",
    pins: pinsOf(metadata.annotations),
    heartbeat: ready?.lastHeartbeatTime,
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
    return (
      node && {
        ...nodeState(node),
        renewal: () => kubeletRenewal(cluster, name),
        isWell: () => kubeletIsWell(cluster, name),
      }
    );
  };

/** How nodes are asked for. */
interface Reading {
  readonly readNode: NodeReader;
  readonly signal?: AbortSignal | undefined;
  readonly clock?: Clock;
}

/** Seconds. */
const pollInterval = 2;

/**
 * Asks again and again until there is nothing to wait for. An API that does not answer is asked again too: it may run on
 * the very node that restarts.
 *
 * @param timeout - seconds
 * @param ask - Gives what is still waited for, as the error that is thrown in the end.
 */
export async function waitUntil(
  timeout: number,
  { signal, clock = systemClock }: Omit<Reading, "readNode">,
  ask: () => Promise<UserError | undefined>,
): Promise<void> {
  const end = clock.now() + timeout * 1000;
  for (;;) {
    let last: UserError | undefined;
    try {
      last = await ask();
    } catch (error) {
      if (!(error instanceof UserError) || !transientCodes.has(error.problems[0]?.code ?? "")) throw error;
      last = error;
    }
    if (!last) return;
    if (clock.now() >= end) throw last;
    await clock.sleep(pollInterval, signal);
  }
}

/**
 * Reads a node's object, also while the API does not answer for a moment.
 *
 * @param timeout - seconds
 * @throws UserError `node-gone`, and what the reader throws; the signal's reason.
 */
export async function nodeInCluster(
  { name, uid, clusterContext }: NodeTarget,
  timeout: number,
  reading: Reading,
): Promise<NodeState> {
  let found: NodeState | undefined;
  await waitUntil(timeout, reading, async () => {
    found = await reading.readNode(clusterContext, name);
    return undefined;
  });
  if (found?.uid === uid) return found;
  throw nodeProblem.error(
    "node-gone",
    {
      subject: `node ${name}`,
      seen: `while it was waited for, the node was ${found ? "replaced" : "removed"}`,
    },
    "waiting",
  );
}

/**
 * Seconds for which a node has to be seen Ready where its kubelet's Lease cannot be read. A kubelet takes up to 40 s to
 * report a containerd that does not answer, and writes a condition that stays the same every five minutes only.
 */
const grace = 45;

/**
 * Waits until a node is Ready, by what its kubelet has said since its containerd was started: it wrote a condition,
 * renewed its Lease, or answers that it is well. A kubelet need not be waited for that answers: the others take up to
 * ten seconds, and a node's turn ends by the first of them.
 *
 * @param timeout - seconds
 * @param since - When the containerd that runs was started, as the node says: by the clock of its kubelet.
 * @throws UserError `node-not-ready`, `node-gone`, and what the reader throws; the signal's reason.
 */
export async function waitReady(
  target: NodeTarget,
  timeout: number,
  reading: Reading,
  since?: string,
): Promise<void> {
  // The start is given in whole seconds. What was written in the same second may be from before it.
  const started = since === undefined ? 0 : Date.parse(since) + 1000;
  const isSince = (written: Date | undefined): boolean => (written?.getTime() ?? 0) >= started;
  const { clock = systemClock } = reading;
  let readyFrom: number | undefined;
  await waitUntil(timeout, reading, async () => {
    const node = await nodeInCluster(target, 0, reading);
    const notReady = (seen: string): UserError =>
      nodeProblem.error(
        "node-not-ready",
        { subject: `node ${target.name}`, seen: `it was not Ready after ${timeout} s: ${seen}` },
        "waited",
      );
    if (!node.ready) {
      readyFrom = undefined;
      return notReady(node.message);
    }
    if (isSince(node.heartbeat) || (await node.isWell())) return undefined;
    const renewed = await node.renewal();
    if (isSince(renewed)) return undefined;
    if (renewed === undefined) {
      readyFrom ??= clock.now();
      if (clock.now() - readyFrom >= grace * 1000) return undefined;
    }
    return notReady(`its kubelet has said nothing since containerd was started at ${since}`);
  });
}
