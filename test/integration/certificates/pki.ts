/** Certificates for tests, made by the openssl command: no key is kept in the repository. */
import { execFileSync } from "node:child_process";
import { type KeyObject, X509Certificate, generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";

export interface Identity {
  /** PEM */
  readonly cert: string;
  /** PEM */
  readonly key: string;
  /** SHA-256 of the DER, lower-case hex. */
  readonly sha256: string;
}

/** What is not as it usually is about a certificate. */
export interface Unusual {
  /** Lines of openssl's extension section, in place of the usual ones. */
  readonly extensions?: readonly string[];
  /** Private; on P-256 by default. */
  readonly key?: KeyObject;
  readonly days?: number;
  readonly serial?: string;
  /** More arguments to the signing: `-sha1`, `-sigopt …`. */
  readonly signing?: readonly string[];
  /** How the name is encoded, as openssl's `string_mask`. */
  readonly stringMask?: string;
}

export const rsa = (modulusLength: number): KeyObject =>
  generateKeyPairSync("rsa", { modulusLength }).privateKey;
export const curve = (namedCurve: string): KeyObject => generateKeyPairSync("ec", { namedCurve }).privateKey;

/** A folder of certificates that is gone when the process ends. */
export class Pki {
  readonly folder = mkdtempSync(path.join(tmpdir(), "tkc-registry-pki-"));
  private count = 0;

  constructor() {
    process.on("exit", () => rmSync(this.folder, { recursive: true, force: true }));
  }

  /** A self-signed CA, or an intermediate one where an issuer is given. */
  ca(name: string, issuer?: Identity, unusual: Unusual = {}): Identity {
    const extensions = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"];
    return this.make(name, issuer, { extensions, ...unusual });
  }

  /** A server's certificate; `""` for one without a subject; self-signed where no issuer is given. `san` as openssl has it: `DNS:a,IP:127.0.0.1`. */
  server(name: string, san: string | undefined, issuer?: Identity, unusual: Unusual = {}): Identity {
    const names = san === undefined ? [] : [`subjectAltName=${san}`];
    const { extensions = ["basicConstraints=critical,CA:FALSE"] } = unusual;
    return this.make(name, issuer, { ...unusual, extensions: [...extensions, ...names] });
  }

  /** Writes a file into the folder and gives its path. */
  file(name: string, content: string | Buffer): string {
    const file = path.join(this.folder, name);
    writeFileSync(file, content);
    return file;
  }

  private make(name: string, issuer: Identity | undefined, unusual: Unusual): Identity {
    const { extensions = [], key = curve("prime256v1"), days = 365, signing = [], stringMask } = unusual;
    const stem = path.join(this.folder, String((this.count += 1)));
    const serial = unusual.serial ?? String(1000 + this.count);
    const openssl = (...args: string[]): void =>
      void execFileSync("openssl", args, { stdio: ["ignore", "ignore", "pipe"] });
    writeFileSync(`${stem}.key`, key.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
    writeFileSync(
      `${stem}.cnf`,
      [
        ...["[req]", "distinguished_name=dn", "prompt=no", "utf8=yes"],
        ...(stringMask === undefined ? [] : [`string_mask=${stringMask}`]),
        ...["[dn]", `CN=${name}`, "[ext]", ...extensions, ""],
      ].join("\n"),
    );
    const noName = name === "" ? ["-subj", "/"] : [];
    const request = ["req", "-new", "-key", `${stem}.key`, "-config", `${stem}.cnf`, ...noName];
    const how = ["-days", String(days), "-set_serial", serial, "-extensions", "ext", ...signing];
    if (issuer) {
      writeFileSync(`${stem}.issuer.crt`, issuer.cert);
      writeFileSync(`${stem}.issuer.key`, issuer.key);
      openssl(...request, "-out", `${stem}.csr`);
      openssl(
        ...["x509", "-req", "-in", `${stem}.csr`, "-out", `${stem}.crt`, ...how],
        ...["-CA", `${stem}.issuer.crt`, "-CAkey", `${stem}.issuer.key`, "-extfile", `${stem}.cnf`],
      );
    } else {
      openssl(...request, "-x509", "-out", `${stem}.crt`, ...how);
    }
    const cert = readFileSync(`${stem}.crt`, "utf8");
    const sha256 = new X509Certificate(cert).fingerprint256.replaceAll(":", "").toLowerCase();
    return { cert, key: readFileSync(`${stem}.key`, "utf8"), sha256 };
  }
}
