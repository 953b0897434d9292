/** The kubeconfig contexts of the Supervisor and of the workload cluster, and how long their logins last. */
import type { TrustSettings } from "../config/settings";
import type { KubeContext } from "../kubernetes/client";
import { type Contexts, openBoth, renewLogin } from "../kubernetes/contexts";

/** Reads both contexts of the kubeconfig. */
export function openContexts(settings: TrustSettings): Contexts & {
  /** The command that renews both logins, given the Supervisor's URL if it is known. */
  readonly login: (server?: string) => string;
} {
  return {
    ...openBoth(settings, {
      supervisor: { name: settings.supervisorContext, subject: settings.subject("supervisorContext") },
      cluster: { name: settings.clusterContext, subject: settings.subject("clusterContext") },
    }),
    login: (server) => renewLogin(settings, settings, server),
  };
}

const minute = 60_000;

/** How long a context's login lasts: a warning if it is less than an hour, and else a fact. */
export function loginTime(
  { name, expires }: KubeContext,
  login: string,
): { fact?: string; warning?: string } {
  if (!expires) return {};
  const left = Math.floor((expires.getTime() - Date.now()) / minute);
  const until = `the login of context ${name} lasts until ${expires.toISOString()}`;
  return left < 60
    ? { warning: `${until}, ${left} minutes from now: log in again before a long run (\`${login}\`)` }
    : { fact: `${until} (${Math.floor(left / 60)} h ${left % 60} min)` };
}
