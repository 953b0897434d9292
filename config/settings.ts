/**
 * The stack's settings, read and checked, with defaults filled in.
 * It reads nothing but the configuration.
 */
import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { type Problem, UserError } from "../support/errors";
import { rememberSecret } from "../support/secrets";
import { problemsOf, shapeOf } from "./messages";
import { settingSubject } from "./names";
import { type SettingFields, secretSettings, settingsSchema, textSettings } from "./schema";
import { configProblem } from "./problems";

/** The stack's settings, checked, with defaults filled in. */
export type Settings = Omit<
  SettingFields,
  "supervisorContext" | "clusterContext" | "pullSecret" | "deployment"
> & {
  readonly supervisorContext: string;
  readonly clusterContext: string;
  readonly pullSecret: SettingFields["pullSecret"] & { readonly namespaces: readonly string[] };
  readonly deployment: SettingFields["deployment"] & {
    readonly image: string;
    /** Whether any of these settings is kept encrypted: then the values of `env` are secrets. */
    readonly secret: boolean;
  };
};
export type RegistrySettings = Settings["registries"][number];

/**
 * Checks a stack's raw configuration and fills in the defaults.
 *
 * @param raw - The project's own settings by name without namespace, as Pulumi gives them: text or JSON.
 * @param secretNames - The names of the encrypted settings.
 * @throws UserError naming every setting that is missing, unknown or of the wrong shape.
 */
export function parseSettings(
  raw: Readonly<Record<string, string>>,
  secretNames: ReadonlySet<string>,
  project?: string,
): Settings {
  const problems: Problem[] = [];
  // No prototype, so that a name like `constructor` is unknown.
  const values = Object.create(null) as Record<string, unknown>;
  for (const [name, value] of Object.entries(raw)) {
    try {
      values[name] =
        textSettings.has(name) || !Object.hasOwn(settingsSchema.shape, name)
          ? value
          : (JSON.parse(value) as unknown);
    } catch {
      values[name] = value; // not JSON: the schema refuses it with its message
    }
    if (secretSettings.has(name) && !secretNames.has(name)) {
      const seen = "it is kept in clear in the stack's settings file";
      const given = values[name];
      const hosts = typeof given === "object" && given !== null ? Object.keys(given) : [];
      const what = { subject: settingSubject(name, project), seen };
      problems.push(configProblem("secret-in-clear", what, name, hosts.length > 0 ? hosts : ["HOST"]));
    }
  }
  const parsed = settingsSchema.safeParse(values, { error: shapeOf });
  if (!parsed.success) problems.push(...problemsOf(parsed.error, values, project, secretNames));
  const [first, ...rest] = problems;
  if (first) throw new UserError(first, ...rest);

  const settings = parsed.data!;
  const secrets = Object.values(settings.passwords);
  if (secretNames.has("deployment")) secrets.push(...Object.values(settings.deployment.env));
  for (const secret of secrets) rememberSecret(secret);
  const [registry] = settings.registries;
  return {
    ...settings,
    supervisorContext: settings.supervisorContext ?? settings.namespace,
    clusterContext: settings.clusterContext ?? settings.cluster,
    pullSecret: {
      ...settings.pullSecret,
      namespaces: settings.pullSecret.namespaces ?? [settings.deployment.namespace],
    },
    deployment: {
      ...settings.deployment,
      image: settings.deployment.image ?? `${registry!.host}/${settings.namespace}/nginx:latest`,
      secret: secretNames.has("deployment"),
    },
  };
}

/**
 * Reads the stack's settings. Nothing else reads Pulumi's configuration.
 *
 * @throws UserError naming every setting that is missing, unknown or of the wrong shape.
 */
export function readSettings(): Settings {
  const project = pulumi.getProject();
  const ours = Object.entries(pulumi.runtime.allConfig()).flatMap(([key, value]) =>
    key.startsWith(`${project}:`) ? [[key.slice(project.length + 1), value] as const] : [],
  );
  // The language host gives the names of encrypted settings; the SDK has no public function for them.
  const secretKeys = z.array(z.string()).parse(JSON.parse(process.env["PULUMI_CONFIG_SECRET_KEYS"] ?? "[]"));
  const secretNames = new Set(secretKeys.map((key) => key.slice(project.length + 1)));
  return parseSettings(Object.fromEntries(ours), secretNames, project);
}
