/**
 * `npm run ca`: shows a registry's certificates, and the configuration that makes nodes trust its CA.
 * It never changes anything, here or there.
 */
import type { Command } from "commander";
import { caLimits } from "../../registry/ca";
import { UserError } from "../../support/errors";
import { commandForPeople, readArguments, seeHelp } from "../arguments";
import { type BadArgument, cliProblem } from "../problems";
import { printable } from "../../support/text";
import { withProgress } from "../progress";
import { describe } from "./describe";
import { look } from "./look";

const command = (): Command =>
  commandForPeople("ca", "HOST[:PORT] [options]")
    .description(
      "Shows the certificates that a registry serves, the CA that Harbor offers for download, whether containerd would accept the registry with that CA, and the configuration to paste. Sends no credentials and changes nothing. Trusts nothing that it sees: ask the registry's administrator for the fingerprint, and compare.",
    )
    .argument("[HOST...]")
    .option("--json", "print JSON; `npm run --silent` suppresses npm's own output")
    .option("--timeout <SECONDS>", `for each exchange with the registry (default ${caLimits.seconds})`)
    .addHelpText(
      "after",
      "\nExit code: 0, or 1 if the registry cannot be reached or gives no CA that nodes could use.",
    );

/** `npm run ca -- …`: see the text of `--help`. */
export async function showCa(args: readonly string[]): Promise<void> {
  const request = readRequest(args);
  if (!request) return;
  const { host, json, seconds } = request;
  const shown = await withProgress(
    look(host, seconds),
    () => `Asking ${host}, for at most ${seconds} s each time`,
  );
  if (json) process.stdout.write(`${JSON.stringify(shown, undefined, 2)}\n`);
  else process.stdout.write(describe(shown));
  if (!shown.configuration) process.exitCode = 1;
}

function readRequest(args: readonly string[]): { host: string; json: boolean; seconds: number } | undefined {
  const wrong = (subject: string, seen: string, ...remedy: BadArgument): UserError =>
    cliProblem.error("bad-arguments", { subject, seen }, ...remedy);
  const read = readArguments("ca", command(), args);
  if (!read) return undefined;
  const { words } = read;
  const values: { json?: true; timeout?: string } = read.values;
  const [host, ...others] = words;
  if (host === undefined) throw wrong("HOST", "it is missing", "noRegistry");
  if (others.length > 0) throw wrong("HOST", `there are ${words.length} of them`, "oneRegistry");
  const { timeout = String(caLimits.seconds) } = values;
  const seconds = /^\d{1,3}$/.test(timeout) ? Number(timeout) : 0;
  if (seconds < 1 || seconds > 300)
    throw wrong(
      "--timeout",
      `"${printable(timeout, 40)}" is not a whole number of seconds from 1 to 300`,
      ...seeHelp("ca"),
    );
  return { host, json: values.json === true, seconds };
}
