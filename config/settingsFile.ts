/**
 * The text of a stack's settings file, read as Pulumi reads it: by `gopkg.in/yaml.v3`, then by
 * `sdk/go/common/resource/config`.
 * It opens no file and decrypts nothing. No message quotes the text, which may have secrets in it.
 */
import { LineCounter, type ScalarTag, parseDocument } from "yaml";
import { UserError } from "../support/errors";
import { configProblem } from "./problems";

/** A stack's configuration as far as its file has it. */
export interface FileConfiguration {
  /** By name with namespace, as Pulumi gives it to programs: text or JSON. */
  readonly values: Readonly<Record<string, string>>;
  /** The places of encrypted values. The first part is the name with namespace. */
  readonly encrypted: readonly (readonly [string, ...PropertyKey[]])[];
  /** Whether environments of Pulumi Cloud give further settings. */
  readonly hasEnvironments: boolean;
}

const [minInt64, maxUint64] = [-(2n ** 63n), 2n ** 64n - 1n];

/** A number without quotes. Whole ones that fit into 64 bits stay exact. */
function plainNumber(source: string): bigint | number | string {
  const text = source.replaceAll("_", "");
  const [, sign, digits] = /^([-+]?)(.*)$/s.exec(text)!;
  const whole = /^0[0-7]+$/.test(digits!)
    ? `0o${digits!.slice(1)}`
    : /^(?:\d|[1-9]\d+|0[xX][\da-fA-F]+|0[oO][0-7]+|0[bB][01]+)$/.test(digits!)
      ? digits!.toLowerCase()
      : undefined;
  if (whole !== undefined) {
    const value = sign === "-" ? -BigInt(whole) : BigInt(whole);
    if (value >= minInt64 && value <= maxUint64) return value;
  }
  const isDecimal = /^[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?$/.test(text);
  return isDecimal && Number.isFinite(Number(text)) ? Number(text) : source;
}

const dateShape =
  /^(\d{4})-(\d{1,2})-(\d{1,2})(?:[Tt](\d{1,2}:\d{1,2}:\d{1,2}(?:\.\d+)?)(Z|[-+]\d\d:\d\d)| (\d{1,2}:\d{1,2}:\d{1,2}(?:\.\d+)?))?$/;

/** A date without quotes becomes the text that Go makes of a time. */
function plainDate(source: string): string {
  const [, year, month, day, time, zone = "Z", local = time] = dateShape.exec(source)!;
  if (Number(month) < 1 || Number(month) > 12 || Number(day) < 1 || Number(day) > 31) return source;
  const pad = (part: string): string => part.replace(/^\d(?!\d)/, "0$&");
  const clock = (local ?? "0:0:0").split(":").map(pad).join(":");
  const offset = zone.replace(":", "");
  return `${year!}-${pad(month!)}-${pad(day!)} ${clock} ${zone === "Z" ? "+0000 UTC" : `${offset} ${offset}`}`;
}

const tag = (name: string, test: RegExp, resolve: (source: string) => unknown): ScalarTag => ({
  ...{ tag: `tag:yaml.org,2002:${name}`, default: true, test, resolve },
});
/** What yaml.v3 makes of words without quotes: YAML 1.2's, and most of YAML 1.1's. */
const tags = [
  tag("null", /^(?:~|null|Null|NULL)?$/, () => null),
  tag("bool", /^(?:true|True|TRUE|false|False|FALSE)$/, (source) => /^t/i.test(source)),
  tag("timestamp", dateShape, plainDate),
  tag("int", /^[-+]?\d/, plainNumber),
  tag("float", /^[-+]?\.?\d|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$/, (source) =>
    /^[-+.]*[in]/i.test(source) ? Infinity : plainNumber(source),
  ),
];

const isMap = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A value as Pulumi hands it over: text as it is, or JSON. */
function asText(value: unknown): string {
  if (value === null) return "";
  if (typeof value === "string") return value;
  if (typeof value === "bigint") return value.toString();
  return JSON.stringify(value, (_, each: unknown) => (typeof each === "bigint" ? Number(each) : each));
}

/** A key of `config` with its namespace; undefined where Pulumi takes it for none. */
function fullKey(key: string, project: string): string | undefined {
  const parts = key.split(":");
  if (parts.length === 1) return `${project}:${key}`;
  if (parts.length === 3 && parts[1] === "config") return `${parts[0]!}:${parts[2]!}`;
  return parts.length === 2 ? key : undefined;
}

/**
 * Reads the text of a settings file.
 *
 * @param subject - The file, for messages.
 * @param project - Whose settings have no namespace.
 * @throws UserError (`settings-file`) where Pulumi would refuse it, or would not read all of it.
 */
export function readSettingsText(text: string, subject: string, project: string): FileConfiguration {
  const bad = (seen: string, at?: number): UserError =>
    configProblem.error("settings-file", {
      subject,
      seen: at === undefined ? seen : `line ${lines.linePos(at).line}: ${seen}`,
    });
  const lines = new LineCounter();
  const document = parseDocument(text.replace(/^\uFEFF/, ""), {
    ...{ schema: "failsafe", customTags: tags, merge: true },
    ...{ lineCounter: lines, prettyErrors: false, logLevel: "error" },
  });
  const [error] = document.errors;
  if (error) throw bad(words[error.code] ?? `it is not YAML (${error.code})`, error.pos[0]);
  let content: unknown;
  try {
    content = document.toJS() as unknown;
  } catch {
    throw bad("an alias (`*name`) has no anchor (`&name`) before it, or there are too many");
  }
  if (content === null) content = {};
  if (!isMap(content)) throw bad("it is not a mapping");
  const { config = null, environment } = content;
  if (config !== null && !isMap(config)) throw bad("`config` is not a mapping");

  const encrypted: [string, ...PropertyKey[]][] = [];
  /** With a text in the place of each encrypted value: names that are valid in most places, and no two alike. */
  const withPlaceholders = (value: unknown, place: [string, ...PropertyKey[]]): unknown => {
    if (value === Infinity) throw bad(`${place[0]} has a number that JSON has not (.inf, .nan)`);
    if (Array.isArray(value)) return value.map((item, at) => withPlaceholders(item, [...place, at]));
    if (!isMap(value)) return value;
    const entries = Object.entries(value);
    if (entries.length === 1 && typeof value["secure"] === "string") {
      encrypted.push(place);
      return `encrypted-${encrypted.length}`;
    }
    return Object.fromEntries(entries.map(([key, item]) => [key, withPlaceholders(item, [...place, key])]));
  };
  const values = new Map<string, string>();
  for (const [key, value] of Object.entries(config ?? {})) {
    const name = fullKey(key, project);
    if (name === undefined) throw bad(`the name of a setting is neither NAME nor NAMESPACE:NAME`);
    if (values.has(name)) throw bad(`${name} is there twice, by two spellings of its name`);
    values.set(name, asText(withPlaceholders(value, [name])));
  }
  return {
    values: Object.fromEntries(values),
    encrypted,
    hasEnvironments: environment !== undefined && environment !== null,
  };
}

const words: Readonly<Record<string, string>> = {
  DUPLICATE_KEY: "a key is there twice",
  MULTIPLE_DOCS: "a second document begins, which Pulumi leaves out",
  TAB_AS_INDENT: "it is indented by a tab",
  BAD_INDENT: "it is indented less or more than what it belongs to",
};
