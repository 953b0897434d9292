/**
 * Verifies a served chain by the rules of current Go, which containerd and kubectl are written in.
 * It never asks OpenSSL, and never opens a connection. Go compares names byte by byte, ends a chain at any trusted
 * certificate, ignores the common name, requires the usage in each certificate of the chain, and refuses SHA-1.
 *
 * Source: `verify.go` and `constraints.go`. `test/integration/certificates/go` compares it with Go 1.26.8 itself. Nodes
 * may run a containerd built with an older Go, which before 1.24 accepted small RSA keys and negative serial numbers.
 * Certificate policies are ignored, since they matter only under a CA that requires one.
 */
import type { KeyObject, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import * as ipaddr from "ipaddr.js";
import { printable } from "../../support/text";
import { type GoCertificate, GoRefusal, type Names, isDomain, readAsGo } from "./goCertificate";
import { isSignedBy, issuerOf, subjectOf } from "../identity";

/** The most signatures that Go verifies for one chain. */
const maxSignatures = 100;
/** The sizes of RSA keys that Go accepts, in bits. */
const rsaBits = { min: 1024, max: 8192 };

/**
 * Verifies a chain as Go's TLS client does.
 *
 * @param served - The chain in the order in which it is served, the server's own certificate first.
 * @param options.trusted - The trusted certificates. Each ends a chain, even if it is not self-signed.
 * @param options.hostname - A name, or an address without brackets.
 * @returns `undefined` if Go accepts it.
 */
export function goRefusal(
  served: readonly X509Certificate[],
  options: { trusted: readonly X509Certificate[]; hostname: string; now: Date },
): GoRefusal | undefined {
  return refusalOf(() => verify(served, options));
}

function refusalOf(check: () => void): GoRefusal | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    if (error instanceof GoRefusal) return error;
    throw error;
  }
}

/**
 * Checks only whether a certificate is for a host. An address must be among the certificate's addresses, a name among
 * its names. A wildcard matches one whole label, the first.
 *
 * @returns `undefined` if it is.
 */
export function goHostRefusal(certificate: X509Certificate, hostname: string): GoRefusal | undefined {
  return refusalOf(() => checkHost(readServed(certificate), hostname));
}

function verify(
  served: readonly X509Certificate[],
  { trusted, hostname, now }: { trusted: readonly X509Certificate[]; hostname: string; now: Date },
): void {
  const [leaf, ...intermediates] = served.map((certificate) => {
    const read = readServed(certificate);
    const bits = rsaSize(read.key);
    if (bits !== undefined && bits > rsaBits.max)
      throw new GoRefusal("key", `${nameOf(read)} has an RSA key of more than ${rsaBits.max} bits`);
    return read;
  });
  if (!leaf) throw new GoRefusal("tls", "it shows no certificate");
  checkAlone(leaf, "leaf", [], now);
  checkHost(leaf, hostname);
  const roots = trusted.flatMap((certificate) => {
    try {
      return [readAsGo(certificate)];
    } catch {
      return []; // Go skips them in a trust store
    }
  });
  const isTrusted = roots.some(({ x509 }) => x509.raw.equals(leaf.x509.raw));
  const search: Search = { roots, intermediates, now, signatures: 0 };
  const chains = isTrusted ? [[leaf]] : findChains([leaf], search);
  checkUsages(chains);
  checkServerKey(leaf);
}

function readServed(certificate: X509Certificate): GoCertificate {
  try {
    return readAsGo(certificate);
  } catch (error) {
    if (!(error instanceof GoRefusal)) throw error;
    throw new GoRefusal(
      error.kind,
      `it shows the certificate ${subjectOf(certificate)}, and ${error.message}`,
    );
  }
}

const nameOf = ({ x509 }: GoCertificate): string => subjectOf(x509);

/**
 * Checks one certificate at its place in a chain.
 * @param chain - The certificates below it, the server's first.
 */
function checkAlone(
  certificate: GoCertificate,
  place: "leaf" | "intermediate" | "root",
  chain: readonly GoCertificate[],
  now: Date,
): void {
  const { x509, basicConstraints, unhandled } = certificate;
  const name = nameOf(certificate);
  if (unhandled.length > 0)
    throw new GoRefusal(
      "critical",
      `${name} has a critical extension that Go does not know: ${unhandled.join(", ")}`,
    );
  if (now < new Date(x509.validFrom))
    throw new GoRefusal("expired", `${name} is not valid until ${new Date(x509.validFrom).toISOString()}`);
  if (now > new Date(x509.validTo))
    throw new GoRefusal("expired", `${name} has expired at ${new Date(x509.validTo).toISOString()}`);
  if (place === "intermediate" && basicConstraints?.ca !== true)
    throw new GoRefusal("not-ca", `${name} is not a CA`);
  if (basicConstraints?.pathLength !== undefined && chain.length - 1 > basicConstraints.pathLength) {
    throw new GoRefusal(
      "path-length",
      `${name} may have only ${basicConstraints.pathLength} authorities under it, and there are ${chain.length - 1}`,
    );
  }
}

function checkHost(leaf: GoCertificate, hostname: string): void {
  if (matchesHost(leaf.names, hostname)) return;
  const names = leaf.x509.subjectAltName;
  if (names === undefined) {
    throw new GoRefusal(
      "host",
      "its certificate lists no subject alternative name, without which containerd and kubectl refuse it",
    );
  }
  const noAddress = isIP(hostname) !== 0 && leaf.names?.ip.length === 0;
  throw new GoRefusal(
    "host",
    `its certificate is for ${printable(names)} and not for ${hostname}` +
      (noAddress ? ", which must be among its IP addresses, and it lists none" : ""),
  );
}

/** Names that are compared label by label. All others must be equal as text. */
const hostShape = /^[a-z0-9_][a-z0-9_-]*(?:\.[a-z0-9_][a-z0-9_-]*)*$/;

function matchesHost(names: Names | undefined, hostname: string): boolean {
  if (isIP(hostname) !== 0) {
    const address = ipaddr.process(hostname).toString();
    return names?.ip.some((candidate) => ipaddr.process(candidate).toString() === address) ?? false;
  }
  const host = hostname.toLowerCase();
  const bare = host.replace(/\.$/, "");
  return (names?.dns ?? []).some((name) => {
    const pattern = name.toLowerCase();
    const [first = "", ...rest] = pattern.split(".");
    const shaped =
      first === "*" ? rest.length > 0 && hostShape.test(rest.join(".")) : hostShape.test(pattern);
    if (!shaped || !hostShape.test(bare)) return pattern === host && host !== "" && host !== ".";
    return first === "*"
      ? bare.split(".").slice(1).join(".") === rest.join(".") && bare.includes(".")
      : pattern === bare;
  });
}

interface Search {
  readonly roots: readonly GoCertificate[];
  readonly intermediates: readonly GoCertificate[];
  readonly now: Date;
  /** How many signatures were verified. */
  signatures: number;
}

/**
 * Finds all chains from these certificates to trusted ones.
 *
 * @throws GoRefusal if there is none, with the reason why the last candidate failed.
 */
function findChains(chain: readonly GoCertificate[], search: Search): GoCertificate[][] {
  const child = chain.at(-1)!;
  const chains: GoCertificate[][] = [];
  let refusal: GoRefusal | undefined;
  let hint = "";
  for (const place of ["root", "intermediate"] as const) {
    const pool = place === "root" ? search.roots : search.intermediates;
    for (const candidate of pool.filter(({ subject }) => subject.equals(child.issuer))) {
      search.signatures += 1;
      if (search.signatures > maxSignatures)
        throw new GoRefusal(
          "authority",
          `its chain needs more than ${maxSignatures} signatures to be looked at`,
        );
      if (!candidate.key || isInChain(candidate, chain)) continue;
      const obstacle = whyNotIssued(child, candidate, candidate.key);
      if (obstacle !== undefined) {
        hint ||= obstacle;
        continue;
      }
      try {
        checkAlone(candidate, place, chain, search.now);
        const longer = [...chain, candidate];
        if (place === "root") chains.push(longer);
        else chains.push(...findChains(longer, search));
      } catch (error) {
        if (!(error instanceof GoRefusal)) throw error;
        refusal = error;
      }
    }
  }
  if (chains.length > 0) return chains;
  throw refusal ?? unknownAuthority(child, hint);
}

function unknownAuthority(child: GoCertificate, hint: string): GoRefusal {
  if (hint !== "") return new GoRefusal("authority", hint);
  if (child.subject.equals(child.issuer))
    return new GoRefusal("authority", `its certificate ${nameOf(child)} is self-signed and not trusted`);
  return new GoRefusal(
    "authority",
    `its certificate is signed by an authority that is not trusted: ${issuerOf(child.x509)}, which issued ${nameOf(child)}, is neither trusted nor served`,
  );
}

/** Detects a loop as Go does: by subject, key and alternative names. */
function isInChain(candidate: GoCertificate, chain: readonly GoCertificate[]): boolean {
  const spki = (key: KeyObject | undefined): Buffer =>
    key?.export({ type: "spki", format: "der" }) ?? Buffer.alloc(0);
  return chain.some(
    (member) =>
      member.subject.equals(candidate.subject) &&
      spki(member.key).equals(spki(candidate.key)) &&
      member.namesDer.equals(candidate.namesDer),
  );
}

function whyNotIssued(child: GoCertificate, issuer: GoCertificate, key: KeyObject): string | undefined {
  const [name, issuerName] = [nameOf(child), nameOf(issuer)];
  const { basicConstraints, version, mayNotSign } = issuer;
  if (basicConstraints ? !basicConstraints.ca : version === 3)
    return `${issuerName}, which issued ${name}, is not a CA (its basic constraints do not say so)`;
  if (mayNotSign)
    return `${issuerName}, which issued ${name}, may not sign certificates (its key usage does not say so)`;
  if (child.signature.verdict !== "fine") {
    return child.signature.verdict === "insecure"
      ? `${name} is signed with ${child.signature.name}, which Go refuses as insecure`
      : `${name} is signed with an algorithm that Go does not know (${child.signature.name})`;
  }
  if ((rsaSize(key) ?? rsaBits.min) < rsaBits.min)
    return `${issuerName}, which issued ${name}, has an RSA key of less than ${rsaBits.min} bits, which Go refuses`;
  return isSignedBy(child.x509, key)
    ? undefined
    : `${name} is signed by another authority of the same name, ${issuerName}`;
}

const rsaSize = (key: KeyObject | undefined): number | undefined =>
  key?.asymmetricKeyType === "rsa" ? key.asymmetricKeyDetails?.modulusLength : undefined;

/** At least one of the chains must allow the usage and the names. */
function checkUsages(chains: readonly (readonly GoCertificate[])[]): void {
  let constrained: GoRefusal | undefined;
  let misused: GoRefusal | undefined;
  for (const chain of chains) {
    const other = chain.find(({ notForServers }) => notForServers);
    if (other) {
      misused ??= new GoRefusal(
        "usage",
        `${nameOf(other)} is not for TLS servers: its extended key usage leaves them out`,
      );
      continue;
    }
    try {
      checkConstraints(chain);
      return;
    } catch (error) {
      if (!(error instanceof GoRefusal)) throw error;
      constrained ??= error;
    }
  }
  throw constrained ?? misused ?? new GoRefusal("authority", "there is no chain");
}

function checkConstraints(chain: readonly GoCertificate[]): void {
  chain.forEach((certificate, index) => {
    if (!certificate.names) return;
    for (const authority of chain.slice(index + 1)) {
      if (authority.constraints) checkNames(certificate.names, authority.constraints, nameOf(authority));
    }
  });
}

function checkNames(
  names: Names,
  { permitted, excluded }: { permitted: Names; excluded: Names },
  authority: string,
): void {
  const check = (
    name: string,
    kind: keyof Names,
    matches: (constraint: string, wildcard: boolean) => boolean,
  ): void => {
    const allowed =
      permitted[kind].length === 0 || permitted[kind].some((constraint) => matches(constraint, false));
    if (allowed && !excluded[kind].some((constraint) => matches(constraint, true))) return;
    throw new GoRefusal(
      "constraints",
      `${authority} may not issue certificates for ${printable(name, 100)} (name constraints)`,
    );
  };
  const domain = (host: string, name: string): string => {
    if (isDomain(host)) return host.toLowerCase();
    throw new GoRefusal(
      "constraints",
      `the name constraints of ${authority} cannot be held against ${printable(name, 100)}`,
    );
  };
  for (const ip of names.ip) check(ip, "ip", (range) => contains(range, ip));
  for (const dns of names.dns) {
    const name = domain(dns, dns);
    check(dns, "dns", (constraint, wildcard) => isUnder(name, constraint, wildcard));
  }
  for (const uri of names.uri) {
    const host = domain(hostOf(uri), uri);
    if (host === "" || host.startsWith("[") || isIP(host) !== 0)
      throw new GoRefusal(
        "constraints",
        `the name constraints of ${authority} cannot be held against ${printable(uri, 100)}`,
      );
    check(uri, "uri", (constraint, wildcard) => isUnder(host, constraint, wildcard));
  }
  for (const email of names.email) {
    const at = email.lastIndexOf("@");
    const host = domain(email.slice(at + 1), email);
    const mailbox = `${email.slice(0, at)}@${host}`;
    check(email, "email", (constraint, wildcard) => {
      const split = constraint.lastIndexOf("@");
      return split < 0
        ? isUnder(host, constraint, wildcard)
        : mailbox === constraint.slice(0, split) + constraint.slice(split).toLowerCase();
    });
  }
}

function hostOf(uri: string): string {
  try {
    return new URL(uri).hostname;
  } catch {
    return "";
  }
}

function contains(range: string, address: string): boolean {
  const [network, prefix] = ipaddr.parseCIDR(range);
  const parsed = ipaddr.parse(address);
  return parsed.kind() === network.kind() && parsed.match(network, prefix);
}

/** A constraint with a leading dot excludes the domain itself; an empty one matches everything. */
function isUnder(name: string, constraint: string, wildcards: boolean): boolean {
  const domain = constraint.toLowerCase();
  if (domain === "" || name === domain || name.endsWith(domain.startsWith(".") ? domain : `.${domain}`))
    return true;
  // A wildcard may match the excluded name itself.
  const afterFirst = (text: string): string => (text.includes(".") ? text.slice(text.indexOf(".")) : "");
  return (
    wildcards && name.startsWith("*") && afterFirst(domain) !== "" && afterFirst(name) === afterFirst(domain)
  );
}

function checkServerKey(leaf: GoCertificate): void {
  if (!leaf.key)
    throw new GoRefusal("key", `${nameOf(leaf)} has a key of a kind that Go's TLS does not take`);
  const bits = rsaSize(leaf.key);
  if (bits !== undefined && bits < rsaBits.min)
    throw new GoRefusal(
      "key",
      `${nameOf(leaf)} has an RSA key of ${bits} bits, and Go takes none under ${rsaBits.min}`,
    );
}
