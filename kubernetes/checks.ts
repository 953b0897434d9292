/** Checks against a cluster that change nothing: rights, existing objects, dry runs. */
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

/** Asks the cluster which of these rights its user lacks (SelfSubjectAccessReview), all at once. */
export async function missingRights(
  context: KubeContext,
  needs: readonly Right[],
): Promise<readonly Right[]> {
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
  return needs.filter((_, index) => !answers[index]);
}

/** @throws UserError (`no-rights`) with all that are missing in one list. */
export async function checkRights(context: KubeContext, needs: readonly Right[]): Promise<void> {
  const missing = await missingRights(context, needs);
  if (missing.length === 0) return;
  throw kubernetesProblem.error(
    "no-rights",
    { subject: `context ${context.name}`, seen: `the user may not ${listRights(missing)}` },
    "listed",
  );
}

/** `get, list nodes; create pods/exec in namespace ns1`: the verbs of each object together. */
export function listRights(rights: readonly Right[]): string {
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
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Whether it is being deleted, and waits for a finalizer. */
  readonly deleting?: boolean;
}

/** A Secret that is there. */
export interface FoundSecret extends FoundObject {
  readonly type: string;
  readonly immutable: boolean;
  readonly data: Readonly<Record<string, string>>;
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
): Promise<FoundSecret | undefined> {
  const secret = await context.find({ verb: "get", resource: "secrets", namespace, name }, () =>
    context.core.readNamespacedSecret({ namespace, name }),
  );
  if (!secret) return undefined;
  const data = Object.entries(secret.data ?? {}).map(([key, value]) => [
    key,
    Buffer.from(value, "base64").toString("utf8"),
  ]);
  return {
    ...foundObject(secret),
    type: secret.type ?? "Opaque",
    immutable: secret.immutable === true,
    data: Object.fromEntries(data) as Record<string, string>,
  };
}

/** What tells the owner of an object. */
export function foundObject({ metadata }: { metadata?: V1ObjectMeta }): FoundObject {
  return {
    uid: metadata?.uid ?? "",
    labels: metadata?.labels ?? {},
    annotations: metadata?.annotations ?? {},
    deleting: metadata?.deletionTimestamp !== undefined,
  };
}

/** A pod for a dry run. Its name is generated. */
export interface PodManifest {
  readonly metadata?: {
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  /** A PodSpec. */
  readonly spec: object;
}

/**
 * Asks the API server whether it would admit a pod (server-side dry run). A dry run of a Deployment would not do: it is
 * admitted even if its pods are not.
 *
 * @param options.subject - The settings that make the pod, for messages.
 * @returns What the API server would make of it; `undefined` where an admission webhook takes no dry run, so that it
 * cannot be tried.
 * @throws UserError: `pod-security`, `pod-refused`, `namespace-not-found`, or as for any request.
 */
export async function dryRunPod(
  context: KubeContext,
  namespace: string,
  pod: PodManifest,
  options: { subject?: string } = {},
): Promise<FoundObject | undefined> {
  const { subject = `pod in namespace ${namespace}` } = options;
  const body: V1Pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { ...pod.metadata, generateName: "tkc-registry-dry-run-" },
    spec: pod.spec as V1PodSpec,
  };
  return await context.request({ verb: "create", resource: "pods", namespace }, async () => {
    try {
      return foundObject(await context.core.createNamespacedPod({ namespace, body, dryRun: "All" }));
    } catch (error) {
      if (takesNoDryRun(error)) return undefined;
      const problem = explainPodRefusal(error, namespace, subject);
      throw problem ? new UserError(problem) : error;
    }
  });
}

/**
 * Asks the API server whether it would accept a pull secret (server-side dry run).
 *
 * @throws UserError: `namespace-not-found`, or as for any request.
 */
export async function dryRunSecret(context: KubeContext, namespace: string, subject: string): Promise<void> {
  const body = { metadata: { generateName: "tkc-registry-dry-run-" } };
  await context.request({ verb: "create", resource: "secrets", namespace }, async () => {
    try {
      await context.core.createNamespacedSecret({ namespace, body, dryRun: "All" });
    } catch (error) {
      if (takesNoDryRun(error)) return;
      throw apiRefusal(error)?.status === 404 ? new UserError(namespaceMissing(namespace, subject)) : error;
    }
  });
}

/** The API server's words for a webhook that does not declare `sideEffects: None` (`NewBadRequest`, apiserver 1.33). */
const takesNoDryRun = (error: unknown): boolean => {
  const { status, message } = apiRefusal(error) ?? { status: 0, message: "" };
  return status === 400 && /does not support dry run/.test(message);
};

const namespaceMissing = (namespace: string, subject: string): Problem =>
  kubernetesProblem(
    "namespace-not-found",
    { subject, seen: `the cluster has no namespace ${namespace}` },
    "workload",
    namespace,
  );

function explainPodRefusal(error: unknown, namespace: string, subject: string): Problem | undefined {
  const { status, message } = apiRefusal(error) ?? { status: 0, message: "" };
  // Admission and authorization both answer 403; only authorization names the user.
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
