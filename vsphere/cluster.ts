/**
 * Which workload cluster is asked, and whether the recorded one still exists, which its Supervisor knows.
 * A name proves nothing: a context of the right name may lead to another cluster, or to another Supervisor.
 */
import * as z from "zod";
import type { KubeContext } from "../kubernetes/client";
import { renewLogin } from "../kubernetes/contexts";
import type { KubernetesCode } from "../kubernetes/problems";
import type { ClusterName } from "../nodes/protocol/spec";
import { UserError } from "../support/errors";
import { caFingerprints, permitted } from "./identity";
import { vsphereProblem } from "./problems";

/** The kinds of a workload cluster: a Supervisor has either or both, by its release. */
const clusterKinds = [
  { group: "run.tanzu.vmware.com", plural: "tanzukubernetesclusters" },
  { group: "cluster.x-k8s.io", plural: "clusters" },
] as const;
type Kind = (typeof clusterKinds)[number];

/** The parts of {@link ClusterName} that are asked for, and what proves the answer. */
type Recorded = Omit<ClusterName, "supervisor">;

/** What proves the cluster and its Supervisor. */
export type ClusterProof = Pick<ClusterName, "uids" | "kubeSystem" | "supervisorCa">;

/** What a run has seen of the cluster, for the state. */
export interface SeenCluster extends ClusterProof {
  /** What could not be read, and what that costs. */
  readonly warnings: readonly string[];
}

const objectSchema = z.object({ metadata: z.object({ uid: z.string() }) });

/** The UID of an object; "" of one that has none, which is never a recorded one. */
const uidOf = (object: unknown): string => objectSchema.safeParse(object).data?.metadata.uid ?? "";

/** How a deleted cluster appears: no answer, a load balancer without a backend, or another machine at its address. */
const maybeGone: ReadonlySet<string> = new Set<KubernetesCode>([
  "cluster-unreachable",
  "cluster-failing",
  "cluster-certificate",
]);

/** How the kubeconfig of somebody appears who has logged in since: a login writes no context of a cluster that is gone. */
const noContext: ReadonlySet<string> = new Set<KubernetesCode>(["context-not-found", "context-incomplete"]);

/**
 * Proves that a workload cluster is the recorded one, before anything that it says is believed.
 *
 * @param openCluster - Opens the context that is to be asked.
 * @param openSupervisor - Opens the recorded cluster's Supervisor, which is asked where the cluster proves nothing.
 * @param recorded - From the state. Without `kubeSystem`, which earlier releases did not record, a cluster that answers
 * is taken for the one.
 * @returns `gone` where the recorded Supervisor says that the recorded cluster is gone, or replaced.
 * @throws UserError `other-cluster`, `other-supervisor`, and what asking the two API servers throws.
 */
export async function proveCluster(
  openCluster: () => Promise<KubeContext>,
  openSupervisor: (recorded: ClusterName) => Promise<KubeContext>,
  recorded: ClusterName | undefined,
): Promise<"there" | "gone"> {
  let failure: UserError;
  let clusterContext: string | undefined;
  try {
    const cluster = await openCluster();
    clusterContext = cluster.name;
    const seen = await kubeSystemUid(cluster);
    if (recorded?.kubeSystem === undefined || seen === recorded.kubeSystem) return "there";
    failure = otherCluster(cluster, recorded, seen);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const { code } = error.problems[0]!;
    if (recorded?.kubeSystem === undefined && code === ("no-rights" satisfies KubernetesCode)) return "there";
    const absent = recorded?.supervisorCa !== undefined && noContext.has(code);
    if (!maybeGone.has(code) && !absent) throw error;
    failure = error;
  }
  if (recorded && (await isClusterGone(await openSupervisor(recorded), recorded, clusterContext)))
    return "gone";
  throw failure;
}

function otherCluster(cluster: KubeContext, recorded: ClusterName, seen: string | undefined): UserError {
  const { supervisor: supervisorContext, namespace, name, kubeSystem } = recorded;
  return vsphereProblem.error(
    "other-cluster",
    {
      subject: `context ${cluster.name}`,
      seen:
        `${cluster.server} is not the cluster ${namespace}/${name} that the state knows, which still exists: the UID of ` +
        `its namespace kube-system is ${seen ?? "unknown"}, and the state has ${kubeSystem!}`,
    },
    renewLogin({ namespace, cluster: name }, { supervisorContext, clusterContext: cluster.name }),
  );
}

async function kubeSystemUid(cluster: KubeContext): Promise<string | undefined> {
  const name = "kube-system";
  const found = await cluster.find({ verb: "get", resource: "namespaces", name }, () =>
    cluster.core.readNamespace({ name }),
  );
  return found && uidOf(found);
}

/**
 * Proves by its CA that a Supervisor is the recorded one.
 *
 * @param clusterContext - The workload cluster's context if it is known, for messages.
 * @returns False where nothing is recorded to prove it by.
 * @throws UserError `other-supervisor`
 */
export function proveSupervisor(
  supervisor: KubeContext,
  recorded: Recorded,
  clusterContext?: string,
): boolean {
  const { namespace, name, supervisorCa } = recorded;
  if (supervisorCa === undefined) return false;
  const seen = caFingerprints(supervisor.ca);
  if (seen.some((sha256) => supervisorCa.includes(sha256))) return true;
  throw vsphereProblem.error(
    "other-supervisor",
    {
      subject: `context ${supervisor.name}`,
      seen:
        `${supervisor.server} is not the Supervisor that the state knows: its CA is ` +
        `${seen.join(", ") || "none of the kubeconfig"}, and the state has ${supervisorCa.join(", ")}`,
    },
    renewLogin({ namespace, cluster: name }, { supervisorContext: supervisor.name, clusterContext }),
  );
}

/**
 * Whether the Supervisor, asked with a login that it accepts, says that there is no such cluster, or another one of that
 * name. Another one is only concluded from the recorded UIDs, and from a Supervisor that was proved.
 *
 * @throws UserError `other-supervisor`, and when the Supervisor does not answer or refuses.
 */
async function isClusterGone(
  supervisor: KubeContext,
  recorded: Recorded,
  clusterContext: string | undefined,
): Promise<boolean> {
  const proved = proveSupervisor(supervisor, recorded, clusterContext);
  const { uids = {} } = recorded;
  const anyRecorded = clusterKinds.some(({ plural }) => uids[plural] !== undefined);
  let known = false; // without any of the kinds, the Supervisor cannot say whether the cluster exists
  for (const { kind, version } of await servedKinds(supervisor)) {
    const before = uids[kind.plural];
    if (anyRecorded && before === undefined) continue;
    known = true;
    const now = await clusterUid(supervisor, kind, version, recorded);
    const replaced = proved && before !== undefined && now !== "" && now !== before;
    if (now !== undefined && !replaced) return false;
  }
  return known;
}

/**
 * Reads what proves the cluster and its Supervisor to a later command.
 *
 * @throws UserError when one of them does not answer. What the user may not read is left out, with a warning.
 */
export async function readCluster(
  supervisor: KubeContext,
  cluster: KubeContext,
  named: Recorded,
): Promise<SeenCluster> {
  const supervisorCa = caFingerprints(supervisor.ca);
  const [kubeSystem, uids] = await Promise.all([
    permitted(kubeSystemUid(cluster)),
    visibleUids(supervisor, named),
  ]);
  const hasUids = Object.keys(uids).length > 0;
  const cost = "; `destroy` then goes by the name";
  return {
    ...(hasUids ? { uids } : {}),
    ...(kubeSystem ? { kubeSystem } : {}),
    ...(supervisorCa.length > 0 ? { supervisorCa } : {}),
    warnings: [
      ...(kubeSystem
        ? []
        : [
            `context ${cluster.name}: the user may not get namespaces "kube-system", so that no later run can tell ` +
              `whether this context leads to another cluster${cost} of the context`,
          ]),
      ...(hasUids
        ? []
        : [
            `context ${supervisor.name}: it shows no UID of the cluster ${named.namespace}/${named.name}, so that no ` +
              `later run can tell a cluster that was created anew from this one${cost} of the cluster`,
          ]),
      ...(supervisorCa.length > 0
        ? []
        : [
            `context ${supervisor.name}: the kubeconfig names no CA for it, so that no later run can tell whether it ` +
              `leads to another Supervisor${cost} of the context`,
          ]),
    ],
  };
}

/** The UIDs that the user may see. */
async function visibleUids(supervisor: KubeContext, named: Recorded): Promise<Record<string, string>> {
  const uids: Record<string, string> = {};
  for (const { kind, version } of (await permitted(servedKinds(supervisor))) ?? []) {
    const uid = await permitted(clusterUid(supervisor, kind, version, named));
    if (uid) uids[kind.plural] = uid;
  }
  return uids;
}

/**
 * What the state is to hold of a cluster. What is recorded of it stays where it still holds: two operators' kubeconfigs
 * must not change the state in turn.
 *
 * @param recorded - Of the same cluster, which has been proved.
 */
export function clusterRecord(seen: ClusterProof, recorded: ClusterProof | undefined): ClusterProof {
  const kubeSystem = seen.kubeSystem ?? recorded?.kubeSystem;
  const covered = seen.supervisorCa?.every((sha256) => recorded?.supervisorCa?.includes(sha256)) ?? true;
  const supervisorCa = covered ? recorded?.supervisorCa : seen.supervisorCa;
  const uids = clusterKinds.flatMap(({ plural }) => {
    const uid = seen.uids?.[plural] ?? recorded?.uids?.[plural];
    return uid === undefined ? [] : [[plural, uid] as const];
  });
  return {
    ...(uids.length === 0 ? {} : { uids: Object.fromEntries(uids) }),
    ...(kubeSystem === undefined ? {} : { kubeSystem }),
    ...(supervisorCa === undefined ? {} : { supervisorCa }),
  };
}

async function clusterUid(
  supervisor: KubeContext,
  { group, plural }: Kind,
  version: string,
  { namespace, name }: Recorded,
): Promise<string | undefined> {
  const object: unknown = await supervisor.find(
    { verb: "get", resource: `${plural}.${group}`, namespace, name },
    () => supervisor.custom.getNamespacedCustomObject({ group, plural, version, namespace, name }),
  );
  return object === undefined ? undefined : uidOf(object);
}

/** The kinds that the API server has, each with a version: a 404 is then for the object. */
async function servedKinds(
  supervisor: KubeContext,
): Promise<readonly { readonly kind: Kind; readonly version: string }[]> {
  const { groups } = await supervisor.request({ verb: "list", resource: "API groups" }, () =>
    supervisor.groups.getAPIVersions(),
  );
  const served: { kind: Kind; version: string }[] = [];
  for (const kind of clusterKinds) {
    const { group, plural } = kind;
    for (const { version } of groups.find(({ name }) => name === group)?.versions ?? []) {
      const { resources } = await supervisor.request(
        { verb: "list", resource: `resources of ${group}` },
        () => supervisor.custom.getAPIResources({ group, version }),
      );
      if (!resources.some(({ name }) => name === plural)) continue;
      served.push({ kind, version });
      break;
    }
  }
  return served;
}
