/**
 * Parses certificates from PEM. Recognizes other formats for the error message: DER, PKCS#7, a private key.
 * It never judges a certificate that it has read.
 */
import { X509Certificate } from "node:crypto";
import { UserError } from "../support/errors";
import { claimsOwnKey, fingerprintOf, isSelfIssued, isSelfSigned } from "./identity";
import { certificateProblem } from "./problems";

const block = /-----BEGIN (?:X509 )?CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END (?:X509 )?CERTIFICATE-----/g;

/**
 * Parses the certificates in a text, without duplicates. Accepts text around them, CRLF line ends and a missing final
 * newline.
 *
 * @param content - No message repeats it: it may hold a private key.
 * @param options.subject - The setting, for messages.
 * @returns At least one certificate.
 * @throws UserError: `ca-has-private-key`, `ca-not-pem`, `ca-der`, `ca-pkcs7`.
 */
export function readCertificates(content: string | Buffer, options: { subject: string }): X509Certificate[] {
  const { subject } = options;
  const bytes = Buffer.isBuffer(content) ? content : Buffer.from(content);
  const text = bytes.toString("utf8");
  if (/-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----/.test(text)) {
    throw certificateProblem.error("ca-has-private-key", { subject, seen: "there is a private key in it" });
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
    // The parser ignores bytes after the certificate, writes its outermost length anew, and decodes the key only on first
    // use. If a certificate says that its own key signed it, and that key did not, it was altered.
    const whole = certificate.raw.equals(der) && certificate.publicKey.type === "public";
    const altered = isSelfIssued(certificate) && claimsOwnKey(certificate) && !isSelfSigned(certificate);
    return whole && !altered ? certificate : undefined;
  } catch {
    return undefined;
  }
}

export function notPem(
  subject: string,
  seen: string,
  remedy: "pem" | "lines" | "encoding" = "pem",
): UserError {
  return certificateProblem.error("ca-not-pem", { subject, seen }, remedy);
}

/** The object identifier of PKCS#7 signed data, with which such a file begins. */
const signedData = Buffer.from("06092a864886f70d010702", "hex");

const isPkcs7 = (bytes: Buffer): boolean => bytes[0] === 0x30 && bytes.subarray(0, 32).includes(signedData);

function pkcs7(subject: string, form: "pem" | "der"): UserError {
  const seen = `it is a PKCS#7 bundle (.p7b) in ${form === "der" ? "DER (binary)" : "PEM"} form, which nodes ignore in silence`;
  return certificateProblem.error("ca-pkcs7", { subject, seen }, form);
}

function explainNoCertificate(bytes: Buffer, text: string, subject: string): UserError {
  const start = text.replace(/^\ufeff/, "").trimStart();
  if (start === "") return notPem(subject, "it is empty");
  if (tryCertificate(bytes)) {
    return certificateProblem.error("ca-der", {
      subject,
      seen: "it is a certificate in DER (binary) form, which nodes ignore in silence",
    });
  }
  if (isPkcs7(bytes)) return pkcs7(subject, "der");
  if (/^[A-Za-z0-9+/=\s]+$/.test(start) && tryCertificate(Buffer.from(start, "base64"))) {
    return notPem(
      subject,
      "it is a certificate in base64 without the lines `-----BEGIN CERTIFICATE-----` and `-----END CERTIFICATE-----`",
      "lines",
    );
  }
  const armoured = /-----BEGIN (?:PKCS7|PKCS #7 SIGNED DATA|CMS)-----/.test(start);
  if (armoured) return pkcs7(subject, "pem");
  const label = /-----BEGIN ([A-Z0-9 ]{1,40})-----/.exec(start)?.[1];
  if (label !== undefined) return notPem(subject, `it holds a ${label}, not a CERTIFICATE`);
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return notPem(subject, "it is text in UTF-16", "encoding");
  if (/^<(?:!doctype|html|\?xml)/i.test(start))
    return notPem(subject, "it is a web page (HTML), not a certificate");
  if (/^[{[]/.test(start)) return notPem(subject, "it is JSON, not a certificate");
  return notPem(subject, "there is no certificate in it");
}
