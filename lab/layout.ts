/** Text for a person at a terminal: nothing here is wider than {@link width}, as far as its words allow. */

/** Columns of the terminal that everything is laid out for. */
export const width = 100;

/** Breaks each line of a text at its spaces. What follows a break is indented as the line was, and by `more`. */
export function wrap(text: string, indent = "  ", more = "  "): string[] {
  return text.split("\n").flatMap((line) => {
    const own = /^\s*/.exec(line)![0];
    const lines: string[] = [];
    let current = indent + own;
    for (const word of line.trim().split(/ +/)) {
      if (current.trim() !== "" && current.length + 1 + word.length > width) {
        lines.push(current);
        current = indent + own + more + word;
      } else current += (current.trim() === "" ? "" : " ") + word;
    }
    return [...lines, current.trimEnd()];
  });
}

/** A command line as a person types it: over several lines, each but the last ending with a backslash, where it is long. */
export function commandLine(words: readonly string[]): string[] {
  const lines: string[] = [];
  let current = "  $";
  for (const word of words) {
    if (current.length + word.length + " \\".length + 1 > width) {
      lines.push(`${current} \\`);
      current = "     ";
    }
    current += ` ${word}`;
  }
  return [...lines, current];
}

const gap = "  ";

/** Rows as columns, the first row being the heading. Where they don't fit, the widest column's texts are cut. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const excess = (): number => widths.reduce((sum, each) => sum + gap.length + each, 0) - width;
  while (excess() > 0) widths[widths.indexOf(Math.max(...widths))]!--;
  const cell = (text: string, most: number): string =>
    text.length > most ? `${text.slice(0, most - 1)}…` : text.padEnd(most);
  return rows.map((row) =>
    row
      .map((text, column) => gap + cell(text, widths[column]!))
      .join("")
      .trimEnd(),
  );
}

/** What all names begin with, up to a hyphen: `tkc-cluster-1-`. Nothing where there is but one name. */
export function commonPrefix(names: readonly string[]): string {
  const [first = "", ...others] = names;
  if (others.length === 0) return "";
  let length = 0;
  while (length < first.length && others.every((name) => name[length] === first[length])) length++;
  return first.slice(0, first.slice(0, length).lastIndexOf("-") + 1);
}
