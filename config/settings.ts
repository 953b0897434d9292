/**
 * The stack's settings, read and checked, with defaults filled in.
 * It reads nothing but the configuration.
 */
import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { type Problem, UserError } from "../support/errors";
import { rememberSecret } from "../support/secrets";
import { problemsOf, shapeOf } from "./messages";
import { settingIn, settingSubject } from "./names";
import { type SettingFields, secretSettings, settingsSchema, textSettings } from "./schema";
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
  if (!parsed.success)
    problems.push(...problemsOf(parsed.error, values, (name) => settingSubject(name, project), secretNames));
  const [first, ...rest] = problems;
  if (first) throw new UserError(first, ...rest);

  const settings = parsed.data!;
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
