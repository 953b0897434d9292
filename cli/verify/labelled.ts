/**
 * The objects in the clusters that have our labels, of whichever stack.
 * It never changes any, and never looks into them.
 */
/* eslint-disable @typescript-eslint/no-unsafe-class-instance-assignment -- the client's models are shapes: it takes literals */
import { type FoundObject, foundObject } from "../../kubernetes/checks";
import type { KubeContext } from "../../kubernetes/client";
import type { StackIdentity } from "../../nodes/protocol/spec";
import { labelledStack, ourSelector } from "../../plan/ownership";
import { type Problem, UserError } from "../../support/errors";
import { cliProblem } from "../problems";

/** An object with our labels. */
export interface LabelledObject {
  /** `Secret`, `Deployment`, `Pod`. */
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** Whose it is, by its labels. */
  readonly stack: StackIdentity;
}

/** The objects that were found, and what kept others from being looked for. */
export interface Labelled {
  readonly objects: readonly LabelledObject[];
  readonly problems: readonly Problem[];
}

type Listed = Parameters<typeof foundObject>[0];
type List = (namespace?: string) => Promise<{ items: readonly Listed[] }>;

const labelSelector = ourSelector;

/** Whether an error says that the user may not do it. */
const isForbidden = (error: unknown): boolean =>
  error instanceof UserError && error.problems.every(({ code }) => code === "no-rights");

/** Lists one kind in a whole cluster; where the user may not, in some namespaces. */
async function listKind(
  context: KubeContext,
  kind: string,
  resource: string,
  list: List,
  namespaces: readonly string[],
): Promise<Labelled> {
  const ask = async (namespace?: string): Promise<readonly Listed[]> =>
    (await context.request({ verb: "list", resource, namespace }, () => list(namespace))).items;
  try {
    const items = await ask().catch(async (error: unknown) => {
      if (!isForbidden(error) || namespaces.length === 0) throw error;
      return (await Promise.all(namespaces.map(ask))).flat();
    });
    return { objects: items.flatMap((item) => labelledObject(kind, item) ?? []), problems: [] };
  } catch (error) {
    return notListed(kind, context.name, error);
  }
}

function labelledObject(kind: string, item: Listed): LabelledObject | undefined {
  const found: FoundObject = foundObject(item);
  const stack = labelledStack(found);
  const { namespace = "", name = "" } = item.metadata ?? {};
  return stack && { kind, namespace, name, uid: found.uid, stack };
}

function notListed(kind: string, context: string, error: unknown): Labelled {
  if (!(error instanceof UserError)) throw error;
  const seen = `not looked for: ${error.problems[0]!.subject}: ${error.problems[0]!.seen}`;
  return {
    objects: [],
    problems: [cliProblem("objects-not-listed", { subject: `${kind}s of context ${context}`, seen })],
  };
}

/**
 * Finds the Secrets and Deployments of the workload cluster, and the pods of the Supervisor namespace.
 *
 * @param supervisor - Undefined where the state does not name it.
 * @param namespaces - Of the workload cluster: those that the state knows.
 */
export async function findLabelled(
  cluster: KubeContext,
  supervisor:
    | { readonly open: () => Promise<KubeContext>; readonly name: string; readonly namespace: string }
    | undefined,
  namespaces: readonly string[],
): Promise<Labelled> {
  const { core, apps } = cluster;
  const secrets: List = (namespace) =>
    namespace === undefined
      ? core.listSecretForAllNamespaces({ labelSelector })
      : core.listNamespacedSecret({ namespace, labelSelector });
  const deployments: List = (namespace) =>
    namespace === undefined
      ? apps.listDeploymentForAllNamespaces({ labelSelector })
      : apps.listNamespacedDeployment({ namespace, labelSelector });
  const pods = async (): Promise<Labelled> => {
    if (!supervisor) return { objects: [], problems: [] };
    const { namespace, name } = supervisor;
    try {
      const context = await supervisor.open();
      return await listKind(
        context,
        "Pod",
        "pods",
        () => context.core.listNamespacedPod({ namespace, labelSelector }),
        [],
      );
    } catch (error) {
      return notListed("Pod", name, error);
    }
  };
  const all = await Promise.all([
    listKind(cluster, "Secret", "secrets", secrets, namespaces),
    listKind(cluster, "Deployment", "deployments.apps", deployments, namespaces),
    pods(),
  ]);
  return {
    objects: all.flatMap(({ objects }) => objects),
    problems: all.flatMap(({ problems }) => problems),
  };
}
