/**
 * What differs between two of the engine's plans, in words. Their format is experimental (`apitype.DeploymentPlanV1`).
 * It never shows a value of a plan, as secrets in it are encrypted anew each time and others may be long: only what it
 * is a value of.
 */
import { isDeepStrictEqual } from "node:util";
import * as z from "zod";
import { nameOf } from "../../state/records";
import { readOperatorFile } from "../../support/files";
import { cliProblem } from "../problems";
import type { Difference } from "./findings";

const diffSchema = z.object({
  adds: z.record(z.string(), z.unknown()).nullish(),
  deletes: z.array(z.string()).nullish(),
  updates: z.record(z.string(), z.unknown()).nullish(),
});
const goalSchema = z.object({
  inputDiff: diffSchema.nullish(),
  dependencies: z.array(z.string()).nullish(),
});
const planSchema = z.object({
  manifest: z.object({ version: z.string().optional() }),
  resourcePlans: z
    .record(z.string(), z.object({ goal: goalSchema.nullish(), steps: z.array(z.string()).nullish() }))
    .nullish(),
});
export type SavedPlan = z.infer<typeof planSchema>;
type ResourcePlan = NonNullable<SavedPlan["resourcePlans"]>[string];

const maxBytes = 64 * 1024 * 1024;

/**
 * Reads a plan that `pulumi preview --save-plan` wrote.
 *
 * @throws UserError `file-unreadable`, `file-too-large`, `plan-unreadable`
 */
export async function readSavedPlan(file: string): Promise<SavedPlan> {
  const text = (await readOperatorFile(file, { subject: "--plan", maxBytes })).toString();
  return parseSavedPlan(text, file);
}

/** @throws UserError `plan-unreadable` */
export function parseSavedPlan(text: string, file: string): SavedPlan {
  try {
    const { success, data } = planSchema.safeParse(JSON.parse(text));
    if (success) return data;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  const seen = `${file} is not a plan that \`pulumi preview --save-plan\` wrote`;
  throw cliProblem.error("plan-unreadable", { subject: "--plan", seen });
}

/** By which an object is known that holds an encrypted value. */
const secretSignature = "4dabf18193072939515e22adb298388d";
const isSecret = (value: unknown): boolean =>
  typeof value === "object" && value !== null && secretSignature in value;

/** Values by the path of each, `environment.TKC_REGISTRY_NONCE`; an encrypted one is like any other. */
function leaves(value: unknown, path: string): (readonly [string, unknown])[] {
  if (isSecret(value)) return [[path, "[secret]"]];
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [[path, value]];
  return Object.entries(value).flatMap(([key, part]) => leaves(part, path === "" ? key : `${path}.${key}`));
}

function planned(diff: z.infer<typeof diffSchema> | null | undefined): ReadonlyMap<string, unknown> {
  return new Map([
    ...leaves(diff?.adds ?? {}, ""),
    ...leaves(diff?.updates ?? {}, ""),
    ...(diff?.deletes ?? []).map((path) => [path, undefined] as const),
  ]);
}

/** The paths at which two plans want different values. */
function differingPaths(before: ResourcePlan, now: ResourcePlan): string[] {
  const [old, next] = [planned(before.goal?.inputDiff), planned(now.goal?.inputDiff)];
  return [...new Set([...old.keys(), ...next.keys()])]
    .filter((path) => old.has(path) !== next.has(path) || !isDeepStrictEqual(old.get(path), next.get(path)))
    .sort();
}

const operations: Readonly<Record<string, string>> = {
  ...{ create: "to be made", update: "to be changed", delete: "to be taken out", same: "to be left alone" },
  ...{
    replace: "to be replaced",
    "create-replacement": "to be replaced",
    "delete-replaced": "to be replaced",
  },
};
const inWords = (steps: readonly string[]): string =>
  steps.length === 0 ? "not there" : [...new Set(steps.map((step) => operations[step] ?? step))].join(", ");

/** What a variable of a node's command stands for. */
const variables: Readonly<Record<string, string>> = {
  TKC_REGISTRY_NONCE: "what the node has",
  TKC_REGISTRY_TRUST: "the certificates that it is to trust",
  TKC_REGISTRY_TRUST_BY: "the way in which it is to trust them",
  TKC_REGISTRY_SCRIPT_SHA256: "the node script",
  TKC_REGISTRY_NODE_UID: "the node, made anew under its name",
  TKC_REGISTRY_NODE_ADDRESS: "its address",
};
const shownPaths = 5;

function pathsInWords(paths: readonly string[]): string {
  const words = paths.map((path) => variables[path.replace("environment.", "")] ?? path);
  const more = words.length - shownPaths;
  return `${words.slice(0, shownPaths).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/** The URN of the node that a URN is of, or of whose commands it is one. */
function nodeUrnOf(urn: string): string | undefined {
  const [, before, command, after] =
    /^(.*tkc-registry:index:TrustedNode)(\$[^:]+(?::[^:]+)*)?(::.*)$/.exec(urn) ?? [];
  if (before === undefined || after === undefined) return undefined;
  // The last is what earlier releases called it.
  return before + (command === undefined ? after : after.replace(/-(?:ca|up|containerd)$/, ""));
}

const nothing: ResourcePlan = {};

/** Variables that differ wherever anything does. */
const digestPaths = ["environment.TKC_REGISTRY_CANARY", "environment.TKC_REGISTRY_PLAN"];
const isDigest = (paths: readonly string[]): boolean =>
  paths.length > 0 && paths.every((path) => digestPaths.includes(path));

/**
 * What the engine would not do now as a plan says: node by node, and resource by resource.
 *
 * @param saved - The plan that was reviewed.
 * @param now - The plan of this moment.
 * @param names - Of nodes, by their URNs.
 */
export function comparePlans(
  saved: SavedPlan,
  now: SavedPlan,
  names: ReadonlyMap<string, string>,
): Difference[] {
  const [before, after] = [saved.resourcePlans ?? {}, now.resourcePlans ?? {}];
  const found = new Map<string, Difference>();
  const digests: Difference[] = [];
  const subjectOf = (urn: string): string => {
    const node = nodeUrnOf(urn);
    return node === undefined ? nameOf(urn) : (names.get(node) ?? nameOf(node));
  };
  const add = (subject: string, text: string): void =>
    void found.set(`${subject} ${text}`, { subject, text });
  for (const urn of [...new Set([...Object.keys(before), ...Object.keys(after)])].sort()) {
    const [old, next] = [before[urn] ?? nothing, after[urn] ?? nothing];
    const [was, is] = [old.steps ?? [], next.steps ?? []];
    if (!isDeepStrictEqual([...was].sort(), [...is].sort())) {
      add(subjectOf(urn), `it was ${inWords(was)}, and now it is ${inWords(is)}`);
      continue;
    }
    const paths = differingPaths(old, next);
    if (isDigest(paths)) digests.push({ subject: subjectOf(urn), text: "what the run would do differs" });
    else if (paths.length > 0)
      add(subjectOf(urn), `it was to be changed in another way: ${pathsInWords(paths)}`);
    const waits = ({ goal }: ResourcePlan): string[] => [...(goal?.dependencies ?? [])].sort();
    if (!isDeepStrictEqual(waits(old), waits(next))) add(subjectOf(urn), "its turn is another");
  }
  return found.size > 0 ? [...found.values()] : digests;
}
