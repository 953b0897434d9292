/** PodSecurityPolicy, which clusters up to Kubernetes 1.24 have in place of Pod Security's namespaces. */
import * as z from "zod";
import { UserError } from "../support/errors";
import type { FoundObject } from "./checks";
import type { KubeContext } from "./client";
import { kubernetesProblem } from "./problems";

/** The admission plugin writes here which policy let a pod in. */
const policyAnnotation = "kubernetes.io/psp";

const listSchema = z.object({ items: z.array(z.object({ metadata: z.object({ name: z.string() }) })) });

/**
 * Checks that pods of a ReplicaSet would be let in. A dry run asks with the operator's policies, and the ReplicaSet's pods
 * are judged by those of their ServiceAccount.
 *
 * @param admitted - The pod that the API server would make in a dry run.
 * @returns A warning where the user may not ask.
 * @throws UserError `pod-security-policy`
 */
export async function checkPodSecurityPolicy(
  cluster: KubeContext,
  namespace: string,
  admitted: FoundObject,
  subject: string,
): Promise<string | undefined> {
  if (admitted.annotations[policyAnnotation] === undefined) return undefined;
  const account = `system:serviceaccount:${namespace}:default`;
  const groups = ["system:serviceaccounts", `system:serviceaccounts:${namespace}`, "system:authenticated"];
  const kind = { group: "policy", version: "v1beta1", plural: "podsecuritypolicies" };
  try {
    const listed: unknown = await cluster.request(
      { verb: "list", resource: "podsecuritypolicies.policy" },
      () => cluster.custom.listClusterCustomObject(kind),
    );
    for (const { metadata } of listSchema.parse(listed).items) {
      const resourceAttributes = {
        verb: "use",
        group: kind.group,
        resource: kind.plural,
        name: metadata.name,
        namespace,
      };
      const body = { spec: { user: account, groups, resourceAttributes } };
      const action = { verb: "create", resource: "subjectaccessreviews" };
      const review = await cluster.request(action, () =>
        // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment -- the client's models are shapes
        cluster.authorization.createSubjectAccessReview({ body }),
      );
      if (review.status?.allowed === true) return undefined;
    }
  } catch (error) {
    if (!(error instanceof UserError) || error.problems[0]?.code !== "no-rights") throw error;
    return `${subject}: not checked that the ServiceAccount default of namespace ${namespace} may use a PodSecurityPolicy: the user may not ask`;
  }
  const seen = `the ServiceAccount default of namespace ${namespace} may use no PodSecurityPolicy: the Deployment would have no pods`;
  throw kubernetesProblem.error("pod-security-policy", { subject, seen }, namespace);
}
