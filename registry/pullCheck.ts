/**
 * Whether a registry gives an image to these credentials, asked as containerd asks it.
 * It never downloads a layer.
 */
import { createHash } from "node:crypto";
import * as tls from "node:tls";
import {
  basicCredential,
  ConnectionFailure,
  httpsRequest,
  originOf,
  type HttpResponse,
  type Limits,
  type Trust,
} from "../net/https";
import { UserError } from "../support/errors";
import { rememberSecret } from "../support/secrets";
import { printable } from "../support/text";
import { tokenExpiry } from "../support/token";
import {
  type Challenge,
  challengeOf,
  digestOf,
  isManifest,
  passes,
  platformsOf,
  policyStatuses,
  proxyStatuses,
  saidOf,
} from "./answers";
import { parseRegistryHost, type RegistryAddress } from "./host";
import { registryProblem } from "./problems";
import { expiryProblem } from "./robots";
import type { RegistryCredential, RegistryHost } from "./types";

/** A check whether a node could log in to the registry, and pull the image. */
export interface PullCheck {
  readonly host: RegistryHost;
  /** PEM of the CAs that nodes will trust for it; none for a registry with a public certificate. */
  readonly ca: readonly string[];
  /** Whether the registry is Harbor, whose token service is its own. */
  readonly kind?: "harbor" | "generic";
  /** None for a registry that serves anyone. */
  readonly credential?: RegistryCredential | undefined;
  /** The image; without it, only the login is tried. */
  readonly image?: {
    /** `ns1/nginx` */
    readonly repository: string;
    /** A tag or a digest. */
    readonly reference: string;
  };
  /** The settings to name in problems: of the image, and of the credential. */
  readonly subject: { readonly image: string; readonly credential: string };
  readonly limits?: Limits;
}

export interface PullCheckResult {
  /** The manifest's digest: as the registry says it, else of what it serves. None where no image was asked for. */
  readonly digest?: string;
  /** What the image is for, `linux/amd64`, where it is an index of images for several platforms. */
  readonly platforms?: readonly string[];
  /** Why the check came to no result. Nodes may reach what this machine does not. */
  readonly warning?: string;
}

/** Of bytes, what a registry should take for a manifest at the least (OCI Distribution 1.1), and so what one will serve. */
const defaultLimits: Limits = { seconds: 15, bytes: 4 * 1024 * 1024 };

const manifestTypes = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.docker.distribution.manifest.v2+json",
].join(", ");

/** Ends the check without a verdict. */
class Undecided extends Error {}

/**
 * Tries the login by `/v2/`, as `docker login` does, then asks for the image's manifest as a node's containerd does: by
 * `HEAD`, and again with what the registry challenges for (OCI Distribution 1.1, Docker Registry token authentication);
 * by `GET` where it does not do `HEAD` or gives no digest.
 *
 * The login is tried separately, since Harbor gives a token with public rights also for a wrong password
 * (`src/core/service/token/creator.go`). Where `/v2/` is open to everyone, the credential is tried where the image is not.
 *
 * Where the challenge sends us to a token service, the credential goes there only by HTTPS and only if its host is the
 * registry's own (any port). A registry that is taken over could otherwise name a host of its choice. Registries with a
 * token service elsewhere, or that redirect, are legitimate, and nodes will follow: the check then ends with a warning.
 *
 * @throws UserError: `ca-does-not-verify`, `registry-login-failed`, `robot-expired`, `registry-forbidden`,
 * `image-not-found`, `registry-refused`, `registry-not-a-registry`, `registry-failing`. No message holds a password or a token.
 */
export async function checkPull(check: PullCheck): Promise<PullCheckResult> {
  const client = new RegistryClient(check);
  try {
    await client.login();
    return check.image ? await client.manifest(check.image) : {};
  } catch (error) {
    if (!(error instanceof Undecided)) throw error;
    const expired = client.expired();
    if (expired) throw expired;
    return { warning: error.message };
  }
}

class RegistryClient {
  private readonly address: RegistryAddress;
  private readonly trust: Trust;
  private readonly limits: Limits;
  /** Whether the registry is known to take the credential. */
  private accepted = false;

  constructor(private readonly check: PullCheck) {
    this.address = parseRegistryHost(check.host, { subject: check.subject.image });
    this.trust = check.ca.length > 0 ? { ca: check.ca } : "public-roots";
    this.limits = check.limits ?? defaultLimits;
  }

  /** Tries the credential where the registry asks everyone for one. */
  async login(): Promise<void> {
    const response = await this.ask("GET", "/v2/");
    if (response.status === 200) return;
    if (response.status !== 401) throw this.unexpected(response, "/v2/");
    const challenge = challengeOf(response);
    if (!challenge) throw this.unexpected(response, "/v2/");
    if (challenge.scheme === "bearer") {
      await this.tryToken(challenge);
      return;
    }
    const second = await this.ask("GET", "/v2/", { authorization: this.basic() });
    if (second.status === 401 || second.status === 403)
      throw this.loginFailed(`it answers ${second.status} to the login`);
    if (second.status !== 200) throw this.unexpected(second, "/v2/");
    this.accepted = true;
  }

  /** The digest of the image's manifest. */
  async manifest({
    repository,
    reference,
  }: NonNullable<PullCheck["image"]>): Promise<Pick<PullCheckResult, "digest" | "platforms">> {
    const path = `/v2/${repository}/manifests/${reference}`;
    const image = `${this.check.host}/${repository}${reference.includes(":") ? "@" : ":"}${reference}`;
    const headers: Record<string, string> = { accept: manifestTypes };
    let response = await this.ask("HEAD", path, headers);
    if (response.status === 401) {
      const challenge = challengeOf(response);
      if (!challenge) throw this.unexpected(response, path);
      if (challenge.scheme === "bearer") await this.tryToken(challenge);
      headers.authorization =
        challenge.scheme === "bearer" ? await this.token(challenge, repository) : this.basic();
      response = await this.ask("HEAD", path, headers);
    }
    const said = digestOf(response);
    const index = /index|list/.test(response.headers["content-type"] ?? "");
    if (said !== undefined && !index) return { digest: said };
    // Also for a refusal: an answer to HEAD has no body that could say why.
    if (response.status === 200 || (response.status >= 400 && response.status !== 404))
      response = await this.ask("GET", path, headers);
    if (response.status !== 200) throw this.refusedManifest(response, path, image);
    if (!isManifest(response.body))
      throw this.noRegistry(`${this.check.host} answers ${path} without a manifest`);
    const digest =
      said ?? digestOf(response) ?? `sha256:${createHash("sha256").update(response.body).digest("hex")}`;
    const platforms = platformsOf(response.body);
    return { digest, ...(platforms ? { platforms } : {}) };
  }

  private refusedManifest(response: HttpResponse, path: string, image: string): Error {
    const { status } = response;
    if (status === 404) {
      const seen = `the registry has no ${image}, or does not show it to this user`;
      return registryProblem.error("image-not-found", { subject: this.check.subject.image, seen });
    }
    if (status === 401 && this.check.credential && !this.accepted) {
      return this.loginFailed(`it answers 401 to the login for ${image}`);
    }
    const said = saidOf(response);
    const answer = said === undefined ? String(status) : `${status} ${said}`;
    if (status === 401 || status === 403) {
      const seen = this.check.credential
        ? `the user may not pull ${image} (${answer})`
        : `${image} is not for everyone, and no credential is given (${answer})`;
      return registryProblem.error("registry-forbidden", { subject: this.check.subject.credential, seen });
    }
    if (status >= 300 && status < 400) {
      return new Undecided(
        `${this.check.subject.image}: not checked at ${this.check.host}, which redirects to ${originOf(response.headers.location)}`,
      );
    }
    if (policyStatuses.includes(status)) {
      const what = {
        subject: this.check.subject.image,
        seen: `${this.check.host} refuses ${image} (${answer})`,
      };
      return registryProblem.error("registry-refused", what, "policy");
    }
    return this.unexpected(response, path);
  }

  /** Requests a token without a scope, so that only the credential can be at fault. */
  private async tryToken(challenge: Challenge): Promise<void> {
    if (!this.check.credential || this.accepted) return;
    await this.token(challenge);
    this.accepted = true;
  }

  /** The `Authorization` of the challenge's token service: to pull from a repository, or for nothing. */
  private async token({ parameters }: Challenge, repository?: string): Promise<string> {
    const realm = this.tokenService(parameters.realm ?? "");
    const query = new URLSearchParams(realm.search);
    if (parameters.service !== undefined) query.set("service", parameters.service);
    if (repository !== undefined) {
      // The registry may ask for further scopes, as a proxy cache does.
      const wanted = (parameters.scope ?? "").split(" ").filter((scope) => scope !== "");
      for (const scope of new Set([...wanted, `repository:${repository}:pull`])) query.append("scope", scope);
    }
    const endpoint = { hostname: this.address.hostname, port: realm.port === "" ? 443 : Number(realm.port) };
    // The service may well have a public certificate while the registry has a private one; nodes trust both.
    const trust: Trust =
      typeof this.trust === "object" ? { ca: [...this.trust.ca, ...tls.rootCertificates] } : this.trust;
    const response = await this.connected(
      httpsRequest(endpoint, {
        method: "GET",
        path: `${realm.pathname}?${query.toString()}`,
        headers: this.check.credential ? { authorization: this.basic() } : {},
        trust,
        limits: this.limits,
      }),
      realm.host,
    );
    if (response.status === 401 || response.status === 403) {
      throw this.loginFailed(`its token service answers ${response.status} to the login`);
    }
    if (response.status !== 200) throw this.unexpected(response, realm.pathname);
    return `Bearer ${this.readToken(response)}`;
  }

  private tokenService(realm: string): URL {
    const url = URL.canParse(realm) ? new URL(realm) : undefined;
    // Harbor names its own address there: nodes will follow it, and fail where it is an old or an inner one.
    const hint =
      this.check.kind === "harbor"
        ? ". For Harbor this mostly means that nodes cannot pull either: have its `external_url` (externalURL) corrected to this host"
        : "";
    const undecided = (why: string): Undecided =>
      new Undecided(
        `${this.check.subject.image}: not checked at ${this.check.host}, ${why} ${originOf(realm)}; the credential was not sent there${hint}`,
      );
    if (url?.protocol !== "https:") throw undecided("whose token service is not an HTTPS URL:");
    if (url.hostname.toLowerCase().replace(/^\[|\]$/g, "") !== this.address.hostname) {
      throw undecided("whose token service is another host:");
    }
    return url;
  }

  private readToken(response: HttpResponse): string {
    let answer: unknown;
    try {
      answer = JSON.parse(response.body.toString("utf8"));
    } catch {
      answer = undefined;
    }
    const { token, access_token: accessToken } = (answer ?? {}) as {
      token?: unknown;
      access_token?: unknown;
    };
    const value = token ?? accessToken;
    if (typeof value === "string") rememberSecret(value);
    // It becomes a header: nothing but the characters of RFC 6750 may be in it.
    if (typeof value === "string" && /^[A-Za-z0-9._~+/-]+=*$/.test(value)) return value;
    throw this.noRegistry(`the token service of ${this.check.host} answers without a token`);
  }

  private basic(): string {
    const { credential } = this.check;
    if (!credential) throw this.loginFailed("it wants a login, and no credential is given");
    return `Basic ${basicCredential(credential.username, credential.password)}`;
  }

  private async ask(
    method: "GET" | "HEAD",
    path: string,
    headers: Record<string, string> = {},
  ): Promise<HttpResponse> {
    const { trust, limits } = this;
    return await this.connected(
      httpsRequest(this.address, { method, path, headers, trust, limits }),
      this.check.host,
    );
  }

  private async connected(exchange: Promise<HttpResponse>, host: string): Promise<HttpResponse> {
    try {
      return await exchange;
    } catch (error) {
      if (!(error instanceof ConnectionFailure)) throw error;
      if (error.kind === "unreachable" || error.kind === "slow") {
        throw new Undecided(
          `${this.check.subject.image}: not checked at ${host}, which this machine does not reach: ${error.message}`,
        );
      }
      if (error.kind === "certificate") {
        const what = {
          subject: this.check.subject.image,
          seen: `nodes would refuse ${host}: ${error.message}`,
        };
        const remedy = this.check.ca.length > 0 ? "pull" : "pullWithoutCa";
        throw registryProblem.error("ca-does-not-verify", what, remedy);
      }
      throw this.noRegistry(`${host}: ${error.message}`);
    }
  }

  /** The problem if the credential itself says that it has expired. */
  expired(): UserError | undefined {
    const { credential, subject } = this.check;
    const expires = credential && tokenExpiry(credential.password);
    const problem = expires && expiryProblem(credential.username, expires, { subject: subject.credential });
    return problem && new UserError(problem);
  }

  private loginFailed(seen: string): UserError {
    const expired = this.expired();
    if (expired) return expired;
    const { username } = this.check.credential ?? {};
    const who = username === undefined ? "a pull" : `the user "${printable(username, 100)}"`;
    const what = {
      subject: this.check.subject.credential,
      seen: `${this.check.host} does not accept ${who}: ${seen}`,
    };
    return registryProblem.error("registry-login-failed", what, this.check.credential ? "given" : "none");
  }

  private unexpected(response: HttpResponse, path: string): UserError {
    const { status } = response;
    const said = saidOf(response);
    const what = {
      subject: this.check.subject.image,
      seen: `${this.check.host} answers ${status} to ${path}${said === undefined ? "" : ` (${said})`}`,
    };
    if (passes(status)) return registryProblem.error("registry-failing", what);
    if (proxyStatuses.includes(status)) return registryProblem.error("registry-refused", what, "proxy");
    if (said !== undefined) return registryProblem.error("registry-refused", what, "other");
    return this.noRegistry(`${what.seen}, as no registry does`);
  }

  private noRegistry(seen: string): UserError {
    return registryProblem.error("registry-not-a-registry", { subject: this.check.subject.image, seen });
  }
}
