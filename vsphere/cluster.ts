/** Whether a workload cluster still exists, which its Supervisor knows. */
import type { KubeContext } from "../kubernetes/client";
import type { ClusterName } from "../nodes/protocol/spec";

/** The kinds of a workload cluster: a Supervisor has either or both, by its release. */
const clusterKinds = [
  { group: "run.tanzu.vmware.com", plural: "tanzukubernetesclusters" },
  { group: "cluster.x-k8s.io", plural: "clusters" },
];
type Kind = (typeof clusterKinds)[number];

/**
 * Whether the Supervisor, asked with a login that it accepts, says that there is no such cluster.
 *
 * @throws UserError when the Supervisor does not answer or refuses.
 */
export async function isClusterGone(
  supervisor: KubeContext,
  { namespace, name }: Omit<ClusterName, "supervisor">,
): Promise<boolean> {
  let known = false;
  for (const kind of clusterKinds) {
    const version = await servedVersion(supervisor, kind);
    if (version === undefined) continue;
    known = true;
    const { group, plural } = kind;
    const object: unknown = await supervisor.find(
      { verb: "get", resource: `${plural}.${group}`, namespace, name },
      () => supervisor.custom.getNamespacedCustomObject({ ...kind, version, namespace, name }),
    );
    if (object !== undefined) return false;
  }
  return known; // without any of the kinds, the Supervisor cannot say whether the cluster exists
}

/** A version of the kind that the API server has: a 404 is then for the object. */
async function servedVersion(supervisor: KubeContext, { group, plural }: Kind): Promise<string | undefined> {
  const { groups } = await supervisor.request({ verb: "list", resource: "API groups" }, () =>
    supervisor.groups.getAPIVersions(),
  );
  for (const { version } of groups.find((each) => each.name === group)?.versions ?? []) {
    const { resources } = await supervisor.request({ verb: "list", resource: `resources of ${group}` }, () =>
      supervisor.custom.getAPIResources({ group, version }),
    );
    if (resources.some((resource) => resource.name === plural)) return version;
  }
  return undefined;
}
