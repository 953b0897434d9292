/** Runs peers on fleets, and gives what each cost. */
import { CommandError } from "../exec";
import type { Fleet } from "../fleet";
import { say, step as told, type Report } from "../progress";
import { summarize, type Result, type RunFigures } from "./figures";
import { measured } from "./measure";
import {
  caFileSha256,
  type EngineLoad,
  type Goal,
  type Peer,
  type Step,
  type Task,
  type Transport,
} from "./peers";
import { nodesNotClean, untrustingNodes } from "./verify";

/** One peer by one way. */
export interface Contestant {
  readonly peer: Peer;
  readonly transport: Transport;
  /** How often it is measured. */
  readonly runs: number;
}

interface Counts {
  readonly handshakes: number;
  readonly rehashes: number;
  readonly restarts: number;
}

async function counts(fleet: Fleet): Promise<Counts> {
  const [handshakes, events] = await Promise.all([fleet.handshakes(), fleet.events()]);
  const restarts = events.filter(({ kind }) => kind === "restart").length;
  return { handshakes, restarts, rehashes: events.length - restarts };
}

/** The nodes that a step did not leave as it was to. */
async function failedNodes(fleet: Fleet, goal: Goal): Promise<readonly string[]> {
  switch (goal) {
    case "trusting":
      return await untrustingNodes(fleet, caFileSha256());
    case "clean":
      return await nodesNotClean(fleet);
    case "none":
      return [];
  }
}

/** Runs one step of a peer; gives undefined, and says so, where it failed. */
async function runStep(fleet: Fleet, { name, client, goal, before }: Step): Promise<RunFigures | undefined> {
  await before?.();
  const start = await counts(fleet);
  let own;
  try {
    own = await measured(client);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    say(`    ${name}: ${error.message}`);
    return undefined;
  }
  const end = await counts(fleet);
  const failed = await failedNodes(fleet, goal);
  if (failed.length > 0) {
    say(`    ${name} left ${failed.length} nodes as they should not be: ${failed.slice(0, 5).join(", ")}`);
    return undefined;
  }
  return {
    ...own,
    handshakes: end.handshakes - start.handshakes,
    rehashes: end.rehashes - start.rehashes,
    restarts: end.restarts - start.restarts,
  };
}

/** What one run of a peer cost, step by step. */
interface Trial {
  readonly figures: ReadonlyMap<Step["name"], RunFigures>;
  /** Whether every step was done, and left the nodes as it was to. */
  readonly verified: boolean;
}

/** One run of a peer: all its steps, one after the other, on nodes that are as they were at the beginning. */
async function runTrial(peer: Peer, task: Task, report: Report): Promise<Trial> {
  await task.fleet.reset();
  const figures = new Map<Step["name"], RunFigures>();
  for (const step of await peer.steps(task)) {
    report(step.name);
    const result = await runStep(task.fleet, step);
    if (!result) return { figures, verified: false };
    figures.set(step.name, result);
  }
  return { figures, verified: true };
}

function resultOf({ peer, transport }: Contestant, trials: readonly Trial[], task: Task): Result {
  const steps = new Set(trials.flatMap(({ figures }) => [...figures.keys()]));
  return {
    nodes: task.fleet.nodes.length,
    peer: peer.name,
    transport,
    verified: trials.every(({ verified }) => verified),
    ...(peer.engine ? { commands: task.load.commands } : {}),
    ...Object.fromEntries(
      [...steps].map((name) => [name, summarize(trials.flatMap(({ figures }) => figures.get(name) ?? []))]),
    ),
  };
}

const title = ({ peer, transport }: Contestant): string =>
  transport === "jumpbox" ? `${peer.name} by jumpbox` : peer.name;

/** Measures contestants on a fleet. They take turns, as the machine may be slower at one time than at another. */
export async function compare(
  fleet: Fleet,
  contestants: readonly Contestant[],
  { atOnce }: { readonly atOnce: number },
): Promise<Result[]> {
  const load: EngineLoad = { commands: 2 * fleet.nodes.length, others: fleet.nodes.length };
  const tasks = contestants.map((contestant) => ({
    contestant,
    task: { fleet, atOnce, transport: contestant.transport, load },
    trials: [] as Trial[],
  }));
  for (let run = 1; run <= Math.max(...contestants.map(({ runs }) => runs)); run++) {
    for (const { contestant, task, trials } of tasks.filter((each) => run <= each.contestant.runs)) {
      const what = `${fleet.nodes.length} nodes, run ${run} of ${contestant.runs}: ${title(contestant)}`;
      trials.push(await told(what, (report) => runTrial(contestant.peer, task, report)));
    }
  }
  return tasks.map(({ contestant, task, trials }) => resultOf(contestant, trials, task));
}
