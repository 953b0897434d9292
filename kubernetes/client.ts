/**
 * The Kubernetes client for a context of the operator's kubeconfig: opened with limits, its failures explained.
 * It never writes the kubeconfig, and never puts a token or what a credential plugin printed into a message.
 */
import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import * as https from "node:https";
import type {
  ApisApi,
  AppsV1Api,
  AuthorizationV1Api,
  Configuration,
  CoreV1Api,
  CustomObjectsApi,
  Middleware,
  User,
} from "@kubernetes/client-node";
import pLimit from "p-limit";
import { ConnectionFailure, endpointOf } from "../net/https";
import { proxyVariable } from "../net/proxy";
import { commandLine } from "../support/build";
import { type Problem, UserError } from "../support/errors";
import { printable } from "../support/text";
import { tokenExpiry } from "../support/token";
import { limitPlugins } from "./credentialPlugin";
import { httpLibrary } from "./http";
import { openKubeconfig } from "./openKubeconfig";
import { kubernetesProblem } from "./problems";

/** What a request is, for messages: `create pods in namespace ns1`. */
export interface Action {
  readonly verb: string;
  /** `pods`, `pods/exec` */
  readonly resource: string;
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
}

/** `pods/exec in namespace ns1`, `secrets "x" in namespace ns1`. */
export function describeObject({ resource, namespace, name }: Omit<Action, "verb">): string {
  return `${resource}${name === undefined ? "" : ` "${name}"`}${namespace === undefined ? "" : ` in namespace ${namespace}`}`;
}

const describeAction = ({ verb, ...object }: Action): string => `${verb} ${describeObject(object)}`;

/** A cluster as one kubeconfig context sees it. */
export interface KubeContext {
  /** The context's name. */
  readonly name: string;
  /** The API server's URL. */
  readonly server: string;
  /** PEM of the CAs that the kubeconfig believes for it; empty where it names none. */
  readonly ca: string;
  /** When the kubeconfig's own token or client certificate ends; undefined where it doesn't say, or a plugin renews it. */
  readonly expires: Date | undefined;
  /** Which API groups there are. */
  readonly groups: ApisApi;
  readonly core: CoreV1Api;
  readonly apps: AppsV1Api;
  readonly authorization: AuthorizationV1Api;
  readonly custom: CustomObjectsApi;
  /** What `https.request` is to be given for a request that the clients above can't make: CA, credential, agent. */
  connectionOptions(): Promise<https.RequestOptions>;
  /**
   * Makes a request and turns its failure into a {@link UserError}: `login-expired`, `no-rights`,
   * `cluster-unreachable`, `cluster-certificate`, `cluster-credential`, `cluster-failing`, `cluster-refused`,
   * `object-not-found`.
   */
  request<T>(action: Action, call: () => Promise<T>): Promise<T>;
  /** The same, with `undefined` for what does not exist. */
  find<T>(action: Action, call: () => Promise<T>): Promise<T | undefined>;
}

/** How the API refused: what it said, fit for a message. */
export interface ApiRefusal {
  readonly status: number;
  readonly message: string;
}

const requestSeconds = 20;
const defaultLogin = (): string =>
  commandLine("login", "--server SUPERVISOR --namespace NAMESPACE --cluster CLUSTER");

/**
 * Opens a context of the ambient kubeconfig (`KUBECONFIG`, else `~/.kube/config`). No request is made yet.
 *
 * @param options.subject - The setting that names the context.
 * @param options.login - Gives the command that renews this context, for messages, from its API server's URL where it has one.
 * @throws UserError as {@link openKubeconfig}.
 */
export async function kubeContext(
  name: string,
  options: { subject: string; login?: (server?: string) => string },
): Promise<KubeContext> {
  const { subject, login: loginTo = defaultLogin } = options;
  const client = await import("./kubernetesClient.js");
  const { config, cluster, user } = await openKubeconfig(client, name, { subject, login: loginTo });
  const login = loginTo(cluster.server);
  limitPlugins(config, { context: name, user, cluster });
  const configuration = client.createConfiguration({
    baseServer: new client.ServerConfiguration(cluster.server, {}),
    httpApi: httpLibrary(client, requestSeconds),
    authMethods: { default: config },
    promiseMiddleware: [requestMiddleware()],
  });
  const expires = await expiryOf(user);
  const failure = (action: Action, error: unknown): Error =>
    requestError(error, action, { name, server: cluster.server, login, expires });
  const limit = pLimit(requestsAtOnce);
  const afterFirst = firstContact();
  const send = <T>(call: () => Promise<T>): Promise<T> => afterFirst(() => limit(call));
  const make = <T>(api: new (configuration: Configuration) => T): T => new api(configuration);
  return {
    name,
    server: cluster.server,
    ca: await contentOf(cluster.caData, cluster.caFile),
    expires,
    groups: make(client.ApisApi),
    core: make(client.CoreV1Api),
    apps: make(client.AppsV1Api),
    authorization: make(client.AuthorizationV1Api),
    custom: make(client.CustomObjectsApi),
    async connectionOptions() {
      const options: https.RequestOptions = {};
      await config.applyToHTTPSOptions(options);
      allowPartialChain(options.agent);
      return options;
    },
    async request(action, call) {
      try {
        return await send(call);
      } catch (error) {
        throw failure(action, error);
      }
    },
    async find(action, call) {
      try {
        return await send(call);
      } catch (error) {
        if (apiRefusal(error)?.status === 404) return undefined;
        throw failure(action, error);
      }
    },
  };
}

/** Reads an entry given in base64 or as a file's path. Empty if absent or unreadable: the first request then fails. */
async function contentOf(data: string | undefined, file: string | undefined): Promise<string> {
  if (data !== undefined) return Buffer.from(data, "base64").toString("utf8");
  return file === undefined ? "" : await readFile(file, "utf8").catch(() => "");
}

async function expiryOf({ token, certData, certFile }: User): Promise<Date | undefined> {
  if (token) return tokenExpiry(token);
  const certificate = await contentOf(certData, certFile);
  try {
    return certificate === "" ? undefined : new Date(new X509Certificate(certificate).validTo);
  } catch {
    return undefined;
  }
}

/** Accepts a kubeconfig CA that is not a root, as kubectl does and OpenSSL by default does not. */
function allowPartialChain(agent: unknown): void {
  if (agent instanceof https.Agent) agent.options.allowPartialTrustChain = true;
}

/** Requests, and so connections, of one context at once, to bound the load on the API server. */
const requestsAtOnce = 8;

/**
 * Lets one request go first. Where it finds no server, those that wait for it fail with it, so that one server's failure
 * takes its time once, and is told in one way. The next request tries anew.
 */
function firstContact(): <T>(call: () => Promise<T>) => Promise<T> {
  let contact: Promise<void> | undefined;
  return async (call) => {
    if (contact) {
      await contact;
      return await call();
    }
    const answer = call();
    contact = answer.then(
      () => undefined,
      (error: unknown) => {
        if (!(error instanceof ConnectionFailure)) return;
        contact = undefined;
        throw error;
      },
    );
    contact.catch(() => undefined); // nobody may be waiting
    return await answer;
  };
}

/** Limits each request's time, and shares one agent: the client would make one for each request, with a handshake. */
function requestMiddleware(): Middleware {
  let shared: https.Agent | undefined;
  return {
    pre: (context) => {
      context.setSignal(AbortSignal.timeout(requestSeconds * 1000));
      const agent: unknown = context.getAgent();
      if (shared) context.setAgent(shared);
      else if (agent instanceof https.Agent) {
        allowPartialChain(agent);
        shared = Object.assign(agent, { keepAlive: true });
      }
      return Promise.resolve(context);
    },
    post: (context) => Promise.resolve(context),
  };
}

/** A context of the kubeconfig by its name. */
export type OpenContext = (name: string) => Promise<KubeContext>;

/** Opens each context once, for a process that finds contexts' names in its environment. */
export function namedContexts(): OpenContext {
  const opened = new Map<string, Promise<KubeContext>>();
  return (name) => {
    const context = opened.get(name) ?? kubeContext(name, { subject: `context ${name}` });
    opened.set(name, context);
    return context;
  };
}

/** client-go would use it, and so kubectl reaches what is not reached here. */
function unusedProxy(server: string): string {
  const name = proxyVariable(endpointOf(new URL(server)));
  return name === undefined
    ? ""
    : ` (${name} is set, and is not used for API servers: give the proxy as \`proxy-url\` of the cluster in the kubeconfig)`;
}

/** The API's refusal, if that is what the error is. */
export function apiRefusal(error: unknown): ApiRefusal | undefined {
  const { code, body } = error as { code?: unknown; body?: unknown };
  if (typeof code !== "number") return undefined;
  let status: unknown = body;
  if (typeof body === "string") {
    try {
      status = JSON.parse(body);
    } catch {
      status = { message: body };
    }
  }
  const message = (status as { message?: unknown } | null | undefined)?.message;
  return { status: code, message: typeof message === "string" ? printable(message, 600) : "" };
}

function requestError(
  error: unknown,
  action: Action,
  {
    name,
    server,
    login,
    expires,
  }: { name: string; server: string; login: string; expires: Date | undefined },
): Error {
  if (error instanceof UserError) return error;
  const about = (seen: string) => ({ subject: `context ${name}`, seen });
  const refusal = apiRefusal(error);
  if (!refusal) return connectionError(error, about, server, login);
  const { status, message } = refusal;
  const said = message === "" ? `${status}` : `${status}: ${message}`;
  const cannot = about(`cannot ${describeAction(action)} (${said})`);
  switch (true) {
    case status === 401: {
      const expired =
        expires && expires < new Date() ? `, which expired at ${expires.toISOString()}` : " (any more)";
      const seen = `${server} does not accept its login${expired}`;
      return kubernetesProblem.error("login-expired", about(seen), "context", login);
    }
    case status === 403:
      return kubernetesProblem.error(
        "no-rights",
        about(`the user may not ${describeAction(action)} (${said})`),
        "refused",
      );
    case status === 404:
      return kubernetesProblem.error("object-not-found", cannot);
    case status === 429 || status >= 500:
      return kubernetesProblem.error("cluster-failing", cannot);
    default:
      return kubernetesProblem.error(
        "cluster-refused",
        about(`the API refuses to ${describeAction(action)} (${said})`),
      );
  }
}

function connectionError(
  error: unknown,
  about: (seen: string) => Pick<Problem, "subject" | "seen">,
  server: string,
  login: string,
): Error {
  if (error instanceof TypeError || error instanceof RangeError) return error; // defects of this program
  if (!(error instanceof ConnectionFailure)) {
    // All other errors come from the kubeconfig's credential: a plugin or a file.
    const seen = `its credential cannot be had: ${printable((error as Error).message)}`;
    return kubernetesProblem.error("cluster-credential", about(seen), "unreadable", login);
  }
  if (error.kind === "certificate") {
    const seen = `the kubeconfig's CA does not verify ${server}: ${error.message}`;
    return kubernetesProblem.error("cluster-certificate", about(seen), "context", login);
  }
  const seen = `${server} is not reached: ${error.message}${unusedProxy(server)}`;
  return kubernetesProblem.error("cluster-unreachable", about(seen), "request");
}
