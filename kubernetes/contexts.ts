/** The contexts of a Supervisor and of one of its workload clusters, and the command that renews the logins of both. */
import { commandLine } from "../support/build";
import { shellWord } from "../support/text";
import { type KubeContext, kubeContext } from "./client";

/** A workload cluster as its Supervisor names it. */
export interface NamedCluster {
  /** The Supervisor namespace that holds it. */
  readonly namespace: string;
  readonly cluster: string;
}

/** The names of the contexts in the kubeconfig; one that is not given is not known. */
export interface ContextNames {
  readonly supervisorContext?: string | undefined;
  readonly clusterContext?: string | undefined;
}

/**
 * @param names - Contexts whose names are not the defaults are named in the command.
 * @param server - The Supervisor's URL if it is known.
 */
export function renewLogin(
  { namespace, cluster }: NamedCluster,
  { supervisorContext = namespace, clusterContext = cluster }: ContextNames,
  server = "",
): string {
  const host = URL.canParse(server) ? new URL(server).hostname : "SUPERVISOR";
  const options = [
    `--server ${host} --namespace ${namespace} --cluster ${cluster}`,
    ...(supervisorContext === namespace ? [] : [`--supervisor-context ${shellWord(supervisorContext)}`]),
    ...(clusterContext === cluster ? [] : [`--cluster-context ${shellWord(clusterContext)}`]),
  ];
  return commandLine("login", options.join(" "));
}

/** The two API servers that a run asks. */
export interface Contexts {
  readonly supervisor: Promise<KubeContext>;
  readonly cluster: Promise<KubeContext>;
}

/** A context, and the setting that names it. */
interface Named {
  readonly name: string;
  readonly subject: string;
}

/** Reads both contexts of the kubeconfig. No request is made yet. */
export function openBoth(
  named: NamedCluster,
  { supervisor: over, cluster: under }: { readonly supervisor: Named; readonly cluster: Named },
): Contexts {
  const names = { supervisorContext: over.name, clusterContext: under.name };
  const login = (server?: string): string => renewLogin(named, names, server);
  const supervisor = kubeContext(over.name, { subject: over.subject, login });
  const server = supervisor.then(
    (context) => context.server,
    () => undefined,
  );
  const cluster = server.then((known) =>
    kubeContext(under.name, { subject: under.subject, login: () => login(known) }),
  );
  return { supervisor, cluster };
}
