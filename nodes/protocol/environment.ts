/**
 * Parses the environment of node commands: the counterpart of `nodeEnvironment` in spec.ts.
 * It never connects to anything, and never takes a value that does not have its exact form.
 */
import { isIP } from "node:net";
import * as z from "zod";
import { type Problem, UserError } from "../../support/errors";
import { freeName, isHostName, labelValue, objectName } from "../../support/names";
import { type NodeCertificate, certificateFileName } from "../script/script";
import { type CaReport, certificateLimit, parseCaReport } from "./report";
import {
  type ClusterName,
  type NodeTarget,
  type NodeConnection,
  type StackIdentity,
  type TrustMode,
  type TrustedCertificate,
  type UnreachablePolicy,
  type Canary,
  accessSchema,
  canarySchema,
  clusterSchema,
  sshKeySchema,
  trustModes,
  trustedCertificateSchema,
  unreachablePolicies,
  defaults,
} from "./spec";
import { kubernetesProblem } from "../../kubernetes/problems";
import { type NodeSelection, selectionSchema } from "../../kubernetes/selection";
import { nodeProblem } from "../problems";

/** The environment of a node command. */
export type Environment = Readonly<Record<string, string | undefined>>;

const json = <T extends z.ZodType>(schema: T) =>
  z
    .string()
    .transform((text, context): unknown => {
      try {
        return JSON.parse(text);
      } catch {
        context.addIssue({ code: "custom", message: "is not JSON" });
        return z.NEVER;
      }
    })
    .pipe(schema);

const address = z
  .string()
  .refine((value) => isIP(value) !== 0 || isHostName(value), "is neither an IP address nor a host name");
const wholeNumber = (least: number, most: number) =>
  z
    .string()
    .regex(/^\d{1,9}$/, "is not a whole number")
    .transform(Number)
    .pipe(z.number().min(least).max(most));

/** The value of a label, as `stackOwner` makes it. */
const owner = z.string().regex(labelValue, "is not a stack's identity");

/** What the identity command of a set of nodes printed. */
export const stackId = z
  .string()
  .regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, "is not a UUID in lower case");

const hostKey = z
  .string()
  .regex(/^SHA256:[A-Za-z0-9+/]{43}$/, "is not a fingerprint as OpenSSH prints it (SHA256:…)");

const connectionSchema = z.object({
  TKC_REGISTRY_NODE_PORT: wholeNumber(1, 65535).default(defaults.port),
  TKC_REGISTRY_NODE_USER: freeName.default(defaults.user),
  TKC_REGISTRY_ACCESS: json(accessSchema),
  TKC_REGISTRY_SSH_KEY: json(sshKeySchema),
  TKC_REGISTRY_CLUSTER_CONTEXT: freeName,
  TKC_REGISTRY_CLUSTER: json(clusterSchema).optional(),
  TKC_REGISTRY_SUPERVISOR_CA: z
    .string()
    .regex(/^[0-9a-f]{64}$/, "is not a SHA-256 in lower-case hex")
    .optional(),
  TKC_REGISTRY_OWNER: owner,
  TKC_REGISTRY_ID: stackId.optional(),
  TKC_REGISTRY_READY_TIMEOUT: wholeNumber(1, 86_400).default(defaults.readyTimeout),
});
const identitySchema = z.object({
  TKC_REGISTRY_NODE: objectName,
  TKC_REGISTRY_NODE_UID: z.string().regex(/^[0-9A-Za-z-]{1,64}$/, "is not a UID"),
});
const targetSchema = z.object({
  ...identitySchema.shape,
  TKC_REGISTRY_NODE_MACHINE_ID: z.string().regex(/^([0-9A-Fa-f-]{32,36})?$/, "is not a machine id"),
  TKC_REGISTRY_NODE_HOST_NAME: z.string().refine(isHostName, "is not a host name").optional(),
  TKC_REGISTRY_NODE_ADDRESS: address,
  ...connectionSchema.shape,
  TKC_REGISTRY_HOST_KEY: hostKey.optional(),
});
const selectionsSchema = z.object({
  TKC_REGISTRY_SELECTIONS: json(z.array(selectionSchema)).optional(),
});
const sweepSchema = connectionSchema.extend({
  ...selectionsSchema.shape,
  TKC_REGISTRY_FORMER_OWNER: owner.optional(),
  TKC_REGISTRY_HOST_KEYS: json(z.record(z.string(), hostKey)).default({}),
});

const scriptSchema = z.object({
  TKC_REGISTRY_SCRIPT_SHA256: z.string().regex(/^[0-9a-f]{64}$/, "is not a SHA-256"),
});
const trustSchema = z.object({
  TKC_REGISTRY_TRUST: json(z.array(trustedCertificateSchema).min(1).max(certificateLimit)),
  TKC_REGISTRY_TRUST_BY: z
    .enum(trustModes, `is none of ${trustModes.join(", ")}`)
    .default(defaults.trustMode),
});

function read<T>(schema: z.ZodType<T>, environment: Environment): T {
  const result = schema.safeParse(environment);
  if (result.success) return result.data;
  const problems = result.error.issues.map(({ path: [variable, ...inside], message }): Problem =>
    kubernetesProblem(
      "bad-environment",
      {
        subject: [variable, ...inside].map(String).join("."),
        seen: environment[String(variable)] === undefined ? "the variable is not set" : message,
      },
      "variable",
    ),
  );
  throw new UserError(...(problems as [Problem, ...Problem[]]));
}

/** The input that all commands share. */
interface CommonInput {
  /** The stack whose certificates these are. */
  readonly stack: StackIdentity;
  /** Seconds to wait for a Node to be Ready. */
  readonly readyTimeout: number;
}

/** The input of a command for one node. */
export interface CommandInput extends CommonInput {
  readonly target: NodeTarget;
  /** The owner under which a release that made no ids recorded what this stack has on the node. */
  readonly former?: string | undefined;
}

/** The certificates that a run knows, by SHA-256. */
export type CertificatesBySha256 = ReadonlyMap<string, { readonly der: Buffer }>;

/** The input of the command for all nodes. */
export interface SweepInput extends CommonInput {
  readonly connection: NodeConnection;
  /** Which nodes the stack's runs have meant, the last run's last; undefined where that meant all. */
  readonly selections?: readonly NodeSelection[] | undefined;
  /** By node name, where configuration gives them. */
  readonly hostKeys: Readonly<Record<string, string>>;
  /** The owner under which a release that made no ids recorded what this stack had on nodes. */
  readonly former?: string | undefined;
}

/** The operator's word for a Supervisor whose CA was renewed, where no `up` can record it any more. */
function withSupervisorCa(cluster: ClusterName | undefined, ca: string | undefined): ClusterName | undefined {
  if (ca === undefined || cluster?.supervisorCa === undefined) return cluster;
  return { ...cluster, supervisorCa: [...cluster.supervisorCa, ca] };
}

function connectionOf(values: z.output<typeof connectionSchema>): NodeConnection {
  return {
    port: values.TKC_REGISTRY_NODE_PORT,
    user: values.TKC_REGISTRY_NODE_USER,
    access: values.TKC_REGISTRY_ACCESS,
    sshKey: values.TKC_REGISTRY_SSH_KEY,
    clusterContext: values.TKC_REGISTRY_CLUSTER_CONTEXT,
    cluster: withSupervisorCa(values.TKC_REGISTRY_CLUSTER, values.TKC_REGISTRY_SUPERVISOR_CA),
  };
}

function stackOf(values: z.output<typeof connectionSchema>): StackIdentity {
  return { owner: values.TKC_REGISTRY_OWNER, id: values.TKC_REGISTRY_ID };
}

/** @throws UserError `bad-environment`, with a problem for each variable. */
export function readCommandInput(environment: Environment): CommandInput {
  const values = read(targetSchema, environment);
  return {
    target: {
      name: values.TKC_REGISTRY_NODE,
      uid: values.TKC_REGISTRY_NODE_UID,
      machineId: values.TKC_REGISTRY_NODE_MACHINE_ID,
      hostName: values.TKC_REGISTRY_NODE_HOST_NAME,
      address: values.TKC_REGISTRY_NODE_ADDRESS,
      ...connectionOf(values),
      hostKey: values.TKC_REGISTRY_HOST_KEY,
    },
    stack: stackOf(values),
    readyTimeout: values.TKC_REGISTRY_READY_TIMEOUT,
  };
}

/**
 * Reads which node a command is for. The running program knows the rest of the target.
 *
 * @throws UserError `bad-environment`, with a problem for each variable.
 */
export function readNodeIdentity(environment: Environment): { readonly node: string; readonly uid: string } {
  const values = read(identitySchema, environment);
  return { node: values.TKC_REGISTRY_NODE, uid: values.TKC_REGISTRY_NODE_UID };
}

/** @throws UserError `bad-environment`, with a problem for each variable. */
export function readSweepInput(environment: Environment): SweepInput {
  const values = read(sweepSchema, environment);
  return {
    connection: connectionOf(values),
    hostKeys: values.TKC_REGISTRY_HOST_KEYS,
    selections: values.TKC_REGISTRY_SELECTIONS,
    stack: stackOf(values),
    former: values.TKC_REGISTRY_FORMER_OWNER,
    readyTimeout: values.TKC_REGISTRY_READY_TIMEOUT,
  };
}

/** Reads which nodes the runs of a stack have meant; undefined where that is all, or cannot be read. */
export function readSelections(environment: Environment): readonly NodeSelection[] | undefined {
  return selectionsSchema.safeParse(environment).data?.TKC_REGISTRY_SELECTIONS;
}

/**
 * Checks that the installed script is the one that the preview showed.
 *
 * @throws UserError `bad-environment`, `other-script`
 */
export function checkScript(environment: Environment, packaged: string): void {
  const planned = read(scriptSchema, environment).TKC_REGISTRY_SCRIPT_SHA256;
  if (planned === packaged) return;
  throw nodeProblem.error("other-script", {
    subject: "TKC_REGISTRY_SCRIPT_SHA256",
    seen: `the preview showed the node script ${planned.slice(0, 16)}…, and ${packaged.slice(0, 16)}… is installed`,
  });
}

const nonceSchema = z.object({
  TKC_REGISTRY_NONCE: z.string().regex(/^[0-9A-Za-z-]{1,64}$/, "is not 1 to 64 letters, digits and -"),
});

/** Overrides, for one run, what the settings or the command's options say of unreachable nodes. */
const policyVariable = "TKC_REGISTRY_UNREACHABLE_NODES";

/**
 * Whether unreachable nodes fail the run or are skipped.
 *
 * @param otherwise - The policy if the environment does not set one.
 * @throws UserError `bad-environment`
 */
export function unreachablePolicy(environment: Environment, otherwise: string): UnreachablePolicy {
  const given = environment[policyVariable] || otherwise;
  const policy = unreachablePolicies.find((each) => each === given);
  if (policy) return policy;
  throw kubernetesProblem.error(
    "bad-environment",
    { subject: policyVariable, seen: `it is "${given}"` },
    "policy",
    unreachablePolicies,
  );
}

/** @throws UserError `bad-environment` */
export function readNonce(environment: Environment): string {
  return read(nonceSchema, environment).TKC_REGISTRY_NONCE;
}

/**
 * Reads the workload cluster that a command was made for; none where the command is of another kind.
 *
 * @throws UserError `bad-environment`
 */
export function readRecordedCluster(environment: Environment): ClusterName | undefined {
  const schema = connectionSchema.pick({ TKC_REGISTRY_CLUSTER: true, TKC_REGISTRY_SUPERVISOR_CA: true });
  const { TKC_REGISTRY_CLUSTER: cluster, TKC_REGISTRY_SUPERVISOR_CA: ca } = read(schema, environment);
  return withSupervisorCa(cluster, ca);
}

const canaryVariable = z.object({ TKC_REGISTRY_CANARY: json(canarySchema) });

/**
 * Reads the node that goes first.
 *
 * @throws UserError `bad-environment`
 */
export function readCanary(environment: Environment): Canary {
  return read(canaryVariable, environment).TKC_REGISTRY_CANARY;
}

/**
 * Reads the certificates to trust, and the trust mode.
 *
 * @throws UserError `bad-environment`
 */
export function readTrust(environment: Environment): {
  readonly certificates: readonly TrustedCertificate[];
  readonly mode: TrustMode;
} {
  const { TKC_REGISTRY_TRUST: certificates, TKC_REGISTRY_TRUST_BY: by } = read(trustSchema, environment);
  return { certificates, mode: by };
}

/**
 * Looks up the certificates to trust, for the node script.
 *
 * @param certificates - All certificates of the run, by SHA-256.
 * @throws UserError `bad-certificates` if one is missing.
 */
export function certificatesFor(
  trust: readonly TrustedCertificate[],
  certificates: CertificatesBySha256,
): readonly NodeCertificate[] {
  const files = trust.map(({ registry, sha256 }): [string, NodeCertificate] => {
    const certificate = certificates.get(sha256);
    if (!certificate) {
      throw nodeProblem.error("bad-certificates", {
        subject: "the CA certificates",
        seen: `${sha256}, to be trusted for ${registry}, is missing`,
      });
    }
    const { der } = certificate;
    // host and host:443 share a file name, but not a folder of containerd.
    return [`${registry} ${sha256}`, { name: certificateFileName(registry, sha256), registry, sha256, der }];
  });
  return [...new Map(files).values()];
}

/**
 * Reads the report of `ca apply`, the only input of `containerd restart`.
 *
 * @throws UserError `bad-node-report`
 */
export function readCaOutput(environment: Environment): CaReport {
  return parseCaReport(environment.TKC_REGISTRY_CA ?? "");
}

/**
 * The host key to pin: from the settings, or else from the report of the last run on this node, or from the Node object.
 *
 * @throws UserError `bad-node-report` if the last output is unreadable.
 */
export function pinnedHostKey(environment: Environment, target: NodeTarget): string | undefined {
  if (target.hostKey !== undefined) return target.hostKey;
  const last = environment.PULUMI_COMMAND_STDOUT ?? "";
  const report = last.trim() === "" ? undefined : parseCaReport(last);
  return (report?.uid === target.uid ? report.hostKey : undefined) ?? target.notedKey;
}
