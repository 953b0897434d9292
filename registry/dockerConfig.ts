/**
 * Registry credentials: read from Docker's configuration or a credential helper, and written as a pull secret.
 * It never writes the operator's file, and never puts a credential into a message.
 */
import { execFile } from "node:child_process";
import * as path from "node:path";
import * as z from "zod";
import { basicCredential } from "../net/https";
import { childEnvironment } from "../support/childEnvironment";
import { UserError } from "../support/errors";
import { readOperatorFile } from "../support/files";
import { rememberSecret } from "../support/secrets";
import { printable, withoutUser } from "../support/text";
import { dockerHubHosts } from "./host";
import type { RegistryCredential, RegistryHost } from "./types";
import { registryProblem } from "./problems";

/** How a credential helper ended. Either output may hold the secret: neither is for messages. */
export interface HelperResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs `docker-credential-<helper> get` with the registry on its stdin.
 *
 * @throws an error with `code: "ENOENT"` where the helper is not installed.
 */
export type RunHelper = (helper: string, server: string) => Promise<HelperResult>;

const entrySchema = z.looseObject({
  auth: z.string().optional(),
  username: z.string().optional(),
  password: z.string().optional(),
  identitytoken: z.string().optional(),
  registrytoken: z.string().optional(),
});
type Entry = z.infer<typeof entrySchema>;

/** Each entry is parsed only when it is used. */
const configSchema = z.looseObject({
  auths: z.record(z.string(), z.unknown()).optional(),
  credHelpers: z.record(z.string(), z.string()).optional(),
  credsStore: z.string().optional(),
});
type DockerConfig = z.infer<typeof configSchema>;

const maxBytes = 1024 * 1024;

/** Docker's file: in the folder that `DOCKER_CONFIG` names, else in `~/.docker`, as the docker command has it. */
export function defaultDockerConfig(environment: NodeJS.ProcessEnv = process.env): string {
  return path.join(environment["DOCKER_CONFIG"] || "~/.docker", "config.json");
}

/**
 * The credential that `docker login` left for one registry, from where the docker command looks for it
 * (`cli/config/configfile/file.go` of docker 28):
 * - the helper that `credHelpers` names for the registry; an empty name there means the file itself;
 * - else the store that `credsStore` names;
 * - else, and where the store has none, the registry's own entry.
 *
 * An entry may be for a part of the registry (`host/ns1`), which docker does not write and kubelet reads: of those that
 * the image is in the longest counts, as for kubelet (`pkg/credentialprovider/keyring.go` of Kubernetes 1.33), and none
 * where there is no image. Other registries' entries are not looked into, and no helper is asked for them.
 *
 * An identity token is refused: of a pull secret, kubelet reads usernames and passwords only
 * (`pkg/credentialprovider/config.go` of Kubernetes 1.34), so that it would be ignored in silence.
 *
 * @param source - docker's `config.json`, or its text; `implied` where no setting names the file.
 * @param options.repository - The repository of the image that is to be pulled from the registry.
 * @param options.subject - The setting that names the file, for messages. No message repeats the file's content, nor what
 * a helper printed.
 * @throws UserError: `file-unreadable`, `file-too-large`, `docker-config-malformed`, `docker-config-no-entry`,
 * `docker-config-unusable-entry`, `pull-secret-identity-token`, `credential-helper-missing`, `credential-helper-failed`.
 */
export async function credentialFor(
  host: RegistryHost,
  source: { readonly path: string; readonly implied?: boolean } | { readonly text: string },
  options: { subject: string; repository?: string | undefined; runHelper?: RunHelper },
): Promise<RegistryCredential> {
  const { subject, repository, runHelper = runCredentialHelper } = options;
  const text = "text" in source ? source.text : await readConfig(source, host, subject);
  const config = parseDockerConfig(text, subject);
  const found = entryOf(config.auths ?? {}, host, repository);
  const named = Object.entries(config.credHelpers ?? {}).find(([key]) => sameRegistry(key, host));
  const helper = named ? named[1] : config.credsStore;
  const names = [
    ...(named ? [named[0]] : []),
    ...(found ? [found.key] : []),
    keyOf(host),
    host,
    `https://${host}`,
  ];
  const kept = helper ? await askHelper(helper, names, { subject, host, runHelper }) : undefined;
  if (kept) return kept;
  const inline =
    found && readEntry(found.entry, { subject: `${subject} (entry "${printable(found.key, 100)}")`, host });
  if (inline) return { ...inline, ...pathOf(found) };
  if (helper) {
    const seen = `docker-credential-${printable(helper, 60)} has no credential for ${host}`;
    throw registryProblem.error("docker-config-no-entry", { subject, seen }, host);
  }
  if (found) {
    throw registryProblem.error(
      "docker-config-unusable-entry",
      { subject, seen: `the entry of ${host} holds no credential, and no credential store is named` },
      host,
    );
  }
  // A URL may have a password in front of its host.
  const known = [...Object.keys(config.auths ?? {}), ...Object.keys(config.credHelpers ?? {})].map((key) =>
    printable(withoutUser(key), 100),
  );
  throw registryProblem.error(
    "docker-config-no-entry",
    {
      subject,
      seen: `there is no entry for ${repository === undefined ? host : `${host}/${repository}`}; there is ${known.length > 0 ? known.join(", ") : "none at all"}`,
    },
    host,
  );
}

async function readConfig(
  { path: file, implied = false }: { readonly path: string; readonly implied?: boolean },
  host: RegistryHost,
  subject: string,
): Promise<string> {
  try {
    return (await readOperatorFile(file, { subject, maxBytes })).toString("utf8");
  } catch (error) {
    if (!implied || !(error instanceof UserError) || error.problems[0]?.code !== "file-unreadable")
      throw error;
    // Nobody named this file: what is missing is a login, or a setting.
    const seen = `no setting says how to log in to ${host}, and ${error.problems[0].seen}`;
    throw registryProblem.error("docker-config-no-entry", { subject, seen }, host);
  }
}

function malformed(subject: string, seen: string): UserError {
  return registryProblem.error("docker-config-malformed", { subject, seen }, "file");
}

function misshapen(subject: string, what: string, { issues: [issue] }: z.ZodError): UserError {
  const where = issue?.path.map(String).join(".") ?? "";
  return malformed(
    subject,
    `${what} is not of the expected shape${where ? ` at "${printable(withoutUser(where), 100)}"` : ""}`,
  );
}

function parseDockerConfig(text: string, subject: string): DockerConfig {
  let json: unknown;
  try {
    json = JSON.parse(text.replace(/^\ufeff/, ""));
    JSON.stringify(json); // what is nested so deep that it could not be written again
  } catch {
    // The parser's own message quotes the text.
    throw malformed(
      subject,
      text.trim() === "" ? "docker's config.json is empty" : "docker's config.json is not JSON",
    );
  }
  const result = configSchema.safeParse(json);
  if (result.success) return result.data;
  throw misshapen(subject, "docker's config.json", result.error);
}

interface EntryKey {
  readonly host: string;
  readonly path: string;
}

/** Takes a key of `auths` apart: `host`, `host:port`, `https://host/v2/`, `host/project`. */
function parseKey(key: string): EntryKey {
  const [, host = "", path = ""] = /^(?:https?:\/\/)?([^/]*)(.*)$/i.exec(key.trim()) ?? [];
  return { host: host.toLowerCase(), path: path.replace(/^\/(?:v[12]\/?)?$/, "") };
}

/** Docker compares text. In addition, `host` and `host:443`, and the names of Docker Hub, are one registry here. */
function sameRegistry(key: string, host: RegistryHost): boolean {
  const plain = (name: string): string => {
    const withoutDefault = name.replace(/:443$/, "");
    return dockerHubHosts.includes(withoutDefault) ? "docker.io" : withoutDefault;
  };
  return plain(parseKey(key).host) === plain(host.toLowerCase());
}

/** The key that `docker login` writes: for Docker Hub, whose host images leave out, the URL of its old index. */
function keyOf(host: RegistryHost): string {
  return host === "docker.io" ? "https://index.docker.io/v1/" : host;
}

const pathOf = ({ path }: { path: string }): { path?: string } => (path === "" ? {} : { path });

function entryOf(
  auths: Record<string, unknown>,
  host: RegistryHost,
  repository: string | undefined,
): { key: string; path: string; entry: unknown } | undefined {
  const image = repository === undefined ? "/" : `/${repository}/`;
  const rank = (key: string): number =>
    key === keyOf(host) ? 0 : parseKey(key).host === host.toLowerCase() ? 1 : 2;
  const [best] = Object.entries(auths)
    .map(([key, entry]) => ({ key, entry, path: parseKey(key).path.replace(/\/+$/, "") }))
    .filter(({ key, path }) => sameRegistry(key, host) && image.startsWith(`${path}/`))
    .sort((a, b) => b.path.length - a.path.length || rank(a.key) - rank(b.key) || (a.key < b.key ? -1 : 1));
  return best;
}

function identityToken(subject: string): UserError {
  return registryProblem.error("pull-secret-identity-token", {
    subject,
    seen: "it is an identity token, which Kubernetes does not take in a pull secret",
  });
}

function readEntry(
  value: unknown,
  { subject, host }: { subject: string; host: string },
): RegistryCredential | undefined {
  const parsed = entrySchema.safeParse(value ?? {}); // Go, and so docker, takes `null` for an empty one
  if (!parsed.success) throw misshapen(subject, "it", parsed.error);
  const entry = parsed.data;
  const unusable = (seen: string): UserError =>
    registryProblem.error("docker-config-unusable-entry", { subject, seen }, host);
  let { username = "", password = "" } = entry;
  if (entry.auth) {
    const decoded = decodeAuth(entry.auth);
    if (!decoded) throw unusable("its `auth` is not the base64 of `username:password`");
    ({ username, password } = decoded);
  }
  for (const secret of [entry.auth, entry.identitytoken, entry.registrytoken]) rememberSecret(secret);
  if (username && password) return { username, password: rememberSecret(password) };
  if (entry.identitytoken) throw identityToken(subject);
  if (entry.registrytoken)
    throw unusable("it holds a bearer token of a login service, which a pull secret cannot hold");
  if (username || password) throw unusable(`its ${username ? "password" : "username"} is empty`);
  return undefined;
}

function decodeAuth(auth: string): { username: string; password: string } | undefined {
  if (!/^[A-Za-z0-9+/_=\s-]+$/.test(auth)) return undefined;
  const text = Buffer.from(auth, "base64").toString("utf8").replace(/\0+$/, "");
  const colon = text.indexOf(":");
  return colon < 1 || text.includes("\ufffd")
    ? undefined
    : { username: text.slice(0, colon), password: text.slice(colon + 1) };
}

const helperAnswerSchema = z.object({ Username: z.string().min(1), Secret: z.string().min(1) });

async function askHelper(
  helper: string,
  names: readonly string[],
  { subject, host, runHelper }: { subject: string; host: string; runHelper: RunHelper },
): Promise<RegistryCredential | undefined> {
  const program = `docker-credential-${printable(helper, 60)}`;
  // The name becomes part of a program's name: nothing of a path may be in it.
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(helper)) {
    const seen = `the credential helper's name "${printable(helper, 60)}" is not one`;
    throw registryProblem.error("docker-config-malformed", { subject, seen }, "helper");
  }
  for (const name of new Set(names)) {
    let result: HelperResult;
    try {
      result = await runHelper(helper, name);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code === "ENOENT") {
        const seen = `the credential of ${host} is kept by ${program}, which is not on PATH`;
        throw registryProblem.error("credential-helper-missing", { subject, seen });
      }
      const seen = `${program} could not be run: ${printable(message)}`;
      throw registryProblem.error("credential-helper-failed", { subject, seen }, "start");
    }
    if (result.code === 0) return readHelperAnswer(result.stdout, program, subject);
    // The protocol has no code for this case; every helper prints this text.
    if (/credentials not found/i.test(result.stdout + result.stderr)) continue;
    const seen = `${program} ended with code ${result.code}`;
    const command = `echo ${host} | ${program} get`;
    throw registryProblem.error("credential-helper-failed", { subject, seen }, "exit", command);
  }
  return undefined;
}

function readHelperAnswer(stdout: string, program: string, subject: string): RegistryCredential {
  let json: unknown;
  try {
    json = JSON.parse(stdout);
  } catch {
    json = undefined;
  }
  const answer = helperAnswerSchema.safeParse(json);
  if (!answer.success) {
    throw registryProblem.error(
      "credential-helper-failed",
      { subject, seen: `${program} answered without a username and a secret` },
      "answer",
    );
  }
  const { Username: username, Secret: password } = answer.data;
  rememberSecret(password);
  // Helpers mark an identity token by this user name.
  if (username === "<token>") throw identityToken(subject);
  return { username, password };
}

/**
 * Runs the helper itself, without a shell.
 *
 * @param seconds - how long it may take
 * @throws an error with `code: "ENOENT"` where it is not installed, and one that says so where it doesn't end by itself.
 */
export function runCredentialHelper(helper: string, server: string, seconds = 30): Promise<HelperResult> {
  return new Promise((resolve, reject) => {
    const limits = { timeout: seconds * 1000, maxBuffer: maxBytes, killSignal: "SIGKILL" } as const;
    const child = execFile(
      `docker-credential-${helper}`,
      ["get"],
      { env: childEnvironment(), ...limits },
      (error, stdout, stderr) => {
        if (!error) resolve({ code: 0, stdout, stderr });
        else if (error.code === ("ERR_CHILD_PROCESS_STDIO_MAXBUFFER" as never))
          reject(new Error("it prints without end"));
        else if (error.killed) reject(new Error(`it does not end within ${seconds} s`));
        else if (error.signal) reject(new Error(`it is ended by ${error.signal}`));
        else if (typeof error.code === "number") resolve({ code: error.code, stdout, stderr });
        else reject(Object.assign(new Error(error.message), { code: error.code }));
      },
    );
    child.stdin?.on("error", () => {}); // a helper that ends without reading says so by its exit code
    child.stdin?.end(`${server}\n`);
  });
}

/**
 * Whether a pull secret has an entry that kubelet would try for an image.
 *
 * @throws UserError (`docker-config-malformed`) when the text is not a docker config.
 */
export function hasEntryFor(
  text: string,
  { host, repository }: { readonly host: RegistryHost; readonly repository: string },
  options: { subject: string },
): boolean {
  const { auths = {} } = parseDockerConfig(text, options.subject);
  const isPattern = (key: string): boolean => parseKey(key).host.includes("*");
  return entryOf(auths, host, repository) !== undefined || Object.keys(auths).some(isPattern);
}

/** Writes the `.dockerconfigjson` of a pull secret: these registries and nothing else, in the order of their names. */
export function dockerConfigJson(
  entries: readonly { readonly host: RegistryHost; readonly credential: RegistryCredential }[],
): string {
  const auths: Record<string, Entry> = {};
  for (const { host, credential } of [...entries].sort((a, b) => (a.host < b.host ? -1 : 1))) {
    const { username, password } = credential;
    auths[`${keyOf(host)}${credential.path ?? ""}`] = {
      username,
      password,
      auth: basicCredential(username, password),
    };
  }
  return JSON.stringify({ auths });
}

/**
 * Puts our registries into a pull secret that was there before: other registries' entries, and everything else in it,
 * stay. An entry of the same registry, or part of it, under another spelling (`https://host/v2/`) goes, since kubelet
 * would try it too; one for another part of the registry (`host/project`) stays.
 *
 * @param existing - The secret's `.dockerconfigjson`.
 * @param ours - What {@link dockerConfigJson} wrote.
 * @throws UserError (`docker-config-malformed`) when the existing text is not a docker config.
 */
export function mergeDockerConfigJson(
  existing: string,
  ours: string,
  options: { subject: string } = { subject: "pull secret" },
): string {
  const theirs = parseDockerConfig(existing, options.subject);
  const added = parseDockerConfig(ours, options.subject).auths ?? {};
  const replaced = (key: string): boolean =>
    Object.keys(added).some(
      (host) => sameRegistry(key, parseKey(host).host) && parseKey(key).path === parseKey(host).path,
    );
  const { auths = {}, ...others } = theirs;
  const kept = Object.entries(auths).filter(([key]) => !replaced(key));
  // A stable order, or the next run would show a change.
  return JSON.stringify({ auths: { ...Object.fromEntries(kept), ...added }, ...others });
}
