import type { CaCertificate } from "../certificates/certificates";

/** A registry as image names give it: `host` or `host:port`, lower case; an IPv6 host in brackets. */
export type RegistryHost = string;

/** Where a registry's CA comes from. */
export type CaSource =
  | { readonly from: "file"; readonly path: string; readonly sha256?: string | undefined }
  | { readonly from: "inline"; readonly pem: string; readonly sha256?: string | undefined }
  /** Harbor's `getcert`, v2 then v1; or the TLS chain that the registry serves. */
  | FromRegistry<"harbor">
  | FromRegistry<"chain">;

/** A CA from the registry itself needs a fingerprint, or trust on first use as in `ssh`. */
interface FromRegistry<From> {
  readonly from: From;
  /** Wins over trust on first use, so it can accept a changed CA. */
  readonly sha256?: string | undefined;
  readonly trustOnFirstUse?: boolean | undefined;
}

/** A registry's CA, ready to be installed. */
export interface TrustedCa {
  readonly registry: RegistryHost;
  /** Where it was found, for people: `harbor getcert v2`, `file ./ca.crt`. */
  readonly source: string;
  readonly certificates: readonly CaCertificate[];
  /** SHA-256 of the certificate that the registry shows to this machine, where it is reached. */
  readonly served?: string | undefined;
  /** Warnings that do not stop the run. */
  readonly warnings: readonly string[];
}

/** What a pull from a registry needs. Never written anywhere but into the pull secret. */
export interface RegistryCredential {
  /** The part of the registry that it is for, `/ns1`, where docker's config names one. */
  readonly path?: string;
  readonly username: string;
  readonly password: string;
}
