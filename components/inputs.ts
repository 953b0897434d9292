/** The values of components' arguments. */
import * as pulumi from "@pulumi/pulumi";
import { settingName } from "../config/names";
import { UserError } from "../support/errors";
import { configProblem } from "../config/problems";

/** What the SDK's outputs have and its types leave out. */
interface OutputInternals<T> {
  /** Those that it is of by itself: what functions of `apply` give may be of more. */
  resources(): ReadonlySet<pulumi.Resource>;
  promise(withUnknowns: boolean): Promise<T>;
}

const internals = <T>(values: T): OutputInternals<pulumi.Unwrap<T>> =>
  pulumi.output(values) as unknown as OutputInternals<pulumi.Unwrap<T>>;

/** The values themselves. In a preview those that come from a resource may be `pulumi.unknown`. */
export const valuesOf = <T>(values: T): Promise<pulumi.Unwrap<T>> => internals(values).promise(true);

/** Where values are unknown: `registries[0].ca.pem`. */
function unknownIn(value: unknown, path: readonly PropertyKey[] = []): string[] {
  if (pulumi.isUnknown(value)) return [settingName(path)];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, part]) =>
    unknownIn(part, [...path, Array.isArray(value) ? Number(key) : key]),
  );
}

/** Whether values are known, and no resource's, once that can be told. A failure is told by who needs them. */
export async function areKnown(values: unknown): Promise<boolean> {
  if (internals(values).resources().size > 0) return false;
  return valuesOf(values).then(
    (found) => unknownIn(found).length === 0,
    () => true,
  );
}

/**
 * The values of arguments that a plan needs.
 *
 * @param component - Names the component in messages.
 * @throws UserError `unknown-at-preview`
 */
export async function knownValues<T>(component: string, values: T): Promise<pulumi.Unwrap<T>> {
  const found = await valuesOf(values);
  const [first, ...rest] = unknownIn(found).map((name) =>
    configProblem("unknown-at-preview", {
      subject: `${component}: ${name}`,
      seen: "a resource gives it that is not made yet, so that nothing can be planned",
    }),
  );
  if (first) throw new UserError(first, ...rest);
  return found;
}
