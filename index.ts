/**
 * The stack: the settings go in, the components are declared, the outputs come out.
 * It decides nothing itself.
 */
import "./components/sdkParts"; // before all that loads the SDK
import { PullSecret } from "./components/pullSecret";
import { RegistryDeployment } from "./components/registryDeployment";
import { RegistryTrust } from "./components/registryTrust";
import { printableError } from "./components/sdk";
import { type ProgramOutputs, keepingKnown } from "./components/stackOutputs";
import { readSettings } from "./config/readSettings";
import { assertBuildIsFresh } from "./support/build";

function stack(): ProgramOutputs {
  assertBuildIsFresh();
  const settings = readSettings();
  const { select, exclude } = settings.trust.nodes;
  const trust = new RegistryTrust("trust", { settings: settings.trust });
  const [pullSecret] = settings.pullSecrets.map(
    (each) => new PullSecret("pull-secret", { trust, settings: each }),
  );
  const [deployment] = settings.deployments.map(
    (each) => new RegistryDeployment("deployment", { trust, pullSecret, settings: each }),
  );
  return {
    jumpbox: trust.jumpbox,
    nodes: trust.nodes,
    ...(select === undefined && exclude === undefined ? {} : { excludedNodes: trust.excludedNodes }),
    registries: trust.registries,
    pullSecret: pullSecret?.secretName ?? null,
    deployment: deployment?.deploymentName ?? null,
    image: deployment?.image ?? null,
  };
}

export = () => {
  try {
    return keepingKnown(stack());
  } catch (error) {
    throw printableError(error);
  }
};
