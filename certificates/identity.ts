/**
 * What identifies a certificate: its fingerprint, its subject and issuer, whether it signs itself.
 * It never says whether a certificate is valid.
 */
import { type KeyObject, type X509Certificate, createHash } from "node:crypto";
import { AsnConvert } from "@peculiar/asn1-schema";
import { AuthorityKeyIdentifier, Certificate, SubjectKeyIdentifier } from "@peculiar/asn1-x509";
import { printable } from "../support/text";
import { certificateProblem } from "./problems";

/** SHA-256 of the DER as lower-case hex without colons. */
export function fingerprintOf(certificate: X509Certificate): string {
  return createHash("sha256").update(certificate.raw).digest("hex");
}

/** A certificate's subject on one line: `O=Example, CN=Example CA`. */
export function subjectOf(certificate: X509Certificate): string {
  return oneLine(certificate.subject);
}

/** A certificate's issuer, in the same form. */
export function issuerOf(certificate: X509Certificate): string {
  return oneLine(certificate.issuer);
}

/** @param name - As Node.js gives it: a line for each part, and undefined where the certificate has none. */
function oneLine(name: string | undefined): string {
  return printable((name ?? "").split("\n").join(", "), 200) || "(no name)";
}

/** Whether this key signed it. */
export function isSignedBy(certificate: X509Certificate, key: KeyObject): boolean {
  try {
    return certificate.verify(key);
  } catch {
    return false; // the signature is of another kind than the key
  }
}

/** Whether it names itself as its issuer: its own key signed it, or an older key of the same CA did (a rollover). */
export const isSelfIssued = ({ subject, issuer }: X509Certificate): boolean => subject === issuer;

/** Whether the certificate is signed by its own key, whatever its key usage says: no verifier looks at that of a root. */
export function isSelfSigned(certificate: X509Certificate): boolean {
  return isSelfIssued(certificate) && hasKey(certificate) && isSignedBy(certificate, certificate.publicKey);
}

/** Whether Node.js can read its key. */
function hasKey(certificate: X509Certificate): boolean {
  try {
    return certificate.publicKey.type === "public";
  } catch {
    return false;
  }
}

/** Whether it says of itself that its own key signed it: its two key identifiers are the same. */
export function claimsOwnKey(certificate: X509Certificate): boolean {
  try {
    const { extensions } = AsnConvert.parse(certificate.raw, Certificate).tbsCertificate;
    const valueOf = (id: string) => [...extensions!].find(({ extnID }) => extnID === id)!.extnValue.buffer;
    const { keyIdentifier } = AsnConvert.parse(valueOf("2.5.29.35"), AuthorityKeyIdentifier);
    const own = AsnConvert.parse(valueOf("2.5.29.14"), SubjectKeyIdentifier);
    return Buffer.from(keyIdentifier!.buffer).equals(Buffer.from(own.buffer));
  } catch {
    return false; // it has not both
  }
}

/** Whether it may be a CA: its basic constraints say so, or it is self-signed, and so its own CA. */
export function isAuthority(certificate: X509Certificate): boolean {
  return certificate.ca || isSelfSigned(certificate);
}

/**
 * Reads a SHA-256 fingerprint as people have it: hex in any case, with colons, spaces, line breaks or nothing between the
 * digits, with `SHA256:` or OpenSSL's `sha256 Fingerprint=` before it, and with the invisible characters that come along
 * when it is copied out of a window or a chat.
 *
 * @returns 64 lower-case hex digits.
 * @throws UserError (`fingerprint-shape`).
 */
export function parseFingerprint(text: string, options: { subject: string }): string {
  const visible = text.replace(/\p{Cf}/gu, "");
  const digits = visible
    .trim()
    .replace(/^sha-?256(?:\s+fingerprint)?\s*[:=]\s*/i, "")
    .trim();
  // Whole bytes between the separators: another grouping may be another thing.
  const hex = /^(?:[0-9a-f]{2})+(?:(?:\s*:\s*|[\p{C}\p{Z}]+)(?:[0-9a-f]{2})+)*$/iu.test(digits)
    ? digits.replace(/[:\p{C}\p{Z}]/gu, "")
    : digits;
  if (/^[0-9a-f]{64}$/i.test(hex)) return hex.toLowerCase();
  const seen = /^[0-9a-f]{40}$/i.test(hex)
    ? "is a SHA-1 fingerprint"
    : /^[A-Za-z0-9+/]{43}=?$/.test(digits)
      ? "is in base64, as OpenSSH prints the fingerprints of host keys"
      : /^[0-9a-f]+$/i.test(hex)
        ? `has ${hex.length} hexadecimal digits instead of 64`
        : "is not a fingerprint";
  throw certificateProblem.error("fingerprint-shape", {
    subject: options.subject,
    seen: `"${printable(text, 110)}" ${seen}`,
  });
}
