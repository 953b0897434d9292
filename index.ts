import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { assertBuildIsFresh } from "./build";
import { Jumpbox } from "./components/jumpbox";
import { stackOwner } from "./components/ownership";
import { PullSecret } from "./components/pullSecret";
import { RegistryDeployment } from "./components/registryDeployment";
import { TrustedNodes } from "./components/trustedNodes";
import { readSettings } from "./config";
import { UserError } from "./errors";
import { nodeScript } from "./nodes/script";
import { preflight } from "./preflight";

/**
 * The provider's class copies $KUBECONFIG into its inputs, and so into the state, where the path would be another
 * operator's. Left out, the plugin reads the same variable of whoever runs it.
 */
const ambientKubeconfig: pulumi.ResourceTransformation = ({ props, opts }) => ({
  props: { ...(props as object), kubeconfig: undefined },
  opts,
});

async function jumpboxOfLastRun(): Promise<unknown> {
  const itself = `${pulumi.getOrganization()}/${pulumi.getProject()}/${pulumi.getStack()}`;
  return (await new pulumi.StackReference(itself).getOutputDetails("jumpbox")).value;
}

async function stack() {
  assertBuildIsFresh();
  const settings = readSettings();
  const owner = stackOwner(pulumi.getProject(), pulumi.getStack());
  const parallel = Number(process.env["PULUMI_NODEJS_PARALLEL"]); // the language host's word for --parallel
  const plan = await preflight(settings, owner, jumpboxOfLastRun, parallel > 0 ? parallel : undefined);
  for (const warning of plan.warnings) await pulumi.log.warn(warning);

  // Objects whose creation was cut off exist without being in the state, so creating takes over what is there;
  // the preflight has made sure that nobody else's is. The identifiers never change: a changed one would replace
  // the provider, and then delete the new objects as the old ones.
  const common = { enableServerSideApply: true, upsertExistingObjects: true, enableSecretMutable: true };
  const supervisor = new k8s.Provider(
    "supervisor",
    { ...common, context: settings.supervisorContext, clusterIdentifier: settings.namespace },
    { transformations: [ambientKubeconfig] },
  );
  const cluster = new k8s.Provider(
    "cluster",
    {
      ...common,
      context: settings.clusterContext,
      clusterIdentifier: `${settings.namespace}/${settings.cluster}`,
    },
    { transformations: [ambientKubeconfig] },
  );

  const jumpbox = plan.jumpbox.create
    ? new Jumpbox(
        "jumpbox",
        { ...settings.jumpbox, namespace: settings.namespace, cluster: settings.cluster, owner },
        { providers: [supervisor] },
      )
    : undefined;

  const nodes = new TrustedNodes(
    settings.cluster,
    {
      nodes: plan.nodes,
      cas: plan.cas,
      script: nodeScript(),
      access: plan.access,
      user: settings.nodes.user,
      sshKey: plan.sshKey,
      hostKeys: settings.nodes.hostKeys,
      clusterContext: settings.clusterContext,
      workersAtOnce: settings.nodes.workersAtOnce,
      readyTimeoutSeconds: settings.nodes.readyTimeoutSeconds,
      owner,
    },
    { dependsOn: jumpbox ? [jumpbox] : [] },
  );

  const pullSecret =
    plan.pullSecrets.length > 0
      ? new PullSecret(
          "pull-secret",
          {
            name: settings.pullSecret.name,
            places: plan.pullSecrets,
            defaultServiceAccount: settings.pullSecret.defaultServiceAccount,
            deleteAdopted: settings.deleteAdopted,
            clusterContext: settings.clusterContext,
            owner,
          },
          { providers: [cluster], dependsOn: [nodes] },
        )
      : undefined;

  const deployment = plan.deployment
    ? new RegistryDeployment(
        "deployment",
        {
          name: settings.deployment.name,
          namespace: settings.deployment.namespace,
          replicas: settings.deployment.replicas,
          timeoutSeconds: settings.deployment.timeoutSeconds,
          ...plan.deployment,
          deleteAdopted: settings.deleteAdopted,
          owner,
        },
        { providers: [cluster], dependsOn: [nodes, ...(pullSecret ? [pullSecret] : [])] },
      )
    : undefined;

  return {
    jumpbox: jumpbox?.podName ?? null,
    nodes: nodes.nodes,
    registries: plan.cas.map((ca) => ({
      host: ca.registry,
      source: ca.source,
      certificates: ca.certificates.map(({ subject, sha256, notAfter }) => ({ subject, sha256, notAfter })),
    })),
    pullSecret: pullSecret?.secretName ?? null,
    deployment: deployment?.deploymentName ?? null,
    image: deployment?.image ?? null,
  };
}

export = async () => {
  try {
    return await stack();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    // Told without a stack trace: it is the operator's to put right, and says how. The SDK would inspect one all the
    // same, which takes it twenty seconds.
    const told = new pulumi.RunError(error.message);
    delete told.stack;
    throw told;
  }
};
