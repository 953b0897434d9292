import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { Jumpbox } from "./components/jumpbox";
import { PullSecret } from "./components/pullSecret";
import { RegistryDeployment } from "./components/registryDeployment";
import { TrustedNodes } from "./components/trustedNodes";
import { readSettings } from "./config/settings";
import { unreachablePolicy } from "./nodes/protocol/environment";
import { unreachableCodes } from "./nodes/protocol/spec";
import { nodeScript } from "./nodes/script/script";
import { NodeService } from "./nodes/service/service";
import { stackOwner } from "./plan/ownership";
import { makePlan } from "./plan/plan";
import { previousState } from "./state/previousState";
import { assertBuildIsFresh } from "./support/build";
import { UserError, describeProblem } from "./support/errors";

/**
 * The provider's class copies $KUBECONFIG into its inputs, and so into the state, where the path would be another
 * operator's. Left out, the plugin reads the same variable of whoever runs it.
 */
const ambientKubeconfig: pulumi.ResourceTransformation = ({ props, opts }) => ({
  props: { ...(props as object), kubeconfig: undefined },
  opts,
});

/**
 * The SDK's debug messages repeat what the engine answers, secrets in clear, and `--debug` shows them: `RegisterResource
 * RPC finished: …; err: …, resp: …` (`runtime/resource.js` and `invoke.js` of SDK 3.228). They go without the answer.
 */
function hideAnswers(): void {
  const log = pulumi.log as { debug: typeof pulumi.log.debug };
  const { debug } = log;
  log.debug = (message, ...rest) => debug(message.replace(/, resp: [^]*/, ", resp: not shown"), ...rest);
}

async function stack() {
  assertBuildIsFresh();
  hideAnswers();
  const settings = readSettings();
  const owner = stackOwner(pulumi.getProject(), pulumi.getStack());
  const parallel = Number(process.env["PULUMI_NODEJS_PARALLEL"]); // the language host's word for --parallel
  const unreachable = unreachablePolicy(process.env, settings.unreachableNodes);
  const stillChecking = setTimeout(
    () => void pulumi.log.info("checking clusters, nodes and registries…", undefined, undefined, true),
    2000,
  );
  const plan = await makePlan(settings, {
    owner,
    previousState,
    parallel: parallel > 0 ? parallel : undefined,
    unreachable,
  }).finally(() => clearTimeout(stillChecking));
  await pulumi.log.info(["checked beforehand:", ...plan.facts].join("\n  "));
  for (const warning of plan.warnings) await pulumi.log.warn(warning);
  for (const observation of plan.observed) {
    void observation.then(async (seen) => {
      if (seen.kind !== "silent") return;
      const skipped = unreachable === "skip" && unreachableCodes.has(seen.problem.code);
      await pulumi.log.warn(`${skipped ? "skipped: " : ""}${describeProblem(seen.problem)}`);
    });
  }
  if (!pulumi.runtime.isDryRun()) {
    await NodeService.start({
      owner,
      targets: plan.nodes.map(({ target }) => target),
      readyTimeout: settings.nodes.readyTimeoutSeconds,
      pems: plan.cas.flatMap(({ certificates }) => certificates.map(({ pem }) => pem)).join(""),
      inSession: plan.sessions.use,
      readNode: plan.readNode,
      unreachable,
    });
  }

  // The SDK keeps the stack of each of its promises, several a resource: at full length, 256 nodes' take 6 s and 130 MB.
  Error.stackTraceLimit = 0;

  // Objects whose creation was cut off exist without being in the state, so creating takes over what is there;
  // the preflight has made sure that nobody else's is. The identifiers never change: a changed one would replace
  // the provider, and then delete the new objects as the old ones.
  const common = { enableServerSideApply: true, upsertExistingObjects: true, enableSecretMutable: true };
  const provider = (name: string, context: string, clusterIdentifier: string): k8s.Provider =>
    new k8s.Provider(
      name,
      { ...common, context, clusterIdentifier },
      { transformations: [ambientKubeconfig] },
    );

  const jumpbox = plan.jumpbox.create
    ? new Jumpbox(
        "jumpbox",
        {
          ...settings.jumpbox,
          namespace: settings.namespace,
          cluster: settings.cluster,
          owner,
          replaces: plan.jumpbox.replaces,
        },
        { providers: [provider("supervisor", settings.supervisorContext, settings.namespace)] },
      )
    : undefined;

  const nodes = new TrustedNodes(
    settings.cluster,
    {
      nodes: plan.nodes,
      way: plan.way,
      hostKeys: settings.nodes.hostKeys,
      certificates: plan.certificates,
      trustBy: settings.trust,
      removal: { unreachable: settings.unreachableNodes, restart: settings.restartOnRemoval },
      script: nodeScript(),
      workersAtOnce: settings.nodes.workersAtOnce,
      readyTimeoutSeconds: settings.nodes.readyTimeoutSeconds,
      owner,
    },
    { dependsOn: jumpbox ? [jumpbox] : [] },
  );

  // A provider that nothing is made by would be a process for nothing.
  const cluster =
    plan.pullSecrets.length > 0 || plan.deployment
      ? provider("cluster", settings.clusterContext, `${settings.namespace}/${settings.cluster}`)
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
            owner,
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
          ...plan.deployment,
          deleteAdopted: settings.deleteAdopted,
          owner,
        },
        { providers, dependsOn: [nodes, ...(pullSecret ? [pullSecret] : [])] },
      )
    : undefined;

  for (const uid of [...(pullSecret?.uids ?? []), ...(deployment ? [deployment.uid] : [])]) {
    uid.apply((now) => {
      const gone = plan.missing.find((each) => each.uid === now);
      if (gone) throw told(new UserError(gone.problem));
    });
  }

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

/**
 * Has an error told without a stack trace: it is the operator's to put right, and says how. The SDK would inspect one
 * all the same, which takes it twenty seconds.
 */
function told({ message }: UserError): pulumi.RunError {
  const error = new pulumi.RunError(message);
  delete error.stack;
  return error;
}

export = async () => {
  try {
    return await stack();
  } catch (error) {
    throw error instanceof UserError ? told(error) : error;
  }
};
