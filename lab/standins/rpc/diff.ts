import { isArray, isObject, isSecret, type Value } from "./values";

export type Step = string | number;

/** One place at which two sets of properties differ. */
export interface Difference {
  readonly path: readonly Step[];
  readonly kind: "add" | "delete" | "update";
}

const open = (value: Value | undefined): Value | undefined => (isSecret(value) ? open(value.value) : value);

/** Compares two values, blind to what is marked as secret, and lists the innermost places where they differ. */
export function differences(
  before: Value | undefined,
  after: Value | undefined,
  path: readonly Step[] = [],
): Difference[] {
  const [old, next] = [open(before), open(after)];
  if (old === undefined) return next === undefined ? [] : [{ path, kind: "add" }];
  if (next === undefined) return [{ path, kind: "delete" }];
  if (isArray(old) && isArray(next)) {
    return Array.from({ length: Math.max(old.length, next.length) }, (_, index) =>
      differences(old[index], next[index], [...path, index]),
    ).flat();
  }
  if (isObject(old) && isObject(next)) {
    const keys = [...new Set([...Object.keys(old), ...Object.keys(next)])].sort();
    return keys.flatMap((key) => differences(old[key], next[key], [...path, key]));
  }
  return old === next ? [] : [{ path, kind: "update" }];
}

/** Writes a path as the engine reads it: `spec.containers[0].image`, `metadata.annotations["pulumi.com/skipAwait"]`. */
export function formatPath(path: readonly Step[]): string {
  return path
    .map((step, index) => {
      if (typeof step === "number") return `[${step}]`;
      if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(step)) return index === 0 ? step : `.${step}`;
      return `[${JSON.stringify(step)}]`;
    })
    .join("");
}
