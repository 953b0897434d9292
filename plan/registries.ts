/** The registries' CAs and credentials, checked before any node is changed. */
import { settingSubject } from "../config/names";
import type { RegistrySettings, Settings } from "../config/settings";
import type { CaCertificate } from "../certificates/certificates";
import { certificateLimit } from "../nodes/protocol/report";
import type { TrustedCertificate } from "../nodes/protocol/spec";
import { isFromRegistry, obtainCa } from "../registry/ca";
import { credentialFor, defaultDockerConfig, dockerConfigJson } from "../registry/dockerConfig";
import { manifestReference, parseImageReference } from "../registry/host";
import { checkPull } from "../registry/pullCheck";
import { robotStatus } from "../registry/robots";
import type { RegistryCredential, TrustedCa } from "../registry/types";
import type { PreviousState } from "../state/previousState";
import { allChecks } from "../support/errors";
import { planProblem } from "./problems";

/** A registry's CA and credential, and what was found out with them. */
export interface Registry {
  readonly settings: RegistrySettings;
  readonly ca: TrustedCa;
  readonly credential: RegistryCredential | undefined;
  /** The digest of the Deployment's image, where that is this registry's and was seen there. */
  readonly digest: string | undefined;
  /** What that image is for, where it is an index of several. */
  readonly platforms?: readonly string[] | undefined;
  /** When the robot account of the credential ends, where Harbor says so. */
  readonly expires: Date | undefined;
  readonly warnings: readonly string[];
}

const imageSubject = settingSubject("deployment.image");

/** The certificates that earlier runs trusted for a registry, for trust on first use. */
async function knownOf(
  { host, ca }: RegistrySettings,
  previousState: () => Promise<PreviousState>,
): Promise<readonly string[]> {
  return isFromRegistry(ca) && ca.sha256 === undefined
    ? ((await previousState()).trusted.get(host) ?? [])
    : [];
}

async function prepareRegistry(
  settings: RegistrySettings,
  index: number,
  all: Settings,
  previousState: () => Promise<PreviousState>,
): Promise<Registry> {
  const subject = settingSubject(`registries[${index}]`);
  const image = parseImageReference(all.deployment.image, { subject: imageSubject });
  const pulled = all.deployment.enabled && image.host === settings.host;
  const credential = async (): Promise<RegistryCredential | undefined> => {
    const { credentials, host } = settings;
    switch (credentials.from) {
      case "none":
        return undefined;
      case "password":
        return { username: credentials.username, password: all.passwords[host]! };
      case "dockerConfig":
        return await credentialFor(
          host,
          credentials.path === undefined
            ? { path: defaultDockerConfig(), implied: true }
            : { path: credentials.path },
          { subject: `${subject}.credentials`, repository: pulled ? image.repository : undefined },
        );
    }
  };
  const [ca, given] = await allChecks([
    knownOf(settings, previousState).then((known) =>
      obtainCa(settings.host, settings.ca, { subject: `${subject}.ca`, known }),
    ),
    credential(),
  ]);
  const warnings = ca.warnings.map((warning) => `${settings.host}: ${warning}`);
  let digest: string | undefined;
  let platforms: readonly string[] | undefined;
  let expires: Date | undefined;
  if (pulled || given) {
    const registry = { host: settings.host, ca: ca.certificates.map(({ pem }) => pem) };
    const found = await checkPull({
      ...registry,
      credential: given,
      ...(pulled ? { image: { repository: image.repository, reference: manifestReference(image) } } : {}),
      kind: settings.kind,
      subject: { image: imageSubject, credential: `${subject}.credentials` },
    });
    ({ digest, platforms } = found);
    if (found.warning !== undefined) warnings.push(`${settings.host}: ${found.warning}`);
    else if (given && settings.kind === "harbor") {
      const robot = await robotStatus({ ...registry, credential: given, subject: `${subject}.credentials` });
      if (robot.warning !== undefined) warnings.push(`${settings.host}: ${robot.warning}`);
      expires = robot.expires;
    }
  }
  return { settings, ca, credential: given, digest, platforms, expires, warnings };
}

/** Reads each registry's CA and credential, and tries them if the registry can be reached. */
export function prepareRegistries(
  settings: Settings,
  previousState: () => Promise<PreviousState>,
): Promise<readonly Registry[]> {
  return allChecks(
    settings.registries.map((registry, index) => prepareRegistry(registry, index, settings, previousState)),
  );
}

/**
 * What each node is to trust.
 *
 * @throws UserError `too-many-certificates`
 */
export function trustedCertificates(registries: readonly Registry[]): readonly TrustedCertificate[] {
  const certificates = registries.flatMap(({ ca: { registry, certificates } }) =>
    certificates.map(({ sha256 }) => ({ registry, sha256 })),
  );
  if (certificates.length <= certificateLimit) return certificates;
  throw planProblem.error(
    "too-many-certificates",
    { subject: settingSubject("registries"), seen: `their CAs are ${certificates.length} certificates` },
    certificateLimit,
  );
}

/** The certificates themselves, by SHA-256: where node commands look them up. */
export function certificatesBySha256(registries: readonly Registry[]): ReadonlyMap<string, CaCertificate> {
  return new Map(
    registries.flatMap(({ ca }) =>
      ca.certificates.map((certificate) => [certificate.sha256, certificate] as const),
    ),
  );
}

/** Docker's config with the login of each registry that wants one. */
export function dockerConfigOf(registries: readonly Registry[]): string {
  return dockerConfigJson(
    registries.flatMap(({ settings: { host }, credential }) => (credential ? [{ host, credential }] : [])),
  );
}

/** When each registry's robot account expires, for the log. */
export function registryFacts(registries: readonly Registry[]): readonly string[] {
  return registries.flatMap(({ settings: { host }, expires }) =>
    expires ? [`${host}: the robot account expires at ${expires.toISOString()}`] : [],
  );
}
