/**
 * The arguments of components, checked as the settings of the same names are.
 * It takes plain values: nothing here waits for an output.
 */
import type * as z from "zod";
import { UserError } from "../support/errors";
import { rememberSecret } from "../support/secrets";
import { parseImageHost } from "../registry/host";
import { problemsOf, shapeOf } from "./messages";
import { settingName } from "./names";
import { configProblem } from "./problems";
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
  const [first, ...rest] = problemsOf(parsed.error, raw, subject, undefined);
  throw new UserError(first!, ...rest);
}

/** The arguments of a cluster, by the names that its settings have. */
const clusterArguments: ReadonlyMap<string, string> = new Map([
  ["namespace", "namespace"],
  ["cluster", "name"],
  ["supervisorContext", "supervisorContext"],
  ["clusterContext", "context"],
]);

/** The settings of a part, by the names that `Pulumi.<stack>.yaml` has for them. */
export type RawSettings = Readonly<Record<string, unknown>>;

/** The entries of what should have some; none where it is of another kind, which the schema tells. */
const entriesOf = (value: unknown): RawSettings =>
  typeof value === "object" && value !== null ? (value as RawSettings) : {};

/** A registry's host as the schema has it, or what is given where it refuses that. */
function hostOf(registry: unknown): string {
  const { host } = entriesOf(registry);
  const text = typeof host === "string" ? host : "";
  try {
    return parseImageHost(text, { subject: "" }).host;
  } catch {
    return text;
  }
}

/** Refuses an argument of the cluster that there is not. */
function checkCluster(component: string, cluster: RawSettings): void {
  const known = [...clusterArguments.values()];
  const [first, ...rest] = Object.keys(cluster)
    .filter((name) => !known.includes(name))
    .map((name) =>
      configProblem(
        "unknown-setting",
        { subject: `${component}: ${settingName(["cluster", name])}`, seen: "there is no such setting" },
        known,
      ),
    );
  if (first) throw new UserError(first, ...rest);
}

/**
 * @param component - Names the component in messages: `RegistryTrust prod`.
 * @param args - The component's arguments, which nothing has checked.
 * @param jumpbox - The pod's name where none is given.
 * @throws UserError naming every argument that is missing, unknown or of the wrong shape.
 */
export function trustArguments(component: string, args: RawSettings, jumpbox: string): TrustSettings {
  const { cluster, registries, ...rest } = args;
  const given = entriesOf(cluster);
  checkCluster(component, given);
  const names = new Map([...clusterArguments].map(([setting, name]) => [setting, `cluster.${name}`]));
  const passwords = new Map<string, unknown>();
  const logins = (registry: unknown, index: number): unknown => {
    const { password, ...login } = entriesOf(entriesOf(registry)["credentials"]);
    if (password === undefined && !("username" in login)) return registry;
    const host = hostOf(registry);
    passwords.set(host, password);
    names.set(settingName(["passwords", host]), `registries[${index}].credentials.password`);
    return { ...entriesOf(registry), credentials: { from: "password", ...login } };
  };
  const raw = {
    ...rest,
    ...Object.fromEntries([...clusterArguments].map(([setting, name]) => [setting, given[name]])),
    registries: Array.isArray(registries) ? registries.map(logins) : registries,
    passwords: Object.fromEntries(passwords),
    jumpbox:
      typeof args["jumpbox"] === "object"
        ? { ...args["jumpbox"], name: entriesOf(args["jumpbox"])["name"] ?? jumpbox }
        : (args["jumpbox"] ?? { name: jumpbox }),
  };
  const named = naming(component, (setting) => names.get(setting) ?? setting);
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
 * @param more.registries - Those that the nodes trust: the image is of one of them, where these are known.
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
