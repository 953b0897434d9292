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

/**
 * The options of a component itself: without `dependsOn`, which its children have. With `--continue-on-error` the engine
 * skips what depends on a failure, and a skipped component that registers its outputs is an error of its own.
 */
export function withoutDependencies(
  opts: pulumi.ComponentResourceOptions | undefined,
): pulumi.ComponentResourceOptions {
  return { ...opts, dependsOn: [] };
}
