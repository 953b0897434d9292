/**
 * `v1 check-removal`: the first thing that `destroy` does. No program runs then, so this command asks what the checks
 * before an `up` ask, and refuses while everything is still there. It changes nothing.
 */
import { type Right, checkRights, missingRights } from "../kubernetes/checks";
import { type KubeContext, type OpenContext } from "../kubernetes/client";
import { openBoth } from "../kubernetes/contexts";
import { listNodes } from "../kubernetes/nodes";
import type { ClusterNode } from "../kubernetes/types";
import { reachNodes } from "../nodes/operations/inspection";
import { mayHaveOurs, passedOver, sweptTargets } from "../nodes/operations/removal";
import { type SweepInput, readSweepInput, unreachablePolicy } from "../nodes/protocol/environment";
import { type NodeConnection, type UnreachablePolicy, isSkipped, pinName } from "../nodes/protocol/spec";
import type { Transport } from "../nodes/routes/transport";
import type { SessionPool } from "../nodes/ssh/pool";
import { sshProblem } from "../nodes/ssh/problems";
import { type Problem, UserError, allChecks, describeProblem } from "../support/errors";
import { counted } from "../support/text";
import { proveCluster, proveSupervisor } from "../vsphere/cluster";
import { nodeProblem } from "../nodes/problems";
import { commandInStates, parseArguments } from "./arguments";
import { withProgress } from "./progress";
import { type RemovalCommand, type RemovalRun, logToStderr } from "./nodeCommands";
import { Sessions } from "./sessions";

/** The contexts of the state, whose messages name the login that renews them. */
function recordedContexts({ clusterContext, cluster }: NodeConnection, others: OpenContext): OpenContext {
  if (!cluster) return others;
  const { supervisor: over, namespace, name } = cluster;
  const both = openBoth(
    { namespace, cluster: name },
    {
      supervisor: { name: over, subject: `context ${over}` },
      cluster: { name: clusterContext, subject: `context ${clusterContext}` },
    },
  );
  both.supervisor.catch(() => undefined); // whoever opens it is told
  both.cluster.catch(() => undefined);
  return (context) =>
    context === over ? both.supervisor : context === clusterContext ? both.cluster : others(context);
}

/** What the removal needs of the Supervisor. */
function supervisorRights({ access, sshKey }: NodeConnection): Right[] {
  return [
    ...(sshKey.from === "supervisor"
      ? [{ verb: "get", resource: "secrets", namespace: sshKey.namespace, name: `${sshKey.cluster}-ssh` }]
      : []),
    ...(access.kind === "jumpbox"
      ? [
          { verb: "get", resource: "pods", namespace: access.namespace },
          { verb: "create", resource: "pods", subresource: "exec", namespace: access.namespace },
        ]
      : []),
  ];
}

const clusterRights: readonly Right[] = ["get", "list"].map((verb) => ({ verb, resource: "nodes" }));

/** Checks the hop on the way to the nodes. */
async function checkWay(
  { access }: NodeConnection,
  open: OpenContext,
  transport: Promise<Transport>,
): Promise<void> {
  if (access.kind !== "jumpbox") return await (await transport).check?.();
  const { context, namespace, pod: name } = access;
  const supervisor = await open(context);
  const pod = await supervisor.find({ verb: "get", resource: "pods", namespace, name }, () =>
    supervisor.core.readNamespacedPod({ namespace, name }),
  );
  const subject = `pod ${namespace}/${name}`;
  if (!pod) throw sshProblem.error("relay-pod-missing", { subject, seen: "it does not exist" });
  const phase = pod.status?.phase ?? "unknown";
  const leaving = pod.metadata?.deletionTimestamp !== undefined;
  if (phase === "Running" && !leaving) return;
  const seen = leaving ? "it is being deleted" : `it is in phase ${phase}`;
  throw sshProblem.error("relay-pod-not-running", { subject, seen });
}

/** The Supervisor: its login, that it is the one, and the rights. */
async function checkSupervisor(connection: NodeConnection, open: OpenContext): Promise<void> {
  const { access, sshKey, cluster } = connection;
  const name =
    cluster?.supervisor ??
    (access.kind === "jumpbox" ? access.context : sshKey.from === "supervisor" ? sshKey.context : undefined);
  if (name === undefined) return;
  const supervisor = await open(name);
  // To ask for any right shows whether the login is valid, whatever the answer is.
  await missingRights(supervisor, [{ verb: "get", resource: "secrets" }]);
  await checkRights(supervisor, supervisorRights(connection));
  if (cluster) proveSupervisor(supervisor, cluster, connection.clusterContext);
}

/** @returns The nodes that the removal will go to. */
async function checkCluster(
  cluster: KubeContext,
  input: SweepInput,
  log: RemovalRun["log"],
): Promise<readonly ClusterNode[]> {
  const isMeant = mayHaveOurs(input, ({ name }, by) => log(passedOver(name, by)));
  const [nodes] = await allChecks([listNodes(cluster, isMeant), checkRights(cluster, clusterRights)]);
  return nodes;
}

/** Logs in to every node that the removal will go to. */
async function checkNodes(
  nodes: readonly ClusterNode[],
  { connection, hostKeys, stack }: SweepInput,
  pool: SessionPool,
  unreachable: UnreachablePolicy,
  log: RemovalRun["log"],
): Promise<void> {
  const targets = sweptTargets(nodes, connection, hostKeys, pinName(stack)).map((target) => ({
    target,
    hostKey: target.hostKey ?? target.notedKey,
  }));
  let answered = 0;
  const problems: Problem[] = [];
  const all = [...reachNodes(targets, pool.use).values()].map(async (reached) => {
    const problem = await reached;
    answered += 1;
    if (!problem) return;
    if (isSkipped(problem.code, { unreachable, skipRefusals: true })) {
      log(`will be passed over: ${describeProblem(problem)}`);
    } else problems.push(problem);
  });
  await withProgress(
    Promise.all(all),
    () => `Reaching the nodes: ${answered} of ${nodes.length} have answered`,
    log,
  );
  const [first, ...rest] = problems;
  if (first) throw new UserError(first, ...rest);
}

async function check(
  input: SweepInput,
  unreachable: UnreachablePolicy,
  { sessions, log }: RemovalRun,
): Promise<void> {
  const { connection } = input;
  const { clusterContext, cluster: recorded } = connection;
  const open = recordedContexts(connection, sessions.open);
  const cluster = open(clusterContext);
  const standing = proveCluster(
    () => cluster,
    ({ supervisor }) => open(supervisor),
    recorded,
  );
  const transport = sessions.transport(connection, open);
  const checks = allChecks([
    standing,
    cluster.then((context) => checkCluster(context, input, log)),
    sessions.pool(connection, open),
    checkSupervisor(connection, open),
    checkWay(connection, open, transport),
  ]);
  checks.catch(() => undefined); // of a cluster that is gone, nothing else has to be well
  if ((await standing.catch(() => undefined)) === "gone") {
    log(
      "the cluster is gone; nothing is to be removed from its nodes. Its objects went with it: " +
        "`PULUMI_K8S_DELETE_UNREACHABLE=true pulumi destroy --continue-on-error` drops them from the state",
    );
    return;
  }
  const [, nodes, pool] = await checks;
  await checkNodes(nodes, input, pool, unreachable, log);
  log(
    `checked before anything is taken down: ${counted(nodes.length, "node")} of ${recorded?.name ?? clusterContext}`,
  );
}

/** Takes `--unreachable skip` as the removal does. */
export const checkForRemoval: RemovalCommand = async (args, run) => {
  const command = commandInStates().option("--unreachable <POLICY>");
  const { values } = parseArguments(command, args, (seen) =>
    nodeProblem.error("unknown-command", { subject: 'command "check-removal"', seen }, "installed", [
      "--unreachable",
    ]),
  )!;
  const { unreachable: policy = "fail" }: { unreachable?: string } = values;
  const unreachable = unreachablePolicy(run.environment, policy);
  const input = readSweepInput(run.environment);
  await withProgress(check(input, unreachable, run), () => "Checking before anything is taken down", run.log);
  return "";
};

/** The same in a process of its own. */
export async function checkRemoval(args: readonly string[]): Promise<void> {
  const run = { environment: process.env, sessions: new Sessions(), log: logToStderr };
  const exitCode = await checkForRemoval(args, run).then(
    () => 0,
    (error: unknown) => {
      if (!(error instanceof UserError)) throw error;
      logToStderr(error.message);
      return 1;
    },
  );
  // Neither sessions nor connections that are still being opened must delay the exit.
  process.exit(exitCode);
}
