/** The Deployment from the registry: its ownership, and the pod that it runs. */
import { settingSubject } from "../config/names";
import type { Settings } from "../config/settings";
import { dryRunPod, foundObject } from "../kubernetes/checks";
import type { KubeContext } from "../kubernetes/client";
import { checkPodSecurityPolicy } from "../kubernetes/podSecurityPolicy";
import type { ClusterNode } from "../kubernetes/types";
import { parseImageReference } from "../registry/host";
import { registryProblem } from "../registry/problems";
import type { PreviousState } from "../state/previousState";
import { type Claim, beingDeleted, claimOf, resolveOwnership } from "./ownership";
import { type PodTemplate, podLabels, podSpec } from "./podTemplate";
import { needsPullSecret } from "./pullSecrets";
import { planProblem } from "./problems";

/** Whether the Deployment exists, and whether the stack adopts it. */
export async function resolveDeployment(
  cluster: KubeContext,
  settings: Settings,
  previousState: () => Promise<PreviousState>,
): Promise<{ exists: boolean; adopted: boolean }> {
  const { enabled, namespace, name, app } = settings.deployment;
  if (!enabled) return { exists: false, adopted: false };
  const action = { verb: "get", resource: "deployments.apps", namespace, name };
  const live = await cluster.find(action, () => cluster.apps.readNamespacedDeployment({ namespace, name }));
  const what = `deployment ${namespace}/${name}`;
  if (live && foundObject(live).deleting === true) throw beingDeleted(what);
  const claim = async (): Promise<Claim> => claimOf(await previousState());
  const options = { claim, adopt: settings.adopt, otherName: "`deployment.name`" };
  const object = { kind: "deployment", namespace, name, context: cluster.name };
  const exists = live !== undefined;
  if ((await resolveOwnership(object, live && foundObject(live), options)) !== "adopted")
    return { exists, adopted: false };
  // A selector is immutable, and server-side apply would keep a container with another name beside ours.
  const selector = Object.entries(live?.spec?.selector.matchLabels ?? {});
  const containers = live?.spec?.template.spec?.containers.map((container) => container.name) ?? [];
  const fits = selector.length === 1 && selector[0]![0] === "app" && selector[0]![1] === app;
  if (fits && containers.every((container) => container === app)) return { exists, adopted: true };
  throw planProblem.error("adopted-deployment-differs", {
    subject: what,
    seen:
      `it is to be adopted, but selects ${selector.map((pair) => pair.join("=")).join(",")} ` +
      `and has the containers ${containers.join(", ")}; ours selects app=${app} and has the container ${app}`,
  });
}

/** The pod that the Deployment runs. */
export function podTemplate(settings: Settings, image: string): PodTemplate {
  const { app, command, args, port, probe, runAsUser, writablePaths, env, resources } = settings.deployment;
  const imagePullSecrets = needsPullSecret(settings) ? [settings.pullSecret.name] : [];
  return {
    app,
    image,
    command,
    args,
    port,
    probe,
    runAsUser,
    writablePaths,
    env,
    resources,
    imagePullSecrets,
  };
}

/**
 * The Deployment's image, pinned to its digest if the settings say so.
 *
 * @param digest - The image's digest at the registry.
 */
export function deployedImage(
  { deployment: { image, pinDigest } }: Settings,
  digest: string | undefined,
): string {
  if (!pinDigest || parseImageReference(image, { subject: "" }).digest !== undefined) return image;
  if (digest !== undefined) return `${image}@${digest}`;
  throw planProblem.error(
    "image-digest-unknown",
    {
      subject: settingSubject("deployment.pinDigest"),
      seen: `the digest of ${image} can't be found out from here`,
    },
    image,
  );
}

/**
 * Checks that the API server would admit the Deployment's pod.
 *
 * @returns A warning where that cannot be tried.
 */
export async function tryPod(cluster: KubeContext, settings: Settings): Promise<string | undefined> {
  const { enabled, namespace, image } = settings.deployment;
  if (!enabled) return undefined;
  const pod = podTemplate(settings, image);
  const manifest = { metadata: { labels: podLabels(pod) }, spec: podSpec(pod) };
  const subject = settingSubject("deployment");
  const admitted = await dryRunPod(cluster, namespace, manifest, { subject });
  if (!admitted)
    return `${subject}: the pod cannot be tried beforehand, as an admission webhook of namespace ${namespace} takes no dry run`;
  return await checkPodSecurityPolicy(cluster, namespace, admitted, subject);
}

/**
 * Compares an image's platforms with the nodes'.
 *
 * @throws UserError `image-architecture` where pods could run on none of them.
 * @returns A warning where they could run on some.
 */
export function checkArchitectures(
  { deployment: { image } }: Settings,
  platforms: readonly string[] | undefined,
  nodes: readonly ClusterNode[],
): string | undefined {
  const wanted = nodes.filter(({ role }) => role === "worker").map(({ architecture }) => architecture);
  const known = new Set(wanted.filter((each) => each !== undefined));
  const served = (platforms ?? [])
    .filter((platform) => platform.startsWith("linux/"))
    .map((each) => each.split("/")[1]!);
  const missing = [...known].filter((architecture) => !served.includes(architecture));
  if (platforms === undefined || missing.length === 0) return undefined;
  const seen = `${image} is for ${platforms.join(", ")}; nodes are ${[...known].join(", ")}`;
  const what = { subject: settingSubject("deployment.image"), seen };
  if (missing.length === known.size) throw registryProblem.error("image-architecture", what);
  return `${what.subject}: ${seen}: its pods cannot run on all of them`;
}
