/** Progress for people, on stderr: what is going on and how long it has taken. */

const interactive = process.stderr.isTTY;
const heartbeatSeconds = 15;

const seconds = (since: number): string => `${((performance.now() - since) / 1000).toFixed(1)} s`;

/** Whether a sign of life stands on the terminal's last line. */
let standing = false;

function clear(): void {
  if (standing) process.stderr.write("\r\u001b[K");
  standing = false;
}

export function say(text: string): void {
  clear();
  process.stderr.write(`${text}\n`);
}

/** What a running step may use to tell more: the text replaces the last one. */
export type Report = (detail: string) => void;

/** Prints a line of what was asked for. */
export function print(text = ""): void {
  clear();
  process.stdout.write(`${text}\n`);
}

/** Runs something; once it has taken so many seconds there is a sign of life. */
async function showing<T>(title: string, after: number, run: (report: Report) => Promise<T>): Promise<T> {
  const start = performance.now();
  let detail = "";
  const show = (): void => {
    const text = `  … ${title} (${seconds(start)})${detail === "" ? "" : `: ${detail}`}`;
    process.stderr.write(
      interactive ? `\r\u001b[K${text.slice(0, (process.stderr.columns || 100) - 1)}` : `${text}\n`,
    );
    standing = interactive;
  };
  let every: NodeJS.Timeout | undefined;
  const first = setTimeout(() => {
    show();
    every = setInterval(show, interactive ? 200 : heartbeatSeconds * 1000);
  }, after * 1000);
  try {
    return await run((text) => {
      detail = text;
    });
  } finally {
    clearTimeout(first);
    clearInterval(every);
    clear();
  }
}

/** Runs one step: prints its title, a sign of life while it runs, and its time when it ends. */
export async function step<T>(title: string, run: (report: Report) => Promise<T>): Promise<T> {
  const start = performance.now();
  const end = (sign: string): void => say(`  ${sign} ${title} (${seconds(start)})`);
  try {
    const result = await showing(title, interactive ? 0.2 : heartbeatSeconds, run);
    end("✓");
    return result;
  } catch (error) {
    end("✗");
    throw error;
  }
}

/** Runs something that is shown by what is printed of it: where it takes longer than two seconds there is a sign of life. */
export function patiently<T>(title: string, run: (report: Report) => Promise<T>): Promise<T> {
  return showing(title, 2, run);
}
