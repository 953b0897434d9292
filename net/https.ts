/**
 * HTTPS for registries and the login to the Supervisor, with limits, and with an error that says why a request failed.
 * It never follows a redirect, and never reads more than the caller allows.
 */
import { X509Certificate } from "node:crypto";
import * as https from "node:https";
import type { IncomingHttpHeaders } from "node:http";
import { isIP } from "node:net";
import * as tls from "node:tls";
import { GoRefusal } from "../certificates/go/goCertificate";
import { goHostRefusal, goRefusal } from "../certificates/go/goVerify";
import { rememberSecret } from "../support/secrets";
import { printable } from "../support/text";

/** Limits of one exchange. */
export interface Limits {
  /** From the resolution of the name to the last byte. */
  readonly seconds: number;
  /** Of the response's body. */
  readonly bytes: number;
}

export interface Endpoint {
  /** A name or an address, without brackets. */
  readonly hostname: string;
  readonly port: number;
}

/** Where a URL leads by HTTPS. */
export const endpointOf = ({ hostname, port }: URL): Endpoint => ({
  hostname: hostname.replace(/^\[|\]$/g, ""),
  port: Number(port || "443"),
});

/**
 * - `unreachable`: no connection, for reasons of name resolution, routing, refusal or reset.
 * - `slow`: the time limit was reached.
 * - `certificate`: the server's certificate does not verify, or is for another host.
 * - `not-tls`: the server does not speak TLS, or has no version or cipher suite in common with us.
 * - `oversized`: the body is longer than the limit.
 * - `protocol`: TLS, but not HTTP.
 */
export type ConnectionFailureKind =
  "unreachable" | "slow" | "certificate" | "not-tls" | "oversized" | "protocol";

/** A request that got no HTTP response. The message can be the `seen` of a problem. */
export class ConnectionFailure extends Error {
  constructor(
    readonly kind: ConnectionFailureKind,
    message: string,
  ) {
    super(message);
    this.name = "ConnectionFailure";
  }
}

/** What a connection trusts: these CAs, Node's own roots, or any server, if the content is checked later. */
export type Trust = { readonly ca: readonly string[] } | "public-roots" | "unverified";

export interface HttpRequest {
  readonly method: "GET" | "HEAD" | "POST";
  /** Path and query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly trust: Trust;
  readonly limits: Limits;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** A user and password as in basic authentication (RFC 7617) and docker's `auth`. */
export const basicCredential = (user: string, password: string): string =>
  rememberSecret(Buffer.from(`${user}:${rememberSecret(password)}`).toString("base64"));

/**
 * Where a redirect leads, for messages: its scheme and host. The rest of a `Location` may hold a credential.
 *
 * @param location - The header, or another URL that a server gives; relative ones are of the server itself.
 */
export function originOf(location: string | undefined): string {
  if (location === undefined || location === "") return "nowhere";
  if (!URL.canParse(location)) return location.startsWith("/") ? "another path of its own" : "what is no URL";
  const { protocol, host } = new URL(location);
  return printable(`${protocol}//${host}`, 150);
}

/** What a server sends in the TLS handshake. */
export interface ServedTls {
  /** The served certificates, the server's own first. */
  readonly chain: readonly X509Certificate[];
  /** Why Go (containerd, kubectl) refuses it with the given trust for this host; `undefined` if it accepts it. */
  readonly rejection: string | undefined;
}

const rejections: Record<string, string> = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "its certificate is signed by an authority that is not trusted",
  UNABLE_TO_GET_ISSUER_CERT: "its certificate is signed by an authority that is not trusted",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "its certificate is signed by an authority that is not trusted",
  SELF_SIGNED_CERT_IN_CHAIN: "its certificate is signed by an authority that is not trusted",
  DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is self-signed and not trusted",
  CERT_SIGNATURE_FAILURE: "its certificate is signed by another authority of the same name",
  CERT_HAS_EXPIRED: "a certificate of its chain has expired",
  CERT_NOT_YET_VALID: "a certificate of its chain is not valid yet",
};

const certificateCodes =
  /^(?:CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH|HOSTNAME_MISMATCH|ERR_TLS_CERT)/;

function explainRejection(error: NodeJS.ErrnoException): string {
  const known = error.code === undefined ? undefined : rejections[error.code];
  return known ?? printable(error.message);
}

const unreachable: Record<string, string> = {
  ECONNREFUSED: "the connection is refused",
  ENOTFOUND: "its name is not known to the resolver",
  EAI_AGAIN: "the resolver does not answer",
  ETIMEDOUT: "the connection is not answered",
  EHOSTUNREACH: "there is no route to it",
  ENETUNREACH: "there is no route to it",
  ECONNRESET: "the connection was cut",
  EPIPE: "the connection was cut",
};

/** Classifies an error of Node's `net`, `tls`, `dns` or `http`. */
export function connectionFailure(error: unknown): ConnectionFailure {
  if (error instanceof ConnectionFailure) return error;
  const { code = "", message } = error as NodeJS.ErrnoException;
  if (certificateCodes.test(code))
    return new ConnectionFailure("certificate", explainRejection(error as NodeJS.ErrnoException));
  if (code === "EPROTO" || code.startsWith("ERR_SSL")) {
    return new ConnectionFailure("not-tls", "it does not answer in TLS, or in none that is still safe");
  }
  if (code.startsWith("HPE_")) return new ConnectionFailure("protocol", "it does not answer in HTTP");
  return new ConnectionFailure("unreachable", unreachable[code] ?? printable(message || code));
}

/**
 * Node.js calls it after OpenSSL has verified the chain, before anything is sent. It applies Go's rules too, so that we
 * refuse each chain that containerd and kubectl refuse.
 */
function checkServerIdentity(trust: Trust) {
  return (hostname: string, certificate: tls.PeerCertificate): Error | undefined => {
    try {
      const refusal = refusalOf(chainOf(certificate), trust, hostname, new Date());
      return refusal && Object.assign(refusal, { code: "ERR_TLS_CERT_ALTNAME_INVALID" });
    } catch (error) {
      return error as Error; // thrown in a callback of the socket, it would end the process
    }
  };
}

/** Go's verdict. For public roots it covers only the host name, since OpenSSL has verified the chain. */
function refusalOf(
  chain: readonly X509Certificate[],
  trust: Trust,
  hostname: string,
  now: Date,
): GoRefusal | undefined {
  if (typeof trust === "object") {
    const trusted = trust.ca.map((pem) => new X509Certificate(pem));
    return goRefusal(chain, { trusted, hostname, now });
  }
  const [leaf] = chain;
  return leaf ? goHostRefusal(leaf, hostname) : new GoRefusal("tls", "it shows no certificate");
}

function tlsOptions({ hostname, port }: Endpoint, trust: Trust): tls.ConnectionOptions {
  return {
    host: hostname,
    port,
    servername: isIP(hostname) ? "" : hostname, // SNI takes no addresses; the identity check then uses `host`
    minVersion: "TLSv1.2", // as in Go
    checkServerIdentity: checkServerIdentity(trust),
    // As in Go, any trusted certificate ends the chain, even if it is not self-signed.
    allowPartialTrustChain: true,
    ...(trust === "unverified" ? { rejectUnauthorized: false } : { rejectUnauthorized: true }),
    ...(typeof trust === "object" ? { ca: [...trust.ca] } : {}),
  };
}

function slow(seconds: number): ConnectionFailure {
  return new ConnectionFailure("slow", `it does not answer within ${seconds} s`);
}

/**
 * Connects, reads the served chain, and disconnects. It sends no data, so an unverified server learns nothing.
 *
 * Of the served certificates Node.js gives one issuer for each. If a CA is cross-signed, only its first certificate is
 * seen.
 *
 * @param now - The time of the verification.
 * @throws ConnectionFailure of the kinds `unreachable`, `slow` and `not-tls`.
 */
export async function inspectTls(
  endpoint: Endpoint,
  trust: Trust,
  seconds: number,
  now = new Date(),
): Promise<ServedTls> {
  const socket = tls.connect({
    ...tlsOptions(endpoint, trust),
    // With a store, Node.js would append a certificate of the store to the served chain.
    ...(trust === "public-roots" ? {} : { ca: [] }),
    rejectUnauthorized: false,
  });
  try {
    await secured(socket, seconds);
    // Not in the socket's callback, where a defect would end the process.
    const chain = chainOf(socket.getPeerCertificate(true));
    return { chain, rejection: rejectionOf(socket, chain, { trust, hostname: endpoint.hostname, now }) };
  } finally {
    socket.destroy();
  }
}

/** Waits for the end of the handshake. */
async function secured(socket: tls.TLSSocket, seconds: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await new Promise<void>((resolve, reject) => {
    timer = setTimeout(() => reject(slow(seconds)), seconds * 1000);
    socket.on("error", (error) => reject(connectionFailure(error)));
    socket.on("close", () => reject(connectionFailure(Object.assign(new Error(), { code: "ECONNRESET" }))));
    socket.on("secureConnect", resolve);
  }).finally(() => clearTimeout(timer));
}

function rejectionOf(
  socket: tls.TLSSocket,
  chain: readonly X509Certificate[],
  { trust, hostname, now }: { trust: Trust; hostname: string; now: Date },
): string | undefined {
  const cipher = socket.getCipher().standardName;
  // Go's client has never offered DHE, and offers no RSA key exchange since 1.22.
  if (/^TLS_(?:RSA|DHE)_/.test(cipher))
    return `it has only cipher suites that Go refuses, such as ${cipher}: none with ECDHE`;
  if (trust === "public-roots" && !socket.authorized) {
    // The type says Error, but it is the error's code, or its message if it has no code.
    const code = String(socket.authorizationError);
    if (code !== "ERR_TLS_CERT_ALTNAME_INVALID")
      return explainRejection(Object.assign(new Error(code), { code }));
  }
  return refusalOf(chain, trust, hostname, now)?.message;
}

function chainOf(served: tls.PeerCertificate): X509Certificate[] {
  const chain = new Map<string, X509Certificate>();
  // Node.js gives an empty object if there is no certificate. A root at the end is its own issuer.
  let certificate: Partial<tls.DetailedPeerCertificate> | undefined = served;
  while (certificate?.raw && !chain.has(certificate.fingerprint256!)) {
    chain.set(certificate.fingerprint256!, new X509Certificate(certificate.raw));
    certificate = certificate.issuerCertificate;
  }
  return [...chain.values()];
}

/**
 * Sends one request on a new connection. Returns redirects, and does not follow them.
 *
 * @throws ConnectionFailure.
 */
export async function httpsRequest(endpoint: Endpoint, request: HttpRequest): Promise<HttpResponse> {
  const { method, path, headers = {}, body, trust, limits } = request;
  return await new Promise<HttpResponse>((resolve, reject) => {
    const sent = https.request({
      ...tlsOptions(endpoint, trust),
      agent: false,
      method,
      path,
      headers: {
        ...headers,
        ...(body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) }),
      },
    });
    const fail = (error: unknown): void => {
      clearTimeout(timer);
      sent.destroy();
      reject(connectionFailure(error));
    };
    const timer = setTimeout(() => fail(slow(limits.seconds)), limits.seconds * 1000);
    sent.on("error", fail);
    sent.on("response", (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on("error", fail);
      response.on("close", () => {
        if (!response.complete) fail(Object.assign(new Error(), { code: "ECONNRESET" }));
      });
      response.on("data", (chunk: Buffer) => {
        length += chunk.length;
        if (length > limits.bytes)
          fail(new ConnectionFailure("oversized", `its answer is longer than ${limits.bytes} bytes`));
        else chunks.push(chunk);
      });
      response.on("end", () => {
        clearTimeout(timer);
        sent.destroy();
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) });
      });
    });
    sent.end(body);
  });
}
