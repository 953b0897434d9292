/**
 * How often each property of hostile input is tried, and what such input looks like: the one place for all of them.
 * TKC_REGISTRY_FUZZ_RUNS multiplies the numbers for a longer look; TKC_REGISTRY_FUZZ_SEED repeats the run whose seed a
 * failure has printed.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { UserError } from "../support/errors";

/** Generated cases by property, at the least. test/unit/fuzz.test.ts sees that each is somebody's. */
export const cases = {
  // configuration
  settings: 1500,
  "settings, one wrong": 1000,
  "settings that are secrets": 500,
  "settings with misplaced secrets": 500,
  "settings files": 500,
  arguments: 500,
  "arguments, one wrong": 1000,
  "arguments with secrets": 500,
  // the registry: names, certificates, credentials, challenges
  hosts: 800,
  images: 800,
  "fingerprints that are": 200,
  "fingerprints that are not": 500,
  "damaged certificates": 1500,
  "certificates without dates": 300,
  "other certificates": 300,
  "docker config": 1000,
  "docker entries": 500,
  "credential helpers": 500,
  "pull secrets merged": 500,
  challenges: 1000,
  "challenges that are": 300,
  // the clusters
  nodes: 1000,
  "node addresses": 500,
  kubeconfig: 400,
  "kubeconfig entries": 400,
  "login answers": 200,
  "patches of a ServiceAccount's list": 300,
  "turns of the control plane": 300,
  // what nodes and the state say
  "node reports": 1000,
  "node output": 600,
  "node output told": 300,
  environment: 600,
  "environment as written": 300,
  "last run": 500,
  "stack state": 500,
  findings: 200,
  previews: 500,
  "preview lines": 300,
  "saved plans": 300,
  // real shells
  "quoted words": 1000,
  "script parameters": 160,
  "script parameters, raw": 160,
  "command lines": 150,
  "client values": 100,
  relay: 300,
  jumpbox: 100,
} as const;

const factor = Number(process.env["TKC_REGISTRY_FUZZ_RUNS"] ?? "1");
const seed = process.env["TKC_REGISTRY_FUZZ_SEED"];

interface Runs {
  readonly numRuns: number;
  readonly seed?: number;
  readonly includeErrorInReport: true;
}

/**
 * The parameters of a property's `fc.assert`, which prints seed and path of what fails.
 *
 * @param batch - how many cases one run of the property is: where a shell is started, many at once.
 */
export function runs(property: keyof typeof cases, batch = 1): Runs {
  const numRuns = Math.ceil((cases[property] * factor) / batch);
  return { numRuns, includeErrorInReport: true, ...(seed === undefined ? {} : { seed: Number(seed) }) };
}

/** As many at once as {@link runs} was told that a batch is. */
export const batchOf = <T>(one: fc.Arbitrary<T>, batch: number): fc.Arbitrary<T[]> =>
  fc.array(one, { minLength: batch, maxLength: batch });

/** What would leave a file at $MARK, were it ever taken for a shell's text. */
const commands = [
  "$(touch $MARK)",
  "`touch $MARK`",
  ";touch $MARK;",
  "\ntouch $MARK\n",
  "&touch $MARK&",
  "|touch $MARK|",
  "'$(touch $MARK)'",
  "';touch $MARK;'",
  '";touch $MARK;"',
  "<(touch $MARK)",
  "a[$(touch $MARK)]",
  "${x:-$(touch $MARK)}",
];

/** What means something to a shell, an option parser, a terminal, a path, YAML, an object or a regular expression. */
const pieces = [
  ...[
    "'",
    '"',
    "\\",
    "`",
    "$",
    "$IFS",
    "${HOME}",
    "~",
    "*",
    "?",
    "!",
    "#",
    "&&",
    "||",
    ">",
    "<<E\n",
    "()",
    "{}",
  ],
  ...["\n", "\r\n", "\r", "\t", " ", "\0", "\u001b[2J", "\u001b]0;x\u0007", "\u007f", "\u0085", "\u009b"],
  ...[
    "-",
    "--",
    "-n",
    "--kubeconfig=/dev/null",
    "-oProxyCommand=touch $MARK",
    "=",
    "@",
    "@/etc/passwd",
    "%0a",
    "%s%n",
  ],
  ...[
    "\u202e",
    "\u2066",
    "\u2028",
    "\u2029",
    "\ufeff",
    "\u200b",
    "\u00ad",
    "\ud800",
    "\udfff",
    "\u{1f600}",
    "\u{e0041}",
  ],
  ...[
    "../",
    "/",
    "//",
    ".",
    ":",
    "fd00::1",
    "[::1]:5000",
    "127.0.0.1",
    "010.0.0.1",
    "0x7f.1",
    "1.2.3.4.5",
    "::",
  ],
  ...[
    "__proto__",
    "constructor",
    "toString",
    "null",
    "true",
    "0",
    "-1",
    "1e999",
    "{",
    "[",
    "]",
    ": ",
    "- &a",
    "*a",
    "<<: *a",
  ],
  ...["a", "registry.example.com", ":8443", "harbor", "ns1"],
];

/** Text that nobody means well by, with what is ordinary between. */
export const hostile: fc.Arbitrary<string> = fc
  .array(
    fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom(...pieces) },
      { weight: 2, arbitrary: fc.constantFrom(...commands) },
      { weight: 1, arbitrary: fc.string({ maxLength: 12 }) },
      { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 6 }) },
      { weight: 1, arbitrary: fc.stringMatching(/^[a-z0-9.-]{1,20}$/) },
    ),
    { maxLength: 5 },
  )
  .map((parts) => parts.join(""));

/** The same, where no NUL can be: in arguments and environments; and no lone surrogate, which no UTF-8 has. */
export const hostileArgument = hostile.map((text) => Buffer.from(text.replaceAll("\0", "")).toString("utf8"));

/** Any JSON, with hostile text in it. */
export const hostileJson: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: "small" },
    fc.oneof(hostile, fc.integer(), fc.double(), fc.boolean(), fc.constant(null)),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(hostile, tie("value"), { maxKeys: 4 }),
  ),
})).value;

/** A text that no message may repeat. It is like nothing else. */
export const secret: fc.Arbitrary<string> = fc
  .stringMatching(/^[0-9a-f]{12}$/)
  .map((digits) => `hunter2-${digits}`);

/** Characters that move a cursor, turn the direction of writing, break a line or cannot be seen. */
const unprintable = /[\p{C}\p{Zl}\p{Zp}]/u;
const longest = 13_000;

/** Asserts that this is how an operator may be told something: a line for a problem alone, two for each of several, no secret. */
export function assertTold(error: unknown, secrets: readonly string[] = []): asserts error is UserError {
  if (!(error instanceof UserError)) throw error; // with its own stack
  const lines = error.message.split("\n");
  assert.equal(lines.length, error.problems.length === 1 ? 1 : 2 * error.problems.length + 1, error.message);
  for (const line of lines) {
    assert.doesNotMatch(line, unprintable);
    assert.ok(line.length <= longest, `a line of ${line.length} characters`);
  }
  for (const each of secrets) assert.ok(!error.message.includes(each), `a secret is told: ${error.message}`);
}

/** What `read` makes of some input, `undefined` where it refuses as it should: by {@link assertTold}. */
export function readOrTold<T>(read: () => T, secrets?: readonly string[]): T | undefined {
  try {
    return read();
  } catch (error) {
    assertTold(error, secrets);
    return undefined;
  }
}

/** The same of what takes its time. */
export async function readOrToldLater<T>(
  read: () => Promise<T>,
  secrets?: readonly string[],
): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    assertTold(error, secrets);
    return undefined;
  }
}

/** Picks a place of some JSON for {@link changed}. */
export const place = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

/** A copy of some JSON with another value at one of its places, which a number picks. */
export function changed(json: unknown, pick: number, what: unknown): unknown {
  const copy = structuredClone(json);
  const places: [Record<string, unknown>, string][] = [];
  const walk = (at: unknown): void => {
    if (typeof at !== "object" || at === null) return;
    for (const [key, item] of Object.entries(at)) {
      places.push([at as Record<string, unknown>, key]);
      walk(item);
    }
  };
  walk(copy);
  const [at, key] = places[Math.floor(pick * places.length)]!;
  at[key] = what;
  return copy;
}
