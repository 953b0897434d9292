/** Labels that identify the stack's objects, also after a run that was interrupted before it wrote the state. */
import { createHash } from "node:crypto";
import type { FoundObject } from "../kubernetes/checks";
import { UserError } from "../support/errors";
import { planProblem } from "./problems";

/** Values of labels are at most 63 characters of `[A-Za-z0-9_.-]` and begin and end with a letter or digit. */
const labelValue = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;

const managedByLabel = "app.kubernetes.io/managed-by";
const managedBy = "tkc-registry";
const stackLabel = "tkc-registry/stack";
/** On objects that existed before the stack and were taken over with `adopt: true`. */
const adoptedAnnotation = "tkc-registry/adopted";

/** The identity of a stack, short enough for a label and safe in file names on nodes. */
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
 * @param adopted whether the object was there before the stack.
 */
export function ownerMetadata(
  owner: string,
  adopted = false,
): { labels: Record<string, string>; annotations: Record<string, string> } {
  return {
    labels: { [managedByLabel]: managedBy, [stackLabel]: owner },
    annotations: {
      "pulumi.com/patchFieldManager": managedBy,
      "pulumi.com/patchForce": "true",
      ...(adopted ? { [adoptedAnnotation]: "true" } : {}),
    },
  };
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
  | { readonly kind: "foreign"; readonly stack?: string };

export function ownership(found: FoundObject | undefined, owner: string): Ownership {
  if (!found) return { kind: "absent" };
  const stack = found.labels[managedByLabel] === managedBy ? found.labels[stackLabel] : undefined;
  const adopted = found.annotations[adoptedAnnotation] === "true";
  if (stack === undefined || (stack !== owner && adopted)) return { kind: "foreign" };
  if (stack !== owner) return { kind: "foreign", stack };
  return { kind: adopted ? "adopted" : "ours" };
}

/** An object that waits for a finalizer: nothing that is done to it lasts. */
export function beingDeleted(what: string): UserError {
  return planProblem.error("object-being-deleted", { subject: what, seen: "it is being deleted" });
}

/** Refuses what isn't the stack's own, unless it is to be adopted. */
export function resolveOwnership(
  what: string,
  found: FoundObject | undefined,
  { owner, adopt, otherName }: { owner: string; adopt: boolean; otherName: string },
): Ownership["kind"] {
  const is = ownership(found, owner);
  if (is.kind !== "foreign") return is.kind;
  if (adopt && is.stack === undefined) return "adopted";
  throw new UserError(
    is.stack === undefined
      ? planProblem(
          "object-exists",
          { subject: what, seen: "it is there already, and this stack did not make it" },
          otherName,
        )
      : planProblem(
          "object-of-another-stack",
          { subject: what, seen: `it belongs to the stack ${is.stack}` },
          otherName,
        ),
  );
}
