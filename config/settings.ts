/**
 * The stack's settings, checked, with defaults filled in.
 * It reads nothing: readSettings.ts and settingsFile.ts do.
 */
import { type Problem, UserError } from "../support/errors";
import { rememberSecret } from "../support/secrets";
import { type Places, isNearly, problemsOf, shapeOf } from "./messages";
import { settingIn, settingSubject } from "./names";
import { type SettingFields, secretSettings, settingFields, settingsSchema, textSettings } from "./schema";
import { configProblem } from "./problems";
import { wantsLogin } from "./rules";

/** What the settings of a part have in common. */
interface Part {
  /** Whether an object that is there already is taken over. */
  readonly adopt: boolean;
  /** How messages name one of these settings, as their subject: `setting tkc-registry:nodes.user`. */
  readonly subject: (name: string) => string;
  /** The same in a remedy: `nodes.user`. */
  readonly setting: (name: string) => string;
}

/** The settings of the nodes' trust, checked, with defaults filled in. */
export type TrustSettings = Omit<
  SettingFields,
  "supervisorContext" | "clusterContext" | "pullSecret" | "deployment" | "adopt" | "deleteAdopted"
> &
  Part & { readonly supervisorContext: string; readonly clusterContext: string };
export type RegistrySettings = TrustSettings["registries"][number];

/** The settings of a pull secret. */
export type PullSecretSettings = SettingFields["pullSecret"] &
  Part & {
    readonly namespaces: readonly string[];
    /** Whether Secrets that were adopted are deleted with the stack. */
    readonly deleteAdopted: boolean;
  };

/** The settings of a Deployment. */
export type DeploymentSettings = Omit<SettingFields["deployment"], "enabled"> &
  Part & {
    readonly image: string;
    /** Whether any of these settings is kept encrypted: then the values of `env` are secrets. */
    readonly secret: boolean;
    /** The name of the pull secret of its pods. */
    readonly pullSecret: string | undefined;
    /** Whether a Deployment that was adopted is deleted with the stack. */
    readonly deleteAdopted: boolean;
  };

/** Those of one that is planned by itself. In a preview its image may come from a resource that is not made yet. */
export type LateDeploymentSettings = Omit<DeploymentSettings, "image"> & {
  readonly image: string | undefined;
};

/** The settings of all parts that one workload cluster has. */
export interface Settings {
  readonly trust: TrustSettings;
  /** None where no registry wants a login. */
  readonly pullSecrets: readonly PullSecretSettings[];
  readonly deployments: readonly DeploymentSettings[];
}

/** A stack's raw configuration. */
export interface RawSettings {
  /** The project's own settings by name without namespace, as Pulumi gives them: text or JSON. */
  readonly values: Readonly<Record<string, string>>;
  /** The names of the settings that are encrypted, or have something encrypted in them. */
  readonly secretNames: ReadonlySet<string>;
  readonly project?: string | undefined;
  /** The places of encrypted values that could not be decrypted. Each has some text instead. */
  readonly encrypted?: Places;
}

const isSetting = (name: string): boolean => Object.hasOwn(settingsSchema.shape, name);

/** The settings as values. */
function valuesOf({ values }: RawSettings): Readonly<Record<string, unknown>> {
  // No prototype, so that a name like `constructor` is unknown.
  const parsed = Object.create(null) as Record<string, unknown>;
  for (const [name, value] of Object.entries(values)) {
    try {
      parsed[name] = textSettings.has(name) || !isSetting(name) ? value : (JSON.parse(value) as unknown);
    } catch {
      parsed[name] = value; // not JSON: the schema refuses it with its message
    }
  }
  return parsed;
}

/** Passwords that are kept in clear. Pulumi says only of a whole setting whether anything of it is encrypted. */
function findClearSecrets(
  values: Readonly<Record<string, unknown>>,
  { secretNames, project, encrypted = [] }: RawSettings,
): Problem[] {
  return [...secretSettings].flatMap((name) => {
    if (!(name in values)) return [];
    const given = values[name];
    const hosts = typeof given === "object" && given !== null ? Object.keys(given) : [];
    const known = encrypted.filter(([first, host]) => first === name && host !== undefined);
    const clear = secretNames.has(name)
      ? hosts.filter((host) => known.length > 0 && !known.some((place) => place[1] === host))
      : [...hosts, ...(hosts.length === 0 ? ["HOST"] : [])];
    if (clear.length === 0) return [];
    const seen = "it is kept in clear in the stack's settings file";
    return [configProblem("secret-in-clear", { subject: settingSubject(name, project), seen }, name, clear)];
  });
}

/** Encrypted values in places that no rule compares with others. */
const isLone = (place: readonly PropertyKey[]): boolean =>
  (place[0] === "passwords" && place.length > 1) || (place[0] === "deployment" && place[1] === "env");

/**
 * Checks a stack's raw configuration.
 *
 * @returns All that is wrong, and, if nothing is, the settings. What cannot be decrypted is taken for right where text
 * may be; then settings are not compared with it.
 */
export function checkSettings(raw: RawSettings): {
  readonly problems: readonly Problem[];
  readonly fields: SettingFields | undefined;
} {
  const { project, secretNames, encrypted = [] } = raw;
  const values = valuesOf(raw);
  const problems = findClearSecrets(values, raw);
  const schema = encrypted.every(isLone) ? settingsSchema : settingFields;
  const { error, data } = schema.safeParse(values, { error: shapeOf });
  if (error)
    problems.push(
      ...problemsOf(error, values, (name) => settingSubject(name, project), secretNames, encrypted),
    );
  return { problems, fields: data };
}

/**
 * Checks a stack's raw configuration and fills in the defaults.
 *
 * @param beside - Problems that are known already.
 * @throws UserError naming every setting that is missing, unknown or of the wrong shape.
 */
export function parseSettings(
  values: Readonly<Record<string, string>>,
  secretNames: ReadonlySet<string>,
  project?: string,
  beside: readonly Problem[] = [],
): Settings {
  const { problems, fields } = checkSettings({ values, secretNames, project });
  const [first, ...rest] = [...beside, ...problems];
  if (first) throw new UserError(first, ...rest);

  const settings = fields!;
  const secrets = Object.values(settings.passwords);
  if (secretNames.has("deployment")) secrets.push(...Object.values(settings.deployment.env));
  for (const secret of secrets) rememberSecret(secret);
  const { pullSecret, deployment, adopt, deleteAdopted, ...trust } = settings;
  const part = (section = ""): Part => ({
    adopt,
    subject: (name) => settingSubject(settingIn(section, name), project),
    setting: (name) => settingIn(section, name),
  });
  const login = wantsLogin(trust);
  const [registry] = trust.registries;
  return {
    trust: {
      ...trust,
      ...contextsOf(trust),
      ...part(),
    },
    pullSecrets: login
      ? [
          {
            ...pullSecret,
            ...part("pullSecret"),
            namespaces: pullSecret.namespaces ?? [deployment.namespace],
            deleteAdopted,
          },
        ]
      : [],
    deployments: deployment.enabled
      ? [
          {
            ...deployment,
            ...part("deployment"),
            image: deployment.image ?? `${registry!.host}/${trust.namespace}/nginx:latest`,
            secret: secretNames.has("deployment"),
            pullSecret: login ? pullSecret.name : undefined,
            deleteAdopted,
          },
        ]
      : [],
  };
}

/** The kubeconfig contexts, which by default have the names that `kubectl vsphere login` gives them. */
export const contextsOf = ({
  namespace,
  cluster,
  supervisorContext = namespace,
  clusterContext = cluster,
}: Pick<SettingFields, "namespace" | "cluster" | "supervisorContext" | "clusterContext">): Pick<
  TrustSettings,
  "supervisorContext" | "clusterContext"
> => ({ supervisorContext, clusterContext });

/**
 * Takes the project's own settings out of a stack's configuration.
 *
 * @param configuration - By name with namespace.
 * @returns Also a problem for each of our settings whose namespace is nearly the project's: it has no effect.
 */
export function ownSettings(
  configuration: Readonly<Record<string, string>>,
  project: string,
): { readonly values: Readonly<Record<string, string>>; readonly problems: readonly Problem[] } {
  const values: [string, string][] = [];
  const problems: Problem[] = [];
  for (const [key, value] of Object.entries(configuration)) {
    const colon = key.indexOf(":");
    const [namespace, name] = [key.slice(0, colon), key.slice(colon + 1)];
    if (namespace === project) values.push([name, value]);
    else if (isNearly(namespace, project) && isSetting(name)) {
      const what = { subject: settingSubject(name, namespace), seen: `the project is ${project}` };
      problems.push(configProblem("unknown-setting", what, [], `${project}:${name}`));
    }
  }
  return { values: Object.fromEntries(values), problems };
}
