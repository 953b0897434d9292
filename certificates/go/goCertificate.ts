/**
 * A certificate as current Go's `crypto/x509` reads it (1.26.8 with the default GODEBUG; `parser.go`, `x509.go`).
 * It exposes what `node:crypto` does not, and refuses what Go refuses to parse. It never verifies a chain.
 */
import type { KeyObject, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { RsaSaPssParams } from "@peculiar/asn1-rsa";
import { AsnConvert } from "@peculiar/asn1-schema";
import {
  AlgorithmIdentifier,
  AuthorityInfoAccessSyntax,
  AuthorityKeyIdentifier,
  BasicConstraints,
  CRLDistributionPoints,
  Certificate,
  CertificatePolicies,
  ExtendedKeyUsage,
  type GeneralName,
  type GeneralSubtree,
  KeyUsage,
  KeyUsageFlags,
  InhibitAnyPolicy,
  NameConstraints,
  PolicyConstraints,
  PolicyMappings,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
  type SubjectPublicKeyInfo,
} from "@peculiar/asn1-x509";
import { derFindings } from "./der";

/**
 * Why Go refuses, in the kinds of its own errors:
 *
 * - `malformed`: Go cannot parse a certificate.
 * - `tls`: the server has no protocol version or cipher suite in common with Go.
 * - `key`: Go does not support the kind or the size of the server's key.
 * - `host`: the certificate is not for the host.
 * - `expired`: a certificate has expired, or is not valid yet.
 * - `authority`: no trusted CA has issued it.
 * - `not-ca`, `path-length`, `constraints`, `usage`, `critical`: a CA may not issue it, or it is not for servers.
 */
export type GoRefusalKind =
  | "malformed"
  | "tls"
  | "key"
  | "host"
  | "expired"
  | "authority"
  | "not-ca"
  | "path-length"
  | "constraints"
  | "usage"
  | "critical";

/** Go's refusal. The message can be the `seen` of a problem, after the name of the host or certificate. */
export class GoRefusal extends Error {
  constructor(
    readonly kind: GoRefusalKind,
    message: string,
  ) {
    super(message);
    this.name = "GoRefusal";
  }
}

/** The names in a certificate, or in a CA's name constraints. */
export interface Names {
  readonly dns: readonly string[];
  /** Addresses; in name constraints ranges, as `address/prefix`. */
  readonly ip: readonly string[];
  readonly email: readonly string[];
  /** URIs; in name constraints their hosts. */
  readonly uri: readonly string[];
}

export interface SignatureAlgorithm {
  /** Such as `SHA256-RSA`, or the object identifier if Go does not know it. */
  readonly name: string;
  readonly verdict: "fine" | "insecure" | "unknown";
}

export interface GoCertificate {
  readonly x509: X509Certificate;
  /** 1 to 3. */
  readonly version: number;
  /** DER, since Go compares names byte by byte. */
  readonly subject: Buffer;
  readonly issuer: Buffer;
  /** `undefined` if Go or Node.js does not know its kind. */
  readonly key: KeyObject | undefined;
  readonly signature: SignatureAlgorithm;
  readonly basicConstraints: { readonly ca: boolean; readonly pathLength: number | undefined } | undefined;
  /** Whether there is a key usage, and it does not include signing certificates. */
  readonly mayNotSign: boolean;
  /** Whether there are extended key usages, and they do not include TLS servers. */
  readonly notForServers: boolean;
  /** `undefined` without the extension. */
  readonly names: Names | undefined;
  /** The DER of `names`, empty without the extension. */
  readonly namesDer: Buffer;
  readonly constraints: { readonly permitted: Names; readonly excluded: Names } | undefined;
  /** Object identifiers of critical extensions that Go does not know. */
  readonly unhandled: readonly string[];
  /** What Go may not read, such as `a malformed extension 2.5.29.32`: it is not read here as exactly as Go does. */
  readonly doubts: readonly string[];
}

const signatureNames: Record<string, string> = {
  "1.2.840.113549.1.1.4": "MD5-RSA",
  "1.2.840.113549.1.1.5": "SHA1-RSA",
  "1.3.14.3.2.29": "SHA1-RSA",
  "1.2.840.113549.1.1.11": "SHA256-RSA",
  "1.2.840.113549.1.1.12": "SHA384-RSA",
  "1.2.840.113549.1.1.13": "SHA512-RSA",
  "1.2.840.10045.4.1": "SHA1-ECDSA",
  "1.2.840.10045.4.3.2": "SHA256-ECDSA",
  "1.2.840.10045.4.3.3": "SHA384-ECDSA",
  "1.2.840.10045.4.3.4": "SHA512-ECDSA",
  "1.3.101.112": "Ed25519",
};

const rsaPss = "1.2.840.113549.1.1.10";
const mgf1 = "1.2.840.113549.1.1.8";
/** The hashes that Go accepts in an RSA-PSS signature, each with the one salt length that it accepts, in bytes. */
const pssHashes: Record<string, { readonly name: string; readonly salt: number }> = {
  "2.16.840.1.101.3.4.2.1": { name: "SHA256", salt: 32 },
  "2.16.840.1.101.3.4.2.2": { name: "SHA384", salt: 48 },
  "2.16.840.1.101.3.4.2.3": { name: "SHA512", salt: 64 },
};

function signatureAlgorithm({ algorithm, parameters }: AlgorithmIdentifier): SignatureAlgorithm {
  if (algorithm === rsaPss) return pssAlgorithm(parameters);
  const name = signatureNames[algorithm];
  if (name === undefined) return { name: algorithm, verdict: "unknown" };
  return { name, verdict: /^(?:MD5|SHA1)-/.test(name) ? "insecure" : "fine" };
}

function pssAlgorithm(parameters: AlgorithmIdentifier["parameters"]): SignatureAlgorithm {
  try {
    const params = AsnConvert.parse(parameters!, RsaSaPssParams);
    const hash = pssHashes[params.hashAlgorithm.algorithm];
    const mask = AsnConvert.parse(params.maskGenAlgorithm.parameters!, AlgorithmIdentifier);
    if (
      hash?.salt === params.saltLength &&
      params.maskGenAlgorithm.algorithm === mgf1 &&
      mask.algorithm === params.hashAlgorithm.algorithm
    ) {
      return { name: `${hash.name}-RSAPSS`, verdict: "fine" };
    }
  } catch {
    // Handled like parameters that Go does not accept.
  }
  return { name: "RSAPSS with other parameters than Go takes", verdict: "unknown" };
}

/** The extended key usage of TLS servers. */
export const serverAuth = "1.3.6.1.5.5.7.3.1";
const anyUsage = "2.5.29.37.0";
/** Further extensions that Go reads. No verdict depends on what they say. */
const otherKnown = new Map<string, new () => unknown>([
  ["2.5.29.14", SubjectKeyIdentifier],
  ["2.5.29.31", CRLDistributionPoints],
  ["2.5.29.32", CertificatePolicies],
  ["2.5.29.33", PolicyMappings],
  ["2.5.29.35", AuthorityKeyIdentifier],
  ["2.5.29.36", PolicyConstraints],
  ["2.5.29.54", InhibitAnyPolicy],
  ["1.3.6.1.5.5.7.1.1", AuthorityInfoAccessSyntax],
]);
/** Extensions that verdicts depend on. */
const judged = new Set(["2.5.29.15", "2.5.29.17", "2.5.29.19", "2.5.29.30", "2.5.29.37"]);
/** Extensions that must not be critical: key identifiers, authority information access. */
const neverCritical = new Set(["2.5.29.14", "2.5.29.35", "1.3.6.1.5.5.7.1.1"]);
const goCurves = new Set(["secp224r1", "prime256v1", "secp384r1", "secp521r1"]);

const listOf = <T>(list: readonly T[] | undefined): T[] => (list ? [...list] : []);

const malformed = (what: string): GoRefusal => new GoRefusal("malformed", `Go does not read it: ${what}`);

/**
 * Parses a certificate as Go does.
 *
 * @throws GoRefusal (`malformed`) if Go cannot parse it. Go skips such a certificate in a trust store in silence, and
 * aborts the handshake if a server sends it.
 */
export function readAsGo(x509: X509Certificate): GoCertificate {
  let parsed: Certificate;
  try {
    parsed = AsnConvert.parse(x509.raw, Certificate);
  } catch {
    throw malformed("it is not well-formed");
  }
  const { tbsCertificate: body, signatureAlgorithm: outer } = parsed;
  const { defect, strings } = derFindings(x509.raw);
  if (defect !== undefined) throw malformed(defect);
  const version = body.version + 1;
  if (version < 1 || version > 3) throw malformed(`it is of version ${version}`);
  const der = (value: unknown): Buffer => Buffer.from(AsnConvert.serialize(value));
  if ((new Uint8Array(body.serialNumber)[0] ?? 0) >= 0x80) throw malformed("its serial number is negative");
  if (!der(body.signature).equals(der(outer)))
    throw malformed("it names one signature algorithm inside and another outside");
  const extensions = version === 3 ? listOf(body.extensions) : [];
  if (new Set(extensions.map(({ extnID }) => extnID)).size < extensions.length)
    throw malformed("it has an extension twice");
  const wrongly = extensions.find(({ extnID, critical }) => critical && neverCritical.has(extnID));
  if (wrongly) throw malformed(`its extension ${wrongly.extnID} is marked critical`);

  const read = { ...noExtensions, doubts: [...strings] };
  const unhandled: string[] = [];
  for (const { extnID, critical, extnValue } of extensions) {
    let known: boolean;
    try {
      known = readExtension(extnID, extnValue.buffer, read);
    } catch (error) {
      if (error instanceof GoRefusal) throw error;
      throw malformed(`its extension ${extnID} is not well-formed`);
    }
    if (critical && !known) unhandled.push(extnID);
  }
  return {
    ...read,
    x509,
    version,
    subject: der(body.subject),
    issuer: der(body.issuer),
    key: readKey(x509, body.subjectPublicKeyInfo),
    signature: signatureAlgorithm(outer),
    unhandled,
  };
}

type Read = {
  -readonly [
    Key in "basicConstraints" | "mayNotSign" | "notForServers" | "names" | "namesDer" | "constraints"
  ]: GoCertificate[Key];
} & { readonly doubts: string[] };

const noExtensions: Omit<Read, "doubts"> = {
  basicConstraints: undefined,
  mayNotSign: false,
  notForServers: false,
  names: undefined,
  namesDer: Buffer.alloc(0),
  constraints: undefined,
};

/** @returns Whether Go knows the extension and all of its content. */
function readExtension(id: string, value: ArrayBuffer, into: Read): boolean {
  const other = otherKnown.get(id);
  if (other) {
    if (!isRead(value, other)) into.doubts.push(`a malformed extension ${id}`);
    return true;
  }
  if (judged.has(id) && derFindings(new Uint8Array(value)).defect !== undefined) throw new Error("not DER");
  switch (id) {
    case "2.5.29.15": {
      const usage = AsnConvert.parse(value, KeyUsage).toNumber();
      into.mayNotSign = usage !== 0 && (usage & KeyUsageFlags.keyCertSign) === 0;
      return true;
    }
    case "2.5.29.17":
      into.names = readNames([...AsnConvert.parse(value, SubjectAlternativeName)]);
      into.namesDer = Buffer.from(value);
      if (into.names.ip.some((address) => isIP(address) === 0))
        throw malformed("an address in it has no length of one");
      if (
        !into.names.uri.every(isUri) ||
        !Object.values<readonly string[]>({ ...into.names })
          .flat()
          .every(isText)
      )
        into.doubts.push("a malformed subject alternative name");
      return Object.values<readonly string[]>({ ...into.names }).some((list) => list.length > 0);
    case "2.5.29.19": {
      const { cA, pathLenConstraint } = AsnConvert.parse(value, BasicConstraints);
      if (
        pathLenConstraint !== undefined &&
        !(Number.isSafeInteger(pathLenConstraint) && pathLenConstraint >= 0)
      )
        throw malformed("its path length is no number of authorities");
      into.basicConstraints = { ca: cA, pathLength: pathLenConstraint };
      return true;
    }
    case "2.5.29.30": {
      const { permittedSubtrees, excludedSubtrees } = AsnConvert.parse(value, NameConstraints);
      const [permitted, excluded] = [listOf(permittedSubtrees), listOf(excludedSubtrees)];
      if (permitted.length + excluded.length === 0) throw malformed("its name constraints are empty");
      into.constraints = { permitted: readConstraints(permitted), excluded: readConstraints(excluded) };
      return [...permitted, ...excluded].every(
        ({ base }) =>
          (base.dNSName ?? base.iPAddress ?? base.rfc822Name ?? base.uniformResourceIdentifier) !== undefined,
      );
    }
    case "2.5.29.37": {
      const usages = [...AsnConvert.parse(value, ExtendedKeyUsage)];
      into.notForServers = usages.length > 0 && !usages.includes(serverAuth) && !usages.includes(anyUsage);
      return true;
    }
    default:
      return false;
  }
}

/** Whether an extension is one of its type, and would be written as it is. */
function isRead(value: ArrayBuffer, type: new () => unknown): boolean {
  try {
    const read = AsnConvert.parse(value, type);
    const policies =
      read instanceof CertificatePolicies ? [...read].map((each) => each.policyIdentifier) : [];
    return (
      new Set(policies).size === policies.length &&
      Buffer.from(AsnConvert.serialize(read)).equals(Buffer.from(value))
    );
  } catch {
    return false;
  }
}

function readNames(names: readonly GeneralName[]): Names {
  const those = (of: (name: GeneralName) => string | undefined): string[] =>
    names.map(of).filter((name) => name !== undefined);
  return {
    dns: those((name) => name.dNSName),
    ip: those((name) => name.iPAddress),
    email: those((name) => name.rfc822Name),
    uri: those((name) => name.uniformResourceIdentifier),
  };
}

function readConstraints(subtrees: readonly GeneralSubtree[]): Names {
  const names = readNames(subtrees.map(({ base }) => base));
  if (names.ip.some((range) => !/^[^/]+\/\d+$/.test(range)))
    throw malformed("an address range in its name constraints has no length of one");
  const domains = [...names.dns, ...names.uri, ...names.email.filter((email) => !email.includes("@"))];
  if (!domains.every((domain) => isDomain(domain.replace(/^\./, ""))))
    throw malformed("a domain in its name constraints is none");
  return names;
}

/** Whether Go accepts a text as a domain in names and constraints; it accepts an empty one. */
export function isDomain(text: string): boolean {
  return text === "" || (/^[\x21-\x7e]+$/.test(text) && text.split(".").every((label) => label !== ""));
}

const isText = (text: string): boolean => /^[\0-\x7f]*$/.test(text);
const isUri = (text: string): boolean =>
  URL.canParse(text) && /^(?:\[[\da-f:.]*\]|[\w-]+(?:\.[\w-]+)*)?$/i.test(new URL(text).hostname);

/** The kinds of keys, each with the defect for which Go reads the whole certificate not. */
const keyDefects: Record<string, (info: SubjectPublicKeyInfo, key: KeyObject) => string | undefined> = {
  "1.2.840.113549.1.1.1": ({ algorithm: { parameters }, subjectPublicKey }) =>
    parameters === null // the library's word for a NULL
      ? derFindings(new Uint8Array(subjectPublicKey)).defect
      : "its RSA key is written without the NULL that belongs to it",
  "1.2.840.10045.2.1": ({ algorithm: { parameters }, subjectPublicKey }, key) => {
    const named = new Uint8Array(parameters ?? new ArrayBuffer(0))[0] === 0x06; // else its parameters are explicit
    if (!named || !goCurves.has(key.asymmetricKeyDetails?.namedCurve ?? ""))
      return "its key is on an elliptic curve that Go does not have (it has P-224, P-256, P-384 and P-521)";
    return new Uint8Array(subjectPublicKey)[0] === 0x04
      ? undefined
      : "its key, a point of an elliptic curve, is in compressed (or hybrid) form";
  },
  "1.3.101.112": () => undefined, // Ed25519: what Go refuses of it, OpenSSL refuses too
};

function readKey(x509: X509Certificate, info: SubjectPublicKeyInfo): KeyObject | undefined {
  let key: KeyObject;
  try {
    key = x509.publicKey;
  } catch {
    return undefined;
  }
  const defectOf = keyDefects[info.algorithm.algorithm];
  const defect = defectOf?.(info, key);
  if (defect !== undefined) throw malformed(defect);
  return defectOf && key;
}
