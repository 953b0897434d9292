/**
 * `npm run login`: logs in to a Supervisor and one of its clusters, and writes two contexts into the kubeconfig.
 * It never takes a password as an argument, and never writes one to a file.
 */
import * as readline from "node:readline";
import { Writable } from "node:stream";
import type { Command } from "commander";
import { checkCertificates } from "../certificates/certificates";
import { mergeKubeconfig, updateKubeconfig, type KubeconfigEntry } from "../kubernetes/kubeconfig";
import { kubeconfigFiles } from "../kubernetes/kubeconfigFiles";
import { parseRegistryHost } from "../registry/host";
import { type Problem, UserError } from "../support/errors";
import { commandForPeople, readArguments, seeHelp } from "./arguments";
import { type BadArgument, cliProblem } from "./problems";
import { readOperatorFile } from "../support/files";
import { freeName } from "../support/names";
import { printable } from "../support/text";
import { login, type ApiLogin, type SupervisorTrust } from "../vsphere/login";
import { readCertificates } from "../certificates/pem";
import { parseFingerprint } from "../certificates/identity";

interface Values {
  readonly server?: string;
  readonly namespace?: string;
  readonly cluster?: string;
  readonly supervisorContext?: string;
  readonly clusterContext?: string;
  readonly user?: string;
  readonly caFile?: string;
  readonly fingerprint?: string;
  readonly kubeconfig?: string;
  readonly force?: true;
  readonly wait?: string;
  readonly apiPort?: string;
}

const command = (): Command =>
  commandForPeople("login", "--server HOST --namespace NAMESPACE --cluster CLUSTER [options]")
    .description(
      "Logs in to a Supervisor and to one of its workload clusters with a vCenter user, and writes two contexts into the kubeconfig: one for the Supervisor namespace, and one for the workload cluster.",
    )
    .option(
      "--server <HOST>",
      "address of the Supervisor's control plane (not vCenter's); HOST:PORT if not 443",
    )
    .option("--namespace <NAMESPACE>", "the Supervisor namespace that holds the cluster")
    .option("--cluster <CLUSTER>", "the workload cluster")
    .option(
      "--user <USER>",
      "vCenter user, such as administrator@vsphere.local (default: TKC_REGISTRY_VCENTER_USER, or a prompt)",
    )
    .option(
      "--supervisor-context <NAME>",
      "name of the Supervisor's context (default: NAMESPACE). Several sites in one kubeconfig need names of their own",
    )
    .option("--cluster-context <NAME>", "name of the cluster's context (default: CLUSTER)")
    .option("--kubeconfig <FILE>", "default: the first file of KUBECONFIG, or ~/.kube/config")
    .option("--force", "replace entries with the same names for other servers")
    .option("--wait <SECONDS>", "wait for a Supervisor or cluster that is not ready (default 0)")
    .option("--api-port <PORT>", "port of the Supervisor's Kubernetes API (default 6443)")
    .optionsGroup("How to verify the Supervisor (without either option, its certificate must be public):")
    .option("--ca-file <FILE>", "PEM file of the CA of the Supervisor's certificate")
    .option(
      "--fingerprint <SHA256>",
      "fingerprint of a certificate that the Supervisor serves, from its administrator",
    )
    .addHelpText(
      "after",
      `
The password is read from TKC_REGISTRY_VCENTER_PASSWORD or from a prompt. It is never an argument: every user of the
machine can see arguments, and the shell's history keeps them.`,
    );

/** `npm run login -- …`: see {@link login} and the text of `--help`. */
export async function loginCommand(args: readonly string[]): Promise<void> {
  refusePassword(args);
  const read = readArguments("login", command(), args);
  if (!read) return;
  const values: Values = read.values;
  const { server, namespace, cluster, supervisorContext, clusterContext, waitSeconds, apiPort } =
    checkArguments(values);
  const trust = await readSupervisorTrust(values);
  const file = values.kubeconfig ?? kubeconfigFiles()[0];
  const user =
    values.user ??
    process.env.TKC_REGISTRY_VCENTER_USER ??
    (await ask("vCenter user: ", "TKC_REGISTRY_VCENTER_USER", false));
  const password =
    process.env.TKC_REGISTRY_VCENTER_PASSWORD ??
    (await ask(`Password of ${printable(user, 100)}: `, "TKC_REGISTRY_VCENTER_PASSWORD", true));
  // Basic authentication ends the user at the first colon. A directory may accept an empty password as anonymous.
  if (user === "" || user.includes(":"))
    throw badArgument("--user", "it is empty or has a colon in it", "noUser");
  if (password === "")
    throw badArgument("TKC_REGISTRY_VCENTER_PASSWORD", "the password is empty", "noPassword");

  const result = await login({
    server,
    apiPort,
    trust,
    user,
    password,
    namespace,
    cluster,
    waitSeconds,
    report: (line) => process.stderr.write(`${line}\n`),
  });
  const entry = (context: string, api: ApiLogin): KubeconfigEntry => ({
    context,
    cluster: api.name,
    server: api.server,
    ca: api.ca,
    user: `wcp:${api.name}:${user}`, // as `kubectl vsphere login` names it
    token: api.token,
  });
  const entries = [
    { ...entry(supervisorContext, result.supervisor), namespace },
    entry(clusterContext, result.cluster),
  ];
  await updateKubeconfig(file, (text) =>
    mergeKubeconfig(text, entries, { file, force: values.force === true }),
  );
  process.stdout.write(
    [
      `Logged in as ${printable(user, 100)}. Contexts in ${file}:`,
      `  ${supervisorContext}  ${result.supervisor.server}${validity(result.supervisor)}`,
      `  ${clusterContext}  ${result.cluster.server}${validity(result.cluster)}`,
      ...(supervisorContext === namespace && clusterContext === cluster
        ? []
        : ["Name them in the stack's settings: supervisorContext and clusterContext."]),
      "",
    ].join("\n"),
  );
}

function validity({ expires }: ApiLogin): string {
  return expires === undefined ? "" : `  valid until ${expires.toISOString()}`;
}

function badArgument(subject: string, seen: string, ...remedy: BadArgument): UserError {
  return cliProblem.error("bad-arguments", { subject, seen }, ...remedy);
}

/** Comes before all other checks: whoever typed a password has to change it, whatever else is wrong. */
function refusePassword(args: readonly string[]): void {
  if (!args.some((arg) => /^(?:--pass|-p)/.test(arg))) return;
  throw badArgument(
    "--password",
    "passwords are not taken as arguments, where other users and the shell's history see them",
    "passwordOption",
  );
}

const name = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

interface Checked {
  readonly server: { readonly hostname: string; readonly port: number };
  readonly namespace: string;
  readonly cluster: string;
  readonly supervisorContext: string;
  readonly clusterContext: string;
  readonly waitSeconds: number;
  readonly apiPort: number;
}

/** Checks all arguments, and throws every problem at once. */
function checkArguments(values: Values): Checked {
  const problems: Problem[] = [];
  const wrong = (subject: string, seen: string, ...remedy: BadArgument): void =>
    void problems.push(cliProblem("bad-arguments", { subject, seen }, ...remedy));
  for (const key of ["server", "namespace", "cluster"] as const) {
    if (!values[key]) wrong(`--${key}`, "it is missing", ...seeHelp("login"));
  }
  for (const key of ["namespace", "cluster"] as const) {
    if (values[key] && !name.test(values[key])) {
      wrong(`--${key}`, `"${printable(values[key], 80)}" is not a Kubernetes name`, "name");
    }
  }
  for (const [option, given] of [
    ["--supervisor-context", values.supervisorContext],
    ["--cluster-context", values.clusterContext],
  ] as const) {
    if (given !== undefined && !freeName.safeParse(given).success)
      wrong(option, `"${printable(given, 80)}" is not a name of one line`, "contextName");
  }
  const { supervisorContext = values.namespace!, clusterContext = values.cluster! } = values;
  if (supervisorContext && supervisorContext === clusterContext) {
    wrong(
      "--cluster-context",
      `it would be ${supervisorContext}, as the Supervisor's context is`,
      "sameContext",
    );
  }
  if (values.caFile !== undefined && values.fingerprint !== undefined) {
    wrong("--fingerprint", "there is --ca-file too", "twoTrusts");
  }
  const whole = (
    option: string,
    text: string | undefined,
    fallback: number,
    min: number,
    max: number,
  ): number => {
    if (text === undefined) return fallback;
    const number = /^\d{1,6}$/.test(text) ? Number(text) : NaN;
    if (number >= min && number <= max) return number;
    wrong(option, `"${printable(text, 40)}" is not a number from ${min} to ${max}`, ...seeHelp("login"));
    return fallback;
  };
  const waitSeconds = whole("--wait", values.wait, 0, 0, 86400);
  const apiPort = whole("--api-port", values.apiPort, 6443, 1, 65535);
  let server: Checked["server"] = { hostname: "", port: 443 };
  try {
    if (values.server) server = parseServer(values.server);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    problems.push(...error.problems);
  }
  const [first, ...rest] = problems;
  if (first) throw new UserError(first, ...rest);
  return {
    ...{ server, namespace: values.namespace!, cluster: values.cluster! },
    ...{ supervisorContext, clusterContext, waitSeconds, apiPort },
  };
}

/** A Supervisor's address has the same form as a registry's, except that a name without a dot is allowed. */
function parseServer(text: string): Checked["server"] {
  const bare = /^[a-z0-9-]+$/i.test(text) ? `${text}:443` : text;
  try {
    const { hostname, port } = parseRegistryHost(bare, { subject: "--server" });
    return { hostname, port };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw badArgument("--server", error.problems[0]!.seen, "server");
  }
}

async function readSupervisorTrust(values: Values): Promise<SupervisorTrust> {
  const { caFile } = values;
  if (caFile !== undefined) {
    const subject = "--ca-file";
    const content = await readOperatorFile(caFile, { subject, maxBytes: 256 * 1024 });
    const { certificates, warnings } = checkCertificates(readCertificates(content, { subject }), { subject });
    for (const warning of warnings) process.stderr.write(`Warning: ${warning}\n`);
    return { ca: certificates.map(({ pem }) => pem) };
  }
  if (values.fingerprint !== undefined) {
    return { sha256: parseFingerprint(values.fingerprint, { subject: "--fingerprint" }) };
  }
  return "public-roots";
}

/** Prompts at the terminal. Does not echo a hidden answer. */
async function ask(question: string, variable: string, hidden: boolean): Promise<string> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw badArgument(variable, "it is not set, and there is no terminal to ask at", "noTerminal", variable);
  }
  process.stderr.write(question);
  // readline echoes by writing to its output, so a hidden answer is discarded there.
  const output = new Writable({
    write(chunk, encoding, done) {
      if (hidden) done();
      else process.stderr.write(chunk as Buffer, encoding, () => done());
    },
  });
  const terminal = readline.createInterface({ input: process.stdin, output, terminal: true, historySize: 0 });
  try {
    return await new Promise<string>((resolve, reject) => {
      terminal.on("SIGINT", () => reject(badArgument(variable, "the question was not answered", "noAnswer")));
      terminal.on("close", () => reject(badArgument(variable, "the question was not answered", "noAnswer")));
      terminal.on("line", resolve);
    });
  } finally {
    terminal.close();
    process.stderr.write("\n");
  }
}
