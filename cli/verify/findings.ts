/**
 * What `npm run verify` found: {@link Findings} is what `--json` prints, an interface. Fields may be added.
 * None is ever changed or removed, and nothing here decides or prints.
 */
import type { ClusterNode } from "../../kubernetes/types";
import type { Problem } from "../../support/errors";

/** `null` wherever a check could not be made, or wasn't. */
export type Answer = boolean | null;

/** A certificate that nodes are to trust. */
export interface CertificateFinding {
  /** SHA-256 of the DER, lower-case hex. */
  readonly sha256: string;
  /** `null` where the last run never came to the end, so that the state doesn't know. */
  readonly subject: string | null;
  /** ISO 8601; `null` as above. */
  readonly notAfter: string | null;
  /** Whole days from now; negative once it has expired. */
  readonly daysLeft: number | null;
  readonly validity: "valid" | "expiring" | "expired" | "unknown";
}

export interface RegistryFinding {
  /** As in image names. */
  readonly host: string;
  readonly certificates: readonly CertificateFinding[];
}

/** One registry's CA on one node: true only where it is so for each of its certificates. */
export interface TrustFinding {
  readonly host: string;
  /** All of the below. */
  readonly ok: boolean;
  /** Its file is there, of the expected content. */
  readonly caFile: Answer;
  /** It is where containerd reads it: in the bundle that Go programs read, or in the registry's folder (`trust`). */
  readonly read: Answer;
  /** containerd was started after our last change of what it reads. */
  readonly loaded: Answer;
}

/** A pull that was tried. */
export interface PullFinding {
  readonly image: string;
  readonly ok: boolean;
  /** What the kubelet said of a failed one. */
  readonly message: string | null;
}

export interface NodeFinding {
  readonly name: string;
  /** `null` for a node that is gone. */
  readonly role: ClusterNode["role"] | null;
  /** Nothing of what was looked at is wrong. */
  readonly ok: boolean;
  /** Whether the cluster has it, and the stack: the very same, by its UID. */
  readonly inCluster: boolean;
  readonly inStack: boolean;
  /** SSH answered. */
  readonly reachable: Answer;
  /** It showed the host key that the state, or the settings, pin. */
  readonly hostKeyAsPinned: Answer;
  /** By which way it trusts: its trust store, or containerd's folders. */
  readonly trust: "system" | "certs.d" | null;
  /** ISO 8601. */
  readonly containerdStarted: string | null;
  readonly registries: readonly TrustFinding[];
  /** Empty without `--pull`. */
  readonly pulls: readonly PullFinding[];
  /** What the node has of other stacks: those that are in use, and those whose state is lost. */
  readonly records: readonly StackFinding[];
  /** Files with our prefix that no stack's record on the node claims. */
  readonly unclaimed: readonly string[];
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
  /** Whether it is this stack's. */
  readonly ours: boolean;
}

/** All that was found. */
export interface Findings {
  readonly version: 1;
  readonly stack: string;
  /** When it was asked, ISO 8601. */
  readonly checkedAt: string;
  /** There is no problem. The exit code is 0 then, and otherwise 1. */
  readonly ok: boolean;
  readonly registries: readonly RegistryFinding[];
  /** In the order of their names. */
  readonly nodes: readonly NodeFinding[];
  /** Those in the workload cluster and in the Supervisor namespace. */
  readonly objects: readonly ObjectFinding[];
  readonly problems: readonly Problem[];
  /** What doesn't make `ok` false. */
  readonly warnings: readonly Problem[];
  /** What is there of other stacks, which may well be as it should be. */
  readonly notes: readonly Problem[];
}
