/**
 * What `npm run ca` found: {@link Shown} is what `--json` prints.
 * Nothing here asks a registry or prints.
 */
import type { Problem } from "../../support/errors";

/** A certificate, for people. */
export interface ShownCertificate {
  readonly subject: string;
  readonly issuer: string;
  /** Subject alternative names, as OpenSSL writes them; none where there are none. */
  readonly names: string | null;
  /** ISO 8601. */
  readonly notBefore: string;
  readonly notAfter: string;
  /** Lower-case hex. */
  readonly sha256: string;
  readonly role: "CA" | "intermediate CA" | "self-signed server" | "server";
  /** `RSA 2048`, `EC prime256v1` */
  readonly key: string;
  /** `SHA256-RSA` */
  readonly signature: string;
}

/** All that was found. */
export interface Shown {
  readonly registry: string;
  /** What the registry shows itself to be; `null` where it was not reached. */
  readonly kind: Configuration["kind"] | null;
  /** As served, the server's own first; empty where it was not reached. */
  readonly served: readonly ShownCertificate[];
  /** Harbor's getcert; `null` where there is none to be had. */
  readonly offered: {
    readonly source: string;
    readonly certificates: readonly ShownCertificate[];
    /** Whether nodes that trust it would take what is served. */
    readonly verifiesServed: boolean;
  } | null;
  readonly problems: readonly Problem[];
  readonly warnings: readonly string[];
  /** What to set, where there is something that nodes could use. */
  readonly configuration: Configuration | null;
}

export interface Configuration {
  readonly host: string;
  readonly kind: "harbor" | "generic";
  readonly ca: { readonly from: "harbor" | "chain"; readonly sha256: string };
}
