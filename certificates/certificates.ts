import { X509Certificate, createHash } from "node:crypto";
import type { ProblemCode } from "../support/catalog";
import { type Problem, UserError } from "../support/errors";
import { printable } from "../support/text";
import { type GoCertificate, GoRefusal, readAsGo } from "./go/goCertificate";

/** One certificate that was checked, and will be trusted. */
export interface CaCertificate {
  /** PEM, LF line ends, one final newline, nothing else. */
  readonly pem: string;
  readonly der: Buffer;
  /** SHA-256 of the DER, lower-case hex without colons. */
  readonly sha256: string;
  readonly subject: string;
  /** ISO 8601. */
  readonly notAfter: string;
}

/** Certificates that were read and checked, with what the operator should know about them. */
export interface ParsedCertificates {
  readonly certificates: readonly CaCertificate[];
  readonly warnings: readonly string[];
}

const day = 24 * 60 * 60 * 1000;
const warnBeforeExpiry = 30 * day;

/** SHA-256 of the DER as lower-case hex without colons. */
export function fingerprintOf(certificate: X509Certificate): string {
  return createHash("sha256").update(certificate.raw).digest("hex");
}

/** A certificate's subject on one line: `O=Example, CN=Example CA`. */
export function subjectOf(certificate: X509Certificate): string {
  return oneLine(certificate.subject);
}

/** The same of its issuer. */
export function issuerOf(certificate: X509Certificate): string {
  return oneLine(certificate.issuer);
}

function oneLine(name: string): string {
  return printable(name.split("\n").join(", "), 200) || "(no name)";
}

/** Whether the certificate is signed by its own key. */
export function isSelfSigned(certificate: X509Certificate): boolean {
  return certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey);
}

/** Whether it may be a CA: an authority, or self-signed, which comes to the same. */
export function isAuthority(certificate: X509Certificate): boolean {
  return certificate.ca || isSelfSigned(certificate);
}

/**
 * Reads a SHA-256 fingerprint as people have it: hex in any case, with or without colons, with `SHA256:` or with
 * OpenSSL's `sha256 Fingerprint=` before it.
 *
 * @returns 64 lower-case hex digits.
 * @throws UserError (`fingerprint-shape`).
 */
export function parseFingerprint(text: string, options: { subject: string }): string {
  const digits = text
    .trim()
    .replace(/^sha-?256(?:\s+fingerprint)?\s*[:=]\s*/i, "")
    .trim();
  const hex = /^[0-9a-f]{2}(?::[0-9a-f]{2})+$/i.test(digits) ? digits.replaceAll(":", "") : digits;
  if (/^[0-9a-f]{64}$/i.test(hex)) return hex.toLowerCase();
  const seen = /^[0-9a-f]{40}$/i.test(hex)
    ? "is a SHA-1 fingerprint"
    : /^[A-Za-z0-9+/]{43}=?$/.test(digits)
      ? "is in base64, as OpenSSH prints the fingerprints of host keys"
      : /^[0-9a-f]+$/i.test(hex)
        ? `has ${hex.length} hexadecimal digits instead of 64`
        : "is not a fingerprint";
  throw new UserError({
    code: "fingerprint-shape",
    subject: options.subject,
    seen: `"${printable(text, 110)}" ${seen}`,
    remedy:
      "Give the certificate's SHA-256: 64 hexadecimal digits, with or without colons " +
      "(`openssl x509 -in ca.crt -noout -fingerprint -sha256`)",
  });
}

/**
 * Checks that certificates are authorities (or self-signed, which comes to the same), valid now, of keys that are still
 * safe, and such as containerd reads. Certificates come back as a PEM each, since a trust store's file with several is not
 * hash-linked. A server's certificate beside its authority is left out.
 *
 * @param options.subject - The setting, for messages.
 * @throws UserError: `ca-is-leaf`, `ca-not-pem` (dates that are none); `ca-expired`, `ca-not-yet-valid`, `ca-weak-key`, `ca-unusable`, for each
 * certificate.
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
    throw new UserError({
      code: "ca-is-leaf",
      subject,
      seen: `the certificate is a server's (${subjectOf(leaf)}), not an authority's; it is issued by ${issuerOf(leaf)}`,
      remedy:
        "Give the certificate of that issuer: trust in a server's own certificate ends with its next renewal",
    });
  }
  const [problem, ...more] = authorities.flatMap((certificate) => problemsOf(certificate, subject, now));
  if (problem) throw new UserError(problem, ...more);
  const warnings = [
    ...leaves.map(
      (certificate) =>
        `the server certificate ${subjectOf(certificate)} is left out; its authority is what nodes need`,
    ),
    ...authorities.flatMap((certificate) => concerns(certificate, now)),
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

/** The smallest RSA key, in bits, that NIST SP 800-131A still allows signatures with. */
const minRsaBits = 2048;

function problemsOf(certificate: X509Certificate, subject: string, now: Date): Problem[] {
  const name = subjectOf(certificate);
  for (const time of [certificate.validFrom, certificate.validTo])
    if (Number.isNaN(Date.parse(time)))
      throw notPem(subject, `the certificate ${name} has dates that are none`);
  const problems: Problem[] = [];
  const report = (code: ProblemCode, seen: string, remedy: string): void =>
    void problems.push({ code, subject, seen: `the certificate ${name} ${seen}`, remedy });
  if (now > new Date(certificate.validTo)) {
    report(
      "ca-expired",
      `expired at ${new Date(certificate.validTo).toISOString()}`,
      "Give the registry's present CA",
    );
  }
  if (now < new Date(certificate.validFrom)) {
    report(
      "ca-not-yet-valid",
      `is valid only from ${new Date(certificate.validFrom).toISOString()}; it is ${now.toISOString()} here`,
      "Wait until then, or set this machine's clock right",
    );
  }
  const { asymmetricKeyType, asymmetricKeyDetails } = certificate.publicKey;
  const bits = asymmetricKeyType === "rsa" ? (asymmetricKeyDetails?.modulusLength ?? 0) : minRsaBits;
  if (bits < minRsaBits) {
    report(
      "ca-weak-key",
      `has an RSA key of ${bits} bits: who breaks it, which is within reach, can pose as any server to the nodes`,
      `Have it issued anew with a key of ${minRsaBits} bits or more, or on the curve P-256`,
    );
  }
  const unread = whyUnusable(certificate);
  if (unread !== undefined) {
    report(
      "ca-unusable",
      `would be passed over by containerd in silence: ${unread}`,
      "Have it issued anew without that",
    );
  }
  return problems;
}

function whyUnusable(certificate: X509Certificate): string | undefined {
  const read = asGo(certificate);
  if (read instanceof GoRefusal) return read.message;
  const { asymmetricKeyType = "unknown" } = certificate.publicKey;
  return read.key
    ? undefined
    : `its key is of a kind (${asymmetricKeyType}) that Go verifies no certificate with`;
}

function asGo(certificate: X509Certificate): GoCertificate | GoRefusal {
  try {
    return readAsGo(certificate);
  } catch (error) {
    if (error instanceof GoRefusal) return error;
    throw error;
  }
}

function concerns(certificate: X509Certificate, now: Date): string[] {
  const name = subjectOf(certificate);
  const left = new Date(certificate.validTo).getTime() - now.getTime();
  const list: string[] = [];
  if (left < warnBeforeExpiry) {
    list.push(
      `the certificate ${name} expires in ${Math.max(0, Math.floor(left / day))} days, at ${new Date(certificate.validTo).toISOString()}`,
    );
  }
  if (!certificate.ca) {
    list.push(
      `the certificate ${name} is a self-signed server certificate, not a CA: nodes must be given its successor at each renewal`,
    );
  } else if (!isSelfSigned(certificate)) {
    list.push(
      `the certificate ${name} is an intermediate authority (issued by ${issuerOf(certificate)}): containerd trusts it alone, ` +
        "curl and others that use OpenSSL need its root too",
    );
  }
  const read = asGo(certificate);
  if (!(read instanceof GoRefusal) && read.signature.verdict === "insecure") {
    list.push(
      `the certificate ${name} is signed with ${read.signature.name}: containerd takes it, as nobody looks at the signature of what is ` +
        "trusted already, but other programs may refuse it, and what it issues must be signed with SHA-256 or better",
    );
  }
  return list;
}

const block = /-----BEGIN (?:X509 )?CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END (?:X509 )?CERTIFICATE-----/g;

/**
 * Reads the certificates of a text or a file, each once. Text around them, CRLF line ends and a missing final newline
 * are taken.
 *
 * @param content - What was given or downloaded. It is never repeated in a message: it may hold a private key.
 * @param options.subject - The setting, for messages.
 * @returns At least one.
 * @throws UserError: `ca-has-private-key`, `ca-not-pem`, `ca-der`, `ca-pkcs7`.
 */
export function readCertificates(content: string | Buffer, options: { subject: string }): X509Certificate[] {
  const { subject } = options;
  const bytes = Buffer.isBuffer(content) ? content : Buffer.from(content);
  const text = bytes.toString("utf8");
  if (/-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----/.test(text)) {
    throw new UserError({
      code: "ca-has-private-key",
      subject,
      seen: "there is a private key in it",
      remedy: "Give the certificate alone; if the key was meant to be secret, keep it away from this setting",
    });
  }
  const certificates = new Map<string, X509Certificate>();
  for (const [, base64 = ""] of text.matchAll(block)) {
    const certificate = tryCertificate(Buffer.from(base64, "base64"));
    if (!certificate) throw notPem(subject, "a certificate in it is damaged");
    certificates.set(fingerprintOf(certificate), certificate);
  }
  const begun = text.match(/-----BEGIN (?:X509 )?CERTIFICATE-----/g)?.length ?? 0;
  const ended = [...text.matchAll(block)].length;
  if (begun > ended) throw notPem(subject, "a certificate in it is cut off or damaged");
  if (certificates.size === 0) throw explainNoCertificate(bytes, text, subject);
  return [...certificates.values()];
}

function tryCertificate(der: Buffer): X509Certificate | undefined {
  try {
    const certificate = new X509Certificate(der);
    // The parser passes over what follows the certificate, and decodes the key on first use only. A certificate of its
    // own issuing whose signature is wrong was changed on its way.
    const whole = certificate.raw.length === der.length && certificate.publicKey.type === "public";
    return whole && (certificate.subject !== certificate.issuer || isSelfSigned(certificate))
      ? certificate
      : undefined;
  } catch {
    return undefined;
  }
}

function notPem(
  subject: string,
  seen: string,
  remedy = "Give the CA's certificate as PEM text (`-----BEGIN CERTIFICATE-----`)",
): UserError {
  return new UserError({ code: "ca-not-pem", subject, seen, remedy });
}

/** Object identifier of PKCS#7 signed data, the outermost thing in such a file. */
const signedData = Buffer.from("06092a864886f70d010702", "hex");

const isPkcs7 = (bytes: Buffer): boolean => bytes[0] === 0x30 && bytes.subarray(0, 32).includes(signedData);

function pkcs7(subject: string, form: string, option: string): UserError {
  return new UserError({
    code: "ca-pkcs7",
    subject,
    seen: `it is a PKCS#7 bundle (.p7b) in ${form}, which nodes ignore in silence`,
    remedy: `Take the certificates out of it: \`openssl pkcs7 ${option}-in ca.p7b -print_certs -out ca.crt\``,
  });
}

function explainNoCertificate(bytes: Buffer, text: string, subject: string): UserError {
  const start = text.replace(/^\ufeff/, "").trimStart();
  if (start === "") return notPem(subject, "it is empty");
  if (tryCertificate(bytes)) {
    return new UserError({
      code: "ca-der",
      subject,
      seen: "it is a certificate in DER (binary) form, which nodes ignore in silence",
      remedy: "Convert it: `openssl x509 -inform der -in ca.der -out ca.crt`",
    });
  }
  if (isPkcs7(bytes)) return pkcs7(subject, "DER (binary) form", "-inform der ");
  if (/^[A-Za-z0-9+/=\s]+$/.test(start) && tryCertificate(Buffer.from(start, "base64"))) {
    return notPem(
      subject,
      "it is a certificate in base64 without the lines `-----BEGIN CERTIFICATE-----` and `-----END CERTIFICATE-----`",
      "Add the two lines",
    );
  }
  const armoured = /-----BEGIN (?:PKCS7|PKCS #7 SIGNED DATA|CMS)-----/.test(start);
  if (armoured) return pkcs7(subject, "PEM form", "");
  const label = /-----BEGIN ([A-Z0-9 ]{1,40})-----/.exec(start)?.[1];
  if (label !== undefined) return notPem(subject, `it holds a ${label}, not a CERTIFICATE`);
  if (bytes[0] === 0xff && bytes[1] === 0xfe)
    return notPem(subject, "it is text in UTF-16", "Save it as UTF-8 or ASCII");
  if (/^<(?:!doctype|html|\?xml)/i.test(start))
    return notPem(subject, "it is a web page (HTML), not a certificate");
  if (/^[{[]/.test(start)) return notPem(subject, "it is JSON, not a certificate");
  return notPem(subject, "there is no certificate in it");
}
