/**
 * What identifies a certificate: its fingerprint, its subject and issuer, whether it signs itself.
 * It never says whether a certificate is valid.
 */
import { type X509Certificate, createHash } from "node:crypto";
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

/** Whether the certificate is signed by its own key. */
export function isSelfSigned(certificate: X509Certificate): boolean {
  return certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey);
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
