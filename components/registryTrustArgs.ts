/** The arguments of a `RegistryTrust`, and what it tells of its registries. */
import type * as pulumi from "@pulumi/pulumi";
import type { TrustMode, UnreachablePolicy } from "../nodes/protocol/spec";

/** The workload cluster, and how the operator's kubeconfig names its contexts. All are plain: they decide what is asked. */
export interface ClusterArgs {
  /** The Supervisor namespace that holds the cluster, such as `ns1`. */
  readonly namespace: string;
  /** The Tanzu Kubernetes cluster's name, such as `tkc-cluster-1`. */
  readonly name: string;
  /** The kubeconfig context of the Supervisor. Default: the namespace, as `kubectl vsphere login` names it. */
  readonly supervisorContext?: string;
  /** The kubeconfig context of the workload cluster. Default: the cluster's name. */
  readonly context?: string;
}

/** What the CA of any source can be held against. */
interface PinnedCa {
  /** The fingerprint of the certificate: 64 hexadecimal digits, with colons or without. */
  readonly sha256?: pulumi.Input<string>;
}

/** A CA that the registry itself serves. It needs `sha256` or `trustOnFirstUse`. */
export interface ServedCaArgs extends PinnedCa {
  /**
   * `harbor`: Harbor's own download (`/api/v2.0/systeminfo/getcert`). `chain`: the last certificate of the chain that the
   * registry shows.
   */
  readonly from: "harbor" | "chain";
  /** Believe what the registry shows the first time, and insist on it afterwards. Default: false. */
  readonly trustOnFirstUse?: boolean;
}

/** A CA in a file. */
export interface FileCaArgs extends PinnedCa {
  /** `file`. */
  readonly from: "file";
  /** The path of a PEM file on the machine that runs the program. */
  readonly path: string;
}

/** A CA that the program has. */
export interface InlineCaArgs extends PinnedCa {
  /** `inline`. */
  readonly from: "inline";
  /** The certificate as PEM text. Several make several certificates that are trusted. */
  readonly pem: pulumi.Input<string>;
}

/** Where a registry's CA certificate comes from. */
export type CaArgs = ServedCaArgs | FileCaArgs | InlineCaArgs;

/** A login to a registry. */
export interface PasswordArgs {
  /** A user, or a robot account, without colon. */
  readonly username: pulumi.Input<string>;
  /** Kept as a secret, whether it is marked as one or not. */
  readonly password: pulumi.Input<string>;
}

/** A login to a registry from docker's config, its credential helpers included. */
export interface DockerConfigArgs {
  /** `dockerConfig`. */
  readonly from: "dockerConfig";
  /** The path of a `config.json`. Default: as docker looks for it. */
  readonly path?: string;
}

/** No login: the registry's images are public. */
export interface NoCredentialsArgs {
  /** `none`. */
  readonly from: "none";
}

/** How to log in to a registry. */
export type CredentialsArgs = PasswordArgs | DockerConfigArgs | NoCredentialsArgs;

/** A registry that the nodes are to trust. */
export interface RegistryArgs {
  /** Its name as image names have it: `host` or `host:port`. Plain: it names files on the nodes. */
  readonly host: string;
  /** Default: `harbor`. */
  readonly kind?: "harbor" | "generic";
  /** Its CA. */
  readonly ca: CaArgs;
  /** Default: docker's config. */
  readonly credentials?: CredentialsArgs;
  /**
   * Whether a run is refused where a node that it is to install does not reach the registry. Default: true; `false`, for
   * a registry that comes later, makes that a warning.
   */
  readonly requireReachable?: boolean;
}

/** A bastion, through which nodes are reached by SSH. */
export interface BastionArgs {
  /** Its address or host name. */
  readonly host: string;
  /** Default: 22. */
  readonly port?: number;
  /** The user to log in to it with. */
  readonly user: string;
  /** Its host key as `ssh-keygen -lf` prints it: `SHA256:` and 43 characters. */
  readonly hostKey: string;
  /** A private key's path. Default: that of the nodes. */
  readonly sshKeyFile?: string;
}

/** How nodes are reached and done. */
export interface NodesArgs {
  /** The SSH user. Default: `vmware-system-user`. */
  readonly user?: string;
  /** A private key's path. Default: the key in the Supervisor's secret `<cluster>-ssh`. */
  readonly sshKeyFile?: string;
  /** Host keys by node name, `SHA256:…`. Others are noted at the first contact. */
  readonly hostKeys?: Readonly<Record<string, string>>;
  /** A label selector, as `kubectl -l` takes it: nodes that it does not mean are left out. Default: none is. */
  readonly select?: string;
  /** A label selector: nodes that it means are left out, such as `kubernetes.io/os=windows`. */
  readonly exclude?: string;
  /** How many workers are done at once, 1 to 256. Default: 8. Control-plane nodes go one at a time. */
  readonly workersAtOnce?: number;
  /** Whether a preview asks every node what it trusts. Default: true. */
  readonly inspect?: boolean;
  /** Seconds that a node may take to be Ready after a restart of containerd, 10 to 3600. Default: 300. */
  readonly readyTimeoutSeconds?: number;
}

/** Workers that are done together, before those of later waves. */
export interface WaveArgs {
  /** A label selector: the workers of this wave that no earlier one means. */
  readonly select: string;
  /** How many of them are done at once, 1 to 256. Default: that of all workers. */
  readonly workersAtOnce?: number;
  /** Seconds that a run waits after this wave. Default: that of all waves. */
  readonly pauseSeconds?: number;
}

/** What the first node pulls. */
export interface CanaryArgs {
  /** An image of one of the registries. */
  readonly image: pulumi.Input<string>;
}

/** In which order nodes are done: the control plane first, then the workers. */
export interface RolloutArgs {
  /**
   * Whether a run with something to install does one worker first, and touches no other node before that one has pulled
   * this image, or those of the Deployments that are declared with the `RegistryTrust`. Default: true.
   */
  readonly canary?: boolean | CanaryArgs;
  /** The order of the workers, such as pool by pool. Those that no wave means come last. Default: all are done together. */
  readonly waves?: readonly (string | WaveArgs)[];
  /** Seconds that a run waits after each wave in which it installed anything, 0 to 86400. Default: 0. */
  readonly pauseSeconds?: number;
}

/** The pod through which nodes are reached. */
export interface JumpboxPodArgs {
  /** The pod's name. Default: the component's with `-jumpbox`. */
  readonly name?: string;
  /** An image with bash, nc or socat, best by digest. Default: `ubuntu:latest`. */
  readonly image?: pulumi.Input<string>;
  /** The Secret of the Supervisor namespace by which the image is pulled. Default: none. */
  readonly pullSecret?: string;
  /** Whether an SSH client is installed in the pod, for people. The stack needs none. Default: true. */
  readonly install?: boolean;
}

/** Arguments of `RegistryTrust`. */
export interface RegistryTrustArgs {
  /** The cluster whose nodes are to trust the registries. */
  readonly cluster: ClusterArgs;
  /** At least one. A plain list: it decides what is on the nodes. */
  readonly registries: readonly RegistryArgs[];
  /** How nodes are reached: through a pod in the Supervisor namespace, a bastion, or directly. Default: `jumpbox`. */
  readonly access?: "jumpbox" | "bastion" | "direct";
  /** Needed where `access` is `bastion`. */
  readonly bastion?: BastionArgs;
  /** The jumpbox pod, where `access` is `jumpbox`. */
  readonly jumpbox?: JumpboxPodArgs;
  /** How nodes are reached and done. */
  readonly nodes?: NodesArgs;
  /** In which order nodes are done. */
  readonly rollout?: RolloutArgs;
  /** By the system's trust store, by containerd's folder for the registry, or the latter where there is one. Default: `system`. */
  readonly trust?: TrustMode;
  /** What a node that can't be reached does to the run. Default: `fail`. */
  readonly unreachableNodes?: UnreachablePolicy;
  /** Whether containerd is restarted when the certificates are removed. Default: true. */
  readonly restartOnRemoval?: boolean;
  /** Whether a jumpbox pod that is there already is used. Default: false. */
  readonly adopt?: boolean;
}

/** A certificate that the nodes trust. */
export interface RegistryCertificate {
  /** Its subject: `O=example, CN=harbor-ca`. */
  readonly subject: string;
  /** Its fingerprint: 64 hexadecimal digits. */
  readonly sha256: string;
  /** When it expires, ISO 8601. */
  readonly notAfter: string;
}

/** A registry that the nodes trust. */
export interface TrustedRegistry {
  /** Its name as image names have it. */
  readonly host: string;
  /** Where its CA came from, in words. */
  readonly source: string;
  /** The certificates of its CA. */
  readonly certificates: readonly RegistryCertificate[];
}

/** A node of the cluster that is left alone. */
export interface ExcludedNode {
  /** Its name. */
  readonly name: string;
  /** What leaves it out: `nodes.exclude (kubernetes.io/os=windows)`. */
  readonly by: string;
}
