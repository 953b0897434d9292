/**
 * The findings of `npm run verify`, as `--json` prints them: an interface, to which fields may be added.
 * No field is ever changed or removed. Nothing here decides or prints.
 */
import type { ClusterNode } from "../../kubernetes/types";
import type { Problem } from "../../support/errors";

/** `null` if the check was not made, or could not be made. */
export type Answer = boolean | null;

/** A certificate that nodes are to trust. */
export interface CertificateFinding {
  /** SHA-256 of the DER, lower-case hex. */
  readonly sha256: string;
  /** `null` if the state does not have it, since the last run did not complete. */
  readonly subject: string | null;
  /** ISO 8601; `null` for the same reason. */
  readonly notAfter: string | null;
  /** Whole days from now; negative if it has expired. */
  readonly daysLeft: number | null;
  readonly validity: "valid" | "expiring" | "expired" | "unknown";
}

export interface RegistryFinding {
  /** As in image names. */
  readonly host: string;
  readonly certificates: readonly CertificateFinding[];
}

/** One registry's CA on one node. A field is true only if it holds for each certificate of the CA. */
export interface TrustFinding {
  readonly host: string;
  /** Whether all fields below are true. */
  readonly ok: boolean;
  /** Whether its file exists and has the expected content. */
  readonly caFile: Answer;
  /** Whether it is in the place that containerd reads: Go's CA bundle, or the registry's folder (see `trust`). */
  readonly read: Answer;
  /** Whether containerd was started after our last change to that place. */
  readonly loaded: Answer;
}

/** The pull of an image on a node. */
export interface PullFinding {
  readonly image: string;
  readonly ok: boolean;
  /** The kubelet's message if the pull failed. */
  readonly message: string | null;
}

export interface NodeFinding {
  readonly name: string;
  /** `null` if the cluster no longer has the node. */
  readonly role: ClusterNode["role"] | null;
  /** Whether no check of this node found a problem. */
  readonly ok: boolean;
  /** Whether the cluster has the node. */
  readonly inCluster: boolean;
  /** Whether the stack has the node, with the same UID. */
  readonly inStack: boolean;
  /** Whether the node's SSH server answered. */
  readonly reachable: Answer;
  /** Whether it has the host key that the state or the settings pin. */
  readonly hostKeyAsPinned: Answer;
  /** The node's trust mode: `system` is its trust store, `certs.d` is containerd's folders. */
  readonly trust: "system" | "certs.d" | null;
  /** ISO 8601. */
  readonly containerdStarted: string | null;
  readonly registries: readonly TrustFinding[];
  /** Empty without `--pull`. */
  readonly pulls: readonly PullFinding[];
}

/** The output of `--json`. */
export interface Findings {
  readonly version: 1;
  readonly stack: string;
  /** The time of the checks, ISO 8601. */
  readonly checkedAt: string;
  /** Whether `problems` is empty. The exit code is then 0, and otherwise 1. */
  readonly ok: boolean;
  readonly registries: readonly RegistryFinding[];
  /** Sorted by name. */
  readonly nodes: readonly NodeFinding[];
  readonly problems: readonly Problem[];
  /** Problems that leave `ok` true. */
  readonly warnings: readonly Problem[];
}
