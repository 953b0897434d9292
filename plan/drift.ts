/**
 * Decides which nodes need an installation. The nonce is an input of the node's command: Pulumi runs the command only
 * if the nonce differs from the recorded one.
 */
import { createHash } from "node:crypto";
import type { Observation } from "../nodes/operations/inspection";
import { type TrustedCertificate, type UnreachablePolicy, isSkipped } from "../nodes/protocol/spec";
import type { RecordedNode } from "../state/previousState";

function derived(...from: readonly unknown[]): string {
  return createHash("sha256").update(JSON.stringify(from)).digest("hex").slice(0, 16);
}

/**
 * @param uid - The Node's UID.
 * @param recorded - The state's record of this node; undefined if there is none.
 * @param observed - The node's observation; undefined if it was not inspected.
 * @param wanted - What the node should trust, and the policy for unreachable nodes.
 * @returns A nonce derived from these alone, so that preview and update agree:
 *   - the recorded nonce if the node is in order, was not inspected, or is unreachable and skipped;
 *   - the node's own nonce if it is in order, and an interrupted run installed it without recording it;
 *   - a new nonce if the node needs an installation, as one does that was skipped and is reachable again.
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
    return isSkipped(code, wanted) ? recorded.nonce : derived(recorded.nonce, code);
  }
  const { trusted, loaded, nonce } = observed.report;
  const well = loaded === true && wanted.certificates.every(({ sha256 }) => trusted.includes(sha256));
  return well && nonce !== undefined && !recorded.skipped
    ? nonce
    : derived(recorded.nonce, trusted, loaded, nonce, recorded.skipped);
}
