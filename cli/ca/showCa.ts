/**
 * `npm run ca`: shows a registry's certificates, and the configuration that makes nodes trust its CA.
 * It never changes anything, here or there.
 */
import { parseArgs } from "node:util";
import { caLimits } from "../../registry/ca";
import { UserError } from "../../support/errors";
import { type BadArgument, cliProblem } from "../problems";
import { printable } from "../../support/text";
import { withProgress } from "../progress";
import { describe } from "./describe";
import { look } from "./look";

const help = `Usage: npm run ca -- HOST[:PORT] [options]

Shows the certificates that a registry serves, the CA that Harbor offers for download, whether containerd would accept
the registry with that CA, and the configuration to paste. Sends no credentials and changes nothing. Trusts nothing
that it sees: ask the registry's administrator for the fingerprint, and compare.

  --json             print JSON (npm run --silent ca -- ...)
  --timeout SECONDS  for each exchange with the registry (default ${caLimits.seconds})
  --help             this text

Exit code: 0, or 1 if the registry cannot be reached or gives no CA that nodes could use.
`;

/** `npm run ca -- …`: see the text of `--help`. */
export async function showCa(args: readonly string[]): Promise<void> {
  const request = readArguments(args);
  if (!request) {
    process.stdout.write(help);
    return;
  }
  const { host, json, seconds } = request;
  const shown = await withProgress(
    look(host, seconds),
    () => `Asking ${host}, for at most ${seconds} s each time`,
  );
  if (json) process.stdout.write(`${JSON.stringify(shown, undefined, 2)}\n`);
  else process.stdout.write(describe(shown));
  if (!shown.configuration) process.exitCode = 1;
}

function readArguments(
  args: readonly string[],
): { host: string; json: boolean; seconds: number } | undefined {
  const wrong = (subject: string, seen: string, ...remedy: BadArgument): UserError =>
    cliProblem.error("bad-arguments", { subject, seen }, ...remedy);
  let parsed;
  try {
    const options = {
      json: { type: "boolean" },
      timeout: { type: "string" },
      help: { type: "boolean" },
    } as const;
    parsed = parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    const option = /'(--?[A-Za-z0-9-]+)/.exec((error as Error).message)?.[1] ?? "an option";
    throw wrong("arguments", `${option} is unknown, or lacks its value`, "help", "ca");
  }
  const { values, positionals } = parsed;
  if (values.help) return undefined;
  const [host, ...others] = positionals;
  if (host === undefined) throw wrong("HOST", "it is missing", "noRegistry");
  if (others.length > 0) throw wrong("HOST", `there are ${positionals.length} of them`, "oneRegistry");
  const { timeout = String(caLimits.seconds) } = values;
  const seconds = /^\d{1,3}$/.test(timeout) ? Number(timeout) : 0;
  if (seconds < 1 || seconds > 300)
    throw wrong(
      "--timeout",
      `"${printable(timeout, 40)}" is not a whole number of seconds from 1 to 300`,
      "help",
      "ca",
    );
  return { host, json: values.json === true, seconds };
}
