/**
 * The commands that the stack runs on nodes, each in a process of its own. stdout is what the stack keeps; stderr is
 * for people. Their names, arguments and environment are in state: an interface.
 */
import { UserError } from "../errors";
import { borrow } from "./borrow";
import { readCredentials } from "./key";
import { type Surroundings, removeCa } from "./operations";
import { SessionPool } from "./pool";
import { readNodeByKubectl } from "./ready";
import { transportFor } from "./transport";

/** Sessions of this process's own, closed whatever happens. */
async function withOwnSessions(act: (around: Surroundings) => Promise<string>): Promise<string> {
  const pools: SessionPool[] = [];
  try {
    return await act({
      inSession: async (target, hostKey, run) => {
        const credentials = await readCredentials(target.sshKey);
        const pool = new SessionPool({ transport: transportFor(target.access), credentials });
        pools.push(pool);
        return await pool.use(target, hostKey, run);
      },
      readNode: readNodeByKubectl,
      tell: (line) => void process.stderr.write(`${line}\n`),
    });
  } finally {
    await Promise.all(pools.map((pool) => pool.close()));
  }
}

type Verb = () => Promise<string>;

async function dispatch(
  name: string,
  verbs: Readonly<Record<string, Verb>>,
  [verb = ""]: readonly string[],
): Promise<void> {
  const run = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined;
  if (!run) {
    throw new UserError({
      code: "unknown-command",
      subject: `command "${name} ${verb}"`,
      seen: "this release of tkc-registry does not know it",
      remedy: `Install the release that made the stack, or a newer one; known here: ${Object.keys(verbs).join(", ")}`,
    });
  }
  process.stdout.write(await run());
}

/**
 * `ca apply`: has the running program make the node trust the certificates. `ca remove`: takes them away again, which
 * `destroy` does with no program running.
 */
export async function ca(args: readonly string[]): Promise<void> {
  const remove: Verb = () => withOwnSessions((around) => removeCa(process.env, around));
  await dispatch("ca", { apply: () => borrow("ca apply", process.env), remove }, args);
}

/** `containerd restart`: has the running program restart containerd where it has not loaded the certificates. */
export async function containerd(args: readonly string[]): Promise<void> {
  await dispatch("containerd", { restart: () => borrow("containerd restart", process.env) }, args);
}
