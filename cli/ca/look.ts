/**
 * Asks a registry which certificates it serves and which CA it offers, and chooses what nodes could trust.
 * It never sends credentials, and never trusts what it sees.
 */
import type { X509Certificate } from "node:crypto";
import { GoRefusal, readAsGo } from "../../certificates/go/goCertificate";
import { goRefusal } from "../../certificates/go/goVerify";
import { httpsRequest } from "../../net/https";
import {
  type Found,
  type CaQuery,
  caLimits,
  downloadFromHarbor,
  obtainCa,
  servedChain,
} from "../../registry/ca";
import { parseRegistryHost } from "../../registry/host";
import { type Problem, UserError, describeProblem } from "../../support/errors";
import { printable } from "../../support/text";
import type { Configuration, Shown, ShownCertificate } from "./found";
import { fingerprintOf, isAuthority, isSelfSigned, issuerOf, subjectOf } from "../../certificates/identity";
import { registryProblem } from "../../registry/problems";
import { cliProblem } from "../problems";

/**
 * Asks the registry.
 *
 * @param seconds - for each exchange
 */
export async function look(host: string, seconds: number): Promise<Shown> {
  const address = parseRegistryHost(host, { subject: "HOST" });
  const query: CaQuery = { address, subject: address.host, limits: { ...caLimits, seconds } };
  const [served, offered, isHarbor] = await Promise.all([
    orProblems(servedChain(query)),
    orProblems(downloadFromHarbor(query)),
    speaksAsHarbor(query),
  ]);
  if (!("certificates" in served)) return { ...nothing, registry: address.host, problems: served };
  const chain = served.certificates;
  const getcert = "certificates" in offered ? offered : undefined;
  const kind = getcert || isHarbor ? "harbor" : "generic";
  const refusal = getcert && refusedWith(getcert.certificates.filter(isAuthority), chain, address.hostname);
  const { configuration, warnings, problems } = await choose(query, kind, chain, getcert);
  return {
    registry: address.host,
    kind,
    served: chain.map(show),
    offered: getcert
      ? {
          source: getcert.source,
          certificates: getcert.certificates.map(show),
          verifiesServed: refusal === undefined,
        }
      : null,
    problems: distinct([
      ...("certificates" in offered ? [] : offered.filter(({ code }) => code !== "ca-getcert-absent")),
      ...(refusal ? [refusedProblem(address.host, "what getcert offers", refusal)] : []),
      ...problems,
    ]),
    warnings,
    configuration,
  };
}

const nothing: Shown = {
  registry: "",
  kind: null,
  served: [],
  offered: null,
  problems: [],
  warnings: [],
  configuration: null,
};

async function orProblems(work: Promise<Found>): Promise<Found | readonly Problem[]> {
  return await work.catch((error: unknown) => {
    if (error instanceof UserError) return error.problems;
    throw error;
  });
}

const distinct = (problems: readonly Problem[]): Problem[] => [
  ...new Map(problems.map((problem) => [describeProblem(problem), problem])).values(),
];

/** Harbor names itself in where it sends clients for a token. */
async function speaksAsHarbor({ address, limits }: CaQuery): Promise<boolean> {
  try {
    const response = await httpsRequest(address, {
      method: "GET",
      path: "/v2/",
      trust: "unverified",
      limits,
    });
    return /service="harbor-registry"/.test(response.headers["www-authenticate"] ?? "");
  } catch {
    return false; // the other requests report the failure
  }
}

function refusedWith(
  trusted: readonly X509Certificate[],
  chain: readonly X509Certificate[],
  hostname: string,
): GoRefusal | undefined {
  return goRefusal(chain, { trusted, hostname, now: new Date() });
}

const remedies: Partial<Record<GoRefusal["kind"], "offered" | "otherName">> = {
  authority: "offered",
  host: "otherName",
};

function refusedProblem(host: string, trusted: string, refusal: GoRefusal): Problem {
  return registryProblem(
    "ca-does-not-verify",
    { subject: host, seen: `with ${trusted} trusted, nodes would refuse it: ${refusal.message}` },
    remedies[refusal.kind] ?? "certificate",
  );
}

type Choice = Pick<Shown, "configuration" | "warnings" | "problems">;

/**
 * The first certificate that the stack would take as it is, as {@link obtainCa} says: of what Harbor offers, else of the chain, from
 * its root on. Of Harbor's, those that sign themselves come first, which OpenSSL takes too.
 */
async function choose(
  query: CaQuery,
  kind: Configuration["kind"],
  chain: readonly X509Certificate[],
  getcert: Found | undefined,
): Promise<Choice> {
  const { address, subject, limits } = query;
  const offers = getcert?.certificates ?? [];
  const candidates = [
    ...[...offers.filter(isSelfSigned), ...offers.filter((each) => !isSelfSigned(each))].map(
      (certificate) => ({ from: "harbor" as const, certificate }),
    ),
    ...[...chain].reverse().map((certificate) => ({ from: "chain" as const, certificate })),
  ].filter(({ certificate }) => isAuthority(certificate));
  const problems: Problem[] = [];
  for (const { from, certificate } of candidates) {
    const refusal = refusedWith([certificate], chain, address.hostname);
    if (refusal) {
      // For Harbor's certificates, one problem covers all of them.
      if (from === "chain") problems.push(refusedProblem(address.host, subjectOf(certificate), refusal));
      continue;
    }
    const ca = { from, sha256: fingerprintOf(certificate) };
    try {
      const { warnings } = await obtainCa(address.host, ca, { subject, limits });
      return { configuration: { host: address.host, kind, ca }, warnings, problems: [] };
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      problems.push(...error.problems);
    }
  }
  const [leaf] = chain;
  if (leaf && !chain.some(isAuthority)) {
    // What is wrong with the server's certificate, whoever issued it.
    const refusal = refusedWith([leaf], chain, address.hostname);
    if (refusal) problems.push(refusedProblem(address.host, "any CA", refusal));
    const offered = getcert && refusedWith(getcert.certificates.filter(isAuthority), chain, address.hostname);
    if (!offered || offered.kind === "authority")
      problems.push(
        cliProblem("ca-not-served", {
          subject: address.host,
          seen: `it does not serve the CA that issued its certificate, and offers none that did: ${issuerOf(leaf)}`,
        }),
      );
  }
  return { configuration: null, warnings: [], problems };
}

function show(certificate: X509Certificate): ShownCertificate {
  const { subjectAltName, validFrom, validTo } = certificate;
  const selfSigned = isSelfSigned(certificate);
  return {
    subject: subjectOf(certificate),
    issuer: issuerOf(certificate),
    names: subjectAltName === undefined ? null : printable(subjectAltName),
    notBefore: new Date(validFrom).toISOString(),
    notAfter: new Date(validTo).toISOString(),
    sha256: fingerprintOf(certificate),
    role: certificate.ca
      ? selfSigned
        ? "CA"
        : "intermediate CA"
      : selfSigned
        ? "self-signed server"
        : "server",
    ...algorithms(certificate),
  };
}

function algorithms(certificate: X509Certificate): Pick<ShownCertificate, "key" | "signature"> {
  let key = "of a kind that is not known here";
  try {
    const { asymmetricKeyType = "", asymmetricKeyDetails: details } = certificate.publicKey;
    const size = details?.namedCurve ?? details?.modulusLength;
    key = [asymmetricKeyType.toUpperCase(), ...(size === undefined ? [] : [size])].join(" ");
  } catch {
    // As it says.
  }
  try {
    return { key, signature: readAsGo(certificate).signature.name };
  } catch (error) {
    if (!(error instanceof GoRefusal)) throw error;
    return { key, signature: `not known: ${error.message}` };
  }
}
