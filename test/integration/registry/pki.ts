/** Certificates for tests, made by the openssl command: no key is kept in the repository. */
import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
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

/** A folder of certificates that is gone when the process ends. */
export class Pki {
  readonly folder = mkdtempSync(path.join(tmpdir(), "tkc-registry-pki-"));
  private count = 0;

  constructor() {
    process.on("exit", () => rmSync(this.folder, { recursive: true, force: true }));
  }

  /** A self-signed CA, or an intermediate one where an issuer is given. */
  ca(name: string, issuer?: Identity): Identity {
    return this.make(
      name,
      ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"],
      issuer,
    );
  }

  /** A server's certificate; self-signed where no issuer is given. `san` as openssl has it: `DNS:a,IP:127.0.0.1`. */
  server(name: string, san: string | undefined, issuer?: Identity): Identity {
    const names = san === undefined ? [] : [`subjectAltName=${san}`];
    return this.make(name, ["basicConstraints=critical,CA:FALSE", ...names], issuer);
  }

  /** Writes a file into the folder and gives its path. */
  file(name: string, content: string | Buffer): string {
    const file = path.join(this.folder, name);
    writeFileSync(file, content);
    return file;
  }

  private make(name: string, extensions: readonly string[], issuer: Identity | undefined): Identity {
    const stem = path.join(this.folder, String((this.count += 1)));
    const openssl = (...args: string[]): void =>
      void execFileSync("openssl", args, { stdio: ["ignore", "ignore", "pipe"] });
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", `${stem}.key`);
    writeFileSync(
      `${stem}.cnf`,
      [
        "[req]",
        "distinguished_name=dn",
        "prompt=no",
        "utf8=yes",
        "[dn]",
        `CN=${name}`,
        "[ext]",
        ...extensions,
        "",
      ].join("\n"),
    );
    const request = ["req", "-new", "-key", `${stem}.key`, "-config", `${stem}.cnf`];
    if (issuer) {
      writeFileSync(`${stem}.issuer.crt`, issuer.cert);
      writeFileSync(`${stem}.issuer.key`, issuer.key);
      openssl(...request, "-out", `${stem}.csr`);
      openssl(
        ...["x509", "-req", "-in", `${stem}.csr`, "-days", "365", "-out", `${stem}.crt`],
        ...[
          "-CA",
          `${stem}.issuer.crt`,
          "-CAkey",
          `${stem}.issuer.key`,
          "-set_serial",
          String(1000 + this.count),
        ],
        ...["-extfile", `${stem}.cnf`, "-extensions", "ext"],
      );
    } else {
      openssl(...request, "-x509", "-days", "365", "-extensions", "ext", "-out", `${stem}.crt`);
    }
    const cert = readFileSync(`${stem}.crt`, "utf8");
    const sha256 = new X509Certificate(cert).fingerprint256.replaceAll(":", "").toLowerCase();
    return { cert, key: readFileSync(`${stem}.key`, "utf8"), sha256 };
  }
}
