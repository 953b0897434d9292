import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";

/**
 * The provider's class copies $KUBECONFIG into its inputs, and so into the state, where the path would be another
 * operator's. Left out, the plugin reads the same variable of whoever runs it.
 */
const ambientKubeconfig: pulumi.ResourceTransformation = ({ props, opts }) => ({
  props: { ...(props as object), kubeconfig: undefined },
  opts,
});

/**
 * A provider for the objects of one cluster.
 *
 * Objects whose creation was cut off exist without being in the state, so creating takes over what is there; the plan
 * has made sure that nobody else's is.
 *
 * @param context - The kubeconfig context.
 * @param clusterIdentifier - Never changes: a changed one would replace the provider, and then delete the new objects as
 * the old ones.
 */
export function clusterProvider(name: string, context: string, clusterIdentifier: string): k8s.Provider {
  return new k8s.Provider(
    name,
    {
      ...{ enableServerSideApply: true, upsertExistingObjects: true, enableSecretMutable: true },
      ...{ context, clusterIdentifier },
    },
    { transformations: [ambientKubeconfig] },
  );
}
