/**
 * Decides what a run will do, before its first resource. Each check runs once, in parallel with the others.
 * It never changes anything.
 */
import type { CaCertificate } from "../certificates/certificates";
import type { Settings } from "../config/settings";
import { type ControlPlane, controlPlaneOf } from "../nodes/operations/controlPlane";
import type { Observation } from "../nodes/operations/inspection";
import { writePin } from "../kubernetes/pins";
import { type NodeReader, nodeReader } from "../nodes/operations/ready";
import type { PinWriter } from "../nodes/operations/operations";
import {
  type NodeConnection,
  type TrustedCertificate,
  type UnreachablePolicy,
  pinName,
} from "../nodes/protocol/spec";
import { throughPod } from "../nodes/routes/relay";
import { transportFor } from "../nodes/routes/transportFor";
import { readCredentials, secretReader } from "../nodes/ssh/key";
import { SessionPool } from "../nodes/ssh/pool";
import type { TrustedCa } from "../registry/types";
import type { PreviousState } from "../state/previousState";
import { allChecks } from "../support/errors";
import { readCluster } from "../vsphere/cluster";
import { checkIdentity } from "../vsphere/identity";
import { recordCluster } from "./cluster";
import { clusterSubject, loginTime, openContexts } from "./contexts";
import { checkArchitectures, deployedImage, podTemplate, resolveDeployment, tryPod } from "./deployment";
import { replacedPod, resolveJumpbox } from "./jumpbox";
import { type MissingObject, missingObjects, wantedObjects } from "./missing";
import {
  type NodePlan,
  checkPasswords,
  cloneWarnings,
  findNodes,
  goneFacts,
  inspect,
  nodeTargets,
  nodeWarnings,
  nodesFact,
  parallelWarnings,
  planNodes,
} from "./nodes";
import type { PodTemplate } from "./podTemplate";
import { resolvePullSecrets } from "./pullSecrets";
import {
  certificatesBySha256,
  dockerConfigOf,
  prepareRegistries,
  registryFacts,
  trustedCertificates,
} from "./registries";
import { checkAllRights, withoutRepetition } from "./rights";
import { accessOf, nodeConnection, openBastion, sshKeySource } from "./route";

/** What the stack consists of. */
export interface Plan {
  readonly nodes: readonly NodePlan[];
  /** How to connect to the nodes. */
  readonly connection: NodeConnection;
  /** The owner under which a release that made no ids recorded what the stack has on nodes. */
  readonly former: string | undefined;
  readonly cas: readonly TrustedCa[];
  /** What each node is to trust. */
  readonly certificates: readonly TrustedCertificate[];
  /** The same certificates themselves, by SHA-256. */
  readonly certificatesBySha256: ReadonlyMap<string, CaCertificate>;
  /** The observations of the nodes that are inspected. */
  readonly observed: readonly Promise<Observation>[];
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
  /** The namespaces that get the pull secret; none if no registry needs a login. */
  readonly pullSecrets: readonly {
    readonly namespace: string;
    readonly dockerConfigJson: string;
    readonly adopted: boolean;
  }[];
  /** Undefined where no Deployment is wanted. */
  readonly deployment: { readonly pod: PodTemplate; readonly adopted: boolean } | undefined;
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

/**
 * Runs all checks before anything changes, and returns what the stack consists of.
 *
 * @throws UserError with every problem that was found.
 */
export async function makePlan(settings: Settings, run: Run): Promise<Plan> {
  const { owner, parallel, unreachable } = run;
  const { namespace, cluster: name } = settings;
  let asked: Promise<PreviousState> | undefined;
  const previousState = (): Promise<PreviousState> => (asked ??= run.previousState());

  const contexts = openContexts(settings);
  const rights = checkAllRights(contexts, settings);
  const [
    lacking,
    supervisor,
    cluster,
    unidentified,
    seen,
    nodes,
    credentials,
    registries,
    jumpbox,
    bastion,
    places,
    found,
    untried,
  ] = await allChecks([
    rights,
    contexts.supervisor,
    contexts.cluster,
    contexts.supervisor.then(async (context) =>
      checkIdentity(
        context,
        await contexts.cluster,
        { namespace, name },
        { subject: clusterSubject, login: contexts.login(context.server) },
      ),
    ),
    contexts.supervisor.then(async (context) =>
      readCluster(context, await contexts.cluster, { namespace, name }),
    ),
    contexts.cluster.then(findNodes),
    contexts.supervisor.then((context) =>
      readCredentials(
        sshKeySource(settings),
        secretReader(() => Promise.resolve(context)),
      ),
    ),
    prepareRegistries(settings, previousState),
    contexts.supervisor.then((context) => resolveJumpbox(context, settings, previousState)),
    openBastion(settings),
    contexts.cluster.then((context) => resolvePullSecrets(context, settings, previousState)),
    contexts.cluster.then((context) => resolveDeployment(context, settings, previousState)),
    contexts.cluster.then((context) => tryPod(context, settings)),
  ]).catch(async (error: unknown) => {
    throw await withoutRepetition(error, rights, settings);
  });

  const digest = registries.find((registry) => registry.digest !== undefined)?.digest;
  const platforms = registries.find((registry) => registry.platforms !== undefined)?.platforms;
  const unsuited = checkArchitectures(settings, platforms, nodes);
  const pod = podTemplate(settings, deployedImage(settings, digest));
  const certificates = trustedCertificates(registries);
  const dockerConfig = dockerConfigOf(registries);
  // Last, since the engine records this read: a run that the checks refuse must leave the state unchanged.
  const previous = await previousState();
  const identity = previous.identities.get(name);

  const access = accessOf(settings, jumpbox.container);
  const connection = nodeConnection(
    settings,
    access,
    await recordCluster(previous, seen, { supervisor, cluster }),
  );
  const sessions = new SessionPool({
    transport: bastion ?? transportFor(access, throughPod(supervisor)),
    credentials,
  });
  const targets = nodeTargets(
    nodes,
    settings,
    connection,
    pinName({ owner: identity?.former ?? owner, id: identity?.id }),
  );
  checkPasswords(targets, previous, credentials);
  const reachable = access.kind !== "jumpbox" || jumpbox.running;
  const observed =
    settings.nodes.inspect && reachable
      ? inspect(targets, previous, { owner, identity, sessions })
      : undefined;

  const { deployment } = settings;
  const logins = [supervisor, cluster].map((context) =>
    loginTime(context, contexts.login(supervisor.server)),
  );
  return {
    nodes: planNodes(targets, nodes, previous, observed, { certificates, unreachable, identity }),
    connection,
    former: identity?.former,
    cas: registries.map(({ ca }) => ca),
    certificates,
    certificatesBySha256: certificatesBySha256(registries),
    observed: [...(observed?.values() ?? [])],
    sessions,
    readNode: nodeReader(() => Promise.resolve(cluster)),
    notePin: (target, stack, hostKey) => writePin(cluster, target, stack, hostKey),
    controlPlane: controlPlaneOf(() => Promise.resolve(cluster)),
    jumpbox: { create: jumpbox.create, replaces: replacedPod(jumpbox, previous.jumpbox) },
    pullSecrets: places.map(({ namespace: place, adopted, merged }) => ({
      namespace: place,
      adopted,
      dockerConfigJson: merged(dockerConfig),
    })),
    missing: missingObjects(previous, nodes, wantedObjects(settings, places, found), `${namespace}/${name}`),
    deployment: deployment.enabled ? { pod, adopted: found.adopted } : undefined,
    facts: [
      ...logins.flatMap(({ fact }) => fact ?? []),
      nodesFact(nodes),
      ...goneFacts(nodes, previous),
      ...registryFacts(registries),
      ...(digest === undefined ? [] : [`${deployment.image} is ${digest}`]),
    ],
    warnings: [
      ...logins.flatMap(({ warning }) => warning ?? []),
      ...(unidentified === undefined ? [] : [unidentified]),
      ...seen.warnings,
      ...lacking,
      ...parallelWarnings(nodes, settings, parallel),
      ...registries.flatMap(({ warnings }) => warnings),
      ...cloneWarnings(nodes),
      ...(untried === undefined ? [] : [untried]),
      ...(unsuited === undefined ? [] : [unsuited]),
      ...nodeWarnings(nodes, settings, previous, observed !== undefined),
    ],
  };
}
