/** Says on stderr at intervals how far something is; of what is over within two seconds, nothing is said. */
export async function withProgress<T>(work: Promise<T>, how: () => string): Promise<T> {
  let last = "";
  const timer = setInterval(() => {
    const line = how();
    if (line !== last) process.stderr.write(`${line}\n`);
    last = line;
  }, 2000);
  try {
    return await work;
  } finally {
    clearInterval(timer);
  }
}
