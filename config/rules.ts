/**
 * The checks that compare several settings.
 * The type of each single setting is checked in schema.ts.
 */
import type * as z from "zod";
import { parseImageReference } from "../registry/host";
import type { SettingFields } from "./schema";

/** Adds an issue for each setting that contradicts another. */
export function checkAgreement(settings: SettingFields, context: z.RefinementCtx): void {
  checkRegistries(settings, context);
  checkNamespaces(settings, context);
  const { enabled, image } = settings.deployment;
  if (enabled && image !== undefined) checkImageHost(image, ["deployment", "image"], settings, context);
  const { namespaces } = settings.pullSecret;
  if (enabled && wantsLogin(settings) && namespaces && !namespaces.includes(settings.deployment.namespace)) {
    context.addIssue({
      code: "custom",
      path: ["pullSecret", "namespaces"],
      message: "Add it, as pods can only use a pull secret of their own namespace",
      params: { seen: "the Deployment's namespace (`deployment.namespace`) is not among them" },
    });
  }
}

/** Whether any registry wants a login. */
export const wantsLogin = ({ registries }: Pick<SettingFields, "registries">): boolean =>
  registries.some(({ credentials }) => credentials.from !== "none");

/** An image can only come from a registry that the nodes trust. */
export function checkImageHost(
  image: string,
  path: string[],
  { registries }: Pick<SettingFields, "registries">,
  context: z.RefinementCtx,
): void {
  const { host } = parseImageReference(image, { subject: "" });
  const hosts = registries.map((registry) => registry.host);
  if (hosts.includes(host)) return;
  context.addIssue({
    code: "custom",
    path,
    message: `Use an image of one of the stack's registries, port included (${hosts.join(", ")}), or add a registry with host ${host}`,
    params: { seen: `its registry, ${host}, is none of the stack's` },
  });
}

/** No namespace is named twice. */
export function checkNamespaces(
  { pullSecret: { namespaces } }: Pick<SettingFields, "pullSecret">,
  context: z.RefinementCtx,
): void {
  namespaces?.forEach((namespace, index) => {
    if (namespaces.indexOf(namespace) === index) return;
    context.addIssue({
      code: "custom",
      path: ["pullSecret", "namespaces", index],
      message: "Remove one of the two",
      params: { seen: `${namespace} is named twice` },
    });
  });
}

/** The contexts are two, the bastion is given where it is used, and each registry is there once, with its login. */
export function checkRegistries(
  settings: Omit<SettingFields, "pullSecret" | "deployment" | "deleteAdopted">,
  context: z.RefinementCtx,
): void {
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
  const { canary } = settings.rollout;
  if (typeof canary === "object")
    checkImageHost(canary.image, ["rollout", "canary", "image"], settings, context);
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
