/**
 * Text from outside, made fit for messages.
 * It never parses what it shortens.
 */
const unprintable = /[\p{C}\p{Zl}\p{Zp}]+/gu;

/**
 * Makes text that came from outside (a certificate's subject, an API's message, a header) fit for one line of ours:
 * control, format and direction characters become a space, and what is longer than `max` characters is cut.
 */
export function printable(text: string, max = 300): string {
  const line = text.replace(unprintable, " ").trim();
  // Half of a character of two code units is none.
  return line.length > max ? `${line.slice(0, max).replace(/[\ud800-\udbff]$/, "")}…` : line;
}

/**
 * What may be repeated of a text in the place of a host or an image: its first line, without the user and password that
 * a URL may have, which is all before an `@` that begins no digest.
 */
export function withoutUser(text: string): string {
  const [line = ""] = text.trim().split(/[\r\n]/, 1);
  return line.replace(/^([a-z][a-z0-9+.-]*:\/\/)?.*@(?!sha\d{3}:)/i, "$1…@");
}

/** The last words of a program, for an error message: one line, printable, bounded. */
export function lastWords(text: string, length = 300): string {
  const line = text
    .split(/\r?\n/)
    .map((part) => part.replace(/[^\x20-\x7e]+/g, "?").trim())
    .filter((part) => part !== "")
    .slice(-3)
    .join("; ");
  return line.length > length ? `…${line.slice(-length)}` : line;
}
