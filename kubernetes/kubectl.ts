import { execFile } from "node:child_process";
import { childEnvironment } from "../support/children";
import type { z } from "zod";
import { type Problem, UserError } from "../support/errors";
import { lastWords } from "../support/text";

/** Why kubectl could not do what it was asked, as far as its stderr tells. */
export type KubectlReason =
  | "no-kubectl"
  | "context-missing"
  | "login-expired"
  | "forbidden"
  | "not-found"
  | "api-unreachable"
  | "failed";

const patterns: readonly (readonly [KubectlReason, RegExp])[] = [
  [
    "context-missing",
    /context "[^"]*" does not exist|no context exists with the name|context was not found|error loading config file|invalid configuration|incomplete configuration/i,
  ],
  [
    "login-expired",
    /must be logged in to the server|\(Unauthorized\)|asked for the client to provide credentials/i,
  ],
  ["forbidden", /\(Forbidden\)|is forbidden:/i],
  ["not-found", /Error from server \(NotFound\)/i],
  [
    "api-unreachable",
    /Unable to connect to the server|The connection to the server .* was refused|dial tcp|TLS handshake timeout|no such host|context deadline exceeded|Client\.Timeout|x509: |http2: client connection lost|\(ServiceUnavailable\)|\(Timeout\)/i,
  ],
];

/** Reads kubectl's stderr. */
export function classifyKubectl(stderr: string): KubectlReason {
  return patterns.find(([, pattern]) => pattern.test(stderr))?.[0] ?? "failed";
}

/** What kubectl was asked for: the first part of the codes of its problems, `<purpose>-<reason>`. */
export type KubectlPurpose = "cluster" | "supervisor" | "ssh-secret";

/** Says what to do about a failure of kubectl. */
export function kubectlProblem(
  purpose: KubectlPurpose,
  subject: string,
  context: string,
  reason: Exclude<KubectlReason, "not-found">,
  stderr: string,
): Problem {
  const said = lastWords(stderr);
  const remedies: Record<typeof reason, string> = {
    "no-kubectl": "Install kubectl and make sure that it is on PATH",
    "context-missing": `Log in with \`npm run login\`, or set KUBECONFIG to the file that holds the context "${context}"`,
    "login-expired": "Log in again (`npm run login`): tokens of a Supervisor last ten hours",
    forbidden: `Have the user of context "${context}" given the right that is named here`,
    "api-unreachable": `Check that the API server of context "${context}" can be reached from here, then try again`,
    failed: "Run the same kubectl command by hand to see more",
  };
  return {
    code: `${purpose}-${reason}`,
    subject,
    seen:
      reason === "no-kubectl"
        ? "kubectl is not on PATH"
        : `kubectl with context "${context}" said "${said === "" ? "nothing" : said}"`,
    remedy: remedies[reason],
  };
}

/** What a run of kubectl gave. */
export type KubectlResult =
  | { readonly ok: true; readonly stdout: string }
  | { readonly ok: false; readonly reason: KubectlReason; readonly stderr: string };

const requestSeconds = 20;
const mebibyte = 1024 * 1024;

/**
 * Runs kubectl with the operator's own kubeconfig. Its stdout is only ever returned: it may be a secret.
 *
 * @param context - the kubeconfig context
 */
export function kubectl(context: string, args: readonly string[]): Promise<KubectlResult> {
  return new Promise((resolve) => {
    execFile(
      "kubectl",
      ["--context", context, `--request-timeout=${requestSeconds}s`, ...args],
      {
        env: childEnvironment(),
        maxBuffer: 8 * mebibyte,
        timeout: (requestSeconds + 10) * 1000,
        killSignal: "SIGKILL",
      },
      (error, stdout, stderr) => {
        if (!error) resolve({ ok: true, stdout });
        else if (error.code === ("ENOENT" as never)) resolve({ ok: false, reason: "no-kubectl", stderr: "" });
        else if (error.killed === true)
          resolve({ ok: false, reason: "api-unreachable", stderr: stderr || "no answer" });
        else resolve({ ok: false, reason: classifyKubectl(stderr), stderr });
      },
    );
  });
}

/**
 * Reads the JSON that kubectl printed. None of it is repeated, as it may be a secret.
 *
 * @throws UserError `kubectl-answer`
 */
export function readAnswer<T>(schema: z.ZodType<T>, subject: string, stdout: string): T {
  let json: unknown;
  try {
    json = JSON.parse(stdout);
  } catch {
    json = undefined;
  }
  const parsed = schema.safeParse(json);
  if (json !== undefined && parsed.success) return parsed.data;
  throw new UserError({
    code: "kubectl-answer",
    subject,
    seen: "what kubectl printed is not the JSON of such an object",
    remedy: "Run the same kubectl command by hand to see more",
  });
}

/**
 * Gets one object, or `undefined` where the API says that it does not exist.
 *
 * @throws UserError when the API could not be asked or refused to tell; `kubectl-answer` for what is no such object.
 */
export async function getObject<T>(
  schema: z.ZodType<T>,
  purpose: KubectlPurpose,
  subject: string,
  context: string,
  args: readonly string[],
): Promise<T | undefined> {
  const result = await kubectl(context, ["get", ...args, "-o", "json"]);
  if (result.ok) return readAnswer(schema, subject, result.stdout);
  if (result.reason === "not-found") return undefined;
  throw new UserError(kubectlProblem(purpose, subject, context, result.reason, result.stderr));
}
