/**
 * The arguments of components, checked as the settings of the same names are.
 * It takes plain values: nothing here waits for an output.
 */
import type { z } from "zod";
import { UserError } from "../support/errors";
import { rememberSecret } from "../support/secrets";
import { problemsOf, shapeOf } from "./messages";
import { deploymentSchemaOf, pullSecretSchema, trustSchema } from "./schema";
import {
  type DeploymentSettings,
  type LateDeploymentSettings,
  type PullSecretSettings,
  type TrustSettings,
  contextsOf,
} from "./settings";

/** How messages name a component's arguments, given the names that the settings have. */
type Naming = Pick<TrustSettings, "subject" | "setting">;

const naming = (component: string, argument: (setting: string) => string): Naming => ({
  subject: (name) => [component, argument(name)].filter((part) => part !== "").join(": "),
  setting: argument,
});

function checked<Schema extends z.ZodType>(
  schema: Schema,
  raw: unknown,
  { subject }: Naming,
): z.output<Schema> {
  const parsed = schema.safeParse(raw, { error: shapeOf });
  if (parsed.success) return parsed.data;
  const [first, ...rest] = problemsOf(parsed.error, raw, subject, new Set());
  throw new UserError(first!, ...rest);
}

const clusterArguments: Readonly<Record<string, string>> = {
  namespace: "cluster.namespace",
  cluster: "cluster.name",
  supervisorContext: "cluster.supervisorContext",
  clusterContext: "cluster.context",
};

/** The settings of a part, by the names that `Pulumi.<stack>.yaml` has for them. */
export type RawSettings = Readonly<Record<string, unknown>>;

/**
 * @param component - Names the component in messages: `RegistryTrust prod`.
 * @throws UserError naming every argument that is missing, unknown or of the wrong shape.
 */
export function trustArguments(component: string, raw: RawSettings): TrustSettings {
  const hosts = (raw["registries"] as readonly { readonly host?: unknown }[]).map(({ host }) => host);
  const named = naming(component, (setting) => {
    const host = /^passwords\.(\w+)$|^passwords\["(.*)"\]$/.exec(setting);
    return host
      ? `registries[${hosts.indexOf(host[1] ?? host[2])}].credentials.password`
      : (clusterArguments[setting] ?? setting);
  });
  const settings = checked(trustSchema, raw, named);
  for (const password of Object.values(settings.passwords)) rememberSecret(password);
  return { ...settings, ...contextsOf(settings), ...named };
}

const inSection = (component: string, section: string): Naming =>
  naming(component, (setting) => setting.replace(new RegExp(`^${section}(\\.|$)`), ""));

/**
 * @param raw - The section `pullSecret`, with `adopt` and `deleteAdopted`.
 * @throws UserError as {@link trustArguments}.
 */
export function pullSecretArguments(component: string, raw: RawSettings): PullSecretSettings {
  const named = inSection(component, "pullSecret");
  const { pullSecret, ...shared } = checked(pullSecretSchema, raw, named);
  return { ...pullSecret, namespaces: pullSecret.namespaces ?? ["default"], ...shared, ...named };
}

/**
 * @param raw - The section `deployment`, with `adopt` and `deleteAdopted`.
 * @param more.registries - Those that the nodes trust, where they are known: the image is of one of them.
 * @param more.secret - Whether the values of `env` are secrets.
 * @throws UserError as {@link trustArguments}.
 */
export function deploymentArguments(
  component: string,
  raw: RawSettings,
  more: Pick<DeploymentSettings, "secret" | "pullSecret"> & {
    readonly registries: TrustSettings["registries"] | undefined;
  },
): LateDeploymentSettings {
  const { registries, ...rest } = more;
  const named = inSection(component, "deployment");
  const { deployment, ...shared } = checked(deploymentSchemaOf(registries), raw, named);
  if (more.secret) for (const value of Object.values(deployment.env)) rememberSecret(value);
  return { ...deployment, image: deployment.image, ...shared, ...rest, ...named };
}
