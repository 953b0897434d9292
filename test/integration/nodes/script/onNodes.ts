/** What the tests of the node script share: fake roots that go with their test, certificates, and kill points. */
import { afterEach, describe } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { all } from "../../../all";
import {
  type Certificate,
  type Family,
  FakeRoot,
  type Shell,
  fakeRootsImpossible,
  makeCertificate,
} from "./fakeRoot";

const skip = fakeRootsImpossible();

export interface Nodes {
  readonly family: Family;
  readonly makeRoot: () => FakeRoot;
  readonly first: Certificate;
  readonly second: Certificate;
}

/** Describes what the script does on nodes of these kinds. */
export function describeOn(
  title: string,
  kinds: readonly (readonly [Family, Shell])[],
  define: (nodes: Nodes) => void,
): void {
  for (const [family, shell] of kinds) {
    describe(`${title} on ${family} with ${shell}`, { skip }, () => {
      if (skip !== false) return;
      const roots: FakeRoot[] = [];
      const makeRoot = (): FakeRoot => {
        const root = new FakeRoot(family, shell);
        roots.push(root);
        return root;
      };
      afterEach(() => roots.splice(0).forEach((root) => root.remove()));
      define({
        family,
        makeRoot,
        first: makeCertificate("Harbor CA"),
        second: makeCertificate("Another CA"),
      });
    });
  }
}

export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(20);
}

/** Replaces a program of the root by a script, and gives what puts it back. */
export function replaceTool(root: FakeRoot, tool: string, text: string): () => void {
  const set = (content: string): void => {
    root.drop(`usr/bin/${tool}`);
    root.program(`usr/bin/${tool}`, content);
  };
  set(text);
  return () => set(`#!/bin/sh\nexec /hostbin/${tool} "$@"\n`);
}

/** The programs by which the script changes something. */
const changing = ["sync", "mv", "mkdir", "rm", "rmdir", "cp", "ln", "sed"];

const killing = (after: number): string => `#!/bin/sh
count=$(cat /lab/count 2>/dev/null || echo 0)
echo $((count + 1)) >/lab/count
[ "$count" -ge ${after} ] && kill -9 $PPID && exit 1
exec /hostbin/\${0##*/} "$@"
`;

/**
 * Runs what an operation does and is killed at, at each of its steps, or at every ninth without `--all`; each time from
 * the beginning, until it comes to its end.
 *
 * @param first - the first step at which it is killed, so that not all operations are killed at the same ones
 */
export async function killedAnywhere(
  root: FakeRoot,
  first: number,
  {
    start,
    step,
    check,
  }: {
    readonly start: () => Promise<unknown>;
    readonly step: () => Promise<{ readonly stdout: string }>;
    readonly check: (where: string) => Promise<void>;
  },
): Promise<void> {
  for (let after = all ? 0 : first % 9; ; after += all ? 1 : 9) {
    await start();
    root.write("lab/count", "0\n");
    const restore = changing.map((tool) => replaceTool(root, tool, killing(after)));
    const { stdout } = await step();
    restore.forEach((put) => put());
    await check(`killed after ${after}`);
    if (/end=ok\n$/.test(stdout)) return;
    if (after > 100) throw new Error("it does not come to its end");
  }
}
