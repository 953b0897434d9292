import { type KeyObject, createPrivateKey, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { type ParsedKey, utils } from "ssh2";
import { findSecret } from "../../kubernetes/checks";
import type { OpenContext } from "../../kubernetes/client";
import { expandHome } from "../../support/files";
import { rememberSecret } from "../../support/secrets";
import type { SshKeySource } from "../protocol/spec";
import type { Credentials } from "./endpoint";
import { sshProblem } from "./problems";

/**
 * ssh2 reads every private key of OpenSSH's and PuTTY's, and no PKCS#8 (`BEGIN PRIVATE KEY`), as OpenSSL 3 writes keys and
 * OpenSSH reads them. Such a key is written anew in a form that ssh2 reads.
 */
function readable(text: string): string {
  if (!/-----BEGIN PRIVATE KEY-----/.test(text)) return text;
  try {
    const key = createPrivateKey(text);
    switch (key.asymmetricKeyType) {
      case "rsa":
        return key.export({ type: "pkcs1", format: "pem" }) as string;
      case "ec":
        return key.export({ type: "sec1", format: "pem" }) as string;
      case "ed25519":
        return opensshKey(key);
      default:
        return text;
    }
  } catch {
    return text; // the parser then says what it is not
  }
}

/** An Ed25519 key in OpenSSH's own format, the only one that ssh2 reads for it (`PROTOCOL.key` of OpenSSH). */
function opensshKey(key: KeyObject): string {
  const { d = "", x = "" } = key.export({ format: "jwk" });
  const [seed, point] = [Buffer.from(d, "base64url"), Buffer.from(x, "base64url")];
  const field = (value: Buffer | string): Buffer => {
    const bytes = Buffer.from(value as string);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return Buffer.concat([length, bytes]);
  };
  const type = field("ssh-ed25519");
  const check = randomBytes(4);
  const secret = [check, check, type, field(point), field(Buffer.concat([seed, point])), field("")];
  const unpadded = Buffer.concat(secret);
  const padding = Buffer.from([1, 2, 3, 4, 5, 6, 7].slice(0, (8 - (unpadded.length % 8)) % 8));
  const body = Buffer.concat([
    Buffer.from("openssh-key-v1\0"),
    ...[field("none"), field("none"), field(""), Buffer.from([0, 0, 0, 1])],
    field(Buffer.concat([type, field(point)])),
    field(Buffer.concat([unpadded, padding])),
  ]);
  const lines = body.toString("base64").replace(/.{1,70}/g, "$&\n");
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines}-----END OPENSSH PRIVATE KEY-----\n`;
}

function checkedKey(given: string, source: string): Credentials {
  const text = rememberSecret(readable(rememberSecret(given)));
  // An OpenSSH file may hold several keys; ssh2's type declaration omits this.
  const parsed: ParsedKey | Error | (ParsedKey | Error)[] = utils.parseKey(text);
  const [first] = [parsed].flat();
  if (first instanceof Error || first === undefined || !first.isPrivateKey()) {
    const encrypted =
      /-----BEGIN ENCRYPTED PRIVATE KEY-----/.test(text) ||
      (first instanceof Error && /encrypted|passphrase/i.test(first.message));
    throw sshProblem.error(
      "ssh-key-invalid",
      {
        subject: source,
        seen: encrypted ? "the private key is encrypted with a passphrase" : "this is not an SSH private key",
      },
      encrypted ? "encrypted" : "other",
    );
  }
  return { kind: "key", privateKey: text, source };
}

/**
 * Reads a private key from a file.
 *
 * @throws UserError `ssh-key-file`, `ssh-key-invalid`.
 */
export function readKeyFile(path: string): Credentials {
  let text: string;
  try {
    text = readFileSync(expandHome(path), "utf8");
  } catch (error) {
    throw sshProblem.error("ssh-key-file", {
      subject: `SSH key file ${path}`,
      seen: `it could not be read: ${(error as NodeJS.ErrnoException).code ?? "unknown error"}`,
    });
  }
  return checkedKey(text, `SSH key file ${path}`);
}

/**
 * Reads the value of a key of one of the Supervisor's secrets for the cluster.
 *
 * @returns `undefined` where there is no such secret, and "" where it has no such value.
 */
export type SecretReader = (
  source: Extract<SshKeySource, { from: "supervisor" }>,
  name: string,
  key: string,
) => Promise<string | undefined>;

/** Reads secrets by the API. */
export const secretReader =
  (open: OpenContext): SecretReader =>
  async ({ context, namespace }, name, key) => {
    const secret = await findSecret(await open(context), namespace, name);
    return secret && (secret.data[key] ?? "");
  };

/**
 * Reads the credentials for the nodes, into memory only. The password is read only if there is no key.
 *
 * @param readSecret - Needed where the source is the Supervisor.
 * @throws UserError `ssh-secret-missing`, `ssh-secret-empty`, `ssh-key-file`, `ssh-key-invalid`, and what the reader throws.
 */
export async function readCredentials(source: SshKeySource, readSecret?: SecretReader): Promise<Credentials> {
  if (source.from === "file") return readKeyFile(source.path);
  if (!readSecret) throw new Error("no API is given to read the secret from");
  const { context, namespace, cluster } = source;
  const read = async (name: string, key: string): Promise<string | undefined> => {
    const value = await readSecret(source, name, key);
    if (value === "") {
      throw sshProblem.error("ssh-secret-empty", {
        subject: `secret ${namespace}/${name}`,
        seen: `it has no value "${key}"`,
      });
    }
    return value;
  };
  const keySecret = `${cluster}-ssh`;
  const key = await read(keySecret, "ssh-privatekey");
  if (key !== undefined) return checkedKey(key, `secret ${namespace}/${keySecret}`);
  const passwordSecret = `${cluster}-ssh-password`;
  const password = await read(passwordSecret, "ssh-passwordkey");
  if (password !== undefined)
    return {
      kind: "password",
      password: rememberSecret(password),
      source: `secret ${namespace}/${passwordSecret}`,
    };
  throw sshProblem.error("ssh-secret-missing", {
    subject: `secret ${namespace}/${keySecret}`,
    seen: `neither it nor ${passwordSecret} exists, asked with context "${context}"`,
  });
}
