/**
 * Reads the operator's kubeconfig as client-go does, and refuses what would send a credential to the wrong server.
 * It never makes a request, and never runs a credential plugin.
 */
import { readFile } from "node:fs/promises";
import * as path from "node:path";
import type { Cluster, Context, KubeConfig, User } from "@kubernetes/client-node";
import * as z from "zod";
import { UserError } from "../support/errors";
import { rememberSecret } from "../support/secrets";
import { printable } from "../support/text";
import { parseKubeconfigYaml } from "./kubeconfig";
import { kubeconfigFiles } from "./kubeconfigFiles";
import { type KubernetesCode, kubernetesProblem } from "./problems";

/** What client-go reads of a user and the client's own loader does not (`clientcmd/api/v1/types.go`, Kubernetes 1.33). */
const userExtras = z.looseObject({
  tokenFile: z.string().optional(),
  "as-uid": z.string().optional(),
  "as-groups": z.array(z.string()).optional(),
  "as-user-extra": z.record(z.string(), z.unknown()).optional(),
});
type UserExtras = z.infer<typeof userExtras>;

const usersSchema = z.looseObject({
  users: z
    .array(z.looseObject({ name: z.string(), user: userExtras.nullish() }))
    .nullish()
    .catch(undefined),
});

interface Loaded {
  clusters: Cluster[];
  contexts: Context[];
  users: User[];
  /** By user. */
  extras: Map<string, UserExtras>;
}

/** A kubeconfig, with the entries that one context joins. */
export interface OpenedKubeconfig {
  readonly config: KubeConfig;
  readonly cluster: Cluster;
  readonly user: User;
}

/**
 * Opens a context of the ambient kubeconfig, which becomes the current one.
 *
 * @param options.subject - The setting that names the context.
 * @param options.login - Gives the command that renews this context, for messages.
 * @throws UserError: `kubeconfig-missing`, `kubeconfig-malformed`, `context-not-found`, `context-incomplete`,
 * `context-insecure`, `context-unsupported`, `cluster-credential`.
 */
export async function openKubeconfig(
  client: { KubeConfig: new () => KubeConfig },
  name: string,
  { subject, login }: { readonly subject: string; readonly login: (server?: string) => string },
): Promise<OpenedKubeconfig> {
  const { config, extras } = await loadKubeconfig(client, subject, login());
  const context = config.contexts.find((candidate) => candidate.name === name);
  if (!context) {
    const names = config.contexts.map((candidate) => printable(candidate.name, 80)).sort();
    throw kubernetesProblem.error(
      "context-not-found",
      {
        subject,
        seen: `the kubeconfig has no context "${printable(name, 80)}"; it has ${names.join(", ") || "none"}`,
      },
      login(),
    );
  }
  const cluster = config.clusters.find((candidate) => candidate.name === context.cluster);
  const user = config.users.find((candidate) => candidate.name === context.user);
  if (!cluster || !user) {
    throw kubernetesProblem.error(
      "context-incomplete",
      {
        subject,
        seen: `the context "${name}" names a ${cluster ? "user" : "cluster"} that the kubeconfig does not have`,
      },
      login(),
    );
  }
  refuseInsecure(name, cluster, login(cluster.server));
  await completeUser(name, user, extras.get(user.name), login(cluster.server));
  config.setCurrentContext(name);
  return { config, cluster, user };
}

/** A context of the kubeconfig, with what `login` writes of it. */
export interface ListedContext {
  readonly name: string;
  readonly namespace: string | undefined;
}

/** Lists the contexts of the ambient kubeconfig, none where there is no kubeconfig. */
export async function listContexts(): Promise<readonly ListedContext[]> {
  try {
    const client = await import("./kubernetesClient.js");
    const { config } = await loadKubeconfig(client, "kubeconfig", "");
    return config.contexts.map(({ name, namespace }) => ({ name, namespace }));
  } catch (error) {
    const missing: KubernetesCode = "kubeconfig-missing";
    if (error instanceof UserError && error.problems[0]?.code === missing) return [];
    throw error;
  }
}

/** A token for whoever answers is a token given away. */
function refuseInsecure(context: string, { server, skipTLSVerify }: Cluster, login: string): void {
  const seen = skipTLSVerify
    ? "its cluster has `insecure-skip-tls-verify: true`, so that its credential would go to whoever answers"
    : /^http:/i.test(server)
      ? `its server ${printable(server)} is not HTTPS, so that its credential would go over the network in clear`
      : undefined;
  if (seen === undefined) return;
  throw kubernetesProblem.error("context-insecure", { subject: `context ${context}`, seen }, login);
}

/** A header's value: visible ASCII. Go's HTTP client refuses others too, and Node.js's may quote them. */
export const headerToken = /^[\x21-\x7e]+$/;

async function completeUser(
  context: string,
  user: User,
  { tokenFile, ...extras }: UserExtras = {},
  login: string,
): Promise<void> {
  const subject = `context ${context}`;
  const ignored = (["as-uid", "as-groups", "as-user-extra"] as const).filter(
    (key) => extras[key] !== undefined,
  );
  if (ignored.length > 0) {
    const seen = `its user has ${ignored.join(", ")}, which is not sent: requests would be made with other rights`;
    throw kubernetesProblem.error("context-unsupported", { subject, seen });
  }
  // The file counts where there is a token too, since it is what somebody renews.
  if (tokenFile !== undefined) {
    const text = await readFile(tokenFile, "utf8").catch((error: unknown) => {
      if (user.token) return user.token;
      const seen = `its tokenFile ${printable(tokenFile, 150)} cannot be read (${(error as NodeJS.ErrnoException).code})`;
      throw kubernetesProblem.error("cluster-credential", { subject, seen }, "unreadable", login);
    });
    // The user's entry has read-only fields.
    Object.assign(user, { token: text.trim() });
  }
  for (const secret of [user.token, user.password, user.keyData]) rememberSecret(secret ?? undefined);
  if (user.token && !headerToken.test(user.token)) {
    const seen = "its token has a line break, a space or another character that no HTTP header takes";
    throw kubernetesProblem.error("cluster-credential", { subject, seen }, "token");
  }
}

/** As kubectl merges: files that do not exist are passed over, and of entries of one name the first counts. */
async function loadKubeconfig(
  client: { KubeConfig: new () => KubeConfig },
  subject: string,
  login: string,
): Promise<{ readonly config: KubeConfig; readonly extras: ReadonlyMap<string, UserExtras> }> {
  const files = kubeconfigFiles();
  const merged: Loaded = { clusters: [], contexts: [], users: [], extras: new Map() };
  let found = false;
  for (const file of files) {
    const text = await readKubeconfig(file);
    if (text === undefined) continue;
    found = true;
    const raw = await parseKubeconfigYaml(text, file);
    const folder = path.dirname(path.resolve(file));
    const config = new client.KubeConfig();
    try {
      // Incomplete entries may belong to other contexts.
      if (text.trim() !== "") config.loadFromString(text, { onInvalidEntry: "filter" });
      config.makePathsAbsolute(folder);
    } catch {
      continue; // nothing but comments
    }
    addMissing(merged.clusters, config.clusters);
    addMissing(merged.contexts, config.contexts);
    addMissing(merged.users, config.users);
    for (const { name, user } of usersSchema.parse(raw).users ?? []) {
      if (!user || merged.extras.has(name)) continue;
      const { tokenFile } = user;
      merged.extras.set(name, {
        ...user,
        ...(tokenFile ? { tokenFile: path.resolve(folder, tokenFile) } : { tokenFile: undefined }),
      });
    }
  }
  if (!found) {
    throw kubernetesProblem.error(
      "kubeconfig-missing",
      { subject, seen: `there is no kubeconfig (${files.join(", ")})` },
      login,
    );
  }
  const config = new client.KubeConfig();
  config.loadFromOptions(merged);
  return { config, extras: merged.extras };
}

function addMissing<T extends { name: string }>(list: T[], more: readonly T[]): void {
  list.push(...more.filter(({ name }) => !list.some((entry) => entry.name === name)));
}

async function readKubeconfig(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    throw kubernetesProblem.error(
      "kubeconfig-malformed",
      { subject: `kubeconfig ${file}`, seen: `it cannot be read (${code})` },
      "file",
    );
  }
}
