/**
 * The engine's preview of a stack, from the events that `pulumi preview` prints.
 * It never shows secrets: the engine blinds them, and what is read here is named one by one.
 */
import * as z from "zod";
import { nameOf } from "../../state/records";
import { UserError } from "../../support/errors";
import { counted } from "../../support/text";
import { withProgress } from "../progress";
import { cliProblem } from "../problems";
import { pulumiRefusal, capturePulumi } from "../pulumi";

const stateSchema = z.object({
  parent: z.string().optional(),
  retainOnDelete: z.boolean().optional(),
  inputs: z.record(z.string(), z.unknown()).nullish(),
  outputs: z.record(z.string(), z.unknown()).nullish(),
});
export type ResourceState = z.infer<typeof stateSchema>;

const metadataSchema = z.object({
  op: z.string(),
  urn: z.string(),
  type: z.string(),
  old: stateSchema.nullish(),
  new: stateSchema.nullish(),
});

/** The engine's events, but for those that say nothing of interest here. */
const eventSchema = z.object({
  preludeEvent: z.object({ config: z.record(z.string(), z.string()).nullish() }).optional(),
  resourcePreEvent: z.object({ metadata: metadataSchema }).optional(),
  resOutputsEvent: z.object({ metadata: metadataSchema }).optional(),
  diagnosticEvent: z
    .object({
      urn: z.string().optional(),
      message: z.string(),
      severity: z.string(),
      ephemeral: z.boolean().optional(),
    })
    .optional(),
  summaryEvent: z.object({ resourceChanges: z.record(z.string(), z.number()).nullish() }).optional(),
});

/** What the engine will do with a resource. */
export interface Step {
  readonly urn: string;
  readonly type: string;
  readonly name: string;
  /** Its operations: several where it is replaced. */
  readonly operations: readonly string[];
  /** The resource that it is a child of. */
  readonly parent: string;
  /** As the state has it. */
  readonly before: ResourceState | undefined;
  /** As it will be, as far as it is known. */
  readonly after: ResourceState | undefined;
}

export interface Diagnostic {
  /** The resource that it is about, if any. */
  readonly urn: string | undefined;
  readonly severity: string;
  readonly message: string;
}

export interface Preview {
  readonly steps: readonly Step[];
  readonly diagnostics: readonly Diagnostic[];
  /** The stack's settings; the engine blinds those that are secret. */
  readonly config: Readonly<Record<string, string>>;
  /** Whether the engine came to the preview's end. */
  readonly complete: boolean;
}

/** Operations that change nothing anywhere. */
const idle = ["same", "read", "refresh"];
export const changes = ({ operations }: Pick<Step, "operations">): boolean =>
  operations.some((operation) => !idle.includes(operation));

/** Gathers the events of a preview, line by line. */
export class PreviewReader {
  readonly #steps = new Map<string, Step>();
  readonly #diagnostics: Diagnostic[] = [];
  #config: Readonly<Record<string, string>> = {};
  #complete = false;

  constructor(readonly stack: string) {}

  /** How many resources the engine has come to. */
  get count(): number {
    return this.#steps.size;
  }

  /**
   * Takes a line of what `pulumi preview --json` prints.
   *
   * @throws UserError `preview-failed`
   */
  add(line: string): void {
    if (line.trim() === "") return;
    let json: unknown;
    try {
      json = JSON.parse(line);
    } catch {
      throw this.#unreadable("is not JSON");
    }
    const { success, data } = eventSchema.safeParse(json);
    if (!success) throw this.#unreadable("is not an event of its engine");
    const { preludeEvent, resourcePreEvent, resOutputsEvent, diagnosticEvent, summaryEvent } = data;
    if (preludeEvent) this.#config = preludeEvent.config ?? {};
    if (resourcePreEvent) this.#step(resourcePreEvent.metadata);
    if (resOutputsEvent) this.#step(resOutputsEvent.metadata);
    if (diagnosticEvent && diagnosticEvent.severity !== "debug" && diagnosticEvent.ephemeral !== true) {
      const { urn, severity, message } = diagnosticEvent;
      this.#diagnostics.push({ urn: urn === "" ? undefined : urn, severity, message: message.trim() });
    }
    if (summaryEvent) this.#complete = true;
  }

  read(): Preview {
    return {
      steps: [...this.#steps.values()],
      diagnostics: this.#diagnostics,
      config: this.#config,
      complete: this.#complete,
    };
  }

  #step({ op, urn, type, old, new: now }: z.infer<typeof metadataSchema>): void {
    const known = this.#steps.get(urn);
    const before = old ?? known?.before;
    const after = now ?? known?.after;
    this.#steps.set(urn, {
      ...{ urn, type, name: nameOf(urn) },
      operations: [...new Set([...(known?.operations ?? []), op])],
      parent: (after ?? before)?.parent ?? "",
      ...{ before, after },
    });
  }

  #unreadable(what: string): UserError {
    return cliProblem.error(
      "preview-failed",
      { subject: `stack ${this.stack}`, seen: `a line that \`pulumi preview --json\` printed ${what}` },
      "notEvents",
    );
  }
}

/** A preview that the program refused, or that failed otherwise: with what was printed for people, and nothing else. */
export class PreviewRefused extends Error {}

/**
 * Runs a preview.
 *
 * @param files.configFile - The stack's settings, where they are not where Pulumi looks for them.
 * @param files.savePlan - Where the engine is to save its plan.
 * @throws UserError, {@link PreviewRefused}
 */
export async function runPreview(
  stack: string,
  files: { readonly configFile: string | undefined; readonly savePlan?: string },
): Promise<Preview> {
  const reader = new PreviewReader(stack);
  let unreadable: unknown;
  const take = (line: string): void => {
    try {
      reader.add(line);
    } catch (error) {
      unreadable ??= error;
    }
  };
  const args = ["preview", "--json", "--stack", stack];
  if (files.configFile !== undefined) args.push("--config-file", files.configFile);
  if (files.savePlan !== undefined) args.push("--save-plan", files.savePlan);
  const result = await withProgress(
    capturePulumi(args, take, {
      PULUMI_ENABLE_STREAMING_JSON_PREVIEW: "true", // the one document that it prints without has no new outputs
    }),
    () => `Previewing: the engine has come to ${counted(reader.count, "resource")}`,
  );
  const preview = reader.read();
  if (result.code !== 0) {
    const errors = preview.diagnostics.filter(({ severity }) => severity === "error");
    const [first] = errors;
    if (!first) throw pulumiRefusal(`stack ${stack}`, result, "preview-failed");
    throw new PreviewRefused([...new Set(errors.map(({ message }) => message))].join("\n"));
  }
  if (unreadable !== undefined) throw unreadable as Error;
  if (!preview.complete)
    throw cliProblem.error(
      "preview-failed",
      { subject: `stack ${stack}`, seen: "`pulumi preview --json` printed no summary of its events" },
      "notEvents",
    );
  return preview;
}
