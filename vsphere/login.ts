/**
 * The login of vSphere with Tanzu (`POST https://<supervisor>/wcp/login`), as `kubectl vsphere login` does it: a user
 * and a password for two tokens, of the Supervisor and of a workload cluster. It never stores the password or a token.
 */
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import { checkCertificates } from "../certificates/certificates";
import {
  ConnectionFailure,
  basicCredential,
  endpointOf,
  httpsRequest,
  inspectTls,
  type Endpoint,
  type HttpResponse,
  type Trust,
} from "../net/https";
import { type Problem, UserError } from "../support/errors";
import { kubernetesProblem } from "../kubernetes/problems";
import { vsphereProblem } from "./problems";
import { printable } from "../support/text";
import { tokenExpiry } from "../support/token";
import { readCertificates } from "../certificates/pem";
import { fingerprintOf, subjectOf } from "../certificates/identity";

/** Whom to believe: CAs as PEM, a certificate of the served chain by its SHA-256, or the public roots. */
export type SupervisorTrust =
  { readonly ca: readonly string[] } | { readonly sha256: string } | "public-roots";

export interface LoginRequest {
  readonly server: Endpoint;
  /** Of the Supervisor's Kubernetes API: 6443 on every real one. */
  readonly apiPort: number;
  readonly trust: SupervisorTrust;
  readonly user: string;
  readonly password: string;
  /** Supervisor namespace that holds the workload cluster. */
  readonly namespace: string;
  readonly cluster: string;
  /** How long to wait for a Supervisor or cluster that is not ready; 0 asks once. */
  readonly waitSeconds: number;
  /** Receives progress lines for people. */
  readonly report: (line: string) => void;
}

/** A Kubernetes API, and the token for it. */
export interface ApiLogin {
  /** Host, with the port where that is not 6443: the name of its kubeconfig entry. */
  readonly name: string;
  /** `https://host:6443` */
  readonly server: string;
  /** PEM; none where the certificate is public. */
  readonly ca: readonly string[];
  readonly token: string;
  /** When the token ends, where it says so. */
  readonly expires: Date | undefined;
}

export interface LoginResult {
  readonly supervisor: ApiLogin;
  readonly cluster: ApiLogin;
}

const defaultApiPort = 6443;
const limits = { seconds: 15, bytes: 256 * 1024 };
const pollSeconds = 5;

/**
 * Logs in. The password is sent only on a connection whose certificate has verified for this host: with a pinned
 * fingerprint, a first handshake that sends nothing finds the pinned certificate, and the connection for the login then
 * trusts that one alone.
 *
 * @throws UserError: `supervisor-fingerprint-mismatch`, `supervisor-certificate`, `supervisor-unreachable`,
 * `supervisor-not-ready`, `supervisor-answer`, `login-refused`, `cluster-not-found`, `cluster-not-ready`,
 * `cluster-certificate`.
 */
export async function login(request: LoginRequest): Promise<LoginResult> {
  const deadline = performance.now() + request.waitSeconds * 1000;
  const session = new LoginSession(request, deadline);
  const ca = await session.resolveTrust();
  const supervisor = await session.loginToSupervisor(ca);
  await session.waitReady(supervisor, "the Supervisor", "supervisor");
  const cluster = await session.loginToCluster(ca);
  await session.waitReady(cluster, `the workload cluster ${request.cluster}`, "cluster");
  return { supervisor, cluster };
}

/** It becomes an HTTP header and a YAML value: visible ASCII, as RFC 6750 has it. */
const tokenSchema = z.string().regex(/^[\x21-\x7e]{1,65536}$/);
/** Neither an address that there is not, nor a number that means another one to others. */
function isHost(text: string): boolean {
  if (!URL.canParse(`https://${text}`)) return false;
  return (
    text.startsWith("[") || new URL(`https://${text}`).hostname === text.replace(/:\d+$/, "").toLowerCase()
  );
}

const supervisorAnswerSchema = z.object({ session_id: tokenSchema });
const clusterAnswerSchema = z.object({
  session_id: tokenSchema,
  /** Host, or host:port. */
  guest_cluster_server: z
    .string()
    .regex(/^(?:[A-Za-z0-9][A-Za-z0-9.-]{0,252}|\[[0-9A-Fa-f:]{2,45}\])(?::\d{1,5})?$/)
    .refine(isHost),
  /** Base64 of PEM. */
  guest_cluster_ca: z.string().min(1),
});

/** A failure that waiting may mend. */
class NotYet extends Error {
  constructor(
    readonly code:
      "supervisor-unreachable" | "supervisor-not-ready" | "cluster-unreachable" | "cluster-not-ready",
    readonly seen: string,
  ) {
    super(seen);
  }
}

class LoginSession {
  private readonly subject: string;

  constructor(
    private readonly request: LoginRequest,
    private readonly deadline: number,
  ) {
    this.subject = `Supervisor ${request.server.hostname}`;
  }

  /**
   * The CAs to verify the Supervisor with; `undefined` for the public roots. A first handshake, which sends nothing, is
   * where a server that is not to be believed shows, with what it serves.
   */
  async resolveTrust(): Promise<readonly string[] | undefined> {
    const { trust, server } = this.request;
    const ca = typeof trust === "object" && "ca" in trust ? trust.ca : undefined;
    const pin = typeof trust === "object" && "sha256" in trust ? trust.sha256 : undefined;
    const { chain, rejection } = await this.persist(async () => {
      try {
        return await inspectTls(server, pin === undefined ? trustIn(ca) : { ca: [] }, limits.seconds);
      } catch (error) {
        throw this.asProblem(error, "supervisor", server);
      }
    });
    const served = chain
      .map((certificate) => `${fingerprintOf(certificate)} (${subjectOf(certificate)})`)
      .join(", ");
    if (pin !== undefined) {
      const pinned = chain.find((certificate) => fingerprintOf(certificate) === pin);
      if (pinned) return [pinned.toString()];
      const seen = `no certificate that it serves has the SHA-256 ${pin}; it serves ${served}`;
      throw vsphereProblem.error("supervisor-fingerprint-mismatch", this.about(seen));
    }
    if (rejection === undefined) return ca;
    throw this.notBelieved(`${server.hostname} port ${server.port}`, `${rejection}; it serves ${served}`);
  }

  async loginToSupervisor(ca: readonly string[] | undefined): Promise<ApiLogin> {
    const { server, apiPort } = this.request;
    const answer = await this.post({}, ca, supervisorAnswerSchema, "the Supervisor");
    const address = server.hostname.includes(":") ? `[${server.hostname}]` : server.hostname;
    return apiLogin(address, apiPort, ca ?? [], answer.session_id);
  }

  async loginToCluster(ca: readonly string[] | undefined): Promise<ApiLogin> {
    const { cluster, namespace } = this.request;
    const body = { guest_cluster_name: cluster, guest_cluster_namespace: namespace };
    const answer = await this.post(body, ca, clusterAnswerSchema, `the workload cluster ${cluster}`);
    const [, host = "", port] = /^(.*?)(?::(\d+))?$/.exec(answer.guest_cluster_server) ?? [];
    const subject = `workload cluster ${cluster}`;
    const certificates = readCertificates(Buffer.from(answer.guest_cluster_ca, "base64"), { subject });
    const pem = checkCertificates(certificates, { subject }).certificates.map(
      (certificate) => certificate.pem,
    );
    return apiLogin(host, port === undefined ? defaultApiPort : Number(port), pem, answer.session_id);
  }

  private async post<T>(
    body: Readonly<Record<string, string>>,
    ca: readonly string[] | undefined,
    schema: z.ZodType<T>,
    what: string,
  ): Promise<T> {
    const { server, user, password } = this.request;
    return await this.persist(async () => {
      let response: HttpResponse;
      try {
        response = await httpsRequest(server, {
          method: "POST",
          path: "/wcp/login",
          headers: {
            authorization: `Basic ${basicCredential(user, password)}`,
            "content-type": "application/json",
            accept: "application/json",
          },
          body: JSON.stringify(body),
          trust: trustIn(ca),
          limits,
        });
      } catch (error) {
        throw this.asProblem(error, "supervisor", server);
      }
      if (response.status !== 200) throw this.refusal(response, what, "guest_cluster_name" in body);
      let json: unknown;
      try {
        json = JSON.parse(response.body.toString("utf8"));
      } catch {
        json = undefined;
      }
      const parsed = schema.safeParse(json);
      if (parsed.success) return parsed.data;
      const wrong = parsed.error.issues.map(({ path }) => path.join(".") || "body").join(", ");
      const seen = `its answer to the login for ${what} is not a login's (${wrong})`;
      throw vsphereProblem.error("supervisor-answer", this.about(seen), "login");
    });
  }

  private refusal({ status, body }: HttpResponse, what: string, forCluster: boolean): Error {
    const { user, password, namespace, cluster } = this.request;
    const said = refusalMessage(body, [password, basicCredential(user, password), "session_id"]);
    switch (true) {
      case status === 401: {
        const seen = `it does not accept the user "${printable(user, 100)}" with this password (401) for ${what}`;
        return vsphereProblem.error("login-refused", this.about(seen), "password");
      }
      case status === 403: {
        const seen = `the user "${printable(user, 100)}" has no access to ${what} (403${said})`;
        return vsphereProblem.error("login-refused", this.about(seen), "permission");
      }
      case forCluster && (status === 404 || status === 400): {
        const seen = `there is no workload cluster "${cluster}" in namespace "${namespace}" for this user (${status}${said})`;
        return vsphereProblem.error("cluster-not-found", this.about(seen), namespace);
      }
      case status === 429 || status >= 500:
        return new NotYet(
          forCluster ? "cluster-not-ready" : "supervisor-not-ready",
          `it cannot log in to ${what} yet (${status}${said})`,
        );
      default: {
        const seen = `it answers ${status}${said} to the login for ${what}`;
        return vsphereProblem.error("supervisor-answer", this.about(seen), "login");
      }
    }
  }

  /** Waits until the API says that it is ready; that its certificate verifies comes with it. */
  async waitReady(api: ApiLogin, what: string, kind: "supervisor" | "cluster"): Promise<void> {
    const endpoint = endpointOf(new URL(api.server));
    const headers = { authorization: `Bearer ${api.token}` };
    await this.persist(async () => {
      let response: HttpResponse;
      try {
        response = await httpsRequest(endpoint, {
          method: "GET",
          path: "/readyz",
          headers,
          trust: trustIn(api.ca),
          limits,
        });
      } catch (error) {
        throw this.asProblem(error, kind, endpoint);
      }
      // 403: ready, but not for this user to know.
      if (response.status === 200 || response.status === 403) return;
      throw new NotYet(
        `${kind}-not-ready`,
        response.status === 401
          ? `${what} at ${api.server} does not know the new token yet`
          : `${what} at ${api.server} is not ready (${response.status})`,
      );
    });
    this.request.report(`${what} is ready at ${api.server}`);
  }

  /** Repeats what is not ready until the time is up. */
  private async persist<T>(attempt: () => Promise<T>): Promise<T> {
    for (let reported = ""; ;) {
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof NotYet)) throw error;
        const left = this.deadline - performance.now();
        if (left <= 0) {
          const what = this.about(error.seen);
          const remedy = this.request.waitSeconds > 0 ? "waited" : "atOnce";
          throw new UserError(
            error.code === "cluster-unreachable"
              ? kubernetesProblem(error.code, what, remedy)
              : vsphereProblem(error.code, what, remedy),
          );
        }
        if (reported !== error.seen)
          this.request.report(`Waiting, for up to ${Math.ceil(left / 1000)} s: ${error.seen}`);
        reported = error.seen;
        await sleep(Math.min(pollSeconds * 1000, left));
      }
    }
  }

  private asProblem(error: unknown, kind: "supervisor" | "cluster", { hostname, port }: Endpoint): unknown {
    if (!(error instanceof ConnectionFailure)) return error;
    const where = `${hostname} port ${port}`;
    if (error.kind === "unreachable" || error.kind === "slow") {
      return new NotYet(
        kind === "supervisor" ? "supervisor-unreachable" : "cluster-unreachable",
        `${where} is not reached: ${error.message}`,
      );
    }
    if (error.kind === "certificate") {
      if (kind === "supervisor") return this.notBelieved(where, error.message);
      const seen = `${where} is not believed: ${error.message}`;
      return kubernetesProblem.error("cluster-certificate", this.about(seen), "login");
    }
    const what = this.about(`${where}: ${error.message}`);
    return new UserError(
      kind === "supervisor"
        ? vsphereProblem("supervisor-answer", what, "connection")
        : vsphereProblem("cluster-answer", what),
    );
  }

  private notBelieved(where: string, why: string): UserError {
    const seen = `${where} is not believed: ${why}`;
    return vsphereProblem.error("supervisor-certificate", this.about(seen));
  }

  private about(seen: string): Pick<Problem, "subject" | "seen"> {
    return { subject: this.subject, seen };
  }
}

function trustIn(ca: readonly string[] | undefined): Trust {
  return ca === undefined || ca.length === 0 ? "public-roots" : { ca };
}

/** What a server says of its refusal, unless it repeats what it was sent, or gives a token after all. */
function refusalMessage(body: Buffer, secrets: readonly string[]): string {
  const whole = body.subarray(0, 2000).toString("utf8");
  const text = printable(whole, 200);
  return text === "" || text.startsWith("<") || secrets.some((secret) => whole.includes(secret))
    ? ""
    : `: ${text}`;
}

function apiLogin(host: string, port: number, ca: readonly string[], token: string): ApiLogin {
  return {
    name: port === defaultApiPort ? host : `${host}:${port}`,
    server: `https://${host}:${port}`,
    ca,
    token,
    expires: tokenExpiry(token),
  };
}
