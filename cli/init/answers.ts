/**
 * What `init` is not told by options: asked at the terminal, taken from what was found, or noted as missing.
 * It never takes a fingerprint for confirmed by itself.
 */
import { createInterface } from "node:readline/promises";
import { type Problem, UserError } from "../../support/errors";
import { cliProblem } from "../problems";

export class Answers {
  readonly #problems: Problem[] = [];
  readonly #terminal = process.stdin.isTTY && process.stderr.isTTY;

  /** @param yes - Whether what was found is taken without asking. */
  constructor(private readonly yes: boolean) {}

  /** Whether somebody is there to confirm something. */
  get terminal(): boolean {
    return this.#terminal;
  }

  /** Whether somebody is asked for what can also be found. */
  get asks(): boolean {
    return this.#terminal && !this.yes;
  }

  /**
   * A value that there has to be.
   *
   * @param form - The option that gives it, with its value.
   * @param values.given - What the options say.
   * @param values.found - What is offered to whoever is asked, and taken with `--yes`.
   * @param values.otherwise - What is taken where nobody is asked.
   * @returns "" for a value that is noted as missing.
   */
  async value(
    form: string,
    question: string,
    { given, found, otherwise }: Partial<Record<"given" | "found" | "otherwise", string | undefined>>,
  ): Promise<string> {
    let value = given ?? (await this.optional(question, found ?? otherwise)) ?? otherwise;
    while (!value && this.#terminal) value = await this.ask(question);
    if (!value) this.missing(form);
    return value ?? "";
  }

  /**
   * A value that there need not be: `undefined` where nobody is asked and nothing was found.
   *
   * @param found - Taken for an empty answer, and with `--yes`.
   */
  async optional(question: string, found?: string): Promise<string | undefined> {
    if (!this.asks) return this.yes ? found : undefined;
    const answer = await this.ask(found === undefined ? question : `${question} [${found}]`);
    return answer === "" ? found : answer;
  }

  /** Whether the question was answered with the word yes. There has to be a terminal. */
  async confirmed(question: string): Promise<boolean> {
    return (await this.ask(`${question} (yes/no)`)) === "yes";
  }

  /** Asks at the terminal. */
  async ask(question: string): Promise<string> {
    const terminal = createInterface({ input: process.stdin, output: process.stderr });
    const closed = new AbortController();
    terminal.once("close", () => closed.abort());
    try {
      return (await terminal.question(`${question}: `, { signal: closed.signal })).trim();
    } catch (error) {
      if (!closed.signal.aborted) throw error;
      process.stderr.write("\n");
      const seen = "the question was not answered";
      throw cliProblem.error("init-incomplete", { subject: question, seen }, "unanswered");
    } finally {
      terminal.close();
    }
  }

  /** Tells whoever is asked. */
  say(text: string): void {
    if (this.#terminal) process.stderr.write(`${text}\n`);
  }

  /** Notes what nobody gave. */
  missing(form: string, seen = "it is missing, and there is no terminal to ask at"): void {
    const [subject = form] = form.split(" ");
    this.#problems.push(cliProblem("init-incomplete", { subject, seen }, "option", form));
  }

  /** Keeps what is wrong until all is known; whoever is asked is told at once. */
  refuse(error: unknown): void {
    if (this.#terminal || !(error instanceof UserError)) throw error;
    this.#problems.push(...error.problems);
  }

  /** @throws UserError with all that is missing or wrong. */
  refuseIncomplete(): void {
    const [first, ...rest] = this.#problems;
    if (first) throw new UserError(first, ...rest);
  }
}
