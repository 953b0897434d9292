/** Keys and certificates of the lab, made by `openssl`, kept in the run folder, readable by root only. */
import { createHash, createPublicKey, generateKeyPair, X509Certificate } from "node:crypto";
import { existsSync, renameSync, rmSync } from "node:fs";
import * as path from "node:path";
import { promisify } from "node:util";
import { exec } from "./exec";
import { createFile, readIfThere } from "./wholeFiles";
import { runFolder } from "./paths";

const folder = path.join(runFolder, "pki");
const days = "3650";

/** A certificate and its key, PEM both. */
export interface KeyPair {
  readonly certificate: string;
  readonly key: string;
}

export interface Authority extends KeyPair {
  readonly certificateFile: string;
  readonly keyFile: string;
}

export interface CertificateRequest {
  readonly commonName: string;
  /** What Kubernetes takes for the user's group. */
  readonly organization?: string;
  /** `IP:198.18.0.65`, `DNS:kubernetes`; none for a client. */
  readonly names?: readonly string[];
}

const configuration = path.join(__dirname, "files", "pki", "openssl.cnf");

/** Gives a file's content, made if it isn't there: the same to all who ask at the same time, in whatever process. */
async function made(file: string, make: () => Promise<string>): Promise<string> {
  const there = readIfThere(file);
  if (there !== undefined) return there;
  const content = await make();
  return createFile(file, content) ? content : made(file, make);
}

/** Runs `openssl req`. The key is there before its certificate is made, so that the two fit whoever made which. */
async function request(certificateFile: string, keyFile: string, args: readonly string[]): Promise<KeyPair> {
  const key = await made(keyFile, async () => {
    const { privateKey } = await promisify(generateKeyPair)("ec", {
      namedCurve: "P-256",
      publicKeyEncoding: { type: "spki", format: "pem" },
      privateKeyEncoding: { type: "pkcs8", format: "pem" },
    });
    return privateKey;
  });
  const certificate = await made(certificateFile, async () => {
    const own = ["req", "-x509", "-sha256", "-days", days, "-config", configuration, "-key", keyFile];
    return (await exec("openssl", [...own, ...args])).stdout;
  });
  return { certificate, key };
}

const extensions = (values: readonly string[]): string[] => values.flatMap((value) => ["-addext", value]);

/** The authority of a name, made if it isn't there. `commonName` is what people see. */
export async function authority(name: string, commonName: string): Promise<Authority> {
  const certificateFile = path.join(folder, name, "ca.crt");
  const keyFile = path.join(folder, name, "ca.key");
  const pair = await request(certificateFile, keyFile, [
    ...["-subj", `/O=tkc-lab/CN=${commonName}`],
    ...extensions([
      "basicConstraints=critical,CA:TRUE",
      "keyUsage=critical,keyCertSign,cRLSign",
      "subjectKeyIdentifier=hash",
    ]),
  ]);
  return { ...pair, certificateFile, keyFile };
}

/** Forgets an authority and everything that it issued. */
export function forgetAuthority(name: string): void {
  rmSync(path.join(folder, name), { recursive: true, force: true });
}

/** Has an authority, with what it issued, take the place of another, which is forgotten. */
export function promoteAuthority(successor: string, name: string): void {
  forgetAuthority(name);
  renameSync(path.join(folder, successor), path.join(folder, name));
}

/** Whether there is an authority of a name. */
export function hasAuthority(name: string): boolean {
  return existsSync(path.join(folder, name, "ca.crt"));
}

/** A certificate of an authority, made if it isn't there. `name` is that of its file. */
export async function issue(issuer: Authority, name: string, wanted: CertificateRequest): Promise<KeyPair> {
  const { commonName, organization, names = [] } = wanted;
  const file = (suffix: string): string =>
    path.join(path.dirname(issuer.certificateFile), `${name}.${suffix}`);
  return request(file("crt"), file("key"), [
    ...["-CA", issuer.certificateFile, "-CAkey", issuer.keyFile],
    ...["-subj", `${organization === undefined ? "" : `/O=${organization}`}/CN=${commonName}`],
    ...extensions([
      "basicConstraints=critical,CA:FALSE",
      "keyUsage=critical,digitalSignature",
      "subjectKeyIdentifier=hash",
      "authorityKeyIdentifier=keyid",
      `extendedKeyUsage=${names.length === 0 ? "clientAuth" : "serverAuth,clientAuth"}`,
      ...(names.length === 0 ? [] : [`subjectAltName=${names.join(",")}`]),
    ]),
  ]);
}

/** The SHA-256 of a certificate's DER: lower-case hex without colons. */
export function fingerprint(pem: string): string {
  return createHash("sha256").update(new X509Certificate(pem).raw).digest("hex");
}

const rsaKeyFile = (name: string): string => path.join(folder, `${name}.key`);

/** Forgets an RSA key: the next of its name is another. */
export function forgetRsaKey(name: string): void {
  rmSync(rsaKeyFile(name), { force: true });
}

/** An RSA key in PKCS#1 PEM (`BEGIN RSA PRIVATE KEY`), as Supervisor secrets hold it; made if it isn't there. */
export async function rsaKey(name: string): Promise<string> {
  return made(rsaKeyFile(name), async () => {
    const { privateKey } = await promisify(generateKeyPair)("rsa", {
      modulusLength: 2048,
      publicKeyEncoding: { type: "spki", format: "pem" },
      privateKeyEncoding: { type: "pkcs1", format: "pem" },
    });
    return privateKey;
  });
}

/** The public half of a key, PEM. */
export function publicKey(privateKey: string): string {
  return createPublicKey(privateKey).export({ type: "spki", format: "pem" }).toString();
}

/** The public half of an RSA key as SSH writes it (RFC 4253, section 6.6). */
function sshPublicKey(privateKey: string): Buffer {
  const { n, e } = createPublicKey(privateKey).export({ format: "jwk" });
  const field = (bytes: Buffer): Buffer => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return Buffer.concat([length, bytes]);
  };
  const integer = (value: string): Buffer => {
    const bytes = Buffer.from(value, "base64url");
    return field(bytes[0]! >= 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes);
  };
  return Buffer.concat([field(Buffer.from("ssh-rsa")), integer(e!), integer(n!)]);
}

/** The public half of an RSA key as a line of `authorized_keys`. */
export function authorizedKey(privateKey: string, comment: string): string {
  return `ssh-rsa ${sshPublicKey(privateKey).toString("base64")} ${comment}\n`;
}

/** The fingerprint of an RSA key as SSH clients show it: `SHA256:…`. */
export function sshFingerprint(privateKey: string): string {
  const digest = createHash("sha256").update(sshPublicKey(privateKey)).digest("base64");
  return `SHA256:${digest.replace(/=+$/, "")}`;
}
