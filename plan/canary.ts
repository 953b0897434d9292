/**
 * The canary: the node that a run with something to install does first, and that has to pull before any other node is
 * touched. Which node that is follows from the state and the nodes alone, so that preview and update agree.
 */
import { createHash } from "node:crypto";
import type { PullSecretSettings, TrustSettings } from "../config/settings";
import { missingRights, listRights } from "../kubernetes/checks";
import type { KubeContext } from "../kubernetes/client";
import { type PullPlace, dryRunPull, pullFault, pullRights, tryPulls } from "../kubernetes/pullPods";
import { told } from "../nodes/operations/operations";
import type { Canary } from "../nodes/protocol/spec";
import type { CanaryPuller } from "../nodes/service/service";
import { parseImageReference } from "../registry/host";
import type { RecordedCanary } from "../state/records";
import { counted } from "../support/text";
import type { DeploymentPlan } from "./deployment";
import type { Installation } from "./nodeCommand";
import type { NodePlan } from "./nodes";
import { ownerMetadata } from "./ownership";
import { planProblem } from "./problems";
import { changesNode } from "./reach";
import type { NodeChange } from "./reasons";
import { type Registry, dockerConfigOf } from "./registries";

/** Which node goes first, and what it pulls. */
export interface CanaryPlan {
  /** The node that all others wait for; undefined where nothing is to be done. */
  readonly first?: string | undefined;
  /** What the state is to have of the pull; undefined where there is none. */
  readonly pull?: Canary | undefined;
  /** For the log. */
  readonly fact?: string | undefined;
}

/** A node that may go first. */
export interface Candidate {
  readonly node: Pick<NodePlan["node"], "name" | "uid" | "role" | "ready">;
  readonly change: NodeChange;
}

/**
 * Which node goes first: one that is to be installed, of those that are well a worker, the first in their order. Where
 * the canary of the last run has not pulled, it is that node again, however it is: a second one is not touched before.
 *
 * @param unproven - The canary of the last run, where it has not pulled.
 */
export function chooseCanary<C extends Candidate>(
  nodes: readonly C[],
  unproven: Pick<Canary, "uid"> | undefined,
): C | undefined {
  const able = nodes.filter(({ change }) => change.action !== "skip");
  const again = able.find(({ node }) => node.uid === unproven?.uid);
  if (again) return again;
  const faults = ({ node, change }: C): number =>
    (change.reasons.some(({ code }) => code === "unreachable") ? 4 : 0) +
    (node.ready ? 0 : 2) +
    (node.role === "worker" ? 0 : 1);
  const [best] = able.filter(({ change }) => changesNode(change)).sort((a, b) => faults(a) - faults(b));
  return best;
}

/** What there is to pull, and where. */
export interface CanaryPulls {
  readonly images: readonly string[];
  readonly place: Omit<PullPlace, "labels">;
}

/** The image of the settings, or those of the Deployments; beside the first of these, by the logins of their registries. */
export function canaryPulls(
  { rollout: { canary } }: TrustSettings,
  deployments: ReadonlyMap<{ readonly namespace: string }, Pick<DeploymentPlan, "pod">>,
  pullSecrets: readonly PullSecretSettings[],
  registries: readonly Registry[],
): CanaryPulls {
  const deployed = [...deployments.values()].map(({ pod }) => pod.image);
  const images = typeof canary === "object" ? [canary.image] : [...new Set(deployed)].sort();
  const hosts = images.map((image) => parseImageReference(image, { subject: "" }).host);
  const used = registries.filter(({ settings: { host }, credential }) => credential && hosts.includes(host));
  const [deployment] = deployments.keys();
  return {
    images,
    place: {
      namespace: deployment?.namespace ?? pullSecrets[0]?.namespaces[0] ?? "default",
      login: used.length > 0 ? { dockerConfigJson: dockerConfigOf(used) } : undefined,
    },
  };
}

/** Checks that a pull can be made, before anything is touched. */
async function checkPull(
  cluster: KubeContext,
  node: string,
  { images, place }: CanaryPulls,
  { subject, setting }: TrustSettings,
): Promise<void> {
  const there = { ...place, labels: {} };
  const missing = await missingRights(cluster, pullRights(there));
  if (missing.length > 0) {
    throw planProblem.error(
      "canary-rights",
      { subject: `context ${cluster.name}`, seen: `the user may not ${listRights(missing)}` },
      setting("rollout.canary"),
    );
  }
  await dryRunPull(cluster, { node, image: images[0]! }, there, { subject: subject("rollout.canary") });
}

/**
 * Decides on the canary.
 *
 * @param recorded - What the state has of the last one.
 * @throws UserError `canary-rights`, and as a dry run of the pod.
 */
export async function planCanary(
  settings: TrustSettings,
  nodes: readonly NodePlan[],
  recorded: RecordedCanary,
  { certificates, trustMode }: Installation,
  pulls: CanaryPulls,
  cluster: KubeContext,
): Promise<CanaryPlan> {
  if (settings.rollout.canary === false) return {};
  const { planned, pulled } = recorded;
  const unproven = JSON.stringify(planned) === JSON.stringify(pulled) ? undefined : planned;
  const chosen = chooseCanary(nodes, unproven);
  if (!chosen) return { pull: pulled };
  const { name: node, uid } = chosen.node;
  const { images } = pulls;
  if (images.length === 0) {
    const what = `there is no Deployment yet whose image it could pull (\`${settings.setting("rollout.canary.image")}\` gives one)`;
    return { first: node, fact: `${node} goes first, and pulls nothing: ${what}` };
  }
  const installed = nodes
    .filter(({ change }) => changesNode(change))
    .map(({ node, nonce }) => [node.name, nonce])
    .sort();
  const proof = JSON.stringify([installed, certificates, trustMode, images]);
  const digest = createHash("sha256").update(proof).digest("hex").slice(0, 16);
  // Where nothing else is to be done, what was planned is still to be pulled.
  const nonce = installed.length === 0 && unproven ? unproven.nonce : digest;
  await checkPull(cluster, node, pulls, settings);
  return {
    ...{ first: node, pull: { node, uid, nonce } },
    fact: `${node} goes first: no other node is touched before it has pulled ${images.join(", ")}`,
  };
}

/** Pulls on the canary, by short-lived pods. */
export function canaryPuller(cluster: KubeContext, { images, place }: CanaryPulls): CanaryPuller {
  return async ({ node }, stack, { signal, log }) => {
    const results = await tryPulls(
      cluster,
      images.map((image) => ({ node, image })),
      { ...place, labels: ownerMetadata(stack).labels },
      { signal, onResult: () => undefined },
    );
    const failed = results.find(({ ok }) => !ok);
    if (!failed) {
      log(told(`pulled ${counted(images.length, "image")}`, { name: node })); // the state keeps it
      return;
    }
    const said = failed.message ?? "no reason was given";
    throw planProblem.error(
      "canary-failed",
      { subject: `node ${node}`, seen: `the canary could not pull ${failed.image}: ${said}` },
      pullFault(said),
      parseImageReference(failed.image, { subject: "image" }).host,
    );
  };
}
