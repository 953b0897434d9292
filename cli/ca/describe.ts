/**
 * Writes for people what `npm run ca` found.
 * It never decides; whether nodes could use a CA is in what was found.
 */
import { describeProblem } from "../../support/errors";
import type { Configuration, Shown, ShownCertificate } from "./found";

const day = 24 * 60 * 60 * 1000;

export function certificateLines(certificate: ShownCertificate): string[] {
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

/** The certificates, the problems and warnings, and the configuration to paste. */
export function describe({ registry, served, offered, problems, warnings, configuration }: Shown): string {
  return [
    ...(served.length > 0 ? [`${registry} serves:`, ...served.flatMap(certificateLines), ""] : []),
    ...(offered
      ? [
          `It offers (${offered.source}):`,
          ...offered.certificates.flatMap(certificateLines),
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
    "      credentials:",
    `        from: dockerConfig # \`docker login ${host}\` before; else password (with username, and the secret passwords), or none`,
  ];
}
