import type * as pulumi from "@pulumi/pulumi";

/**
 * What a component was told to wait for, for handing on to its children: the SDK doesn't, so without this they
 * would start while their component's dependencies are still being made.
 */
export function dependencies(
  opts: pulumi.ComponentResourceOptions | undefined,
): pulumi.Input<pulumi.Resource>[] {
  const given = opts?.dependsOn ?? [];
  return (Array.isArray(given) ? given : [given]) as pulumi.Input<pulumi.Resource>[];
}
