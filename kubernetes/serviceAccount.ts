/**
 * The pull secret's entry in a ServiceAccount. `imagePullSecrets` is an atomic list: server-side apply would replace other
 * people's entries, so it is read, changed and written back if nobody else wrote in between.
 */
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import { objectName } from "../support/names";
import { printable } from "../support/text";
import { type KubeContext, apiRefusal } from "./client";
import { kubernetesProblem } from "./problems";

/** Records the entries that this program added, so that a later run knows them after an interrupted one. */
const oursAnnotation = "tkc-registry/image-pull-secrets";
const conflictRetries = 10;

/** An entry: this secret in the list of this ServiceAccount. */
export interface Attachment {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly pullSecret: string;
}

/** The command's stdout, which the next run reads. */
export interface AttachmentState extends Attachment {
  /** The entry existed before the stack, and outlives it. */
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

/** Where ServiceAccounts are. */
export interface AccountApi {
  /** The kubeconfig context, for messages. */
  readonly context: string;
  /** The ServiceAccount; `undefined` where it does not exist, nor perhaps its namespace. */
  read(target: Attachment): Promise<unknown>;
  /**
   * Patches it.
   *
   * @returns `undefined`, or the refusal of a patch that does not apply: its test fails, for one.
   */
  patch(target: Attachment, steps: readonly PatchStep[]): Promise<string | undefined>;
}

const subjectOf = ({ namespace, serviceAccount }: Attachment, { context }: AccountApi): string =>
  `ServiceAccount ${namespace}/${serviceAccount} (context ${context})`;

/** The ServiceAccounts of a cluster. */
export function accountsOf(cluster: KubeContext): AccountApi {
  const resource = "serviceaccounts";
  return {
    context: cluster.name,
    read: ({ namespace, serviceAccount: name }) =>
      cluster.find({ verb: "get", resource, namespace, name }, () =>
        cluster.core.readNamespacedServiceAccount({ namespace, name }),
      ),
    patch: ({ namespace, serviceAccount: name }, steps) =>
      cluster.request({ verb: "patch", resource, namespace, name }, async () => {
        try {
          await cluster.core.patchNamespacedServiceAccount({ namespace, name, body: steps });
          return undefined;
        } catch (error) {
          const refusal = apiRefusal(error);
          if (refusal?.status === 409 || refusal?.status === 422) return refusal.message;
          throw error;
        }
      }),
  };
}

async function read(api: AccountApi, target: Attachment): Promise<Account | undefined> {
  const found = await api.read(target);
  if (found === undefined) return undefined;
  const parsed = accountSchema.safeParse(found);
  if (parsed.success) return parsed.data;
  throw kubernetesProblem.error(
    "service-account",
    { subject: subjectOf(target, api), seen: "what the API gives is no ServiceAccount" },
    "unknown",
  );
}

/** Patches the ServiceAccount on the condition that it has not changed since it was read, and retries if it has. */
async function change(
  api: AccountApi,
  target: Attachment,
  plan: (account: Account) => readonly PatchStep[],
): Promise<Account | undefined> {
  let refusal = "";
  let lastVersion: string | undefined;
  for (let left = conflictRetries; left > 0; left -= 1) {
    const account = await read(api, target);
    if (!account) return undefined;
    // A failed test has the same status as any bad patch. It was the test if the object has changed.
    if (account.metadata.resourceVersion === lastVersion) break;
    const steps = plan(account);
    if (steps.length === 0) return account;
    const refused = await api.patch(target, steps);
    if (refused === undefined) return account;
    refusal = refused;
    lastVersion = account.metadata.resourceVersion;
  }
  throw kubernetesProblem.error(
    "service-account",
    { subject: subjectOf(target, api), seen: `it can't be changed: ${printable(refusal, 400)}` },
    "conflict",
  );
}

/**
 * Adds the entry, at the end of the list.
 *
 * @param previous - The state that the last run reported.
 * @param options.waitSeconds - How long to wait for the ServiceAccount: in a new namespace it takes a moment to appear.
 * @throws UserError: `service-account`, `service-account-missing`, and as for any request.
 */
export async function attach(
  target: Attachment,
  previous: AttachmentState | undefined,
  options: { readonly api: AccountApi; readonly waitSeconds: number },
): Promise<AttachmentState> {
  const { api } = options;
  const deadline = performance.now() + options.waitSeconds * 1000;
  let before: Account | undefined;
  while (!(before = await change(api, target, (account) => attachPatch(account, target.pullSecret)))) {
    if (performance.now() >= deadline) {
      throw kubernetesProblem.error("service-account-missing", {
        subject: subjectOf(target, api),
        seen: `it does not exist, nor came into being within ${options.waitSeconds} s`,
      });
    }
    await sleep(1000);
  }
  const same = previous !== undefined && sameAttachment(previous, target);
  // An entry of another ServiceAccount or namespace, from before the settings were changed.
  if (previous && !same) await detach(previous, previous, api);
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
 * @throws UserError `service-account`, and as for any request.
 */
export async function detach(
  target: Attachment,
  previous: AttachmentState | undefined,
  api: AccountApi,
): Promise<string> {
  const where = `ServiceAccount ${target.namespace}/${target.serviceAccount}`;
  const reported = previous !== undefined && sameAttachment(previous, target) && !previous.preexisting;
  const isOurs = (account: Account): boolean => reported || namesOfOurs(account).includes(target.pullSecret);
  const before = await change(api, target, (account) =>
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
