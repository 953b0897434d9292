/** What the operator may do and what is there already: questions to the clusters that change nothing. */
/* eslint-disable @typescript-eslint/no-unsafe-class-instance-assignment -- the client's models are shapes: it takes literals */
import type { V1ObjectMeta, V1Pod, V1PodSpec } from "@kubernetes/client-node";
import { type Problem, UserError } from "../support/errors";
import { type KubeContext, apiRefusal, describeObject } from "./client";
import { kubernetesProblem } from "./problems";

/** A right that the stack needs. */
export interface Right {
  readonly verb: string;
  /** API group; the core group where left out. */
  readonly group?: string;
  readonly resource: string;
  readonly subresource?: string;
  readonly namespace?: string;
  readonly name?: string;
}

/**
 * Asks the cluster whether its user has these rights (SelfSubjectAccessReview), all at once.
 *
 * @throws UserError (`no-rights`) with all that are missing in one list.
 */
export async function checkRights(context: KubeContext, needs: readonly Right[]): Promise<void> {
  const answers = await Promise.all(
    needs.map(async ({ verb, group = "", resource, subresource, namespace, name }) => {
      const resourceAttributes = {
        verb,
        group,
        resource,
        ...(subresource === undefined ? {} : { subresource }),
        ...(namespace === undefined ? {} : { namespace }),
        ...(name === undefined ? {} : { name }),
      };
      const review = await context.request({ verb: "create", resource: "selfsubjectaccessreviews" }, () =>
        context.authorization.createSelfSubjectAccessReview({ body: { spec: { resourceAttributes } } }),
      );
      return review.status?.allowed === true;
    }),
  );
  const missing = needs.filter((_, index) => !answers[index]);
  if (missing.length === 0) return;
  throw kubernetesProblem.error(
    "no-rights",
    { subject: `context ${context.name}`, seen: `the user may not ${listRights(missing)}` },
    "listed",
  );
}

/** `get, list nodes; create pods/exec in namespace ns1`: the verbs of each object together. */
function listRights(rights: readonly Right[]): string {
  const verbs = new Map<string, string[]>();
  for (const { verb, group, resource, subresource, namespace, name } of rights) {
    const full = `${resource}${subresource === undefined ? "" : `/${subresource}`}${group ? `.${group}` : ""}`;
    const object = describeObject({ resource: full, namespace, name });
    verbs.set(object, [...(verbs.get(object) ?? []), verb]);
  }
  return [...verbs].map(([object, its]) => `${[...new Set(its)].join(", ")} ${object}`).join("; ");
}

/** An object that is there. */
export interface FoundObject {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/**
 * Reads a Secret.
 *
 * @returns `undefined` where there is none, or no such namespace.
 */
export async function findSecret(
  context: KubeContext,
  namespace: string,
  name: string,
): Promise<(FoundObject & { readonly data: Readonly<Record<string, string>> }) | undefined> {
  const secret = await context.find({ verb: "get", resource: "secrets", namespace, name }, () =>
    context.core.readNamespacedSecret({ namespace, name }),
  );
  if (!secret) return undefined;
  const data = Object.entries(secret.data ?? {}).map(([key, value]) => [
    key,
    Buffer.from(value, "base64").toString("utf8"),
  ]);
  return { ...foundObject(secret), data: Object.fromEntries(data) as Record<string, string> };
}

/** What of an object tells whose it is. */
export function foundObject({ metadata }: { metadata?: V1ObjectMeta }): FoundObject {
  return { labels: metadata?.labels ?? {}, annotations: metadata?.annotations ?? {} };
}

/** A pod to be tried; its name is made up. */
export interface PodManifest {
  readonly metadata?: {
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  /** A PodSpec. */
  readonly spec: object;
}

/**
 * Has the API server decide on a pod without creating it (server-side dry run). A Deployment is no use for this: it is
 * admitted whatever its pods are, and then stays without any.
 *
 * @param options.subject - The settings that make the pod, for messages.
 * @throws UserError: `pod-security`, `pod-refused`, `namespace-not-found`, or as for any request.
 */
export async function dryRunPod(
  context: KubeContext,
  namespace: string,
  pod: PodManifest,
  options: { subject?: string } = {},
): Promise<void> {
  const { subject = `pod in namespace ${namespace}` } = options;
  const body: V1Pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { ...pod.metadata, generateName: "tkc-registry-dry-run-" },
    spec: pod.spec as V1PodSpec,
  };
  await context.request({ verb: "create", resource: "pods", namespace }, async () => {
    try {
      await context.core.createNamespacedPod({ namespace, body, dryRun: "All" });
    } catch (error) {
      const problem = explainPodRefusal(error, namespace, subject);
      throw problem ? new UserError(problem) : error;
    }
  });
}

/**
 * Has the API server decide on a pull secret without creating it.
 *
 * @throws UserError: `namespace-not-found`, or as for any request.
 */
export async function dryRunSecret(context: KubeContext, namespace: string, subject: string): Promise<void> {
  const body = { metadata: { generateName: "tkc-registry-dry-run-" } };
  await context.request({ verb: "create", resource: "secrets", namespace }, async () => {
    try {
      await context.core.createNamespacedSecret({ namespace, body, dryRun: "All" });
    } catch (error) {
      throw apiRefusal(error)?.status === 404 ? new UserError(namespaceMissing(namespace, subject)) : error;
    }
  });
}

const namespaceMissing = (namespace: string, subject: string): Problem =>
  kubernetesProblem(
    "namespace-not-found",
    { subject, seen: `the cluster has no namespace ${namespace}` },
    namespace,
  );

function explainPodRefusal(error: unknown, namespace: string, subject: string): Problem | undefined {
  const { status, message } = apiRefusal(error) ?? { status: 0, message: "" };
  // Admission answers 403 as authorization does; only the latter says who it is that cannot.
  const byAuthorization = /cannot create resource/.test(message);
  if (status === 404) return namespaceMissing(namespace, subject);
  if (status === 403 && message.includes("violates PodSecurity")) {
    return kubernetesProblem(
      "pod-security",
      {
        subject,
        seen: `namespace ${namespace} would refuse the pod: ${message.replace(/^.*?(?=violates PodSecurity)/, "it ")}`,
      },
      namespace,
    );
  }
  if ((status === 403 && !byAuthorization) || status === 400 || status === 422) {
    return kubernetesProblem("pod-refused", {
      subject,
      seen: `namespace ${namespace} would refuse the pod: ${message || String(status)}`,
    });
  }
  return undefined;
}
