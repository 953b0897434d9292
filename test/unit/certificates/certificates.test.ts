import assert from "node:assert/strict";
import type { UserError } from "../../../support/errors";
import { execFileSync } from "node:child_process";
import { X509Certificate, createPrivateKey, generateKeyPairSync } from "node:crypto";
import { before, describe, it } from "node:test";
import { checkCertificates } from "../../../certificates/certificates";
import { Pki, curve, rsa, type Identity } from "../../integration/certificates/pki";
import { problem } from "../../integration/net/server";
import { readCertificates } from "../../../certificates/pem";
import { parseFingerprint } from "../../../certificates/identity";

const subject = "registries[0].ca";
const parse = (content: string | Buffer, now?: Date): ReturnType<typeof checkCertificates> =>
  checkCertificates(readCertificates(content, { subject }), { subject, ...(now ? { now } : {}) });

let pki: Pki;
let root: Identity;
let other: Identity;
let intermediate: Identity;
let leaf: Identity;
let selfSigned: Identity;

before(() => {
  pki = new Pki();
  root = pki.ca("Example Root");
  other = pki.ca("Other Root");
  intermediate = pki.ca("Example Intermediate", root);
  leaf = pki.server("harbor.example.com", "DNS:harbor.example.com", root);
  selfSigned = pki.server("registry.example.com", "DNS:registry.example.com");
});

describe("a CA", () => {
  it("comes back as one clean PEM each, however it was written", () => {
    const { certificates, warnings } = parse(root.cert);
    assert.deepEqual(warnings, []);
    assert.equal(certificates.length, 1);
    const [certificate] = certificates;
    assert.equal(certificate!.sha256, root.sha256);
    assert.equal(certificate!.subject, "CN=Example Root");
    assert.match(certificate!.notAfter, /^\d{4}-\d\d-\d\dT/);
    assert.match(
      certificate!.pem,
      /^-----BEGIN CERTIFICATE-----\n(?:[A-Za-z0-9+/=]{1,64}\n)+-----END CERTIFICATE-----\n$/,
    );
    assert.equal(
      new X509Certificate(certificate!.pem).fingerprint256,
      new X509Certificate(root.cert).fingerprint256,
    );

    for (const variant of [
      root.cert.replaceAll("\n", "\r\n"),
      root.cert.trimEnd(),
      `\ufeff${root.cert}`,
      `subject=CN = Example Root\n${root.cert}\n# end`,
      root.cert + root.cert,
      Buffer.from(root.cert),
    ]) {
      assert.deepEqual(parse(variant).certificates, certificates);
    }
  });

  it("may be several certificates, which are taken apart", () => {
    const { certificates } = parse(`${root.cert.trimEnd()}\r\n\r\n${other.cert.trimEnd()}`);
    assert.deepEqual(
      certificates.map(({ sha256 }) => sha256),
      [root.sha256, other.sha256],
    );
  });

  it("with its server's certificate beside it is taken without that one", () => {
    const { certificates, warnings } = parse(leaf.cert + root.cert);
    assert.deepEqual(
      certificates.map(({ sha256 }) => sha256),
      [root.sha256],
    );
    assert.match(warnings.join(), /CN=harbor\.example\.com is left out/);
  });

  it("that is a server's certificate is refused, with its issuer named", () => {
    assert.throws(
      () => parse(leaf.cert),
      problem("ca-is-leaf", /CN=harbor\.example\.com/, /issued by CN=Example Root/),
    );
  });

  it("that is a self-signed server certificate is taken with a warning", () => {
    const { certificates, warnings } = parse(selfSigned.cert);
    assert.equal(certificates.length, 1);
    assert.match(warnings.join(), /self-signed server certificate/);
  });

  it("that is a self-signed server certificate is taken whatever its key usage, with a warning for OpenSSL's programs", () => {
    for (const flag of ["", "critical,"]) {
      const extensions = ["basicConstraints=CA:FALSE", `keyUsage=${flag}digitalSignature,keyEncipherment`];
      const bare = pki.server("registry.example.com", "DNS:registry.example.com", undefined, { extensions });
      const { certificates, warnings } = parse(bare.cert);
      assert.deepEqual(
        certificates.map(({ sha256 }) => sha256),
        [bare.sha256],
      );
      assert.match(warnings.join(), /self-signed server certificate.*OpenSSL before 3\.0 refuse it$/);
    }
  });

  it("that is signed by an older key of its own name is taken with a warning, alone and beside the new root", () => {
    const key = curve("prime256v1");
    const identifiers = ["subjectKeyIdentifier=hash", "authorityKeyIdentifier=keyid:always"];
    for (const more of [[], identifiers]) {
      const extensions = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign", ...more];
      for (const oldKey of [curve("prime256v1"), rsa(2048)]) {
        const old = pki.ca("Rolled Root", undefined, { key: oldKey, extensions });
        const rollover = pki.ca("Rolled Root", old, { key, extensions });
        const renewed = pki.ca("Rolled Root", undefined, { key, extensions });
        for (const given of [
          [rollover],
          [rollover, renewed],
          [renewed, rollover],
          [old, rollover, renewed],
        ]) {
          const { certificates, warnings } = parse(given.map(({ cert }) => cert).join(""));
          assert.deepEqual(
            certificates.map(({ sha256 }) => sha256),
            given.map(({ sha256 }) => sha256),
          );
          // With the old root beside it, OpenSSL has a chain to one that signs itself.
          assert.equal(warnings.length, given.includes(old) ? 0 : 1);
          if (warnings.length > 0)
            assert.match(warnings.join(), /CN=Rolled Root is signed by another key than its own.*OpenSSL/);
        }
      }
    }
  });

  it("that was renewed with the same key is taken, with a warning where it still names the old one as its issuer", () => {
    const extensions = ["basicConstraints=critical,CA:TRUE", "subjectKeyIdentifier=hash"];
    const old = pki.ca("Renewed Root", undefined, { extensions });
    const key = createPrivateKey(old.key);
    assert.deepEqual(parse(pki.ca("Renewed Root", undefined, { extensions, key }).cert).warnings, []);
    const named = [...extensions, "authorityKeyIdentifier=keyid,issuer:always"];
    const renewed = pki.ca("Renewed Root", old, { extensions: named, key });
    assert.match(
      parse(renewed.cert).warnings.join(),
      /names another one than itself as its issuer.*OpenSSL need that one too/,
    );
    assert.deepEqual(parse(renewed.cert + old.cert).warnings, []);
  });

  it("that says that its own key signed it, and was not, is refused as damaged", () => {
    const identifiers = ["subjectKeyIdentifier=hash", "authorityKeyIdentifier=keyid:always"];
    const whole = pki.ca("Root", undefined, {
      extensions: ["basicConstraints=critical,CA:TRUE", ...identifiers],
    });
    const der = Buffer.from(new X509Certificate(whole.cert).raw);
    der[der.length - 1]! ^= 1;
    const pem = `-----BEGIN CERTIFICATE-----\n${der.toString("base64")}\n-----END CERTIFICATE-----\n`;
    assert.throws(() => parse(pem), problem("ca-not-pem", /damaged/));
  });

  it("that is an intermediate is taken with a warning", () => {
    assert.match(
      parse(intermediate.cert).warnings.join(),
      /intermediate authority \(issued by CN=Example Root\)/,
    );
    assert.deepEqual(parse(intermediate.cert + root.cert).warnings, []);
  });

  it("that is expired or not yet valid is refused, and one that soon expires is warned of", () => {
    const day = 24 * 60 * 60 * 1000;
    const end = new Date(new X509Certificate(root.cert).validTo).getTime();
    const start = new Date(new X509Certificate(root.cert).validFrom).getTime();
    assert.throws(
      () => parse(root.cert, new Date(end + 1000)),
      problem("ca-expired", /Example Root expired at \d{4}/),
    );
    assert.throws(() => parse(root.cert, new Date(start - 1000)), problem("ca-not-yet-valid"));
    assert.match(parse(root.cert, new Date(end - 29.5 * day)).warnings.join(), /expires in 29 days/);
    assert.deepEqual(parse(root.cert, new Date(end - 31 * day)).warnings, []);
  });

  it("with a private key beside it is refused, and the key is in no message", () => {
    const body = root.key.split("\n")[1]!;
    for (const content of [root.cert + root.key, root.key]) {
      assert.throws(
        () => parse(content),
        (error: Error) => problem("ca-has-private-key")(error) && !error.message.includes(body),
      );
    }
  });

  it("with a key that can be broken is refused, and one that just can't is taken", () => {
    const weak = pki.ca("Weak Root", undefined, { key: rsa(1024) });
    assert.throws(() => parse(weak.cert), problem("ca-weak-key", /CN=Weak Root has an RSA key of 1024 bits/));
    for (const key of [rsa(2048), curve("secp224r1"), generateKeyPairSync("ed25519").privateKey])
      assert.equal(parse(pki.ca("Root", undefined, { key }).cert).certificates.length, 1);
  });

  it("that containerd would pass over in silence is refused with the reason", () => {
    const dsa = generateKeyPairSync("dsa", { modulusLength: 2048, divisorLength: 256 }).privateKey;
    const cases: [Identity, RegExp][] = [
      [pki.ca("Root", undefined, { serial: "-1" }), /serial number is negative/],
      [pki.ca("Root", undefined, { key: curve("secp256k1") }), /elliptic curve that Go does not have/],
      [pki.ca("Root", undefined, { key: dsa }), /kind \(dsa\) that Go does not support/],
    ];
    for (const [{ cert }, pattern] of cases)
      assert.throws(() => parse(cert), problem("ca-unusable", /containerd in silence/, pattern));
  });

  it("that is for other uses than TLS servers, or has what Go does not know, is taken with a warning", () => {
    const extended = (...extensions: string[]): string =>
      pki.ca("Root", undefined, { extensions: ["basicConstraints=critical,CA:TRUE", ...extensions] }).cert;
    const cases: [string, RegExp][] = [
      ["extendedKeyUsage=clientAuth", /leaves out TLS servers: containerd refuses each server/],
      ["1.2.3.4=critical,ASN1:UTF8String:x", /Go does not know \(1\.2\.3\.4\): containerd refuses each/],
    ];
    for (const [extension, pattern] of cases)
      assert.match(parse(extended(extension)).warnings.join(), pattern);
    assert.deepEqual(parse(extended("extendedKeyUsage=serverAuth,clientAuth")).warnings, []);
    // OpenSSL, unlike Go, does not take any use for this one.
    assert.match(
      parse(extended("extendedKeyUsage=anyExtendedKeyUsage")).warnings.join(),
      /for any use that does not name TLS servers: .*OpenSSL refuse it/,
    );
  });

  it("that is signed with SHA-1 or MD5 is accepted with a warning, since nothing verifies that signature", () => {
    for (const [option, name] of [
      ["-sha1", "SHA1-RSA"],
      ["-md5", "MD5-RSA"],
    ] as const) {
      const old = pki.ca("Old Root", undefined, { key: rsa(2048), signing: [option] });
      assert.match(parse(old.cert).warnings.join(), new RegExp(`signed with ${name}: containerd accepts it`));
    }
  });

  it("with several things wrong is refused with all of them", () => {
    const weak = pki.ca("Weak Root", undefined, { key: rsa(1024), serial: "-1" });
    assert.throws(
      () => parse(weak.cert + root.cert, new Date("2020-01-01")),
      (error: UserError) => {
        assert.deepEqual(
          error.problems.map(({ code }) => code),
          ["ca-not-yet-valid", "ca-weak-key", "ca-unusable", "ca-not-yet-valid"],
        );
        return true;
      },
    );
  });

  it("in a PKCS#7 bundle is refused with the command that takes it out", () => {
    const bundle = (form: string): Buffer =>
      execFileSync("openssl", [
        ...["crl2pkcs7", "-nocrl", "-certfile", pki.file("bundled.crt", root.cert), "-outform", form],
      ]);
    assert.throws(() => parse(bundle("DER")), problem("ca-pkcs7", /DER/, /openssl pkcs7 -inform der -in/));
    assert.throws(() => parse(bundle("PEM")), problem("ca-pkcs7", /PEM/, /openssl pkcs7 -in ca\.p7b/));
  });

  it("that is something else is refused with the name of what it is", () => {
    const der = new X509Certificate(root.cert).raw;
    assert.throws(() => parse(der), problem("ca-der", /openssl x509 -inform der/));
    const cases: [string | Buffer, RegExp][] = [
      ["", /is empty/],
      [" \r\n", /is empty/],
      ["<!DOCTYPE html><html><title>Harbor</title></html>", /web page \(HTML\)/],
      ['{"errors":[{"code":"NOT_FOUND"}]}', /is JSON/],
      ["hello", /no certificate in it/],
      [der.toString("base64"), /without the lines/],
      [
        "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        /CERTIFICATE REQUEST, not a/,
      ],
      [root.cert.slice(0, 300), /cut off/],
      [root.cert.replace(/\n[A-Za-z0-9+/]{20}/, "\n!!!!"), /damaged/],
      ["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", /damaged/],
      [root.cert + other.cert.slice(0, 300), /cut off/],
      [Buffer.from(`\ufeff${root.cert}`, "utf16le"), /UTF-16/],
    ];
    for (const [content, pattern] of cases)
      assert.throws(() => parse(content), problem("ca-not-pem", pattern));
  });

  it("whose dates are none is refused as damaged", () => {
    const der = Buffer.from(new X509Certificate(intermediate.cert).raw);
    const [, end] = [...der.toString("latin1").matchAll(/\d{12}Z/g)];
    der.write("99", end!.index + 2, "latin1"); // the month
    const pem = `-----BEGIN CERTIFICATE-----\n${der.toString("base64")}\n-----END CERTIFICATE-----\n`;
    assert.throws(() => parse(pem), problem("ca-not-pem", /dates that are none/));
  });
});

describe("a fingerprint", () => {
  const hex = "0123456789abcdef".repeat(4);
  const colons = hex.toUpperCase().match(/../g)!.join(":");

  it("is taken in each form that people have it in", () => {
    for (const text of [
      hex,
      hex.toUpperCase(),
      colons,
      `SHA256:${hex}`,
      `sha256:${hex}`,
      `sha256 Fingerprint=${colons}`,
      ` ${hex}\n`,
      // As a terminal, a chat or a phone gives it: spaces, lines, invisible characters.
      colons.replaceAll(":", " "),
      colons.replaceAll(":", "\u00a0"),
      `${hex.slice(0, 32)}\r\n${hex.slice(32)}`,
      `${colons.slice(0, 48)}\n${colons.slice(48)}`,
      `\ufeff\u200b${colons}\u200e`,
    ]) {
      assert.equal(parseFingerprint(text, { subject }), hex, text);
    }
  });

  it("of another shape is refused with the shape named", () => {
    const cases: [string, RegExp][] = [
      ["", /is not a fingerprint/],
      [hex.slice(1), /63 hexadecimal digits/],
      [hex.slice(24), /SHA-1/],
      ["SHA256:PBn0o4zM4dfl7XLLNGsPKQ70N2/YzzNw9iDoOhp1OD4", /OpenSSH/],
      [`${colons}:00`, /66 hexadecimal digits/],
      [`z${hex.slice(1)}`, /is not a fingerprint/],
    ];
    for (const [text, pattern] of cases) {
      assert.throws(() => parseFingerprint(text, { subject }), problem("fingerprint-shape", pattern), text);
    }
  });
});
