/** The digest of all that a run plans: a saved plan of another run is told by it, before anything is touched. */
import { createHash } from "node:crypto";
import type { DeploymentSettings, PullSecretSettings, TrustSettings } from "../config/settings";
import type { DeploymentPlan } from "./deployment";
import type { NodePlan } from "./nodes";
import type { Plan, PlannedSecret } from "./plan";

/** What of a node is planned. */
const nodePart = ({ node: { name, role }, nonce, command }: NodePlan) => ({ name, role, command, nonce });

/** What of a pull secret is planned, but for its logins: a digest of passwords would help to guess them. */
const secretPart = (
  { name, defaultServiceAccount, deleteAdopted }: PullSecretSettings,
  places: readonly PlannedSecret[],
) => ({
  ...{ name, defaultServiceAccount, deleteAdopted },
  places: places.map(({ namespace, adopted }) => ({ namespace, adopted })),
});

/**
 * What of a Deployment is planned. The values of its `env` may be secrets, as passwords are; where any of its settings is
 * one, so may be its command line and image, which the state then has encrypted.
 */
const deploymentPart = (
  { namespace, name, replicas, timeoutSeconds, deleteAdopted, secret }: DeploymentSettings,
  { adopted, pod }: DeploymentPlan,
) => ({
  ...{ namespace, name, replicas, timeoutSeconds, deleteAdopted, adopted },
  pod: {
    ...{ ...pod, env: Object.keys(pod.env) },
    ...(secret ? { command: pod.command.length, args: pod.args.length, image: undefined } : {}),
  },
});

/**
 * A SHA-256 of what a run gives to its resources, and of their order. It is the same in each run that has nothing to do,
 * and in a preview and the update that follows it.
 */
export function planDigest(
  { nodes, connection, former, jumpbox, pullSecrets, deployments }: Omit<Plan, "digest">,
  settings: TrustSettings,
): string {
  const { namespace, cluster, unreachableNodes, restartOnRemoval } = settings;
  const { hostKeys, workersAtOnce, readyTimeoutSeconds, select, exclude } = settings.nodes;
  const { waves, pauseSeconds } = settings.rollout;
  // What is as by default is left out, as it was before there was such a setting.
  const { install, ...pod } = settings.jumpbox;
  const sorted = [...nodes].sort((a, b) => (a.node.name < b.node.name ? -1 : 1));
  const planned = {
    ...{ namespace, cluster, unreachableNodes, restartOnRemoval },
    ...{ hostKeys, workersAtOnce, readyTimeoutSeconds, select, exclude },
    ...(waves.length > 0 ? { waves, pauseSeconds } : {}),
    ...{ connection, former },
    jumpbox: jumpbox.create ? { ...pod, ...(install ? {} : { install }), ...jumpbox } : undefined,
    nodes: sorted.map(nodePart),
    pullSecrets: [...pullSecrets].map(([wanted, places]) => secretPart(wanted, places)),
    deployments: [...deployments].map(([wanted, plan]) => deploymentPart(wanted, plan)),
  };
  return createHash("sha256").update(JSON.stringify(planned)).digest("hex");
}
