/**
 * The kubeconfig file: finds it, and adds entries to it.
 * It never removes an entry, and never quotes the file in a message.
 */
import { randomBytes } from "node:crypto";
import { chown, lstat, mkdir, open, readFile, realpath, rename, rm, stat } from "node:fs/promises";
import * as path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import { type Problem, UserError } from "../support/errors";
import { printable } from "../support/text";
import { kubernetesProblem } from "./problems";

/** A context with its cluster and its user, as `login` writes them. */
export interface KubeconfigEntry {
  /** The context's name. */
  readonly context: string;
  /** The context's namespace. Without it, an existing context keeps its namespace. */
  readonly namespace?: string;
  /** Name of the cluster's entry. */
  readonly cluster: string;
  /** `https://host:6443` */
  readonly server: string;
  /** The CAs that verify the server, as PEM; empty for a server with a public certificate. */
  readonly ca: readonly string[];
  /** Name of the user's entry. */
  readonly user: string;
  readonly token: string;
}

const entries = z
  .array(z.looseObject({ name: z.string() }))
  .nullish()
  .transform((list) => list ?? []);
const kubeconfigSchema = z.looseObject({
  clusters: entries,
  contexts: entries,
  users: entries,
  "current-context": z.string().nullish(),
});
type Named = z.infer<typeof entries>[number];
type Fields = Record<string, unknown>;

function fieldsOf(list: readonly Named[], name: unknown, field: string): Fields | undefined {
  const value = list.find((entry) => entry.name === name)?.[field];
  return typeof value === "object" && value !== null ? (value as Fields) : undefined;
}

function malformed(file: string, seen: string): UserError {
  return kubernetesProblem.error("kubeconfig-malformed", { subject: `kubeconfig ${file}`, seen }, "content");
}

/** Parses YAML. No message quotes it, since a kubeconfig holds tokens and keys. */
export async function parseKubeconfigYaml(text: string, file: string): Promise<Record<string, unknown>> {
  if (text.replace(/^\s*(?:#.*)?$/gm, "").trim() === "") return {};
  const { loadYaml } = await import("./kubernetesClient.js");
  let value: unknown;
  try {
    value = loadYaml(text);
  } catch (error) {
    const line = (error as { mark?: { line?: number } }).mark?.line;
    throw malformed(file, line === undefined ? "it is not YAML" : `it is not YAML at line ${line + 1}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw malformed(file, "it is not a kubeconfig");
  return { ...value };
}

/**
 * Adds entries to a kubeconfig's text, or updates them. Everything else stays, except comments, as with kubectl's own
 * `config set-…`. The current context stays too, if there is one.
 *
 * @param force - Replaces entries of the same name that are for another server or have another kind of credential.
 * @throws UserError (`kubeconfig-conflict`) that names each such entry, `kubeconfig-malformed`.
 */
export async function mergeKubeconfig(
  text: string,
  entries: readonly KubeconfigEntry[],
  options: { file: string; force: boolean },
): Promise<string> {
  const { file, force } = options;
  const parsed = kubeconfigSchema.safeParse(await parseKubeconfigYaml(text, file));
  if (!parsed.success) {
    throw malformed(
      file,
      `it is not a kubeconfig at "${parsed.error.issues[0]?.path.map(String).join(".") ?? ""}"`,
    );
  }
  const config = parsed.data;
  const { clusters, contexts, users } = config;
  const lists = { clusters, contexts, users };
  if (!force) refuseConflicts(lists, entries, file);
  for (const entry of entries) {
    put(lists.clusters, entry.cluster, "cluster", (old) => clusterFields(old, entry));
    put(lists.users, entry.user, "user", () => ({ token: entry.token }));
    put(lists.contexts, entry.context, "context", (old) => ({
      ...old,
      cluster: entry.cluster,
      user: entry.user,
      ...(entry.namespace === undefined ? {} : { namespace: entry.namespace }),
    }));
  }
  const { dumpYaml } = await import("./kubernetesClient.js");
  const merged = { apiVersion: "v1", kind: "Config", ...config, ...lists };
  const [first] = entries;
  if (!merged["current-context"] && first) merged["current-context"] = first.context;
  return dumpYaml(merged, { lineWidth: -1 });
}

function put(list: Named[], name: string, field: string, change: (old: Fields) => Fields): void {
  const existing = list.find((entry) => entry.name === name);
  if (existing) existing[field] = change(fieldsOf(list, name, field) ?? {});
  else list.push({ name, [field]: change({}) });
}

/** Keeps fields that another client set for the same server, such as a proxy, and replaces those of the trust. */
function clusterFields(old: Fields, { server, ca }: KubeconfigEntry): Fields {
  const trust = [
    "certificate-authority",
    "certificate-authority-data",
    "insecure-skip-tls-verify",
    "tls-server-name",
  ];
  return {
    ...Object.fromEntries(Object.entries(old).filter(([key]) => !trust.includes(key))),
    server,
    ...(ca.length === 0 ? {} : { "certificate-authority-data": Buffer.from(ca.join("")).toString("base64") }),
  };
}

function sameServer(a: unknown, b: string): boolean {
  if (typeof a !== "string" || !URL.canParse(a)) return false;
  return new URL(a).href === new URL(b).href;
}

const shownServer = (server: unknown): string =>
  typeof server === "string" ? printable(server) : "no server";

function refuseConflicts(
  { clusters, contexts, users }: Record<"clusters" | "contexts" | "users", readonly Named[]>,
  entries: readonly KubeconfigEntry[],
  file: string,
): void {
  const problems = new Map<string, Problem>();
  const conflict = (seen: string, remedy: "entry" | "context"): void =>
    void problems.set(
      seen,
      kubernetesProblem("kubeconfig-conflict", { subject: `kubeconfig ${file}`, seen }, remedy),
    );
  for (const entry of entries) {
    const cluster = fieldsOf(clusters, entry.cluster, "cluster");
    if (cluster && !sameServer(cluster.server, entry.server)) {
      conflict(
        `the cluster "${entry.cluster}" there is for ${shownServer(cluster.server)}, not ${entry.server}`,
        "entry",
      );
    }
    const context = fieldsOf(contexts, entry.context, "context");
    const server = context && fieldsOf(clusters, context.cluster, "cluster")?.server;
    if (context && !sameServer(server, entry.server)) {
      conflict(
        `the context "${entry.context}" there is for ${shownServer(server)}, not ${entry.server}`,
        "context",
      );
    }
    const user = fieldsOf(users, entry.user, "user");
    const other = Object.keys(user ?? {}).filter((key) => key !== "token");
    if (other.length > 0)
      conflict(`the user "${entry.user}" there has ${printable(other.join(", "))}`, "entry");
  }
  const [first, ...rest] = problems.values();
  if (first) throw new UserError(first, ...rest);
}

const lockSeconds = 10;

/**
 * Replaces a kubeconfig file: writes a temporary file of mode 0600 and renames it. Keeps a symbolic link.
 * Holds kubectl's own lock (`<file>.lock`).
 *
 * @param change - Makes the new text from the old one, which is empty if there is no file.
 * @throws UserError: `kubeconfig-locked`, `kubeconfig-unwritable`, and what `change` throws.
 */
export async function updateKubeconfig(
  file: string,
  change: (text: string) => Promise<string>,
): Promise<void> {
  const unwritable = (error: unknown): unknown => {
    const { code } = error as NodeJS.ErrnoException;
    if (error instanceof UserError || code === undefined) return error;
    return kubernetesProblem.error(
      "kubeconfig-unwritable",
      { subject: `kubeconfig ${file}`, seen: `it cannot be written (${code})` },
      "folder",
    );
  };
  try {
    const target = await resolveTarget(path.resolve(file));
    await mkdir(path.dirname(target), { recursive: true, mode: 0o700 });
    const release = await lock(target);
    try {
      const old = await readFile(target, "utf8").catch((error: unknown) => {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
        throw error;
      });
      await replaceFile(target, await change(old));
    } finally {
      await release();
    }
  } catch (error) {
    throw unwritable(error);
  }
}

async function resolveTarget(file: string): Promise<string> {
  try {
    return await realpath(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    const link = await lstat(file).catch(() => undefined);
    if (!link) return file;
    throw kubernetesProblem.error(
      "kubeconfig-unwritable",
      { subject: `kubeconfig ${file}`, seen: "it is a symbolic link to a file that does not exist" },
      "link",
    );
  }
}

async function lock(target: string): Promise<() => Promise<void>> {
  const file = `${target}.lock`;
  for (let left = lockSeconds * 10; ; left -= 1) {
    try {
      await (await open(file, "wx", 0o600)).close();
      return () => rm(file, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      if (left === 0) {
        throw kubernetesProblem.error("kubeconfig-locked", {
          subject: `kubeconfig ${target}`,
          seen: `another program holds ${file}`,
        });
      }
      await sleep(100);
    }
  }
}

async function replaceFile(target: string, text: string): Promise<void> {
  const aside = `${target}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    const handle = await open(aside, "wx", 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    const owner = await stat(target).catch(() => undefined);
    // Under sudo, root must not become the owner.
    if (owner && owner.uid !== process.getuid?.()) await chown(aside, owner.uid, owner.gid);
    await rename(aside, target);
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
}
