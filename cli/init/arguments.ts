/**
 * The arguments of `npm run init`, and its `--help`.
 * Nothing here asks anybody.
 */
import type { Command } from "commander";
import { parseFingerprint } from "../../certificates/identity";
import { parseImageHost } from "../../registry/host";
import type { CaSource, RegistryHost } from "../../registry/types";
import { type Problem, UserError } from "../../support/errors";
import { printable } from "../../support/text";
import { collect, commandForPeople, readArguments, seeHelp } from "../arguments";
import { cliProblem } from "../problems";

const command = (): Command =>
  commandForPeople("init", "NAME [options]")
    .description(
      "Writes Pulumi.NAME.yaml, the settings of one environment, and then makes the checks that a run begins with. Asks at the terminal for what no option gives. Reads your kubeconfig and asks clusters and registries; changes nothing there. Never overwrites a file, and never writes a password.",
    )
    .argument("[NAME...]")
    .option("--from <STACK>", "start from Pulumi.STACK.yaml: what is not given here is as there, but secrets")
    .option("--yes", "take what is found without asking; confirms no fingerprint")
    .optionsGroup("The cluster:")
    .option("--namespace <NAMESPACE>", "the Supervisor namespace that holds the cluster")
    .option("--cluster <CLUSTER>", "the workload cluster")
    .option("--supervisor-context <NAME>", "kubeconfig context of the Supervisor (default: NAMESPACE)")
    .option("--cluster-context <NAME>", "kubeconfig context of the cluster (default: CLUSTER)")
    .option("--access <WAY>", "how nodes are reached: jumpbox (default), bastion or direct")
    .option("--bastion <USER@HOST[:PORT]>", "the Linux machine that forwards SSH")
    .option("--bastion-host-key <SHA256:...>", "its host key's fingerprint, as `ssh-keygen -lf` prints it")
    .option("--bastion-key <FILE>", "the private key to log in to it with (default: your SSH agent)")
    .optionsGroup("The registries (each of these may be repeated):")
    .option(
      "--registry <HOST[,kind=KIND][,ca=CA]>",
      "KIND is harbor or generic, CA is harbor, chain or file:PATH; what is not given is found out",
      collect,
    )
    .option(
      "--ca-sha256 <HOST=SHA256>",
      "fingerprint of the CA, as the registry's administrator tells it",
      collect,
    )
    .option(
      "--trust-on-first-use <HOST>",
      "believe the CA that the first run gets, with no fingerprint",
      collect,
    )
    .option("--user <HOST=NAME>", "user to pull with (default: what `docker login` left)", collect)
    .option("--anonymous <HOST>", "pull without a login", collect)
    .optionsGroup("The Deployment:")
    .option("--image <IMAGE>", "with its registry (default: the first registry's NAMESPACE/nginx:latest)")
    .option("--no-deployment", "run no Deployment")
    .addHelpText(
      "after",
      "\nExit code: 0 if all is well, 1 if the file was written and the checks found problems, 2 if it was not written.",
    );

/** A registry as `--registry` gives it. */
export interface GivenRegistry {
  readonly host: RegistryHost;
  readonly kind?: "harbor" | "generic" | undefined;
  readonly ca?: Pick<CaSource, "from"> & { readonly path?: string };
}

export interface Request {
  /** As pulumi has it. */
  readonly stack: string;
  readonly from: string | undefined;
  readonly yes: boolean;
  readonly namespace: string | undefined;
  readonly cluster: string | undefined;
  readonly supervisorContext: string | undefined;
  readonly clusterContext: string | undefined;
  readonly access: string | undefined;
  /** `USER@HOST[:PORT]` */
  readonly bastion: string | undefined;
  readonly bastionHostKey: string | undefined;
  readonly bastionKey: string | undefined;
  readonly registries: readonly GivenRegistry[];
  /** By registry: lower-case hex. */
  readonly fingerprints: ReadonlyMap<RegistryHost, string>;
  readonly firstUse: ReadonlySet<RegistryHost>;
  readonly users: ReadonlyMap<RegistryHost, string>;
  readonly anonymous: ReadonlySet<RegistryHost>;
  readonly image: string | undefined;
  readonly deployment: boolean;
}

interface Values {
  readonly from?: string;
  readonly yes?: true;
  readonly namespace?: string;
  readonly cluster?: string;
  readonly supervisorContext?: string;
  readonly clusterContext?: string;
  readonly access?: string;
  readonly bastion?: string;
  readonly bastionHostKey?: string;
  readonly bastionKey?: string;
  readonly registry?: readonly string[];
  readonly caSha256?: readonly string[];
  readonly trustOnFirstUse?: readonly string[];
  readonly user?: readonly string[];
  readonly anonymous?: readonly string[];
  readonly image?: string;
  readonly deployment: boolean;
}

const wrong = (subject: string, seen: string): UserError =>
  cliProblem.error("bad-arguments", { subject, seen }, ...seeHelp("init"));

/** A stack's name becomes a part of a file's name. */
function checkName(subject: string, stack: string): string {
  if (/^(?:\w[\w.-]{0,99}\/){0,2}\w[\w.-]{0,99}$/.test(stack)) return stack;
  throw wrong(subject, `"${printable(stack, 80)}" is not the name of a stack`);
}

const hostOf = (option: string, text: string): RegistryHost => parseImageHost(text, { subject: option }).host;

/** `HOST[,kind=KIND][,ca=CA]` */
export function parseRegistry(text: string, option = "--registry"): GivenRegistry {
  const [host = "", ...parts] = text.split(",");
  let given: GivenRegistry = { host: hostOf(option, host) };
  for (const part of parts) {
    const [, kind] = /^kind=(harbor|generic)$/.exec(part) ?? [];
    const [, ca] = /^ca=(.*)$/.exec(part) ?? [];
    const source = ca === undefined ? undefined : parseCa(ca);
    if (kind === "harbor" || kind === "generic") given = { ...given, kind };
    else if (source) given = { ...given, ca: source };
    else
      throw wrong(
        option,
        `"${printable(part, 80)}" is neither kind=harbor|generic nor ca=harbor|chain|file:PATH`,
      );
  }
  return given;
}

/** `harbor`, `chain` or `file:PATH`. */
export function parseCa(text: string): GivenRegistry["ca"] | undefined {
  const [, path] = /^file:(.+)$/.exec(text) ?? [];
  if (path !== undefined) return { from: "file", path };
  return text === "harbor" || text === "chain" ? { from: text } : undefined;
}

/** `USER@HOST[:PORT]`; what is in the parts, the settings' checks judge. */
export function parseBastion(text: string): { host: string; user: string; port?: number } {
  const [, user, host, port] = /^(.+)@([^@:]+)(?::(\d{1,5}))?$/.exec(text) ?? [];
  if (user === undefined || host === undefined)
    throw wrong("--bastion", `"${printable(text, 80)}" is not USER@HOST[:PORT]`);
  return { host, user, ...(port === undefined ? {} : { port: Number(port) }) };
}

/** `HOST=VALUE` */
function parsePair(option: string, text: string): readonly [RegistryHost, string] {
  const at = text.indexOf("=");
  if (at < 0) throw wrong(option, 'it has no "="');
  return [hostOf(option, text.slice(0, at)), text.slice(at + 1)];
}

/** @returns `undefined` for `--help`. */
export function readRequest(args: readonly string[]): Request | undefined {
  const read = readArguments("init", command(), args);
  if (!read) return undefined;
  const values = read.values as Values;
  const problems: Problem[] = [];
  const checked = <T>(check: () => T): T[] => {
    try {
      return [check()];
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      problems.push(...error.problems);
      return [];
    }
  };
  const all = <T>(texts: readonly string[] | undefined, parse: (text: string) => T): T[] =>
    (texts ?? []).flatMap((text) => checked(() => parse(text)));

  const [stack = "", ...others] = read.words;
  checked(() => {
    if (stack === "") throw wrong("NAME", "it is missing");
    if (others.length > 0) throw wrong("NAME", `there are ${read.words.length} of them`);
    checkName("NAME", stack);
  });
  const { from, bastion } = values;
  if (from !== undefined) checked(() => checkName("--from", from));
  if (bastion !== undefined) checked(() => parseBastion(bastion));
  const request: Request = {
    ...{ stack, from, yes: values.yes === true },
    ...{ namespace: values.namespace, cluster: values.cluster },
    ...{ supervisorContext: values.supervisorContext, clusterContext: values.clusterContext },
    access: values.access ?? (bastion === undefined ? undefined : "bastion"),
    ...{ bastion, bastionHostKey: values.bastionHostKey, bastionKey: values.bastionKey },
    registries: all(values.registry, (text) => parseRegistry(text)),
    fingerprints: new Map(
      all(values.caSha256, (text) => {
        const [host, sha256] = parsePair("--ca-sha256", text);
        return [host, parseFingerprint(sha256, { subject: "--ca-sha256" })] as const;
      }),
    ),
    firstUse: new Set(all(values.trustOnFirstUse, (text) => hostOf("--trust-on-first-use", text))),
    users: new Map(all(values.user, (text) => parsePair("--user", text))),
    anonymous: new Set(all(values.anonymous, (text) => hostOf("--anonymous", text))),
    ...{ image: values.image, deployment: values.deployment },
  };
  for (const host of request.firstUse)
    if (request.fingerprints.has(host))
      checked(() => {
        throw wrong("--trust-on-first-use", `there is --ca-sha256 for ${host} too`);
      });
  const [first, ...rest] = problems;
  if (first) throw new UserError(first, ...rest);
  return request;
}

/** Refuses what is given for a registry that is none of the stack's. */
export function checkHosts(request: Request, hosts: readonly RegistryHost[]): void {
  const given = [
    ["--ca-sha256", request.fingerprints.keys()],
    ["--trust-on-first-use", request.firstUse],
    ["--user", request.users.keys()],
    ["--anonymous", request.anonymous],
  ] as const;
  const [first, ...rest] = given.flatMap(([option, its]) =>
    [...its]
      .filter((host) => !hosts.includes(host))
      .flatMap((host) => wrong(option, `${host} is none of the registries: ${hosts.join(", ")}`).problems),
  );
  if (first) throw new UserError(first, ...rest);
}
