/**
 * What the stack's registries serve to this machine, and whether the CAs that the nodes have verify it.
 * It never sends a credential, and never believes what a registry serves.
 */
import { X509Certificate } from "node:crypto";
import { fingerprintOf, issuerOf, subjectOf } from "../../certificates/identity";
import { ConnectionFailure, inspectTls } from "../../net/https";
import { unusedProxy } from "../../net/proxy";
import type { Observation } from "../../nodes/operations/inspection";
import { caLimits } from "../../registry/ca";
import { parseRegistryHost } from "../../registry/host";

/** Whether nodes accept what a registry serves to this machine, and why not, or why that could not be told. */
export type Served = { readonly verifies: true } | { readonly verifies: false | null; readonly seen: string };

/** The certificates that nodes reported, by SHA-256: what they are is proved by that. */
function reported(observed: Iterable<Observation>): Map<string, X509Certificate> {
  const bodies = [...observed].flatMap((each) => (each.kind === "answered" ? each.report.bodies : []));
  const certificates = [...new Set(bodies)].flatMap((body) => {
    try {
      return [new X509Certificate(Buffer.from(body, "base64"))];
    } catch {
      return []; // a node may report anything
    }
  });
  return new Map(certificates.map((certificate) => [fingerprintOf(certificate), certificate]));
}

async function ask(
  host: string,
  wanted: readonly string[],
  known: ReadonlyMap<string, X509Certificate>,
): Promise<Served> {
  const address = parseRegistryHost(host, { subject: `registry ${host}` });
  try {
    const { chain } = await inspectTls(address, { ca: [] }, caLimits.seconds);
    const served = new Map(chain.map((certificate) => [fingerprintOf(certificate), certificate]));
    const trusted = wanted.flatMap((sha256) => known.get(sha256) ?? served.get(sha256) ?? []);
    const ca = trusted.map((certificate) => certificate.toString());
    const { rejection } = await inspectTls(address, { ca }, caLimits.seconds);
    if (rejection === undefined) return { verifies: true };
    // Whichever way nodes trust the CAs, they go on trusting their system's roots.
    const { rejection: publicly } = await inspectTls(address, "public-roots", caLimits.seconds);
    if (publicly === undefined) return { verifies: true };
    if (trusted.length < wanted.length)
      return { verifies: null, seen: "no node reported its CA, and it does not serve it" };
    const [leaf] = chain;
    const shown = leaf ? ` (it serves ${subjectOf(leaf)}, issued by ${issuerOf(leaf)})` : "";
    return { verifies: false, seen: `the nodes' CAs do not verify what it serves: ${rejection}${shown}` };
  } catch (error) {
    if (!(error instanceof ConnectionFailure)) throw error;
    const proxy = error.kind === "unreachable" || error.kind === "slow" ? unusedProxy(address) : "";
    return { verifies: null, seen: `this machine does not reach it: ${error.message}${proxy}` };
  }
}

/**
 * Asks all registries at once.
 *
 * @param registries - The SHA-256 of the certificates that nodes are to trust, by registry.
 */
export async function askRegistries(
  registries: ReadonlyMap<string, readonly string[]>,
  observed: Iterable<Observation>,
): Promise<Map<string, Served>> {
  const known = reported(observed);
  return new Map(
    await Promise.all(
      [...registries].map(async ([host, wanted]) => [host, await ask(host, wanted, known)] as const),
    ),
  );
}
