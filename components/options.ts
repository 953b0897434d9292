import type * as pulumi from "@pulumi/pulumi";

/**
 * The `dependsOn` of a component, for its children. The SDK does not pass it on, so the children would start before the
 * component's dependencies exist.
 */
export function dependencies(
  opts: pulumi.ComponentResourceOptions | undefined,
): pulumi.Input<pulumi.Resource>[] {
  const given = opts?.dependsOn ?? [];
  return (Array.isArray(given) ? given : [given]) as pulumi.Input<pulumi.Resource>[];
}
