/**
 * The settings of a new environment: what options say, else what another environment has, else what is answered.
 * Of another environment's settings, those that tell its cluster and its nodes are never taken.
 */
import type { Settings } from "../../config/settings";
import { kubeContext } from "../../kubernetes/client";
import { discoverNodes } from "../../kubernetes/nodes";
import { type ListedContext, listContexts } from "../../kubernetes/openKubeconfig";
import { nodesFact } from "../../plan/nodes";
import { UserError } from "../../support/errors";
import { printable } from "../../support/text";
import type { Answers } from "./answers";
import { type Request, checkHosts, parseBastion } from "./arguments";
import { type RegistryDraft, chooseRegistries, completeRegistry } from "./registries";
import type { Draft } from "./settingsFile";

/** Another environment's settings, which the settings' checks have passed. */
interface Base extends Draft {
  readonly namespace?: string;
  readonly cluster?: string;
  readonly supervisorContext?: string;
  readonly clusterContext?: string;
  readonly access?: string;
  readonly bastion?: Partial<NonNullable<Settings["trust"]["bastion"]>>;
  readonly registries?: readonly RegistryDraft[];
  readonly deployment?: Draft & { readonly enabled?: boolean; readonly image?: string };
  readonly nodes?: Draft;
}

/** What is chosen anew, or has no meaning in another cluster. */
const notCopied = new Set([
  ...["namespace", "cluster", "supervisorContext", "clusterContext", "access", "bastion"],
  ...["registries", "deployment", "nodes"],
]);

/**
 * The settings, in the order in which people read them.
 *
 * @throws UserError with all that is missing, and all that is wrong with the registries.
 */
export async function makeDraft(request: Request, from: Draft, answers: Answers): Promise<Draft> {
  const base: Base = from;
  const place = await choosePlace(request, base, answers);
  const way = await chooseWay(request, base, answers);
  const chosen = await chooseRegistries(request, base.registries ?? [], answers);
  const hosts = chosen.map(({ host }) => host);
  if (hosts.length > 0) checkHosts(request, hosts);
  const registries: RegistryDraft[] = [];
  for (const each of chosen) {
    try {
      registries.push(await completeRegistry(each, request, answers));
    } catch (error) {
      answers.refuse(error);
    }
  }
  answers.refuseIncomplete();
  const suggested = `${hosts[0]!}/${place.namespace}/nginx:latest`;
  const deployment = await chooseDeployment(request, base.deployment, suggested, answers);
  const nodes = Object.entries(base.nodes ?? {}).filter(([name]) => name !== "hostKeys");
  return {
    ...{ ...place, ...way, registries },
    ...(deployment === undefined ? {} : { deployment }),
    ...(nodes.length > 0 ? { nodes: Object.fromEntries(nodes) } : {}),
    ...Object.fromEntries(Object.entries(base).filter(([name]) => !notCopied.has(name))),
  };
}

interface Place {
  readonly namespace: string;
  readonly cluster: string;
  readonly supervisorContext?: string;
  readonly clusterContext?: string;
}

async function choosePlace(request: Request, base: Base, answers: Answers): Promise<Place> {
  const { listed, named } = await contexts();
  // A login writes a namespace into the Supervisor's context alone.
  const ofSupervisors = listed.filter(({ namespace }) => namespace !== undefined);
  const asBefore = (namespace: string | undefined): string | undefined =>
    namespace === base.namespace ? base.supervisorContext : undefined;
  const supervisor =
    request.supervisorContext ??
    (request.namespace === undefined
      ? await answers.optional(
          `Kubeconfig context of the Supervisor${named}`,
          base.supervisorContext ?? base.namespace ?? only(ofSupervisors),
        )
      : (asBefore(request.namespace) ?? request.namespace));
  const its = listed.find(({ name }) => name === supervisor)?.namespace;
  const namespace = await answers.value("--namespace NAMESPACE", "Supervisor namespace", {
    given: request.namespace,
    found: its ?? supervisor,
    otherwise: request.supervisorContext === undefined ? base.namespace : its,
  });
  const supervisorContext = supervisor ?? asBefore(namespace) ?? namespace;

  const ofClusters = listed.filter(
    ({ name, namespace: of }) => of === undefined && name !== (base.clusterContext ?? base.cluster),
  );
  const clusterContext =
    request.clusterContext ??
    request.cluster ??
    (await answers.optional(`Kubeconfig context of the cluster${named}`, only(ofClusters)));
  const cluster = await answers.value("--cluster CLUSTER", "Cluster", {
    given: request.cluster,
    found: clusterContext,
  });
  if (answers.asks) answers.say(await nodesOf(clusterContext ?? cluster));
  return {
    ...{ namespace, cluster },
    ...(supervisorContext === namespace ? {} : { supervisorContext }),
    ...(clusterContext === undefined || clusterContext === cluster ? {} : { clusterContext }),
  };
}

async function contexts(): Promise<{ listed: readonly ListedContext[]; named: string }> {
  const listed = await listContexts();
  const names = listed.map(({ name }) => printable(name, 80));
  return { listed, named: names.length === 0 ? "" : ` (there are ${names.join(", ")})` };
}

const only = (listed: readonly ListedContext[]): string | undefined =>
  listed.length === 1 ? listed[0]!.name : undefined;

/** What the cluster shows of its nodes, for whoever is asked; what is wrong with it, the checks tell at the end. */
async function nodesOf(context: string): Promise<string> {
  try {
    const { nodes } = await discoverNodes(await kubeContext(context, { subject: `context ${context}` }));
    return nodesFact(nodes);
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
}

async function chooseWay(request: Request, base: Base, answers: Answers): Promise<Draft> {
  const question = "How nodes are reached (jumpbox, bastion or direct)";
  const asked = request.access ?? (await answers.optional(question, base.access ?? "jumpbox"));
  const access = asked ?? base.access ?? "jumpbox";
  if (access !== "bastion") return access === "jumpbox" ? {} : { access };
  const known = base.bastion;
  const port = known?.port === undefined ? "" : `:${known.port}`;
  const before = known && `${known.user!}@${known.host!}${port}`;
  const text = await answers.value("--bastion USER@HOST[:PORT]", "Bastion (USER@HOST[:PORT])", {
    given: request.bastion,
    otherwise: before,
  });
  const same = text === before ? known : undefined;
  const hostKey = await answers.value("--bastion-host-key SHA256:…", "Its host key (`ssh-keygen -lf`)", {
    given: request.bastionHostKey,
    otherwise: same?.hostKey,
  });
  const sshKeyFile = request.bastionKey ?? same?.sshKeyFile;
  if (text === "") return {};
  const bastion = { ...parseBastion(text), hostKey, ...(sshKeyFile === undefined ? {} : { sshKeyFile }) };
  return { access, bastion };
}

async function chooseDeployment(
  request: Request,
  base: Base["deployment"],
  suggested: string,
  answers: Answers,
): Promise<Draft | undefined> {
  const found = base?.enabled === false ? "none" : (base?.image ?? suggested);
  const image = request.deployment
    ? (request.image ?? (await answers.optional("Image of the Deployment (none: no Deployment)", found)))
    : "none";
  if (image === undefined) return base;
  if (image === "none") return { ...base, enabled: false };
  return { ...base, ...(base?.enabled === false ? { enabled: true } : {}), image };
}
