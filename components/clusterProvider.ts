import { Provider } from "@pulumi/kubernetes/provider";
import type * as pulumi from "@pulumi/pulumi";

/**
 * The provider's class copies $KUBECONFIG into its inputs, and so into the state: a path of one operator's machine.
 * Without that input, the plugin reads the variable of whoever runs it.
 */
const ambientKubeconfig: pulumi.ResourceTransformation = ({ props, opts }) => ({
  props: { ...(props as object), kubeconfig: undefined },
  opts,
});

/**
 * A provider for the objects of one cluster.
 *
 * An interrupted run leaves objects that the state lacks, so creating upserts. The plan has checked that no object
 * belongs to somebody else.
 *
 * @param context - The kubeconfig context.
 * @param clusterIdentifier - Must never change: another one would replace the provider and its objects, and then delete
 * the new objects by the old ones' names.
 */
export function clusterProvider(
  name: string,
  context: string,
  clusterIdentifier: string,
  opts: pulumi.CustomResourceOptions,
): Provider {
  return new Provider(
    name,
    {
      ...{ enableServerSideApply: true, upsertExistingObjects: true, enableSecretMutable: true },
      ...{ context, clusterIdentifier },
    },
    { ...opts, transformations: [ambientKubeconfig] },
  );
}
