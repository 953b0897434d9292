import * as command from "@pulumi/command";
import type * as pulumi from "@pulumi/pulumi";
import type { Canary } from "../nodes/protocol/spec";

/** What the state has of the node that goes first. */
export const canaryEnvironment = (canary: Canary | undefined): Record<string, string> =>
  canary === undefined ? {} : { TKC_REGISTRY_CANARY: JSON.stringify(canary) };

/**
 * What a run plans, as a digest: the first resource of all, on which the others depend. The engine holds a saved plan
 * against a run resource by resource, and so refuses a run that plans anything else before it touches anything.
 *
 * Its commands do nothing, and it has none for its deletion.
 *
 * @param canary - The node that goes first: the state has it before that node is touched, and so where the run fails there.
 */
export function plannedRun(
  name: string,
  digest: pulumi.Input<string>,
  canary: Canary | undefined,
  opts: pulumi.CustomResourceOptions,
): pulumi.Resource {
  return new command.local.Command(
    `${name}-plan`,
    {
      create: "true",
      environment: { TKC_REGISTRY_PLAN: digest, ...canaryEnvironment(canary) },
      logging: command.local.Logging.Stderr,
    },
    opts,
  );
}
