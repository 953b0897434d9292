/**
 * Formats and parses the key=value lines that the node script prints, and those that node commands print for the stack.
 * It never trusts a node's output.
 */
import * as z from "zod";
import { nodeProblem } from "../problems";

const inputLimit = 64 * 1024;
const keyPattern = /^[A-Za-z][A-Za-z0-9]{0,31}$/;
const valuePattern = /^[\x20-\x7e]{0,4096}$/;

type Lines = ReadonlyMap<string, readonly string[]>;

function parseLines(text: string): Lines | undefined {
  if (text.length > inputLimit) return undefined;
  const lines = new Map<string, string[]>();
  for (const line of text.split(/\r?\n/)) {
    if (line === "") continue;
    const at = line.indexOf("=");
    const key = line.slice(0, Math.max(at, 0));
    const value = line.slice(at + 1);
    if (!keyPattern.test(key) || !valuePattern.test(value)) return undefined;
    lines.set(key, [...(lines.get(key) ?? []), value]);
  }
  return lines;
}

/** A key with exactly one value. */
const one = <T extends z.ZodType>(schema: T) =>
  z
    .tuple([z.string()])
    .transform(([value]) => value)
    .pipe(schema as unknown as z.ZodType<z.output<T>, string>);
const optional = <T extends z.ZodType>(schema: T) => one(schema).optional();
const many = (schema: z.ZodString, most: number) => z.array(schema).max(most).default([]);

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const flag = z.enum(["true", "false"]).transform((value) => value === "true");
const isoTime = z
  .string()
  .regex(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$/)
  .refine((time) => !Number.isNaN(Date.parse(time)));
const bootId = z.string().regex(/^[0-9a-f-]{36}$/);
const nonce = z.string().regex(/^[0-9A-Za-z-]{1,64}$/);
const path = z
  .string()
  .regex(/^\/[\x20-\x7e]*$/)
  .max(300);
const nodeName = z.string().regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/);
const uid = z.string().regex(/^[0-9A-Za-z-]{1,64}$/);
const osFamily = z.enum(["photon", "debian", "rhel"]);
const trustWay = z.enum(["system", "certs.d"]);

/** The most certificates for one node: the reports about them must stay under 8 KiB. */
export const certificateLimit = 24;

/** `<id> <base64 of the readable name>`; `-` for a stack without an id. */
const foreignRecord = z
  .string()
  .regex(/^(-|[0-9a-f-]{36}) [A-Za-z0-9+/]{0,400}={0,2}$/)
  .transform((text) => {
    const [id = "-", owner = ""] = text.split(" ");
    return {
      id: id === "-" ? undefined : id,
      owner: Buffer.from(owner, "base64")
        .toString("utf8")
        .replace(/[^\x20-\x7e]/g, "?"),
    };
  });

const scriptLines = z.object({
  end: one(z.literal("ok")),
  os: one(osFamily),
  bundle: one(path),
  bootId: one(bootId),
  changed: one(flag),
  restarted: one(flag),
  loaded: optional(flag),
  trusted: many(sha256, 64),
  /** `status`: certificates whose file is in place, also if the bundle lacks them. */
  present: many(sha256, 64),
  /** Missing where nothing is installed, and from scripts of earlier releases. */
  trust: optional(trustWay),
  alsoTrustedBy: many(path, 16),
  /** Other stacks' records on the node. */
  record: z.array(foreignRecord).max(64).default([]),
  /** `status`: files that have our prefix and that no record claims. */
  unclaimed: many(path, 64),
  /** `status`, where they are asked for: the DER of the certificates in the record, base64. */
  certificate: z
    .array(z.string().regex(/^[A-Za-z0-9+/]+={0,2}$/))
    .max(64)
    .default([]),
  /** `install`: certificates that were not in place. */
  added: many(sha256, 64),
  /** Others' files without a final newline: the system's next rebuild of its bundle may swallow ours with them. */
  unterminated: many(path, 16),
  containerdStarted: optional(isoTime),
  nonce: optional(nonce),
});
const scriptSuccess = scriptLines.transform(({ record, certificate, ...rest }) => ({
  ...rest,
  records: record,
  bodies: certificate,
}));

const scriptFailure = z.object({
  end: one(z.literal("failed")),
  error: one(z.string().regex(/^[a-z-]{1,40}$/)),
  detail: optional(z.string().max(400)),
  log: optional(z.string().regex(/^[A-Za-z0-9+/=]*$/)),
});

/** A successful report of the script. */
export type ScriptSuccess = z.output<typeof scriptSuccess>;
/** A failure report of the script. */
export type ScriptFailure = z.output<typeof scriptFailure>;

/**
 * Parses the output of a command on a node. Ignores what the login shell printed before.
 *
 * @returns `undefined` where there is no complete report.
 */
export function parseScriptOutput(stdout: string): ScriptSuccess | ScriptFailure | undefined {
  return parseOutput(stdout, scriptSuccess);
}

function parseOutput<T extends z.ZodType>(
  stdout: string,
  success: T,
): z.output<T> | ScriptFailure | undefined {
  const begin = stdout.lastIndexOf("protocol=1\n");
  if (begin < 0 || !/\nend=(ok|failed)\n$/.test(stdout)) return undefined;
  const lines = parseLines(stdout.slice(begin));
  return lines && z.union([success, scriptFailure]).safeParse(Object.fromEntries(lines)).data;
}

const reachOutcomes = [
  ...["chain", "unresolved", "refused", "no-route", "slow", "lost", "denied", "no-tls", "unseen"],
] as const;

/** What a node sees of a registry. */
export interface Sight {
  readonly registry: string;
  readonly outcome: (typeof reachOutcomes)[number];
  /** The status by which the proxy refuses. */
  readonly status: number | undefined;
  /** `host:port` of the proxy by which containerd reaches it. */
  readonly proxy: string | undefined;
  /** What it serves, the server's own first. */
  readonly chain: readonly Buffer[];
  /** Whether the node's OpenSSL accepts that as it is. */
  readonly known: boolean;
}

const sightLine = new RegExp(`^(\\S{1,300}) (${reachOutcomes.join("|")}) (-|\\d{3}) (\\S{1,160})$`);
const pieceLine = /^(\S{1,300}) (\d{1,2}) ([A-Za-z0-9+/=]{1,2000})$/;

const reachSuccess = z
  .object({
    end: one(z.literal("ok")),
    sight: many(z.string().regex(sightLine), 64),
    chain: many(z.string().regex(pieceLine), 512),
    known: many(z.string(), 64),
  })
  .transform(({ end, sight, chain, known }) => ({
    end,
    sights: sight.map((line): Sight => {
      const [, registry, outcome, status, proxy] = sightLine.exec(line)!;
      const bodies: string[] = [];
      for (const piece of chain) {
        const [, of, number, text = ""] = pieceLine.exec(piece)!;
        if (of === registry) bodies[Number(number)] = (bodies[Number(number)] ?? "") + text;
      }
      return {
        registry: registry!,
        outcome: outcome as Sight["outcome"],
        status: status === "-" ? undefined : Number(status),
        proxy: proxy === "-" ? undefined : proxy,
        chain: Object.values(bodies).map((body) => Buffer.from(body, "base64")),
        known: known.includes(registry!),
      };
    }),
  }));

/** What the script prints of registries. */
export type ReachReport = z.output<typeof reachSuccess>;

/** Parses the output of `reach`, as {@link parseScriptOutput}. */
export function parseReachOutput(stdout: string): ReachReport | ScriptFailure | undefined {
  return parseOutput(stdout, reachSuccess);
}

const hostKey = z.string().regex(/^SHA256:[A-Za-z0-9+/]{43}$/);
const reportOf = <K extends string>(kind: K) => ({
  version: one(z.literal("1")),
  report: one(z.literal(kind)),
  node: one(nodeName),
  uid: one(uid),
});
/** The error's code for an unreachable node that was skipped. */
const skipped = one(z.string().regex(/^[a-z-]{1,40}$/));

const caReport = z.object({
  ...reportOf("ca"),
  hostKey: one(hostKey),
  os: one(osFamily),
  trust: optional(trustWay),
  sha256: many(sha256, certificateLimit),
  alsoTrustedBy: many(path, 16),
  nonce: one(nonce),
});

/** The host key is the one of an earlier run, if there was one. */
const skippedCaReport = z.object({
  ...reportOf("ca"),
  skipped,
  hostKey: optional(hostKey),
  nonce: one(nonce),
});

const skippedContainerdReport = z.object({ ...reportOf("containerd"), skipped });

const containerdReport = z.object({
  ...reportOf("containerd"),
  bootId: one(bootId),
  containerdStarted: one(isoTime),
  loaded: many(sha256, certificateLimit),
});

/** stdout of `ca apply` on a node that was reached. */
export type InstalledReport = z.output<typeof caReport>;
/** stdout of `ca apply` for an unreachable node that is skipped. */
export type SkippedReport = z.output<typeof skippedCaReport>;
/** stdout of `ca apply`. */
export type CaReport = InstalledReport | SkippedReport;
/** stdout of `containerd restart`. It does not change until containerd restarts again. */
export type ContainerdReport = z.output<typeof containerdReport> | z.output<typeof skippedContainerdReport>;

/** stdout of `canary pull`. Nothing reads it. */
export interface CanaryReport {
  readonly version: "1";
  readonly report: "canary";
  readonly node: string;
  readonly uid: string;
}

/** Writes a report as key=value lines, a list as repeated keys. */
export function formatReport(report: CaReport | ContainerdReport | CanaryReport): string {
  return Object.entries(report)
    .flatMap(([key, value]: [string, string | readonly string[] | undefined]) =>
      (value === undefined ? [] : [value].flat()).map((item) => `${key}=${item}\n`),
    )
    .join("");
}

function parseAs<T, S>(
  schema: z.ZodType<T>,
  skippedSchema: z.ZodType<S>,
  stdout: string,
  what: string,
): T | S {
  const lines = parseLines(stdout);
  const result =
    lines && (lines.has("skipped") ? skippedSchema : schema).safeParse(Object.fromEntries(lines));
  if (result?.success) return result.data;
  const wrong = result
    ? result.error.issues.map(({ path: at }) => at.join(".")).join(", ")
    : "not key=value lines";
  throw nodeProblem.error("bad-node-report", {
    subject: what,
    seen: `it cannot be understood (${wrong === "" ? "unknown kind" : wrong})`,
  });
}

/**
 * Reads stdout of `ca apply`. Ignores unknown keys, which a newer release may have written.
 *
 * @throws UserError `bad-node-report`
 */
export function parseCaReport(stdout: string): CaReport {
  return parseAs(caReport, skippedCaReport, stdout, "the report of `ca apply`");
}

/**
 * Reads stdout of `containerd restart`.
 *
 * @throws UserError `bad-node-report`
 */
export function parseContainerdReport(stdout: string): ContainerdReport {
  return parseAs(containerdReport, skippedContainerdReport, stdout, "the report of `containerd restart`");
}
