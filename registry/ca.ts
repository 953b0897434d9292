/**
 * A registry's CA: obtained from a file, the settings, Harbor or the handshake, and proved against the served chain.
 * It never sends credentials, and never trusts what the registry itself gives without a pin or trust on first use.
 */
import type { X509Certificate } from "node:crypto";
import { type CaCertificate, checkCertificates } from "../certificates/certificates";
import {
  ConnectionFailure,
  httpsRequest,
  inspectTls,
  originOf,
  type HttpResponse,
  type Limits,
} from "../net/https";
import { unusedProxy } from "../net/proxy";
import { UserError } from "../support/errors";
import { readOperatorFile } from "../support/files";
import { printable } from "../support/text";
import { parseRegistryHost, type RegistryAddress } from "./host";
import type { CaSource, RegistryHost, TrustedCa } from "./types";
import { readCertificates } from "../certificates/pem";
import {
  fingerprintOf,
  isAuthority,
  isSelfSigned,
  issuerOf,
  parseFingerprint,
  subjectOf,
} from "../certificates/identity";
import { supportProblem } from "../support/problems";
import { registryProblem } from "./problems";

/** Limits for obtaining a CA: time for one exchange with the registry, size of the file or answer. */
export const caLimits: Limits = { seconds: 10, bytes: 64 * 1024 };

/** Where Harbor serves the CA that its administrator put there: v2, then v1. */
const getcertPaths = [
  { path: "/api/v2.0/systeminfo/getcert", name: "harbor getcert v2" },
  { path: "/api/systeminfo/getcert", name: "harbor getcert v1" },
] as const;

/** Whether a CA comes from the registry itself, so that it needs a pin or trust on first use. */
export const isFromRegistry = (source: CaSource): source is Extract<CaSource, { from: "harbor" | "chain" }> =>
  source.from === "harbor" || source.from === "chain";

/** Unchecked certificates from a source. */
export interface Found {
  readonly source: string;
  /** The subject of messages about it. */
  readonly subject: string;
  readonly certificates: readonly X509Certificate[];
}

/**
 * Gets a registry's CA and proves it: the certificates are valid, pinned or known where the source is the registry itself,
 * and verify the chain that the registry serves for its name by Go's rules, as far as it can be reached from here.
 *
 * @param host - `host` or `host:port`.
 * @param options.subject - The setting that gives the source, `registries[0].ca`, for messages.
 * @param options.known - SHA-256 fingerprints (lower-case hex) that earlier runs trusted for this registry. Only trust on
 * first use looks at them: none is the first use, and later what the registry gives must be exactly these.
 * @throws UserError: those of {@link readCertificates} and {@link checkCertificates}; `file-unreadable`, `file-too-large`,
 * `ca-getcert-absent`, `ca-getcert-failed`, `ca-fingerprint-mismatch`, `ca-changed`, `ca-does-not-verify`,
 * `registry-unreachable`; `missing-setting` where a source that needs it has neither `sha256` nor `trustOnFirstUse`.
 */
export async function obtainCa(
  host: RegistryHost,
  source: CaSource,
  options: { subject: string; limits?: Limits; now?: Date; known?: readonly string[] | undefined },
): Promise<TrustedCa> {
  const { subject, limits = caLimits, now = new Date(), known = [] } = options;
  const address = parseRegistryHost(host, { subject });
  const pin =
    source.sha256 === undefined
      ? undefined
      : parseFingerprint(source.sha256, { subject: `${subject}.sha256` });
  const fromRegistry = isFromRegistry(source);
  if (fromRegistry && pin === undefined && source.trustOnFirstUse !== true) {
    throw supportProblem.error(
      "missing-setting",
      { subject: `${subject}.sha256`, seen: "it is missing" },
      "Give `sha256`, the fingerprint of the CA, or `trustOnFirstUse: true`",
    );
  }
  const query: PinnedCaQuery = { address, subject, limits, now, pin };
  const found = await find(source, query);
  const chosen =
    pin !== undefined
      ? [pinned(found, pin, source, query)]
      : fromRegistry
        ? firstUsed(found, source, known, query)
        : found.certificates;
  const { certificates, warnings } = checkCertificates(chosen, { subject: found.subject, now });
  const { served, warnings: unverified } = await verifyServedChain(certificates, source, query);
  const first = fromRegistry && pin === undefined && known.length === 0;
  return {
    registry: address.host,
    source: found.source,
    certificates,
    served,
    warnings: [...warnings, ...unverified, ...(first ? [firstUse(certificates, query)] : [])],
  };
}

/** Which registry to ask, for which setting, within which limits. */
export interface CaQuery {
  readonly address: RegistryAddress;
  /** For messages. */
  readonly subject: string;
  readonly limits: Limits;
}

interface PinnedCaQuery extends CaQuery {
  readonly now: Date;
  readonly pin: string | undefined;
}

async function find(source: CaSource, query: PinnedCaQuery): Promise<Found> {
  const { subject: setting, limits } = query;
  switch (source.from) {
    case "file": {
      const subject = `${setting}.path`;
      const content = await readOperatorFile(source.path, { subject, maxBytes: limits.bytes });
      return {
        source: `file ${printable(source.path)}`,
        subject,
        certificates: readCertificates(content, { subject }),
      };
    }
    case "inline": {
      const subject = `${setting}.pem`;
      return { source: "inline", subject, certificates: readCertificates(source.pem, { subject }) };
    }
    case "harbor":
      return await downloadFromHarbor(query);
    case "chain":
      return await servedChain(query);
  }
}

/**
 * The download is the one exchange here that does not verify the server: the CA that would verify it is what is
 * being downloaded. The connection is therefore untrusted: nothing secret is sent, and only a certificate whose
 * SHA-256 is the pin is used. Trust on first use has no pin the first time, and warns.
 *
 * @throws UserError: `ca-getcert-absent`, `ca-getcert-failed`, `registry-unreachable`, and those of {@link readCertificates}.
 */
export async function downloadFromHarbor(query: CaQuery): Promise<Found> {
  const { address, subject: setting, limits } = query;
  for (const { path, name } of getcertPaths) {
    const url = `https://${address.host}${path}`;
    const response = await httpsRequest(address, { method: "GET", path, trust: "unverified", limits }).catch(
      (error: unknown) => {
        throw cannotFetch(error, url, query);
      },
    );
    if (response.status === 404) continue;
    if (response.status !== 200) throw getcertFailed(response, url, query);
    const subject = `${setting} (${url})`;
    return { source: name, subject, certificates: readCertificates(response.body, { subject }) };
  }
  throw registryProblem.error("ca-getcert-absent", {
    subject: setting,
    seen: `${address.host} answers 404 to ${getcertPaths.map(({ path }) => path).join(" and ")}`,
  });
}

function getcertFailed({ status, headers }: HttpResponse, url: string, { subject }: CaQuery): UserError {
  const fail = (seen: string, remedy: "redirect" | "harbor" | "registry"): UserError =>
    registryProblem.error("ca-getcert-failed", { subject, seen: `${url} ${seen}` }, remedy);
  if (status >= 300 && status < 400) {
    return fail(`redirects to ${originOf(headers.location)}`, "redirect");
  }
  if (status === 500) {
    return fail("answers 500: Harbor cannot read the CA that it should serve", "harbor");
  }
  return fail(`answers ${status}`, "registry");
}

function cannotFetch(error: unknown, url: string, { subject, address }: CaQuery): unknown {
  if (!(error instanceof ConnectionFailure)) return error;
  if (error.kind === "oversized") {
    return registryProblem.error(
      "ca-getcert-failed",
      { subject, seen: `${url}: ${error.message}, too much for a certificate` },
      "size",
    );
  }
  return registryProblem.error("registry-unreachable", {
    subject,
    seen: `the CA cannot be fetched from ${address.hostname} port ${address.port}: ${error.message}${proxyOf(error, address)}`,
  });
}

/** A hint at this machine's proxy, if that may be the cause. */
function proxyOf({ kind }: ConnectionFailure, address: RegistryAddress): string {
  return kind === "unreachable" || kind === "slow" ? unusedProxy(address) : "";
}

/**
 * The chain from the TLS handshake. The caller trusts only a pinned certificate, or one known or trusted on first use.
 *
 * @throws UserError (`registry-unreachable`).
 */
export async function servedChain(query: CaQuery): Promise<Found> {
  const { address, subject, limits } = query;
  const { chain } = await inspectTls(address, { ca: [] }, limits.seconds).catch((error: unknown) => {
    throw cannotFetch(error, `https://${address.host}`, query);
  });
  return { source: "served TLS chain", subject, certificates: chain };
}

/** With a pin, only the pinned certificate is trusted. */
function pinned(found: Found, pin: string, source: CaSource, query: PinnedCaQuery): X509Certificate {
  const certificate = found.certificates.find((candidate) => fingerprintOf(candidate) === pin);
  if (certificate) return certificate;
  const observed = found.certificates
    .map((candidate) => `${fingerprintOf(candidate)} (${subjectOf(candidate)})`)
    .join(", ");
  const rootIsAbsent = source.from === "chain" && !found.certificates.some(isSelfSigned);
  throw registryProblem.error(
    "ca-fingerprint-mismatch",
    {
      subject: `${query.subject}.sha256`,
      seen: `no certificate of ${query.address.host} (${found.source}) has the SHA-256 ${pin}; there is ${observed}`,
    },
    isFromRegistry(source) ? (rootIsAbsent ? "rootNotServed" : "registry") : "given",
  );
}

/**
 * Trust without a pin. First use: all authorities of Harbor's answer, or the chain's certificate nearest to the root.
 * Later: exactly the certificates of the first use.
 */
function firstUsed(
  found: Found,
  source: CaSource,
  known: readonly string[],
  { address, subject }: PinnedCaQuery,
): readonly X509Certificate[] {
  const authorities = found.certificates.filter(isAuthority);
  const chosen = source.from === "chain" ? found.certificates.slice(-1) : authorities;
  if (chosen.length === 0) return found.certificates; // only servers' certificates: checkCertificates refuses them
  if (known.length === 0) return chosen;
  const now = chosen.map(fingerprintOf);
  if (now.length === known.length && now.every((sha256) => known.includes(sha256))) return chosen;
  const named = chosen.map((certificate) => `${fingerprintOf(certificate)} (${subjectOf(certificate)})`);
  throw registryProblem.error(
    "ca-changed",
    {
      subject,
      seen:
        `the CA of ${address.host} (${found.source}) is ${named.join(" and ")}, ` +
        `and earlier runs have trusted ${known.join(" and ")}`,
    },
    now,
  );
}

/** Words of the warning that nothing vouches for a CA. */
export const firstUseWords = "is trusted on first use";

function firstUse(certificates: readonly CaCertificate[], { subject, address }: PinnedCaQuery): string {
  const named = certificates.map((certificate) => `${certificate.sha256} (${certificate.subject})`);
  return (
    `${subject}: the CA of ${address.host} ${firstUseWords}, as nothing vouches for it: SHA-256 ${named.join(" and ")}. ` +
    "Compare that with the fingerprint that the registry's administrator tells you, by another way than this connection"
  );
}

/**
 * @returns The SHA-256 of the server's certificate; and a warning that the registry was not reached, where the CA does not
 * come from it.
 * @throws UserError (`ca-does-not-verify`) when it was reached and nodes would refuse it with this CA.
 */
async function verifyServedChain(
  certificates: readonly CaCertificate[],
  source: CaSource,
  query: PinnedCaQuery,
): Promise<{ readonly served?: string; readonly warnings: readonly string[] }> {
  const { address, subject, limits, now } = query;
  let served;
  try {
    served = await inspectTls(address, { ca: certificates.map(({ pem }) => pem) }, limits.seconds, now);
  } catch (error) {
    if (!(error instanceof ConnectionFailure) || isFromRegistry(source) || error.kind === "not-tls") {
      throw cannotFetch(error, `https://${address.host}`, query);
    }
    const warning = `${subject}: not checked against ${address.host}, which this machine does not reach: ${error.message}${proxyOf(error, address)}`;
    return { warnings: [warning] };
  }
  const [leaf] = served.chain;
  if (served.rejection === undefined)
    return { ...(leaf ? { served: fingerprintOf(leaf) } : {}), warnings: [] };
  const shown = leaf ? ` (it serves ${subjectOf(leaf)}, issued by ${issuerOf(leaf)})` : "";
  throw registryProblem.error(
    "ca-does-not-verify",
    {
      subject,
      seen: `with ${certificates.map((certificate) => certificate.subject).join(" and ")} trusted, nodes would still refuse ${address.host}: ${served.rejection}${shown}`,
    },
    "given",
  );
}
