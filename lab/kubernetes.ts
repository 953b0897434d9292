/**
 * What the Supervisor and the workload cluster have in common: both are a real Kubernetes, run by systemd units on
 * machines. Neither has kube-proxy or CoreDNS: nothing in the lab goes by a Service, and pods reach the nodes and the
 * registries by address.
 */
import * as path from "node:path";
import { exec, type ExecOptions, type ExecResult } from "./exec";
import { replaceFile } from "./wholeFiles";
import type { MachineFile } from "./machines";
import { runFolder } from "./paths";
import {
  authority,
  forgetAuthority,
  forgetRsaKey,
  issue,
  publicKey,
  rsaKey,
  type Authority,
  type KeyPair,
} from "./pki";
import { loginServer } from "./topology";
import { again, eventually, patience } from "./waiting";

type Files = Record<string, MachineFile>;

const json = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`;
const secret = (content: string): MachineFile => ({ content, mode: 0o600 });
const base64 = (text: string): string => Buffer.from(text).toString("base64");

/** One of the lab's Kubernetes. */
export interface Kubernetes {
  /** `supervisor` or the cluster's name. */
  readonly name: string;
  /** The API server's address; its port is 6443. */
  readonly address: string;
  readonly serviceSubnet: string;
  /** What tokens of the login server must be issued for. */
  readonly audience: string;
  /** Pod Security: the level that every namespace but kube-system has to keep to, unless labelled otherwise. */
  readonly podSecurity?: "restricted";
}

const apiServer = (kubernetes: Kubernetes): string => `https://${kubernetes.address}:6443`;

/** The authority of a Kubernetes. */
export function kubernetesAuthority(kubernetes: Kubernetes): Promise<Authority> {
  return authority(kubernetes.name, `${kubernetes.name}-ca`);
}

const serviceAccountsKey = ({ name }: Kubernetes): string => `${name}-service-accounts`;

/** Forgets all keys and certificates of a Kubernetes: one of its name that is made then is another. */
export function forgetKubernetes(kubernetes: Kubernetes): void {
  forgetAuthority(kubernetes.name);
  forgetRsaKey(serviceAccountsKey(kubernetes));
}

/** A kubeconfig with one context, for a client certificate. */
function kubeconfig(kubernetes: Kubernetes, ca: Authority, client: KeyPair): string {
  const { name } = kubernetes;
  return json({
    apiVersion: "v1",
    kind: "Config",
    "current-context": name,
    clusters: [
      {
        name,
        cluster: { server: apiServer(kubernetes), "certificate-authority-data": base64(ca.certificate) },
      },
    ],
    contexts: [{ name, context: { cluster: name, user: "admin" } }],
    users: [
      {
        name: "admin",
        user: {
          "client-certificate-data": base64(client.certificate),
          "client-key-data": base64(client.key),
        },
      },
    ],
  });
}

async function clientKubeconfig(
  kubernetes: Kubernetes,
  file: string,
  commonName: string,
  organization?: string,
): Promise<string> {
  const ca = await kubernetesAuthority(kubernetes);
  const client = await issue(ca, file, {
    commonName,
    ...(organization === undefined ? {} : { organization }),
  });
  return kubeconfig(kubernetes, ca, client);
}

/** The administrator's kubeconfig: the lab's own way in, which no operator has. */
export function adminKubeconfig(kubernetes: Kubernetes): Promise<string> {
  return clientKubeconfig(kubernetes, "admin", "kubernetes-admin", "system:masters");
}

/** The files of an API server. */
export async function apiServerFiles(kubernetes: Kubernetes, loginAuthority: Authority): Promise<Files> {
  const ca = await kubernetesAuthority(kubernetes);
  const [server, kubelets, serviceAccounts] = await Promise.all([
    issue(ca, "apiserver", {
      commonName: "kube-apiserver",
      names: [`IP:${kubernetes.address}`, "IP:127.0.0.1", "DNS:kubernetes", "DNS:kubernetes.default.svc"],
    }),
    issue(ca, "apiserver-kubelet-client", {
      commonName: "kube-apiserver-kubelet-client",
      organization: "system:masters",
    }),
    rsaKey(serviceAccountsKey(kubernetes)),
  ]);
  const pki = (name: string): string => `/etc/kubernetes/pki/${name}`;
  return {
    [pki("ca.crt")]: { content: ca.certificate },
    [pki("apiserver.crt")]: { content: server.certificate },
    [pki("apiserver.key")]: secret(server.key),
    [pki("apiserver-kubelet-client.crt")]: { content: kubelets.certificate },
    [pki("apiserver-kubelet-client.key")]: secret(kubelets.key),
    [pki("service-accounts.key")]: secret(serviceAccounts),
    [pki("service-accounts.pub")]: { content: publicKey(serviceAccounts) },
    "/etc/kubernetes/authentication.json": {
      content: json({
        apiVersion: "apiserver.config.k8s.io/v1beta1",
        kind: "AuthenticationConfiguration",
        jwt: [
          {
            issuer: {
              url: loginServer,
              certificateAuthority: loginAuthority.certificate,
              audiences: [kubernetes.audience],
            },
            claimMappings: { username: { claim: "sub", prefix: "" } },
          },
        ],
      }),
    },
    "/etc/kubernetes/admission.json": {
      content: json({
        apiVersion: "apiserver.config.k8s.io/v1",
        kind: "AdmissionConfiguration",
        plugins: kubernetes.podSecurity === undefined ? [] : [podSecurity(kubernetes.podSecurity)],
      }),
    },
  };
}

/** The files of a control plane: API server, controller manager, scheduler. */
export async function controlPlaneFiles(kubernetes: Kubernetes, loginAuthority: Authority): Promise<Files> {
  const [server, controllerManager, scheduler] = await Promise.all([
    apiServerFiles(kubernetes, loginAuthority),
    clientKubeconfig(kubernetes, "controller-manager", "system:kube-controller-manager"),
    clientKubeconfig(kubernetes, "scheduler", "system:kube-scheduler"),
  ]);
  return {
    ...server,
    "/etc/kubernetes/controller-manager.kubeconfig": secret(controllerManager),
    "/etc/kubernetes/scheduler.kubeconfig": secret(scheduler),
  };
}

function podSecurity(level: string): unknown {
  const modes = ["enforce", "audit", "warn"];
  return {
    name: "PodSecurity",
    configuration: {
      apiVersion: "pod-security.admission.config.k8s.io/v1",
      kind: "PodSecurityConfiguration",
      defaults: Object.fromEntries(
        modes.flatMap((mode) => [
          [mode, level],
          [`${mode}-version`, "latest"],
        ]),
      ),
      exemptions: { namespaces: ["kube-system"] },
    },
  };
}

export interface NodeIdentity {
  readonly name: string;
  readonly address: string;
  readonly podSubnet: string;
  readonly controlPlane: boolean;
}

/** The certificate that a kubelet, or one that stands for several, serves with at its addresses. */
export async function kubeletServingFiles(
  kubernetes: Kubernetes,
  name: string,
  addresses: readonly string[],
): Promise<Files> {
  const ca = await kubernetesAuthority(kubernetes);
  const serving = await issue(ca, `kubelet-serving-${name}-${addresses[0]}`, {
    commonName: `system:node:${name}`,
    organization: "system:nodes",
    names: [`DNS:${name}`, ...addresses.map((address) => `IP:${address}`)],
  });
  return {
    "/etc/kubernetes/pki/kubelet.crt": { content: serving.certificate },
    "/etc/kubernetes/pki/kubelet.key": secret(serving.key),
  };
}

/** The files of a node: kubelet and pod network. */
export async function nodeFiles(kubernetes: Kubernetes, node: NodeIdentity): Promise<Files> {
  const ca = await kubernetesAuthority(kubernetes);
  const [client, serving] = await Promise.all([
    clientKubeconfig(kubernetes, `kubelet-${node.name}`, `system:node:${node.name}`, "system:nodes"),
    kubeletServingFiles(kubernetes, node.name, [node.address]),
  ]);
  return {
    "/etc/kubernetes/pki/ca.crt": { content: ca.certificate },
    ...serving,
    "/etc/kubernetes/kubelet.kubeconfig": secret(client),
    "/etc/kubernetes/kubelet.json": {
      content: json({
        apiVersion: "kubelet.config.k8s.io/v1beta1",
        kind: "KubeletConfiguration",
        authentication: {
          anonymous: { enabled: false },
          webhook: { enabled: true },
          x509: { clientCAFile: "/etc/kubernetes/pki/ca.crt" },
        },
        authorization: { mode: "Webhook" },
        tlsCertFile: "/etc/kubernetes/pki/kubelet.crt",
        tlsPrivateKeyFile: "/etc/kubernetes/pki/kubelet.key",
        containerRuntimeEndpoint: "unix:///run/containerd/containerd.sock",
        // It renews its Lease each 2 s, where the default of 40 makes that 10: who waits for a node waits for that.
        nodeLeaseDurationSeconds: 8,
        cgroupDriver: "cgroupfs",
        resolvConf: "/etc/resolv.conf",
        ...(node.controlPlane
          ? { registerWithTaints: [{ key: "node-role.kubernetes.io/control-plane", effect: "NoSchedule" }] }
          : {}),
        // A machine of the lab has no disk, swap or score of its own to manage.
        localStorageCapacityIsolation: false,
        failSwapOn: false,
        evictionHard: {},
        imageGCHighThresholdPercent: 100,
        oomScoreAdj: 0,
        makeIPTablesUtilChains: false,
      }),
    },
    "/etc/cni/net.d/10-lab.conflist": {
      content: json({
        cniVersion: "0.4.0",
        name: "lab",
        plugins: [
          {
            type: "bridge",
            bridge: "cni0",
            isGateway: true,
            ipam: {
              type: "host-local",
              ranges: [[{ subnet: node.podSubnet }]],
              routes: [{ dst: "0.0.0.0/0" }],
            },
          },
          { type: "portmap", capabilities: { portMappings: true } },
        ],
      }),
    },
  };
}

/** The settings that a machine's units and its boot script read. */
export function machineEnvironment(settings: Readonly<Record<string, string>>): Files {
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`);
  return { "/etc/lab/machine.env": { content: lines.join("") } };
}

/** `/etc/hosts` of a machine. `names` maps further names to addresses. */
export function hostsFile(machine: string, names: Readonly<Record<string, string>> = {}): Files {
  const lines = Object.entries({ localhost: "127.0.0.1", [machine]: "127.0.1.1", ...names });
  return { "/etc/hosts": { content: lines.map(([name, address]) => `${address} ${name}\n`).join("") } };
}

/** The API of a Kubernetes, with the administrator's rights. */
export class AdminClient {
  private constructor(
    private readonly kubectlPath: string,
    private readonly name: string,
    /** The administrator's kubeconfig. */
    readonly kubeconfigFile: string,
  ) {}

  static async for(kubernetes: Kubernetes, kubernetesTools: string): Promise<AdminClient> {
    const file = path.join(runFolder, "admin", `${kubernetes.name}.kubeconfig`);
    replaceFile(file, await adminKubeconfig(kubernetes));
    return new AdminClient(path.join(kubernetesTools, "kubectl"), kubernetes.name, file);
  }

  kubectl(args: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    const cache = path.join(path.dirname(this.kubeconfigFile), "cache");
    return exec(this.kubectlPath, ["--kubeconfig", this.kubeconfigFile, "--cache-dir", cache, ...args], {
      timeout: patience,
      ...options,
    });
  }

  /** The same for what may be done twice: an API server of a busy machine may be silent for a moment. */
  repeatably(args: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    return again(
      () => this.kubectl(args, options),
      () => true,
    );
  }

  /** Gives objects as JSON; of a single object's path that object. */
  async get<T>(...args: string[]): Promise<T> {
    return JSON.parse((await this.kubectl(["get", "--output", "json", ...args])).stdout) as T;
  }

  /** Applies objects, as a server-side apply of the lab's. */
  async apply(...objects: readonly unknown[]): Promise<void> {
    await this.repeatably(
      ["apply", "--server-side", "--force-conflicts", "--field-manager", "lab", "--filename", "-"],
      {
        input: json({ apiVersion: "v1", kind: "List", items: objects }),
      },
    );
  }

  /** Creates objects that aren't there. */
  async create(objects: readonly unknown[]): Promise<void> {
    await this.kubectl(["create", "--filename", "-"], {
      input: json({ apiVersion: "v1", kind: "List", items: objects }),
    });
  }

  /** Waits until the API server says that it is ready. */
  async ready(): Promise<void> {
    await eventually(`the API server of ${this.name} is ready`, async () => {
      await this.kubectl(["get", "--raw", "/readyz", "--request-timeout", "30s"]);
      return true;
    });
  }

  /** Waits until a namespace has its default service account: before that, no pod can be made there. */
  async takesPods(namespace: string): Promise<void> {
    await eventually(`the namespace ${namespace} has its default service account`, async () => {
      await this.kubectl(["get", "serviceaccount", "default", "--namespace", namespace]);
      return true;
    });
  }
}
