/**
 * The stack: settings, then the plan, then the components in their order, and the outputs.
 * It decides nothing itself.
 */
import * as pulumi from "@pulumi/pulumi";
import { clusterProvider } from "./components/clusterProvider";
import { Identity } from "./components/identity";
import { Jumpbox } from "./components/jumpbox";
import { failOnMissing } from "./components/missingObjects";
import { logPlan, logWhileChecking } from "./components/planLog";
import { PullSecret } from "./components/pullSecret";
import { RegistryDeployment } from "./components/registryDeployment";
import { RemovalCheck } from "./components/removalCheck";
import { hideSecrets, printableError, skipPromiseStacks } from "./components/sdk";
import type { ProgramOutputs } from "./components/stackOutputs";
import { TrustedNodes } from "./components/trustedNodes";
import { readSettings } from "./config/readSettings";
import { unreachablePolicy } from "./nodes/protocol/environment";
import { nodeScript } from "./nodes/script/script";
import { NodeService } from "./nodes/service/service";
import { stackOwner } from "./plan/ownership";
import { makePlan } from "./plan/plan";
import { previousState } from "./state/previousState";
import { assertBuildIsFresh } from "./support/build";

async function stack(): Promise<ProgramOutputs> {
  assertBuildIsFresh();
  hideSecrets();
  skipPromiseStacks();
  const settings = readSettings();
  const owner = stackOwner(pulumi.getProject(), pulumi.getStack());
  const parallel = Number(process.env["PULUMI_NODEJS_PARALLEL"]); // the language host's word for --parallel
  const unreachable = unreachablePolicy(process.env, settings.unreachableNodes);
  const plan = await logWhileChecking(
    makePlan(settings, { owner, previousState, parallel: parallel > 0 ? parallel : undefined, unreachable }),
  );
  await logPlan(plan, unreachable);
  const { id } = new Identity(settings.cluster, async (known) => {
    await NodeService.start({
      stack: { owner, id: known },
      nodes: plan.nodes,
      readyTimeout: settings.nodes.readyTimeoutSeconds,
      certificates: plan.certificatesBySha256,
      inSession: plan.sessions.use,
      readNode: plan.readNode,
      notePin: plan.notePin,
      controlPlane: plan.controlPlane,
      unreachable,
    });
  });

  const jumpbox = plan.jumpbox.create
    ? new Jumpbox(
        "jumpbox",
        {
          ...settings.jumpbox,
          namespace: settings.namespace,
          cluster: settings.cluster,
          owner,
          id,
          replaces: plan.jumpbox.replaces,
        },
        { providers: [clusterProvider("supervisor", settings.supervisorContext, settings.namespace)] },
      )
    : undefined;

  const allNodes = {
    connection: plan.connection,
    hostKeys: settings.nodes.hostKeys,
    removal: { unreachable: settings.unreachableNodes, restart: settings.restartOnRemoval },
    readyTimeoutSeconds: settings.nodes.readyTimeoutSeconds,
    owner,
    id,
    former: plan.former,
  };
  const nodes = new TrustedNodes(
    settings.cluster,
    {
      ...allNodes,
      nodes: plan.nodes,
      certificates: plan.certificates,
      trustMode: settings.trust,
      script: nodeScript(),
      workersAtOnce: settings.nodes.workersAtOnce,
    },
    { dependsOn: jumpbox ? [jumpbox] : [] },
  );

  // A provider that nothing is made by would be a process for nothing.
  const cluster =
    plan.pullSecrets.length > 0 || plan.deployment
      ? clusterProvider("cluster", settings.clusterContext, `${settings.namespace}/${settings.cluster}`)
      : undefined;
  const providers = cluster ? [cluster] : [];
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
            cluster: plan.connection.cluster,
            owner,
            id,
          },
          { providers, dependsOn: [nodes] },
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
          secret: settings.deployment.secret,
          ...plan.deployment,
          deleteAdopted: settings.deleteAdopted,
          owner,
          id,
        },
        { providers, dependsOn: [nodes, ...(pullSecret ? [pullSecret] : [])] },
      )
    : undefined;

  new RemovalCheck("removal-check", allNodes, {
    dependsOn: [jumpbox, nodes, pullSecret, deployment].filter((each) => each !== undefined),
  });
  failOnMissing([...(pullSecret?.uids ?? []), ...(deployment ? [deployment.uid] : [])], plan.missing);

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
    throw printableError(error);
  }
};
