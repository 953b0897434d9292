/** `npm run lab`: brings the lab up, runs the stack on it, and prints the proof from what the clusters say. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { UserError } from "../support/errors";
import { containerd, kubectl, onAllNodes, pullFailure, trusts } from "./inspect";
import * as lab from "./lab";
import { harborSettings, mistakenSettings } from "./settings";
import { LabStack } from "./stack";

/** The stack that the demonstration and `npm run lab -- pulumi` use. */
export const labStack = new LabStack("lab");

/** Gives the lab's stack its settings, unless it has some. */
export async function ensureLabStack(): Promise<void> {
  if (!labStack.exists) await labStack.configure(harborSettings());
}

const print = (text = ""): void => void process.stdout.write(`${text}\n`);
const heading = (text: string): void => print(`\n━━ ${text}`);

const indented = (text: string): string => text.trimEnd().replace(/^/gm, "  ");

function table(rows: readonly (readonly string[])[]): void {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  for (const row of rows)
    print(
      `  ${row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join("  ")
        .trimEnd()}`,
    );
}

async function pulumi(args: readonly string[]): Promise<void> {
  print(`  $ pulumi ${args.join(" ")}`);
  const code = await labStack.onTerminal(args);
  if (code === 0) return;
  throw disproved(`pulumi ${args[0]!}`, `it ended with code ${code}; its messages are above`);
}

/** A proof that didn't hold. */
function disproved(subject: string, seen: string): UserError {
  return new UserError({
    code: "lab-demonstration-failed",
    subject,
    seen,
    remedy: "The lab is still up, for a look: `npm run lab -- status`",
  });
}

/** Shows each node as its own API server and its own disk show it; tells which nodes trust the certificate. */
async function showNodes(pem: string, sha256: string): Promise<Record<string, boolean>> {
  const list = JSON.parse(await kubectl("workload", "get", "nodes", "-o", "json")) as {
    items: { metadata: { name: string }; status: { nodeInfo: { osImage: string } } }[];
  };
  const [trusting, processes] = await Promise.all([
    onAllNodes((node) => trusts(node, pem)),
    onAllNodes(containerd),
  ]);
  table([
    ["NODE", "OS", "TRUSTS (SHA-256)", "CONTAINERD STARTED"],
    ...list.items.map(({ metadata: { name }, status }) => [
      name,
      status.nodeInfo.osImage,
      trusting[name] === true ? `${sha256.slice(0, 16)}…` : "—",
      processes[name]!.startedAt,
    ]),
  ]);
  return trusting;
}

/** Shows the Deployment's pods, and that they run from the registry. */
async function showPods(image: string): Promise<void> {
  const app = ["get", "pods", "-n", "default", "-l", "app=nginx-harbor-svc-app"];
  print(indented(await kubectl("workload", ...app, "-o", "wide")));
  const ready =
    "jsonpath={range .items[*]}{.spec.containers[0].image} {.status.containerStatuses[0].ready}{'\\n'}{end}";
  const states = (await kubectl("workload", ...app, "-o", ready)).trim().split("\n");
  if (!states.includes(`${image} true`)) throw disproved("the Deployment", `no pod of ${image} is ready`);
  const pulled = "jsonpath={range .items[?(@.reason=='Pulled')]}{.message}{'\\n'}{end}";
  print(indented(await kubectl("workload", "get", "events", "-n", "default", "-o", pulled)));
}

/** Shows that a run with mistakes is refused for all of them at once, before anything is made. */
async function showRefusal(): Promise<void> {
  await labStack.configure(mistakenSettings());
  print("  $ pulumi preview     # with a mistyped fingerprint, password and namespace");
  const { code, output } = await labStack.preview();
  const told = output.slice(Math.max(output.indexOf("error: "), 0)).trimEnd();
  print(indented(told.replace(/\n+Resources:[^]*/, "")));
  const mistakes = [
    /registries\[0\]\.ca\.sha256: /,
    /registries\[1\]\.credentials: /,
    /pullSecret\.namespaces: /,
  ];
  if (code === 0 || !told.includes("3 problems") || !mistakes.every((mistake) => mistake.test(told)))
    throw disproved("pulumi preview", `its three mistakes were not told; it ended with code ${code}`);
}

/** @throws UserError when a proof fails, or the lab or the stack does. */
export async function demonstrate(): Promise<void> {
  await lab.up();
  const tools = await lab.pulumiDescription();
  const { harbor } = lab.registries();
  const pem = new X509Certificate(readFileSync(harbor.caFile)).toString();
  print(`\nPulumi here: ${tools}`);

  heading("Before: the cluster does not trust the registry");
  const trusting = await onAllNodes((node) => trusts(node, pem));
  if (Object.values(trusting).some(Boolean)) {
    print("  (shown on a fresh lab only: an earlier run has already brought trust to these nodes)");
  } else {
    print(`  a pod of ${harbor.image}:`);
    print(`  ${await pullFailure("before", harbor.image)}`);
  }
  await showNodes(pem, harbor.caSha256);

  heading("Mistakes are told all at once, before anything is touched");
  await showRefusal();

  heading("The stack");
  await labStack.configure(harborSettings()); // anew: the registry's CA may have been rotated since
  await pulumi(["up", "--yes", "--skip-preview", "--continue-on-error"]);

  heading("After: what the cluster and the nodes say");
  const untrusting = Object.entries(await showNodes(pem, harbor.caSha256)).filter(([, trusted]) => !trusted);
  if (untrusting.length > 0)
    throw disproved(untrusting.map(([node]) => node).join(", "), "the CA is not trusted there");
  print();
  await showPods(harbor.image);

  heading("A second run changes nothing");
  const earlier = await onAllNodes(containerd);
  await pulumi(["up", "--yes", "--skip-preview", "--expect-no-changes"]);
  const now = await onAllNodes(containerd);
  const restarted = Object.keys(now).filter((node) => now[node]!.pid !== earlier[node]?.pid);
  if (restarted.length > 0) throw disproved(restarted.join(", "), "containerd was restarted for nothing");
  print("  containerd restarts in this run: none");

  heading("Look around");
  print(
    '  eval "$(npm run --silent lab -- env)"   # then: kubectl --context tkc-cluster-1 get nodes -o wide',
  );
  print("  npm run lab -- pulumi preview --diff    # any Pulumi command, on this stack");
  print("  npm run lab -- add-worker               # then: npm run lab -- pulumi up");
  print("  npm run lab -- pulumi destroy           # takes out exactly what was put in");
  print("  npm run lab -- down                     # takes the lab away");
}
