/** The pull secret, in each namespace where pods need it. */
import type { PullSecretSettings } from "../config/settings";
import { type FoundSecret, dryRunSecret, findSecret } from "../kubernetes/checks";
import type { KubeContext } from "../kubernetes/client";
import { mergeDockerConfigJson } from "../registry/dockerConfig";
import type { PreviousState } from "../state/previousState";
import { allChecks } from "../support/errors";
import { printable } from "../support/text";
import { type Claim, beingDeleted, claimOf, resolveOwnership } from "./ownership";
import { planProblem } from "./problems";

/** A namespace that is to have the pull secret. */
export interface PullSecretPlace {
  readonly namespace: string;
  /** Whether a Secret of that name is there. */
  readonly exists: boolean;
  readonly adopted: boolean;
  /** What it is to hold, given the stack's own part. */
  readonly merged: (ours: string) => string;
}

/** The pull secret's content in one namespace: the stack's registries, and in an adopted one what was there before. */
async function resolvePullSecret(
  cluster: KubeContext,
  namespace: string,
  { name, adopt, subject, setting }: PullSecretSettings,
  claim: () => Promise<Claim>,
): Promise<PullSecretPlace> {
  const found = await findSecret(cluster, namespace, name);
  const what = `secret ${namespace}/${name}`;
  const otherName = `\`${setting("name")}\``;
  const object = { kind: "secret", namespace, name, context: cluster.name };
  const kind = await resolveOwnership(object, found, { claim, adopt, otherName });
  // Asked of the API server, as the user may well have no right to read namespaces.
  if (!found) await dryRunSecret(cluster, namespace, subject("namespaces"));
  if (found) refuseUnchangeable(what, found, kind === "adopted", otherName);
  const existing = found?.data[".dockerconfigjson"];
  const place = { namespace, exists: found !== undefined };
  return kind === "adopted"
    ? {
        ...place,
        adopted: true,
        merged: (ours) => mergeDockerConfigJson(existing!, ours, { subject: what }),
      }
    : { ...place, adopted: false, merged: (ours) => ours };
}

export const pullSecretType = "kubernetes.io/dockerconfigjson";

/** Refuses a Secret that no update can make into the pull secret: its type and an immutable one's data never change. */
function refuseUnchangeable(what: string, found: FoundSecret, adopted: boolean, otherName: string): void {
  if (found.deleting === true) throw beingDeleted(what);
  if (found.type !== pullSecretType || (adopted && found.data[".dockerconfigjson"] === undefined)) {
    const seen = `it is of the type ${printable(found.type, 60)}, not ${pullSecretType}`;
    throw planProblem.error("adopted-secret-type", { subject: what, seen }, otherName);
  }
  if (found.immutable) {
    const seen = "it is immutable: true, so that nobody can put a login into it";
    throw planProblem.error("adopted-secret-type", { subject: what, seen }, otherName);
  }
}

/** Where the pull secret is to be. */
export function resolvePullSecrets(
  cluster: KubeContext,
  settings: PullSecretSettings,
  previousState: () => Promise<PreviousState>,
): Promise<readonly PullSecretPlace[]> {
  const claim = async (): Promise<Claim> => claimOf(await previousState());
  return allChecks(
    settings.namespaces.map((namespace) => resolvePullSecret(cluster, namespace, settings, claim)),
  );
}
