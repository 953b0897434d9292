/**
 * Everything that the program learns from the outside world, and refuses, before its first resource. Nothing here
 * changes anything.
 */
import type { RegistrySettings, Settings } from "../config/settings";
import {
  type FoundObject,
  type Right,
  checkRights,
  dryRunPod,
  dryRunSecret,
  findSecret,
  foundObject,
} from "../kubernetes/access";
import { type KubeContext, kubeContext } from "../kubernetes/client";
import { checkSystems, discoverNodes } from "../kubernetes/nodes";
import type { ClusterNode } from "../kubernetes/types";
import { type Observation, inspectNodes } from "../nodes/operations/inspection";
import { type NodeReader, nodeState } from "../nodes/operations/ready";
import { certificateLimit } from "../nodes/protocol/report";
import {
  type Access,
  type NodeTarget,
  type SshKeySource,
  type NodeWay,
  type TrustedCertificate,
  type UnreachablePolicy,
  pinOf,
  usual,
} from "../nodes/protocol/spec";
import { throughPod } from "../nodes/routes/relay";
import type { Transport } from "../nodes/routes/transport";
import { transportFor } from "../nodes/routes/way";
import { type SecretReader, readCredentials } from "../nodes/ssh/key";
import { SessionPool } from "../nodes/ssh/pool";
import { isFromRegistry, obtainCa } from "../registry/ca";
import { credentialFor, dockerConfigJson, mergeDockerConfigJson } from "../registry/dockerConfig";
import { manifestReference, parseImageReference } from "../registry/host";
import { checkPull } from "../registry/pullCheck";
import { robotStatus } from "../registry/robots";
import type { RegistryCredential, TrustedCa } from "../registry/types";
import type { PreviousState, RecordedNode, RecordedPod } from "../state/previousState";
import { type Problem, UserError, allChecks } from "../support/errors";
import { jumpboxContainer } from "../support/names";
import { checkIdentity } from "../vsphere/identity";
import { nonceOf } from "./drift";
import type { NodePlan } from "./nodePlan";
import { type Ownership, ownership } from "./ownership";
import { type PodTemplate, podLabels, podSpec } from "./podTemplate";

/** What the stack is to consist of, as far as the outside world decides it. */
export interface Plan {
  readonly nodes: readonly NodePlan[];
  /** The way to all nodes. */
  readonly way: NodeWay;
  readonly cas: readonly TrustedCa[];
  /** What each node is to trust. */
  readonly certificates: readonly TrustedCertificate[];
  /** What the nodes that were asked say. */
  readonly observed: readonly Promise<Observation>[];
  /** The sessions on nodes, those that were asked among them. */
  readonly sessions: SessionPool;
  /** Reads a Node of the workload cluster. */
  readonly readNode: NodeReader;
  /** Whether the jumpbox pod is the stack's own, and the UID of the one that it is made in place of. */
  readonly jumpbox: { readonly create: boolean; readonly replaces: string | undefined };
  /** Where the pull secret is to be; nowhere if no registry needs one. */
  readonly pullSecrets: readonly {
    readonly namespace: string;
    readonly dockerConfigJson: string;
    readonly adopted: boolean;
  }[];
  /** Undefined where no Deployment is wanted. */
  readonly deployment: { readonly pod: PodTemplate; readonly adopted: boolean } | undefined;
  /** Objects that the state has and the cluster hasn't, and what is to be said where the run leaves it at that. */
  readonly gone: readonly { readonly uid: string; readonly problem: Problem }[];
  /** What was found well, for a review of the run. */
  readonly facts: readonly string[];
  /** What the operator should know, and that stops nothing. */
  readonly warnings: readonly string[];
}

/** A registry's CA and credential, and what was found out with them. */
interface Registry {
  readonly settings: RegistrySettings;
  readonly ca: TrustedCa;
  readonly credential: RegistryCredential | undefined;
  /** The digest of the Deployment's image, where that is this registry's and was seen there. */
  readonly digest: string | undefined;
  /** When the robot account of the credential ends, where Harbor says so. */
  readonly expires: Date | undefined;
  readonly warnings: readonly string[];
}

const project = "setting tkc-registry";

/** What the provider does to an object: it also watches it until it is ready, or gone. */
const change = ["get", "list", "watch", "create", "patch", "delete"];

/** Whether any registry wants a login. */
const needsPullSecret = ({ registries }: Settings): boolean =>
  registries.some(({ credentials }) => credentials.from !== "none");

function supervisorRights({ namespace, cluster, access, nodes }: Settings): Right[] {
  const key: Right[] =
    nodes.sshKeyFile === undefined
      ? [{ verb: "get", resource: "secrets", namespace, name: `${cluster}-ssh` }]
      : [];
  if (access !== "jumpbox") return key;
  const pods = change.map((verb) => ({ verb, resource: "pods", namespace }));
  return [...key, ...pods, { verb: "create", resource: "pods", subresource: "exec", namespace }];
}

function clusterRights(settings: Settings): Right[] {
  const { pullSecret, deployment } = settings;
  const wanted: Right[] = ["get", "list"].map((verb) => ({ verb, resource: "nodes" }));
  if (needsPullSecret(settings)) {
    for (const namespace of pullSecret.namespaces) {
      wanted.push(...change.map((verb) => ({ verb, resource: "secrets", namespace })));
      if (pullSecret.defaultServiceAccount) {
        const accounts = { resource: "serviceaccounts", namespace, name: "default" };
        wanted.push({ verb: "get", ...accounts }, { verb: "patch", ...accounts });
      }
    }
  }
  if (deployment.enabled) {
    const { namespace } = deployment;
    wanted.push(...change.map((verb) => ({ verb, group: "apps", resource: "deployments", namespace })));
    wanted.push({ verb: "create", resource: "pods", namespace });
    // Its rollout is judged by these.
    for (const verb of ["list", "watch"]) {
      wanted.push(
        { verb, resource: "pods", namespace },
        { verb, group: "apps", resource: "replicasets", namespace },
      );
    }
  }
  return wanted;
}

/** What earlier runs have trusted for a registry, where that decides what this one does. */
async function knownOf(
  { host, ca }: RegistrySettings,
  previousState: () => Promise<PreviousState>,
): Promise<readonly string[]> {
  return isFromRegistry(ca) && ca.sha256 === undefined ? ((await previousState()).trusted.get(host) ?? []) : [];
}

async function prepareRegistry(
  settings: RegistrySettings,
  index: number,
  all: Settings,
  previousState: () => Promise<PreviousState>,
): Promise<Registry> {
  const subject = `${project}:registries[${index}]`;
  const credential = async (): Promise<RegistryCredential | undefined> => {
    const { credentials, host } = settings;
    switch (credentials.from) {
      case "none":
        return undefined;
      case "password":
        return { username: credentials.username, password: all.passwords[host]! };
      case "dockerConfig":
        return await credentialFor(host, { path: credentials.path }, { subject: `${subject}.credentials` });
    }
  };
  const [ca, given] = await allChecks([
    knownOf(settings, previousState).then((known) =>
      obtainCa(settings.host, settings.ca, { subject: `${subject}.ca`, known }),
    ),
    credential(),
  ]);
  const warnings = ca.warnings.map((warning) => `${settings.host}: ${warning}`);
  const image = parseImageReference(all.deployment.image, { subject: `${project}:deployment.image` });
  const pulled = all.deployment.enabled && image.host === settings.host;
  let digest: string | undefined;
  let expires: Date | undefined;
  if (pulled || given) {
    const registry = { host: settings.host, ca: ca.certificates.map(({ pem }) => pem) };
    const found = await checkPull({
      ...registry,
      credential: given,
      ...(pulled ? { image: { repository: image.repository, reference: manifestReference(image) } } : {}),
      subject: { image: `${project}:deployment.image`, credential: `${subject}.credentials` },
    });
    digest = found.digest;
    if (found.warning !== undefined) warnings.push(`${settings.host}: ${found.warning}`);
    else if (given && settings.kind === "harbor") {
      const robot = await robotStatus({ ...registry, credential: given, subject: `${subject}.credentials` });
      if (robot.warning !== undefined) warnings.push(`${settings.host}: ${robot.warning}`);
      expires = robot.expires;
    }
  }
  return { settings, ca, credential: given, digest, expires, warnings };
}

/** Refuses what isn't the stack's own, unless it is to be adopted. */
function settleOwnership(
  what: string,
  found: FoundObject | undefined,
  { owner, adopt, otherName }: { owner: string; adopt: boolean; otherName: string },
): Ownership["kind"] {
  const is = ownership(found, owner);
  if (is.kind !== "foreign") return is.kind;
  if (adopt && is.stack === undefined) return "adopted";
  throw new UserError(
    is.stack === undefined
      ? {
          code: "object-exists",
          subject: what,
          seen: "it is there already, and this stack did not make it",
          remedy: `Set \`adopt: true\` to take it over, or another name with ${otherName}`,
        }
      : {
          code: "object-of-another-stack",
          subject: what,
          seen: `it belongs to the stack ${is.stack}`,
          remedy:
            `Set another name with ${otherName}. If that stack is gone, or was renamed, take its label ` +
            "`tkc-registry/stack` off the object with `kubectl label`, and set `adopt: true`",
        },
  );
}

/** The jumpbox pod, as far as it is decided. */
interface JumpboxPlan {
  /** Whether the pod is the stack's own. */
  readonly create: boolean;
  readonly container: string;
  /** Whether nodes can be reached through it now. */
  readonly running: boolean;
  /** The UID of the stack's own pod that is there and will stay. */
  readonly uid?: string | undefined;
  /** What is wrong with the stack's own pod that is there and will not. */
  readonly dead?: Problem;
}

/** The jumpbox pod: ours to create, or somebody's that may be used. */
async function settleJumpbox(
  supervisor: KubeContext,
  settings: Settings,
  owner: string,
  previousState: () => Promise<PreviousState>,
): Promise<JumpboxPlan> {
  const { namespace, jumpbox, adopt } = settings;
  if (settings.access !== "jumpbox") return { create: false, container: "", running: false };
  const { name } = jumpbox;
  const pod = await supervisor.find({ verb: "get", resource: "pods", namespace, name }, () =>
    supervisor.core.readNamespacedPod({ namespace, name }),
  );
  const what = `pod ${namespace}/${name}`;
  const kind = settleOwnership(what, pod && foundObject(pod), { owner, adopt, otherName: "`jumpbox.name`" });
  const own = { create: true, container: jumpboxContainer };
  if (kind === "absent") return { ...own, running: false };
  const remove = `kubectl --context ${supervisor.name} -n ${namespace} delete pod ${name}`;
  const phase = pod?.status?.phase ?? "unknown";
  const leaving = pod?.metadata?.deletionTimestamp !== undefined;
  const running = phase === "Running" && !leaving;
  const dead: Problem = {
    code: "jumpbox-not-running",
    subject: what,
    seen: leaving ? "it is being deleted" : `it is in phase ${phase}`,
    remedy: `Delete it, so that the stack makes another: ${remove}, then run again`,
  };
  const ended = leaving || phase === "Succeeded" || phase === "Failed";
  if (kind === "ours")
    return ended ? { ...own, running, dead } : { ...own, running, uid: pod!.metadata!.uid };
  if (ended || phase !== "Running") throw new UserError(dead);
  // The state still has the stack's own pod of this name: left out of the program, it would be deleted by its name.
  if ((await previousState()).jumpbox?.name === name) {
    throw new UserError({
      code: "jumpbox-replaced",
      subject: what,
      seen: "somebody made it in place of the stack's own",
      remedy: `Delete it, so that the stack makes its own again: ${remove}, then run again`,
    });
  }
  return { create: false, container: pod!.spec!.containers[0]!.name, running };
}

/**
 * The UID of the stack's own pod that is gone, evicted or dead and so is to be replaced; of the one that was before,
 * where it is well.
 */
function replacedPod(
  { create, uid, dead }: JumpboxPlan,
  recorded: RecordedPod | undefined,
): string | undefined {
  if (!create) return undefined;
  // A pod of a run that was cut off: the state can't be told to replace it.
  if (dead && !recorded) throw new UserError(dead);
  return recorded?.uid === uid ? recorded?.replaces : recorded?.uid;
}

/**
 * Finds what the state still has and the cluster doesn't. Nothing would be done about it, as none of its settings have
 * changed; but in a run that refreshes the state first, all is done, and only the objects' UIDs tell which run this is.
 *
 * @param objects - whether objects that are wanted are there, by `Kind namespace/name`.
 */
function whatIsGone(
  last: PreviousState,
  nodes: readonly ClusterNode[],
  objects: ReadonlyMap<string, boolean>,
  cluster: string,
): Plan["gone"] {
  const gone = last.objects
    .map(({ kind, namespace, name, uid }) => ({ object: `${kind} ${namespace}/${name}`, uid }))
    .filter(({ object }) => objects.get(object) === false);
  const live = new Set(nodes.map(({ uid }) => uid));
  const recorded = [...last.nodes.values()];
  const remedy = "Run `pulumi up --refresh`, which sees what is gone and makes it again";
  const recreated: Problem | undefined =
    recorded.length === 0 || recorded.some(({ uid }) => live.has(uid))
      ? undefined
      : {
          code: "cluster-recreated",
          subject: `cluster ${cluster}`,
          seen: `it was created anew since the last run: none of its ${recorded.length} nodes of then is there, nor is ${gone.map(({ object }) => object).join(", ")}`,
          remedy,
        };
  return gone.map(({ object, uid }) => ({
    uid,
    problem: recreated ?? {
      code: "object-gone",
      subject: object,
      seen: "the stack made it, and it is gone",
      remedy,
    },
  }));
}

/** {@link SecretReader} by the client that the program has anyway. */
export const readSupervisorSecret =
  (supervisor: KubeContext): SecretReader =>
  async ({ namespace }, name, key) => {
    const secret = await findSecret(supervisor, namespace, name);
    return secret && (secret.data[key] ?? "");
  };

/** {@link NodeReader} by the client that the program has anyway. */
const readClusterNode =
  (cluster: KubeContext): NodeReader =>
  async (_context, name) => {
    const node = await cluster.find({ verb: "get", resource: "nodes", name }, () =>
      cluster.core.readNode({ name }),
    );
    return node && nodeState(node);
  };

function accessOf(settings: Settings, container: string): Access {
  const { access, bastion, supervisorContext: context, namespace, jumpbox } = settings;
  switch (access) {
    case "direct":
      return { kind: "direct" };
    case "bastion": {
      const { host, port, user, hostKey, sshKeyFile } = bastion!;
      return { kind: "bastion", host, port, user, hostKey, ...(sshKeyFile ? { keyFile: sshKeyFile } : {}) };
    }
    case "jumpbox":
      return { kind: "jumpbox", context, namespace, pod: jumpbox.name, container };
  }
}

/** The way through a bastion, which is there before anything of ours is. */
async function openBastion(settings: Settings): Promise<Transport | undefined> {
  if (settings.access !== "bastion") return undefined;
  const transport = transportFor(accessOf(settings, ""));
  await transport.check?.();
  return transport;
}

/** The way to each node. */
function nodeTargets(nodes: readonly ClusterNode[], settings: Settings, way: NodeWay): NodeTarget[] {
  return nodes.map(({ name, uid, machineId, address }) => ({
    ...{ name, uid, machineId, address, ...way },
    hostKey: pinOf(settings.nodes.hostKeys, name),
  }));
}

/** What the state holds of this very node: another of the same name is a new one. */
function recordOf(
  { nodes }: PreviousState,
  { name, uid }: { name: string; uid: string },
): RecordedNode | undefined {
  const recorded = nodes.get(name);
  return recorded?.uid === uid ? recorded : undefined;
}

/** What the nodes say of themselves. A new one has nothing to say yet, but its session is then there when it is needed. */
function inspect(
  targets: readonly NodeTarget[],
  last: PreviousState,
  around: { readonly owner: string; readonly sessions: SessionPool },
): ReadonlyMap<string, Promise<Observation>> {
  const questions = targets.map((target) => ({
    target,
    hostKey: target.hostKey ?? recordOf(last, target)?.hostKey,
  }));
  return inspectNodes(questions, { owner: around.owner, inSession: around.sessions.use });
}

/** The pull secret's content in one namespace: the stack's registries, and in an adopted one what was there before. */
async function settlePullSecret(
  cluster: KubeContext,
  namespace: string,
  settings: Settings,
  owner: string,
): Promise<{ namespace: string; exists: boolean; adopted: boolean; merged: (ours: string) => string }> {
  const { name } = settings.pullSecret;
  const found = await findSecret(cluster, namespace, name);
  const what = `secret ${namespace}/${name}`;
  const otherName = "`pullSecret.name`";
  const kind = settleOwnership(what, found, { owner, adopt: settings.adopt, otherName });
  // Asked of the API server, as the user may well have no right to read namespaces.
  if (!found) await dryRunSecret(cluster, namespace, `${project}:pullSecret.namespaces`);
  const existing = found?.data[".dockerconfigjson"];
  if (kind === "adopted" && existing === undefined) {
    throw new UserError({
      code: "adopted-secret-type",
      subject: what,
      seen: "it is to be adopted, but is no kubernetes.io/dockerconfigjson Secret",
      remedy: `Set another name with ${otherName}`,
    });
  }
  const place = { namespace, exists: found !== undefined };
  return kind === "adopted"
    ? {
        ...place,
        adopted: true,
        merged: (ours) => mergeDockerConfigJson(existing!, ours, { subject: what }),
      }
    : { ...place, adopted: false, merged: (ours) => ours };
}

async function settleDeployment(
  cluster: KubeContext,
  settings: Settings,
  owner: string,
): Promise<{ exists: boolean; adopted: boolean }> {
  const { enabled, namespace, name, app } = settings.deployment;
  if (!enabled) return { exists: false, adopted: false };
  const action = { verb: "get", resource: "deployments.apps", namespace, name };
  const live = await cluster.find(action, () => cluster.apps.readNamespacedDeployment({ namespace, name }));
  const what = `deployment ${namespace}/${name}`;
  const options = { owner, adopt: settings.adopt, otherName: "`deployment.name`" };
  const exists = live !== undefined;
  if (settleOwnership(what, live && foundObject(live), options) !== "adopted")
    return { exists, adopted: false };
  // A selector can't be changed, and a container of another name would stay beside ours.
  const selector = Object.entries(live?.spec?.selector.matchLabels ?? {});
  const containers = live?.spec?.template.spec?.containers.map((container) => container.name) ?? [];
  const fits = selector.length === 1 && selector[0]![0] === "app" && selector[0]![1] === app;
  if (fits && containers.every((container) => container === app)) return { exists, adopted: true };
  throw new UserError({
    code: "adopted-deployment-differs",
    subject: what,
    seen:
      `it is to be adopted, but selects ${selector.map((pair) => pair.join("=")).join(",")} ` +
      `and has the containers ${containers.join(", ")}; ours selects app=${app} and has the container ${app}`,
    remedy:
      "Set `deployment.app` to its label and container name if they are the same, or another `deployment.name`",
  });
}

function podTemplate(settings: Settings, image: string): PodTemplate {
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
 * The Deployment's image as its pods are to name it.
 *
 * @param digest - What the registry says that it is now.
 */
function deployedImage({ deployment: { image, pinDigest } }: Settings, digest: string | undefined): string {
  if (!pinDigest || parseImageReference(image, { subject: "" }).digest !== undefined) return image;
  if (digest !== undefined) return `${image}@${digest}`;
  throw new UserError({
    code: "image-digest-unknown",
    subject: `${project}:deployment.pinDigest`,
    seen: `the digest of ${image} can't be found out from here`,
    remedy: `Run where the registry is reached, or write the digest into \`deployment.image\` (${image}@sha256:…)`,
  });
}

const minute = 60_000;

/** How long a context's login lasts, as a fact or, where that is less than an hour, as a warning. */
function loginTime({ name, expires }: KubeContext, login: string): { fact?: string; warning?: string } {
  if (!expires) return {};
  const left = Math.floor((expires.getTime() - Date.now()) / minute);
  const until = `the login of context ${name} lasts until ${expires.toISOString()}`;
  return left < 60
    ? { warning: `${until}, ${left} minutes from now: log in again before a long run (\`${login}\`)` }
    : { fact: `${until} (${Math.floor(left / 60)} h ${left % 60} min)` };
}

/** How many nodes there are, of which role and system: `5 nodes (1 control plane, 4 workers): VMware Photon OS/Linux`. */
function nodesFact(nodes: readonly ClusterNode[]): string {
  const workers = nodes.filter(({ role }) => role === "worker").length;
  const systems = [...new Set(nodes.map(({ osImage }) => osImage))].sort().join(", ");
  return `${nodes.length} nodes (${nodes.length - workers} control plane, ${workers} workers): ${systems}`;
}

/**
 * What a question was refused for is told once, in the list of missing rights, if that was had.
 *
 * @param rights - The check that makes that list.
 */
async function withoutRepetition(error: unknown, rights: Promise<void>): Promise<unknown> {
  const listed = await rights.then(
    (): readonly Problem[] => [],
    (reason: unknown) => (reason instanceof UserError ? reason.problems : []),
  );
  if (!(error instanceof UserError)) return error;
  const [first, ...rest] = error.problems.filter(
    (problem) =>
      problem.code !== "no-rights" ||
      listed.includes(problem) ||
      !listed.some(({ code, subject }) => code === "no-rights" && subject === problem.subject),
  );
  return first ? new UserError(first, ...rest) : error;
}

/** Has the API server decide on the Deployment's pod. */
async function tryPod(cluster: KubeContext, settings: Settings): Promise<void> {
  const { enabled, namespace, image } = settings.deployment;
  if (!enabled) return;
  const pod = podTemplate(settings, image);
  const manifest = { metadata: { labels: podLabels(pod) }, spec: podSpec(pod) };
  await dryRunPod(cluster, namespace, manifest, { subject: `${project}:deployment` });
}

/** The run that the checks are for. */
export interface Run {
  /** The stack's identity, by which its objects are known. */
  readonly owner: string;
  /** What the state holds; asked for once everything else is settled, or before a pod is adopted or a CA trusted on first use. */
  readonly previousState: () => Promise<PreviousState>;
  /** How many resources the engine works on at once, where that is known. */
  readonly parallel?: number | undefined;
  /** What becomes of nodes that can't be reached. */
  readonly unreachable: UnreachablePolicy;
}

/**
 * Checks everything that can be checked before anything changes, side by side, and gives back what the stack is to
 * consist of.
 *
 * @throws UserError with every problem that was found.
 */
export async function preflight(settings: Settings, run: Run): Promise<Plan> {
  const { owner, parallel, unreachable } = run;
  const { namespace, cluster: name, deployment } = settings;
  const login = (server = ""): string => {
    const host = URL.canParse(server) ? new URL(server).hostname : "SUPERVISOR";
    return `npm run login -- --server ${host} --namespace ${namespace} --cluster ${name}`;
  };
  let asked: Promise<PreviousState> | undefined;
  const previousState = (): Promise<PreviousState> => (asked ??= run.previousState());

  const clusterSubject = `${project}:clusterContext`;
  const supervisorContext = kubeContext(settings.supervisorContext, {
    subject: `${project}:supervisorContext`,
    login,
  });
  const supervisorServer = supervisorContext.then(
    ({ server }) => server,
    () => undefined,
  );
  const clusterContext = supervisorServer.then((server) =>
    kubeContext(settings.clusterContext, { subject: clusterSubject, login: () => login(server) }),
  );
  const ofSupervisor = <T>(ask: (supervisor: KubeContext) => Promise<T>): Promise<T> =>
    supervisorContext.then(ask);
  const ofCluster = <T>(ask: (cluster: KubeContext) => Promise<T>): Promise<T> => clusterContext.then(ask);

  const sshKey: SshKeySource =
    settings.nodes.sshKeyFile === undefined
      ? { from: "supervisor", context: settings.supervisorContext, namespace, cluster: name }
      : { from: "file", path: settings.nodes.sshKeyFile };
  const rights = allChecks([
    ofSupervisor((supervisor) => checkRights(supervisor, supervisorRights(settings))),
    ofCluster((cluster) => checkRights(cluster, clusterRights(settings))),
  ]).then(() => {});
  const [, supervisor, cluster, unidentified, nodes, key, registries, jumpbox, bastion, places, existing] =
    await allChecks([
      rights,
      supervisorContext,
      clusterContext,
      ofSupervisor(async (supervisor) =>
        checkIdentity(
          supervisor,
          await clusterContext,
          { namespace, name },
          { subject: clusterSubject, login: login(supervisor.server) },
        ),
      ),
      ofCluster(async (cluster) => {
        const found = await discoverNodes(cluster);
        checkSystems(found);
        return found;
      }),
      ofSupervisor((supervisor) => readCredentials(sshKey, readSupervisorSecret(supervisor))),
      allChecks(
        settings.registries.map((registry, index) => prepareRegistry(registry, index, settings, previousState)),
      ),
      ofSupervisor((supervisor) => settleJumpbox(supervisor, settings, owner, previousState)),
      openBastion(settings),
      ofCluster((cluster) =>
        allChecks(
          (needsPullSecret(settings) ? settings.pullSecret.namespaces : []).map((place) =>
            settlePullSecret(cluster, place, settings, owner),
          ),
        ),
      ),
      ofCluster((cluster) => settleDeployment(cluster, settings, owner)),
      ofCluster((cluster) => tryPod(cluster, settings)),
    ]).catch(async (error: unknown) => {
      throw await withoutRepetition(error, rights);
    });

  const digest = registries.find((registry) => registry.digest !== undefined)?.digest;
  const pod = podTemplate(settings, deployedImage(settings, digest));
  const ours = dockerConfigJson(
    registries.flatMap(({ settings: { host }, credential }) => (credential ? [{ host, credential }] : [])),
  );
  const certificates = registries.flatMap(({ ca: { registry, certificates } }) =>
    certificates.map(({ sha256 }) => ({ registry, sha256 })),
  );
  if (certificates.length > certificateLimit) {
    throw new UserError({
      code: "too-many-certificates",
      subject: `${project}:registries`,
      seen: `their CAs are ${certificates.length} certificates`,
      remedy: `Give at most ${certificateLimit} in all; pin one of each file with \`ca.sha256\``,
    });
  }
  // Last, as the engine records that it was asked: a run that is refused leaves nothing in the state.
  const last = await previousState();
  const { pullSecret } = settings;
  const gone = whatIsGone(
    last,
    nodes,
    new Map([
      ...places.map((place) => [`Secret ${place.namespace}/${pullSecret.name}`, place.exists] as const),
      ...(deployment.enabled
        ? [[`Deployment ${deployment.namespace}/${deployment.name}`, existing.exists] as const]
        : []),
    ]),
    `${namespace}/${name}`,
  );
  const access = accessOf(settings, jumpbox.container);
  const sessions = new SessionPool({
    transport: bastion ?? transportFor(access, throughPod(supervisor)),
    credentials: key,
  });
  const way: NodeWay = {
    ...{ port: usual.port, user: settings.nodes.user, access, sshKey },
    clusterContext: settings.clusterContext,
    cluster: { supervisor: settings.supervisorContext, namespace, name },
  };
  const targets = nodeTargets(nodes, settings, way);
  const open = settings.nodes.inspect && (access.kind !== "jumpbox" || jumpbox.running);
  const observed = open ? inspect(targets, last, { owner, sessions }) : undefined;

  const unknownHosts = Object.keys(settings.nodes.hostKeys).filter(
    (host) => !nodes.some((node) => node.name === host),
  );
  const workers = nodes.filter((node) => node.role === "worker").length;
  const atOnce = Math.min(settings.nodes.workersAtOnce, workers);
  const logins = [supervisor, cluster].map((context) => loginTime(context, login(supervisor.server)));
  const notReady = nodes.filter((node) => !node.ready).map((node) => node.name);
  const wanted = { certificates, unreachable };
  return {
    nodes: nodes.map((node, index) => {
      const before = recordOf(last, node);
      const answer = observed?.get(node.name);
      // What a new node says makes no difference: it is installed.
      const nonce =
        answer && before
          ? answer.then((observation) => nonceOf(node.uid, before, observation, wanted))
          : nonceOf(node.uid, before, undefined, wanted);
      return { node, target: targets[index]!, nonce };
    }),
    way,
    cas: registries.map(({ ca }) => ca),
    certificates,
    observed: [...(observed?.values() ?? [])],
    sessions,
    readNode: readClusterNode(cluster),
    jumpbox: { create: jumpbox.create, replaces: replacedPod(jumpbox, last.jumpbox) },
    pullSecrets: places.map(({ namespace: place, adopted, merged }) => ({
      namespace: place,
      adopted,
      dockerConfigJson: merged(ours),
    })),
    gone,
    deployment: deployment.enabled ? { pod, adopted: existing.adopted } : undefined,
    facts: [
      ...logins.flatMap(({ fact }) => fact ?? []),
      nodesFact(nodes),
      ...registries.flatMap(({ settings: { host }, expires }) =>
        expires ? [`${host}: the robot account expires at ${expires.toISOString()}`] : [],
      ),
      ...(digest === undefined ? [] : [`${deployment.image} is ${digest}`]),
    ],
    warnings: [
      ...logins.flatMap(({ warning }) => warning ?? []),
      ...(unidentified === undefined ? [] : [unidentified]),
      ...(parallel !== undefined && atOnce > parallel
        ? [
            `nodes.workersAtOnce allows ${atOnce} workers at once; Pulumi's --parallel caps them at ${parallel}`,
          ]
        : []),
      ...registries.flatMap(({ warnings }) => warnings),
      ...(unknownHosts.length > 0
        ? [`nodes.hostKeys names no node of the cluster: ${unknownHosts.join(", ")}`]
        : []),
      ...(settings.nodes.inspect && !observed && last.nodes.size > 0
        ? ["the nodes were not asked what they trust: the jumpbox pod is not running yet"]
        : []),
      ...(notReady.length > 0 ? [`not Ready at the moment: ${notReady.join(", ")}`] : []),
    ],
  };
}
