/**
 * Registry hosts and image references: parsed as containerd parses them, and normalized.
 * It never resolves a name.
 */
import { isIPv4, isIPv6 } from "node:net";
import { domainToASCII } from "node:url";
import * as ipaddr from "ipaddr.js";
import { type RemedyOf, UserError } from "../support/errors";
import { registryProblem } from "./problems";
import { printable, withoutUser } from "../support/text";
import type { RegistryHost } from "./types";

/** A registry's host, taken apart. */
export interface RegistryAddress {
  /** As image names give it: `host`, `host:port`, `[ipv6]:port`. A port that was written stays, 443 too: the pull
   * secret's key and the image's host must be the same text. */
  readonly host: RegistryHost;
  /** Without port and brackets: what is resolved, and what the server's certificate must be for. */
  readonly hostname: string;
  /** 443 where none is written. */
  readonly port: number;
}

/** An image's name, taken apart by the rules of `github.com/distribution/reference`. */
export interface ImageReference {
  readonly host: RegistryHost;
  /** `ns1/nginx`; for Docker Hub with the `library/` that short names leave out. */
  readonly repository: string;
  readonly tag?: string;
  /** `sha256:…` */
  readonly digest?: string;
  /** The image is Docker Hub's, whether its name says so or, as `nginx` and `bitnami/nginx` do, leaves the host out. */
  readonly dockerHub: boolean;
}

const dnsLabel = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const pathComponent = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$/;
const tagShape = /^\w[\w.-]{0,127}$/;
const digestShape = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;
/** The names of Docker Hub. */
export const dockerHubHosts: readonly string[] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

type BadHost = RemedyOf<typeof registryProblem, "registry-host">;

function badHost(subject: string, text: string, seen: string, remedy: BadHost): UserError {
  const shown = printable(withoutUser(text), 100);
  return registryProblem.error("registry-host", { subject, seen: `"${shown}" ${seen}` }, ...remedy);
}

function parsePort(text: string): number | undefined {
  const port = /^[1-9]\d{0,4}$/.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 65535 ? port : undefined;
}

/**
 * Reads a registry's host: `harbor.example.com`, `harbor.example.com:8443`, `10.213.208.67`, `[fd00::1]:5000`.
 * The letters' case is dropped.
 *
 * @throws UserError (`registry-host`) for a scheme, a path, a user, and whatever Docker would not take for a host.
 */
export function parseRegistryHost(text: string, options: { subject: string }): RegistryAddress {
  const { subject } = options;
  const fail = (seen: string, ...remedy: BadHost): UserError => badHost(subject, text, seen, remedy);
  const host = text.trim().toLowerCase();
  if (host === "") throw fail("is empty", "shape");
  const url = /^([a-z][a-z0-9+.-]*):\/\/([^/]*)/.exec(host);
  if (url) {
    const seen = "has a scheme";
    if (url[1] === "http") throw fail(seen, "http");
    if (host.includes("@")) throw fail(seen, "userAndPath");
    throw fail(seen, "scheme", printable(url[2] ?? "", 100));
  }
  if (host.includes("@")) throw fail("has a user in it", "user");
  if (host.includes("/")) throw fail("has a path", "path", printable(host.slice(0, host.indexOf("/")), 100));

  if (host.startsWith("[") || isIPv6(host)) return parseIpv6(host, fail);

  const colon = host.indexOf(":");
  const hostname = colon < 0 ? host : host.slice(0, colon);
  const port = colon < 0 ? 443 : parsePort(host.slice(colon + 1));
  if (port === undefined) throw fail("has a bad port", "port");
  // A name whose last label is a number is an address to every resolver, and so a mistyped one.
  if (/(?:^|\.)\d+$/.test(hostname)) {
    if (!isIPv4(hostname)) throw fail("is not an IPv4 address", "ipv4");
    return { host, hostname, port };
  }
  // eslint-disable-next-line no-control-regex
  if (/[^\x00-\x7f]/.test(hostname)) {
    const ascii = domainToASCII(hostname);
    const seen = "has letters that image names do not take";
    throw ascii ? fail(seen, "spelling", ascii) : fail(seen, "ascii");
  }
  if (hostname.length > 253 || !hostname.split(".").every((label) => dnsLabel.test(label))) {
    throw fail("is not a host name", "shape");
  }
  if (!hostname.includes(".") && colon < 0 && hostname !== "localhost") {
    throw fail(
      "has neither a dot nor a port, so that image names with it mean a user of Docker Hub",
      "dockerHub",
      hostname,
    );
  }
  return { host, hostname, port };
}

function parseIpv6(host: string, fail: (seen: string, ...remedy: BadHost) => UserError): RegistryAddress {
  const parts = /^\[([^\]]*)\](?::(.*))?$/.exec(host);
  const address = parts ? parts[1]! : host;
  if (!isIPv6(address) || address.includes("%")) throw fail("is not an IPv6 address", "ipv6");
  // One address, one spelling: the image, the pull secret's key and containerd compare text.
  const canonical = ipaddr.IPv6.parse(address).toString();
  const portText = parts?.[2];
  const wanted = `[${canonical}]${portText === undefined ? "" : `:${portText}`}`;
  if (wanted !== host) throw fail("is not how image names give an IPv6 address", "spelling", wanted);
  const port = portText === undefined ? 443 : parsePort(portText);
  if (port === undefined) throw fail("has a bad port", "port");
  return { host, hostname: canonical, port };
}

/**
 * Reads a registry's host as image names have it.
 *
 * @throws UserError (`registry-host`), also for an IPv6 address without a port: kubelet takes its brackets for a pattern,
 * and finds no pull secret for it (`URLsMatch` in `pkg/credentialprovider/keyring.go`, Kubernetes 1.33).
 */
export function parseImageHost(text: string, options: { subject: string }): RegistryAddress {
  const address = parseRegistryHost(text, options);
  if (!address.host.endsWith("]")) return address;
  throw badHost(
    options.subject,
    text,
    "is an IPv6 address without a port, for which kubelet finds no pull secret",
    ["spelling", `${address.host}:443`],
  );
}

/** Whether the first part of an image's name is a registry, by Docker's rule. */
function namesHost(first: string): boolean {
  return first === "localhost" || /[.:[]/.test(first) || first !== first.toLowerCase();
}

/**
 * Reads an image's name: `host[:port]/repository[:tag][@digest]`, or a name of Docker Hub.
 *
 * @throws UserError (`image-reference`, `registry-host`).
 */
export function parseImageReference(text: string, options: { subject: string }): ImageReference {
  const { subject } = options;
  const fail = (seen: string, remedy: "scheme" | "digest" | "tag" | "repository"): UserError => {
    const shown = printable(withoutUser(text), 200);
    return registryProblem.error("image-reference", { subject, seen: `"${shown}" ${seen}` }, remedy);
  };
  const image = text.trim();
  const at = image.indexOf("@");
  const digest = at < 0 ? undefined : image.slice(at + 1);
  const named = at < 0 ? image : image.slice(0, at);
  if (/^[a-z]+:\/\//i.test(named)) throw fail("has a scheme", "scheme");
  if (digest !== undefined && !digestShape.test(digest)) {
    throw fail("has a bad digest", "digest");
  }
  const slash = named.indexOf("/");
  const first = slash < 0 ? "" : named.slice(0, slash);
  const withHost = slash >= 0 && namesHost(first);
  const rest = withHost ? named.slice(slash + 1) : named;
  const colon = rest.lastIndexOf(":");
  const hasTag = colon > rest.lastIndexOf("/");
  const tag = hasTag ? rest.slice(colon + 1) : undefined;
  if (tag !== undefined && !tagShape.test(tag)) {
    throw fail("has a bad tag", "tag");
  }
  const path = hasTag ? rest.slice(0, colon) : rest;
  if (path.length > 255 || !path.split("/").every((component) => pathComponent.test(component))) {
    throw fail(path === "" ? "names no repository" : "has a bad repository", "repository");
  }
  const host = withHost ? parseImageHost(first, options).host : "docker.io";
  const dockerHub = dockerHubHosts.includes(host);
  return {
    host: dockerHub ? "docker.io" : host,
    repository: dockerHub && !path.includes("/") ? `library/${path}` : path,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
    dockerHub,
  };
}

/**
 * An image's name with its host in the one spelling that pull secrets have too: kubelet compares text.
 *
 * @throws UserError as {@link parseImageReference}.
 */
export function canonicalImage(text: string, options: { subject: string }): string {
  parseImageReference(text, options);
  const image = text.trim();
  const slash = image.indexOf("/");
  const first = image.slice(0, Math.max(slash, 0));
  return namesHost(first) ? `${first.toLowerCase()}${image.slice(slash)}` : image;
}

/** What a manifest is asked for by: the digest, else the tag, else `latest`. */
export function manifestReference({ tag, digest }: Pick<ImageReference, "tag" | "digest">): string {
  return digest ?? tag ?? "latest";
}
