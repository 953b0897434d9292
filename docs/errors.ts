/** `npm run docs`: writes docs/errors.md, from the catalog of problems and from what the sources tell operators. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import { z } from "zod";
import { settingsSchema } from "../config/schema";
import { parseSettings } from "../config/settings";
import { catalog } from "../support/catalog";
import { UserError } from "../support/errors";
import { type Message, collect } from "./messages";

/** The page. */
export const errorsFile = path.join(__dirname, "errors.md");

const intro = `# Errors

<!-- Written by \`npm run docs\`, from support/catalog.ts and the sources: change those. -->

Every message ends with a code in brackets. Here is, by that code, why it comes about, in what words it is told, and after the
arrow what to do. In the words, ‹…› stands for what is filled in, \`[ ]\` for what is not always there, and \`(|)\` for one of two.`;

/** A message's words as Markdown; what is in backticks is code there too. */
const markdown = (text: string): string =>
  text
    .split("`")
    .map((part, at) => (at % 2 === 0 ? part.replace(/[<*]/g, "\\$&") : part))
    .join("`");

function groupBy<T>(items: readonly T[], key: (item: T) => string): T[][] {
  const groups = new Map<string, T[]>();
  for (const item of items) groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
  return [...groups.values()];
}

const unique = (texts: readonly string[]): string[] => [...new Set(texts)];

/** The list of what is seen and of what to do then: what has the same remedies is one item. */
function messageList(messages: readonly Message[]): string {
  const bySeen = groupBy(messages, ({ seen }) => seen).map((group) => ({
    seen: group[0]!.seen,
    remedies: unique(group.map(({ remedy }) => remedy)),
  }));
  return groupBy(bySeen, ({ remedies }) => remedies.join("\n"))
    .map((group) => {
      const lines = [...group.map(({ seen }) => seen), ...group[0]!.remedies.map((remedy) => `→ ${remedy}`)];
      return `- ${lines.map(markdown).join("\\\n  ")}`;
    })
    .join("\n");
}

/** A setting that has a value of its own. */
interface Leaf {
  readonly name: string;
  /** All settings, with this one alone of that value. */
  readonly at: (value: unknown) => object;
}

/** Goes through a schema: `at` puts a value where it is in the settings. */
function* leaves(schema: z.ZodType, name: string, at: (value: unknown) => object): Generator<Leaf, void> {
  const { innerType, in: input } = (schema as { def: { innerType?: z.ZodType; in?: z.ZodType } }).def;
  const inner = innerType ?? input;
  if (inner) return yield* leaves(inner, name, at);
  if (schema instanceof z.ZodObject) {
    for (const [key, value] of Object.entries<z.ZodType>(schema.shape))
      yield* leaves(value, name === "" ? key : `${name}.${key}`, (given) => at({ [key]: given }));
    return;
  }
  if (schema instanceof z.ZodDiscriminatedUnion) {
    yield { name, at };
    for (const option of schema.options as z.ZodObject[]) {
      const { from, ...others } = option.shape as Record<string, z.ZodType>;
      for (const [key, value] of Object.entries(others)) {
        const given = (it: unknown): object => at({ from: (from as z.ZodLiteral).value, [key]: it });
        yield* leaves(value, `${name}.${key}`, given);
      }
    }
    return;
  }
  yield { name, at };
  if (schema instanceof z.ZodArray)
    yield* leaves(schema.element as z.ZodType, `${name}[]`, (value) => at([value]));
  if (schema instanceof z.ZodRecord)
    yield* leaves(schema.valueType as z.ZodType, `${name}["…"]`, (value) => at({ x: value }));
}

/** What is said of a value in the wrong place. */
function refusal(settings: object): string | undefined {
  const raw = Object.entries(settings).map(([key, value]: [string, unknown]) => [
    key,
    typeof value === "string" ? value : JSON.stringify(value),
  ]);
  try {
    parseSettings(Object.fromEntries(raw) as Record<string, string>, new Set(["passwords"]));
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return error.problems.find(({ code }) => code === "bad-setting")?.remedy;
  }
  return undefined;
}

function settingsTable(): string {
  const rows = [...leaves(settingsSchema, "", (value) => value as object)].flatMap(({ name, at }) => {
    // No setting takes both of them.
    const sentence = refusal(at("")) ?? refusal(at(0));
    return sentence === undefined ? [] : [{ name, sentence }];
  });
  const lines = groupBy(rows, ({ sentence }) => sentence).map((group) => {
    const names = unique(group.map(({ name }) => `\`${name}\``)).join(", ");
    return `| ${names} | ${markdown(group[0]!.sentence)} |`;
  });
  return ["| setting | what to do |", "|---|---|", ...lines].join("\n");
}

const settingsHeading = "What each setting takes";

/** What config/ tells by the words of its schema, which the table has. */
const ofSettings = [
  { code: "missing-setting", seen: "it is missing" },
  { code: "bad-setting", seen: "it is ‹value›" },
].map((told): Message => ({
  ...told,
  remedy: `[${settingsHeading}](#${settingsHeading.toLowerCase().replaceAll(" ", "-")})`,
}));

/** What docs/errors.md is to be. */
export interface ErrorsPage {
  readonly text: string;
  /** Codes of the catalog that nothing tells of. */
  readonly untold: readonly string[];
}

export function errorsPage(): ErrorsPage {
  const { messages: collected, rules } = collect();
  const messages = [...ofSettings, ...collected];
  const told = (codes: readonly string[]): Message[] => messages.filter(({ code }) => codes.includes(code));
  const entry = (codes: readonly string[], cause: string): string => {
    // One code in a heading is an anchor by itself.
    const anchors = codes.length > 1 ? codes.map((code) => `<a id="${code}"></a>`).join("") : "";
    const heading = `### ${codes.map((code) => `\`${code}\``).join(", ")}`;
    return [anchors, heading, cause, messageList(told(codes))].filter((part) => part !== "").join("\n\n");
  };
  const areas = Object.entries(catalog).map(([area, causes]: [string, Record<string, string>]) => {
    const entries: { codes: string[]; cause: string }[] = [];
    for (const [code, cause] of Object.entries(causes)) {
      const last = entries.at(-1);
      if (last?.cause === cause) last.codes.push(code);
      else entries.push({ codes: [code], cause });
    }
    return [`## ${area}`, ...entries.map(({ codes, cause }) => entry(codes, cause))].join("\n\n");
  });
  const together = rules.map(({ setting, seen, remedy }) =>
    [`- \`${setting}\`${seen === "" ? "" : `: ${markdown(seen)}`}`, `→ ${markdown(remedy)}`].join("\\\n  "),
  );
  const text = [
    intro,
    ...areas,
    `## ${settingsHeading}`,
    "What is said of a setting that is missing or of the wrong shape:",
    settingsTable(),
    "And of settings that do not go together:",
    `${together.join("\n")}\n`,
  ].join("\n\n");
  const known = Object.values(catalog).flatMap((causes) => Object.keys(causes));
  return { text, untold: known.filter((code) => told([code]).length === 0) };
}

if (require.main === module) {
  const { text } = errorsPage();
  const changed = !existsSync(errorsFile) || readFileSync(errorsFile, "utf8") !== text;
  if (changed) writeFileSync(errorsFile, text);
  process.stdout.write(`docs/errors.md ${changed ? "was written anew" : "is as it should be"}\n`);
}
