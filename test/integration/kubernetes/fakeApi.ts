/**
 * The API servers of a Supervisor (context `ns1`) and of a workload cluster (context `tkc-cluster-1`), as one server on
 * loopback that tells them apart by their tokens; with a kubeconfig for them, and a jumpbox pod behind it.
 */
import * as https from "node:https";
import type { AddressInfo } from "node:net";
import * as path from "node:path";
import { type Identity, Pki } from "../certificates/pki";
import { PodServer } from "../nodes/routes/podServer";

type Context = "ns1" | "tkc-cluster-1";

/** How a context of the kubeconfig differs from the one that works. */
interface Change {
  readonly server?: string;
  readonly ca?: Identity;
  readonly token?: string;
}

interface Annotated {
  readonly metadata: { annotations?: Record<string, string | null> };
}

const plurals = {
  "run.tanzu.vmware.com": { version: "v1alpha3", plural: "tanzukubernetesclusters" },
  "cluster.x-k8s.io": { version: "v1beta1", plural: "clusters" },
} as const;
type Group = keyof typeof plurals;

const leasePath = /^\/apis\/coordination\.k8s\.io\/v1\/namespaces\/([^/]+)\/leases(?:\/([^/]+))?$/;
const leaseOf = (namespace: string, name: string): string =>
  `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/${name}`;

export class FakeApi {
  readonly pki = new Pki();
  readonly pod: PodServer;
  readonly kubeconfig = path.join(this.pki.folder, "kubeconfig");
  /** `CONTEXT METHOD PATH` of all requests. */
  readonly requests: string[] = [];
  /** How often a client connected, with a handshake. */
  connections = 0;
  /** The bodies of patches. */
  readonly patches: unknown[] = [];
  /** Verbs on Leases that are refused. */
  readonly refusedOnLeases = new Set<string>();
  readonly #ca = this.pki.ca("kubernetes");
  readonly #server: https.Server;
  readonly #objects = new Map<string, unknown>();
  readonly #failures = new Map<string, { status: number; reason: string; message: string }>();
  readonly #kubeconfig = process.env.KUBECONFIG;
  #version = 0;
  #kinds: readonly Group[] = ["run.tanzu.vmware.com", "cluster.x-k8s.io"];

  private constructor() {
    const { key, cert } = this.pki.server("kube-apiserver", "IP:127.0.0.1", this.#ca);
    this.#server = https.createServer({ key, cert }, (request, response) => {
      const context = /^Bearer token-of-(.*)$/.exec(request.headers.authorization ?? "")?.[1] ?? "";
      const url = (request.url ?? "").replace(/\?.*|\/$/g, "");
      this.requests.push(`${context} ${request.method} ${url}`);
      const answer = (status: number, body: unknown): void => {
        const [type, text] =
          typeof body === "string"
            ? ["text/plain; charset=utf-8", body]
            : ["application/json", JSON.stringify(body)];
        response.writeHead(status, { "content-type": type }).end(text);
      };
      const refuse = (code: number, reason: string, message: string): void =>
        answer(code, { kind: "Status", apiVersion: "v1", status: "Failure", reason, message, code });
      let body = "";
      request.setEncoding("utf8").on("data", (text: string) => (body += text));
      request.on("end", () => {
        const failure = this.#failures.get(context);
        const place = `${context} ${url}`;
        const found = this.#objects.get(place) ?? this.#discovery(url) ?? this.#list(place);
        const lease = leasePath.exec(url);
        if (failure) refuse(failure.status, failure.reason, failure.message);
        else if (!/^(?:ns1|tkc-cluster-1)$/.test(context)) refuse(401, "Unauthorized", "Unauthorized");
        else if (lease) this.#serveLease(context, lease, request.method ?? "", body, answer, refuse);
        else if (found === undefined) refuse(404, "NotFound", `${url} not found`);
        else {
          const merges = request.headers["content-type"] === "application/merge-patch+json";
          if (request.method === "PATCH") this.patches.push(JSON.parse(body));
          if (request.method === "PATCH" && merges) this.#merge(found, JSON.parse(body) as Annotated);
          answer(200, found);
        }
      });
    });
    this.#server.on("secureConnection", () => (this.connections += 1));
    this.pod = new PodServer(this.#server);
  }

  static async start(): Promise<FakeApi> {
    const api = new FakeApi();
    await new Promise<void>((resolve) => api.#server.listen(0, "127.0.0.1", resolve));
    api.reset();
    process.env.KUBECONFIG = api.kubeconfig;
    return api;
  }

  /** Forgets all objects, failures and changes. */
  reset(): void {
    this.#objects.clear();
    this.#failures.clear();
    this.#kinds = ["run.tanzu.vmware.com", "cluster.x-k8s.io"];
    this.requests.length = this.patches.length = 0;
    this.refusedOnLeases.clear();
    this.change({});
  }

  /** Writes the kubeconfig, with contexts that differ from those that work. */
  change(changes: Partial<Record<Context, Change>>): void {
    const contexts = (["ns1", "tkc-cluster-1"] as const).map((name) => {
      const { server = this.server, ca = this.#ca, token = `token-of-${name}` } = changes[name] ?? {};
      const data = Buffer.from(ca.cert).toString("base64");
      return { name, cluster: { server, "certificate-authority-data": data }, token };
    });
    this.pki.file(
      "kubeconfig",
      JSON.stringify({
        clusters: contexts.map(({ name, cluster }) => ({ name, cluster })),
        users: contexts.map(({ name, token }) => ({ name, user: { token } })),
        contexts: contexts.map(({ name }) => ({ name, context: { cluster: name, user: name } })),
      }),
    );
  }

  /** The CA of both contexts, as PEM. */
  get ca(): string {
    return this.#ca.cert;
  }

  get server(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** What is at a path of a context's API; nothing where it is undefined. */
  object(context: Context, place: string, object: unknown): void {
    if (object === undefined) this.#objects.delete(`${context} ${place}`);
    else this.#objects.set(`${context} ${place}`, object);
  }

  /** What is there by now. */
  objectAt(context: Context, place: string): unknown {
    return this.#objects.get(`${context} ${place}`);
  }

  node(name: string, object: unknown): void {
    this.object("tkc-cluster-1", `/api/v1/nodes/${name}`, object);
  }

  /** What the health check of a node's kubelet says to the API server; nothing where it can't be asked. */
  kubeletHealth(name: string, said: string | undefined): void {
    this.object("tkc-cluster-1", `/api/v1/nodes/${name}/proxy/healthz`, said);
  }

  /** The Lease that says whose turn it is to restart a control-plane node. */
  turn(lease: unknown): void {
    this.object("tkc-cluster-1", leaseOf("kube-system", "tkc-registry-control-plane"), lease);
  }

  secret(name: string, data: Record<string, string> | undefined): void {
    const encoded = Object.entries(data ?? {}).map(([key, value]) => [
      key,
      Buffer.from(value).toString("base64"),
    ]);
    const secret = data && { data: Object.fromEntries(encoded) as unknown };
    this.object("ns1", `/api/v1/namespaces/ns1/secrets/${name}`, secret);
  }

  /** A workload cluster as the Supervisor has it. */
  cluster(group: Group, object: unknown): void {
    const { version, plural } = plurals[group];
    this.object("ns1", `/apis/${group}/${version}/namespaces/ns1/${plural}/tkc-cluster-1`, object);
  }

  /** Which kinds of workload clusters the Supervisor knows. */
  kinds(...groups: readonly Group[]): void {
    this.#kinds = groups;
  }

  /** Has all requests of a context refused, or none. */
  fail(context: Context, status?: number, reason = "", message = reason): void {
    if (status === undefined) this.#failures.delete(context);
    else this.#failures.set(context, { status, reason, message });
  }

  /** All nodes, where no list of them was given. */
  #list(place: string): unknown {
    if (place !== "tkc-cluster-1 /api/v1/nodes") return undefined;
    const items = [...this.#objects].filter(([each]) => each.startsWith(`${place}/`)).map(([, node]) => node);
    return items.length === 0 ? undefined : { kind: "NodeList", items };
  }

  #merge(object: unknown, patch: Annotated): void {
    const { metadata } = object as Annotated;
    for (const [name, value] of Object.entries(patch.metadata.annotations ?? {})) {
      metadata.annotations = { ...metadata.annotations, [name]: value };
      if (value === null) delete metadata.annotations[name]; // eslint-disable-line @typescript-eslint/no-dynamic-delete
    }
  }

  /** What a node's kubelet writes: its Lease is renewed at each moment, unless it says nothing since a time. */
  kubelet(name: string, silentSince?: Date): void {
    const place = leaseOf("kube-node-lease", name);
    if (silentSince) this.object("tkc-cluster-1", place, { spec: { renewTime: silentSince.toISOString() } });
    else this.object("tkc-cluster-1", place, undefined);
  }

  /** Leases: those of kubelets, and those that are written under the API's own condition. */
  #serveLease(
    context: string,
    [place, namespace, name]: RegExpExecArray,
    method: string,
    body: string,
    answer: (status: number, body: unknown) => void,
    refuse: (code: number, reason: string, message: string) => void,
  ): void {
    const verb = { GET: "get", POST: "create", PUT: "update", DELETE: "delete" }[method] ?? method;
    if (this.refusedOnLeases.has(verb)) {
      refuse(403, "Forbidden", `User "u" cannot ${verb} resource "leases" in namespace "${namespace}"`);
      return;
    }
    interface Written {
      metadata: { name: string; resourceVersion?: string };
      preconditions?: { resourceVersion?: string };
    }
    const sent = (body === "" ? {} : JSON.parse(body)) as Partial<Written>;
    const key = `${context} ${name === undefined ? `${place}/${sent.metadata?.name}` : place}`;
    const found = this.#objects.get(key) as Written | undefined;
    const version = sent.metadata?.resourceVersion ?? sent.preconditions?.resourceVersion;
    if (verb === "get" && namespace === "kube-node-lease") {
      const known = this.#objects.has(`${context} /api/v1/nodes/${name}`);
      if (known) answer(200, found ?? { spec: { renewTime: new Date().toISOString() } });
      else refuse(404, "NotFound", `leases "${name}" not found`);
    } else if (verb !== "create" && !found) {
      refuse(404, "NotFound", `leases "${name}" not found`);
    } else if (verb === "get") {
      answer(200, found);
    } else if (verb === "create" ? found : version !== found?.metadata.resourceVersion) {
      refuse(409, verb === "create" ? "AlreadyExists" : "Conflict", "the object has been modified");
    } else if (verb === "delete") {
      this.#objects.delete(key);
      answer(200, { kind: "Status", status: "Success" });
    } else {
      const written = {
        ...sent,
        metadata: { ...sent.metadata, resourceVersion: String(++this.#version) },
      };
      this.#objects.set(key, written);
      answer(verb === "create" ? 201 : 200, written);
    }
  }

  #discovery(url: string): unknown {
    if (url === "/apis") {
      const groups = this.#kinds.map((name) => {
        const { version } = plurals[name];
        return { name, versions: [{ groupVersion: `${name}/${version}`, version }] };
      });
      return { kind: "APIGroupList", groups };
    }
    const group = this.#kinds.find((name) => url === `/apis/${name}/${plurals[name].version}`);
    return (
      group && {
        kind: "APIResourceList",
        groupVersion: `${group}/${plurals[group].version}`,
        resources: [{ name: plurals[group].plural, singularName: "", namespaced: true, kind: "", verbs: [] }],
      }
    );
  }

  async stop(): Promise<void> {
    if (this.#kubeconfig === undefined) delete process.env.KUBECONFIG;
    else process.env.KUBECONFIG = this.#kubeconfig;
    this.#server.closeAllConnections();
    await this.pod.stop();
  }
}
