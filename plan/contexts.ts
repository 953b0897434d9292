/** The kubeconfig contexts of the Supervisor and of the workload cluster, and how long their logins last. */
import type { Settings } from "../config/settings";
import { settingSubject } from "../config/names";
import { type KubeContext, kubeContext } from "../kubernetes/client";

/** The two API servers that a run asks. */
export interface Contexts {
  readonly supervisor: Promise<KubeContext>;
  readonly cluster: Promise<KubeContext>;
  /** The command that renews both logins, given the Supervisor's URL if it is known. */
  readonly login: (server?: string) => string;
}

/** The setting that names the workload cluster's context. */
export const clusterSubject = settingSubject("clusterContext");

/** Reads both contexts of the kubeconfig. */
export function openContexts(settings: Settings): Contexts {
  const { namespace, cluster: name } = settings;
  const login = (server = ""): string => {
    const host = URL.canParse(server) ? new URL(server).hostname : "SUPERVISOR";
    return `npm run login -- --server ${host} --namespace ${namespace} --cluster ${name}`;
  };
  const supervisor = kubeContext(settings.supervisorContext, {
    subject: settingSubject("supervisorContext"),
    login,
  });
  const supervisorServer = supervisor.then(
    ({ server }) => server,
    () => undefined,
  );
  const cluster = supervisorServer.then((server) =>
    kubeContext(settings.clusterContext, { subject: clusterSubject, login: () => login(server) }),
  );
  return { supervisor, cluster, login };
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
