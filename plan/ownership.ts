/** Labels that identify the stack's objects, also after a run that was interrupted before it wrote the state. */
import { createHash } from "node:crypto";
import type { FoundObject } from "../kubernetes/checks";
import { type StackIdentity, describeStack } from "../nodes/protocol/spec";
import type { PreviousState } from "../state/previousState";
import { UserError } from "../support/errors";
import { idLabel, labelValue } from "../support/names";
import { planProblem } from "./problems";

const managedByLabel = "app.kubernetes.io/managed-by";
const managedBy = "tkc-registry";
/** Selects the objects of all stacks. */
export const ourSelector = `${managedByLabel}=${managedBy}`;
const stackLabel = "tkc-registry/stack";
/** On objects that existed before the stack and were taken over with `adopt: true`. */
export const adoptedAnnotation = "tkc-registry/adopted";

/** The readable name of a stack, short enough for a label and safe in file names on nodes. */
export function stackOwner(project: string, stack: string): string {
  const plain = `${project}.${stack}`;
  if (labelValue.test(plain)) return plain;
  const digest = createHash("sha256").update(plain).digest("hex").slice(0, 16);
  return `${
    plain
      .replace(/[^A-Za-z0-9]+/g, "-")
      .replace(/^-+/, "")
      .slice(0, 40)
      .replace(/-+$/, "") || "stack"
  }-${digest}`;
}

/**
 * The labels and annotations of the stack's objects. All runs use one field manager, by force: the provider would make up
 * a new one at each creation, and an interrupted run would leave fields to a manager that no later run uses.
 *
 * @param stack.id - Where the id comes from a resource, it is known when that is.
 * @param adopted - Whether the object was there before the stack.
 */
export function ownerMetadata<Id = string>(
  { owner, id }: { readonly owner: string; readonly id?: Id | undefined },
  adopted = false,
): { labels: Record<string, string | Id>; annotations: Record<string, string> } {
  return {
    labels: {
      [managedByLabel]: managedBy,
      [stackLabel]: owner,
      ...(id === undefined ? {} : { [idLabel]: id }),
    },
    annotations: {
      "pulumi.com/patchFieldManager": managedBy,
      "pulumi.com/patchForce": "true",
      ...(adopted ? { [adoptedAnnotation]: "true" } : {}),
    },
  };
}

/** What tells this stack's objects from others'. */
export interface Claim {
  /** Of each set of nodes: a stack that takes up another cluster has two for one run. */
  readonly ids: ReadonlySet<string>;
  /** The owners under which a release that made no ids labelled what the stack has. */
  readonly formers: ReadonlySet<string>;
  /** The UIDs of the objects that the state has. */
  readonly uids: ReadonlySet<string>;
}

/** What the previous state says of the stack's identity. */
export function claimOf({ identities, objects, jumpbox }: PreviousState): Claim {
  const sets = [...identities.values()];
  return {
    ids: new Set(sets.flatMap(({ id }) => id ?? [])),
    formers: new Set(sets.flatMap(({ former }) => former ?? [])),
    uids: new Set([...objects, ...(jumpbox ? [jumpbox] : [])].map(({ uid }) => uid)),
  };
}

/** The stack by whose labels an object is known; undefined for one that is not ours by its labels. */
export function labelledStack({ labels }: Pick<FoundObject, "labels">): StackIdentity | undefined {
  const owner = labels[managedByLabel] === managedBy ? labels[stackLabel] : undefined;
  return owner === undefined ? undefined : { owner, id: labels[idLabel] };
}

/** Whether an object with these labels is this stack's. Releases that made no ids left none on it. */
export function isOurs(uid: string, { owner, id }: StackIdentity, { ids, formers, uids }: Claim): boolean {
  return id === undefined ? uids.has(uid) || formers.has(owner) : ids.has(id);
}

/**
 * Whose an object is:
 * - `absent`: nobody's yet, the stack creates it;
 * - `ours`: this stack made it, perhaps in a run that was cut off;
 * - `adopted`: somebody made it and this stack took it over in an earlier run;
 * - `foreign`: somebody else made it, or another stack did (`stack`). What another stack had only adopted is
 *   somebody's again.
 */
export type Ownership =
  | { readonly kind: "absent" }
  | { readonly kind: "ours" }
  | { readonly kind: "adopted" }
  | { readonly kind: "foreign"; readonly stack?: StackIdentity };

/** @param claim - Asked for where the object has our labels: it takes the state. */
export async function ownership(
  found: FoundObject | undefined,
  claim: () => Promise<Claim>,
): Promise<Ownership> {
  if (!found) return { kind: "absent" };
  const stack = labelledStack(found);
  if (!stack) return { kind: "foreign" };
  const adopted = found.annotations[adoptedAnnotation] === "true";
  if (isOurs(found.uid, stack, await claim())) return { kind: adopted ? "adopted" : "ours" };
  return adopted ? { kind: "foreign" } : { kind: "foreign", stack };
}

/** An object that waits for a finalizer: nothing that is done to it lasts. */
export function beingDeleted(what: string): UserError {
  return planProblem.error("object-being-deleted", { subject: what, seen: "it is being deleted" });
}

/** Refuses what isn't the stack's own, unless it is to be adopted. */
export async function resolveOwnership(
  what: {
    readonly kind: string;
    readonly namespace: string;
    readonly name: string;
    readonly context: string;
  },
  found: FoundObject | undefined,
  { claim, adopt, otherName }: { claim: () => Promise<Claim>; adopt: boolean; otherName: string },
): Promise<Ownership["kind"]> {
  const is = await ownership(found, claim);
  if (is.kind !== "foreign") return is.kind;
  if (adopt && is.stack === undefined) return "adopted";
  const subject = `${what.kind} ${what.namespace}/${what.name}`;
  throw new UserError(
    is.stack === undefined
      ? planProblem(
          "object-exists",
          { subject, seen: "it is there already, and this stack did not make it" },
          otherName,
        )
      : planProblem(
          "object-of-another-stack",
          { subject, seen: `it belongs to ${describeStack(is.stack)}` },
          otherName,
          `kubectl --context ${what.context} -n ${what.namespace} label ${what.kind} ${what.name} ${stackLabel}- ${idLabel}-`,
        ),
  );
}
