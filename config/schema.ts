/**
 * The settings and the type of each.
 * Nothing here compares two settings; rules.ts does.
 */
import * as z from "zod";
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
  selector,
  shaped,
  text,
  whole,
} from "./fields";
import { rolloutSchema } from "./rollout";
import { checkAgreement, checkImageHost, checkNamespaces, checkRegistries } from "./rules";

const sha256 = () =>
  fingerprint
    .optional()
    .describe(
      "SHA-256 fingerprint of the CA certificate: 64 hexadecimal digits, with or without colons. A CA with another fingerprint is refused",
    );

/** A CA that is downloaded from the registry itself. */
const fromRegistry = <From extends string>(from: From) =>
  z
    .strictObject({
      from: z.literal(from),
      sha256: sha256(),
      trustOnFirstUse: flag()
        .optional()
        .describe(
          "Instead of `sha256`: the first run trusts the CA that it gets, and later runs refuse another one until `sha256` accepts it",
        ),
    })
    .refine(({ sha256, trustOnFirstUse }) => sha256 !== undefined || trustOnFirstUse === true, {
      path: ["sha256"],
      error: `${fingerprintShape}, or \`trustOnFirstUse: true\` to believe the registry the first time`,
    })
    .meta({
      anyOf: [
        { required: ["sha256"] },
        { required: ["trustOnFirstUse"], properties: { trustOnFirstUse: { const: true } } },
      ],
    });

const caSchema = z.discriminatedUnion(
  "from",
  [
    z
      .strictObject({
        from: z.literal("file"),
        path: line("Give the path of a PEM file").describe(
          "Path of a PEM file with one or more CA certificates",
        ),
        sha256: sha256(),
      })
      .describe("The CA is in a file on this machine"),
    z
      .strictObject({
        from: z.literal("inline"),
        pem: text("Give the certificate as PEM text").describe("One or more CA certificates, as PEM text"),
        sha256: sha256(),
      })
      .describe("The CA is in the settings"),
    fromRegistry("harbor").describe("Harbor offers its CA (`getcert`, v2 then v1)"),
    fromRegistry("chain").describe("The CA is among the certificates that the registry serves"),
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
    z
      .strictObject({
        from: z.literal("dockerConfig"),
        path: line("Give the path of a docker config.json")
          .optional()
          .describe("Path of docker's `config.json`; by default `~/.docker/config.json`"),
      })
      .describe(
        "They are what `docker login` left. Credential helpers are asked. An identity token is refused, as Kubernetes takes none in a pull secret",
      ),
    z
      .strictObject({
        from: z.literal("password"),
        username: registryUser.describe("The registry user's name"),
      })
      .describe("They are this user and the secret `passwords`"),
    z.strictObject({ from: z.literal("none") }).describe("The registry serves everybody"),
  ],
  { error: "Give `from`: dockerConfig, password (with `username`, and the secret `passwords`) or none" },
);

const registrySchema = z
  .strictObject({
    host: parsedBy(
      (value) => parseImageHost(value, { subject: "" }).host,
      "Give the registry as image names do: host or host:port, no https://, no path",
    )
      .meta({ pattern: String.raw`^\s*[^\s/@]+\s*$` })
      .describe("The registry as image names have it: `host` or `host:port`"),
    kind: shaped((p) => z.enum(["harbor", "generic"], p), "Give harbor or generic")
      .default("harbor")
      .describe("`harbor`, or `generic` for any other registry"),
    ca: caSchema.describe(
      "Where the registry's CA comes from. A CA that comes over the network must match a fingerprint, or be trusted on first use",
    ),
    credentials: credentialsSchema
      .prefault({ from: "dockerConfig" })
      .describe("What the cluster pulls with, for the pull secret"),
    requireReachable: flag()
      .default(true)
      .describe(
        "Whether a run is refused where a node that it is to install does not reach the registry; `false`, for a registry that comes later, makes that a warning",
      ),
  })
  .refine((registry) => registry.kind === "harbor" || registry.ca.from !== "harbor", {
    path: ["ca", "from"],
    error: "Give file, inline or chain: only Harbor (kind: harbor) serves its CA by getcert",
  })
  .meta({
    if: { required: ["kind"], properties: { kind: { const: "generic" } } },
    then: { properties: { ca: { properties: { from: { enum: ["file", "inline", "chain"] } } } } },
  });

const defaultLabel = "nginx-harbor-svc-app";

const quantities = () => z.record(z.string(), z.string()).default({});

/** The default `runAsUser` is the `nginx` user of nginx's own images. */
const deploymentSchema = z.strictObject({
  enabled: flag().default(true).describe("Whether there is a Deployment"),
  name: dnsLabel("the Deployment's name")
    .default("tkc-nginx-harbor-svc-deployment")
    .describe("The Deployment's name"),
  namespace: dnsLabel("the Deployment's namespace").default("default").describe("The Deployment's namespace"),
  app: dnsLabel("the value of the label `app`")
    .default(defaultLabel)
    .describe("The value of the label `app`, which selects the pods, and the container's name"),
  image: image("Give the image with its registry: host[:port]/repository[:tag][@digest]")
    .optional()
    .describe(
      "The image: `host[:port]/repository[:tag][@digest]`, of one of the registries, port included. By default `nginx:latest` of the first registry's project that is named as `namespace`",
    ),
  pinDigest: flag()
    .default(false)
    .describe(
      "Whether the pods name the image by the digest that the registry has at the time of the run, so that a review shows when a tag means another image than before",
    ),
  replicas: whole(0, 1000, "replicas").default(1).describe("How many pods there are"),
  command: z
    .array(text("Give a word of the command line"))
    .default([])
    .describe("The container's command, word by word; by default the image's own"),
  args: z
    .array(text("Give a word of the command line"))
    .default([])
    .describe("The command's arguments; by default the image's own"),
  port: whole(1, 65535, "the container's port")
    .default(80)
    .describe(
      "The container's port. Ports below 1024 need Kubernetes 1.22, for the sysctl `net.ipv4.ip_unprivileged_port_start`, which Pod Security `restricted` allows",
    ),
  probe: shaped((p) => z.enum(["tcp", "none"], p), "Give tcp or none")
    .default("tcp")
    .describe(
      "How a pod is found ready: `tcp`, by a connection to its port; `none`, for an image that listens on none",
    ),
  runAsUser: whole(1, 2_147_483_647, "the user id")
    .default(101)
    .describe(
      "The user id of the container's process. It is never root: the pod passes Pod Security `restricted`",
    ),
  writablePaths: z
    .array(text("Give an absolute path").regex(/^\//, { error: "Give an absolute path" }))
    .default(["/var/cache/nginx", "/var/run", "/tmp"])
    .describe("Absolute paths of folders that the container may write to; each gets an `emptyDir`"),
  env: z
    .record(z.string(), text("Give the variable's value as text"))
    .default({})
    .describe("Environment variables by name, each value as text"),
  resources: z
    .strictObject({
      requests: quantities().describe("What the pod reserves, by resource, as Kubernetes writes quantities"),
      limits: quantities().describe(
        "What the pod may use at most, by resource, as Kubernetes writes quantities",
      ),
    })
    .prefault({ requests: { cpu: "50m", memory: "64Mi" }, limits: { memory: "256Mi" } })
    .describe("The container's resources; what is given replaces both defaults"),
  timeoutSeconds: whole(10, 3600, "seconds")
    .default(300)
    .describe("How long the rollout may take, in seconds"),
});

/** The settings, with the checks of each alone. */
export const settingFields = z.strictObject({
  namespace: dnsLabel("the Supervisor namespace that holds the cluster, such as ns1").describe(
    "The Supervisor namespace that holds the cluster",
  ),
  cluster: dnsLabel("the Tanzu Kubernetes cluster's name, such as tkc-cluster-1").describe(
    "The Tanzu Kubernetes cluster's name",
  ),
  supervisorContext: line("Give the name of a kubeconfig context")
    .optional()
    .describe("The kubeconfig context of the Supervisor; by default the one that is named as `namespace`"),
  clusterContext: line("Give the name of a kubeconfig context")
    .optional()
    .describe("The kubeconfig context of the cluster; by default the one that is named as `cluster`"),
  access: shaped((p) => z.enum(["jumpbox", "bastion", "direct"], p), "Give jumpbox, bastion or direct")
    .default("jumpbox")
    .describe(
      "How nodes are reached: `jumpbox`, by a pod on the Supervisor; `bastion`, by a Linux machine that forwards SSH; `direct`, where port 22 of the nodes is open to this machine",
    ),
  bastion: z
    .strictObject({
      host: text("Give the bastion's address or host name")
        .regex(hostPattern, {
          error: "Give the bastion's address or host name, without port or user",
        })
        .describe("Its address or host name, without port or user"),
      port: whole(1, 65535, "the bastion's SSH port").default(22).describe("Its SSH port"),
      user: line("Give the user to log in to the bastion with").describe("The user to log in to it with"),
      hostKey: hostKey("Give the bastion's host key, so that nobody can stand in for it,").describe(
        "The fingerprint of its host key, as `ssh-keygen -lf` prints it: `SHA256:` and 43 characters",
      ),
      sshKeyFile: line("Give the path of a private key")
        .optional()
        .describe("Path of the private key for it; by default your SSH agent has it"),
    })
    .optional()
    .describe("The Linux machine that forwards SSH to the nodes, for `access: bastion`"),
  unreachableNodes: shaped((p) => z.enum(unreachablePolicies, p), "Give fail or skip")
    .default("fail")
    .describe(
      "What a run does with a node that the cluster lists and that can't be reached: `fail`, or `skip` it and name it. Holds for `up` and `destroy`; the environment variable `TKC_REGISTRY_UNREACHABLE_NODES` overrides it for one run",
    ),
  trust: shaped((p) => z.enum(trustModes, p), "Give system, certs.d or auto")
    .default(defaults.trustMode)
    .describe(
      "How nodes trust a registry: `system`, by the trust store that all programs use; `certs.d`, by containerd's folder for that registry alone, with no restart, where the node's containerd has `config_path` set; `auto`, `certs.d` on nodes that can, else `system`",
    ),
  restartOnRemoval: flag()
    .default(true)
    .describe("Whether containerd is restarted after the CA is removed, so that it forgets the CA too"),
  jumpbox: z
    .strictObject({
      name: dnsLabel("the pod's name").default("jumpbox-ubuntu").describe("The pod's name"),
      image: image("Give an image with bash, nc or socat")
        .prefault("ubuntu:latest")
        .describe("Its image, best by digest (`host/repository@sha256:…`); any with bash, nc or socat works"),
      pullSecret: objectName("the secret's name")
        .optional()
        .describe("The Secret of the Supervisor namespace by which the image is pulled; it must be there"),
      install: flag()
        .default(true)
        .describe(
          "Whether the pod installs an SSH client by apt when it starts, for people who log in to nodes by hand. With `false` its root file system is read-only",
        ),
    })
    .prefault({})
    .describe("The pod in the Supervisor namespace by which the nodes are reached, for `access: jumpbox`"),
  nodes: z
    .strictObject({
      user: line("Give the SSH user of the nodes")
        .default(defaults.user)
        .describe("The SSH user of the nodes"),
      sshKeyFile: line("Give the path of a private key")
        .optional()
        .describe(
          "Path of the nodes' private key; by default a run reads the key from the Secret `<cluster>-ssh`, or, where that is absent, the password from `<cluster>-ssh-password`",
        ),
      hostKeys: z
        .record(z.string(), hostKey("Give the host key's fingerprint"))
        .default({})
        .describe(
          "Fingerprints of host keys by node name (`SHA256:…`). By default a run trusts a node's key at first contact, notes it on the Node object, and later runs insist on it. Nodes that take a password need them",
        ),
      select: selector()
        .optional()
        .describe(
          "A label selector, as `kubectl -l` takes it: the nodes that it does not mean are left out. By default none is",
        ),
      exclude: selector()
        .optional()
        .describe(
          "A label selector: the nodes that it means are left out, such as `kubernetes.io/os=windows`",
        ),
      workersAtOnce: whole(1, 256, "workers")
        .default(8)
        .describe("How many workers are done side by side; Pulumi's own `--parallel` (4 × CPUs) caps it"),
      inspect: flag()
        .default(true)
        .describe(
          "Whether each run asks the nodes what they trust; without it, a run does not see what others changed",
        ),
      readyTimeoutSeconds: whole(10, 3600, "seconds")
        .default(defaults.readyTimeout)
        .describe("How long a node may take to be Ready after containerd was restarted, in seconds"),
    })
    .prefault({})
    .describe("Which nodes are meant, how they are logged in to, and how many at once"),
  rollout: rolloutSchema,
  registries: shaped((p) => z.array(registrySchema, p), "Give a list of registries, each with host and ca")
    .min(1, {
      error: "Give at least one registry",
    })
    .describe("The private registries that nodes are to trust"),
  pullSecret: z
    .strictObject({
      name: objectName("the Secret's name").default("harbor-svc-pull-secret").describe("The Secret's name"),
      namespaces: z
        .array(dnsLabel("a namespace"))
        .min(1, { error: "Give at least one namespace" })
        .optional()
        .describe("The namespaces that get the Secret; by default the Deployment's"),
      defaultServiceAccount: flag()
        .default(false)
        .describe(
          "Whether each namespace's `default` ServiceAccount uses it too; that account's other entries stay",
        ),
    })
    .prefault({})
    .describe("The Secret with the registries' credentials"),
  deployment: deploymentSchema.prefault({}).describe("What runs from a registry"),
  passwords: z
    .record(z.string(), text("Give the password as text"))
    .default({})
    .describe(
      "Secret. By registry, the passwords for `credentials: {from: password}`: `pulumi config set --secret --path 'passwords[\"HOST\"]'`",
    ),
  adopt: flag()
    .default(false)
    .describe(
      "Whether a jumpbox pod, a pull secret and a Deployment of the configured names that are there already are taken over",
    ),
  deleteAdopted: flag()
    .default(false)
    .describe("Whether `destroy` deletes the pull secret and the Deployment that were taken over, too"),
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
      if (image !== undefined && registries)
        checkImageHost(image, ["deployment", "image"], { registries }, context);
    });

/** Settings that are plain text in the configuration; all others are JSON. */
export const textSettings = new Set<string>([
  ...["namespace", "cluster", "supervisorContext", "clusterContext", "access"],
  ...["unreachableNodes", "trust"],
]);
/** Settings that must be encrypted. */
export const secretSettings = new Set(["passwords"]);
