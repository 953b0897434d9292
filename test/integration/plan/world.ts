/**
 * What a plan is made from, on loopback: the API servers of a Supervisor (context `ns1`) and of a workload cluster
 * (context `tkc-cluster-1`), a registry, and a kubeconfig.
 */
import { generateKeyPairSync } from "node:crypto";
import { type Settings, parseSettings } from "../../../config/settings";
import { type Identity, Pki } from "../certificates/pki";
import { type Handler, type TestServer, startServer } from "../net/server";

/** An API server's answers by `METHOD path`; 404 for the rest. */
export type Answers = Record<string, { status?: number; body: unknown } | undefined>;

/** A token that says when it ends, as those of a Supervisor do; its signature is nobody's business here. */
export const tokenUntil = (expires: Date): string =>
  ["{}", JSON.stringify({ exp: Math.floor(expires.getTime() / 1000) }), "signature"]
    .map((part) => Buffer.from(part).toString("base64url"))
    .join(".");
export const fromNow = (minutes: number): Date => new Date(Date.now() + minutes * 60_000);
export const base64 = (text: string): string => Buffer.from(text).toString("base64");

/** The kubeconfig that the Supervisor has of a workload cluster. */
export const administrator = (server: string, authority: Identity): string =>
  JSON.stringify({
    clusters: [{ name: "c", cluster: { server, "certificate-authority-data": base64(authority.cert) } }],
  });

interface Unusual {
  readonly os?: string;
  readonly ready?: boolean;
  readonly machineId?: string;
  readonly runtime?: string;
  readonly architecture?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

const machineIdOf = (name: string): string => Buffer.from(name.padEnd(16, "-")).toString("hex").slice(0, 32);

/** A Node as the API server has it. */
export const node = (name: string, address: string, change: Unusual = {}): object => ({
  metadata: { name, uid: `uid-of-${name}`, labels: change.labels ?? {} },
  status: {
    addresses: [{ type: "InternalIP", address }],
    conditions: [{ type: "Ready", status: change.ready === false ? "False" : "True" }],
    nodeInfo: {
      machineID: change.machineId ?? machineIdOf(name),
      osImage: change.os ?? "VMware Photon OS/Linux",
      containerRuntimeVersion: change.runtime ?? "containerd://1.6.20",
      ...(change.architecture === undefined ? {} : { architecture: change.architecture }),
    },
  },
});

export const digest = `sha256:${"ab".repeat(32)}`;
/** The login that the registry takes. */
export const login = { username: "robot$ns1", password: "password" } as const;
export const kubeSystem = "GET /api/v1/namespaces/kube-system";
/** The question for the object of a workload cluster. */
export const clusterObject = (name = "tkc-cluster-1"): string =>
  `GET /apis/cluster.x-k8s.io/v1beta1/namespaces/ns1/clusters/${name}`;

/** The servers, and what they answer. */
export class World {
  /** What the two API servers answer, and what their user may not do: `verb resource`. */
  ofSupervisor: Answers = {};
  ofCluster: Answers = {};
  forbidden: string[] = [];
  imageStatus = 200;
  /** The architectures of the image's index; undefined where it is a single image. */
  platforms: readonly string[] | undefined;
  supervisor!: TestServer;
  cluster!: TestServer;
  registry!: TestServer;
  readonly pki = new Pki();
  readonly ca = this.pki.ca("tkc-cluster-1");
  readonly supervisorCa = this.pki.ca("supervisor");
  readonly #environment = process.env["KUBECONFIG"];

  private constructor() {}

  static async start(): Promise<World> {
    const world = new World();
    const { pki, ca, supervisorCa } = world;
    const leaf = pki.server("server", "IP:127.0.0.1", ca);
    world.supervisor = await startServer(
      pki.server("supervisor", "IP:127.0.0.1", supervisorCa),
      world.#api(() => world.ofSupervisor),
    );
    world.cluster = await startServer(
      leaf,
      world.#api(() => world.ofCluster),
    );
    world.registry = await startServer(leaf, world.#repository, [ca]);
    world.reset();
    return world;
  }

  readonly #repository: Handler = ({ method, headers, url }, response) => {
    if (headers.authorization !== `Basic ${base64(`${login.username}:${login.password}`)}`)
      response.writeHead(401, { "www-authenticate": "Basic" }).end();
    else if (url === "/v2/") response.end();
    else {
      const type = this.platforms ? { "content-type": "application/vnd.oci.image.index.v1+json" } : {};
      response.writeHead(this.imageStatus, { "docker-content-digest": digest, ...type });
      const manifests = this.platforms?.map((architecture) => ({ platform: { os: "linux", architecture } }));
      response.end(method === "HEAD" ? undefined : JSON.stringify({ schemaVersion: 2, manifests }));
    }
  };

  #api(answersNow: () => Answers): Handler {
    return ({ method, url, headers, body }, response) => {
      const token = String(headers.authorization).replace("Bearer ", "");
      const claims = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString() || "{}") as {
        exp?: number;
      };
      const { status = 200, body: content } =
        (claims.exp ?? 0) * 1000 < Date.now()
          ? { status: 401, body: { kind: "Status", message: "Unauthorized" } }
          : url.endsWith("/selfsubjectaccessreviews")
            ? { status: 201, body: this.#review(body) }
            : (answersNow()[`${method} ${url}`] ?? { status: 404, body: { message: `${url} not found` } });
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(content));
    };
  }

  #review(body: string): object {
    const { spec } = JSON.parse(body) as {
      spec: { resourceAttributes: { verb: string; resource: string; subresource?: string } };
    };
    const { verb, resource, subresource } = spec.resourceAttributes;
    const right = `${verb} ${resource}${subresource === undefined ? "" : `/${subresource}`}`;
    return { status: { allowed: !this.forbidden.includes(right) } };
  }

  /** Makes all well: two workers, a login that lasts, an image that is there. */
  reset(): void {
    this.forbidden = [];
    this.imageStatus = 200;
    this.platforms = undefined;
    this.ofSupervisor = {
      "POST /api/v1/namespaces/ns1/pods?dryRun=All": { status: 201, body: {} },
      "GET /apis": {
        body: {
          kind: "APIGroupList",
          groups: [{ name: "cluster.x-k8s.io", versions: [{ version: "v1beta1", groupVersion: "" }] }],
        },
      },
      "GET /apis/cluster.x-k8s.io/v1beta1": {
        body: { kind: "APIResourceList", resources: [{ name: "clusters", namespaced: true }] },
      },
    };
    this.addCluster("tkc-cluster-1", "uid-of-cluster");
    this.ofCluster = {
      [kubeSystem]: { body: { metadata: { name: "kube-system", uid: "uid-of-kube-system" } } },
      "POST /api/v1/namespaces/default/pods?dryRun=All": { status: 201, body: {} },
      "POST /api/v1/namespaces/default/secrets?dryRun=All": { status: 201, body: {} },
    };
    this.listNodes(node("w1", "198.18.1.11"), node("w2", "198.18.1.12", { os: "Ubuntu 22.04.4 LTS" }));
    this.kubeconfig();
  }

  /** Lets the Supervisor know a workload cluster, which has the API server of the others. */
  addCluster(name: string, uid: string): void {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
    const key = privateKey.export({ type: "sec1", format: "pem" }) as string;
    Object.assign(this.ofSupervisor, {
      [`GET /api/v1/namespaces/ns1/secrets/${name}-ssh`]: {
        body: { data: { "ssh-privatekey": base64(key) } },
      },
      [`GET /api/v1/namespaces/ns1/secrets/${name}-kubeconfig`]: {
        body: { data: { value: base64(administrator(`https://${this.cluster.host}`, this.ca)) } },
      },
      [clusterObject(name)]: { body: { metadata: { uid } } },
    } satisfies Answers);
  }

  listNodes(...items: object[]): void {
    this.ofCluster["GET /api/v1/nodes"] = {
      body: { kind: "NodeList", apiVersion: "v1", metadata: { resourceVersion: "1" }, items },
    };
  }

  /** Writes the kubeconfig, where $KUBECONFIG says. */
  kubeconfig(
    change: {
      token?: string;
      clusterServer?: string;
      contexts?: readonly string[];
      clusterCa?: Identity;
    } = {},
  ): void {
    const { token = tokenUntil(fromNow(600)), contexts = ["ns1", "tkc-cluster-1"] } = change;
    const entry = (name: string, server: string, authority: Identity): object => ({
      name,
      cluster: { server, "certificate-authority-data": base64(authority.cert) },
    });
    process.env["KUBECONFIG"] = this.pki.file(
      "kubeconfig",
      JSON.stringify({
        clusters: [
          entry("supervisor", `https://${this.supervisor.host}`, this.supervisorCa),
          entry(
            "cluster",
            change.clusterServer ?? `https://${this.cluster.host}`,
            change.clusterCa ?? this.ca,
          ),
        ],
        users: [{ name: "alana", user: { token } }],
        contexts: contexts.map((name) => ({
          name,
          context: { cluster: name === "ns1" ? "supervisor" : "cluster", user: "alana" },
        })),
      }),
    );
  }

  /** A stack's settings, for these servers. */
  settings(change: Record<string, unknown> = {}, host = this.registry.host): Settings {
    const auth = base64(`${login.username}:${login.password}`);
    const raw = {
      cluster: "tkc-cluster-1",
      namespace: "ns1",
      registries: [
        {
          host,
          kind: "generic",
          ca: { from: "file", path: this.pki.file("registry-ca.pem", this.ca.cert) },
          credentials: {
            from: "dockerConfig",
            path: this.pki.file("config.json", JSON.stringify({ auths: { [host]: { auth } } })),
          },
        },
      ],
      ...change,
    };
    const text = Object.entries(raw).map(([name, value]) => [
      name,
      typeof value === "string" ? value : JSON.stringify(value),
    ]);
    return parseSettings(Object.fromEntries(text) as Record<string, string>, new Set());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#environment === undefined) delete process.env["KUBECONFIG"];
    else process.env["KUBECONFIG"] = this.#environment;
    const servers = [this.supervisor, this.cluster, this.registry];
    await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()));
  }
}
