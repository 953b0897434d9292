/**
 * Label selectors in the words of `kubectl -l`, read as k8s.io/apimachinery reads them (`pkg/labels`).
 * Nothing here knows of nodes.
 */

export type Labels = Readonly<Record<string, string>>;

/** One condition on a label, as node affinity writes them (`matchExpressions`). */
export interface Requirement {
  readonly key: string;
  readonly operator: "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt";
  /** Sorted. */
  readonly values: readonly string[];
}

/** All of them hold where a selector matches. */
export type Selector = readonly Requirement[];

/** What is wrong with a selector, in words: `found ")", where a key is expected`. */
export class SelectorError extends Error {}

const tokens = /[ \t\r\n]*(==|!=|[=!(),<>]|[^ \t\r\n=!(),<>]+)/gy;
const operators: Readonly<Record<string, Requirement["operator"]>> = {
  ...{ "=": "In", "==": "In", in: "In", "!=": "NotIn", notin: "NotIn", ">": "Gt", "<": "Lt" },
};

const namePattern = /^[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const prefixPattern = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/;

function isKey(text: string): boolean {
  const [name, prefix, ...rest] = text.split("/").reverse();
  if (rest.length > 0 || !namePattern.test(name!)) return false;
  return prefix === undefined || (prefix.length <= 253 && prefixPattern.test(prefix));
}

const largest = 2n ** 63n - 1n;

/** The number that a label has, as Go's `ParseInt` reads it. */
function numberOf(text: string): bigint | undefined {
  if (!/^\d+$/.test(text)) return undefined;
  const number = BigInt(text);
  return number <= largest ? number : undefined;
}

/** Reads tokens one after another. Where one is missing, `undefined` is the end. */
class Reader {
  #at = 0;
  constructor(private readonly all: readonly string[]) {}

  peek(): string | undefined {
    return this.all[this.#at];
  }

  take(): string | undefined {
    return this.all[this.#at++];
  }

  failAtNext(expected: string): never {
    this.take();
    return this.fail(expected);
  }

  fail(expected: string): never {
    const found = this.all[this.#at - 1];
    throw new SelectorError(
      `found ${found === undefined ? "its end" : `"${found}"`}, where ${expected} is expected`,
    );
  }
}

/** A key or a value: neither a symbol nor the end. */
const isWord = (token: string | undefined): token is string =>
  token !== undefined && !/^[=!(),<>]/.test(token);

/** `(a,b)`: an empty place is the empty value. Two commas at the end are refused, as apimachinery does. */
function readValues(reader: Reader): string[] {
  if (reader.take() !== "(") reader.fail('"("');
  const values: string[] = [];
  while (reader.peek() !== ")") {
    const token = reader.take();
    if (token === ",") {
      if (values.length === 0) values.push("");
      const isDouble = reader.peek() === ",";
      if (isDouble) reader.take();
      const isLast = reader.peek() === ")";
      if (isDouble && isLast) reader.failAtNext("a value");
      if (isDouble || isLast) values.push("");
    } else if (isWord(token)) {
      values.push(token);
      const next = reader.peek();
      if (next !== "," && next !== ")") reader.failAtNext('"," or ")"');
    } else reader.fail("a value");
  }
  reader.take();
  return values.length > 0 ? values : [""];
}

function readExactValue(reader: Reader): string[] {
  if (reader.peek() === undefined || reader.peek() === ",") return [""];
  const value = reader.take();
  return isWord(value) ? [value] : reader.fail("a value");
}

function readRequirement(reader: Reader): Requirement {
  const absent = reader.peek() === "!" && reader.take() === "!";
  const key = reader.take();
  if (!isWord(key)) return reader.fail("a key");
  if (!isKey(key)) throw new SelectorError(`"${key}" is not the key of a label`);
  if (absent) return { key, operator: "DoesNotExist", values: [] };
  if (reader.peek() === undefined || reader.peek() === ",") return { key, operator: "Exists", values: [] };
  const symbol = reader.take()!;
  const operator = Object.hasOwn(operators, symbol) ? operators[symbol]! : reader.fail("an operator");
  const values = /in$/.test(symbol) ? readValues(reader) : readExactValue(reader);
  const bad = values.find((value) => value !== "" && !namePattern.test(value));
  if (bad !== undefined) throw new SelectorError(`"${bad}" is not the value of a label`);
  if ((operator === "Gt" || operator === "Lt") && numberOf(values[0]!) === undefined)
    throw new SelectorError(`"${values[0]!}" is not a whole number`);
  return { key, operator, values: [...new Set(values)].sort() };
}

/**
 * Reads a selector. One that is empty, and so matches everything, has no requirement.
 *
 * @throws SelectorError
 */
export function parseSelector(text: string): Selector {
  const words = [...text.matchAll(tokens)].map(([, token]) => token!);
  const reader = new Reader(words);
  const requirements: Requirement[] = [];
  if (reader.peek() === undefined) return requirements;
  for (;;) {
    requirements.push(readRequirement(reader));
    const separator = reader.take();
    if (separator === undefined) return requirements;
    if (separator !== ",") reader.fail('","');
  }
}

function meets(labels: Labels, { key, operator, values }: Requirement): boolean {
  const value = Object.hasOwn(labels, key) ? labels[key]! : undefined;
  switch (operator) {
    case "In":
      return value !== undefined && values.includes(value);
    case "NotIn":
      return value === undefined || !values.includes(value);
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
    case "Gt":
    case "Lt": {
      const [has, wanted] = [value === undefined ? undefined : numberOf(value), numberOf(values[0]!)!];
      return has !== undefined && (operator === "Gt" ? has > wanted : has < wanted);
    }
  }
}

/** Whether an object with these labels is one that the selector means. */
export const matches = (selector: Selector, labels: Labels): boolean =>
  selector.every((requirement) => meets(labels, requirement));

/**
 * What holds where a requirement does not: one of these. A label that is no number meets neither `Gt` nor `Lt`, which
 * no requirement says: then none of these holds.
 */
export function negated({ key, operator, values }: Requirement): Requirement[] {
  const absent: Requirement = { key, operator: "DoesNotExist", values: [] };
  const there: Requirement = { key, operator: "Exists", values: [] };
  switch (operator) {
    case "In":
      return [{ key, operator: "NotIn", values }];
    case "NotIn":
      return [{ key, operator: "In", values }];
    case "Exists":
      return [absent];
    case "DoesNotExist":
      return [there];
    case "Gt": {
      const least = numberOf(values[0]!)! + 1n;
      return [absent, least > largest ? there : { key, operator: "Lt", values: [String(least)] }];
    }
    case "Lt": {
      const most = numberOf(values[0]!)! - 1n;
      return [absent, most < 0n ? there : { key, operator: "Gt", values: [String(most)] }];
    }
  }
}
