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

/** Of which set of nodes a finding is. */
interface OfTrust {
  /** The set's name: its `RegistryTrust`'s. */
  readonly registryTrust: string;
}

/** What is said beside the findings themselves. */
export interface ProblemFinding extends Problem {
  /** The set of nodes that it is of; `null` for the whole stack. */
  readonly registryTrust: string | null;
}

export interface RegistryFinding extends OfTrust {
  /** As in image names. */
  readonly host: string;
  readonly certificates: readonly CertificateFinding[];
  /**
   * Whether nodes accept the certificate that it serves to this machine, with the CAs that they have. `null`: it was not
   * reached, or no node could be asked for its CAs.
   */
  readonly verifies: Answer;
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

export interface NodeFinding extends OfTrust {
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
  /** What the node has of other stacks: those that are in use, and those whose state is lost. No set of this stack is one. */
  readonly records: readonly StackFinding[];
  /** Files with our prefix that no stack's record on the node claims. */
  readonly unclaimed: readonly string[];
}

/** A node of the cluster that the settings of the last run leave out: nothing of it is asked. */
export interface ExcludedFinding extends OfTrust {
  readonly name: string;
  /** What leaves it out: `nodes.exclude (kubernetes.io/os=windows)`. */
  readonly by: string;
  /** Whether the stack still has it: its CA has yet to be removed. */
  readonly inStack: boolean;
}

/** A stack as nodes and objects name it. */
export interface StackFinding {
  readonly owner: string;
  /** `null` for a stack of a release that made no ids. */
  readonly id: string | null;
}

/** An object with our labels that the state does not have. */
export interface ObjectFinding extends StackFinding {
  /** `Secret`, `Deployment`, `Pod`. */
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** Whether it is this stack's, of whichever set of nodes. */
  readonly ours: boolean;
  /** The set of nodes in whose cluster it was found. */
  readonly registryTrust: string;
}

/** The output of `--json`. */
export interface Findings {
  readonly version: 1;
  readonly stack: string;
  /** The time of the checks, ISO 8601. */
  readonly checkedAt: string;
  /** Whether `problems` is empty. The exit code is then 0, and otherwise 1, or 2 where `unchecked` has a set. */
  readonly ok: boolean;
  readonly registries: readonly RegistryFinding[];
  /** Sorted by name, set after set. A node that several sets have is there for each. */
  readonly nodes: readonly NodeFinding[];
  /** The nodes that are left out, in the order of their names, set after set. */
  readonly excluded: readonly ExcludedFinding[];
  /** Those in the workload cluster and in the Supervisor namespace: of a cluster that several sets have, for each. */
  readonly objects: readonly ObjectFinding[];
  readonly problems: readonly ProblemFinding[];
  /** Problems that leave `ok` true. */
  readonly warnings: readonly ProblemFinding[];
  /** What is there of other stacks, which may well be as it should be. */
  readonly notes: readonly ProblemFinding[];
  /** The sets of nodes that could not be asked, by their names: `problems` says why. */
  readonly unchecked: readonly string[];
}
