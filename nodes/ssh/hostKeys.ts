/**
 * Host keys: their fingerprints, their types, and the check against the pinned one.
 * It never stores a pin: the pin is in the state or the settings.
 */
import { createHash } from "node:crypto";
import type { ServerHostKeyAlgorithm } from "ssh2";

/** A host key's fingerprint as OpenSSH prints it: `SHA256:` and unpadded base64. */
export function fingerprint(key: Buffer): string {
  return `SHA256:${createHash("sha256").update(key).digest("base64").replace(/=+$/, "")}`;
}

/** The algorithms by which each type of host key can be asked for; the first is preferred. */
const hostKeyAlgorithms: Record<string, readonly ServerHostKeyAlgorithm[]> = {
  "ssh-ed25519": ["ssh-ed25519"],
  "ecdsa-sha2-nistp256": ["ecdsa-sha2-nistp256"],
  "ecdsa-sha2-nistp384": ["ecdsa-sha2-nistp384"],
  "ecdsa-sha2-nistp521": ["ecdsa-sha2-nistp521"],
  "ssh-rsa": ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"],
};

function keyType(key: Buffer): string {
  return key.subarray(4, 4 + key.readUInt32BE(0)).toString("latin1");
}

/** Compares the keys that a server shows with the pinned one, if there is one, and remembers those that differ. */
export class HostKeyCheck {
  readonly #rejected = new Map<string, string>();

  constructor(private readonly pinned: string | undefined) {}

  /** Whether the key is the pinned one; without a pin every key is accepted. */
  readonly accepts = (key: Buffer): boolean => {
    const shown = fingerprint(key);
    const accepted = this.pinned === undefined || this.pinned === shown;
    if (!accepted) this.#rejected.set(keyType(key), shown);
    return accepted;
  };

  /** The fingerprints of the keys that were rejected. */
  get rejected(): string[] {
    return [...this.#rejected.values()];
  }

  /** The algorithms to offer: none of a type whose key was rejected. */
  get algorithms(): ServerHostKeyAlgorithm[] {
    return Object.entries(hostKeyAlgorithms).flatMap(([type, names]) =>
      this.#rejected.has(type) ? [] : names,
    );
  }

  /** Forgets the rejected keys, for a new attempt. */
  reset(): void {
    this.#rejected.clear();
  }
}
