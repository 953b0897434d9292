const toStderr = (line: string): void => void process.stderr.write(`${line}\n`);

/** Says at intervals how far something is; of what is over within two seconds, nothing is said. */
export async function withProgress<T>(work: Promise<T>, how: () => string, say = toStderr): Promise<T> {
  let last = "";
  const timer = setInterval(() => {
    const line = how();
    if (line !== last) say(line);
    last = line;
  }, 2000);
  try {
    return await work;
  } finally {
    clearInterval(timer);
  }
}
