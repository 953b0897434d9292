/** `npm run docs`: writes settings.schema.json and docs/settings.md, from config/schema.ts. */
import * as path from "node:path";
import { z } from "zod";
import { secretSettings, settingsSchema, textSettings } from "../config/schema";
import { packageRoot } from "../support/build";
import { writeAnew } from "./writing";

/** What zod writes of a setting. */
interface Schema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly const?: string;
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema | false;
  readonly items?: Schema;
  readonly oneOf?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
  readonly $ref?: string;
}

export const schemaFile = path.join(packageRoot, "settings.schema.json");
export const settingsFile = path.join(__dirname, "settings.md");

const project = "tkc-registry";
const written = z.toJSONSchema(settingsSchema, { io: "input" }) as Schema;
const settings = Object.entries(written.properties!);
const isRequired = (name: string): boolean => written.required!.includes(name);

const encrypted: Schema = { $ref: "#/$defs/encrypted" };

/** The types of which a setting may be any. A setting of one type has further conditions there. */
const choicesOf = ({ type, anyOf }: Schema): readonly Schema[] => (type === undefined ? (anyOf ?? []) : []);

/** The schema of a setting, or of a part of it, where Pulumi takes an encrypted value for each text. */
function withEncrypted(schema: Schema): Schema {
  const { description, default: value, ...rest } = schema;
  if (rest.type === "string" && rest.const === undefined)
    return {
      ...(description === undefined ? {} : { description }),
      ...(value === undefined ? {} : { default: value }),
      anyOf: [rest, encrypted],
    };
  return {
    ...schema,
    ...(schema.properties && {
      properties: Object.fromEntries(
        Object.entries(schema.properties).map(([name, part]) => [name, withEncrypted(part)]),
      ),
    }),
    ...(schema.additionalProperties && { additionalProperties: withEncrypted(schema.additionalProperties) }),
    ...(schema.items && { items: withEncrypted(schema.items) }),
    ...(schema.oneOf && { oneOf: schema.oneOf.map(withEncrypted) }),
    ...(choicesOf(schema).length > 0 && { anyOf: choicesOf(schema).map(withEncrypted) }),
  };
}

/** How the text begins that holds such a value as JSON. */
const jsonPatterns: Readonly<Record<string, string>> = {
  object: String.raw`^\s*\{`,
  array: String.raw`^\s*\[`,
  boolean: String.raw`^\s*(true|false)\s*$`,
};

/** A setting as the file may have it. Pulumi makes text of a single value, and reads nothing out of text. */
function inFile(name: string, schema: Schema): object {
  const { description, default: value, ...rest } = schema;
  const annotations = { ...(description && { description }), ...(value !== undefined && { default: value }) };
  if (secretSettings.has(name))
    return { ...annotations, anyOf: [{ ...rest, additionalProperties: encrypted }, encrypted] };
  const alternative = textSettings.has(name)
    ? { type: ["number", "boolean"] }
    : { type: "string", pattern: jsonPatterns[String(schema.type)], contentMediaType: "application/json" };
  const alternatives = schema.enum ? [] : [alternative];
  const clear = textSettings.has(name) ? rest : withEncrypted(rest);
  return { ...annotations, anyOf: [clear, ...alternatives, encrypted] };
}

/** The other two ways to write a setting's name that Pulumi reads as the first. */
const spellings = (name: string): string[] => [`${project}:${name}`, name, `${project}:config:${name}`];

/** What settings.schema.json is to be. */
export function settingsJsonSchema(): string {
  const names = settings.map(([name]) => name);
  const requirements = names
    .filter(isRequired)
    .map((name) => ({ anyOf: spellings(name).map((spelling) => ({ required: [spelling] })) }));
  const reference = (name: string): object => ({ $ref: `#/$defs/${name}` });
  const schema = {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "The settings of a tkc-registry stack: Pulumi.<stack>.yaml",
    $comment: "Written by `npm run docs` from config/schema.ts.",
    type: "object",
    properties: {
      config: {
        description: "The settings. docs/settings.md lists them",
        type: "object",
        properties: Object.fromEntries(names.map((name) => [`${project}:${name}`, reference(name)])),
        patternProperties: {
          ...Object.fromEntries(names.map((name) => [`^(${project}:config:)?${name}$`, reference(name)])),
          [`^(?!${project}:)[^:]+:`]: true,
        },
        additionalProperties: false,
      },
      secretsprovider: {
        type: "string",
        description:
          "Pulumi's own: what encrypts the stack's secrets, `passphrase` or a key service's address",
      },
      encryptionsalt: {
        type: "string",
        description: "Pulumi's own: what the passphrase is combined with to encrypt secrets",
      },
      encryptedkey: {
        type: "string",
        description: "Pulumi's own: the key that encrypts secrets, itself encrypted by the key service",
      },
      environment: { description: "Pulumi's own: environments of Pulumi Cloud that give further settings" },
    },
    // An environment of Pulumi Cloud may give what the file does not have.
    if: { not: { required: ["environment"] } },
    then: { required: ["config"], properties: { config: { allOf: requirements } } },
    $defs: {
      encrypted: {
        description: "An encrypted value, as `pulumi config set --secret` writes it",
        type: "object",
        properties: { secure: { type: "string" } },
        required: ["secure"],
        additionalProperties: false,
      },
      ...Object.fromEntries(settings.map(([name, part]) => [name, inFile(name, part)])),
    },
  };
  return `${JSON.stringify(schema, null, 2)}\n`;
}

const code = (text: string): string => `\`${text}\``;
const either = (words: readonly string[]): string =>
  words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} or ${words.at(-1)!}`;

/** What the items of a list are made of, also where each may be a text instead. */
const partsOf = (items: Schema): Schema | undefined =>
  [items, ...(items.anyOf ?? [])].find(({ properties }) => properties);

function typeOf(schema: Schema): string {
  const { type, enum: words, minimum, maximum, items, additionalProperties, oneOf } = schema;
  const choices = choicesOf(schema);
  if (choices.length > 0) return `${choices.flatMap((each) => typeOf(each) || []).join(", ")}, or settings`;
  if (oneOf) return `by ${code("from")}: ${either(oneOf.map((option) => code(fromOf(option))))}`;
  if (words) return either(words.map(code));
  if (type === "boolean") return "`true` or `false`";
  if (type === "integer") return `whole number, ${minimum!} to ${maximum!}`;
  if (type === "array") return partsOf(items!) ? "list" : `list of ${typeOf(items!)}`;
  if (type === "object") return additionalProperties ? `${typeOf(additionalProperties)} by name` : "";
  return "text";
}

const fromOf = (option: Schema): string => option.properties!["from"]!.const!;

function defaultOf({ default: value, properties }: Schema, required: boolean): string {
  if (required) return "required";
  const empty = value === undefined || (typeof value === "object" && Object.keys(value!).length === 0);
  if (empty || (properties && !Object.values(properties).some(({ default: each }) => each !== undefined)))
    return "";
  return code(typeof value === "string" ? value : JSON.stringify(value));
}

interface Row {
  readonly setting: string;
  readonly type: string;
  readonly default: string;
  readonly description: string;
}

/** The rows of a setting and of what is in it. */
function rowsOf(setting: string, schema: Schema, required: boolean, note = ""): Row[] {
  const description = `${schema.description!}${note}`;
  const own = {
    setting: code(setting),
    type: typeOf(schema),
    default: defaultOf(schema, required),
    description,
  };
  const inner =
    (schema.items && partsOf(schema.items)) ?? choicesOf(schema).find((each) => each.properties) ?? schema;
  const place = schema.items && inner !== schema ? `${setting}[]` : setting;
  if (inner.properties)
    return [
      own,
      ...Object.entries(inner.properties).flatMap(([name, part]) =>
        rowsOf(
          `${place}.${name}`,
          part,
          choicesOf(schema).length === 0 && (inner.required?.includes(name) ?? false),
        ),
      ),
    ];
  if (!schema.oneOf) return [own];
  const options = schema.oneOf;
  const parts = new Map(options.flatMap(({ properties }) => Object.entries(properties!)));
  parts.delete("from");
  return [
    own,
    ...options.map((option) => ({
      setting: code(`${setting}.from: ${fromOf(option)}`),
      ...{ type: "", default: "", description: option.description! },
    })),
    ...[...parts].flatMap(([name, part]) => {
      const having = options.filter(({ properties }) => properties![name]);
      const needed = having.every((option) => option.required!.includes(name));
      const note = having.length < options.length ? `. For ${either(having.map(fromOf).map(code))}` : "";
      return rowsOf(`${setting}.${name}`, part, needed, note);
    }),
  ];
}

const table = (rows: readonly Row[]): string =>
  [
    "| setting | type | default | description |",
    "|---|---|---|---|",
    ...rows.map((row) => `| ${row.setting} | ${row.type} | ${row.default} | ${row.description} |`),
  ].join("\n");

const isSingle = ({ type }: Schema): boolean => type === "string" || type === "boolean";

const intro = `# Settings

<!-- Written by \`npm run docs\`, from config/schema.ts: change that. -->

These are keys of the project's namespace, such as \`tkc-registry:cluster\`, in \`Pulumi.<stack>.yaml\`. A run refuses
settings that are missing, unknown or of the wrong shape. It reports all of them together, before it changes anything.
\`npm run check:settings\` reports them without a run.

[settings.schema.json](../settings.schema.json) is the same as a JSON Schema, by which editors complete and check a
settings file whose first line is:

\`\`\`yaml
# yaml-language-server: $schema=./settings.schema.json
\`\`\`

Pulumi makes a number of digits, and a truth value of \`true\` and \`false\`, both from a file and from
\`pulumi config set --path\`. Where text is wanted, write quotes in the file, or add \`--type string\` to that command.`;

/** The section of a setting that has others in it. */
function section([name, schema]: readonly [string, Schema]): string {
  const [own, ...inner] = rowsOf(name, schema, isRequired(name));
  const title = `## ${code(name)}`;
  return inner.length > 0
    ? [title, `${own!.description}.`, table(inner)].join("\n\n")
    : [title, table([own!])].join("\n\n");
}

/** What docs/settings.md is to be. */
export function settingsPage(): string {
  const single = settings.filter(([, schema]) => isSingle(schema));
  const others = settings.filter(([, schema]) => !isSingle(schema));
  const rows = single.flatMap(([name, schema]) => rowsOf(name, schema, isRequired(name)));
  return `${[intro, `## Single settings\n\n${table(rows)}`, ...others.map(section)].join("\n\n")}\n`;
}

if (require.main === module) {
  writeAnew(schemaFile, settingsJsonSchema());
  writeAnew(settingsFile, settingsPage());
}
