/**
 * Where the process listens that serves the removals of a run, and what it has to have in common with those that it
 * serves. A command that has to be quick uses it: it loads nothing beside Node.js's own modules and the problems.
 */
import { readFileSync, readlinkSync, statSync } from "node:fs";
import * as path from "node:path";
import { kubeconfigFiles } from "../../kubernetes/kubeconfigFiles";

type Variables = Readonly<Record<string, string | undefined>>;

/** The variables that a state gives its commands, or that overrule them: each command's own decide. */
const commandsOwn = /^(?:TKC_REGISTRY|PULUMI_COMMAND)_/;

const pick = (environment: Variables, own: boolean): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(environment).filter(([name]) => commandsOwn.test(name) === own));

/** What a command's environment says to it alone. */
export const ownVariables = (environment: Variables): Variables => pick(environment, true);
/** What its environment says beside that: which kubeconfig, agent, proxies, and all that credential plugins read. */
export const ambientVariables = (environment: Variables): NodeJS.ProcessEnv => pick(environment, false);

/** A file as it is now. */
function stampOf(file: string): readonly unknown[] {
  try {
    const { dev, ino, size, mtimeMs, ctimeMs } = statSync(file);
    return [file, dev, ino, size, mtimeMs, ctimeMs];
  } catch {
    return [file];
  }
}

/** The machine's boot and the process's namespaces, in which paths, addresses and process ids mean the same. */
function placeOf(): readonly string[] {
  try {
    const namespaces = ["mnt", "net", "pid", "user", "uts"];
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8");
    return [boot, ...namespaces.map((name) => readlinkSync(`/proc/self/ns/${name}`))];
  } catch {
    return []; // the system has no such things
  }
}

/**
 * All that a removal depends on beside its own words and variables. Only what is the same here shares a process. It has
 * secrets, and so is sent through the socket, and never part of a name or a digest.
 */
export const surroundings = (id: string | undefined, environment: Variables = process.env): object => ({
  stack: id ?? "",
  release: stampOf(path.join(__dirname, "allCommands.js")),
  node: process.execPath,
  folder: process.cwd(),
  place: placeOf(),
  // Who logs in anew expects the next command to see it.
  kubeconfigs: kubeconfigFiles(environment).map(stampOf),
  variables: ambientVariables(environment),
});

/** Processes of different surroundings that may serve one stack at a time. What finds no place works alone. */
export const places = ["0", "1", "2", "3"] as const;

/**
 * The folder with the sockets: beside that of the program's own socket. None for stacks without an id, which earlier
 * releases made.
 */
export function removalsFolder(environment: Variables): string | undefined {
  const { TKC_REGISTRY_ID: id = "", PULUMI_HOME, HOME } = environment;
  const base = PULUMI_HOME || (HOME && path.join(HOME, ".pulumi"));
  // A part of the id, as a socket's path has a limit.
  const [, short] = /^([0-9a-f]{8}-[0-9a-f]{4})-[0-9a-f-]+$/.exec(id) ?? [];
  return base && short ? path.join(base, `tkc-registry-removals-${short}`) : undefined;
}
