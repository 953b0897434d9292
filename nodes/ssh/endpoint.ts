/**
 * An SSH endpoint: address, user, credentials and transport.
 * It never opens a connection, and never reads a key.
 */
import type { Transport } from "../routes/transport";

/** One method of authentication. A password is used only where there is no key, never after a refused key. */
export type Credentials =
  | { readonly kind: "key"; readonly privateKey: string; readonly source: string }
  | { readonly kind: "password"; readonly password: string; readonly source: string }
  | { readonly kind: "agent"; readonly socket: string; readonly source: string };

/** A node's or a bastion's sshd, and how it is reached. */
export interface SshEndpoint {
  /** The kind of machine, for messages and error codes. Default `node`. */
  readonly role?: "node" | "bastion";
  /** The node's name, for messages. */
  readonly node: string;
  readonly address: string;
  readonly port: number;
  readonly user: string;
  readonly transport: Transport;
  readonly credentials: Credentials;
  /** `SHA256:…` of one of the node's host keys. Without it the first key seen is accepted: `Session.hostKey`. */
  readonly hostKey?: string | undefined;
}

/** Names the endpoint as the subject of a problem. */
export function subjectOf({ role = "node", node, address, port }: SshEndpoint): string {
  return node === address ? `${role} ${node} port ${port}` : `${role} ${node} (${address} port ${port})`;
}
