/** The jumpbox pod: the stack's own, or somebody's that is used. */
import type { TrustSettings } from "../config/settings";
import { dryRunPod, findSecret, foundObject } from "../kubernetes/checks";
import type { KubeContext } from "../kubernetes/client";
import { kubernetesProblem } from "../kubernetes/problems";
import { hasEntryFor } from "../registry/dockerConfig";
import { parseImageReference } from "../registry/host";
import type { PreviousState, RecordedPod } from "../state/previousState";
import { type Problem, UserError, allChecks } from "../support/errors";
import { jumpboxContainer } from "../support/names";
import { printable } from "../support/text";
import { jumpboxPod } from "./jumpboxPod";
import { type Claim, claimOf, resolveOwnership } from "./ownership";
import { planProblem } from "./problems";
import { pullSecretType } from "./pullSecrets";

/** The decisions about the jumpbox pod. */
export interface JumpboxPlan {
  /** Whether the pod is the stack's own. */
  readonly create: boolean;
  readonly container: string;
  /** Whether nodes can be reached through it now. */
  readonly running: boolean;
  /** The UID of the stack's own pod that is there and will stay. */
  readonly uid?: string | undefined;
  /** What is wrong with the stack's own pod that is there and will not. */
  readonly dead?: Problem;
}

/** The jumpbox pod: ours to create, or somebody's that may be used. */
export async function resolveJumpbox(
  supervisor: KubeContext,
  settings: TrustSettings,
  previousState: () => Promise<PreviousState>,
): Promise<JumpboxPlan> {
  const { namespace, jumpbox, adopt } = settings;
  if (settings.access !== "jumpbox") return { create: false, container: "", running: false };
  const { name } = jumpbox;
  const pod = await supervisor.find({ verb: "get", resource: "pods", namespace, name }, () =>
    supervisor.core.readNamespacedPod({ namespace, name }),
  );
  const what = `pod ${namespace}/${name}`;
  const object = { kind: "pod", namespace, name, context: supervisor.name };
  const claim = async (): Promise<Claim> => claimOf(await previousState());
  const otherName = `\`${settings.setting("jumpbox.name")}\``;
  const kind = await resolveOwnership(object, pod && foundObject(pod), { claim, adopt, otherName });
  const own = { create: true, container: jumpboxContainer };
  if (kind !== "adopted") {
    const checks = [checkPullSecret(supervisor, settings)];
    await allChecks(kind === "absent" ? [...checks, tryJumpbox(supervisor, settings)] : checks);
  }
  if (kind === "absent") return { ...own, running: false };
  const remove = `kubectl --context ${supervisor.name} -n ${namespace} delete pod ${name}`;
  const phase = pod?.status?.phase ?? "unknown";
  const leaving = pod?.metadata?.deletionTimestamp !== undefined;
  const running = phase === "Running" && !leaving;
  const dead: Problem = planProblem(
    "jumpbox-not-running",
    { subject: what, seen: leaving ? "it is being deleted" : `it is in phase ${phase}` },
    remove,
  );
  const ended = leaving || phase === "Succeeded" || phase === "Failed";
  if (kind === "ours")
    return ended ? { ...own, running, dead } : { ...own, running, uid: pod!.metadata!.uid };
  if (ended || phase !== "Running") throw new UserError(dead);
  // The state still records the stack's own pod of this name. Left out of the program, Pulumi would delete it by name.
  if ((await previousState()).jumpbox?.name === name) {
    throw planProblem.error(
      "jumpbox-replaced",
      { subject: what, seen: "somebody made it in place of the stack's own" },
      remove,
    );
  }
  return { create: false, container: pod!.spec!.containers[0]!.name, running };
}

/**
 * Asks the Supervisor whether it would make the pod. One on VDS networking runs no pods for users.
 *
 * @throws UserError `jumpbox-refused`, `namespace-not-found`
 */
async function tryJumpbox(supervisor: KubeContext, settings: TrustSettings): Promise<void> {
  const { namespace, jumpbox, cluster, subject } = settings;
  const pod = { spec: jumpboxPod({ ...jumpbox, cluster }) };
  try {
    await dryRunPod(supervisor, namespace, pod, { subject: subject("access") });
  } catch (error) {
    const [problem] = error instanceof UserError ? error.problems : [];
    if (problem?.code === "namespace-not-found") {
      const seen = `the Supervisor has no namespace ${namespace}`;
      throw kubernetesProblem.error(problem.code, { subject: subject("namespace"), seen }, "supervisor");
    }
    if (problem?.code !== "pod-refused" && problem?.code !== "pod-security") throw error;
    throw planProblem.error("jumpbox-refused", { subject: problem.subject, seen: problem.seen });
  }
}

/**
 * Looks whether the Secret by which the pod's image is to be pulled can do so: kubelet would say nothing of one that is
 * not there. A user who may not read it is not held up.
 *
 * @throws UserError `jumpbox-pull-secret`, `docker-config-malformed`
 */
async function checkPullSecret(supervisor: KubeContext, settings: TrustSettings): Promise<void> {
  const { namespace, jumpbox, subject } = settings;
  if (jumpbox.pullSecret === undefined) return;
  const what = `secret ${namespace}/${jumpbox.pullSecret}`;
  const image = parseImageReference(jumpbox.image, { subject: subject("jumpbox.image") });
  const refused = (seen: string): UserError =>
    planProblem.error(
      "jumpbox-pull-secret",
      { subject: subject("jumpbox.pullSecret"), seen },
      `kubectl --context ${supervisor.name} -n ${namespace} create secret docker-registry ${jumpbox.pullSecret} --docker-server=${image.host} …`,
    );
  const found = await findSecret(supervisor, namespace, jumpbox.pullSecret).catch((error: unknown) => {
    if (error instanceof UserError && error.problems.every(({ code }) => code === "no-rights"))
      return "unread" as const;
    throw error;
  });
  if (found === "unread") return;
  if (!found) throw refused(`there is no ${what} on the Supervisor`);
  const config = found.data[".dockerconfigjson"];
  if (found.type !== pullSecretType || config === undefined)
    throw refused(`${what} is of the type ${printable(found.type, 60)}, not ${pullSecretType}`);
  if (!hasEntryFor(config, image, { subject: what })) throw refused(`${what} has no login for ${image.host}`);
}

/**
 * The UID of the pod that the stack's own pod replaces. A pod that was deleted, evicted or failed is replaced; a running
 * pod keeps the recorded value.
 */
export function replacedPod(
  { create, uid, dead }: JumpboxPlan,
  recorded: RecordedPod | undefined,
): string | undefined {
  if (!create) return undefined;
  // An interrupted run left this pod unrecorded, so Pulumi cannot replace it.
  if (dead && !recorded) throw new UserError(dead);
  return recorded?.uid === uid ? recorded?.replaces : recorded?.uid;
}
