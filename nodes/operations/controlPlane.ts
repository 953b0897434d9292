/**
 * Restarts on control-plane nodes: one node of the cluster at a time, whoever restarts them, and only while all others
 * are Ready.
 */
import type { KubeContext, OpenContext } from "../../kubernetes/client";
import { type NodeMark, leaseStore } from "../../kubernetes/lease";
import { listControlPlane } from "../../kubernetes/nodes";
import { type Turn, type TurnOptions, Turns, freeTurn } from "../../kubernetes/turns";
import type { KubernetesCode } from "../../kubernetes/problems";
import type { ClusterNode } from "../../kubernetes/types";
import { UserError } from "../../support/errors";
import { nodeProblem } from "../problems";
import type { CommandInput } from "../protocol/environment";
import { isSkipped, pinName, sharedMachineIds } from "../protocol/spec";
import { identity, runOnNode } from "./node";
import type { OperationContext } from "./operations";
import { waitReady, waitUntil } from "./ready";

/** The control plane of the workload cluster, given its context. */
export interface ControlPlane {
  readonly list: (clusterContext: string) => Promise<readonly ClusterNode[]>;
  readonly takeTurn: <T>(
    clusterContext: string,
    options: TurnOptions,
    act: (turn: Turn) => Promise<T>,
  ) => Promise<T>;
}

/** The control plane by the API: with one holder of turns for each context. */
export function controlPlaneOf(open: OpenContext): ControlPlane {
  const turns = new WeakMap<KubeContext, Turns>();
  return {
    list: async (name) => listControlPlane(await open(name)),
    takeTurn: async (name, options, act) => {
      const context = await open(name);
      const own = turns.get(context) ?? new Turns(leaseStore(context));
      turns.set(context, own);
      return await own.take(options, act);
    },
  };
}

/** Seconds that a run may work on a node, beside the wait until it is Ready: the longest wait for another run's turn. */
const longestWork = 900;

/**
 * Runs what may restart containerd on a node, and waits until the node is Ready. On a control-plane node it takes a
 * turn, and waits until all other control-plane nodes are Ready.
 *
 * @param act - Calls `begin` directly before the restart, and `settled` when the node is Ready.
 * @throws UserError `control-plane-not-ready`, `control-plane-lease`, and what `act` throws.
 */
export async function inTurn<T>(
  input: CommandInput,
  isControlPlane: boolean,
  context: OperationContext,
  act: (turn: Turn) => Promise<T>,
): Promise<T> {
  const { target, stack, readyTimeout } = input;
  if (!isControlPlane) return await act(freeTurn);
  return await context.controlPlane.takeTurn(
    target.clusterContext,
    {
      owner: stack.owner,
      node: { name: target.name, uid: target.uid },
      limit: readyTimeout + longestWork,
      fence: (unsettled) => fence(input, context, unsettled),
      log: (message) => context.log(`${message}: ${target.name}`),
      signal: context.signal,
    },
    act,
  );
}

/** A control-plane node that is joining may have no address yet. */
const joining: ReadonlySet<string> = new Set<KubernetesCode>(["node-without-address"]);

async function fence(
  input: CommandInput,
  context: OperationContext,
  unsettled: NodeMark | undefined,
): Promise<void> {
  const { target, readyTimeout } = input;
  let told = "";
  let before = unsettled;
  await waitUntil(readyTimeout, context, async () => {
    const all = await context.controlPlane.list(target.clusterContext).catch((error: unknown) => {
      if (error instanceof UserError && joining.has(error.problems[0]!.code)) return error;
      throw error;
    });
    if (all instanceof UserError) {
      return nodeProblem.error("control-plane-not-ready", {
        subject: `node ${target.name}`,
        seen: `after ${readyTimeout} s another control-plane node is not Ready: ${all.message}`,
      });
    }
    const others = all.filter(({ uid }) => uid !== target.uid);
    const its = others.find(({ uid }) => uid === before?.uid);
    if (its) {
      context.log(`waiting until ${its.name}, on which another run ended, is Ready: ${target.name}`);
      await settle(its, sharedMachineIds(all).get(its.name), input, context);
      before = undefined;
    }
    const notReady = others.filter(({ ready }) => !ready).map(({ name }) => name);
    if (notReady.length === 0) return undefined;
    const names = notReady.join(", ");
    if (told !== names) context.log(`waiting until ${names} of the control plane is Ready: ${target.name}`);
    told = names;
    return nodeProblem.error("control-plane-not-ready", {
      subject: `node ${target.name}`,
      seen: `after ${readyTimeout} s other control-plane nodes are not Ready: ${names}`,
    });
  });
}

/**
 * Waits until a node is well on which another run ended: first until what that run began there has ended, for which the
 * node's own lock stands, then until the node is Ready by what its kubelet wrote since. The API alone shows a restart
 * that fails up to 40 s later.
 */
async function settle(
  { name, uid, machineId, address, pins }: ClusterNode,
  hostName: string | undefined,
  { target: own, stack, readyTimeout }: CommandInput,
  context: OperationContext,
): Promise<void> {
  const notedKey = pins[pinName(stack)];
  const hostKey = context.hostKeyOf?.({ name, uid }) ?? notedKey;
  const target = { ...own, name, uid, machineId, hostName, address, hostKey, notedKey };
  try {
    const report = await context.inSession(target, hostKey, (session) =>
      runOnNode(session, { op: "status", ...identity({ target, stack }) }),
    );
    if (report.containerdStarted === undefined) {
      throw nodeProblem.error("control-plane-not-ready", {
        subject: `node ${own.name}`,
        seen: `on ${name} another run ended, and containerd does not run there`,
      });
    }
    await waitReady(target, readyTimeout, context, report.containerdStarted);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    if (!isSkipped(error.problems[0]!.code, context)) throw error;
    context.log(`skipped: ${name}, on which another run ended, before ${own.name}: ${error.message}`);
  }
}
