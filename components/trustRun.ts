import * as pulumi from "@pulumi/pulumi";
import type { Provider } from "@pulumi/kubernetes/provider";
import type {
  DeploymentSettings,
  LateDeploymentSettings,
  PullSecretSettings,
  TrustSettings,
} from "../config/settings";
import { unreachablePolicy } from "../nodes/protocol/environment";
import type { UnreachablePolicy } from "../nodes/protocol/spec";
import type { DeploymentPlan } from "../plan/deployment";
import { stackOwner } from "../plan/ownership";
import { type Plan, type Planned, type PlannedSecret, makePlan } from "../plan/plan";
import { type NodeSet, previousState } from "../state/previousState";
import { allChecks } from "../support/errors";
import { reportedElsewhere } from "./options";
import { refuse } from "./sdk";

/** What the components of a cluster get from its `RegistryTrust`. */
export interface Declared {
  /** The id of the set of nodes. */
  readonly id: pulumi.Output<string>;
  /** The provider of the workload cluster's objects. It is made when it is first asked for: it is a process. */
  readonly clusterProvider: () => Provider;
}

/**
 * One run for a cluster: its plan is made once, for all components that the program declares with the `RegistryTrust`, so
 * that a run is refused with all problems at once. What gets its arguments from resources is planned when these are
 * known.
 */
export class TrustRun {
  /** The stack's readable name. */
  readonly owner = stackOwner(pulumi.getProject(), pulumi.getStack());
  readonly settings: Promise<TrustSettings>;
  readonly unreachable: Promise<UnreachablePolicy>;
  readonly plan: Promise<Plan>;
  /** Known when the `RegistryTrust` has declared its children. */
  readonly declared: Promise<Declared>;
  /** Tells the others what was declared. */
  declare!: (declared: Declared) => void;
  /** Tells the others that nothing will be. */
  giveUp!: (error: unknown) => void;
  /** The components that were declared together with the `RegistryTrust`. */
  readonly parts: pulumi.Resource[] = [];

  readonly #pullSecrets: Promise<PullSecretSettings>[] = [];
  readonly #deployments: Promise<DeploymentSettings>[] = [];
  #gathering = true;
  /** A program declares its components in one go; those that come later are planned by themselves. */
  readonly #gathered = new Promise(setImmediate);

  /**
   * @param settings - Of the nodes' trust.
   * @param set - Which part of the stack's state is theirs.
   */
  constructor(settings: Promise<TrustSettings>, set: (settings: TrustSettings) => NodeSet) {
    this.settings = reportedElsewhere(settings);
    this.unreachable = reportedElsewhere(
      settings.then(({ unreachableNodes }) => unreachablePolicy(process.env, unreachableNodes)),
    );
    this.plan = reportedElsewhere(this.#makePlan(set).catch(refuse));
    const told = new Promise<Declared>((resolve, reject) => {
      this.declare = resolve;
      this.giveUp = reject;
    });
    this.declared = reportedElsewhere(this.plan.then(() => told));
  }

  async #makePlan(set: (settings: TrustSettings) => NodeSet): Promise<Plan> {
    await this.#gathered;
    this.#gathering = false;
    const [trust, pullSecrets, deployments] = await allChecks([
      this.settings,
      allChecks(this.#pullSecrets),
      allChecks(this.#deployments),
    ]);
    const parallel = Number(process.env["PULUMI_NODEJS_PARALLEL"]); // the language host's word for --parallel
    return await makePlan(
      { trust, pullSecrets, deployments },
      {
        owner: this.owner,
        previousState: () => previousState(set(trust)),
        parallel: parallel > 0 ? parallel : undefined,
        unreachable: await this.unreachable,
      },
    );
  }

  /** Tells that a component was declared. */
  join(component: pulumi.Resource): void {
    if (this.#gathering) this.parts.push(component);
  }

  /**
   * Plans a pull secret: with all others, or by itself where it was declared later.
   *
   * @throws RunError
   */
  async planPullSecret(settings: Promise<PullSecretSettings>): Promise<Planned<readonly PlannedSecret[]>> {
    const together = this.#gathering && this.#pullSecrets.push(settings);
    const plan = await this.plan;
    if (!together) return await settings.then(plan.planPullSecret).catch(refuse);
    return { plan: plan.pullSecrets.get(await settings)!, missing: plan.missing };
  }

  /**
   * As {@link planPullSecret}. What is not known at once comes from elsewhere, and that may wait for the nodes: then the
   * others do not wait for it.
   *
   * @param known - Whether the settings are known, once that can be told.
   */
  async planDeployment(
    settings: Promise<LateDeploymentSettings>,
    known: Promise<boolean>,
  ): Promise<Planned<DeploymentPlan>> {
    const atOnce = await Promise.race([known, this.#gathered.then(() => false)]);
    const whole = settings as Promise<DeploymentSettings>; // what is known has an image
    const together = this.#gathering && atOnce && this.#deployments.push(whole);
    const plan = await this.plan;
    if (!together) {
      const planned = await settings.then(plan.planDeployment).catch(refuse);
      for (const warning of planned.plan.warnings) await pulumi.log.warn(warning);
      return planned;
    }
    return { plan: plan.deployments.get(await whole)!, missing: plan.missing };
  }
}
