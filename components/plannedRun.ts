import * as command from "@pulumi/command";
import type * as pulumi from "@pulumi/pulumi";

/**
 * What a run plans, as a digest: the first resource of all, on which the others depend. The engine holds a saved plan
 * against a run resource by resource, and so refuses a run that plans anything else before it touches anything.
 *
 * Its commands do nothing, and it has none for its deletion.
 */
export function plannedRun(
  name: string,
  digest: pulumi.Input<string>,
  opts: pulumi.CustomResourceOptions,
): pulumi.Resource {
  return new command.local.Command(
    `${name}-plan`,
    {
      create: "true",
      environment: { TKC_REGISTRY_PLAN: digest },
      logging: command.local.Logging.Stderr,
    },
    opts,
  );
}
