import type { X509Certificate } from "node:crypto";
import { parseArgs } from "node:util";
import { fingerprintOf, isAuthority, isSelfSigned, issuerOf, subjectOf } from "../certificates/certificates";
import { GoRefusal, readAsGo } from "../certificates/go/goCertificate";
import { goRefusal } from "../certificates/go/goVerify";
import { httpsRequest } from "../net/https";
import {
  type Found,
  type Question,
  caLimits,
  downloadFromHarbor,
  obtainCa,
  servedChain,
} from "../registry/ca";
import { parseRegistryHost } from "../registry/host";
import { type Problem, UserError, describeProblem } from "../support/errors";
import { printable } from "../support/text";
import { withProgress } from "./progress";

const help = `Usage: npm run ca -- HOST[:PORT] [options]

Shows which certificates a registry serves, and which CA it offers for download where it is a Harbor; whether nodes would
take it with that CA, by the rules of Go, in which containerd is written; and the configuration to paste. Sends no
credentials, believes nothing that it sees, and changes nothing.

  --json             print what was found as JSON (npm run --silent ca -- ...)
  --timeout SECONDS  for each exchange with the registry (default ${caLimits.seconds})
  --help             this text

Exit code: 0; 1 where the registry is not reached, or gives no CA that nodes could use.
`;

/** A certificate, for people. */
interface ShownCertificate {
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

/** All that `npm run ca` has found; what `--json` prints. */
interface Shown {
  readonly registry: string;
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

interface Configuration {
  readonly host: string;
  readonly kind: "harbor" | "generic";
  readonly ca: { readonly from: "harbor" | "chain"; readonly sha256: string };
}

/** `npm run ca -- …`: see the text of `--help`. */
export async function showCa(args: readonly string[]): Promise<void> {
  const request = readArguments(args);
  if (!request) {
    process.stdout.write(help);
    return;
  }
  const { host, json, seconds } = request;
  const shown = await withProgress(
    look(host, seconds),
    () => `Asking ${host}, for at most ${seconds} s each time`,
  );
  if (json) process.stdout.write(`${JSON.stringify(shown, undefined, 2)}\n`);
  else process.stdout.write(describe(shown));
  if (!shown.configuration) process.exitCode = 1;
}

async function look(host: string, seconds: number): Promise<Shown> {
  const address = parseRegistryHost(host, { subject: "HOST" });
  const question: Question = { address, subject: address.host, limits: { ...caLimits, seconds } };
  const [served, offered, isHarbor] = await Promise.all([
    orProblems(servedChain(question)),
    orProblems(downloadFromHarbor(question)),
    speaksAsHarbor(question),
  ]);
  if (!("certificates" in served)) return { ...nothing, registry: address.host, problems: served };
  const chain = served.certificates;
  const getcert = "certificates" in offered ? offered : undefined;
  const kind = getcert || isHarbor ? "harbor" : "generic";
  const refusal = getcert && refusedWith(getcert.certificates.filter(isAuthority), chain, address.hostname);
  const { configuration, warnings, problems } = await choose(question, kind, chain, getcert);
  return {
    registry: address.host,
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
async function speaksAsHarbor({ address, limits }: Question): Promise<boolean> {
  try {
    const response = await httpsRequest(address, {
      method: "GET",
      path: "/v2/",
      trust: "unverified",
      limits,
    });
    return /service="harbor-registry"/.test(response.headers["www-authenticate"] ?? "");
  } catch {
    return false; // what is wrong with it, the other questions tell
  }
}

function refusedWith(
  trusted: readonly X509Certificate[],
  chain: readonly X509Certificate[],
  hostname: string,
): GoRefusal | undefined {
  return goRefusal(chain, { trusted, hostname, now: new Date() });
}

function refusedProblem(host: string, trusted: string, refusal: GoRefusal): Problem {
  return {
    code: "ca-does-not-verify",
    subject: host,
    seen: `with ${trusted} trusted, nodes would refuse it: ${refusal.message}`,
    remedy:
      refusal.kind === "authority"
        ? "Ask the registry's administrator for the CA that issued its certificate, and for that to be what Harbor offers"
        : "Have the registry's certificate renewed without that",
  };
}

type Choice = Pick<Shown, "configuration" | "warnings" | "problems">;

/**
 * The first certificate that the stack would take as it is, as {@link obtainCa} says: of what Harbor offers, else of the chain, from
 * its root on.
 */
async function choose(
  question: Question,
  kind: Configuration["kind"],
  chain: readonly X509Certificate[],
  getcert: Found | undefined,
): Promise<Choice> {
  const { address, subject, limits } = question;
  const candidates = [
    ...(getcert?.certificates ?? []).map((certificate) => ({ from: "harbor" as const, certificate })),
    ...[...chain].reverse().map((certificate) => ({ from: "chain" as const, certificate })),
  ].filter(({ certificate }) => isAuthority(certificate));
  const problems: Problem[] = [];
  for (const { from, certificate } of candidates) {
    const refusal = refusedWith([certificate], chain, address.hostname);
    if (refusal) {
      // Of what Harbor offers, it is told of all of it together.
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
    problems.push({
      code: "ca-not-served",
      subject: address.host,
      seen: `it does not serve the CA that issued its certificate, and offers none that did: ${issuerOf(leaf)}`,
      remedy: "Ask its administrator for that CA, and give it with `from: file` or `inline`",
    });
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

const day = 24 * 60 * 60 * 1000;

function lines(certificate: ShownCertificate): string[] {
  const { subject, role, issuer, names, notBefore, notAfter, sha256, key, signature } = certificate;
  const left = Math.floor((new Date(notAfter).getTime() - Date.now()) / day);
  return [
    `  ${subject}`,
    `    role         ${role}`,
    `    issuer       ${issuer}`,
    ...(role === "server" || role === "self-signed server"
      ? [`    for          ${names ?? "no host: it lists no subject alternative name"}`]
      : []),
    `    valid        ${notBefore} to ${notAfter} (${left < 0 ? "expired" : `${left} days left`})`,
    `    SHA-256      ${sha256}`,
    `    key          ${key}, signed with ${signature}`,
  ];
}

function describe({ registry, served, offered, problems, warnings, configuration }: Shown): string {
  return [
    ...(served.length > 0 ? [`${registry} serves:`, ...served.flatMap(lines), ""] : []),
    ...(offered
      ? [
          `It offers (${offered.source}):`,
          ...offered.certificates.flatMap(lines),
          "",
          offered.verifiesServed
            ? "The two agree: nodes that trust what is offered take what is served."
            : "The two do not agree: nodes that trust what is offered refuse what is served.",
          "",
        ]
      : served.length > 0
        ? ["It offers no CA for download (Harbor's getcert).", ""]
        : []),
    ...(problems.length > 0
      ? ["Problems:", ...problems.map((each) => `  - ${describeProblem(each)}`), ""]
      : []),
    ...(warnings.length > 0 ? ["Warnings:", ...warnings.map((each) => `  - ${each}`), ""] : []),
    ...(configuration ? configurationLines(configuration) : []),
    "",
  ]
    .join("\n")
    .replace(/\n+$/, "\n");
}

function configurationLines({ host, kind, ca }: Configuration): string[] {
  return [
    "To trust it, put this into the stack's settings (Pulumi.<stack>.yaml). Whoever is between you and the registry can show what they",
    "like, so first compare the fingerprint with the one that the registry's administrator tells you, by another way than this connection:",
    "",
    "  tkc-registry:registries:",
    `    - host: ${JSON.stringify(host)}`,
    `      kind: ${kind}`,
    "      ca:",
    `        from: ${ca.from}`,
    `        sha256: ${JSON.stringify(ca.sha256)}`,
  ];
}

const seeHelp = "See `npm run ca -- --help`";

function readArguments(
  args: readonly string[],
): { host: string; json: boolean; seconds: number } | undefined {
  const wrong = (subject: string, seen: string, remedy = seeHelp): UserError =>
    new UserError({ code: "bad-arguments", subject, seen, remedy });
  let parsed;
  try {
    const options = {
      json: { type: "boolean" },
      timeout: { type: "string" },
      help: { type: "boolean" },
    } as const;
    parsed = parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    const option = /'(--?[A-Za-z0-9-]+)/.exec((error as Error).message)?.[1] ?? "an option";
    throw wrong("arguments", `${option} is unknown, or lacks its value`);
  }
  const { values, positionals } = parsed;
  if (values.help) return undefined;
  const [host, ...others] = positionals;
  if (host === undefined)
    throw wrong("HOST", "it is missing", "Give the registry: `npm run ca -- HOST[:PORT]`");
  if (others.length > 0) throw wrong("HOST", `there are ${positionals.length} of them`, "Give one registry");
  const { timeout = String(caLimits.seconds) } = values;
  const seconds = /^\d{1,3}$/.test(timeout) ? Number(timeout) : 0;
  if (seconds < 1 || seconds > 300)
    throw wrong("--timeout", `"${printable(timeout, 40)}" is not a whole number of seconds from 1 to 300`);
  return { host, json: values.json === true, seconds };
}
