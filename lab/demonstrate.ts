/** `npm run lab`: brings the lab up, runs the stack on it, and prints the proof from what the clusters say. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { UserError } from "../support/errors";
import { isLockStale } from "./engineLock";
import { EngineRun } from "./engineRun";
import { containerd, kubectl, onAllNodes, pullFailure, trusts } from "./inspect";
import * as lab from "./lab";
import { commandLine, commonPrefix, table, wrap } from "./layout";
import { patiently, print } from "./progress";
import { harborSettings, mistakenSettings } from "./settings";
import { LabStack } from "./stack";
import { labProblem } from "./problems";
import { supervisor } from "./topology";

/** The stack that the demonstration and `npm run lab -- pulumi` use. */
export const labStack = new LabStack("lab");

/** Its settings: nothing is installed in the jumpbox, as where there is no mirror of packages. */
const labSettings = (): Record<string, unknown> => harborSettings({ jumpbox: { install: false } });

/** Gives the lab's stack its settings, unless it has some. */
export async function ensureLabStack(): Promise<void> {
  if (!labStack.exists) await labStack.configure(labSettings());
}

/** Takes the lock of an engine that was killed from the lab's stack: no run would go on. */
async function cancelStaleLock(): Promise<void> {
  if (!labStack.exists) return;
  const { env } = await lab.operator();
  if (!isLockStale(env["PULUMI_BACKEND_URL"]!, labStack.name)) return;
  await patiently("pulumi cancel, as an earlier run was killed", () => labStack.cancel());
}

export interface DemonstrationOptions {
  /** Shows the engine's output as it is. */
  readonly verbose: boolean;
}

const printAll = (lines: readonly string[]): void => lines.forEach((line) => print(line));
const heading = (text: string): void => printAll(["", ...wrap(`━━ ${text}`, "", "   ")]);

/** The names of the nodes, short: without what all of them begin with. */
class NodeNames {
  /** What is left out. */
  readonly prefix: string;
  /** The heading of a column of such names. */
  readonly heading: string;

  constructor(names: readonly string[]) {
    this.prefix = commonPrefix(names);
    this.heading = this.prefix === "" ? "NODE" : `NODE ${this.prefix}…`;
  }

  short(name: string): string {
    return name.startsWith(this.prefix) ? name.slice(this.prefix.length) : name;
  }
}

const nodeNames = async (): Promise<NodeNames> => new NodeNames((await lab.nodes()).map(({ name }) => name));

/**
 * Runs a command that changes the stack, and tells of what the engine does what matters to somebody who looks on.
 *
 * @param shown - Whether each change is told.
 * @throws UserError when it fails, once all that the engine said is printed.
 */
async function pulumi(
  args: readonly string[],
  { verbose }: DemonstrationOptions,
  shown = true,
): Promise<EngineRun> {
  printAll(commandLine(["pulumi", ...args]));
  const { prefix } = await nodeNames();
  const run = new EngineRun({ print: shown ? print : () => {}, prefix });
  const code = verbose
    ? await labStack.onTerminal(args)
    : await patiently(`pulumi ${args[0]!}`, (report) =>
        labStack.followed(args, (line) => {
          run.line(line);
          report(run.underWay);
        }),
      );
  if (code === 0) return run;
  if (!verbose)
    printAll(["", "  All that the engine said:", ...run.said.flatMap((said) => wrap(said, "    "))]);
  throw disproved(`pulumi ${args[0]!}`, `it ended with code ${code}; its messages are above`);
}

/** A proof that didn't hold. */
function disproved(subject: string, seen: string): UserError {
  return labProblem.error("lab-demonstration-failed", { subject, seen });
}

/** Which nodes trust a certificate. */
type Trusting = Readonly<Record<string, boolean>>;

/**
 * What the nodes are like before the demonstration does anything, as a heading.
 *
 * @param stackIsUp - Whether the lab's own stack has resources.
 */
export function startHeading(trusting: Trusting, stackIsUp: boolean): string {
  const answers = Object.values(trusting);
  const trusted = answers.filter(Boolean).length;
  if (trusted === 0) return "Before: the cluster does not trust the registry";
  const where = `${trusted === answers.length ? "all" : `${trusted} of`} ${answers.length} nodes`;
  if (!stackIsUp)
    return `Where we start: ${where} trust the registry already, and not by the lab's own stack`;
  return trusted === answers.length
    ? `Where we start: an earlier run has brought trust to ${where}`
    : `Where we start: ${where} trust the registry: an earlier run was cut short, or nodes came since`;
}

/** Shows from which state the demonstration begins, and that it fails there without the stack. */
async function showStart(pem: string, sha256: string, image: string): Promise<void> {
  const [trusting, resources] = await patiently("asking the nodes", () =>
    Promise.all([
      onAllNodes((node) => trusts(node, pem)),
      labStack.exists ? labStack.resourceCount() : Promise.resolve(0),
    ]),
  );
  const stackIsUp = resources > 0;
  heading(startHeading(trusting, stackIsUp));
  if (Object.values(trusting).some(Boolean)) {
    if (stackIsUp) print("  `npm run lab -- pulumi destroy` takes it out, for a start from nothing.");
  } else {
    print(`  a pod of ${image}:`);
    printAll(wrap(await patiently("waiting until its pull fails", () => pullFailure("before", image))));
  }
  print();
  await showNodes(pem, sha256);
}

interface ShownNode {
  readonly name: string;
  /** The operating system, as the API server has it. */
  readonly osImage: string;
  readonly trusts: boolean;
  /** When its containerd was started, as systemd writes it. */
  readonly startedAt: string;
}

/** The nodes as a table. */
export function nodesTable(nodes: readonly ShownNode[], sha256: string): string[] {
  const names = new NodeNames(nodes.map(({ name }) => name));
  return table([
    [names.heading, "OS", `CA ${sha256.slice(0, 8)}…`, "CONTAINERD STARTED"],
    ...nodes.map(({ name, osImage, trusts, startedAt }) => [
      names.short(name),
      osImage.replace(/ \([^)]*\)$/, ""), // a release's code name
      trusts ? "trusted" : "—",
      startedAt.replace(/^[A-Z][a-z]{2} /, ""), // the day of the week
    ]),
  ]);
}

/** Shows each node as its own API server and its own disk show it; tells which nodes trust the certificate. */
async function showNodes(pem: string, sha256: string): Promise<Trusting> {
  const [text, trusting, processes] = await patiently("asking the nodes", () =>
    Promise.all([
      kubectl("workload", "get", "nodes", "-o", "json"),
      onAllNodes((node) => trusts(node, pem)),
      onAllNodes(containerd),
    ]),
  );
  const { items } = JSON.parse(text) as {
    items: { metadata: { name: string }; status: { nodeInfo: { osImage: string } } }[];
  };
  const nodes = items.map(({ metadata: { name }, status: { nodeInfo } }) => ({
    name,
    osImage: nodeInfo.osImage,
    trusts: trusting[name] === true,
    startedAt: processes[name]!.startedAt,
  }));
  printAll(nodesTable(nodes, sha256));
  return trusting;
}

interface Pod {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly nodeName?: string; readonly containers: readonly { readonly image: string }[] };
  readonly status: {
    readonly phase?: string;
    readonly containerStatuses?: readonly { readonly ready: boolean }[];
  };
}

/** Shows the Deployment's pods, and that they run from the registry. */
async function showPods(image: string): Promise<void> {
  const app = ["get", "pods", "-n", "default", "-l", "app=nginx-harbor-svc-app", "-o", "json"];
  const text = await patiently("asking the cluster", () => kubectl("workload", ...app));
  const { items: pods } = JSON.parse(text) as { items: readonly Pod[] };
  const names = await nodeNames();
  const isReady = ({ status }: Pod): boolean => status.containerStatuses?.[0]?.ready === true;
  printAll(
    table([
      ["POD", "READY", "IMAGE", names.heading],
      ...pods.map((pod) => [
        pod.metadata.name,
        isReady(pod) ? "yes" : (pod.status.phase ?? "no"),
        pod.spec.containers[0]!.image,
        names.short(pod.spec.nodeName ?? "—"),
      ]),
    ]),
  );
  if (!pods.some((pod) => isReady(pod) && pod.spec.containers[0]!.image === image))
    throw disproved("the Deployment", `no pod of ${image} is ready`);
  const pulled = "jsonpath={range .items[?(@.reason=='Pulled')]}{.message}{'\\n'}{end}";
  const messages = await patiently("asking the cluster", () =>
    kubectl("workload", "get", "events", "-n", "default", "-o", pulled),
  );
  const last = messages
    .split("\n")
    .filter((message) => message.includes(image))
    .pop();
  if (last !== undefined) printAll(wrap(`kubelet: ${last}`));
}

/** The stack's outputs, as far as they are shown. */
interface Outputs {
  readonly nodes: readonly {
    readonly name: string;
    readonly role: string;
    readonly address: string;
    readonly trustStore?: string;
    readonly hostKey?: string;
  }[];
  readonly registries: readonly {
    readonly host: string;
    readonly certificates: readonly {
      readonly subject: string;
      readonly sha256: string;
      readonly notAfter: string;
    }[];
  }[];
}

/** Shows the stack's outputs as tables. */
async function showOutputs(): Promise<void> {
  print();
  printAll(commandLine(["pulumi", "stack", "output"]));
  const outputs = await patiently("pulumi stack output", () => labStack.outputs());
  const { nodes, registries } = outputs as unknown as Outputs;
  const texts = Object.entries(outputs).filter(
    (each): each is [string, string] => typeof each[1] === "string",
  );
  const names = await nodeNames();
  printAll(table([["OUTPUT", "VALUE"], ...texts]));
  print();
  printAll(
    table([
      ["REGISTRY", "CA", "SHA-256", "VALID UNTIL"],
      ...registries.flatMap(({ host, certificates }) =>
        certificates.map(({ subject, sha256, notAfter }) => [
          host,
          subject,
          `${sha256.slice(0, 16)}…`,
          notAfter,
        ]),
      ),
    ]),
  );
  print();
  printAll(
    table([
      [names.heading, "ROLE", "ADDRESS", "TRUST STORE", "HOST KEY"],
      ...nodes.map(({ name, role, address, trustStore, hostKey }) => [
        names.short(name),
        role,
        address,
        trustStore ?? "—",
        hostKey === undefined ? "—" : `${hostKey.slice(0, 16)}…`,
      ]),
    ]),
  );
}

/** Shows that a run with mistakes is refused for all of them at once, before anything is made. */
async function showRefusal({ verbose }: DemonstrationOptions): Promise<void> {
  await patiently("making the stack's settings", () => labStack.configure(mistakenSettings()));
  print("  $ pulumi preview     # with a mistyped fingerprint, password and namespace");
  const { code, output } = await patiently("pulumi preview", () => labStack.preview());
  const told = output.slice(Math.max(output.indexOf("error: "), 0)).trimEnd();
  if (verbose) print(output.trimEnd());
  else printAll(wrap(told.replace(/\n+Resources:[^]*/, "")));
  const mistakes = [
    /registries\[0\]\.ca\.sha256: /,
    /registries\[1\]\.credentials: /,
    /pullSecret\.namespaces: /,
  ];
  if (code === 0 || !told.includes("3 problems") || !mistakes.every((mistake) => mistake.test(told)))
    throw disproved("pulumi preview", `its three mistakes were not told; it ended with code ${code}`);
}

/** Shows that the nodes were reached through a pod that has what its image has, and can install nothing. */
async function showJumpbox(): Promise<void> {
  const script = "command -v ssh || :; touch /usr/bin/installed 2>/dev/null && echo written || :";
  const exec = ["exec", "-n", supervisor.namespace, "jumpbox-ubuntu", "--", "sh", "-c", script];
  const found = await patiently("asking the jumpbox", () => kubectl("supervisor", ...exec));
  if (found.trim() !== "")
    throw disproved("the jumpbox", `something was or can be installed in it: ${found}`);
  print("  The jumpbox relays with its image's shell: nothing was installed in it, and nothing can be.");
}

/** Shows that a run on what is as it should be does nothing. */
async function showSecondRun(options: DemonstrationOptions): Promise<void> {
  const earlier = await patiently("asking the nodes", () => onAllNodes(containerd));
  const run = await pulumi(["up", "--yes", "--skip-preview", "--expect-no-changes"], options, false);
  const now = await patiently("asking the nodes", () => onAllNodes(containerd));
  const restarted = Object.keys(now).filter((node) => now[node]!.pid !== earlier[node]?.pid);
  if (restarted.length > 0) throw disproved(restarted.join(", "), "containerd was restarted for nothing");
  const summary = run.summary === undefined ? "" : ` (${run.summary})`;
  print(`  It changed nothing${summary} and restarted no containerd.`);
}

/** @throws UserError when a proof fails, or the lab or the stack does. */
export async function demonstrate(options: DemonstrationOptions): Promise<void> {
  await lab.up();
  await cancelStaleLock();
  const { harbor } = lab.registries();
  const pem = new X509Certificate(readFileSync(harbor.caFile)).toString();
  printAll(["", "Pulumi here:", ...(await lab.pulumiParts()).flatMap((part) => wrap(part))]);

  await showStart(pem, harbor.caSha256, harbor.image);

  heading("Mistakes are told all at once, before anything is touched");
  await showRefusal(options);

  heading("The stack");
  await labStack.configure(labSettings()); // anew: the registry's CA may have been rotated since
  const { summary } = await pulumi(["up", "--yes", "--skip-preview", "--continue-on-error"], options);
  if (summary !== undefined) print(`  ${summary}`);
  await showJumpbox();
  await showOutputs();

  heading("After: what the cluster and the nodes say");
  const untrusting = Object.entries(await showNodes(pem, harbor.caSha256)).filter(([, trusted]) => !trusted);
  if (untrusting.length > 0)
    throw disproved(untrusting.map(([node]) => node).join(", "), "the CA is not trusted there");
  print();
  await showPods(harbor.image);

  heading("A second run changes nothing");
  await showSecondRun(options);

  heading("Look around");
  print('  eval "$(npm run --silent lab -- env)"   # then: kubectl --context tkc-cluster-1 get nodes');
  print("  npm run lab -- shell control-plane      # a root shell on that node");
  print("  npm run lab -- pulumi preview --diff    # any Pulumi command, on this stack");
  print("  npm run lab -- add-worker               # then: npm run lab -- pulumi up");
  print("  npm run lab -- pulumi destroy           # takes out exactly what was put in");
  print("  npm run lab -- down                     # takes the lab away");
}
