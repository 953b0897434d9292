/**
 * `npm run forget`: takes off nodes what a stack installed that is lost with its state. Another stack on the same clusters
 * gives the way to the nodes.
 * It never touches what that other stack has there, nor any state.
 */
import { randomUUID } from "node:crypto";
import { createInterface } from "node:readline/promises";
import type { Command } from "commander";
import type { ClusterNode } from "../kubernetes/types";
import { type Observation, inspectNodes } from "../nodes/operations/inspection";
import {
  type RemovalContext,
  mayHaveOurs,
  passedOver,
  sweepNodes,
  sweptTargets,
} from "../nodes/operations/removal";
import { type SweepInput, stackId, unreachablePolicy } from "../nodes/protocol/environment";
import {
  type NodeConnection,
  type NodeTarget,
  type StackIdentity,
  defaults,
  describeStack,
  isSkipped,
  pinName,
} from "../nodes/protocol/spec";
import { type DeployedSet, type DeployedStack, readDeployedStack } from "../state/exportedState";
import { type Problem, UserError, describeProblem } from "../support/errors";
import { labelValue } from "../support/names";
import { printable } from "../support/text";
import { checkStackName, chosenSets, commandForPeople, readArguments, seeHelp } from "./arguments";
import { removalContext, withOwnSessions } from "./nodeCommands";
import { cliProblem } from "./problems";
import { withProgress } from "./progress";
import { exportState } from "./verify/stackExport";

const command = (): Command =>
  commandForPeople("forget", "--stack NAME (--id ID | --owner OWNER | --unclaimed) [options]")
    .description(
      "Takes off the nodes what another stack installed that is gone, or whose state is lost: its CAs, and its record. The command `verify` lists such stacks. Restarts containerd where it has loaded them, on control-plane nodes one at a time. Shows what it will do, and asks.",
    )
    .option("--stack <NAME>", "a deployed stack on the same cluster, for the way to the nodes")
    .option(
      "--trust <NAME>",
      "only the nodes of one set: the name of its RegistryTrust. Default: the nodes of all sets of the stack",
    )
    .option("--id <ID>", "the id of the stack to forget")
    .option(
      "--owner <OWNER>",
      "the name of the stack to forget, where it has no id: an earlier release made it",
    )
    .option("--unclaimed", "also take off files of ours that no stack's record claims")
    .option("--yes", "do not ask")
    .addHelpText(
      "after",
      "\nExit code: 0 if nothing is left, 1 if it is left on a node, a node did not answer, or it was not confirmed, 2 if it could not be found out.",
    );

interface Request {
  readonly stack: string;
  /** Undefined for all sets of nodes. */
  readonly trust: string | undefined;
  /** Undefined for unclaimed files alone. */
  readonly forgotten: { readonly id: string } | { readonly owner: string } | undefined;
  readonly unclaimed: boolean;
  readonly yes: boolean;
}

/** @returns `undefined` for `--help`. */
function readRequest(args: readonly string[]): Request | undefined {
  const read = readArguments("forget", command(), args);
  if (!read) return undefined;
  const {
    stack = "",
    trust,
    id,
    owner,
    unclaimed = false,
    yes = false,
  }: {
    stack?: string;
    trust?: string;
    id?: string;
    owner?: string;
    unclaimed?: boolean;
    yes?: boolean;
  } = read.values;
  const wrong = (subject: string, seen: string): Problem =>
    cliProblem("bad-arguments", { subject, seen }, ...seeHelp("forget"));
  const problems = [checkStackName("forget", stack) ?? []].flat();
  if (id !== undefined && owner !== undefined) problems.push(wrong("--owner", "--id is given, too"));
  if (id === undefined && owner === undefined && !unclaimed)
    problems.push(wrong("arguments", "neither --id, --owner nor --unclaimed is given"));
  if (id !== undefined && !stackId.safeParse(id).success)
    problems.push(wrong("--id", `"${printable(id, 80)}" is not a UUID in lower case`));
  if (owner !== undefined && !labelValue.test(owner))
    problems.push(wrong("--owner", `"${printable(owner, 80)}" is not the name of a stack on nodes`));
  const [first, ...rest] = problems;
  if (first) throw new UserError(first, ...rest);
  const forgotten = id !== undefined ? { id } : owner !== undefined ? { owner } : undefined;
  return { stack, trust, forgotten, unclaimed, yes };
}

/** Refuses what the stack itself has on nodes, of whichever set. */
function refuseOwn({ stack, forgotten }: Request, { claim, sets }: DeployedStack): void {
  if (!forgotten) return;
  const own =
    "id" in forgotten
      ? claim.ids.has(forgotten.id)
      : claim.formers.has(forgotten.owner) ||
        sets.some(({ identity: { id, owner } }) => id === undefined && owner === forgotten.owner);
  if (!own) return;
  const [subject, what] = "id" in forgotten ? ["--id", "id"] : ["--owner", "name"];
  throw cliProblem.error("forget-own", {
    subject,
    seen: `it is the ${what} of the stack ${stack} itself, which is deployed`,
  });
}

/** What there is to take off. */
interface Found {
  /** With its readable name, where a node has its record. */
  readonly stack: StackIdentity;
  /** The nodes that have its record, and those that have unclaimed files which are to go. */
  readonly nodes: ReadonlySet<string>;
  readonly lines: readonly string[];
}

function findOn(observed: ReadonlyMap<string, Observation>, { forgotten, unclaimed }: Request): Found {
  const lines: string[] = [];
  const nodes = new Set<string>();
  // The id of nobody, for unclaimed files alone: there is no record of it.
  let stack: StackIdentity = { owner: "nobody", id: randomUUID(), ...forgotten };
  if (forgotten && "owner" in forgotten) stack = { owner: forgotten.owner };
  for (const [name, observation] of observed) {
    if (observation.kind !== "answered") continue;
    const { records, unclaimed: files } = observation.report;
    const record = records.find(({ id, owner }) =>
      stack.id === undefined ? id === undefined && owner === stack.owner : id === stack.id,
    );
    if (record) {
      if (stack.id !== undefined) stack = { owner: record.owner, id: stack.id };
      lines.push(`${name}: what ${describeStack(record)} installed`);
    }
    if (unclaimed) for (const file of files) lines.push(`${name}: ${file}, which no stack's record claims`);
    if (record || (unclaimed && files.length > 0)) nodes.add(name);
  }
  return { stack, nodes, lines };
}

async function confirm({ yes }: Request): Promise<void> {
  if (yes) return;
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    const seen = "it is to be confirmed, and there is no terminal to ask at";
    throw cliProblem.error("forget-not-confirmed", { subject: "forget", seen }, "noTerminal");
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    if ((await terminal.question("Take it off? (yes/no) ")).trim() === "yes") return;
  } finally {
    terminal.close();
  }
  throw cliProblem.error(
    "forget-not-confirmed",
    { subject: "forget", seen: "it was not confirmed" },
    "declined",
  );
}

/** Sets of nodes that one cluster has. */
type Sharing = readonly [DeployedSet, ...DeployedSet[]];

function byCluster(sets: readonly DeployedSet[]): Sharing[] {
  const clusters = new Map<string, Sharing>();
  for (const set of sets) {
    const { clusterContext } = set.nodes[0]!.target;
    const others = clusters.get(clusterContext);
    clusters.set(clusterContext, others ? [...others, set] : [set]);
  }
  return [...clusters.values()];
}

/** The host keys that the deployed stack knows, by node name. */
function knownHostKeys(sets: Sharing, nodes: readonly ClusterNode[]): Record<string, string> {
  return Object.fromEntries(
    nodes.flatMap(({ name, uid, pins }) => {
      const recorded = sets.flatMap((set) =>
        set.nodes.filter(({ target }) => target.name === name && target.uid === uid),
      );
      const [hostKey] = [
        ...recorded.flatMap((node) => node.hostKey ?? []),
        ...sets.flatMap(({ identity }) => pins[pinName(identity)] ?? []),
      ];
      return hostKey === undefined ? [] : [[name, hostKey]];
    }),
  );
}

/** What a node's target has in common with all others'. */
const connectionOf = ({
  port,
  user,
  access,
  sshKey,
  clusterContext,
  cluster,
}: NodeTarget): NodeConnection => ({
  ...{ port, user, access, sshKey, clusterContext, cluster },
});

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** @returns The exit code. */
async function forgetOn(request: Request, sets: Sharing, context: RemovalContext): Promise<number> {
  const [{ identity, former, nodes: known, selections }] = sets;
  const connection = connectionOf(known[0]!.target);
  const { clusterContext, cluster } = connection;
  if ((await context.proveCluster(clusterContext, cluster)) === "gone") {
    say("the cluster is gone; nothing is to be taken off");
    return 0;
  }
  const isMeant = mayHaveOurs(
    { selections: sets.length > 1 ? undefined : selections, stack: identity },
    ({ name }, by) => context.log(passedOver(name, by)),
  );
  const nodes = await context.listNodes(clusterContext, isMeant);
  const hostKeys = knownHostKeys(sets, nodes);
  const targets = sweptTargets(nodes, connection, hostKeys, pinName(identity)).map((target) => ({
    ...{ target, hostKey: target.hostKey ?? target.notedKey },
    ...{ stack: identity, former },
  }));
  const observations = inspectNodes(targets, context);
  const observed = new Map(
    await withProgress(
      Promise.all([...observations].map(async ([name, answer]) => [name, await answer] as const)),
      () => "Asking the nodes what they have",
    ),
  );
  let code = 0;
  for (const answer of observed.values()) {
    if (answer.kind === "answered") continue;
    const skipped = isSkipped(answer.problem.code, context);
    context.log(`${skipped ? "skipped: " : ""}${describeProblem(answer.problem)}`);
    code = 1;
  }
  const found = findOn(observed, request);
  if (found.nodes.size === 0) {
    say("no node that answered has anything of it");
    return code;
  }
  say(["to be taken off:", ...found.lines].join("\n  "));
  await confirm(request);
  const input: SweepInput = { connection, hostKeys, stack: found.stack, readyTimeout: defaults.readyTimeout };
  // Nobody of a forgotten stack comes back: its note of a host key is only taken off.
  const notePin: RemovalContext["notePin"] = async (target, stack, hostKey) => {
    if (hostKey === undefined) await context.notePin(target, stack, hostKey);
  };
  await sweepNodes(
    input,
    { ...context, notePin },
    {
      only: ({ name }) => found.nodes.has(name),
      unclaimed: request.unclaimed,
    },
  );
  say(`taken off ${found.nodes.size} node${found.nodes.size === 1 ? "" : "s"}`);
  return code;
}

/** `npm run forget -- …`: see the text of `--help`. */
export async function forget(args: readonly string[]): Promise<void> {
  process.exitCode = 2; // until the nodes are known
  const request = readRequest(args);
  if (!request) {
    process.exitCode = 0;
    return;
  }
  const exported = await withProgress(exportState(request.stack), () => "Reading the stack's state");
  const deployed = readDeployedStack(exported, request.stack);
  refuseOwn(request, deployed);
  const { sets, unread } = chosenSets(deployed, request.trust);
  const clusters = byCluster(sets);
  const unreachable = unreachablePolicy(process.env, "fail");
  const codes: number[] = [];
  for (const { problem } of unread) {
    process.stderr.write(`${describeProblem(problem)}\n`);
    codes.push(1);
  }
  for (const sharing of clusters) {
    if (clusters.length > 1) say(`${sharing.map(({ trust }) => trust).join(", ")}:`);
    const forgotten = withOwnSessions((run) =>
      forgetOn(request, sharing, removalContext(run, { unreachable, restart: true })),
    ).catch((error: unknown) => {
      if (!(error instanceof UserError)) throw error;
      process.stderr.write(`${error.message}\n`);
      return 1;
    });
    codes.push(await forgotten);
  }
  process.exitCode = Math.max(...codes);
}
