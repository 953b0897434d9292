/**
 * `npm run verify`: whether the nodes of a deployed stack trust its registries now, by its state and by asking them.
 * It never changes anything on a node, in the clusters (but for the pods of `--pull`) or in the state.
 */
import { type KubeContext, type OpenContext, namedContexts } from "../../kubernetes/client";
import { discoverNodes } from "../../kubernetes/nodes";
import { type Observation, inspectNodes } from "../../nodes/operations/inspection";
import type { NodeTarget } from "../../nodes/protocol/spec";
import type { InSession, SessionPool } from "../../nodes/ssh/pool";
import {
  type DeployedSet,
  type DeployedStack,
  type StackNode,
  readDeployedStack,
} from "../../state/exportedState";
import { UserError, describeProblem } from "../../support/errors";
import { counted } from "../../support/text";
import { proveCluster } from "../../vsphere/cluster";
import { vsphereProblem } from "../../vsphere/problems";
import { chosenSets } from "../arguments";
import { withProgress } from "../progress";
import { openPool } from "../sessions";
import { imagesOf, readRequest, type Request } from "./arguments";
import { describeFindings } from "./describe";
import type { Findings } from "./findings";
import { type SetFindings, judge, nodesToAsk, trustedByHost } from "./judge";
import { findLabelled } from "./labelled";
import { pullOnNodes } from "./pulls";
import { askRegistries } from "./served";
import { exportState } from "./stackExport";
import { type Unchecked, findingsOf } from "./stackFindings";

/** A pool of sessions for each access and SSH key in the state: mostly one for all nodes. */
async function openSessions(targets: readonly NodeTarget[], context: OpenContext): Promise<InSession> {
  const key = ({ access, sshKey }: NodeTarget): string => JSON.stringify([access, sshKey]);
  const pools = new Map<string, SessionPool>();
  for (const target of targets) {
    if (pools.has(key(target))) continue;
    pools.set(key(target), await openPool(target, context));
  }
  return (target, hostKey, act) => pools.get(key(target))!.use(target, hostKey, act);
}

/** Opens the cluster's context, and proves that it leads to the cluster of the state. */
async function provedCluster({ nodes }: DeployedSet, context: OpenContext): Promise<KubeContext> {
  // An update that was cut off may have recorded it for some nodes only.
  const { target } = nodes.find((node) => node.target.cluster?.kubeSystem !== undefined) ?? nodes[0]!;
  const { clusterContext, cluster: recorded } = target;
  const cluster = (): Promise<KubeContext> => context(clusterContext);
  const standing = await proveCluster(cluster, ({ supervisor }) => context(supervisor), recorded);
  if (standing === "there") return await cluster();
  throw vsphereProblem.error("cluster-gone", {
    subject: `cluster ${recorded!.namespace}/${recorded!.name}`,
    seen: "the Supervisor says that it is gone",
  });
}

async function askNodes(
  nodes: readonly StackNode[],
  context: OpenContext,
): Promise<Map<string, Observation>> {
  const inSession = await openSessions(
    nodes.map(({ target }) => target),
    context,
  );
  const observations = inspectNodes(nodes, { inSession, bodies: true });
  let answered = 0;
  const all = [...observations].map(async ([name, observation]) => {
    const observed = await observation;
    answered += 1;
    return [name, observed] as const;
  });
  return new Map(
    await withProgress(
      Promise.all(all),
      () => `Asking the nodes: ${answered} of ${nodes.length} have answered`,
    ),
  );
}

/** Failures of the way to the nodes, which say nothing of a node: the jumpbox pod, the bastion, the API server. */
const onTheWay = /^(?:relay-|bastion-|login-expired$|no-rights$|cluster-certificate$|cluster-unreachable$)/;

/**
 * Whether the way to the nodes leads anywhere.
 *
 * @throws UserError where all nodes that were asked failed on the way: nothing of them can be told.
 */
function checkWay(observed: Iterable<Observation>): void {
  const problems = [...observed].map((each) => (each.kind === "silent" ? each.problem : undefined));
  const failed = problems.filter((problem) => problem !== undefined && onTheWay.test(problem.code));
  const [first] = failed;
  if (first && failed.length === problems.length)
    throw new UserError({ ...first, subject: `the way to ${counted(failed.length, "node")}` });
}

/** What the sets of nodes of a stack are checked with. */
interface Check {
  readonly request: Request;
  readonly stack: DeployedStack;
  readonly context: OpenContext;
  readonly now: Date;
}

/** Collects the findings for a set of nodes. */
async function checkSet(
  set: DeployedSet,
  images: readonly string[],
  { request, stack, context, now }: Check,
): Promise<SetFindings> {
  const cluster = await withProgress(provedCluster(set, context), () => "Asking the cluster which one it is");
  const { nodes: listed, excluded } = await withProgress(
    discoverNodes(cluster, set.selections?.at(-1)),
    () => "Asking the cluster for its nodes",
  );
  const observed = await askNodes(nodesToAsk(set, listed), context);
  checkWay(observed.values());
  const served = await withProgress(
    askRegistries(trustedByHost(set), observed.values()),
    () => "Asking the registries what they serve",
  );
  const pulls =
    images.length === 0 ? new Map<string, never[]>() : await pullOnNodes(cluster, listed, images, set);
  const { cluster: named, access } = set.nodes[0]!.target;
  const over = named
    ? { name: named.supervisor, namespace: named.namespace }
    : access.kind === "jumpbox"
      ? { name: access.context, namespace: access.namespace }
      : undefined;
  const labelled = await withProgress(
    findLabelled(cluster, over && { ...over, open: () => context(over.name) }, [
      ...new Set(set.objects.filter(({ kind }) => kind !== "Pod").map(({ namespace }) => namespace)),
    ]),
    () => "Asking the clusters for objects with our labels",
  );
  const { stack: name, expiresWithin } = request;
  return judge({ name, set, stack, listed, excluded, observed, pulls, served, labelled, now, expiresWithin });
}

/**
 * Collects the findings for a deployed stack, set of nodes after set of nodes.
 *
 * @throws UserError where no set could be asked.
 */
async function findOut(request: Request): Promise<Findings> {
  const { stack: name } = request;
  const exported = await withProgress(exportState(name), () => "Reading the stack's state");
  const stack = readDeployedStack(exported, name);
  const { sets, unread } = chosenSets(stack, request.trust);
  const images = imagesOf(request, sets);
  const check = { request, stack, context: namedContexts(), now: new Date() };
  const found: SetFindings[] = [];
  const unchecked: Unchecked[] = unread.map(({ trust, problem }) => ({ trust, problems: [problem] }));
  for (const set of sets) {
    const { trust } = set;
    try {
      found.push(await checkSet(set, images.get(trust) ?? [], check));
    } catch (error) {
      if (!(error instanceof UserError) || error.problems[0]!.code === "interrupted") throw error;
      unchecked.push({ trust, problems: error.problems });
    }
  }
  if (found.length === 0) {
    const problems = unchecked.flatMap((set) => set.problems);
    const [first, ...rest] = new Map(problems.map((each) => [describeProblem(each), each])).values();
    throw new UserError(first!, ...rest);
  }
  return findingsOf({ name, warnings: stack.warnings }, found, unchecked, check.now);
}

const print = (text: string): Promise<void> =>
  new Promise((resolve) => void process.stdout.write(text, () => resolve()));

/** `npm run verify -- …`: see the text of `--help`. */
export async function verify(args: readonly string[]): Promise<void> {
  process.exitCode = 2; // until the findings are known
  const request = readRequest(args);
  if (!request) {
    process.exitCode = 0;
    return;
  }
  const exitCode = await findOut(request).then(
    async (findings) => {
      await print(request.json ? `${JSON.stringify(findings, undefined, 2)}\n` : describeFindings(findings));
      return findings.ok ? 0 : findings.unchecked.length > 0 ? 2 : 1;
    },
    (error: unknown) => {
      if (!(error instanceof UserError)) throw error;
      process.stderr.write(`${error.message}\n`);
      return 2;
    },
  );
  // Connections that are still being opened must not delay the exit.
  process.exit(exitCode);
}
