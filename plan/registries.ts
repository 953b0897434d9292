/** The registries' CAs and credentials, checked before any node is changed. */
import type { DeploymentSettings, RegistrySettings, TrustSettings } from "../config/settings";
import type { CaCertificate } from "../certificates/certificates";
import { certificateLimit } from "../nodes/protocol/report";
import type { TrustedCertificate } from "../nodes/protocol/spec";
import { isFromRegistry, obtainCa } from "../registry/ca";
import { credentialFor, defaultDockerConfig, dockerConfigJson } from "../registry/dockerConfig";
import { type ImageReference, manifestReference, parseImageReference } from "../registry/host";
import { checkPull } from "../registry/pullCheck";
import { robotStatus } from "../registry/robots";
import type { RegistryCredential, TrustedCa } from "../registry/types";
import type { PreviousState } from "../state/previousState";
import { allChecks } from "../support/errors";
import { planProblem } from "./problems";

/** A registry's CA and credential, and what was found out with them. */
export interface Registry {
  readonly settings: RegistrySettings;
  /** How messages name it. */
  readonly subject: string;
  readonly ca: TrustedCa;
  readonly credential: RegistryCredential | undefined;
  /** What was found of the Deployments' images that are this registry's. */
  readonly images: ReadonlyMap<DeploymentSettings, FoundImage>;
  /** When the robot account of the credential ends, where Harbor says so. */
  readonly expires: Date | undefined;
  readonly warnings: readonly string[];
}

/** An image, as its registry has it. */
export interface FoundImage {
  /** Left out where it could not be asked from here. */
  readonly digest?: string | undefined;
  /** What it is for, where it is an index of several. */
  readonly platforms?: readonly string[] | undefined;
}

/** The image of a Deployment. */
export const imageOf = ({ image, subject }: DeploymentSettings): ImageReference =>
  parseImageReference(image, { subject: subject("image") });

/** Tries to pull as the nodes will: the image of a Deployment, or nothing but the login. */
export async function tryPull(
  {
    settings: { host, kind },
    ca,
    credential,
    subject,
  }: Pick<Registry, "settings" | "ca" | "credential" | "subject">,
  deployment?: DeploymentSettings,
): Promise<FoundImage & { readonly warning?: string | undefined }> {
  const image = deployment && imageOf(deployment);
  return await checkPull({
    ...{ host, ca: ca.certificates.map(({ pem }) => pem), credential, kind },
    ...(image ? { image: { repository: image.repository, reference: manifestReference(image) } } : {}),
    subject: { image: deployment?.subject("image") ?? "", credential: `${subject}.credentials` },
  });
}

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
  all: TrustSettings,
  deployments: readonly DeploymentSettings[],
  previousState: () => Promise<PreviousState>,
): Promise<Registry> {
  const subject = all.subject(`registries[${index}]`);
  const pulled = deployments.filter((deployment) => imageOf(deployment).host === settings.host);
  const [first] = pulled;
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
          { subject: `${subject}.credentials`, repository: first && imageOf(first).repository },
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
  const registry = { settings, subject, ca, credential: given };
  const tried = await allChecks(
    (first || !given ? pulled : [undefined]).map((deployment) => tryPull(registry, deployment)),
  );
  const unseen = new Set(tried.flatMap(({ warning }) => warning ?? []));
  warnings.push(...[...unseen].map((warning) => `${settings.host}: ${warning}`));
  let expires: Date | undefined;
  if (given && settings.kind === "harbor" && unseen.size === 0) {
    const { host } = settings;
    const robot = await robotStatus({
      ...{ host, ca: ca.certificates.map(({ pem }) => pem), credential: given },
      subject: `${subject}.credentials`,
    });
    if (robot.warning !== undefined) warnings.push(`${host}: ${robot.warning}`);
    expires = robot.expires;
  }
  const images = new Map(pulled.map((deployment, at) => [deployment, tried[at]!]));
  return { ...registry, images, expires, warnings };
}

/** Reads each registry's CA and credential, and tries them if the registry can be reached. */
export function prepareRegistries(
  settings: TrustSettings,
  deployments: readonly DeploymentSettings[],
  previousState: () => Promise<PreviousState>,
): Promise<readonly Registry[]> {
  return allChecks(
    settings.registries.map((registry, index) =>
      prepareRegistry(registry, index, settings, deployments, previousState),
    ),
  );
}

/**
 * What each node is to trust.
 *
 * @throws UserError `too-many-certificates`
 */
export function trustedCertificates(
  registries: readonly Registry[],
  { subject }: TrustSettings,
): readonly TrustedCertificate[] {
  const certificates = registries.flatMap(({ ca: { registry, certificates } }) =>
    certificates.map(({ sha256 }) => ({ registry, sha256 })),
  );
  if (certificates.length <= certificateLimit) return certificates;
  throw planProblem.error(
    "too-many-certificates",
    { subject: subject("registries"), seen: `their CAs are ${certificates.length} certificates` },
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
