/**
 * `Pulumi.STACK.yaml`: another environment's is read, without its secrets, and a new one is written.
 * It never overwrites a file, and leaves no half of one.
 */
import { randomBytes, randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { link, open, rm } from "node:fs/promises";
import { parseDocument, stringify } from "yaml";
import * as z from "zod";
import { settingName } from "../../config/names";
import { secretSettings, textSettings } from "../../config/schema";
import { type Settings, parseSettings } from "../../config/settings";
import { readOperatorFile } from "../../support/files";
import { cliProblem } from "../problems";

/** Settings as a file has them, by name without the project's. */
export type Draft = Readonly<Record<string, unknown>>;

/** The file of a stack in the working directory: of `organization/project/stack`, pulumi takes the last part. */
export const settingsFile = (stack: string): string => `Pulumi.${stack.split("/").at(-1)!}.yaml`;

/** No settings file is larger. */
const maxBytes = 1024 * 1024;

async function readYaml<T>(file: string, subject: string, schema: z.ZodType<T>): Promise<T> {
  const text = (await readOperatorFile(file, { subject, maxBytes })).toString("utf8");
  const document = parseDocument(text);
  const line = document.errors[0]?.linePos?.[0].line;
  const parsed = schema.safeParse(document.errors.length > 0 ? undefined : document.toJS());
  if (parsed.success) return parsed.data;
  const seen = line === undefined ? "it is not as Pulumi writes it" : `it is not YAML at line ${line}`;
  throw cliProblem.error("stack-file-malformed", { subject: file, seen });
}

/** The name of the project in the working directory, by which its settings are named. */
export async function projectName(): Promise<string> {
  return (await readYaml("Pulumi.yaml", "Pulumi.yaml", z.looseObject({ name: z.string().min(1) }))).name;
}

/** Pulumi's own form of an encrypted value. */
const isEncrypted = (value: unknown): boolean =>
  typeof value === "object" && value !== null && Object.keys(value).join() === "secure";

/**
 * The settings of another environment. Encrypted ones are left out: another stack has another key.
 *
 * @returns Also the names of those.
 */
export async function readDraft(
  stack: string,
  project: string,
): Promise<{ readonly draft: Draft; readonly secrets: readonly string[] }> {
  const schema = z.looseObject({ config: z.record(z.string(), z.unknown()).nullish() });
  const { config } = await readYaml(settingsFile(stack), "--from", schema);
  const secrets: string[] = [];
  const withoutSecrets = (value: unknown, path: readonly PropertyKey[]): unknown => {
    if (typeof value !== "object" || value === null) return value;
    const entries = Object.entries(value).filter(([key, inner]) => {
      if (isEncrypted(inner)) secrets.push(settingName([...path, key]));
      return !isEncrypted(inner);
    });
    if (Array.isArray(value))
      return entries.map(([key, inner]) => withoutSecrets(inner, [...path, Number(key)]));
    return Object.fromEntries(entries.map(([key, inner]) => [key, withoutSecrets(inner, [...path, key])]));
  };
  const own = Object.entries(config ?? {}).flatMap(([key, value]) =>
    key.startsWith(`${project}:`) ? [[key.slice(project.length + 1), value] as const] : [],
  );
  const whole = withoutSecrets(Object.fromEntries(own), []) as Record<string, unknown>;
  const settings = Object.entries(whole)
    .filter(([name]) => !secretSettings.has(name)) // in clear, against all advice
    .map(([name, value]) => [name, fromText(name, value)]);
  return { draft: Object.fromEntries(settings) as Draft, secrets };
}

/** `pulumi config set` without `--path` writes a list or an object as JSON. */
function fromText(name: string, value: unknown): unknown {
  if (typeof value !== "string" || textSettings.has(name)) return value;
  try {
    return JSON.parse(value);
  } catch {
    return value; // which the settings' checks refuse
  }
}

/** The registries of a draft that want a password, which no draft has. */
export const withoutPassword = ({ registries }: Draft): string[] =>
  ((registries as Partial<Settings["trust"]>["registries"]) ?? []).flatMap(({ host, credentials }) =>
    (credentials as typeof credentials | undefined)?.from === "password" ? [host] : [],
  );

/**
 * Checks a draft as a run checks its settings; passwords, which come later, are taken to be there.
 *
 * @throws UserError as {@link parseSettings}.
 */
export function checkDraft(draft: Draft, project: string): Settings {
  const passwords = Object.fromEntries(withoutPassword(draft).map((host) => [host, randomUUID()]));
  const raw = Object.entries({ ...draft, passwords }).map(([name, value]) => [
    name,
    typeof value === "string" ? value : JSON.stringify(value),
  ]);
  return parseSettings(Object.fromEntries(raw) as Record<string, string>, new Set(["passwords"]), project);
}

/** Where the schema of the settings is, in this package's own folder and in another project's. */
const schemaFiles = ["./node_modules/tkc-registry/settings.schema.json", "./settings.schema.json"];

export function settingsText(draft: Draft, project: string): string {
  const config = Object.fromEntries(
    Object.entries(draft).map(([name, value]) => [`${project}:${name}`, value]),
  );
  const schema = schemaFiles.find((file) => existsSync(file));
  return [
    ...(schema === undefined ? [] : [`# yaml-language-server: $schema=${schema}\n`]),
    // Pulumi's own reader takes YAML 1.1's words too, such as `yes`.
    stringify({ config }, { compat: "yaml-1.1", lineWidth: 0, aliasDuplicateObjects: false }),
  ].join("");
}

/** @throws UserError `stack-file-exists` */
export function refuseExisting(file: string): void {
  if (existsSync(file)) throw exists(file);
}

const exists = (file: string) =>
  cliProblem.error("stack-file-exists", { subject: file, seen: "there is such a file" });

/** @throws UserError `stack-file-exists`, `stack-file-unwritable` */
export async function writeNew(file: string, text: string): Promise<void> {
  const aside = `${file}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    const handle = await open(aside, "wx");
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await link(aside, file); // unlike a rename, it never replaces a file
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") throw exists(file);
    throw cliProblem.error("stack-file-unwritable", {
      subject: file,
      seen: `it cannot be written (${code})`,
    });
  } finally {
    await rm(aside, { force: true });
  }
}
