import { Provider } from "@pulumi/kubernetes/provider";
import * as pulumi from "@pulumi/pulumi";
import type { TrustRun } from "./trustRun";

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

/**
 * A promise whose failure others report. Node.js would tell of it, and then that it was handled late, where these take it
 * up after it failed.
 */
export function reportedElsewhere<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

/**
 * Runs what a component does before it declares its children. The SDK lets a program end that has nothing to register at
 * the moment, and does not know that this one will have.
 */
export async function initializing<T>(work: () => Promise<T>): Promise<T> {
  const done = pulumi.runtime.rpcKeepAlive();
  try {
    await Promise.resolve(); // initialize() is called before the constructor has set anything
    return await work();
  } finally {
    done();
  }
}

/** The names that a component had in earlier runs, by its aliases. */
export function aliasNames(opts: pulumi.ComponentResourceOptions | undefined): string[] {
  return (opts?.aliases ?? []).flatMap((alias) => {
    if (typeof alias === "string") return alias.split("::").at(-1) ?? [];
    return "name" in alias && typeof alias.name === "string" ? alias.name : [];
  });
}

/** Whether a component's own options, not its parent's, give a provider of Kubernetes. */
export function givesKubernetes({ provider, providers }: pulumi.ComponentResourceOptions = {}): boolean {
  return [provider, ...Object.values(providers ?? {})].some((each) => Provider.isInstance(each));
}

/**
 * Options for the Kubernetes objects of a component: after what it comes after, and by the provider that its user gave, or
 * else by the cluster's.
 *
 * @param after - What every object waits for.
 * @returns The options, given whether the object outlives the stack.
 */
export function childOptions(
  component: pulumi.ComponentResource,
  after: readonly pulumi.Resource[],
  opts: pulumi.ComponentResourceOptions | undefined,
  clusterProvider: () => Provider,
): (outlives: boolean) => pulumi.CustomResourceOptions {
  const given = component.getProvider("kubernetes:core/v1:Secret");
  return (outlives) => ({
    parent: component,
    dependsOn: [...dependencies(opts), ...after],
    ...(given ? {} : { provider: clusterProvider() }),
    ...(outlives || opts?.retainOnDelete === true ? { retainOnDelete: true } : {}),
  });
}

/** What the state shows as a component's inputs. */
export function shownInputs<Shown extends object>(
  shown: Promise<Shown>,
  names: readonly (keyof Shown & string)[],
  run: TrustRun,
): pulumi.Inputs {
  const values = names.map((name) => [name, reportedElsewhere(shown.then((all) => all[name]))] as const);
  return { ...Object.fromEntries(values), owner: run.owner };
}
