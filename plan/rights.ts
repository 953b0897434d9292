/** The rights that a run needs at the two API servers. */
import type { DeploymentSettings, PullSecretSettings, Settings, TrustSettings } from "../config/settings";
import { type Right, checkRights, listRights, missingRights } from "../kubernetes/checks";
import type { Contexts } from "../kubernetes/contexts";
import { leaseName, leaseNamespace, leaseVerbs } from "../kubernetes/lease";
import { type Problem, UserError, allChecks } from "../support/errors";
import { imageOf } from "./registries";

/** The provider's verbs for an object. It also watches the object until it is ready or deleted. */
const change = ["get", "list", "watch", "create", "patch", "delete"];

function supervisorRights({ namespace, cluster, access, nodes }: TrustSettings): Right[] {
  const key: Right[] =
    nodes.sshKeyFile === undefined
      ? [{ verb: "get", resource: "secrets", namespace, name: `${cluster}-ssh` }]
      : [];
  if (access !== "jumpbox") return key;
  const pods = change.map((verb) => ({ verb, resource: "pods", namespace }));
  return [...key, ...pods, { verb: "create", resource: "pods", subresource: "exec", namespace }];
}

const nodeRights: readonly Right[] = ["get", "list"].map((verb) => ({ verb, resource: "nodes" }));

export function pullSecretRights({ namespaces, defaultServiceAccount }: PullSecretSettings): Right[] {
  return namespaces.flatMap((namespace) => {
    const accounts = { resource: "serviceaccounts", namespace, name: "default" };
    return [
      ...change.map((verb) => ({ verb, resource: "secrets", namespace })),
      ...(defaultServiceAccount ? ["get", "patch"].map((verb) => ({ verb, ...accounts })) : []),
    ];
  });
}

export function deploymentRights({ namespace }: Pick<DeploymentSettings, "namespace">): Right[] {
  return [
    ...change.map((verb) => ({ verb, group: "apps", resource: "deployments", namespace })),
    { verb: "create", resource: "pods", namespace },
    // The provider watches the rollout by these.
    ...["list", "watch"].flatMap((verb) => [
      { verb, resource: "pods", namespace },
      { verb, group: "apps", resource: "replicasets", namespace },
    ]),
  ];
}

const leases = { group: "coordination.k8s.io", resource: "leases" };

/** Rights that a run can do without, each with what it costs to lack them. */
const optionalRights: readonly { readonly rights: readonly Right[]; readonly cost: string }[] = [
  {
    rights: [{ verb: "patch", resource: "nodes" }],
    cost:
      "the host key of a first contact is remembered by the state alone. A run that fails or is killed forgets it, and " +
      "the sweep at the end of `destroy` accepts any host key that `nodes.hostKeys` does not give",
  },
  {
    rights: leaseVerbs.map((verb) => ({
      ...{ ...leases, verb, namespace: leaseNamespace },
      ...(verb === "create" ? {} : { name: leaseName }),
    })),
    cost: "two runs at the same time may restart two control-plane nodes at once",
  },
  {
    rights: [{ ...leases, verb: "get", namespace: "kube-node-lease" }],
    cost: "after each restart of containerd a node is waited for up to 45 s longer",
  },
];

/**
 * Asks both API servers for all rights that the run needs.
 *
 * @returns Warnings about rights that the run can do without.
 * @throws UserError with every right that is missing.
 */
export async function checkAllRights(
  { supervisor, cluster }: Contexts,
  { trust, pullSecrets, deployments }: Settings,
): Promise<readonly string[]> {
  const wanted = [
    ...nodeRights,
    ...pullSecrets.flatMap(pullSecretRights),
    ...deployments.flatMap(deploymentRights),
  ];
  const [, , ...warnings] = await allChecks([
    supervisor.then((context) => checkRights(context, supervisorRights(trust))),
    cluster.then((context) => checkRights(context, wanted)),
    ...optionalRights.map(async ({ rights, cost }) => {
      const context = await cluster;
      const missing = await missingRights(context, rights);
      return missing.length === 0
        ? []
        : [`context ${context.name}: the user may not ${listRights(missing)}: ${cost}`];
    }),
  ]);
  return warnings.flat();
}

/**
 * Drops errors that only follow from others: about missing rights that the list of missing rights already has, and about
 * an image that is named after a namespace which the Supervisor refuses.
 *
 * @param rights - The check that makes that list.
 */
export async function withoutRepetition(
  error: unknown,
  rights: Promise<unknown>,
  { trust, deployments }: Settings,
): Promise<unknown> {
  const listed = await rights.then(
    (): readonly Problem[] => [],
    (reason: unknown) => (reason instanceof UserError ? reason.problems : []),
  );
  if (!(error instanceof UserError)) return error;
  const refused = ({ code, subject }: Problem): boolean =>
    (code === "namespace-not-found" && subject === trust.subject("namespace")) ||
    (code === "no-rights" && subject === `context ${trust.supervisorContext}`);
  const following = new Set(
    error.problems.some((problem) => refused(problem) && !listed.includes(problem))
      ? deployments
          .filter((each) => imageOf(each).repository.startsWith(`${trust.namespace}/`))
          .map(({ subject }) => subject("image"))
      : [],
  );
  const [first, ...rest] = error.problems.filter(
    (problem) =>
      !following.has(problem.subject) &&
      (problem.code !== "no-rights" ||
        listed.includes(problem) ||
        !listed.some(({ code, subject }) => code === "no-rights" && subject === problem.subject)),
  );
  return first ? new UserError(first, ...rest) : error;
}
