/**
 * `npm run verify`: whether the nodes of a deployed stack trust its registries now, by its state and by asking them.
 * It never changes anything on a node, in the clusters (but for the pods of `--pull`) or in the state.
 */
import { type KubeContext, kubeContext } from "../../kubernetes/client";
import { discoverNodes } from "../../kubernetes/nodes";
import { type Observation, inspectNodes } from "../../nodes/operations/inspection";
import type { NodeTarget } from "../../nodes/protocol/spec";
import type { InSession, SessionPool } from "../../nodes/ssh/pool";
import { type DeployedStack, type StackNode, readDeployedStack } from "../../state/exportedState";
import { UserError } from "../../support/errors";
import { counted } from "../../support/text";
import { proveCluster } from "../../vsphere/cluster";
import { vsphereProblem } from "../../vsphere/problems";
import { withProgress } from "../progress";
import { openPool } from "../sessions";
import { imagesOf, readRequest, type Request } from "./arguments";
import { describeFindings } from "./describe";
import type { Findings } from "./findings";
import { judge, nodesToAsk, trustedByHost } from "./judge";
import { findLabelled } from "./labelled";
import { pullOnNodes } from "./pulls";
import { askRegistries } from "./served";
import { exportState } from "./stackExport";

/** Opens each context once. */
function contexts(): (name: string, subject: string) => Promise<KubeContext> {
  const opened = new Map<string, Promise<KubeContext>>();
  return (name, setting) => {
    const context = opened.get(name) ?? kubeContext(name, { subject: `setting tkc-registry:${setting}` });
    opened.set(name, context);
    return context;
  };
}

/** A pool of sessions for each access and SSH key in the state: mostly one for all nodes. */
async function openSessions(
  targets: readonly NodeTarget[],
  context: ReturnType<typeof contexts>,
): Promise<InSession> {
  const key = ({ access, sshKey }: NodeTarget): string => JSON.stringify([access, sshKey]);
  const pools = new Map<string, SessionPool>();
  for (const target of targets) {
    if (pools.has(key(target))) continue;
    pools.set(key(target), await openPool(target, (name) => context(name, "supervisorContext")));
  }
  return (target, hostKey, act) => pools.get(key(target))!.use(target, hostKey, act);
}

/** Opens the cluster's context, and proves that it leads to the cluster of the state. */
async function provedCluster(
  { nodes }: DeployedStack,
  context: ReturnType<typeof contexts>,
): Promise<KubeContext> {
  // An update that was cut off may have recorded it for some nodes only.
  const { target } = nodes.find((node) => node.target.cluster?.kubeSystem !== undefined) ?? nodes[0]!;
  const { clusterContext, cluster: recorded } = target;
  const cluster = (): Promise<KubeContext> => context(clusterContext, "clusterContext");
  const standing = await proveCluster(
    cluster,
    ({ supervisor }) => context(supervisor, "supervisorContext"),
    recorded,
  );
  if (standing === "there") return await cluster();
  throw vsphereProblem.error("cluster-gone", {
    subject: `cluster ${recorded!.namespace}/${recorded!.name}`,
    seen: "the Supervisor says that it is gone",
  });
}

async function askNodes(
  nodes: readonly StackNode[],
  context: ReturnType<typeof contexts>,
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

/** Collects the findings for a deployed stack. */
async function findOut(request: Request): Promise<Findings> {
  const { stack: name, expiresWithin } = request;
  const exported = await withProgress(exportState(name), () => "Reading the stack's state");
  const stack = readDeployedStack(exported, name);
  const images = imagesOf(request, stack);
  const context = contexts();
  const cluster = await withProgress(
    provedCluster(stack, context),
    () => "Asking the cluster which one it is",
  );
  const listed = await withProgress(discoverNodes(cluster), () => "Asking the cluster for its nodes");
  const observed = await askNodes(nodesToAsk(stack, listed), context);
  checkWay(observed.values());
  const served = await withProgress(
    askRegistries(trustedByHost(stack), observed.values()),
    () => "Asking the registries what they serve",
  );
  const pulls =
    images.length === 0 ? new Map<string, never[]>() : await pullOnNodes(cluster, listed, images, stack);
  const { cluster: named, access } = stack.nodes[0]!.target;
  const over = named
    ? { name: named.supervisor, namespace: named.namespace }
    : access.kind === "jumpbox"
      ? { name: access.context, namespace: access.namespace }
      : undefined;
  const labelled = await withProgress(
    findLabelled(cluster, over && { ...over, open: () => context(over.name, "supervisorContext") }, [
      ...new Set(stack.objects.filter(({ kind }) => kind !== "Pod").map(({ namespace }) => namespace)),
    ]),
    () => "Asking the clusters for objects with our labels",
  );
  return judge({ name, stack, listed, observed, pulls, served, labelled, now: new Date(), expiresWithin });
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
      return findings.ok ? 0 : 1;
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
