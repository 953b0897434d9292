/**
 * The checks that a run begins with, made for settings that no stack has yet.
 * They change nothing, and no stack's state is read.
 */
import { wantsLogin } from "../../config/rules";
import type { Settings } from "../../config/settings";
import { unreachablePolicy } from "../../nodes/protocol/environment";
import { stackOwner } from "../../plan/ownership";
import { silenceWarning } from "../../plan/nodes";
import { makePlan } from "../../plan/plan";
import { isSkipped } from "../../nodes/protocol/spec";
import type { PreviousState } from "../../state/previousState";
import { UserError } from "../../support/errors";

/** What the checks found where nothing stands against a run. */
export interface Preflight {
  readonly facts: readonly string[];
  readonly warnings: readonly string[];
}

const nothingYet: PreviousState = {
  ...{ identity: undefined, canary: {}, jumpbox: undefined, objects: [], clusters: [] },
  ...{ nodes: new Map(), identities: new Map(), trusted: new Map() },
};

/** A stack that is to be. */
export interface NewStack {
  readonly settings: Settings;
  readonly project: string;
  readonly stack: string;
  /**
   * Registries whose password is not set yet. Their logins, and a Deployment from them, are not checked: no registry is
   * sent a password that nobody gave.
   */
  readonly unset: readonly string[];
}

/** @throws UserError with every problem that was found. */
export async function preflight({ settings, project, stack, unset }: NewStack): Promise<Preflight> {
  const unreachable = unreachablePolicy(process.env, settings.trust.unreachableNodes);
  const plan = await makePlan(withoutLogins(settings, unset), {
    owner: stackOwner(project, stack),
    previousState: () => Promise.resolve(nothingYet),
    unreachable,
  });
  try {
    const { silent } = plan;
    const [first, ...rest] = silent.filter(({ code }) => !isSkipped(code, { unreachable }));
    if (first) throw new UserError(first, ...rest);
    const skipped = silent.map((problem) => silenceWarning(problem, unreachable));
    return { facts: plan.facts, warnings: [...plan.warnings, ...skipped] };
  } finally {
    await plan.sessions.close();
  }
}

function withoutLogins({ trust, pullSecrets, deployments }: Settings, hosts: readonly string[]): Settings {
  const registries = trust.registries.map((registry) =>
    hosts.includes(registry.host) ? { ...registry, credentials: { from: "none" as const } } : registry,
  );
  return {
    trust: { ...trust, registries },
    pullSecrets: wantsLogin({ registries }) ? pullSecrets : [],
    deployments: deployments.filter(({ image }) => !hosts.some((host) => image.startsWith(`${host}/`))),
  };
}
