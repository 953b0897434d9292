/**
 * What registries answer (OCI Distribution 1.1), taken apart: challenges, digests, manifests, refusals.
 * It never asks a registry anything.
 */
import * as z from "zod";
import type { HttpResponse } from "../net/https";
import { printable } from "../support/text";

export interface Challenge {
  readonly scheme: "basic" | "bearer";
  readonly parameters: Readonly<Record<string, string>>;
}

/** Reads `WWW-Authenticate`, in which several challenges may follow one another (RFC 9110, 11.6.1). */
export function parseChallenges(header: string): Challenge[] {
  const challenges: { scheme: string; parameters: Record<string, string> }[] = [];
  const token = /([A-Za-z0-9_-]{1,64})(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+)))?/g;
  for (const [, name = "", quoted, bare] of header.slice(0, 8192).matchAll(token)) {
    const value = quoted?.replace(/\\(.)/g, "$1") ?? bare;
    if (value === undefined) challenges.push({ scheme: name.toLowerCase(), parameters: {} });
    else Object.assign(challenges.at(-1)?.parameters ?? {}, { [name.toLowerCase()]: value });
  }
  return challenges.filter((challenge): challenge is Challenge =>
    ["basic", "bearer"].includes(challenge.scheme),
  );
}

export function challengeOf({ headers }: HttpResponse): Challenge | undefined {
  const challenges = parseChallenges(headers["www-authenticate"] ?? "");
  return challenges.find(({ scheme }) => scheme === "bearer") ?? challenges[0];
}

export function digestOf({ status, headers }: HttpResponse): string | undefined {
  const said = headers["docker-content-digest"];
  return status === 200 && typeof said === "string" && /^[a-z0-9]+:[0-9a-f]{32,128}$/.test(said)
    ? said
    : undefined;
}

const manifestSchema = z.looseObject({
  schemaVersion: z.literal(2),
  manifests: z
    .array(
      z.looseObject({
        platform: z.looseObject({ os: z.string(), architecture: z.string() }).optional(),
      }),
    )
    .optional(),
});

/** The errors of a registry's own (OCI Distribution 1.1, "Error Codes"). */
const errorsSchema = z.object({
  errors: z.array(z.looseObject({ code: z.string(), message: z.string().optional() })).min(1),
});

function parsed<T>(schema: z.ZodType<T>, body: Buffer): T | undefined {
  try {
    return schema.safeParse(JSON.parse(body.toString("utf8"))).data;
  } catch {
    return undefined;
  }
}

/** Whether a body is a manifest, or an index of them. */
export const isManifest = (body: Buffer): boolean => parsed(manifestSchema, body) !== undefined;

/** What the registry says of a refusal: `CODE: message`. */
export function saidOf({ body }: HttpResponse): string | undefined {
  const [first] = parsed(errorsSchema, body)?.errors ?? [];
  return first && printable(`${first.code}${first.message ? `: ${first.message}` : ""}`, 200);
}

/** Attestations and the like have the platform `unknown/unknown`. */
export function platformsOf(body: Buffer): string[] | undefined {
  const platforms = parsed(manifestSchema, body)?.manifests?.flatMap(({ platform }) =>
    platform && platform.os !== "unknown" ? [printable(`${platform.os}/${platform.architecture}`, 60)] : [],
  );
  return platforms && platforms.length > 0 ? [...new Set(platforms)] : undefined;
}

/** Statuses that a registry's own rules give: a policy of Harbor's, a legal block. */
export const policyStatuses: readonly number[] = [412, 423, 451];
/** Statuses of what stands before the registry, which it never gives itself. */
export const proxyStatuses: readonly number[] = [407, 421, 426, 511];
/** Statuses that pass: too early, too slow, too many, and all of the server's own. */
export const passes = (status: number): boolean => [408, 425, 429].includes(status) || status >= 500;
