/** What became of the nodes of a run, for people: a line each, and how to go on. It never logs: components do. */
import { UserError } from "../../support/errors";
import { counted } from "../../support/text";
import { type OperationContext, told } from "../operations/operations";

type Outcome = "done" | "failed" | "skipped";

export class Outcomes {
  readonly #touched = new Set<string>();
  readonly #ended = new Map<string, { readonly outcome: Outcome; readonly line: string }>();

  /**
   * Does what a command of a node does, and keeps what became of it: the last line that it logs.
   *
   * @param isLast - Whether no other command of the node follows, given what this one prints.
   */
  async follow(
    node: { readonly name: string },
    context: OperationContext,
    act: (context: OperationContext) => Promise<string>,
    isLast: (stdout: string) => boolean,
  ): Promise<string> {
    const { name } = node;
    let last = this.#ended.get(name)?.line ?? told("done", node);
    const log = (line: string): void => {
      last = line;
      context.log(line);
    };
    this.#touched.add(name);
    this.#ended.delete(name);
    try {
      const stdout = await act({ ...context, log });
      const [, skipped] = /^skipped=(.*)$/m.exec(stdout) ?? [];
      if (skipped !== undefined)
        this.#ended.set(name, { outcome: "skipped", line: told(`skipped [${skipped}]`, node) });
      else if (isLast(stdout)) this.#ended.set(name, { outcome: "done", line: last });
      return stdout;
    } catch (error) {
      const code = error instanceof UserError ? ` [${error.problems[0]!.code}]` : "";
      this.#ended.set(name, { outcome: "failed", line: told(`failed${code}`, node) });
      throw error;
    }
  }

  /** Whether the node was left as it was, as it could not be reached. */
  wasSkipped({ name }: { readonly name: string }): boolean {
    return this.#ended.get(name)?.outcome === "skipped";
  }

  /**
   * How many nodes in the first line, which in the others. Undefined where none was touched.
   *
   * @param planned - What the run was to do with each.
   */
  summary(
    planned: readonly { readonly node: string; readonly action: "install" | "none" | "skip" | "remove" }[],
  ): string | undefined {
    if (this.#touched.size === 0) return undefined;
    const lines = (of: Outcome): string[] =>
      [...this.#ended.values()].flatMap(({ outcome, line }) => (outcome === of ? line : []));
    const left = (which: "install" | "skip"): string[] =>
      planned.flatMap(({ node, action }) => (action === which && !this.#ended.has(node) ? node : []));
    const [done, failed] = [lines("done"), lines("failed")];
    const skipped = [...lines("skipped"), ...left("skip").map((name) => told("skipped", { name }))];
    const waiting = left("install");
    const counts = Object.entries({ failed, skipped, waiting }).flatMap(([what, { length }]) =>
      length > 0 ? `${length} ${what}` : [],
    );
    const goOn =
      failed.length > 0
        ? ": mend what failed, then run `pulumi up` again"
        : waiting.length > 0
          ? ": run `pulumi up` again to go on"
          : skipped.length > 0
            ? ": run `pulumi up` again when the skipped can be reached"
            : "";
    return [
      [`${counted(done.length, "node")} done`, ...counts].join(", ") + goOn,
      ...done,
      ...failed,
      ...skipped,
      ...(waiting.length > 0 ? [`waiting: ${waiting.join(", ")}`] : []),
    ].join("\n  ");
  }
}
