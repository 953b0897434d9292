/**
 * Which nodes a run has to look after, told by a nonce a node. It is an input of the node's command: as long as it is
 * the one of the last installation, nothing is done there.
 */
import { createHash } from "node:crypto";
import type { Observation } from "../nodes/inspection";
import type { TrustedCertificate } from "../nodes/spec";

function derived(...from: readonly unknown[]): string {
  return createHash("sha256").update(JSON.stringify(from)).digest("hex").slice(0, 16);
}

/**
 * @param uid - The Node's UID.
 * @param recorded - The nonce in the state, of the last installation on the very node; undefined where there is none.
 * @param observed - What the node said; undefined where it was not asked.
 * @param wanted - What it is to trust.
 * @returns a nonce that follows from these alone, so that the preview and the update agree: the recorded one where all
 *   is well or nothing is known; the node's own where it is well and was installed by a run that could not record it;
 *   another one where the node has to be looked after.
 */
export function nonceOf(
  uid: string,
  recorded: string | undefined,
  observed: Observation | undefined,
  wanted: readonly TrustedCertificate[],
): string {
  if (recorded === undefined) return derived(uid);
  if (observed === undefined) return recorded;
  if (observed.kind === "silent") return derived(recorded, observed.problem.code);
  const { trusted, loaded, nonce } = observed.report;
  const well = loaded === true && wanted.every(({ sha256 }) => trusted.includes(sha256));
  return well && nonce !== undefined ? nonce : derived(recorded, trusted, loaded, nonce);
}
