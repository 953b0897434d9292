/**
 * The problems that are made from the schema's issues.
 * No message repeats a value that may be a secret.
 */
import { closest, distance } from "fastest-levenshtein";
import * as z from "zod";
import type { Problem } from "../support/errors";
import { supportProblem } from "../support/problems";
import { withoutUser } from "../support/text";
import { secretSettings, settingsSchema } from "./schema";
import { settingName } from "./names";
import { configProblem } from "./problems";

/** The message for a value of the wrong type, if the schema itself has none. */
export function shapeOf(issue: { readonly code?: string; readonly expected?: unknown }): string | undefined {
  if (issue.code !== "invalid_type") return undefined;
  const shapes: Record<string, string> = {
    object: "settings",
    record: "names with their values",
    array: "a list",
    string: "text",
  };
  return `Give ${shapes[String(issue.expected)] ?? String(issue.expected)}`;
}

/** Settings in which people may have put a secret. */
const secretPlaces = new Set<PropertyKey>([...secretSettings, "credentials", "env"]);

type Issue = z.core.$ZodIssue;
/** Places of values. */
export type Places = readonly (readonly PropertyKey[])[];

const valueAt = (raw: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>(
    (at, part) =>
      typeof at === "object" && at !== null ? (at as Record<PropertyKey, unknown>)[part] : undefined,
    raw,
  );

/**
 * Describes a wrong value.
 *
 * @param hidden - Whether it may hold a secret: then the value is not repeated.
 * @param wanted - The expected type.
 */
function seenAt(raw: unknown, path: readonly PropertyKey[], hidden: boolean, wanted: unknown): string {
  const value = valueAt(raw, path);
  if (value === undefined) return "it is missing";
  if (hidden) return "its value is not of the right shape";
  if (typeof value === "object" && value !== null)
    return `it is ${Array.isArray(value) ? "a list" : "an object"}`;
  // A text where an object or a list belongs may be a secret.
  if (typeof value === "string" && ["object", "record", "array"].includes(String(wanted)))
    return "it is text";
  const shown = JSON.stringify(typeof value === "string" ? withoutUser(value) : value);
  return `it is ${shown.length > 80 ? `${shown.slice(0, 77)}…` : shown}`;
}

/** The settings that exist at a path, for the remedy of `unknown-setting`. */
function knownAt(path: readonly PropertyKey[], raw: unknown): string[] {
  let schema: z.ZodType = settingsSchema;
  let value: unknown = raw;
  const unwrap = (at: z.ZodType): z.ZodType => {
    const inner = (at as { def?: { innerType?: z.ZodType; in?: z.ZodType } }).def;
    const next = inner?.innerType ?? inner?.in;
    return next ? unwrap(next) : at;
  };
  for (const part of path) {
    schema = unwrap(schema);
    value =
      typeof value === "object" && value !== null ? (value as Record<PropertyKey, unknown>)[part] : undefined;
    if (schema instanceof z.ZodObject)
      schema = (schema.shape as Record<PropertyKey, z.ZodType>)[part] ?? schema;
    else if (schema instanceof z.ZodArray) schema = schema.element as z.ZodType;
  }
  schema = unwrap(schema);
  if (schema instanceof z.ZodDiscriminatedUnion) {
    const from = (value as { from?: unknown } | undefined)?.from;
    schema =
      (schema.options as z.ZodObject[]).find(
        (option) => (option.shape["from"] as z.ZodLiteral).value === from,
      ) ?? schema;
  } else if (schema instanceof z.ZodUnion) {
    schema = (schema.options as z.ZodType[]).find((option) => option instanceof z.ZodObject) ?? schema;
  }
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}

/** At most a third of the letters are others. */
export const isNearly = (word: string, meant: string): boolean => distance(word, meant) <= meant.length / 3;

/** The known settings, and the one that was probably meant. */
function likely(key: string, known: readonly string[]): [known: readonly string[], meant?: string] {
  const meant = known.length > 0 ? closest(key, [...known]) : "";
  return isNearly(key, meant) ? [known, meant] : [known];
}

/** Whether an issue is only of the text that stands for what could not be decrypted. Decrypted it would be text, too. */
function isOfPlaceholder({ path, ...issue }: Issue, encrypted: Places): boolean {
  const place = encrypted.find((each) => each.every((part, at) => part === path[at]));
  if (!place) return false;
  if (place.length === 1) return true;
  // Which settings there are depends on `from`: nobody could review an encrypted one.
  return issue.code === "invalid_type" ? issue.expected === "string" : issue.code !== "invalid_union";
}

/**
 * Makes a problem of each issue that the schema found. Leaves out values that may be secrets.
 *
 * @param named - How a setting is named as the subject of a problem.
 * @param secretNames - The names of encrypted settings; undefined where no settings file has them.
 * @param encrypted - The places of encrypted values that could not be decrypted.
 */
export function problemsOf(
  error: z.ZodError,
  raw: unknown,
  named: (name: string) => string,
  secretNames: ReadonlySet<string> | undefined,
  encrypted: Places = [],
): Problem[] {
  const subject = (path: readonly PropertyKey[]): string => named(settingName(path));
  return error.issues.flatMap((issue): Problem[] => {
    if (isOfPlaceholder(issue, encrypted)) return [];
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) =>
        configProblem(
          "unknown-setting",
          { subject: subject([...issue.path, key]), seen: "there is no such setting" },
          ...likely(key, knownAt(issue.path, raw)),
        ),
      );
    }
    const hidden =
      secretNames?.has(String(issue.path[0])) === true || issue.path.some((part) => secretPlaces.has(part));
    const custom = (issue.code === "custom" && issue.params) as
      { seen?: string; shape?: string; open?: boolean } | undefined | false;
    const wanted = "expected" in issue ? issue.expected : undefined;
    const generic = seenAt(raw, issue.path, hidden, wanted);
    const what = {
      subject: subject(issue.path),
      seen: (custom && (!hidden || custom.open) && custom.seen) || generic,
    };
    const seenType = typeof valueAt(raw, issue.path);
    if (secretNames && wanted === "string" && (seenType === "number" || seenType === "boolean")) {
      const kind = seenType === "number" ? "a number" : "a truth value";
      const seen = hidden ? `it is ${kind}` : `${generic}, ${kind}`;
      return [configProblem("not-text", { ...what, seen }, issue.message, settingName(issue.path))];
    }
    const shape = (custom && hidden && custom.shape) || issue.message;
    return [
      generic === "it is missing"
        ? supportProblem("missing-setting", what, shape)
        : configProblem("bad-setting", what, shape),
    ];
  });
}
