/**
 * The checks that certificates must pass to be the CAs of nodes.
 * It never connects anywhere, and never decides which certificate to trust.
 */
import type { X509Certificate } from "node:crypto";
import { type Problem, UserError } from "../support/errors";
import { type GoCertificate, GoRefusal, readAsGo, serverAuth } from "./go/goCertificate";
import { notPem } from "./pem";
import {
  fingerprintOf,
  isAuthority,
  isSignedBy,
  isSelfIssued,
  isSelfSigned,
  issuerOf,
  subjectOf,
} from "./identity";
import { certificateProblem } from "./problems";

/** A certificate that passed the checks. */
export interface CaCertificate {
  /** PEM with LF line ends and one final newline. */
  readonly pem: string;
  readonly der: Buffer;
  /** SHA-256 of the DER, lower-case hex without colons. */
  readonly sha256: string;
  readonly subject: string;
  /** ISO 8601. */
  readonly notAfter: string;
}

/** Certificates that passed the checks, with warnings for the operator. */
export interface ParsedCertificates {
  readonly certificates: readonly CaCertificate[];
  readonly warnings: readonly string[];
}

const day = 24 * 60 * 60 * 1000;
const warnBeforeExpiry = 30 * day;

/**
 * Checks that each certificate is a CA (or self-signed, and so its own CA), is valid now, has a safe key, and can be
 * read by containerd. Returns a PEM for each, since `openssl rehash` skips a file with several certificates. Leaves out
 * a server's certificate if its CA is given too.
 *
 * @param options.subject - The setting, for messages.
 * @throws UserError: `ca-is-leaf`, `ca-not-pem` (invalid dates); `ca-expired`, `ca-not-yet-valid`, `ca-weak-key`,
 * `ca-unusable`, all of them for all certificates.
 */
export function checkCertificates(
  found: readonly X509Certificate[],
  options: { subject: string; now?: Date },
): ParsedCertificates {
  const { subject, now = new Date() } = options;
  const authorities = found.filter(isAuthority);
  const leaves = found.filter((certificate) => !authorities.includes(certificate));
  const [leaf] = leaves;
  if (authorities.length === 0 && leaf) {
    throw certificateProblem.error("ca-is-leaf", {
      subject,
      seen: `the certificate is a server's (${subjectOf(leaf)}), not an authority's; it is issued by ${issuerOf(leaf)}`,
    });
  }
  const [problem, ...more] = authorities.flatMap((certificate) => problemsOf(certificate, subject, now));
  if (problem) throw new UserError(problem, ...more);
  const warnings = [
    ...leaves.map(
      (certificate) => `the server certificate ${subjectOf(certificate)} is left out; nodes need its CA`,
    ),
    ...authorities.flatMap((certificate) => concerns(certificate, authorities, now)),
  ];
  return {
    certificates: authorities.map(asCaCertificate),
    warnings: warnings.map((warning) => `${subject}: ${warning}`),
  };
}

function asCaCertificate(certificate: X509Certificate): CaCertificate {
  const base64 = certificate.raw.toString("base64").replace(/.{1,64}/g, "$&\n");
  return {
    pem: `-----BEGIN CERTIFICATE-----\n${base64}-----END CERTIFICATE-----\n`,
    der: certificate.raw,
    sha256: fingerprintOf(certificate),
    subject: subjectOf(certificate),
    notAfter: new Date(certificate.validTo).toISOString(),
  };
}

/** The smallest RSA key, in bits, that NIST SP 800-131A allows for signatures. */
const minRsaBits = 2048;

function problemsOf(certificate: X509Certificate, subject: string, now: Date): Problem[] {
  const name = subjectOf(certificate);
  for (const time of [certificate.validFrom, certificate.validTo])
    if (Number.isNaN(Date.parse(time)))
      throw notPem(subject, `the certificate ${name} has dates that are none`);
  const problems: Problem[] = [];
  const about = (seen: string) => ({ subject, seen: `the certificate ${name} ${seen}` });
  if (now > new Date(certificate.validTo)) {
    problems.push(
      certificateProblem(
        "ca-expired",
        about(`expired at ${new Date(certificate.validTo).toISOString()}`),
        "given",
      ),
    );
  }
  if (now < new Date(certificate.validFrom)) {
    const seen = `is valid only from ${new Date(certificate.validFrom).toISOString()}; it is ${now.toISOString()} here`;
    problems.push(certificateProblem("ca-not-yet-valid", about(seen)));
  }
  const { asymmetricKeyType, asymmetricKeyDetails } = certificate.publicKey;
  const bits = asymmetricKeyType === "rsa" ? (asymmetricKeyDetails?.modulusLength ?? 0) : minRsaBits;
  if (bits < minRsaBits) {
    const seen = `has an RSA key of ${bits} bits: whoever breaks it, which is feasible, can pose as any server to the nodes`;
    problems.push(certificateProblem("ca-weak-key", about(seen), minRsaBits));
  }
  const unread = whyUnusable(certificate);
  if (unread !== undefined) {
    const seen = `would be ignored by containerd in silence: ${unread}`;
    problems.push(certificateProblem("ca-unusable", about(seen)));
  }
  return problems;
}

function whyUnusable(certificate: X509Certificate): string | undefined {
  const read = asGo(certificate);
  if (read instanceof GoRefusal) return read.message;
  const { asymmetricKeyType = "unknown" } = certificate.publicKey;
  return read.key ? undefined : `its key is of a kind (${asymmetricKeyType}) that Go does not support`;
}

function asGo(certificate: X509Certificate): GoCertificate | GoRefusal {
  try {
    return readAsGo(certificate);
  } catch (error) {
    if (error instanceof GoRefusal) return error;
    throw error;
  }
}

/** Words of the warning that a CA is none. */
export const leafWords = "is a self-signed server certificate, not a CA";

/** @param given - All that nodes are to trust beside it. */
function concerns(certificate: X509Certificate, given: readonly X509Certificate[], now: Date): string[] {
  const name = subjectOf(certificate);
  const left = new Date(certificate.validTo).getTime() - now.getTime();
  const list: string[] = [];
  if (left < warnBeforeExpiry) {
    list.push(
      `the certificate ${name} expires in ${Math.max(0, Math.floor(left / day))} days, at ${new Date(certificate.validTo).toISOString()}`,
    );
  }
  const selfSigned = isSelfSigned(certificate);
  const issuerGiven = given.some(
    (other) =>
      other !== certificate && certificate.checkIssued(other) && isSignedBy(certificate, other.publicKey),
  );
  if (!certificate.ca) {
    list.push(`the certificate ${name} ${leafWords}: nodes need its successor at each renewal`);
  } else if (isSelfIssued(certificate) && !selfSigned && !issuerGiven) {
    list.push(
      `the certificate ${name} is signed by another key than its own, as when a CA's key is changed (or it was altered): ` +
        "containerd accepts it; curl and other programs that use OpenSSL need the CA's old certificate too, or the new " +
        "self-signed one in its place",
    );
  } else if (!selfSigned && !issuerGiven) {
    list.push(
      `the certificate ${name} is an intermediate authority (issued by ${issuerOf(certificate)}): containerd accepts it ` +
        "without its root; curl and other programs that use OpenSSL need the root too",
    );
  }
  const read = asGo(certificate);
  if (read instanceof GoRefusal) return list;
  const openSsl = "containerd accepts it; curl and other programs that use OpenSSL";
  if (selfSigned && read.mayNotSign) {
    list.push(
      `the certificate ${name} has a key usage without signing certificates: ${openSsl} before 3.0 refuse it`,
    );
  } else if (selfSigned && !issuerGiven && !certificate.checkIssued(certificate)) {
    list.push(
      `the certificate ${name} names another one than itself as its issuer (authority key identifier): ${openSsl} need ` +
        "that one too",
    );
  }
  const inVain = [
    ...(read.unhandled.length > 0
      ? [`a critical extension that Go does not know (${read.unhandled.join(", ")})`]
      : []),
    ...(read.notForServers ? ["an extended key usage that leaves out TLS servers"] : []),
  ];
  for (const what of inVain)
    list.push(`the certificate ${name} has ${what}: containerd refuses each server that it issued`);
  // Node.js's types leave out that there may be no extended key usage.
  const usages = certificate.keyUsage as readonly string[] | undefined;
  if (!read.notForServers && usages && !usages.includes(serverAuth)) {
    list.push(
      `the certificate ${name} has an extended key usage for any use that does not name TLS servers: ${openSsl} refuse it`,
    );
  }
  for (const doubt of read.doubts) {
    list.push(
      `the certificate ${name} has ${doubt}: containerd may ignore it in silence, which the first node's pull shows`,
    );
  }
  if (read.signature.verdict === "insecure") {
    list.push(
      `the certificate ${name} is signed with ${read.signature.name}: containerd accepts it, since the signature of a trusted ` +
        "certificate is not verified; other programs may refuse it, and its own signatures must use SHA-256 or better",
    );
  }
  return list;
}
