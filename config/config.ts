import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { trustWays, unreachablePolicies, usual } from "../nodes/protocol/spec";
import { parseImageReference, parseRegistryHost } from "../registry/host";
import type { CaSource } from "../registry/types";
import { type Problem, UserError } from "../support/errors";
import { withoutUser } from "../support/text";
import { parseFingerprint } from "../certificates/identity";

/** A setting whose every mistake is answered with the same sentence: the shape that is allowed. */
const shaped = <T extends z.ZodType>(make: (params: { error: string }) => T, shape: string): T =>
  make({ error: shape });

const dnsLabel = (what: string): z.ZodString =>
  z
    .string({ error: `Give ${what}: lower-case letters, digits and "-", at most 63 characters` })
    .regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, {
      error: `Give ${what}: lower-case letters, digits and "-", at most 63 characters`,
    });

const objectName = (what: string): z.ZodString =>
  z
    .string({ error: `Give ${what}: lower-case letters, digits, "-" and ".", at most 253 characters` })
    .max(253)
    .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/, {
      error: `Give ${what}: lower-case letters, digits, "-" and ".", at most 253 characters`,
    });

const text = (shape: string): z.ZodString => shaped((p) => z.string(p), shape).min(1, { error: shape });
/** A text of one line: what becomes an argument, a path or a name that people are shown. */
const line = (shape: string): z.ZodString => text(shape).regex(/^[^\p{C}\p{Zl}\p{Zp}]+$/u, { error: shape });
const flag = (): z.ZodBoolean => shaped((p) => z.boolean(p), "Give true or false");
const whole = (min: number, max: number, unit: string): z.ZodNumber => {
  const error = `Give a whole number of ${unit} from ${min} to ${max}`;
  return z.number({ error }).int({ error }).min(min, { error }).max(max, { error });
};

/** A text that a parser of ours must take; what the parser says of it is said of the setting. */
const parsedBy = (
  parse: (value: string) => string,
  shape: string,
): z.ZodPipe<z.ZodString, z.ZodTransform<string, string>> =>
  text(shape).transform((value, context) => {
    try {
      return parse(value);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      const [problem] = error.problems;
      context.addIssue({
        code: "custom",
        message: problem?.remedy ?? shape,
        params: { seen: problem?.seen, shape },
      });
      return z.NEVER;
    }
  });

const image = (shape: string): ReturnType<typeof parsedBy> =>
  parsedBy((value) => {
    parseImageReference(value, { subject: "" });
    return value.trim();
  }, shape);

/** A host key, as in the settings of OpenSSH's users. */
const hostKey = (what: string): z.ZodString => {
  const error = `${what} as \`ssh-keygen -lf\` prints it: SHA256: and 43 characters`;
  return z.string({ error }).regex(/^SHA256:[A-Za-z0-9+/]{43}$/, { error });
};

const hostPattern = /^[0-9A-Za-z]([0-9A-Za-z.:-]{0,251}[0-9A-Za-z])?$/;

const fingerprintShape = "Give a SHA-256 fingerprint: 64 hexadecimal digits, with or without colons";
const fingerprint = parsedBy((value) => parseFingerprint(value, { subject: "" }), fingerprintShape);

/** A CA that the registry itself gives. */
const fromRegistry = <From extends string>(from: From) =>
  z
    .strictObject({
      from: z.literal(from),
      sha256: fingerprint.optional(),
      trustOnFirstUse: flag().optional(),
    })
    .refine(({ sha256, trustOnFirstUse }) => sha256 !== undefined || trustOnFirstUse === true, {
      path: ["sha256"],
      error: `${fingerprintShape}, or \`trustOnFirstUse: true\` to believe the registry the first time`,
    });

const caSchema = z.discriminatedUnion(
  "from",
  [
    z.strictObject({
      from: z.literal("file"),
      path: line("Give the path of a PEM file"),
      sha256: fingerprint.optional(),
    }),
    z.strictObject({
      from: z.literal("inline"),
      pem: text("Give the certificate as PEM text"),
      sha256: fingerprint.optional(),
    }),
    fromRegistry("harbor"),
    fromRegistry("chain"),
  ],
  {
    error:
      "Give `from`: file (with `path`), inline (with `pem`), harbor or chain (both with `sha256` or `trustOnFirstUse: true`)",
  },
) satisfies z.ZodType<CaSource>;

/** HTTP's basic authentication, and docker's config, end the user at the first colon. */
const registryUser = line("Give the registry user's name").regex(/^[^:]+$/, {
  error: "Give the registry user's name, which has no colon",
});

const credentialsSchema = z.discriminatedUnion(
  "from",
  [
    z.strictObject({
      from: z.literal("dockerConfig"),
      path: line("Give the path of a docker config.json").default("~/.docker/config.json"),
    }),
    z.strictObject({ from: z.literal("password"), username: registryUser }),
    z.strictObject({ from: z.literal("none") }),
  ],
  { error: "Give `from`: dockerConfig, password (with `username`, and the secret `passwords`) or none" },
);

const registrySchema = z
  .strictObject({
    host: parsedBy(
      (value) => parseRegistryHost(value, { subject: "" }).host,
      "Give the registry as image names do: host or host:port, no https://, no path",
    ),
    kind: shaped((p) => z.enum(["harbor", "generic"], p), "Give harbor or generic").default("harbor"),
    ca: caSchema,
    credentials: credentialsSchema.prefault({ from: "dockerConfig" }),
  })
  .refine((registry) => registry.kind === "harbor" || registry.ca.from !== "harbor", {
    path: ["ca", "from"],
    error: "Give file, inline or chain: only Harbor (kind: harbor) serves its CA by getcert",
  });

const defaultLabel = "nginx-harbor-svc-app";

/** The default user id is that of the `nginx` user in nginx's own images. */
const deploymentSchema = z.strictObject({
  enabled: flag().default(true),
  name: dnsLabel("the Deployment's name").default("tkc-nginx-harbor-svc-deployment"),
  namespace: dnsLabel("the Deployment's namespace").default("default"),
  app: dnsLabel("the value of the label `app`").default(defaultLabel),
  image: image("Give the image with its registry: host[:port]/repository[:tag][@digest]").optional(),
  pinDigest: flag().default(false),
  replicas: whole(0, 1000, "replicas").default(1),
  command: z.array(text("Give a word of the command line")).default([]),
  args: z.array(text("Give a word of the command line")).default([]),
  port: whole(1, 65535, "the container's port").default(80),
  probe: shaped((p) => z.enum(["tcp", "none"], p), "Give tcp or none").default("tcp"),
  runAsUser: whole(1, 2_147_483_647, "the user id").default(101),
  writablePaths: z
    .array(text("Give an absolute path").regex(/^\//, { error: "Give an absolute path" }))
    .default(["/var/cache/nginx", "/var/run", "/tmp"]),
  env: z.record(z.string(), text("Give the variable's value as text")).default({}),
  resources: z
    .strictObject({
      requests: z.record(z.string(), z.string()).default({}),
      limits: z.record(z.string(), z.string()).default({}),
    })
    .prefault({ requests: { cpu: "50m", memory: "64Mi" }, limits: { memory: "256Mi" } }),
  timeoutSeconds: whole(10, 3600, "seconds").default(300),
});

/** What settings there are, and the shape of each. */
export const settingsSchema = z
  .strictObject({
    namespace: dnsLabel("the Supervisor namespace that holds the cluster, such as ns1"),
    cluster: dnsLabel("the Tanzu Kubernetes cluster's name, such as tkc-cluster-1"),
    supervisorContext: line("Give the name of a kubeconfig context").optional(),
    clusterContext: line("Give the name of a kubeconfig context").optional(),
    access: shaped(
      (p) => z.enum(["jumpbox", "bastion", "direct"], p),
      "Give jumpbox, bastion or direct",
    ).default("jumpbox"),
    bastion: z
      .strictObject({
        host: text("Give the bastion's address or host name").regex(hostPattern, {
          error: "Give the bastion's address or host name, without port or user",
        }),
        port: whole(1, 65535, "the bastion's SSH port").default(22),
        user: line("Give the user to log in to the bastion with"),
        hostKey: hostKey("Give the bastion's host key, so that nobody can stand in for it,"),
        sshKeyFile: line("Give the path of a private key").optional(),
      })
      .optional(),
    unreachableNodes: shaped((p) => z.enum(unreachablePolicies, p), "Give fail or skip").default("fail"),
    trust: shaped((p) => z.enum(trustWays, p), "Give system, certs.d or auto").default(usual.trustBy),
    restartOnRemoval: flag().default(true),
    jumpbox: z
      .strictObject({
        name: dnsLabel("the pod's name").default("jumpbox-ubuntu"),
        image: image("Give an image with bash, nc or socat").default("ubuntu:latest"),
      })
      .prefault({}),
    nodes: z
      .strictObject({
        user: line("Give the SSH user of the nodes").default(usual.user),
        sshKeyFile: line("Give the path of a private key").optional(),
        hostKeys: z.record(z.string(), hostKey("Give the host key's fingerprint")).default({}),
        workersAtOnce: whole(1, 256, "workers").default(8),
        inspect: flag().default(true),
        readyTimeoutSeconds: whole(10, 3600, "seconds").default(usual.readyTimeout),
      })
      .prefault({}),
    registries: shaped(
      (p) => z.array(registrySchema, p),
      "Give a list of registries, each with host and ca",
    ).min(1, {
      error: "Give at least one registry",
    }),
    pullSecret: z
      .strictObject({
        name: objectName("the Secret's name").default("harbor-svc-pull-secret"),
        namespaces: z
          .array(dnsLabel("a namespace"))
          .min(1, { error: "Give at least one namespace" })
          .optional(),
        defaultServiceAccount: flag().default(false),
      })
      .prefault({}),
    deployment: deploymentSchema.prefault({}),
    passwords: z.record(z.string(), text("Give the password as text")).default({}),
    adopt: flag().default(false),
    deleteAdopted: flag().default(false),
  })
  .superRefine((settings, context) => {
    const supervisor = settings.supervisorContext ?? settings.namespace;
    if ((settings.clusterContext ?? settings.cluster) === supervisor) {
      context.addIssue({
        code: "custom",
        path: ["clusterContext"],
        message: "Set the context of the workload cluster's own API",
        params: { seen: `it is ${supervisor}, and so is the Supervisor's context` },
      });
    }
    if (settings.access === "bastion" && settings.bastion === undefined) {
      context.addIssue({
        code: "custom",
        path: ["bastion"],
        message: "Give the bastion's host, user and hostKey, as `access` is bastion",
      });
    }
    const seen = new Set<string>();
    settings.registries.forEach((registry, index) => {
      if (seen.has(registry.host)) {
        context.addIssue({
          code: "custom",
          path: ["registries", index, "host"],
          message: `Remove one of the two entries for ${registry.host}`,
        });
      }
      seen.add(registry.host);
      if (registry.credentials.from === "password" && settings.passwords[registry.host] === undefined) {
        context.addIssue({
          code: "custom",
          path: ["passwords", registry.host],
          message: `Run: pulumi config set --secret --path 'passwords["${registry.host}"]'`,
        });
      }
    });
    const { enabled, image } = settings.deployment;
    const imageHost = image === undefined ? undefined : parseImageReference(image, { subject: "" }).host;
    if (enabled && imageHost !== undefined && !seen.has(imageHost)) {
      context.addIssue({
        code: "custom",
        path: ["deployment", "image"],
        message: `Use an image of one of the stack's registries, port included (${[...seen].join(", ")}), or add a registry with host ${imageHost}`,
        params: { seen: `its registry, ${imageHost}, is none of the stack's` },
      });
    }
    const { namespaces } = settings.pullSecret;
    const wantsSecret = settings.registries.some(({ credentials }) => credentials.from !== "none");
    if (enabled && wantsSecret && namespaces && !namespaces.includes(settings.deployment.namespace)) {
      context.addIssue({
        code: "custom",
        path: ["pullSecret", "namespaces"],
        message: "Add it, as pods can only use a pull secret of their own namespace",
        params: { seen: "the Deployment's namespace (`deployment.namespace`) is not among them" },
      });
    }
    for (const host of Object.keys(settings.passwords)) {
      if (seen.has(host)) continue;
      context.addIssue({
        code: "custom",
        path: ["passwords", host],
        message: `Name one of the stack's registries: ${[...seen].join(", ")}`,
      });
    }
  });

type Parsed = z.infer<typeof settingsSchema>;

/** Everything that configuration says, checked, with defaults filled in. */
export type Settings = Omit<Parsed, "supervisorContext" | "clusterContext" | "pullSecret" | "deployment"> & {
  readonly supervisorContext: string;
  readonly clusterContext: string;
  readonly pullSecret: Parsed["pullSecret"] & { readonly namespaces: readonly string[] };
  readonly deployment: Parsed["deployment"] & { readonly image: string };
};
export type RegistrySettings = Settings["registries"][number];

/** Settings that are plain text in configuration; every other one is JSON there. */
const textSettings = new Set([
  ...["namespace", "cluster", "supervisorContext", "clusterContext", "access"],
  ...["unreachableNodes", "trust"],
]);
/** Settings that may only be kept encrypted. */
const secretSettings = new Set(["passwords"]);

/** What is said of a value of the wrong type where the schema has no words of its own. */
function shapeOf(issue: { readonly code?: string; readonly expected?: unknown }): string | undefined {
  if (issue.code !== "invalid_type") return undefined;
  const shapes: Record<string, string> = {
    object: "settings",
    record: "names with their values",
    array: "a list",
    string: "text",
  };
  return `Give ${shapes[String(issue.expected)] ?? String(issue.expected)}`;
}

const settingName = (path: readonly PropertyKey[]): string =>
  path.reduce<string>((name, part) => {
    if (typeof part === "number") return `${name}[${part}]`;
    const key = String(part);
    if (!/^\w+$/.test(key)) return `${name}[${JSON.stringify(key)}]`;
    return name === "" ? key : `${name}.${key}`;
  }, "");

/** Where people may have put a secret, rightly or not. */
const secretPlaces = new Set<PropertyKey>([...secretSettings, "credentials", "env"]);

/**
 * What is told of a value that is wrong.
 *
 * @param hidden - Where it may be a secret, or hold one: no more than that it is wrong.
 * @param wanted - The type that belongs there.
 */
function seenAt(raw: unknown, path: readonly PropertyKey[], hidden: boolean, wanted: unknown): string {
  const value = path.reduce<unknown>(
    (at, part) =>
      typeof at === "object" && at !== null ? (at as Record<PropertyKey, unknown>)[part] : undefined,
    raw,
  );
  if (value === undefined) return "it is missing";
  if (hidden) return "its value is not of the right shape";
  if (typeof value === "object" && value !== null)
    return `it is ${Array.isArray(value) ? "a list" : "an object"}`;
  // Text in the place of more than a text may hold anything.
  if (typeof value === "string" && ["object", "record", "array"].includes(String(wanted)))
    return "it is text";
  const shown = JSON.stringify(typeof value === "string" ? withoutUser(value) : value);
  return `it is ${shown.length > 80 ? `${shown.slice(0, 77)}…` : shown}`;
}

/** The settings of an object schema, for telling which ones an unknown name might have meant. */
function knownAt(path: readonly PropertyKey[], raw: unknown): string[] {
  let schema: z.ZodType = settingsSchema;
  let value: unknown = raw;
  const unwrap = (at: z.ZodType): z.ZodType => {
    const inner = (at as { def?: { innerType?: z.ZodType; in?: z.ZodType } }).def;
    const next = inner?.innerType ?? inner?.in;
    return next ? unwrap(next) : at;
  };
  for (const part of path) {
    schema = unwrap(schema);
    value =
      typeof value === "object" && value !== null ? (value as Record<PropertyKey, unknown>)[part] : undefined;
    if (schema instanceof z.ZodObject)
      schema = (schema.shape as Record<PropertyKey, z.ZodType>)[part] ?? schema;
    else if (schema instanceof z.ZodArray) schema = schema.element as z.ZodType;
  }
  schema = unwrap(schema);
  if (schema instanceof z.ZodDiscriminatedUnion) {
    const from = (value as { from?: unknown } | undefined)?.from;
    schema =
      (schema.options as z.ZodObject[]).find(
        (option) => (option.shape["from"] as z.ZodLiteral).value === from,
      ) ?? schema;
  }
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}

function problemsOf(
  error: z.ZodError,
  raw: unknown,
  project: string,
  secretNames: ReadonlySet<string>,
): Problem[] {
  const subject = (path: readonly PropertyKey[]): string => `setting ${project}:${settingName(path)}`;
  return error.issues.flatMap((issue): Problem[] => {
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => ({
        code: "unknown-setting",
        subject: subject([...issue.path, key]),
        seen: "there is no such setting",
        remedy: `Remove it, or use one of: ${knownAt(issue.path, raw).join(", ")}`,
      }));
    }
    const hidden =
      secretNames.has(String(issue.path[0])) || issue.path.some((part) => secretPlaces.has(part));
    const told = (issue.code === "custom" && issue.params) as
      { seen?: string; shape?: string } | undefined | false;
    const wanted = "expected" in issue ? issue.expected : undefined;
    const generic = seenAt(raw, issue.path, hidden, wanted);
    return [
      {
        code: generic === "it is missing" ? "missing-setting" : "bad-setting",
        subject: subject(issue.path),
        seen: (told && !hidden && told.seen) || generic,
        remedy: (told && hidden && told.shape) || issue.message,
      },
    ];
  });
}

/**
 * Checks a stack's raw configuration and fills in the defaults.
 *
 * @param raw the project's own settings by name without namespace, each as Pulumi hands it over: text or JSON.
 * @param secretNames names of the settings that are kept encrypted.
 * @throws UserError naming every setting that is missing, unknown or of the wrong shape.
 */
export function parseSettings(
  raw: Readonly<Record<string, string>>,
  secretNames: ReadonlySet<string>,
  project = "tkc-registry",
): Settings {
  const problems: Problem[] = [];
  // Without a prototype, as a name of its members is no setting.
  const values = Object.create(null) as Record<string, unknown>;
  for (const [name, value] of Object.entries(raw)) {
    if (secretSettings.has(name) && !secretNames.has(name)) {
      problems.push({
        code: "secret-in-clear",
        subject: `setting ${project}:${name}`,
        seen: "it is kept in clear in the stack's settings file",
        remedy: `Change that password, then run: pulumi config rm ${name} && pulumi config set --secret --path '${name}["HOST"]'`,
      });
    }
    try {
      values[name] =
        textSettings.has(name) || !Object.hasOwn(settingsSchema.shape, name)
          ? value
          : (JSON.parse(value) as unknown);
    } catch {
      values[name] = value; // text where something else belongs: the schema says what
    }
  }
  const parsed = settingsSchema.safeParse(values, { error: shapeOf });
  if (!parsed.success) problems.push(...problemsOf(parsed.error, values, project, secretNames));
  const [first, ...rest] = problems;
  if (first) throw new UserError(first, ...rest);

  const settings = parsed.data!;
  const [registry] = settings.registries;
  return {
    ...settings,
    supervisorContext: settings.supervisorContext ?? settings.namespace,
    clusterContext: settings.clusterContext ?? settings.cluster,
    pullSecret: {
      ...settings.pullSecret,
      namespaces: settings.pullSecret.namespaces ?? [settings.deployment.namespace],
    },
    deployment: {
      ...settings.deployment,
      image: settings.deployment.image ?? `${registry!.host}/${settings.namespace}/nginx:latest`,
    },
  };
}

/**
 * Reads the stack's settings: the one place that does.
 *
 * @throws UserError naming every setting that is missing, unknown or of the wrong shape.
 */
export function readSettings(): Settings {
  const project = pulumi.getProject();
  const ours = Object.entries(pulumi.runtime.allConfig()).flatMap(([key, value]) =>
    key.startsWith(`${project}:`) ? [[key.slice(project.length + 1), value] as const] : [],
  );
  // The names of encrypted settings, as the language host hands them over; the SDK has no public way to ask.
  const secretKeys = z.array(z.string()).parse(JSON.parse(process.env["PULUMI_CONFIG_SECRET_KEYS"] ?? "[]"));
  const secretNames = new Set(secretKeys.map((key) => key.slice(project.length + 1)));
  return parseSettings(Object.fromEntries(ours), secretNames, project);
}
