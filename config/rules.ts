/**
 * The checks that compare several settings.
 * The type of each single setting is checked in schema.ts.
 */
import type { z } from "zod";
import { parseImageReference } from "../registry/host";
import type { SettingFields } from "./schema";

/** Adds an issue for each setting that contradicts another. */
export function checkAgreement(settings: SettingFields, context: z.RefinementCtx): void {
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
  namespaces?.forEach((namespace, index) => {
    if (namespaces.indexOf(namespace) === index) return;
    context.addIssue({
      code: "custom",
      path: ["pullSecret", "namespaces", index],
      message: "Remove one of the two",
      params: { seen: `${namespace} is named twice` },
    });
  });
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
      message: `Name one of the stack's registries, port included: ${[...seen].join(", ")}`,
      params: { seen: "the stack has no registry of this name", open: true },
    });
  }
}
