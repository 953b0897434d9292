/**
 * HTTPS with limits and with failures that tell their kind. Shared by everything here that speaks to a registry and
 * by the login to the Supervisor.
 */
import { X509Certificate } from "node:crypto";
import * as https from "node:https";
import type { IncomingHttpHeaders } from "node:http";
import { isIP } from "node:net";
import * as tls from "node:tls";
import { printable } from "./text";

/** What one exchange may cost. */
export interface Limits {
  /** For the whole of it, from the name's resolution to the last byte. */
  readonly seconds: number;
  /** Of the answer's body. */
  readonly bytes: number;
}

export interface Endpoint {
  /** A name or an address, without brackets. */
  readonly hostname: string;
  readonly port: number;
}

/**
 * - `unreachable`: no connection: name, route, refusal, reset.
 * - `slow`: the time limit ran out.
 * - `certificate`: the server's certificate does not verify, or is for another host.
 * - `not-tls`: something answers that does not speak TLS, or no version or cipher in common.
 * - `oversized`: the body is longer than the limit.
 * - `protocol`: TLS, but not HTTP.
 */
export type ConnectionFailureKind =
  "unreachable" | "slow" | "certificate" | "not-tls" | "oversized" | "protocol";

/** An exchange that did not end in an HTTP answer. The message is fit for the `seen` of a problem. */
export class ConnectionFailure extends Error {
  constructor(
    readonly kind: ConnectionFailureKind,
    message: string,
  ) {
    super(message);
    this.name = "ConnectionFailure";
  }
}

/** Whom a connection believes: these certificates and no others, Node's own roots, or (for content that is checked otherwise) anyone. */
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

/** What a server shows in the TLS handshake. */
export interface ServedTls {
  /** The served certificates, the server's own first. */
  readonly chain: readonly X509Certificate[];
  /** Why the chain does not verify with the given trust for this host; `undefined` when it does. */
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
  // node-fetch puts the URL and the failure's own message into one.
  return known ?? printable(error.message.replace(/^request to .* failed, reason: /, ""));
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

/** Tells the kind of a failure from the error of Node's `net`, `tls`, `dns` or `http`. */
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
 * Go's rule, and so containerd's and kubectl's: a certificate is for the names it lists as subject alternative names.
 * Node would still take the common name where there are none.
 */
function checkServerIdentity(hostname: string, certificate: tls.PeerCertificate): Error | undefined {
  if (certificate.subjectaltname !== undefined) {
    const error = tls.checkServerIdentity(hostname, certificate);
    if (!error) return undefined;
    return Object.assign(
      new Error(`its certificate is for ${printable(certificate.subjectaltname)} and not for ${hostname}`),
      { code: "ERR_TLS_CERT_ALTNAME_INVALID" },
    );
  }
  return Object.assign(
    new Error(
      "its certificate lists no subject alternative name, without which containerd and kubectl refuse it",
    ),
    { code: "ERR_TLS_CERT_ALTNAME_INVALID" },
  );
}

function tlsOptions({ hostname, port }: Endpoint, trust: Trust): tls.ConnectionOptions {
  return {
    host: hostname,
    port,
    servername: isIP(hostname) ? "" : hostname, // SNI takes no addresses; the identity check then uses `host`
    checkServerIdentity,
    // As in Go, a certificate that is trusted ends the chain, self-signed or not.
    allowPartialTrustChain: true,
    ...(trust === "unverified" ? { rejectUnauthorized: false } : { rejectUnauthorized: true }),
    ...(typeof trust === "object" ? { ca: [...trust.ca] } : {}),
  };
}

function slow(seconds: number): ConnectionFailure {
  return new ConnectionFailure("slow", `it does not answer within ${seconds} s`);
}

/**
 * Shakes hands, looks at what the server shows, and hangs up. Nothing is sent, so that looking at an unverified
 * server gives nothing away.
 *
 * @throws ConnectionFailure of the kinds `unreachable`, `slow` and `not-tls`.
 */
export async function inspectTls(endpoint: Endpoint, trust: Trust, seconds: number): Promise<ServedTls> {
  return await new Promise<ServedTls>((resolve, reject) => {
    const socket = tls.connect({ ...tlsOptions(endpoint, trust), rejectUnauthorized: false });
    const finish = (settle: () => void): void => {
      clearTimeout(timer);
      socket.destroy();
      settle();
    };
    const timer = setTimeout(() => finish(() => reject(slow(seconds))), seconds * 1000);
    socket.on("error", (error) => finish(() => reject(connectionFailure(error))));
    socket.on("close", () =>
      finish(() => reject(connectionFailure(Object.assign(new Error(), { code: "ECONNRESET" })))),
    );
    socket.on("secureConnect", () => {
      const served = { chain: servedChain(socket), rejection: rejectionOf(socket, endpoint.hostname) };
      finish(() => resolve(served));
    });
  });
}

function rejectionOf(socket: tls.TLSSocket, hostname: string): string | undefined {
  if (socket.authorized) return undefined;
  // Typed as an error; it is an error's code, or its message where there is none.
  const code = String(socket.authorizationError);
  return code === "ERR_TLS_CERT_ALTNAME_INVALID"
    ? checkServerIdentity(hostname, socket.getPeerCertificate())?.message
    : explainRejection(Object.assign(new Error(code), { code }));
}

function servedChain(socket: tls.TLSSocket): X509Certificate[] {
  const chain = new Map<string, X509Certificate>();
  // Node gives an empty object where there is no certificate, and a root that is its own issuer at the end.
  let certificate: Partial<tls.DetailedPeerCertificate> | undefined = socket.getPeerCertificate(true);
  while (certificate?.raw && !chain.has(certificate.fingerprint256!)) {
    chain.set(certificate.fingerprint256!, new X509Certificate(certificate.raw));
    certificate = certificate.issuerCertificate;
  }
  return [...chain.values()];
}

/**
 * One request on a connection of its own. Redirects are given back, not followed.
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
