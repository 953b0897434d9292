/**
 * A run of the engine, told to a person: a line for each resource that changed, what was said on the way, errors in full.
 * It reads what `pulumi up --json` prints: an event a line (`apitype.EngineEvent` in Pulumi's sources), and plain text.
 */
import { performance } from "node:perf_hooks";
import { width, wrap } from "./layout";

interface ResourceState {
  readonly custom?: boolean;
  readonly outputs?: Readonly<Record<string, unknown>>;
}

interface Step {
  readonly op: string;
  readonly urn: string;
  readonly type: string;
  readonly old?: ResourceState | null;
  readonly new?: ResourceState | null;
}

interface EngineEvent {
  readonly sequence: number;
  readonly stdoutEvent?: { readonly message: string };
  readonly diagnosticEvent?: {
    readonly urn?: string;
    readonly message: string;
    readonly severity: string;
    readonly ephemeral?: boolean;
  };
  readonly resourcePreEvent?: { readonly metadata: Step };
  readonly resOutputsEvent?: { readonly metadata: Step };
  readonly resOpFailedEvent?: { readonly metadata: Step };
  readonly summaryEvent?: {
    readonly durationSeconds: number;
    readonly resourceChanges: Readonly<Record<string, number>>;
  };
}

/** What became of a resource, by the engine's name of the step. Steps that are missing change nothing by themselves. */
const outcomes: Readonly<Record<string, string>> = {
  create: "created",
  update: "updated",
  delete: "deleted",
  import: "imported",
  "create-replacement": "created anew",
  "delete-replaced": "deleted the old",
};

const nameOf = (urn: string): string => urn.split("::").slice(3).join("::");
const kindOf = (type: string): string => type.split(":").pop()!;

const eventStart = '{"sequence":';
const cutOff = "(the engine's output was cut off here)";

/** An event, or a line of plain text. */
function read(line: string): EngineEvent | string {
  if (!line.startsWith(eventStart)) return line !== "" && eventStart.startsWith(line) ? cutOff : line;
  try {
    return JSON.parse(line) as EngineEvent;
  } catch {
    return cutOff;
  }
}

export interface EngineRunOptions {
  /** Given each line for the person. */
  readonly print: (line: string) => void;
  /** What the names of all nodes begin with: it is left out. */
  readonly prefix?: string;
  /** Milliseconds. */
  readonly clock?: () => number;
}

/** Follows one run. */
export class EngineRun {
  readonly #print: (line: string) => void;
  readonly #prefix: string;
  readonly #clock: () => number;
  /** The steps under way, by URN, and when they began. */
  readonly #begun = new Map<string, number>();
  /** What was last said of the resource that is worked on. */
  readonly #status = new Map<string, string>();
  readonly #told = new Set<string>();
  readonly #said: string[] = [];
  #summary: EngineEvent["summaryEvent"];

  constructor({ print, prefix = "", clock = () => performance.now() }: EngineRunOptions) {
    this.#print = print;
    this.#prefix = prefix;
    this.#clock = clock;
  }

  /** All that the engine said, passing messages too, for a run that failed. */
  get said(): readonly string[] {
    return this.#said;
  }

  /** The resources that are worked on. */
  get underWay(): string {
    return [...this.#begun.keys()].map((urn) => this.#short(nameOf(urn))).join(", ");
  }

  /** The engine's summary as a sentence; undefined where the run didn't get so far. */
  get summary(): string | undefined {
    if (!this.#summary) return undefined;
    const { durationSeconds, resourceChanges } = this.#summary;
    const counts = Object.entries(resourceChanges).map(
      ([op, count]) => `${count} ${op === "same" ? "unchanged" : (outcomes[op] ?? op)}`,
    );
    return `${counts.join(", ")}, in ${durationSeconds} s`;
  }

  /** Takes a line of the engine's stdout or stderr. */
  line(line: string): void {
    const event = read(line);
    if (typeof event === "string") this.#tell(event);
    else this.#take(event);
  }

  #take(event: EngineEvent): void {
    if (event.stdoutEvent) this.#tell(event.stdoutEvent.message);
    if (event.diagnosticEvent) this.#diagnose(event.diagnosticEvent);
    if (event.resourcePreEvent) this.#begin(event.resourcePreEvent.metadata);
    if (event.resOutputsEvent) this.#end(event.resOutputsEvent.metadata, true);
    if (event.resOpFailedEvent) this.#end(event.resOpFailedEvent.metadata, false);
    if (event.summaryEvent) this.#summary = event.summaryEvent;
  }

  #short(text: string): string {
    return this.#prefix === "" ? text : text.replaceAll(this.#prefix, "…");
  }

  /** Prints what was said, unless it was printed before; of an error, of which resource it is. */
  #tell(message: string, severity = "info", about = ""): void {
    const text = message.trimEnd();
    if (text.trim() === "") return;
    const start = severity === "warning" || severity === "error" ? `${severity}: ` : "";
    this.#said.push(`${about}${start}${text}`);
    const shown = `${start}${severity === "error" ? this.#short(about) : ""}${text}`;
    if (this.#told.has(shown)) return;
    this.#told.add(shown);
    for (const line of wrap(shown)) this.#print(line);
  }

  #diagnose({ urn, message, severity, ephemeral }: NonNullable<EngineEvent["diagnosticEvent"]>): void {
    if (severity === "debug") return; // in events they come without `--debug` too
    const about = urn === undefined || urn === "" ? "" : `${nameOf(urn)}: `;
    if (ephemeral === true) {
      this.#said.push(`${about}${message.trimEnd()}`);
      if (urn !== undefined) this.#status.set(urn, message.trim());
    } else this.#tell(message, severity, about);
  }

  #begin({ op, urn }: Step): void {
    this.#status.delete(urn);
    if (op in outcomes) this.#begun.set(urn, this.#clock());
  }

  #end(step: Step, succeeded: boolean): void {
    const { op, urn, type } = step;
    const begun = this.#begun.get(urn);
    this.#begun.delete(urn);
    const outcome = outcomes[op];
    // Components and providers come and go with what is in them and made by them.
    const own = (step.new ?? step.old)?.custom === true && !type.startsWith("pulumi:providers:");
    if (succeeded && (outcome === undefined || !own)) return;
    const seconds = begun === undefined ? "" : `, ${((this.#clock() - begun) / 1000).toFixed(1)} s`;
    const what = succeeded ? outcome! : `failed to ${op}`;
    const head = `  ${what.padEnd(8)} ${this.#short(nameOf(urn))} (${kindOf(type)}${seconds})`;
    // What failed has its error, which is told anyway.
    const messages = succeeded ? this.#messages(step).map((message) => this.#short(message)) : [];
    const line = [head, ...messages].join(": ");
    this.#said.push(line.trim());
    if (messages.length < 2 && line.length <= width) this.#print(line);
    else
      for (const each of [head, ...messages.flatMap((text) => wrap(text, " ".repeat(11)))]) this.#print(each);
  }

  /**
   * What a resource said: a command, all that it told; any other, its last word. A command's words come as passing
   * messages too, but some of them only after it has ended.
   */
  #messages({ urn, new: state }: Step): readonly string[] {
    const stderr = state?.outputs?.["stderr"];
    const text = typeof stderr === "string" ? stderr : (this.#status.get(urn) ?? "");
    const lines = text.split("\n").filter((line) => line.trim() !== "");
    return lines.map((line) => withoutNode(line.trim(), nameOf(urn)));
  }
}

/** A message without the node that the resource's name tells already. */
function withoutNode(message: string, name: string): string {
  const [, node, rest] = /^(\S+): ([^]*)$/.exec(message) ?? [];
  return node !== undefined && rest !== undefined && name.startsWith(node) ? rest : message;
}
