/**
 * `pulumi-resource-kubernetes`: any kind of the built-in API groups, by server-side apply with kubectl. It honours
 * what the official provider does for the settings and annotations that the stack uses; a setting that it doesn't
 * know is an error rather than a silent difference.
 */
import { createHash, randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { diffInputs } from "../rpc/diff";
import {
  InitializationError,
  serveProvider,
  type CheckRequest,
  type CheckResult,
  type CreateRequest,
  type DeleteRequest,
  type Resource,
  type ResourceProvider,
  type UpdateRequest,
} from "../rpc/provider";
import { engineLogger } from "../rpc/server";
import { hasUnknown, plain, unknown, type Properties, type Value } from "../rpc/values";
import { parseUrn } from "../urn";
import { sdkVersion } from "../versions";
import { Kubectl, KubectlError, type Config } from "./kubectl";
import {
  autonamedAnnotation,
  driftedInputs,
  fieldManagerOf,
  idOf,
  kindOf,
  metadataOf,
  reference,
  stateOf,
  withMetadata,
  without,
} from "./object";
import { explain, pending } from "./ready";
import { forcesReplacement } from "./replacement";

/** Seconds that an object has to become ready or to go, as in the official provider. */
const defaultTimeout = 600;
/** Seconds between two looks at an object that isn't ready. */
const pollInterval = 1;

const logger = engineLogger();
let config: Config;
let kubectl: Kubectl;
let defaultNamespace: Promise<string> | undefined;
let cancelled = false;

/** Settings of the SDK that change nothing here. */
const ignoredSettings = [
  "alwaysRender",
  "clusterIdentifier",
  "suppressDeprecationWarnings",
  "suppressHelmHookWarnings",
];

const asText = (value: Value): string => (typeof value === "string" ? value : JSON.stringify(value));

/** The SDK sends what isn't a string as JSON. */
function readConfig(properties: Properties): Config {
  const settings = Object.fromEntries(
    Object.entries(plain(properties) as Properties).map(([name, value]) => [name, asText(value)]),
  );
  const text = (name: string): Record<string, string> => {
    const value = settings[name];
    return value ? { [name]: value } : {};
  };
  const flag = (name: string): boolean => settings[name] === "true";
  const known = [
    "kubeconfig",
    "context",
    "cluster",
    "namespace",
    "enableServerSideApply",
    "upsertExistingObjects",
    "enableSecretMutable",
    "enableConfigMapMutable",
    "enablePatchForce",
    "deleteUnreachable",
    "version",
    ...ignoredSettings,
  ];
  const strange = Object.keys(settings).filter(
    (name) => !known.includes(name) && !["", "false", "null"].includes(settings[name] ?? ""),
  );
  if (strange.length > 0)
    throw new Error(`the lab's stand-in does not know the setting ${strange.join(", ")}`);
  if (settings.enableServerSideApply === "false") {
    throw new Error("the lab's stand-in always applies on the server");
  }
  if (/\n|^\s*{/.test(settings.kubeconfig ?? "")) {
    throw new Error("the lab's stand-in takes a kubeconfig's path, not its contents");
  }
  return {
    ...text("kubeconfig"),
    ...text("context"),
    ...text("cluster"),
    ...text("namespace"),
    upsertExistingObjects: flag("upsertExistingObjects"),
    enableSecretMutable: flag("enableSecretMutable"),
    enableConfigMapMutable: flag("enableConfigMapMutable"),
    enablePatchForce: flag("enablePatchForce"),
    deleteUnreachable:
      (settings.deleteUnreachable ?? process.env.PULUMI_K8S_DELETE_UNREACHABLE ?? "").toLowerCase() ===
      "true",
  };
}

/** A new provider manages other objects than the old one did, which would be deleted: only another cluster is that. */
function configForcesReplacement(olds: Properties, news: Properties): (property: string) => boolean {
  const identified = typeof olds.clusterIdentifier === "string" && typeof news.clusterIdentifier === "string";
  const identity = identified ? ["clusterIdentifier"] : ["kubeconfig", "context", "cluster"];
  return (property) => identity.includes(property);
}

async function check({ urn, oldInputs, news, randomSeed }: CheckRequest): Promise<CheckResult> {
  const { apiVersion, kind, namespaced } = kindOf(urn);
  const old = metadataOf(oldInputs);
  const given = metadataOf(news);
  let inputs: Properties = { ...news, apiVersion, kind };
  if (given.name === undefined) {
    const kept = old.annotations?.[autonamedAnnotation] === "true" ? old.name : undefined;
    const seed = randomSeed.length > 0 ? Buffer.from(randomSeed) : randomBytes(16);
    const suffix = createHash("sha256").update(seed).digest("hex").slice(0, 8);
    const name = kept ?? `${parseUrn(urn).name.toLowerCase()}-${suffix}`;
    inputs = withMetadata(inputs, (metadata) => ({
      ...metadata,
      name,
      annotations: { ...(metadata.annotations as Properties | undefined), [autonamedAnnotation]: "true" },
    }));
  }
  if (namespaced && given.namespace === undefined) {
    defaultNamespace ??=
      config.namespace === undefined ? kubectl.contextNamespace() : Promise.resolve(config.namespace);
    const namespace = await defaultNamespace;
    inputs = withMetadata(inputs, (metadata) => ({ ...metadata, namespace }));
  }
  return { inputs };
}

function diff(oldInputs: Properties, news: Properties): ReturnType<ResourceProvider["diff"]> {
  const newName = metadataOf(news);
  const fixedName = newName.annotations?.[autonamedAnnotation] !== "true";
  const sameObject = idOf(oldInputs) === idOf(news);
  return diffInputs(oldInputs, news, forcesReplacement(news, config), fixedName && sameObject);
}

const forced = (inputs: Properties): boolean =>
  config.enablePatchForce || metadataOf(inputs).annotations?.["pulumi.com/patchForce"] === "true";

async function apply(
  urn: string,
  inputs: Properties,
  fieldManager: string,
  dryRun: boolean,
): Promise<Properties> {
  try {
    return await kubectl.apply(urn, plain(inputs) as Properties, {
      fieldManager,
      force: forced(inputs),
      dryRun,
    });
  } catch (error) {
    if (!(error instanceof KubectlError) || !/conflict/i.test(error.message)) throw error;
    throw new Error(
      `Server-Side Apply field conflict detected on ${idOf(inputs)}; ` +
        `the annotation pulumi.com/patchForce takes the fields over:\n${error.message}`,
    );
  }
}

/** Lets the server say in the preview what it would refuse, as far as it can be known by then. */
async function rehearse(urn: string, inputs: Properties, fieldManager: string): Promise<void> {
  if (hasUnknown(inputs)) return;
  try {
    await apply(urn, inputs, fieldManager, true);
  } catch (error) {
    // The namespace or the cluster may be made by the same run.
    if (!(error instanceof KubectlError) || !(error.notFound || error.unreachable)) throw error;
  }
}

/** An object of that name may be the one that this creation replaces, and which is deleted before it. */
async function rehearseCreation(urn: string, inputs: Properties, fieldManager: string): Promise<void> {
  try {
    if ((await kubectl.get(reference(urn, idOf(inputs)))) !== undefined) return;
  } catch (error) {
    if (error instanceof KubectlError && error.unreachable) return;
    throw error;
  }
  await rehearse(urn, inputs, fieldManager);
}

function timeoutOf(resource: Resource, object: Properties): number {
  const annotated = Number(metadataOf(object).annotations?.["pulumi.com/timeoutSeconds"]);
  return resource.timeout || annotated || defaultTimeout;
}

/** Waits until the object is ready, and gives it back. */
async function untilReady(
  resource: Resource,
  inputs: Properties,
  applied: Properties,
  manager: string,
): Promise<Properties> {
  const { urn } = resource;
  if (metadataOf(inputs).annotations?.["pulumi.com/skipAwait"] === "true") return applied;
  const id = idOf(applied);
  const deadline = performance.now() + timeoutOf(resource, inputs) * 1000;
  let live: Properties | undefined = applied;
  for (;;) {
    const reasons = live === undefined ? [`${id} was deleted by someone else`] : pending(live);
    if (live !== undefined && reasons === undefined) return live;
    logger.status(urn, reasons!.join("; "));
    if (live === undefined || cancelled || performance.now() > deadline) {
      const details = live === undefined ? reasons! : await explain(kubectl, live, reasons!);
      throw new InitializationError(
        `the Kubernetes API server reported that "${id}" failed to fully initialize or become live: ` +
          (cancelled ? "the run was cancelled" : `it was not ready after ${timeoutOf(resource, inputs)} s`) +
          details.map((detail) => `\n  - ${detail}`).join(""),
        id,
        stateOf(live ?? applied, inputs, manager),
        inputs,
        details,
      );
    }
    await sleep(pollInterval * 1000);
    live = await kubectl.get(reference(urn, id));
  }
}

async function create(request: CreateRequest): Promise<{ id: string; properties: Properties }> {
  const { urn, news, preview } = request;
  const fieldManager =
    metadataOf(news).annotations?.["pulumi.com/patchFieldManager"] ??
    `pulumi-kubernetes-${randomBytes(4).toString("hex")}`;
  const { name = unknown, namespace } = metadataOf(news);
  if (preview) {
    const nameKnown = name !== unknown && namespace !== unknown;
    if (nameKnown) await rehearseCreation(urn, news, fieldManager);
    return { id: nameKnown ? idOf(news) : "", properties: news };
  }
  if (!config.upsertExistingObjects && (await kubectl.get(reference(urn, idOf(news)))) !== undefined) {
    throw new Error(
      `resource ${idOf(news)} was not successfully created by the Kubernetes API server: ` +
        `${kindOf(urn).kind} "${name}" already exists`,
    );
  }
  const applied = await apply(urn, news, fieldManager, false);
  const live = await untilReady(request, news, applied, fieldManager);
  return { id: idOf(live), properties: stateOf(live, news, fieldManager) };
}

async function update(request: UpdateRequest): Promise<Properties> {
  const { urn, news, olds, preview } = request;
  const fieldManager = fieldManagerOf(olds) ?? "pulumi-kubernetes";
  if (preview) {
    await rehearse(urn, news, fieldManager);
    return news;
  }
  const applied = await apply(urn, news, fieldManager, false);
  const live = await untilReady(request, news, applied, fieldManager);
  return stateOf(live, news, fieldManager);
}

/**
 * Has an object whose cluster can't be reached dropped from the state, where that was asked for.
 *
 * @throws What failed, if it is something else; where it wasn't asked for, an error that says how to.
 */
function dropUnreachable(urn: string, error: unknown, failed: string): void {
  if (!(error instanceof KubectlError) || !error.clusterUnreachable) throw error;
  const unreachable = "configured Kubernetes cluster is unreachable";
  logger.warn(urn, `${unreachable}: ${error.message}`);
  if (!config.deleteUnreachable) {
    throw new Error(
      `${failed}. If the cluster was deleted, you can remove this resource from Pulumi state by rerunning the ` +
        'operation with the PULUMI_K8S_DELETE_UNREACHABLE environment variable set to "true"',
    );
  }
  logger.info(
    urn,
    `${unreachable} and the \`deleteUnreachable\` option is enabled. Deleting the unreachable resource from Pulumi state`,
  );
}

async function removeOrDrop(request: DeleteRequest): Promise<void> {
  try {
    await remove(request);
  } catch (error) {
    dropUnreachable(request.urn, error, "configured Kubernetes cluster is unreachable");
  }
}

async function remove(request: DeleteRequest): Promise<void> {
  const { urn, id, properties } = request;
  const object = reference(urn, id);
  const timeout = timeoutOf(request, properties);
  const deadline = performance.now() + timeout * 1000;
  const policy = metadataOf(properties).annotations?.["pulumi.com/deletionPropagationPolicy"] ?? "foreground";
  await kubectl.delete(object, policy);
  for (let live = await kubectl.get(object); live !== undefined; live = await kubectl.get(object)) {
    const finalizers = metadataOf(live).finalizers ?? [];
    const held = finalizers.length > 0 ? `held by the finalizers ${finalizers.join(", ")}` : "not gone yet";
    logger.status(urn, held);
    if (cancelled || performance.now() > deadline) {
      throw new Error(`${id} was deleted but is still there after ${timeout} s: ${held}`);
    }
    await sleep(pollInterval * 1000);
  }
}

/** The inputs of an object that no run of ours made: all but what the server fills in. */
function importedInputs(live: Properties): Properties {
  const { name, namespace, labels, annotations } = metadataOf(live);
  return withMetadata(
    without(live, "status"),
    () => JSON.parse(JSON.stringify({ name, namespace, labels, annotations })) as Properties,
  );
}

/** Ends all waiting. */
const giveUp = (): void => {
  cancelled = true;
};

const provider: ResourceProvider = {
  version: sdkVersion("kubernetes"),
  diffConfig(olds, news) {
    const replaces = configForcesReplacement(olds, news);
    return diffInputs(olds, news, ([property]) => replaces(String(property)));
  },
  configure(properties) {
    config = readConfig(properties);
    kubectl = new Kubectl(config, (urn, message) => logger.warn(urn, message));
    return Promise.resolve();
  },
  check,
  diff: ({ oldInputs, news }) => diff(oldInputs, news),
  create,
  async read({ urn, id, properties, oldInputs }) {
    let live: Properties | undefined;
    try {
      live = await kubectl.get(reference(urn, id));
    } catch (error) {
      dropUnreachable(urn, error, "failed to read resource state due to unreachable cluster");
    }
    if (live === undefined) return undefined;
    const inputs =
      Object.keys(oldInputs).length === 0
        ? importedInputs(live)
        : (driftedInputs(oldInputs, plain(properties), live) as Properties);
    return { properties: stateOf(live, inputs, fieldManagerOf(properties) ?? "pulumi-kubernetes"), inputs };
  },
  update,
  delete: removeOrDrop,
  cancel: giveUp,
  engineGone: giveUp,
};

void serveProvider(provider);
