const unprintable = /[\p{C}\p{Zl}\p{Zp}]+/gu;

/**
 * Makes text that came from outside (a certificate's subject, an API's message, a header) fit for one line of ours:
 * control, format and direction characters become a space, and what is longer than `max` characters is cut.
 */
export function printable(text: string, max = 300): string {
  const line = text.replace(unprintable, " ").trim();
  return line.length > max ? `${line.slice(0, max)}…` : line;
}
