/**
 * Makes text from outside fit for messages.
 * It never interprets the text.
 */
const unprintable = /[\p{C}\p{Zl}\p{Zp}]+/gu;

/**
 * Makes text from outside (a certificate's subject, an API's message, a header) fit for one line of a message. Replaces
 * control, format and direction characters by a space, and cuts the text after `max` characters.
 */
export function printable(text: string, max = 300): string {
  const line = text.replace(unprintable, " ").trim();
  // The cut may have left half of a surrogate pair.
  return line.length > max ? `${line.slice(0, max).replace(/[\ud800-\udbff]$/, "")}…` : line;
}

/**
 * The part of a host or an image that a message may repeat: its first line, without the user and password of a URL.
 * These are all that is before an `@`, unless that begins a digest.
 */
export function withoutUser(text: string): string {
  const [line = ""] = text.trim().split(/[\r\n]/, 1);
  return line.replace(/^([a-z][a-z0-9+.-]*:\/\/)?.*@(?!sha\d{3}:)/i, "$1…@");
}

/** A number and what it counts: `1 node`, `2 nodes`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** A word of a command that people paste into a shell: in quotes only where it needs them. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** The last three lines of a program's output as one printable line, for an error message. */
export function lastWords(text: string, length = 300): string {
  const line = text
    .split(/\r?\n/)
    .map((part) => part.replace(/[^\x20-\x7e]+/g, "?").trim())
    .filter((part) => part !== "")
    .slice(-3)
    .join("; ");
  return line.length > length ? `…${line.slice(-length)}` : line;
}
