/** The stack's outputs: an interface to other stacks and to scripts. docs/outputs.md describes it. */
import * as pulumi from "@pulumi/pulumi";
import type { ExcludedNode, TrustedRegistry } from "./registryTrustArgs";
import type { NodeTrust } from "./trustedNode";

/** The outputs as `pulumi stack output --json` and a `StackReference` give them. */
export interface StackOutputs {
  /** The jumpbox pod's name; null where the stack has none of its own. */
  readonly jumpbox: string | null;
  /** What each node said when it was last touched. */
  readonly nodes: readonly NodeTrust[];
  /** The cluster's nodes that are left out; absent where no setting leaves any out. */
  readonly excludedNodes?: readonly ExcludedNode[];
  /** The registries, with the certificates that the nodes trust. */
  readonly registries: readonly TrustedRegistry[];
  /** The pull secret's name; null where no registry has credentials. */
  readonly pullSecret: string | null;
  /** The Deployment's name; null where there is none. */
  readonly deployment: string | null;
  /** The image that its pods run, as they name it; null where there is none. */
  readonly image: string | null;
}

/** The outputs as the program gives them. */
export type ProgramOutputs = {
  readonly [Name in keyof StackOutputs]: pulumi.Input<StackOutputs[Name]>;
};

/**
 * Keeps, where a run fails, what the state says of outputs that the run does not come to know. The engine keeps an output
 * of a failed run that the program leaves out, and takes one whose value is unknown for removed. It keeps none of a
 * program that it ends before any were registered, or shows them as removed; so an empty set is registered first.
 */
export async function keepingKnown(outputs: ProgramOutputs): Promise<Partial<ProgramOutputs>> {
  const stack = pulumi.runtime.getStackResource();
  if (stack) pulumi.runtime.registerResourceOutputs(stack, {});
  if (pulumi.runtime.isDryRun()) return outputs;
  // What rejects is the SDK's to report.
  const values = await pulumi.runtime.serializeProperties("outputs", outputs).catch(() => ({}));
  const known = Object.entries(outputs).filter(
    ([name]) => (values as Record<string, unknown>)[name] !== pulumi.runtime.unknownValue,
  );
  return Object.fromEntries(known);
}
