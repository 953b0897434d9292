/**
 * What a preview says of certificates, images and the objects in the clusters.
 * It never reads anything of them but their names, fingerprints, dates and images.
 */
import * as z from "zod";
import { adoptedAnnotation } from "../../plan/ownership";
import { parseImageReference } from "../../registry/host";
import {
  environmentOf,
  placedRecord,
  resourceTypes,
  outputsRecord,
  trustedNodesRecord,
} from "../../state/records";
import { UserError } from "../../support/errors";
import type { CertificateReview, ImageReference, ImageReview, ObjectReview } from "./findings";
import { type ResourceState, type Step, changes } from "./preview";

/** Whether a resource is one of this package's, or a child of one: the types of its parents are in its URN. */
export const isOurs = ({ urn }: Pick<Step, "urn">): boolean =>
  (urn.split("::")[2] ?? "").includes("tkc-registry:index:");

interface Facts {
  readonly subject: string;
  readonly notAfter: string;
}

/** What outputs say of certificates, by SHA-256: those of the run win over those of the state. */
function certificateFacts(steps: readonly Step[]): ReadonlyMap<string, Facts> {
  const told = steps.filter(({ type }) => type === resourceTypes.stack || type === resourceTypes.trust);
  const outputs = [...told.map(({ before }) => before?.outputs), ...told.map(({ after }) => after?.outputs)];
  return new Map(
    outputs.flatMap((each) =>
      (outputsRecord.safeParse(each).data?.registries ?? []).flatMap(({ certificates }) =>
        certificates.map(({ sha256, subject, notAfter }) => [sha256, { subject, notAfter }] as const),
      ),
    ),
  );
}

/** The certificates that nodes trust, before and after. */
export function reviewCertificates(steps: readonly Step[]): CertificateReview[] {
  const facts = certificateFacts(steps);
  const sets = steps.filter(({ type }) => type === resourceTypes.nodes);
  const trusted = (state: (step: Step) => ResourceState | undefined): Map<string, [string, string]> =>
    new Map(
      sets.flatMap((set) =>
        (trustedNodesRecord.safeParse(state(set)?.inputs).data?.certificates ?? []).map(
          ({ registry, sha256 }) => [`${registry} ${sha256}`, [registry, sha256]] as const,
        ),
      ),
    );
  const before = trusted((set) => set.before);
  const after = trusted((set) => set.after);
  return [...new Map([...after, ...before])].map(([key, [host, sha256]]) => ({
    ...{ host, sha256 },
    subject: facts.get(sha256)?.subject ?? null,
    notAfter: facts.get(sha256)?.notAfter ?? null,
    change: !before.has(key) ? "added" : after.has(key) ? "kept" : "removed",
  }));
}

const podSpecRecord = z.object({
  spec: z.object({
    template: z.object({ spec: z.object({ containers: z.array(z.object({ image: z.string() })) }) }),
  }),
});

function imageOf(state: ResourceState | undefined): ImageReference | null {
  const containers = podSpecRecord.safeParse(state?.inputs).data?.spec.template.spec.containers ?? [];
  const reference = containers[0]?.image;
  if (reference === undefined) return null;
  try {
    const { tag = null, digest = null } = parseImageReference(reference, { subject: "image" });
    return { reference, tag, digest };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return null; // the engine's word for what is not known yet
  }
}

const placeOf = (step: Step): { namespace: string; name: string } | undefined =>
  placedRecord.safeParse((step.after ?? step.before)?.inputs).data?.metadata;

/** The images of the stack's Deployments, before and after. */
export function reviewImages(steps: readonly Step[]): ImageReview[] {
  return steps
    .filter((step) => step.type === resourceTypes.deployment && isOurs(step))
    .flatMap((step) => {
      const place = placeOf(step);
      if (!place) return [];
      const deployment = `${place.namespace}/${place.name}`;
      return [{ deployment, before: imageOf(step.before), after: imageOf(step.after) }];
    });
}

const annotatedRecord = z.object({
  metadata: z.object({ annotations: z.object({ [adoptedAnnotation]: z.literal("true") }) }),
});

function changeOf(step: Step): ObjectReview["change"] {
  const { before, after, operations } = step;
  if (!changes(step)) return "unchanged";
  if (!after) return before?.retainOnDelete === true ? "left" : "deleted";
  if (operations.some((operation) => operation.includes("replace"))) return "replaced";
  if (before) return "updated";
  return annotatedRecord.safeParse(after.inputs).success ? "adopted" : "created";
}

const kinds: Readonly<Record<string, string>> = {
  [resourceTypes.pod]: "Pod",
  [resourceTypes.secret]: "Secret",
  [resourceTypes.deployment]: "Deployment",
};

/** The stack's objects in the clusters. */
export function reviewObjects(steps: readonly Step[]): ObjectReview[] {
  return steps.filter(isOurs).flatMap((step): ObjectReview[] => {
    const kind = kinds[step.type];
    const place = placeOf(step);
    if (kind !== undefined) return place ? [{ kind, ...place, change: changeOf(step) }] : [];
    const { TKC_REGISTRY_SERVICE_ACCOUNT: name, TKC_REGISTRY_NAMESPACE: namespace } = environmentOf(
      (step.after ?? step.before)?.inputs,
    );
    if (name === undefined || namespace === undefined) return [];
    // A command puts the pull secret into it, or takes it out.
    return [{ kind: "ServiceAccount", namespace, name, change: changes(step) ? "updated" : "unchanged" }];
  });
}
