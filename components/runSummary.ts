/** Logs what became of a run's nodes when it ends, also where the engine ends it. */
import * as pulumi from "@pulumi/pulumi";

const untold = new Set<() => Promise<void>>();
let watching = false;

async function tellAll(): Promise<void> {
  // In a program of the Automation API there is no engine any more when its process ends.
  if (pulumi.runtime.hasEngine()) await Promise.all([...untold].map((tell) => tell()));
}

/**
 * The engine sends SIGINT to a program where a resource failed, or the operator gave up. By then it has waited for what was
 * going on, and it takes messages until the program has ended.
 */
function tellWhenInterrupted(): void {
  void tellAll().finally(() => {
    if (process.listenerCount("SIGINT") === 0) process.kill(process.pid, "SIGINT");
  });
}

/**
 * Sees to it that a run's summary is logged once, at the latest when the program ends.
 *
 * @param summary - Undefined where there is nothing to tell.
 * @returns Logs it at once.
 */
export function tellAtTheEnd(summary: () => string | undefined, at: pulumi.Resource): () => Promise<void> {
  if (!watching) {
    watching = true;
    process.on("beforeExit", () => void tellAll());
    process.once("SIGINT", tellWhenInterrupted);
  }
  const tell = async (): Promise<void> => {
    if (!untold.delete(tell)) return;
    const text = summary();
    if (text !== undefined) await pulumi.log.info(text, at);
  };
  untold.add(tell);
  return tell;
}
