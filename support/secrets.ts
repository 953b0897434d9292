/**
 * The secrets that this process has read, and the filter that keeps them out of every text for people.
 * It never writes them anywhere: they are in memory as long as the process runs.
 */

import { inspect } from "node:util";

/** What is shorter would match by chance, and is no secret worth the name. */
const shortest = 4;
const shown = "[secret]";

/** The longest first, since one may contain another. */
let known: readonly string[] = [];

/** The forms in which a library may quote a value: as it is, encoded, escaped, or one of its lines. */
function formsOf(value: string): string[] {
  const lines = value.split(/\r?\n/).map((line) => line.trim());
  // The armour of a key is no secret, and stands in other texts too.
  const whole = [
    value,
    value.trim(),
    ...(lines.length > 1 ? lines.filter((line) => !line.startsWith("-----")) : []),
  ];
  return whole.flatMap((text) => [
    text,
    JSON.stringify(text).slice(1, -1),
    encodeURIComponent(Buffer.from(text).toString()), // half a surrogate pair throws
    Buffer.from(text).toString("base64"),
    Buffer.from(text).toString("base64url"),
  ]);
}

/**
 * Remembers a secret: a password, a token, a private key.
 *
 * @returns The value, so that a secret can be remembered where it is read.
 */
export function rememberSecret<T extends string | undefined>(value: T): T {
  if (value !== undefined) {
    const forms = formsOf(value).filter((form) => form.length >= shortest && !known.includes(form));
    if (forms.length > 0) known = [...new Set([...known, ...forms])].sort((a, b) => b.length - a.length);
  }
  return value;
}

/** A text without any secret that was remembered. */
export function withoutSecrets(text: string): string {
  return known.reduce((clean, secret) => clean.replaceAll(secret, shown), text);
}

/** An error of any kind as text, with its stack and what it was caused by: for defects and for what libraries throw. */
export function defectText(error: unknown): string {
  return withoutSecrets(inspect(error));
}

/** Takes the secrets out of an error that somebody else prints: its message, its stack, and those of its causes. */
export function cleanError(error: unknown): unknown {
  for (let each = error, depth = 0; each instanceof Error && depth < 10; each = each.cause, depth += 1) {
    const { stack, message } = each;
    Object.defineProperty(each, "message", {
      value: withoutSecrets(message),
      configurable: true,
      writable: true,
    });
    if (stack !== undefined)
      Object.defineProperty(each, "stack", {
        value: withoutSecrets(stack),
        configurable: true,
        writable: true,
      });
  }
  return typeof error === "string" ? withoutSecrets(error) : error;
}

/** Cleans what no `catch` sees, before anybody prints it. */
export function cleanUncaughtErrors(): void {
  process.prependListener("uncaughtException", cleanError);
  process.prependListener("unhandledRejection", cleanError);
}
