/**
 * What `npm run review` finds, as `--json` prints it: an interface, to which fields may be added.
 * No field is ever changed or removed. review.schema.json is written from this. Nothing here decides or prints.
 */
import * as z from "zod";
import { reasonCodes } from "../../plan/reasons";

export const riskCodes = [
  ...(["trust-on-first-use", "ca-is-leaf", "ca-expires", "ca-removed", "control-plane"] as const),
  ...(["node-replaced", "first-contact", "unreachable", "no-drift-check", "image-by-tag"] as const),
] as const;

const risk = z
  .object({
    code: z.enum(riskCodes),
    text: z.string().describe("In words"),
    subjects: z.array(z.string()).describe("The nodes, registries or images that it is about"),
  })
  .describe("What a reviewer should know of");
export type Risk = z.infer<typeof risk>;

const reason = z.object({
  code: z.enum(reasonCodes),
  host: z.string().nullable().describe("The registry, where it is one registry's"),
  text: z.string().describe("In words"),
});

const node = z.object({
  cluster: z.string().describe("The name of the cluster's resource"),
  name: z.string(),
  role: z
    .enum(["control-plane", "worker"])
    .nullable()
    .describe("null where the program says nothing of the node"),
  action: z
    .enum(["install", "remove", "none", "skip"])
    .describe("What the engine will do; `remove`: the node leaves the stack"),
  reasons: z.array(reason),
  canary: z
    .boolean()
    .describe("Whether it goes first, and has to pull an image before any other node is touched"),
  restart: z
    .boolean()
    .nullable()
    .describe("Whether containerd will restart; null where only the node can tell"),
  step: z
    .int()
    .nullable()
    .describe(
      "When it is its turn, among the nodes that are touched, from 1: those of one step go side by side",
    ),
});
export type NodeReview = z.infer<typeof node>;

const certificate = z.object({
  host: z.string().describe("The registry, as in image names"),
  sha256: z.string().describe("Of the DER, lower-case hex"),
  subject: z.string().nullable().describe("null where neither the state nor the preview has it"),
  notAfter: z.string().nullable().describe("ISO 8601; null for the same reason"),
  change: z.enum(["added", "removed", "kept"]),
});
export type CertificateReview = z.infer<typeof certificate>;

const reference = z.object({
  reference: z.string().describe("As pods name it"),
  tag: z.string().nullable(),
  digest: z.string().nullable(),
});
export type ImageReference = z.infer<typeof reference>;

const image = z.object({
  deployment: z.string().describe("namespace/name"),
  before: reference.nullable().describe("null where there is no Deployment"),
  after: reference
    .nullable()
    .describe("null where there will be none, or its image is known only when it is made"),
});
export type ImageReview = z.infer<typeof image>;

const object = z.object({
  kind: z.string().describe("`Secret`, `Deployment`, `Pod`, `ServiceAccount`"),
  namespace: z.string(),
  name: z.string(),
  change: z
    .enum(["created", "adopted", "updated", "replaced", "deleted", "left", "unchanged"])
    .describe("`left`: it leaves the stack and stays in the cluster"),
});
export type ObjectReview = z.infer<typeof object>;

const difference = z.object({
  subject: z.string().describe("The node, object or resource"),
  text: z.string().describe("What differs, in words"),
});
export type Difference = z.infer<typeof difference>;

export const reviewSchema = z.object({
  version: z.literal(1),
  stack: z.string(),
  previewedAt: z.string().describe("ISO 8601"),
  protected: z.boolean().describe("Whether the review was told that the environment is protected"),
  changes: z.boolean().describe("Whether the engine will change anything"),
  risks: z.array(risk),
  nodes: z.array(node).describe("All nodes of the stack, in the order of their turns"),
  leftOut: z
    .array(z.string())
    .describe(
      "The nodes that the settings leave out, by the setting: `left out by nodes.exclude (…): w1, w2`",
    ),
  certificates: z.array(certificate).describe("Those that nodes trust, before and after"),
  images: z.array(image),
  objects: z.array(object).describe("Those of the stack in the clusters"),
  others: z
    .array(
      z.object({ type: z.string(), name: z.string(), operation: z.string().describe("The engine's word") }),
    )
    .describe("Resources that change and are none of this package's"),
  warnings: z.array(z.string()).describe("What the program warned of: what it did not check, and why"),
  plan: z
    .object({ holds: z.boolean(), differences: z.array(difference) })
    .nullable()
    .describe("What differs from the saved plan that was given; null where none was"),
});
export type Review = z.infer<typeof reviewSchema>;
