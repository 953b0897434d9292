/** The Deployment from the registry: its ownership, and the pod that it runs. */
import type { DeploymentSettings, LateDeploymentSettings } from "../config/settings";
import { dryRunPod, foundObject } from "../kubernetes/checks";
import type { KubeContext } from "../kubernetes/client";
import { checkPodSecurityPolicy } from "../kubernetes/podSecurityPolicy";
import { type NodeSelection, selectionTerms } from "../kubernetes/selection";
import type { ClusterNode } from "../kubernetes/types";
import { parseImageReference } from "../registry/host";
import { registryProblem } from "../registry/problems";
import type { PreviousState } from "../state/previousState";
import { type Claim, beingDeleted, claimOf, resolveOwnership } from "./ownership";
import { type PodTemplate, podLabels, podSpec } from "./podTemplate";
import { planProblem } from "./problems";
import type { FoundImage } from "./registries";

/** Whether the Deployment exists, and whether the stack adopts it. */
export async function resolveDeployment(
  cluster: KubeContext,
  { namespace, name, app, adopt, setting }: LateDeploymentSettings,
  previousState: () => Promise<PreviousState>,
): Promise<{ exists: boolean; adopted: boolean }> {
  const action = { verb: "get", resource: "deployments.apps", namespace, name };
  const live = await cluster.find(action, () => cluster.apps.readNamespacedDeployment({ namespace, name }));
  const what = `deployment ${namespace}/${name}`;
  if (live && foundObject(live).deleting === true) throw beingDeleted(what);
  const claim = async (): Promise<Claim> => claimOf(await previousState());
  const options = { claim, adopt, otherName: `\`${setting("name")}\`` };
  const object = { kind: "deployment", namespace, name, context: cluster.name };
  const exists = live !== undefined;
  if ((await resolveOwnership(object, live && foundObject(live), options)) !== "adopted")
    return { exists, adopted: false };
  // A selector is immutable, and server-side apply would keep a container with another name beside ours.
  const selector = Object.entries(live?.spec?.selector.matchLabels ?? {});
  const containers = live?.spec?.template.spec?.containers.map((container) => container.name) ?? [];
  const fits = selector.length === 1 && selector[0]![0] === "app" && selector[0]![1] === app;
  if (fits && containers.every((container) => container === app)) return { exists, adopted: true };
  const seen =
    `it is to be adopted, but selects ${selector.map((pair) => pair.join("=")).join(",")} ` +
    `and has the containers ${containers.join(", ")}; ours selects app=${app} and has the container ${app}`;
  throw planProblem.error(
    "adopted-deployment-differs",
    { subject: what, seen },
    setting("app"),
    setting("name"),
  );
}

/**
 * The pod that the Deployment runs.
 *
 * @param selection - Its nodes: on those that are left out, nothing trusts the registry.
 */
export function podTemplate(
  settings: LateDeploymentSettings,
  image: string,
  selection: NodeSelection,
): PodTemplate {
  const nodeTerms = selectionTerms(selection);
  const { app, command, args, port, probe, runAsUser, writablePaths, env, resources, pullSecret } = settings;
  const imagePullSecrets = pullSecret === undefined ? [] : [pullSecret];
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
    ...(nodeTerms ? { nodeTerms } : {}),
  };
}

/**
 * The Deployment's image, pinned to its digest if the settings say so.
 *
 * @param digest - The image's digest at the registry.
 */
export function deployedImage(
  { image, pinDigest, subject }: DeploymentSettings,
  digest: string | undefined,
): string {
  if (!pinDigest || parseImageReference(image, { subject: "" }).digest !== undefined) return image;
  if (digest !== undefined) return `${image}@${digest}`;
  throw planProblem.error(
    "image-digest-unknown",
    {
      subject: subject("pinDigest"),
      seen: `the digest of ${image} can't be found out from here`,
    },
    image,
  );
}

/** A Deployment's plan, with what is to be said of it. */
export interface DeploymentPlan {
  readonly pod: PodTemplate;
  /** Whether it was there before the stack. */
  readonly adopted: boolean;
  readonly exists: boolean;
  readonly facts: readonly string[];
  readonly warnings: readonly string[];
}

/**
 * Decides what a Deployment runs.
 *
 * @param asked - What the checks found of it, and of its image.
 * @throws UserError `image-digest-unknown`, `image-architecture`
 */
export function planDeployment(
  settings: DeploymentSettings,
  asked: {
    readonly found: { readonly exists: boolean; readonly adopted: boolean };
    readonly image: FoundImage | undefined;
    readonly untried: string | undefined;
  },
  nodes: readonly ClusterNode[],
  selection: NodeSelection,
): DeploymentPlan {
  const { digest, platforms } = asked.image ?? {};
  const unsuited = checkArchitectures(settings, platforms, nodes);
  const pod = podTemplate(settings, deployedImage(settings, digest), selection);
  return {
    ...asked.found,
    pod,
    facts: [
      ...(digest === undefined ? [] : [`${settings.image} is ${digest}`]),
      ...(pod.nodeTerms
        ? [
            `deployment ${settings.namespace}/${settings.name} waits for all nodes that are not left out, and its pods are kept to these (node affinity)`,
          ]
        : []),
    ],
    warnings: [asked.untried, unsuited].flatMap((warning) => warning ?? []),
  };
}

/**
 * Checks that the API server would admit the Deployment's pod.
 *
 * @returns A warning where that cannot be tried.
 */
export async function tryPod(
  cluster: KubeContext,
  settings: DeploymentSettings,
  selection: NodeSelection,
): Promise<string | undefined> {
  const { namespace, image } = settings;
  const pod = podTemplate(settings, image, selection);
  const manifest = { metadata: { labels: podLabels(pod) }, spec: podSpec(pod) };
  const subject = settings.subject("");
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
  { image, subject }: DeploymentSettings,
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
  const what = { subject: subject("image"), seen };
  if (missing.length === known.size) throw registryProblem.error("image-architecture", what);
  return `${what.subject}: ${seen}: its pods cannot run on all of them`;
}
