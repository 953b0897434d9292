/**
 * Decides which nodes need an installation. The nonce is an input of the node's command: Pulumi runs the command only
 * if the nonce differs from the recorded one.
 */
import { createHash } from "node:crypto";
import type { Observation } from "../nodes/operations/inspection";
import { type TrustedCertificate, type UnreachablePolicy, unreachableCodes } from "../nodes/protocol/spec";
import type { RecordedNode } from "../state/previousState";

function derived(...from: readonly unknown[]): string {
  return createHash("sha256").update(JSON.stringify(from)).digest("hex").slice(0, 16);
}

/**
 * @param uid - The Node's UID.
 * @param recorded - What the state holds of the very node; undefined where it holds nothing.
 * @param observed - What the node said; undefined where it was not asked.
 * @param wanted - What it is to trust, and what becomes of it where it can't be reached.
 * @returns a nonce that follows from these alone, so that the preview and the update agree: the recorded one where all
 *   is well, nothing is known, or the node can't be reached and is to be skipped; the node's own where it is well and was
 *   installed by a run that could not record it; another one where the node has to be looked after, as one does that was
 *   skipped and is there again.
 */
export function nonceOf(
  uid: string,
  recorded: RecordedNode | undefined,
  observed: Observation | undefined,
  wanted: { readonly certificates: readonly TrustedCertificate[]; readonly unreachable: UnreachablePolicy },
): string {
  if (recorded === undefined) return derived(uid);
  if (observed === undefined) return recorded.skipped ? derived(recorded.nonce, "skipped") : recorded.nonce;
  if (observed.kind === "silent") {
    const { code } = observed.problem;
    const skip = wanted.unreachable === "skip" && unreachableCodes.has(code);
    return skip ? recorded.nonce : derived(recorded.nonce, code);
  }
  const { trusted, loaded, nonce } = observed.report;
  const well = loaded === true && wanted.certificates.every(({ sha256 }) => trusted.includes(sha256));
  return well && nonce !== undefined && !recorded.skipped
    ? nonce
    : derived(recorded.nonce, trusted, loaded, nonce, recorded.skipped);
}
