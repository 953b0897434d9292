import * as tls from "node:tls";
import { UserError } from "../errors";
import type { ProblemCode } from "../problems";
import { parseRegistryHost, type RegistryAddress } from "./host";
import { ConnectionFailure, httpsRequest, type HttpResponse, type Limits, type Trust } from "./https";
import { printable } from "./text";
import type { RegistryCredential, RegistryHost } from "./types";

/** What is asked of the registry: could a node log in, and pull this image? */
export interface PullCheck {
  readonly host: RegistryHost;
  /** PEM of the CAs that nodes will trust for it; none for a registry with a public certificate. */
  readonly ca: readonly string[];
  /** None for a registry that serves anyone. */
  readonly credential?: RegistryCredential | undefined;
  /** The image; without it, only the login is tried. */
  readonly image?: {
    /** `ns1/nginx` */
    readonly repository: string;
    /** A tag or a digest. */
    readonly reference: string;
  };
  /** The settings at fault when it is not so: of the image, and of the credential. */
  readonly subject: { readonly image: string; readonly credential: string };
  readonly limits?: Limits;
}

export interface PullCheckResult {
  /** The manifest's digest, where the registry says it. */
  readonly digest?: string;
  /** Why nothing could be found out from here. Nodes may reach what this machine does not. */
  readonly warning?: string;
}

const defaultLimits: Limits = { seconds: 15, bytes: 256 * 1024 };

const manifestTypes = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.docker.distribution.manifest.v2+json",
].join(", ");

/** Ends the check without a verdict. */
class Undecided extends Error {}

/**
 * Asks the registry for the image's manifest as a node's containerd does: `/v2/`, the challenge, the token where one is
 * wanted, then `HEAD` of the manifest (OCI Distribution 1.1, Docker Registry token authentication).
 *
 * Where the challenge sends us to a token service, the credential goes there only by HTTPS and only if its host is the
 * registry's own (any port). A registry that is taken over could otherwise name a host of its choice. Registries with a
 * token service elsewhere are legitimate, and nodes will use it: the check then ends with a warning.
 *
 * @throws UserError: `registry-certificate`, `registry-login-failed`, `registry-forbidden`, `image-not-found`,
 * `registry-not-a-registry`, `registry-failing`. No message holds a password or a token.
 */
export async function checkPull(check: PullCheck): Promise<PullCheckResult> {
  const session = new Session(check);
  try {
    const authorization = await session.authorization();
    return check.image ? await session.manifest(authorization, check.image) : {};
  } catch (error) {
    if (error instanceof Undecided) return { warning: error.message };
    throw error;
  }
}

interface Challenge {
  readonly scheme: "basic" | "bearer";
  readonly parameters: Readonly<Record<string, string>>;
}

/** Reads `WWW-Authenticate`, in which several challenges may follow one another (RFC 9110, 11.6.1). */
export function parseChallenges(header: string): Challenge[] {
  const challenges: { scheme: string; parameters: Record<string, string> }[] = [];
  const token = /([A-Za-z0-9_-]{1,64})(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+)))?/g;
  for (const [, name = "", quoted, bare] of header.slice(0, 8192).matchAll(token)) {
    const value = quoted?.replace(/\\(.)/g, "$1") ?? bare;
    if (value === undefined) challenges.push({ scheme: name.toLowerCase(), parameters: {} });
    else Object.assign(challenges.at(-1)?.parameters ?? {}, { [name.toLowerCase()]: value });
  }
  return challenges.filter((challenge): challenge is Challenge =>
    ["basic", "bearer"].includes(challenge.scheme),
  );
}

class Session {
  private readonly address: RegistryAddress;
  private readonly trust: Trust;
  private readonly limits: Limits;

  constructor(private readonly check: PullCheck) {
    this.address = parseRegistryHost(check.host, { subject: check.subject.image });
    this.trust = check.ca.length > 0 ? { ca: check.ca } : "public-roots";
    this.limits = check.limits ?? defaultLimits;
  }

  /** The `Authorization` to ask for the manifest with; none where the registry serves anyone. */
  async authorization(): Promise<string | undefined> {
    const response = await this.ask("GET", "/v2/");
    if (response.status === 200) return undefined;
    if (response.status !== 401) throw this.unexpected(response, "/v2/");
    const challenges = parseChallenges(response.headers["www-authenticate"] ?? "");
    const bearer = challenges.find(({ scheme }) => scheme === "bearer");
    if (bearer) return await this.token(bearer);
    if (challenges.length === 0) throw this.unexpected(response, "/v2/");
    const basic = this.basic();
    if (basic === undefined) throw this.loginFailed("it wants a login, and no credential is given");
    const second = await this.ask("GET", "/v2/", { authorization: basic });
    if (second.status === 401 || second.status === 403)
      throw this.loginFailed(`it answers ${second.status} to the login`);
    if (second.status !== 200) throw this.unexpected(second, "/v2/");
    return basic;
  }

  async manifest(
    authorization: string | undefined,
    { repository, reference }: NonNullable<PullCheck["image"]>,
  ): Promise<PullCheckResult> {
    const { host } = this.check;
    const path = `/v2/${repository}/manifests/${reference}`;
    const image = `${host}/${repository}${reference.includes(":") ? "@" : ":"}${reference}`;
    const response = await this.ask("HEAD", path, {
      accept: manifestTypes,
      ...(authorization === undefined ? {} : { authorization }),
    });
    if (response.status === 404) {
      throw this.problem(
        "image-not-found",
        this.check.subject.image,
        `the registry has no ${image}, or does not show it to this user`,
        "Push the image, or correct its name or tag; for Harbor, make the user a member of the project",
      );
    }
    if (response.status === 401 || response.status === 403) {
      throw this.problem(
        "registry-forbidden",
        this.check.subject.credential,
        this.check.credential
          ? `the user may not pull ${image} (${response.status})`
          : `${image} is not for everyone, and no credential is given (${response.status})`,
        "Give the user the right to pull from the repository, or give another user's credential",
      );
    }
    if (response.status !== 200) throw this.unexpected(response, path);
    const digest = response.headers["docker-content-digest"];
    return typeof digest === "string" && /^[a-z0-9]+:[0-9a-f]{32,128}$/.test(digest) ? { digest } : {};
  }

  private async token({ parameters }: Challenge): Promise<string> {
    const realm = this.tokenService(parameters.realm ?? "");
    const query = new URLSearchParams(realm.search);
    if (parameters.service !== undefined) query.set("service", parameters.service);
    if (this.check.image) query.set("scope", `repository:${this.check.image.repository}:pull`);
    const endpoint = { hostname: this.address.hostname, port: realm.port === "" ? 443 : Number(realm.port) };
    // The service may well have a public certificate while the registry has a private one; nodes trust both.
    const trust: Trust =
      typeof this.trust === "object" ? { ca: [...this.trust.ca, ...tls.rootCertificates] } : this.trust;
    const { credential } = this.check;
    const limits = this.limits;
    const response = await this.connected(
      credential && "identityToken" in credential
        ? httpsRequest(endpoint, {
            method: "POST",
            path: realm.pathname,
            headers: { "content-type": "application/x-www-form-urlencoded" },
            body: new URLSearchParams([
              ...query,
              ["grant_type", "refresh_token"],
              ["refresh_token", credential.identityToken],
              ["client_id", "tkc-registry"],
            ]).toString(),
            trust,
            limits,
          })
        : httpsRequest(endpoint, {
            method: "GET",
            path: `${realm.pathname}?${query.toString()}`,
            headers: credential ? { authorization: this.basic()! } : {},
            trust,
            limits,
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
    const undecided = (why: string): Undecided =>
      new Undecided(
        `${this.check.subject.image}: not checked at ${this.check.host}, ${why} "${printable(realm, 150)}"; the credential was not sent there`,
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
    // It becomes a header: nothing but the characters of RFC 6750 may be in it.
    if (typeof value === "string" && /^[A-Za-z0-9._~+/-]+=*$/.test(value)) return value;
    throw this.problem(
      "registry-not-a-registry",
      this.check.subject.image,
      `the token service of ${this.check.host} answers without a token`,
      "Check that the host and port are the registry's",
    );
  }

  private basic(): string | undefined {
    const { credential } = this.check;
    if (!credential) return undefined;
    const secret = "password" in credential ? credential.password : credential.identityToken;
    return `Basic ${Buffer.from(`${credential.username}:${secret}`).toString("base64")}`;
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
        throw this.problem(
          "registry-certificate",
          this.check.subject.image,
          `nodes would refuse ${host}: ${error.message}`,
          this.check.ca.length > 0 ? "Give the CA that issued its certificate" : "Give the registry's CA",
        );
      }
      throw this.problem(
        "registry-not-a-registry",
        this.check.subject.image,
        `${host}: ${error.message}`,
        "Check that the host and port are the registry's",
      );
    }
  }

  private loginFailed(seen: string): UserError {
    const { username } = this.check.credential ?? {};
    return this.problem(
      "registry-login-failed",
      this.check.subject.credential,
      `${this.check.host} does not accept ${username === undefined ? "a pull" : `the user "${printable(username, 100)}"`}: ${seen}`,
      this.check.credential
        ? "Correct the username and password (a robot account's name starts with `robot$`, and it expires)"
        : "Give the registry's credential",
    );
  }

  private unexpected(response: HttpResponse, path: string): UserError {
    const { status } = response;
    const subject = this.check.subject.image;
    if (status >= 500 || status === 429) {
      return this.problem(
        "registry-failing",
        subject,
        `${this.check.host} answers ${status} to ${path}`,
        "Try again when the registry is well",
      );
    }
    return this.problem(
      "registry-not-a-registry",
      subject,
      `${this.check.host} answers ${status} to ${path}, as no registry does`,
      "Check that the host and port are the registry's",
    );
  }

  private problem(code: ProblemCode, subject: string, seen: string, remedy: string): UserError {
    return new UserError({ code, subject, seen, remedy });
  }
}
