/**
 * What the resources of a stack look like in its state, for all who read it.
 * It never asks for a state: the readers beside it do.
 */
import { z } from "zod";
import { trustedCertificateSchema } from "../nodes/protocol/spec";
import { UserError } from "../support/errors";
import { stateProblem } from "./problems";
import { replacesVariable } from "../support/names";

/** Types of the resources that are read. */
export const resourceTypes = {
  stack: "pulumi:pulumi:Stack",
  nodes: "tkc-registry:index:TrustedNodes",
  command: "command:local:Command",
  pod: "kubernetes:core/v1:Pod",
  secret: "kubernetes:core/v1:Secret",
  deployment: "kubernetes:apps/v1:Deployment",
} as const;

/** The certificates that nodes are to trust, as `TrustedNodes` has them among its inputs and outputs. */
export const trustedNodesRecord = z.object({ certificates: z.array(trustedCertificateSchema) });

/** A Kubernetes object among a resource's inputs. */
export const placedRecord = z.object({ metadata: z.object({ namespace: z.string(), name: z.string() }) });

/** A Kubernetes object among a resource's outputs: it exists, or existed. */
export const objectRecord = z.object({
  kind: z.string(),
  metadata: placedRecord.shape.metadata.extend({ uid: z.string() }),
});

const podRecord = z.object({
  spec: z.object({
    containers: z.array(
      z.object({ env: z.array(z.object({ name: z.string(), value: z.string().optional() })).optional() }),
    ),
  }),
});

/** The UID of the pod that a jumpbox was made in place of. */
export function replacedUid(outputs: unknown): string | undefined {
  const containers = podRecord.safeParse(outputs).data?.spec.containers ?? [];
  return containers.flatMap(({ env = [] }) => env).find(({ name }) => name === replacesVariable)?.value;
}

/** The stack's own outputs, each left out where a release wrote it in another form. */
export const stackRecord = z.object({
  registries: z
    .array(
      z.object({
        host: z.string(),
        certificates: z.array(
          z.object({ sha256: z.string(), subject: z.string(), notAfter: z.iso.datetime() }),
        ),
      }),
    )
    .optional()
    .catch(undefined),
  image: z.string().optional().catch(undefined),
});

const environmentRecord = z.object({ environment: z.record(z.string(), z.unknown()) });
const outputRecord = z.object({ stdout: z.string() });

/** A command's environment, without the values that are encrypted in the state: those are objects. */
export function environmentOf(properties: unknown): Readonly<Record<string, string>> {
  const values = environmentRecord.safeParse(properties).data?.environment ?? {};
  return Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) => (typeof value === "string" ? [[name, value]] : [])),
  );
}

/** Whether a command is one for a node, by its environment: also where the node's name is encrypted. */
export function isNodeCommand(inputs: unknown): boolean {
  return "TKC_REGISTRY_NODE" in (environmentRecord.safeParse(inputs).data?.environment ?? {});
}

/** What a command printed when it last ran. */
export function stdoutOf(outputs: unknown): string | undefined {
  return outputRecord.safeParse(outputs).data?.stdout;
}

/** A state that cannot be read. */
export function unreadableState(subject: string, seen: string, by: "release" | "engine"): UserError {
  return stateProblem.error("state-unreadable", { subject, seen }, by);
}
