/** `npm run verify`: what is true now of a deployed stack's nodes. It goes by the state, and changes nothing on nodes. */
import { spawn } from "node:child_process";
import { setMaxListeners } from "node:events";
import { parseArgs } from "node:util";
import { type KubeContext, kubeContext } from "../../kubernetes/client";
import { discoverNodes } from "../../kubernetes/nodes";
import { type PullResult, tryPulls } from "../../kubernetes/pullPods";
import type { ClusterNode } from "../../kubernetes/types";
import { type Observation, inspectNodes } from "../../nodes/operations/inspection";
import type { NodeTarget } from "../../nodes/protocol/spec";
import { throughPod } from "../../nodes/routes/relay";
import { transportFor } from "../../nodes/routes/way";
import { readCredentials } from "../../nodes/ssh/key";
import { type InSession, SessionPool } from "../../nodes/ssh/pool";
import { ownerMetadata } from "../../plan/ownership";
import { readSupervisorSecret } from "../../plan/route";
import { parseImageReference } from "../../registry/host";
import { type DeployedStack, type StackNode, readDeployedStack } from "../../state/exportedState";
import { type Problem, UserError } from "../../support/errors";
import { lastWords, printable } from "../../support/text";
import { withProgress } from "../progress";
import {
  type Findings,
  type PullFinding,
  describeFindings,
  judge,
  nodesToAsk,
  registryHosts,
} from "./findings";

const help = `Usage: npm run verify -- --stack NAME [options]

Says for each node and registry of a deployed stack what is true now: whether the node is reached and shows the host key
that is pinned, whether the CA's file is in place, is where containerd reads it and was loaded by containerd, and how long
the CA is valid. Nothing is changed on nodes. What the stack consists of is read from its state, by \`pulumi stack export\`.

  --stack NAME           the stack, as pulumi has it
  --pull                 also pull an image on each node, by a pod that is deleted again at once
  --image REF            the image for --pull, of one of the stack's registries; may be repeated.
                         Default: the image of the stack's Deployment
  --expires-within DAYS  warn of a CA that expires within so many days (default 30)
  --json                 print one JSON object instead of a table, whose fields are in cli/verify/findings.ts;
                         \`npm run --silent verify\` keeps npm's own line out of it
  --help                 this text

Exit code: 0 if all is well, 1 if something is not, 2 if that could not be found out.
`;

const options = {
  stack: { type: "string" },
  pull: { type: "boolean" },
  image: { type: "string", multiple: true },
  "expires-within": { type: "string" },
  json: { type: "boolean" },
  help: { type: "boolean" },
} as const;

interface Request {
  readonly stack: string;
  readonly pull: boolean;
  readonly images: readonly string[];
  readonly expiresWithin: number;
  readonly json: boolean;
}

const seeHelp = "See `npm run verify -- --help`";

function badArgument(subject: string, seen: string, remedy = seeHelp): Problem {
  return { code: "bad-arguments", subject, seen, remedy };
}

/** @returns `undefined` where help is asked for. */
function readArguments(args: readonly string[]): Request | undefined {
  const values = (() => {
    try {
      return parseArgs({ args: [...args], options, strict: true, allowPositionals: false }).values;
    } catch (error) {
      throw new UserError(badArgument("arguments", printable((error as Error).message.split(". ")[0]!, 200)));
    }
  })();
  if (values.help === true) return undefined;
  const problems: Problem[] = [];
  const {
    stack = "",
    pull = false,
    image: images = [],
    "expires-within": days = "30",
    json = false,
  } = values;
  if (stack === "") problems.push(badArgument("--stack", "it is missing"));
  else if (!/^[A-Za-z0-9_.][A-Za-z0-9_./-]*$/.test(stack))
    problems.push(badArgument("--stack", `"${printable(stack, 80)}" is not the name of a stack`));
  if (!/^\d{1,5}$/.test(days))
    problems.push(badArgument("--expires-within", `"${printable(days, 40)}" is not a number of days`));
  if (images.length > 0 && !pull)
    problems.push(badArgument("--image", "it is for --pull, which is not given"));
  const [first, ...rest] = problems;
  if (first) throw new UserError(first, ...rest);
  return { stack, pull, images: [...new Set(images)], expiresWithin: Number(days), json };
}

/** How pulumi says no. */
const refusals = [
  ["stack-missing", /no stack named/],
  ["passphrase-missing", /passphrase/i],
  ["pulumi-login", /PULUMI_ACCESS_TOKEN|pulumi login|not logged in/],
] as const;

/** What to do then; the last is for all else. */
const refusalRemedies = {
  "stack-missing": "Name a stack that is there (`pulumi stack ls`)",
  "passphrase-missing": "Set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE, as for `pulumi up`",
  "pulumi-login": "Log in to where the stack's state is (`pulumi login`), as for `pulumi up`",
  "export-failed": "Run `pulumi stack export` by hand to see more",
} as const;

/** Asks the operator's own pulumi for the stack's state; what is secret in it stays encrypted. */
async function exportState(stack: string): Promise<unknown> {
  const subject = `stack ${stack}`;
  const args = ["stack", "export", "--stack", stack, "--non-interactive", "--color", "never"];
  const child = spawn("pulumi", args, { stdio: ["ignore", "pipe", "pipe"] });
  const stdout: Buffer[] = [];
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-16 * 1024);
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", (error: NodeJS.ErrnoException) => {
      const seen = error.code === "ENOENT" ? "it is not on PATH" : `it cannot be run (${error.code ?? ""})`;
      reject(
        new UserError({ code: "pulumi-missing", subject: "pulumi", seen, remedy: "Install the Pulumi CLI" }),
      );
    });
    child.on("close", resolve);
  });
  if (code !== 0) {
    const kind = refusals.find(([, pattern]) => pattern.test(stderr))?.[0] ?? "export-failed";
    const said = lastWords(stderr) || `it ended with code ${code ?? "none"}`;
    const remedy = refusalRemedies[kind];
    throw new UserError({ code: kind, subject, seen: `pulumi said: ${said}`, remedy });
  }
  try {
    return JSON.parse(Buffer.concat(stdout).toString("utf8"));
  } catch {
    const seen = "what `pulumi stack export` printed is not JSON";
    throw new UserError({ code: "export-failed", subject, seen, remedy: "Run it by hand to see more" });
  }
}

/** The images to pull. */
function imagesOf({ images, pull }: Request, stack: DeployedStack): readonly string[] {
  if (!pull) return [];
  const wanted = images.length > 0 ? images : stack.image === undefined ? [] : [stack.image];
  if (wanted.length === 0) {
    throw new UserError(
      badArgument("--pull", "the stack runs no Deployment, so that it has no image", "Give one with --image"),
    );
  }
  const hosts = registryHosts(stack);
  const problems = wanted.flatMap((image) => {
    const { host } = parseImageReference(image, { subject: "--image" });
    if (hosts.includes(host)) return [];
    const seen = `"${printable(image, 200)}" is of none of the stack's registries`;
    return [badArgument("--image", seen, `Give an image of ${hosts.join(" or ")}`)];
  });
  const [first, ...rest] = problems;
  if (first) throw new UserError(first, ...rest);
  return wanted;
}

/** Opens each context once. */
function contexts(): (name: string, subject: string) => Promise<KubeContext> {
  const opened = new Map<string, Promise<KubeContext>>();
  return (name, setting) => {
    const context = opened.get(name) ?? kubeContext(name, { subject: `setting tkc-registry:${setting}` });
    opened.set(name, context);
    return context;
  };
}

/** Sessions by the way and the credentials that the state has for each node: mostly the same for all. */
async function openSessions(
  targets: readonly NodeTarget[],
  context: ReturnType<typeof contexts>,
): Promise<InSession> {
  const key = ({ access, sshKey }: NodeTarget): string => JSON.stringify([access, sshKey]);
  const pools = new Map<string, SessionPool>();
  for (const target of targets) {
    if (pools.has(key(target))) continue;
    const { access, sshKey } = target;
    const supervisor = (name: string): Promise<KubeContext> => context(name, "supervisorContext");
    const credentials = await (sshKey.from === "supervisor"
      ? readCredentials(sshKey, readSupervisorSecret(await supervisor(sshKey.context)))
      : readCredentials(sshKey));
    const transport =
      access.kind === "jumpbox"
        ? transportFor(access, throughPod(await supervisor(access.context)))
        : transportFor(access);
    pools.set(key(target), new SessionPool({ transport, credentials }));
  }
  return (target, hostKey, act) => pools.get(key(target))!.use(target, hostKey, act);
}

async function askNodes(
  nodes: readonly StackNode[],
  owner: string,
  context: ReturnType<typeof contexts>,
): Promise<Map<string, Observation>> {
  const inSession = await openSessions(
    nodes.map(({ target }) => target),
    context,
  );
  const observations = inspectNodes(nodes, { owner, inSession });
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

/** Tries the pulls; a signal ends them, and the process, once their pods are deleted. */
async function pull(
  cluster: KubeContext,
  listed: readonly ClusterNode[],
  images: readonly string[],
  stack: DeployedStack,
): Promise<Map<string, PullFinding[]>> {
  const interruption = new AbortController();
  setMaxListeners(0, interruption.signal); // each pod that is waited for is one
  const interrupt = (signal: NodeJS.Signals): void => {
    if (interruption.signal.aborted) return; // a terminal and npm both send one
    process.stderr.write(`${signal}: deleting the pods\n`);
    const remedy = "Run it again";
    interruption.abort(
      new UserError({ code: "interrupted", subject: "verify", seen: `it was ended by ${signal}`, remedy }),
    );
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, interrupt);
  try {
    const trials = listed.flatMap(({ name: node }) => images.map((image) => ({ node, image })));
    let done = 0;
    const place = {
      namespace: stack.pulls.namespace,
      pullSecret: stack.pulls.secret,
      labels: ownerMetadata(stack.owner).labels,
    };
    const around = { signal: interruption.signal, onResult: () => void (done += 1) };
    const results: PullResult[] = await withProgress(
      tryPulls(cluster, trials, place, around),
      () => `Pulling: ${done} of ${trials.length} are known`,
    );
    const byNode = new Map<string, PullFinding[]>();
    for (const { node, ...finding } of results) byNode.set(node, [...(byNode.get(node) ?? []), finding]);
    return byNode;
  } finally {
    for (const signal of signals) process.off(signal, interrupt);
  }
}

/** Finds out what is true of a deployed stack. */
async function findOut(request: Request): Promise<Findings> {
  const { stack: name, expiresWithin } = request;
  const exported = await withProgress(exportState(name), () => "Reading the stack's state");
  const stack = readDeployedStack(exported, name);
  const images = imagesOf(request, stack);
  const context = contexts();
  const cluster = await context(stack.nodes[0]!.target.clusterContext, "clusterContext");
  const listed = await withProgress(discoverNodes(cluster), () => "Asking the cluster for its nodes");
  const observed = await askNodes(nodesToAsk(stack, listed), stack.owner, context);
  const pulls = images.length === 0 ? new Map<string, never[]>() : await pull(cluster, listed, images, stack);
  return judge({ name, stack, listed, observed, pulls, now: new Date(), expiresWithin });
}

const print = (text: string): Promise<void> =>
  new Promise((resolve) => void process.stdout.write(text, () => resolve()));

/** `npm run verify -- …`: see the text of `--help`. */
export async function verify(args: readonly string[]): Promise<void> {
  process.exitCode = 2; // until it is known better
  const request = readArguments(args);
  if (!request) {
    await print(help);
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
  // Nobody waits for a node that is still being dialled.
  process.exit(exitCode);
}
