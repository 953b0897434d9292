/**
 * The commands that the stack runs on nodes, each in a process of its own. stdout is what the stack keeps; stderr is
 * for people. Their names, arguments and environment are in state: an interface.
 */
import { namedContexts } from "../kubernetes/client";
import { listNodes } from "../kubernetes/nodes";
import { writePin } from "../kubernetes/pins";
import { controlPlaneOf } from "../nodes/operations/controlPlane";
import { nodeReader } from "../nodes/operations/ready";
import { type RemovalContext, removeCa, sweep } from "../nodes/operations/removal";
import { unreachablePolicy } from "../nodes/protocol/environment";
import { callService } from "../nodes/service/client";
import type { SessionPool } from "../nodes/ssh/pool";
import { proveCluster } from "../vsphere/cluster";
import { nodeProblem } from "../nodes/problems";
import { commandInStates, parseArguments } from "./arguments";
import { openPool } from "./sessions";

/** Runs a removal with sessions of this process, and closes them afterwards. */
export async function withOwnSessions(
  options: Pick<RemovalContext, "unreachable" | "restart">,
  act: (context: RemovalContext) => Promise<string>,
): Promise<string> {
  const openContext = namedContexts();
  let opened: Promise<SessionPool> | undefined;
  try {
    return await act({
      ...options,
      inSession: async (target, hostKey, run) =>
        (await (opened ??= openPool(target, openContext))).use(target, hostKey, run),
      readNode: nodeReader(openContext),
      notePin: async (target, stack, hostKey) =>
        writePin(await openContext(target.clusterContext), target, stack, hostKey),
      controlPlane: controlPlaneOf(openContext),
      skipRefusals: true,
      listNodes: async (name, isMeant) => listNodes(await openContext(name), isMeant),
      proveCluster: (name, cluster) =>
        proveCluster(
          () => openContext(name),
          ({ supervisor }) => openContext(supervisor),
          cluster,
        ),
      log: (line) => void process.stderr.write(`${line}\n`),
    });
  } finally {
    await (await opened?.catch(() => undefined))?.close();
  }
}

type Verb = () => Promise<string>;

async function dispatch(name: string, verbs: Readonly<Record<string, Verb>>, verb: string): Promise<void> {
  const run = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined;
  if (!run) {
    throw nodeProblem.error(
      "unknown-command",
      { subject: `command "${name} ${verb}"`, seen: "this release of tkc-registry does not know it" },
      "installed",
      Object.keys(verbs),
    );
  }
  process.stdout.write(await run());
}

/**
 * `ca apply`: has the running program make the node trust the certificates. `ca remove`: takes them away again, which
 * `destroy` does with no program running; `ca sweep`: from all nodes that the cluster has. Both take `--unreachable skip`
 * for passing over nodes that can't be reached, which the variable TKC_REGISTRY_UNREACHABLE_NODES overrides, and
 * `--no-restart` for leaving containerd alone.
 */
export async function ca(args: readonly string[]): Promise<void> {
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
  const removal = (act: typeof removeCa): Promise<string> => {
    const unreachable = unreachablePolicy(process.env, policy);
    return withOwnSessions({ unreachable, restart: restart !== false }, (context) =>
      act(process.env, context),
    );
  };
  const verbs: Record<string, Verb> = {
    apply: () => callService("ca apply", process.env),
    remove: () => removal(removeCa),
    sweep: () => removal(sweep),
  };
  await dispatch("ca", verbs, words[0] ?? "");
}

/** `canary pull`: has the running program pull on the node that goes first. */
export async function canary(args: readonly string[]): Promise<void> {
  await dispatch("canary", { pull: () => callService("canary pull", process.env) }, args[0] ?? "");
}

/** `containerd restart`: has the running program restart containerd where it has not loaded the certificates. */
export async function containerd(args: readonly string[]): Promise<void> {
  await dispatch(
    "containerd",
    { restart: () => callService("containerd restart", process.env) },
    args[0] ?? "",
  );
}

/** `wave N`: has the running program wait at the end of a wave. */
export async function wave([number = ""]: readonly string[]): Promise<void> {
  process.stdout.write(await callService(`wave ${number}`, process.env));
}
