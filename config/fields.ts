/**
 * The types of single settings. A wrong value's message names the type that is allowed.
 * Nothing here compares two settings.
 */
import * as z from "zod";
import { parseFingerprint } from "../certificates/identity";
import { selectorFault } from "../kubernetes/selection";
import { canonicalImage } from "../registry/host";
import { UserError } from "../support/errors";

/** A setting with one message for every wrong value: the shape that is allowed. */
export const shaped = <T extends z.ZodType>(make: (params: { error: string }) => T, shape: string): T =>
  make({ error: shape });

export const dnsLabel = (what: string): z.ZodString =>
  z
    .string({ error: `Give ${what}: lower-case letters, digits and "-", at most 63 characters` })
    .regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, {
      error: `Give ${what}: lower-case letters, digits and "-", at most 63 characters`,
    });

export const objectName = (what: string): z.ZodString =>
  z
    .string({ error: `Give ${what}: lower-case letters, digits, "-" and ".", at most 253 characters` })
    .max(253)
    .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/, {
      error: `Give ${what}: lower-case letters, digits, "-" and ".", at most 253 characters`,
    });

export const text = (shape: string): z.ZodString =>
  shaped((p) => z.string(p), shape).min(1, { error: shape });
/** One line of text, since it becomes an argument, a path or a displayed name. */
export const line = (shape: string): z.ZodString =>
  text(shape).regex(/^[^\p{C}\p{Zl}\p{Zp}]+$/u, { error: shape });
export const flag = (): z.ZodBoolean => shaped((p) => z.boolean(p), "Give true or false");
export const whole = (min: number, max: number, unit: string): z.ZodNumber => {
  const error = `Give a whole number of ${unit} from ${min} to ${max}`;
  return z.number({ error }).int({ error }).min(min, { error }).max(max, { error });
};

/** Text that `parse` must accept. The message of the setting's problem is that of the parser. */
export const parsedBy = (
  parse: (value: string) => string,
  shape: string,
): z.ZodPipe<z.ZodString, z.ZodTransform<string, string>> =>
  // What is empty is wrong for itself: it is compared with nothing else.
  shaped((p) => z.string(p), shape)
    .min(1, { error: shape, abort: true })
    .transform((value, context) => {
      try {
        return parse(value);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        const [problem] = error.problems;
        context.addIssue({
          code: "custom",
          message: problem?.remedy ?? shape,
          params: { seen: problem?.seen, shape },
        });
        return z.NEVER;
      }
    });

export const image = (shape: string): ReturnType<typeof parsedBy> =>
  parsedBy((value) => canonicalImage(value, { subject: "" }), shape).meta({
    pattern: String.raw`^\s*(?!\w+://)\S+\s*$`,
  });

/** A host key's fingerprint, as OpenSSH prints it. */
export const hostKey = (what: string): z.ZodString => {
  const error = `${what} as \`ssh-keygen -lf\` prints it: SHA256: and 43 characters`;
  return z.string({ error }).regex(/^SHA256:[A-Za-z0-9+/]{43}$/, { error });
};

export const hostPattern = /^[0-9A-Za-z]([0-9A-Za-z.:-]{0,251}[0-9A-Za-z])?$/;

export const fingerprintShape = "Give a SHA-256 fingerprint: 64 hexadecimal digits, with or without colons";
export const fingerprint = parsedBy(
  (value) => parseFingerprint(value, { subject: "" }),
  fingerprintShape,
).meta({ pattern: "(?:[0-9A-Fa-f][^0-9A-Za-z]*){64}$" });

/** The shape of a label selector. */
export const selectorShape =
  "Give a label selector as `kubectl -l` takes it, such as `pool=a` or `pool in (a,b),!spot`";

/** Adds an issue where a text is no label selector. */
export function checkSelector(
  text: string,
  context: z.RefinementCtx,
  path: readonly PropertyKey[] = [],
): void {
  const seen = selectorFault(text);
  if (seen === undefined) return;
  context.addIssue({ code: "custom", path: [...path], message: selectorShape, params: { seen } });
}

/** A label selector. */
export const selector = (): z.ZodString =>
  z.string({ error: selectorShape }).superRefine((value, context) => checkSelector(value, context));
