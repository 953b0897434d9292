/**
 * A node's command, as the state records it: whatever differs there makes Pulumi run it again. The id and the nonce are
 * left out.
 */
import {
  type NodeEnvironment,
  type NodeTarget,
  type TrustMode,
  type TrustedCertificate,
  type UnreachablePolicy,
  defaults,
  nodeEnvironment,
} from "../nodes/protocol/spec";
import { serviceCommand } from "../nodes/service/serviceProtocol";

/** How to remove the certificates. At `destroy` no program runs. */
export interface RemovalArgs {
  /** Whether an unreachable node fails the run or is skipped. */
  readonly unreachable: UnreachablePolicy;
  /** Whether to restart a containerd that has loaded the certificates after they are removed. */
  readonly restart: boolean;
}

/** The delete command that the state records. Its arguments and environment hold all that it needs. */
export function removalCommand(verb: "remove" | "sweep", { unreachable, restart }: RemovalArgs): string {
  const options = [
    ...(unreachable === "fail" ? [] : ["--unreachable", unreachable]),
    ...(restart ? [] : ["--no-restart"]),
  ];
  return [`node -e "require('tkc-registry/run')" v1 ca ${verb}`, ...options].join(" ");
}

/** The environment for a timeout that differs from the default. */
export function readyTimeoutEnvironment(seconds: number): NodeEnvironment {
  return seconds === defaults.readyTimeout ? {} : { TKC_REGISTRY_READY_TIMEOUT: String(seconds) };
}

/** What is the same for all nodes. */
export interface Installation {
  /** The certificates that each node is to trust. */
  readonly certificates: readonly TrustedCertificate[];
  readonly trustMode: TrustMode;
  readonly removal: RemovalArgs;
  /** SHA-256 of the script that may run on nodes. */
  readonly scriptSha256: string;
  /** The stack's readable name, which nodes record with what was installed. */
  readonly owner: string;
  /** How long a node may take to be Ready after a restart of containerd. */
  readonly readyTimeoutSeconds: number;
}

/** The command that makes a node trust the certificates, and takes them out again. */
export interface NodeCommand {
  readonly create: string;
  readonly delete: string;
  readonly environment: Readonly<Record<string, string>>;
}

/** The command of a node. */
export function nodeCommand(target: NodeTarget, installation: Installation): NodeCommand {
  const { certificates, trustMode, removal, scriptSha256, owner, readyTimeoutSeconds } = installation;
  return {
    create: serviceCommand("ca apply"),
    delete: removalCommand("remove", removal),
    environment: {
      ...nodeEnvironment(target),
      TKC_REGISTRY_OWNER: owner,
      TKC_REGISTRY_TRUST: JSON.stringify(certificates),
      ...(trustMode === defaults.trustMode ? {} : { TKC_REGISTRY_TRUST_BY: trustMode }),
      TKC_REGISTRY_SCRIPT_SHA256: scriptSha256,
      ...readyTimeoutEnvironment(readyTimeoutSeconds),
    },
  };
}
