/**
 * The settings and the type of each.
 * Nothing here compares two settings; rules.ts does.
 */
import { z } from "zod";
import { trustModes, unreachablePolicies, defaults } from "../nodes/protocol/spec";
import { parseImageHost } from "../registry/host";
import type { CaSource } from "../registry/types";
import {
  dnsLabel,
  fingerprint,
  fingerprintShape,
  flag,
  hostKey,
  hostPattern,
  image,
  line,
  objectName,
  parsedBy,
  shaped,
  text,
  whole,
} from "./fields";
import { checkAgreement, checkImageHost, checkNamespaces, checkRegistries } from "./rules";

/** A CA that is downloaded from the registry itself. */
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

/** HTTP basic authentication and docker's config take everything after the first colon for the password. */
const registryUser = line("Give the registry user's name").regex(/^[^:]+$/, {
  error: "Give the registry user's name, which has no colon",
});

const credentialsSchema = z.discriminatedUnion(
  "from",
  [
    z.strictObject({
      from: z.literal("dockerConfig"),
      path: line("Give the path of a docker config.json").optional(),
    }),
    z.strictObject({ from: z.literal("password"), username: registryUser }),
    z.strictObject({ from: z.literal("none") }),
  ],
  { error: "Give `from`: dockerConfig, password (with `username`, and the secret `passwords`) or none" },
);

const registrySchema = z
  .strictObject({
    host: parsedBy(
      (value) => parseImageHost(value, { subject: "" }).host,
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

/** The default `runAsUser` is the `nginx` user of nginx's own images. */
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
const settingFields = z.strictObject({
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
  trust: shaped((p) => z.enum(trustModes, p), "Give system, certs.d or auto").default(defaults.trustMode),
  restartOnRemoval: flag().default(true),
  jumpbox: z
    .strictObject({
      name: dnsLabel("the pod's name").default("jumpbox-ubuntu"),
      image: image("Give an image with bash, nc or socat").default("ubuntu:latest"),
    })
    .prefault({}),
  nodes: z
    .strictObject({
      user: line("Give the SSH user of the nodes").default(defaults.user),
      sshKeyFile: line("Give the path of a private key").optional(),
      hostKeys: z.record(z.string(), hostKey("Give the host key's fingerprint")).default({}),
      workersAtOnce: whole(1, 256, "workers").default(8),
      inspect: flag().default(true),
      readyTimeoutSeconds: whole(10, 3600, "seconds").default(defaults.readyTimeout),
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
});
export type SettingFields = z.infer<typeof settingFields>;

/** The settings, with the checks of each and of several together. */
export const settingsSchema = settingFields.superRefine(checkAgreement);

/** The settings of the nodes' trust. */
export const trustSchema = settingFields
  .omit({ pullSecret: true, deployment: true, deleteAdopted: true })
  .superRefine(checkRegistries);
/** The settings of one pull secret, and of one Deployment, in their sections. */
export const pullSecretSchema = settingFields
  .pick({ pullSecret: true, adopt: true, deleteAdopted: true })
  .superRefine(checkNamespaces);
export const deploymentSchemaOf = (registries: SettingFields["registries"] | undefined) =>
  settingFields
    .pick({ deployment: true, adopt: true, deleteAdopted: true })
    .superRefine(({ deployment: { image } }, context) => {
      if (image !== undefined && registries) checkImageHost(image, { registries }, context);
    });

/** Settings that are plain text in the configuration; all others are JSON. */
export const textSettings = new Set<string>([
  ...["namespace", "cluster", "supervisorContext", "clusterContext", "access"],
  ...["unreachableNodes", "trust"],
]);
/** Settings that must be encrypted. */
export const secretSettings = new Set(["passwords"]);
