/** Certificates of CAs in shapes that no tool makes: written byte by byte, and signed. */
import { createPrivateKey, generateKeyPairSync, sign, X509Certificate } from "node:crypto";
import { AsnConvert } from "@peculiar/asn1-schema";
import { Certificate } from "@peculiar/asn1-x509";
import { type Identity, Pki, rsa } from "../pki";

/** An element: tag, length and contents. */
export function der(tag: number, ...contents: readonly (Buffer | string)[]): Buffer {
  const content = bytes(...contents);
  const { length } = content;
  const digits = Buffer.from(length.toString(16).padStart(length > 0xff ? 4 : 2, "0"), "hex");
  const size = length < 0x80 ? digits : bytes(Buffer.from([0x80 + digits.length]), digits);
  return bytes(Buffer.from([tag]), size, content);
}

/** Strings are hex. */
const bytes = (...parts: readonly (Buffer | string)[]): Buffer =>
  Buffer.concat(
    parts.map((part) => (typeof part === "string" ? Buffer.from(part.replaceAll(" ", ""), "hex") : part)),
  );
const text = (tag: number, value: string): Buffer => der(tag, Buffer.from(value, "latin1"));
const seq = (...contents: readonly (Buffer | string)[]): Buffer => der(0x30, ...contents);

const oid = {
  commonName: "0603 550403",
  keyUsage: "0603 55 1d 0f",
  basicConstraints: "0603 55 1d 13",
  alternativeName: "0603 55 1d 11",
  nameConstraints: "0603 55 1d 1e",
  extendedKeyUsage: "0603 55 1d 25",
  policies: "0603 55 1d 20",
  crlPoints: "0603 55 1d 1f",
  subjectKey: "0603 55 1d 0e",
  authorityKey: "0603 55 1d 23",
  policyMappings: "0603 55 1d 21",
  policyConstraints: "0603 55 1d 24",
  inhibitAnyPolicy: "0603 55 1d 36",
  authorityInfo: "0608 2b 06 01 05 05 07 01 01",
  unknown: "0603 2a 03 04",
};
const critical = "0101ff";
const extension = (id: string, value: Buffer | string, flag = ""): Buffer => seq(id, flag, der(0x04, value));
const name = (value: Buffer): Buffer => seq(der(0x31, seq(oid.commonName, value)));
const isCa = extension(oid.basicConstraints, seq(critical), critical);
const signs = extension(oid.keyUsage, "0302 02 04", critical);

/** Parts of a certificate in place of the usual ones, each whole. */
interface Parts {
  readonly version?: Buffer | string;
  readonly serial?: Buffer | string;
  /** The signature's algorithm, inside and outside. */
  readonly algorithm?: Buffer | string;
  readonly outer?: Buffer | string;
  readonly name?: Buffer;
  readonly validity?: Buffer;
  readonly key?: Buffer | string;
  readonly extensions?: readonly (Buffer | string)[];
  /** What is done to the whole. */
  readonly whole?: (tbs: Buffer, rest: Buffer) => Buffer;
}

/** What we say: refused, taken with a warning, or taken. */
export type Verdict = "refused" | "warned" | "taken";

export interface Shape {
  readonly pem: string;
  /** Whether Go keeps it in a trust store. */
  readonly go: boolean;
  readonly ours: Verdict;
}

/** A CA's certificates in each shape, on P-256 where it is not about RSA. */
export function makeShapes(): Record<string, Shape> {
  const pki = new Pki();
  const ec = pki.ca("Root");
  const rsaCa = pki.ca("Root", undefined, { key: rsa(2048) });
  const parsed = ({ cert }: Identity) => AsnConvert.parse(new X509Certificate(cert).raw, Certificate);
  const spkiOf = (identity: Identity): Buffer =>
    Buffer.from(AsnConvert.serialize(parsed(identity).tbsCertificate.subjectPublicKeyInfo));
  const point = Buffer.from(parsed(ec).tbsCertificate.subjectPublicKeyInfo.subjectPublicKey);
  const rsaKey = Buffer.from(parsed(rsaCa).tbsCertificate.subjectPublicKeyInfo.subjectPublicKey);
  const edCa = pki.ca("Root", undefined, { key: generateKeyPairSync("ed25519").privateKey });
  const edKey = Buffer.from(parsed(edCa).tbsCertificate.subjectPublicKeyInfo.subjectPublicKey);
  const p256 = seq("0607 2a8648ce3d0201", "0608 2a8648ce3d030107");
  const rsaId = "0609 2a864886f70d010101";
  const year = new Date().getUTCFullYear();
  const from = text(0x17, `${String(year - 1).slice(2)}0101000000Z`);
  const to = text(0x17, `${String(year + 5).slice(2)}0101000000Z`);
  const usualName = name(text(0x0c, "Shaped Root"));
  const usual = {
    [ec.cert]: seq("0608 2a8648ce3d040302"),
    [rsaCa.cert]: seq("0609 2a864886f70d01010b 0500"),
  };

  const make = (parts: Parts, identity = ec): string => {
    const algorithm = parts.algorithm ?? usual[identity.cert]!;
    const subject = parts.name ?? usualName;
    const list = parts.extensions ?? [isCa, signs];
    const tbs = seq(
      ...[parts.version ?? "a003020102", parts.serial ?? "020101", algorithm, subject],
      ...[parts.validity ?? seq(from, to), subject, parts.key ?? spkiOf(identity)],
      list.length === 0 ? "" : der(0xa3, seq(...list)),
    );
    const signature = sign("sha256", tbs, createPrivateKey(identity.key));
    const rest = bytes(parts.outer ?? algorithm, der(0x03, "00", signature));
    const whole = parts.whole?.(tbs, rest) ?? seq(tbs, rest);
    return `-----BEGIN CERTIFICATE-----\n${whole.toString("base64").replace(/.{1,64}/g, "$&\n")}-----END CERTIFICATE-----\n`;
  };
  const taken = (pem: string): Shape => ({ pem, go: true, ours: "taken" });
  const refused = (pem: string): Shape => ({ pem, go: false, ours: "refused" });
  const warned = (pem: string): Shape => ({ pem, go: false, ours: "warned" });
  const withExtension = (id: string, value: Buffer | string, flag = ""): string =>
    make({ extensions: [isCa, signs, extension(id, value, flag)] });
  const withName = (value: Buffer): string => make({ name: name(value) });
  const withNames = (...names: readonly Buffer[]): string =>
    withExtension(oid.alternativeName, seq(...names));
  const withValidity = (...times: readonly Buffer[]): string => make({ validity: seq(...times) });
  /** A length in one byte more than it needs. */
  const long = (tbs: Buffer): Buffer => bytes(tbs.subarray(0, 1), "83 00", tbs.subarray(2));

  return {
    usual: taken(make({})),
    "usual, with RSA": taken(make({}, rsaCa)),

    // Keys
    "an EC key in compressed form": refused(
      make({ key: seq(p256, der(0x03, "00", point[64]! % 2 === 0 ? "02" : "03", point.subarray(1, 33))) }),
    ),
    "an EC key in hybrid form": refused(
      make({ key: seq(p256, der(0x03, "00", point[64]! % 2 === 0 ? "06" : "07", point.subarray(1))) }),
    ),
    "an Ed25519 key with NULL": refused(
      make({ key: seq(seq("0603 2b6570", "0500"), der(0x03, "00", edKey)) }),
    ),
    "an RSA key without NULL": refused(make({ key: seq(seq(rsaId), der(0x03, "00", rsaKey)) }, rsaCa)),
    "an RSA key whose modulus has a zero too much": refused(
      make(
        {
          key: seq(
            seq(rsaId, "0500"),
            der(0x03, "00", seq(der(0x02, "00", rsaKey.subarray(8, 8 + 257)), "0203010001")),
          ),
        },
        rsaCa,
      ),
    ),
    "an algorithm of the signature without NULL": taken(
      make({ algorithm: seq("0609 2a864886f70d01010b") }, rsaCa),
    ),
    "an algorithm that is another outside": refused(make({ outer: seq("0608 2a8648ce3d040303") })),
    "an algorithm that has a NULL outside only": refused(make({ outer: seq("0608 2a8648ce3d040302 0500") })),

    // Names
    "a name in UTF8String": taken(withName(text(0x0c, "Root \xc3\xa9"))),
    "a name in PrintableString": taken(withName(text(0x13, "Root"))),
    "a wildcard in PrintableString": taken(withName(text(0x13, "*.example.com & Co"))),
    "a name in T61String": taken(withName(text(0x14, "Root \xe9"))),
    "a name in BMPString": taken(withName(text(0x1e, "\0R\0o\0o\0t"))),
    "a name in IA5String": taken(withName(text(0x16, "root@example.com"))),
    "an underscore in PrintableString": warned(withName(text(0x13, "Root_CA"))),
    "an @ in PrintableString": warned(withName(text(0x13, "root@example.com"))),
    "8 bits in IA5String": warned(withName(text(0x16, "Root \xe9"))),
    "8 bits in UTF8String": refused(withName(text(0x0c, "Root \xe9"))),
    "a name in VisibleString": refused(withName(text(0x1a, "Root"))),
    "an odd BMPString": refused(withName(text(0x1e, "\0R\0"))),

    // The body
    "version 1 without extensions": { ...taken(make({ version: "", extensions: [] })), ours: "warned" },
    "version 4": refused(make({ version: "a003020103" })),
    "a negative serial number": refused(make({ serial: "0201ff" })),
    "a serial number with a zero too much": refused(make({ serial: "02020001" })),
    "a serial number of 24 bytes": taken(make({ serial: der(0x02, "7f".repeat(24)) })),
    "serial number 0": taken(make({ serial: "020100" })),
    GeneralizedTime: taken(withValidity(from, text(0x18, `${year + 5}0101000000Z`))),
    "fractional seconds": refused(withValidity(from, text(0x18, `${year + 5}0101000000.5Z`))),
    "a GeneralizedTime without seconds": refused(withValidity(from, text(0x18, `${year + 5}01010000Z`))),
    "a length in one byte too much, of the body": refused(
      make({ whole: (tbs, rest) => seq(long(tbs), rest) }),
    ),
    "an indefinite length": refused(make({ whole: (tbs, rest) => bytes("3080", tbs, rest, "0000") })),
    "bytes after it": refused(make({ whole: (tbs, rest) => bytes(seq(tbs, rest), "0000") })),
    "a length in two bytes where one does": refused(make({ serial: "02810101" })),
    "an extension twice": refused(make({ extensions: [isCa, signs, signs] })),
    "critical as BOOLEAN 0x01": refused(
      make({ extensions: [extension(oid.basicConstraints, seq(critical), "010101"), signs] }),
    ),
    "critical as written-out FALSE": taken(
      make({ extensions: [isCa, extension(oid.keyUsage, "03020204", "010100")] }),
    ),

    // Basic constraints
    "CA as BOOLEAN 0x01": refused(
      make({ extensions: [extension(oid.basicConstraints, seq("010101")), signs] }),
    ),
    "a path length of 0": taken(
      make({ extensions: [extension(oid.basicConstraints, seq(critical, "020100")), signs] }),
    ),
    "a path length of 65 bits": refused(
      make({
        extensions: [extension(oid.basicConstraints, seq(critical, "0209 01 00000000 00000000")), signs],
      }),
    ),
    "a negative path length": refused(
      make({ extensions: [extension(oid.basicConstraints, seq(critical, "0201ff")), signs] }),
    ),
    "basic constraints that are none": refused(
      make({ extensions: [extension(oid.basicConstraints, "0500"), signs] }),
    ),

    // Key usage
    "a key usage with unused bits that are set": refused(
      make({ extensions: [isCa, extension(oid.keyUsage, "03020207")] }),
    ),
    "a key usage with a zero byte at its end": taken(
      make({ extensions: [isCa, extension(oid.keyUsage, "0303000400")] }),
    ),
    "a key usage that is none": refused(make({ extensions: [isCa, extension(oid.keyUsage, "0500")] })),
    "an extended key usage that is none": refused(withExtension(oid.extendedKeyUsage, "0500")),

    // Names in extensions
    "a URI": taken(withNames(text(0x86, "https://ca.example.com/"))),
    "a URI that is none": warned(withNames(text(0x86, "http://[::1"))),
    "a URI of a host with a backtick": warned(withNames(text(0x86, "http://a`b.example.com/"))),
    "a URI of an impossible host": warned(withNames(text(0x86, "http://a..b/"))),
    "a URI with 8 bits": warned(withNames(text(0x86, "http://\xe9.example.com/"))),
    "a name with 8 bits": warned(withNames(text(0x82, "\xe9.example.com"))),
    "an address of 5 bytes": refused(withNames(text(0x87, "12345"))),
    "name constraints that are empty": refused(withExtension(oid.nameConstraints, seq(), critical)),
    "name constraints for an impossible domain": refused(
      withExtension(oid.nameConstraints, seq(der(0xa0, seq(text(0x82, "a..b")))), critical),
    ),

    // Further extensions
    policies: taken(withExtension(oid.policies, seq(seq("06032a0304")))),
    "policies that are none": warned(withExtension(oid.policies, "0500")),
    "policies in a SET": warned(withExtension(oid.policies, der(0x31, seq("06032a0304")))),
    "a policy twice": warned(withExtension(oid.policies, seq(seq("06032a0304"), seq("06032a0304")))),
    "authority information": taken(
      withExtension(
        oid.authorityInfo,
        seq(seq("0608 2b06010505073002", text(0x86, "http://ca.example.com/ca"))),
      ),
    ),
    "authority information that is none": warned(withExtension(oid.authorityInfo, seq("020101"))),
    "authority information that is critical": refused(
      withExtension(
        oid.authorityInfo,
        seq(seq("0608 2b06010505073002", text(0x86, "http://ca.example.com/"))),
        critical,
      ),
    ),
    "CRL distribution points": taken(
      withExtension(oid.crlPoints, seq(seq(der(0xa0, der(0xa0, text(0x86, "http://ca.example.com/crl")))))),
    ),
    "CRL distribution points that are none": warned(withExtension(oid.crlPoints, "0500")),
    "a subject key identifier that is none": warned(withExtension(oid.subjectKey, "0500")),
    "an authority key identifier that is none": warned(withExtension(oid.authorityKey, "0500")),
    "policy mappings that are none": warned(withExtension(oid.policyMappings, "0500")),
    "policy constraints that are none": warned(withExtension(oid.policyConstraints, "0500")),
    "an inhibited policy that is none": warned(withExtension(oid.inhibitAnyPolicy, "0500")),
    "an unknown extension that is no DER": taken(withExtension(oid.unknown, "ffff")),
  };
}
