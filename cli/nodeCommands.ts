/**
 * The commands that the stack runs on nodes. stdout is what the stack keeps; stderr is for people. Their names, arguments
 * and environment are in state: an interface.
 */
import { listNodes } from "../kubernetes/nodes";
import { writePin } from "../kubernetes/pins";
import { nodeReader } from "../nodes/operations/ready";
import { type RemovalContext, removeCa, sweep } from "../nodes/operations/removal";
import { type Environment, unreachablePolicy } from "../nodes/protocol/environment";
import { callService } from "../nodes/service/client";
import { proveCluster } from "../vsphere/cluster";
import { nodeProblem } from "../nodes/problems";
import { commandInStates, parseArguments } from "./arguments";
import { Sessions } from "./sessions";

/** What a command of a removal is given, by its own process or by one that serves several. */
export interface RemovalRun {
  readonly environment: Environment;
  readonly sessions: Sessions;
  /** Says one line to people. */
  readonly log: (line: string) => void;
  /** Aborts when the command that waits for this has ended. Nothing is begun on a node then. */
  readonly signal?: AbortSignal | undefined;
}

/** A command of a removal: gives what it prints. */
export type RemovalCommand = (args: readonly string[], run: RemovalRun) => Promise<string>;

export const logToStderr = (line: string): void => void process.stderr.write(`${line}\n`);

/** What the removal from nodes is given. */
export function removalContext(
  { sessions, log, signal }: Omit<RemovalRun, "environment">,
  options: Pick<RemovalContext, "unreachable" | "restart">,
): RemovalContext {
  const { open, controlPlane } = sessions;
  return {
    ...options,
    ...(signal ? { signal } : {}),
    inSession: async (target, hostKey, act) => {
      signal?.throwIfAborted(); // a sweep would log in to all that are left
      const pool = await sessions.pool(target);
      return await pool.use(target, hostKey, (session) => {
        signal?.throwIfAborted();
        return act(session);
      });
    },
    readNode: nodeReader(open),
    notePin: async (target, stack, hostKey) =>
      writePin(await open(target.clusterContext), target, stack, hostKey),
    controlPlane,
    skipRefusals: true,
    listNodes: async (name, isMeant) => listNodes(await open(name), isMeant),
    proveCluster: (name, cluster) =>
      proveCluster(
        () => open(name),
        ({ supervisor }) => open(supervisor),
        cluster,
      ),
    log,
  };
}

/** Runs a removal with sessions of its own, and closes them afterwards. */
export async function withOwnSessions<T>(act: (run: RemovalRun) => Promise<T>): Promise<T> {
  const sessions = new Sessions();
  try {
    return await act({ environment: process.env, sessions, log: logToStderr });
  } finally {
    await sessions.close();
  }
}

type Verb = () => Promise<string>;

function dispatch(name: string, verbs: Readonly<Record<string, Verb>>, verb: string): Promise<string> {
  const run = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined;
  if (!run) {
    throw nodeProblem.error(
      "unknown-command",
      { subject: `command "${name} ${verb}"`, seen: "this release of tkc-registry does not know it" },
      "installed",
      Object.keys(verbs),
    );
  }
  return run();
}

/**
 * `ca apply`: has the running program make the node trust the certificates. `ca remove`: takes them away again, which
 * `destroy` does with no program running; `ca sweep`: from all nodes that the cluster has. Both take `--unreachable skip`
 * for passing over nodes that can't be reached, which the variable TKC_REGISTRY_UNREACHABLE_NODES overrides, and
 * `--no-restart` for leaving containerd alone.
 */
export const ca: RemovalCommand = async (args, run) => {
  const command = commandInStates()
    .argument("[VERB...]")
    .option("--unreachable <POLICY>")
    .option("--no-restart");
  const { values, words } = parseArguments(command, args, (seen) =>
    nodeProblem.error("unknown-command", { subject: 'command "ca"', seen }, "installed", [
      "--unreachable",
      "--no-restart",
    ]),
  )!;
  const { unreachable: policy = "fail", restart }: { unreachable?: string; restart?: boolean } = values;
  const { environment } = run;
  const removal = (act: typeof removeCa): Promise<string> => {
    const unreachable = unreachablePolicy(environment, policy);
    return act(environment, removalContext(run, { unreachable, restart: restart !== false }));
  };
  const verbs: Record<string, Verb> = {
    apply: () => callService("ca apply", environment),
    remove: () => removal(removeCa),
    sweep: () => removal(sweep),
  };
  return await dispatch("ca", verbs, words[0] ?? "");
};

/** The same in a process of its own. */
export async function caAlone(args: readonly string[]): Promise<void> {
  process.stdout.write(await withOwnSessions((run) => ca(args, run)));
}

/** `canary pull`: has the running program pull on the node that goes first. */
export async function canary(args: readonly string[]): Promise<void> {
  const verbs: Record<string, Verb> = { pull: () => callService("canary pull", process.env) };
  process.stdout.write(await dispatch("canary", verbs, args[0] ?? ""));
}

/** `containerd restart`: has the running program restart containerd where it has not loaded the certificates. */
export async function containerd(args: readonly string[]): Promise<void> {
  const verbs: Record<string, Verb> = { restart: () => callService("containerd restart", process.env) };
  process.stdout.write(await dispatch("containerd", verbs, args[0] ?? ""));
}

/** `wave N`: has the running program wait at the end of a wave. */
export async function wave([number = ""]: readonly string[]): Promise<void> {
  process.stdout.write(await callService(`wave ${number}`, process.env));
}
