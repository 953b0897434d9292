/** Progress for people, on stderr: what is going on and how long it has taken. */

const interactive = process.stderr.isTTY;
const heartbeatSeconds = 15;

const seconds = (since: number): string => `${((performance.now() - since) / 1000).toFixed(1)} s`;

export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** What a running step may use to tell more: the text replaces the last one. */
export type Report = (detail: string) => void;

/** Runs one step: prints its title, a sign of life while it runs, and its time when it ends. */
export async function step<T>(title: string, run: (report: Report) => Promise<T>): Promise<T> {
  const start = performance.now();
  let detail = "";
  const show = (): void => {
    const text = `  … ${title} (${seconds(start)})${detail ? `: ${detail}` : ""}`;
    process.stderr.write(
      interactive ? `\r\u001b[K${text.slice(0, process.stderr.columns - 1)}` : `${text}\n`,
    );
  };
  const timer = setInterval(show, interactive ? 200 : heartbeatSeconds * 1000);
  const end = (sign: string): void => {
    clearInterval(timer);
    process.stderr.write(`${interactive ? "\r\u001b[K" : ""}  ${sign} ${title} (${seconds(start)})\n`);
  };
  try {
    const result = await run((text) => {
      detail = text;
    });
    end("✓");
    return result;
  } catch (error) {
    end("✗");
    throw error;
  }
}
