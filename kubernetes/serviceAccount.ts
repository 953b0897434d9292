/**
 * The command behind the pull secret's entry in a ServiceAccount. `imagePullSecrets` is an atomic list: server-side apply
 * would replace other people's entries, so it is read, changed and written back on the condition that nobody wrote in between.
 */
import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { childEnvironment } from "../support/children";
import { UserError } from "../support/errors";
import { objectName } from "../support/names";
import { printable } from "../support/text";
import { readAnswer } from "./kubectl";

/** Names the entries that this program put in, so that a run that was cut off before it reported knows its own. */
const oursAnnotation = "tkc-registry/image-pull-secrets";
const conflictRetries = 10;

export interface KubectlResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}
export type Kubectl = (args: readonly string[]) => Promise<KubectlResult>;

/** What the entry is about. */
export interface Attachment {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly pullSecret: string;
}

/** What the command's stdout says, and the next run reads: no more than must be known. */
export interface AttachmentState extends Attachment {
  /** The entry was there before us: it stays when we go. */
  readonly preexisting: boolean;
}

const attachmentSchema = z.object({
  namespace: objectName,
  serviceAccount: objectName,
  pullSecret: objectName,
});
const accountSchema = z.object({
  metadata: z.object({
    resourceVersion: z.string().min(1),
    annotations: z.record(z.string(), z.string()).optional(),
  }),
  imagePullSecrets: z.array(z.looseObject({ name: z.string().optional() })).optional(),
});
type Account = z.infer<typeof accountSchema>;
/** One step of a JSON patch (RFC 6902). */
export interface PatchStep {
  readonly op: "test" | "add" | "remove" | "replace";
  readonly path: string;
  readonly value?: unknown;
}

const annotationPath = `/metadata/annotations/${oursAnnotation.replaceAll("~", "~0").replaceAll("/", "~1")}`;

function namesOfOurs({ metadata }: Account): string[] {
  return (metadata.annotations?.[oursAnnotation] ?? "").split(",").filter((name) => name !== "");
}

function annotationStep(account: Account, names: readonly string[]): PatchStep[] {
  if (names.length > 0) {
    return account.metadata.annotations
      ? [{ op: "add", path: annotationPath, value: names.join(",") }]
      : [{ op: "add", path: "/metadata/annotations", value: { [oursAnnotation]: names.join(",") } }];
  }
  return account.metadata.annotations?.[oursAnnotation] === undefined
    ? []
    : [{ op: "remove", path: annotationPath }];
}

/** The patch that puts the entry last in the list; none where it is there. */
export function attachPatch(account: Account, pullSecret: string): PatchStep[] {
  const list = account.imagePullSecrets;
  if (list?.some(({ name }) => name === pullSecret)) return [];
  const ours = [...new Set([...namesOfOurs(account), pullSecret])].sort();
  return [
    { op: "test", path: "/metadata/resourceVersion", value: account.metadata.resourceVersion },
    list
      ? { op: "add", path: "/imagePullSecrets/-", value: { name: pullSecret } }
      : { op: "add", path: "/imagePullSecrets", value: [{ name: pullSecret }] },
    ...annotationStep(account, ours),
  ];
}

/** The patch that takes the entry out; none where it is not there. */
export function detachPatch(account: Account, pullSecret: string): PatchStep[] {
  const list = account.imagePullSecrets ?? [];
  const kept = list.filter(({ name }) => name !== pullSecret);
  const names = namesOfOurs(account);
  const ours = names.filter((name) => name !== pullSecret);
  if (kept.length === list.length && ours.length === names.length) return [];
  const path = "/imagePullSecrets";
  const change: PatchStep[] =
    kept.length === list.length
      ? []
      : kept.length > 0
        ? [{ op: "replace", path, value: kept }]
        : [{ op: "remove", path }];
  return [
    { op: "test", path: "/metadata/resourceVersion", value: account.metadata.resourceVersion },
    ...change,
    ...annotationStep(account, ours),
  ];
}

/** Reads back what {@link formatState} wrote. */
export function parseState(stdout: string | undefined): AttachmentState | undefined {
  const fields = new Map(
    (stdout ?? "").split("\n").map((line) => {
      const at = line.indexOf("=");
      return [line.slice(0, at), line.slice(at + 1).trim()];
    }),
  );
  const parsed = attachmentSchema.safeParse({
    namespace: fields.get("namespace"),
    serviceAccount: fields.get("service-account"),
    pullSecret: fields.get("pull-secret"),
  });
  return parsed.success ? { ...parsed.data, preexisting: fields.get("preexisting") === "true" } : undefined;
}

export function formatState({ namespace, serviceAccount, pullSecret, preexisting }: AttachmentState): string {
  return `namespace=${namespace}\nservice-account=${serviceAccount}\npull-secret=${pullSecret}\npreexisting=${preexisting}\n`;
}

interface Client {
  readonly context: string;
  readonly kubectl: Kubectl;
}

function refused(
  client: Client,
  { namespace, serviceAccount }: Attachment,
  { stderr, code }: KubectlResult,
): UserError {
  const said = printable(stderr.trim().split("\n").at(-1) ?? "", 400) || `kubectl ended with code ${code}`;
  const remedy = /Unauthorized|must be logged in/i.test(said)
    ? "Log in again: `npm run login -- --server SUPERVISOR --namespace NAMESPACE --cluster CLUSTER`"
    : said.includes("Forbidden")
      ? "Have the right given to get and patch serviceaccounts there"
      : "Check that the context works: `kubectl --context " +
        client.context +
        " get serviceaccounts -n " +
        namespace +
        "`";
  return new UserError({
    code: "service-account",
    subject: `ServiceAccount ${namespace}/${serviceAccount} (context ${client.context})`,
    seen: said,
    remedy,
  });
}

async function read(client: Client, target: Attachment): Promise<Account | undefined> {
  const { namespace, serviceAccount } = target;
  const args = ["get", "serviceaccount", serviceAccount, "--namespace", namespace, "--output", "json"];
  const result = await client.kubectl(["--context", client.context, "--request-timeout", "20s", ...args]);
  if (result.code === 0) {
    const subject = `ServiceAccount ${namespace}/${serviceAccount} (context ${client.context})`;
    return readAnswer(accountSchema, subject, result.stdout);
  }
  // Of the namespace or of the ServiceAccount in it, which is all the same here.
  if (result.stderr.includes("(NotFound)")) return undefined;
  throw refused(client, target, result);
}

/** Changes the ServiceAccount by a patch that fails if it was written since it was read, and then tries again. */
async function change(
  client: Client,
  target: Attachment,
  plan: (account: Account) => readonly PatchStep[],
): Promise<Account | undefined> {
  const { namespace, serviceAccount } = target;
  let last: KubectlResult | undefined;
  let lastVersion: string | undefined;
  for (let left = conflictRetries; left > 0; left -= 1) {
    const account = await read(client, target);
    if (!account) return undefined;
    // kubectl tells no conflict of a patch's test from another refusal: it was one if the object has changed.
    if (last && account.metadata.resourceVersion === lastVersion) throw refused(client, target, last);
    const steps = plan(account);
    if (steps.length === 0) return account;
    last = await client.kubectl([
      ...["--context", client.context, "--request-timeout", "20s"],
      ...["patch", "serviceaccount", serviceAccount, "--namespace", namespace],
      ...["--type", "json", "--patch", JSON.stringify(steps)],
    ]);
    if (last.code === 0) return account;
    if (/\((?:Forbidden|Unauthorized)\)/.test(last.stderr)) throw refused(client, target, last);
    lastVersion = account.metadata.resourceVersion;
  }
  throw refused(client, target, last!);
}

/**
 * Adds the entry, at the end of the list.
 *
 * @param previous - The state that the last run reported.
 * @param options.waitSeconds - How long to wait for the ServiceAccount: in a new namespace it takes a moment to appear.
 * @throws UserError: `service-account`, `service-account-missing`.
 */
export async function attach(
  target: Attachment,
  previous: AttachmentState | undefined,
  options: Client & { waitSeconds: number },
): Promise<AttachmentState> {
  const deadline = performance.now() + options.waitSeconds * 1000;
  let before: Account | undefined;
  while (!(before = await change(options, target, (account) => attachPatch(account, target.pullSecret)))) {
    if (performance.now() >= deadline) {
      throw new UserError({
        code: "service-account-missing",
        subject: `ServiceAccount ${target.namespace}/${target.serviceAccount} (context ${options.context})`,
        seen: `it does not exist, nor came into being within ${options.waitSeconds} s`,
        remedy: "Create the namespace or the ServiceAccount, or correct its name",
      });
    }
    await sleep(1000);
  }
  const same = previous !== undefined && sameAttachment(previous, target);
  // An entry of another ServiceAccount or namespace, from before the settings were changed.
  if (previous && !same) await detach(previous, previous, options);
  const wasThere = before.imagePullSecrets?.some(({ name }) => name === target.pullSecret) ?? false;
  const wasOurs = namesOfOurs(before).includes(target.pullSecret) || (same && !previous.preexisting);
  return { ...target, preexisting: wasThere && !wasOurs };
}

function sameAttachment(a: Attachment, b: Attachment): boolean {
  return (
    a.namespace === b.namespace && a.serviceAccount === b.serviceAccount && a.pullSecret === b.pullSecret
  );
}

/**
 * Takes the entry out, unless it was there before us.
 *
 * @param previous - The state that the last run reported; without it, only an entry that carries our mark is ours.
 * @returns What was done, for people.
 * @throws UserError (`service-account`).
 */
export async function detach(
  target: Attachment,
  previous: AttachmentState | undefined,
  client: Client,
): Promise<string> {
  const where = `ServiceAccount ${target.namespace}/${target.serviceAccount}`;
  const reported = previous !== undefined && sameAttachment(previous, target) && !previous.preexisting;
  const isOurs = (account: Account): boolean => reported || namesOfOurs(account).includes(target.pullSecret);
  const before = await change(client, target, (account) =>
    isOurs(account) ? detachPatch(account, target.pullSecret) : [],
  );
  if (!before) return `${where} does not exist any more: nothing to remove`;
  if (!before.imagePullSecrets?.some(({ name }) => name === target.pullSecret)) {
    return `${where} does not have ${target.pullSecret}: nothing to remove`;
  }
  return isOurs(before)
    ? `${where}: ${target.pullSecret} removed`
    : `${where} had ${target.pullSecret} before: it stays`;
}

const kubectlLimits = { maxBuffer: 1024 * 1024, timeout: 30_000, killSignal: "SIGKILL" } as const;

const runKubectl: Kubectl = (args) =>
  new Promise((resolve, reject) => {
    execFile("kubectl", args, { env: childEnvironment(), ...kubectlLimits }, (error, stdout, stderr) => {
      if (error?.code === ("ENOENT" as never)) {
        reject(
          new UserError({
            code: "kubectl-missing",
            subject: "kubectl",
            seen: "it is not on PATH",
            remedy: "Install it",
          }),
        );
      } else resolve({ code: error ? Number(error.code) || 1 : 0, stdout, stderr });
    });
  });

const environmentSchema = z.object({
  TKC_REGISTRY_CLUSTER_CONTEXT: z.string().min(1),
  TKC_REGISTRY_NAMESPACE: objectName,
  TKC_REGISTRY_SERVICE_ACCOUNT: objectName,
  TKC_REGISTRY_PULL_SECRET: objectName,
});

/**
 * `v1 service-account attach | detach`: what it is about comes by environment (`TKC_REGISTRY_CLUSTER_CONTEXT`,
 * `_NAMESPACE`, `_SERVICE_ACCOUNT`, `_PULL_SECRET`), the last run's stdout as `PULUMI_COMMAND_STDOUT`. The environment
 * is in state, where `detach` finds it with no program running: it is an interface.
 */
export async function serviceAccount(args: readonly string[]): Promise<void> {
  const [verb] = args;
  const parsed = environmentSchema.safeParse(process.env);
  if ((verb !== "attach" && verb !== "detach") || !parsed.success) {
    throw new UserError({
      code: "bad-arguments",
      subject: "command service-account",
      seen: parsed.success
        ? `"${printable(verb ?? "", 40)}" is neither attach nor detach`
        : `${parsed.error.issues.map(({ path }) => path.join(".")).join(", ")} not set, or no name`,
      remedy: "It is for the stack's own resources; run `pulumi up` or `pulumi destroy`",
    });
  }
  const environment = parsed.data;
  const target: Attachment = {
    namespace: environment.TKC_REGISTRY_NAMESPACE,
    serviceAccount: environment.TKC_REGISTRY_SERVICE_ACCOUNT,
    pullSecret: environment.TKC_REGISTRY_PULL_SECRET,
  };
  const previous = parseState(process.env.PULUMI_COMMAND_STDOUT);
  const client: Client = { context: environment.TKC_REGISTRY_CLUSTER_CONTEXT, kubectl: runKubectl };
  if (verb === "attach") {
    process.stdout.write(formatState(await attach(target, previous, { ...client, waitSeconds: 60 })));
  } else {
    process.stdout.write(`${await detach(target, previous, client)}\n`);
  }
}
