/**
 * Decides what a run will do, before its first resource. Each check runs once, in parallel with the others.
 * It never changes anything.
 */
import type { CaCertificate } from "../certificates/certificates";
import type {
  DeploymentSettings,
  LateDeploymentSettings,
  PullSecretSettings,
  Settings,
} from "../config/settings";
import { configProblem } from "../config/problems";
import { checkRights } from "../kubernetes/checks";
import { discoverNodes } from "../kubernetes/nodes";
import type { ExcludedNode, NodeSelection } from "../kubernetes/selection";
import { type ControlPlane, controlPlaneOf } from "../nodes/operations/controlPlane";
import { writePin } from "../kubernetes/pins";
import { type NodeReader, nodeReader } from "../nodes/operations/ready";
import type { PinWriter } from "../nodes/operations/operations";
import { type NodeConnection, type UnreachablePolicy, pinName } from "../nodes/protocol/spec";
import { nodeScript } from "../nodes/script/script";
import { throughPod } from "../nodes/routes/relay";
import { transportFor } from "../nodes/routes/transportFor";
import { readCredentials, secretReader } from "../nodes/ssh/key";
import { SessionPool } from "../nodes/ssh/pool";
import type { TrustedCa } from "../registry/types";
import type { PreviousState } from "../state/previousState";
import { type Problem, UserError, allChecks } from "../support/errors";
import { readCluster } from "../vsphere/cluster";
import { checkIdentity } from "../vsphere/identity";
import { canaryPulls } from "./canary";
import { recordCluster } from "./cluster";
import { loginTime, openContexts } from "./contexts";
import { planDigest } from "./digest";
import { excludedFacts, leavingWarnings, selectionsOf } from "./excluded";
import { type DeploymentPlan, planDeployment, podTemplate, resolveDeployment, tryPod } from "./deployment";
import { replacedPod, resolveJumpbox } from "./jumpbox";
import { type Installation } from "./nodeCommand";
import { type MissingObject, missingObjects, wantedObjects } from "./missing";
import {
  checkPasswords,
  cloneWarnings,
  goneFacts,
  goneNodes,
  inspect,
  nodeTargets,
  nodeWarnings,
  nodesFact,
  parallelWarnings,
  planNodes,
} from "./nodes";
import type { NodeChange } from "./reasons";
import { waveFindings } from "./waves";
import { type PullSecretPlace, resolvePullSecrets } from "./pullSecrets";
import { RegistryReach, wantedRegistries } from "./reach";
import {
  certificatesBySha256,
  dockerConfigOf,
  imageOf,
  prepareRegistries,
  registryFacts,
  trustedCertificates,
  tryPull,
} from "./registries";
import { type Rollout, planRollout } from "./rollout";
import { checkAllRights, deploymentRights, pullSecretRights, withoutRepetition } from "./rights";
import { accessOf, nodeConnection, openBastion, sshKeySource } from "./route";

/** A Secret of a pull secret. */
export interface PlannedSecret {
  readonly namespace: string;
  readonly dockerConfigJson: string;
  /** Whether it was there before the stack. */
  readonly adopted: boolean;
}

/** A part that is planned by itself. */
export interface Planned<Part> {
  readonly plan: Part;
  readonly missing: readonly MissingObject[];
}

/** What the parts consist of. */
export interface Plan extends Rollout {
  /** Nodes that the stack has, and that the cluster has no longer or the settings leave out. */
  readonly gone: readonly NodeChange[];
  /** The cluster's nodes that the settings leave out. */
  readonly excluded: readonly ExcludedNode[];
  /** Which nodes the stack's runs have meant, this one's last; undefined where this one means all. */
  readonly selections: readonly NodeSelection[] | undefined;
  /** What is the same for all nodes. */
  readonly installation: Installation;
  /** SHA-256 of all that the run plans, but for the parts that are planned by themselves. */
  readonly digest: string;
  /** How to connect to the nodes. */
  readonly connection: NodeConnection;
  /** The owner under which a release that made no ids recorded what the stack has on nodes. */
  readonly former: string | undefined;
  readonly cas: readonly TrustedCa[];
  /** The certificates that nodes are to trust, by SHA-256. */
  readonly certificatesBySha256: ReadonlyMap<string, CaCertificate>;
  /** Why nodes that are inspected did not answer. */
  readonly silent: readonly Problem[];
  /** Whether the nodes reach the registries. Those that are inspected have been asked. */
  readonly reach: RegistryReach;
  /** The sessions on nodes; inspection has opened some of them. */
  readonly sessions: SessionPool;
  /** Reads a Node of the workload cluster. */
  readonly readNode: NodeReader;
  /** Notes a host key on a Node of the workload cluster. */
  readonly notePin: PinWriter;
  /** The control plane's nodes, and the turns in which they are restarted. */
  readonly controlPlane: ControlPlane;
  /** Whether the jumpbox pod is the stack's own, and the UID of the one that it is made in place of. */
  readonly jumpbox: { readonly create: boolean; readonly replaces: string | undefined };
  /** The Secrets of each pull secret. */
  readonly pullSecrets: ReadonlyMap<PullSecretSettings, readonly PlannedSecret[]>;
  readonly deployments: ReadonlyMap<DeploymentSettings, DeploymentPlan>;
  /** Plans a pull secret whose settings became known later than the plan. */
  readonly planPullSecret: (settings: PullSecretSettings) => Promise<Planned<readonly PlannedSecret[]>>;
  /** Plans a Deployment whose settings became known later than the plan. */
  readonly planDeployment: (settings: LateDeploymentSettings) => Promise<Planned<DeploymentPlan>>;
  /** Objects that the state records and the cluster lacks. */
  readonly missing: readonly MissingObject[];
  /** Findings of the checks, for the log. */
  readonly facts: readonly string[];
  /** Warnings that do not stop the run. */
  readonly warnings: readonly string[];
}

/** The run that the checks are for. */
export interface Run {
  /** The stack's readable name. */
  readonly owner: string;
  /**
   * Reads the previous state: after all other checks, or earlier to adopt a pod, to trust a CA on first use, or to know
   * whose an object with our labels is.
   */
  readonly previousState: () => Promise<PreviousState>;
  /** How many resources the engine works on at once, where that is known. */
  readonly parallel?: number | undefined;
  /** Whether unreachable nodes fail the run or are skipped. */
  readonly unreachable: UnreachablePolicy;
}

/** Refuses an object that two components declare: whichever goes first takes it away from the other. */
function refuseTwice({ pullSecrets, deployments }: Settings): void {
  const objects = [
    ...pullSecrets.flatMap(({ namespaces, name, subject }) =>
      namespaces.map((namespace) => ({ subject, object: `Secret ${namespace}/${name}` })),
    ),
    ...deployments.map(({ namespace, name, subject }) => ({
      subject,
      object: `Deployment ${namespace}/${name}`,
    })),
  ];
  const [first, ...rest] = objects
    .filter(({ object }, at) => objects.findIndex((each) => each.object === object) < at)
    .map(({ subject, object }) =>
      configProblem(
        "bad-setting",
        { subject: subject("name"), seen: `another component declares ${object} too` },
        "Give each a name, or namespaces, of its own",
      ),
    );
  if (first) throw new UserError(first, ...rest);
}

/** What a function gives for each of a list. */
async function each<Key, Value>(
  keys: readonly Key[],
  ask: (key: Key) => Promise<Value>,
): Promise<ReadonlyMap<Key, Value>> {
  return new Map(await allChecks(keys.map(async (key) => [key, await ask(key)] as const)));
}

/**
 * Runs all checks before anything changes, and returns what the parts consist of.
 *
 * @throws UserError with every problem that was found.
 */
export async function makePlan(wanted: Settings, run: Run): Promise<Plan> {
  const { trust, pullSecrets, deployments } = wanted;
  refuseTwice(wanted);
  const { owner, parallel, unreachable } = run;
  const { namespace, cluster: name } = trust;
  let asked: Promise<PreviousState> | undefined;
  const previousState = (): Promise<PreviousState> => (asked ??= run.previousState());

  const contexts = openContexts(trust);
  const askDeployment = async (
    settings: DeploymentSettings,
  ): Promise<Omit<Parameters<typeof planDeployment>[1], "image">> => {
    const context = await contexts.cluster;
    const [found, untried] = await allChecks([
      resolveDeployment(context, settings, previousState),
      tryPod(context, settings, trust.nodes),
    ]);
    return { found, untried };
  };
  const askPullSecret = async (settings: PullSecretSettings): Promise<readonly PullSecretPlace[]> =>
    resolvePullSecrets(await contexts.cluster, settings, previousState);

  const rights = checkAllRights(contexts, wanted);
  const [
    lacking,
    supervisor,
    cluster,
    unidentified,
    seen,
    { nodes, excluded },
    credentials,
    registries,
    jumpbox,
    bastion,
    places,
    found,
  ] = await allChecks([
    rights,
    contexts.supervisor,
    contexts.cluster,
    contexts.supervisor.then(async (context) =>
      checkIdentity(
        context,
        await contexts.cluster,
        { namespace, name },
        { subject: trust.subject("clusterContext"), login: contexts.login(context.server) },
      ),
    ),
    contexts.supervisor.then(async (context) =>
      readCluster(context, await contexts.cluster, { namespace, name }),
    ),
    contexts.cluster.then((context) => discoverNodes(context, trust.nodes, { known: true })),
    contexts.supervisor.then((context) =>
      readCredentials(
        sshKeySource(trust),
        secretReader(() => Promise.resolve(context)),
      ),
    ),
    prepareRegistries(trust, deployments, previousState),
    contexts.supervisor.then((context) => resolveJumpbox(context, trust, previousState)),
    openBastion(trust),
    each(pullSecrets, askPullSecret),
    each(deployments, askDeployment),
  ]).catch(async (error: unknown) => {
    throw await withoutRepetition(error, rights, wanted);
  });

  const planned = await each(deployments, (settings) =>
    Promise.resolve(
      planDeployment(
        settings,
        {
          ...found.get(settings)!,
          image: registries.flatMap(({ images }) => images.get(settings) ?? [])[0],
        },
        nodes,
        trust.nodes,
      ),
    ),
  );
  const installation = {
    ...{ certificates: trustedCertificates(registries, trust), trustMode: trust.trust, owner },
    removal: { unreachable: trust.unreachableNodes, restart: trust.restartOnRemoval },
    ...{ scriptSha256: nodeScript().sha256, readyTimeoutSeconds: trust.nodes.readyTimeoutSeconds },
  };
  const dockerConfig = dockerConfigOf(registries);
  const secretsOf = (of: readonly PullSecretPlace[]): readonly PlannedSecret[] =>
    of.map(({ namespace: place, adopted, merged }) => ({
      ...{ namespace: place, adopted },
      dockerConfigJson: merged(dockerConfig),
    }));
  // After what needs no state, since the engine records this read: a run that these checks refuse leaves it unchanged.
  const previous = await previousState();
  const { identity } = previous;
  const missingOf = (objects: ReturnType<typeof wantedObjects>): readonly MissingObject[] =>
    missingObjects(previous, nodes, objects, `${namespace}/${name}`);

  const access = accessOf(trust, jumpbox.container);
  const connection = nodeConnection(
    trust,
    access,
    await recordCluster(previous, seen, { supervisor, cluster }),
  );
  const sessions = new SessionPool({
    transport: bastion ?? transportFor(access, throughPod(supervisor)),
    credentials,
  });
  const targets = nodeTargets(
    nodes,
    trust,
    connection,
    pinName({ owner: identity?.former ?? owner, id: identity?.id }),
  );
  checkPasswords(targets, previous, credentials);
  const reachable = access.kind !== "jumpbox" || jumpbox.running;
  const observed =
    trust.nodes.inspect && reachable ? inspect(targets, previous, { owner, identity, sessions }) : undefined;

  const logins = [supervisor, cluster].map((context) =>
    loginTime(context, contexts.login(supervisor.server)),
  );
  const gone = goneNodes(nodes, excluded, previous, installation.removal);
  const askedNodes = planNodes(targets, nodes, previous, observed, { installation, unreachable, identity });
  const reach = new RegistryReach(askedNodes, wantedRegistries(registries, trust), observed, {
    inSession: sessions.use,
    stack: { owner, id: identity?.id },
  });
  const unreached = observed ? await reach.all() : [];
  const pulls = canaryPulls(trust, planned, pullSecrets, registries);
  const inWaves = waveFindings(nodes, trust);
  const plan = {
    ...(await planRollout(trust, askedNodes, previous.canary, installation, pulls, cluster)),
    ...{ reach, gone, installation, excluded },
    selections: selectionsOf(trust.nodes, identity),
    connection,
    former: identity?.former,
    cas: registries.map(({ ca }) => ca),
    certificatesBySha256: certificatesBySha256(registries),
    silent: (observed ? await Promise.all(observed.values()) : []).flatMap((seen) =>
      seen.kind === "silent" ? seen.problem : [],
    ),
    sessions,
    readNode: nodeReader(() => Promise.resolve(cluster)),
    notePin: (target, stack, hostKey) => writePin(cluster, target, stack, hostKey),
    controlPlane: controlPlaneOf(() => Promise.resolve(cluster)),
    jumpbox: { create: jumpbox.create, replaces: replacedPod(jumpbox, previous.jumpbox) },
    pullSecrets: new Map([...places].map(([settings, of]) => [settings, secretsOf(of)] as const)),
    deployments: planned,
    missing: missingOf(wantedObjects(places, planned)),
    planPullSecret: async (settings) => {
      const [of] = await allChecks([
        askPullSecret(settings),
        checkRights(cluster, pullSecretRights(settings)),
      ]);
      return { plan: secretsOf(of), missing: missingOf(wantedObjects(new Map([[settings, of]]), new Map())) };
    },
    planDeployment: async (late) => {
      const { image } = late;
      const missing = (of: { readonly exists: boolean }): readonly MissingObject[] =>
        missingOf(wantedObjects(new Map(), new Map([[late, of]])));
      const rights = checkRights(cluster, deploymentRights(late));
      if (image === undefined) {
        const [of] = await allChecks([resolveDeployment(cluster, late, previousState), rights]);
        const warnings = [`${late.subject("image")}: it is not known yet, and so not looked for`];
        const pod = podTemplate(late, "", trust.nodes);
        return { plan: { ...of, pod, facts: [], warnings }, missing: missing(of) };
      }
      const settings: DeploymentSettings = { ...late, image };
      const registry = registries.find(({ settings: { host } }) => host === imageOf(settings).host)!;
      const [of, found] = await allChecks([askDeployment(settings), tryPull(registry, settings), rights]);
      const plan = planDeployment(settings, { ...of, image: found }, nodes, trust.nodes);
      return { plan, missing: missing(plan) };
    },
    facts: [
      ...logins.flatMap(({ fact }) => fact ?? []),
      nodesFact(nodes),
      ...excludedFacts(excluded),
      ...inWaves.facts,
      ...goneFacts(gone),
      ...registryFacts(registries),
      ...[...planned.values()].flatMap(({ facts }) => facts),
    ],
    warnings: [
      ...logins.flatMap(({ warning }) => warning ?? []),
      ...(unidentified === undefined ? [] : [unidentified]),
      ...seen.warnings,
      ...lacking,
      ...parallelWarnings(nodes, trust, parallel),
      ...registries.flatMap(({ warnings }) => warnings),
      ...cloneWarnings(nodes),
      ...[...planned.values()].flatMap(({ warnings }) => warnings),
      ...nodeWarnings(nodes, trust, previous, { asked: observed !== undefined, excluded }),
      ...leavingWarnings(excluded, previous),
      ...inWaves.warnings,
      ...unreached,
    ],
  } satisfies Omit<Plan, "digest">;
  return { ...plan, digest: planDigest(plan, trust) };
}
