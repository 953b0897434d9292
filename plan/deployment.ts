/** The Deployment from the registry: its ownership, and the pod that it runs. */
import { settingSubject } from "../config/names";
import type { Settings } from "../config/settings";
import { dryRunPod, foundObject } from "../kubernetes/checks";
import type { KubeContext } from "../kubernetes/client";
import { parseImageReference } from "../registry/host";
import type { PreviousState } from "../state/previousState";
import { type Claim, claimOf, resolveOwnership } from "./ownership";
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

/** Checks that the API server would admit the Deployment's pod. */
export async function tryPod(cluster: KubeContext, settings: Settings): Promise<void> {
  const { enabled, namespace, image } = settings.deployment;
  if (!enabled) return;
  const pod = podTemplate(settings, image);
  const manifest = { metadata: { labels: podLabels(pod) }, spec: podSpec(pod) };
  await dryRunPod(cluster, namespace, manifest, { subject: settingSubject("deployment") });
}
