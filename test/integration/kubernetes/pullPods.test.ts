/** Pulls by short-lived pods, with a login of their own: an API server that keeps pods and Secrets, and a kubelet. */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { type KubeContext, namedContexts } from "../../../kubernetes/client";
import { canaryPuller } from "../../../plan/canary";
import { UserError } from "../../../support/errors";
import { Pki } from "../certificates/pki";
import { type Handler, type TestServer, startServer } from "../net/server";

interface Kept {
  metadata: { name?: string; labels: Record<string, string> };
  spec?: { nodeName: string; imagePullSecrets: { name: string }[]; containers: { image: string }[] };
  type?: string;
  data?: Record<string, string>;
}

const login = "hunter2-of-the-robot";
const dockerConfigJson = JSON.stringify({ auths: { "a.example": { auth: login } } });
const id = "5d1b5d2e-0f0c-4d6f-9a3e-2f7c1b1f0a11";
const ofStack = {
  "app.kubernetes.io/managed-by": "tkc-registry",
  "tkc-registry/stack": "p.s",
  "tkc-registry/id": id,
};
const pulled = { containerStatuses: [{ state: { running: {} } }] };
const failing = (message: string): object => ({
  containerStatuses: [{ state: { waiting: { reason: "ErrImagePull", message } } }],
});

describe("the pull on the canary", () => {
  const pki = new Pki();
  const kept: Record<string, Map<string, Kept>> = { pods: new Map(), secrets: new Map() };
  /** All pods that were made, with the docker config that the kubelet found for each. */
  const made: { pod: Kept; config: string | undefined }[] = [];
  let status: (pod: Kept) => object = () => pulled;
  /** Answers a request in place of the API server. */
  let refuse: (method: string, kind: string, name: string | undefined) => boolean = () => false;
  let server: TestServer;
  let cluster: KubeContext;
  const kubeconfig = process.env["KUBECONFIG"];

  const handle: Handler = ({ method, url, body }, response) => {
    const { pathname, searchParams } = new URL(url, "https://api");
    const answer = (code: number, object: unknown): void =>
      void response.writeHead(code, { "content-type": "application/json" }).end(JSON.stringify(object));
    const [, kind = "", name] =
      /^\/api\/v1\/namespaces\/web\/(pods|secrets|events)(?:\/(.+))?$/.exec(pathname) ?? [];
    const of = kept[kind];
    const found = name === undefined ? undefined : of?.get(name);
    if (pathname.endsWith("/selfsubjectaccessreviews")) answer(201, { status: { allowed: true } });
    else if (refuse(method, kind, name)) answer(500, { kind: "Status", code: 500, message: "etcd is down" });
    else if (method === "POST" && of) {
      const given = JSON.parse(body) as Kept;
      const { metadata } = given;
      const object = { ...given, metadata: { ...metadata, name: metadata.name ?? `p${made.length}` } };
      if (!searchParams.has("dryRun")) {
        of.set(object.metadata.name, object);
        const [secret] = object.spec?.imagePullSecrets ?? [];
        const data = secret && kept["secrets"]!.get(secret.name)?.data?.[".dockerconfigjson"];
        if (kind === "pods")
          made.push({ pod: object, config: data && Buffer.from(data, "base64").toString() });
      }
      answer(201, object);
    } else if (name === undefined && of) {
      const wanted = (searchParams.get("labelSelector") ?? "").split(",").map((pair) => pair.split("="));
      const items = [...of.values()].filter(({ metadata: { labels } }) =>
        wanted.every(([key, value]) => labels[key!] === value),
      );
      answer(200, { items });
    } else if (!found) answer(404, { kind: "Status", code: 404, message: `${pathname} not found` });
    else if (method === "DELETE") {
      of!.delete(name!);
      answer(200, found);
    } else answer(200, { ...found, status: status(found) });
  };

  before(async () => {
    const ca = pki.ca("kubernetes");
    server = await startServer(pki.server("api", "IP:127.0.0.1", ca), handle);
    const data = Buffer.from(ca.cert).toString("base64");
    process.env["KUBECONFIG"] = pki.file(
      "kubeconfig",
      JSON.stringify({
        clusters: [
          { name: "c", cluster: { server: `https://${server.host}`, "certificate-authority-data": data } },
        ],
        users: [{ name: "c", user: { token: "t" } }],
        contexts: [{ name: "c", context: { cluster: "c", user: "c" } }],
      }),
    );
    cluster = await namedContexts()("c");
  });
  after(async () => {
    if (kubeconfig === undefined) delete process.env["KUBECONFIG"];
    else process.env["KUBECONFIG"] = kubeconfig;
    await server[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    for (const map of Object.values(kept)) map.clear();
    made.length = server.received.length = 0;
    status = () => pulled;
    refuse = () => false;
  });

  const lines: string[] = [];
  const pull = (
    images = ["a.example/x:1"],
    signal = new AbortController().signal,
    withLogin = true,
  ): Promise<void> => {
    const place = { namespace: "web", login: withLogin ? { dockerConfigJson } : undefined };
    const canary = { node: "w1", uid: "uid-1", nonce: "n" };
    lines.length = 0;
    return canaryPuller(cluster, { images, place })(
      canary,
      { owner: "p.s", id },
      {
        ...{ signal, log: (line: string) => void lines.push(line) },
      },
    );
  };
  const nothingLeft = (): void =>
    assert.deepEqual(
      Object.values(kept).map(({ size }) => size),
      [0, 0],
    );
  const failed = async (run: Promise<void>): Promise<string> => {
    const error: unknown = await run.then(
      () => assert.fail("it was not refused"),
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof UserError, String(error));
    assert.ok(!error.message.includes(login));
    nothingLeft();
    return error.message;
  };

  it("is made on that node, of each image, by a login that is there for as long, and leaves nothing", async () => {
    await pull(["a.example/x:1", "a.example/y:1"]);
    assert.deepEqual(
      made.map(({ pod, config }) => [pod.spec?.nodeName, pod.spec?.containers[0]?.image, config]).sort(),
      ["a.example/x:1", "a.example/y:1"].map((image) => ["w1", image, dockerConfigJson]),
    );
    for (const { pod } of made)
      for (const [key, value] of Object.entries(ofStack)) assert.equal(pod.metadata.labels[key], value);
    assert.deepEqual(lines, ["pulled 2 images: w1"]); // the state keeps it, and images may be secret
    nothingLeft();
  });

  it("needs no login where the registry wants none, and touches no Secret then", async () => {
    await pull(undefined, undefined, false);
    assert.deepEqual(
      made.map(({ pod, config }) => [pod.spec?.imagePullSecrets, config]),
      [[[], undefined]],
    );
    assert.deepEqual(
      server.received.filter(({ url }) => url.includes("/secrets")),
      [],
    );
  });

  it("fails with the kubelet's words, the node's name and what to do about it", async () => {
    const remedies = {
      "tls: failed to verify certificate: x509: certificate signed by unknown authority": /is of another CA/,
      "tls: failed to verify certificate: x509: certificate has expired": /put right/,
      "failed to authorize: 401 Unauthorized": /Give credentials for a\.example/,
      "a.example/x:1: not found": /Push the image/,
      "dial tcp: lookup a.example: no such host": /Give the nodes a way/,
      "layers from manifest don't match": /Look at what it says/,
    };
    for (const [message, remedy] of Object.entries(remedies)) {
      status = () => failing(message);
      const said = await failed(pull());
      assert.ok(said.startsWith(`node w1: the canary could not pull a.example/x:1: ${message}. `), said);
      assert.match(said, remedy);
      assert.match(said, /the same node goes first.*\[canary-failed\]$/);
    }
  });

  it("fails where the login cannot be put there, and leaves nothing", async () => {
    refuse = (method, kind) => method === "POST" && kind === "secrets";
    assert.match(await failed(pull()), /it could not be tried: .*etcd is down/);
    assert.equal(made.length, 0);
  });

  it("leaves nothing when it is interrupted", async () => {
    const controller = new AbortController();
    status = () => {
      controller.abort(new Error("the command was ended"));
      return {};
    };
    await assert.rejects(pull(undefined, controller.signal), /the command was ended/);
    assert.equal(made.length, 1);
    nothingLeft();
  });

  it("takes away what a killed run left of this stack, and no other's", async () => {
    const purpose = { "tkc-registry/purpose": "verify-pull", "tkc-registry/run": "0" };
    const leave = (kind: string, name: string, labels: Record<string, string>): void =>
      void kept[kind]!.set(name, { metadata: { name, labels } });
    for (const kind of ["pods", "secrets"]) {
      leave(kind, "ours", { ...ofStack, ...purpose });
      leave(kind, "of-another-stack", { ...ofStack, ...purpose, "tkc-registry/id": "other" });
      leave(kind, "pull-secret", ofStack);
    }
    await pull();
    for (const map of Object.values(kept))
      assert.deepEqual([...map.keys()].sort(), ["of-another-stack", "pull-secret"]);
  });
});
