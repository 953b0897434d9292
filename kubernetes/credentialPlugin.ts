/** Runs a kubeconfig's credential plugin (`users[].user.exec`) with limits. No message repeats its output. */
import { type ChildProcess, type ExecFileException, execFile } from "node:child_process";
import type { KubeConfig } from "@kubernetes/client-node";
import { z } from "zod";
import { childEnvironment } from "../support/childEnvironment";
import { UserError } from "../support/errors";
import { printable } from "../support/text";
import { kubernetesProblem } from "./problems";

/** How the client starts a plugin. */
type Start = (
  command: string,
  args: readonly string[] | null | undefined,
  options: { env?: NodeJS.ProcessEnv },
) => ChildProcess;

/** The part of an ExecCredential (`client.authentication.k8s.io`) that the client reads without looking. */
const credentialSchema = z.looseObject({ status: z.looseObject({ token: z.string().optional() }) });

/**
 * The client runs a plugin without a time limit, with the whole environment, and quotes its output. Here a plugin gets
 * {@link childEnvironment}, an empty stdin and `seconds`, and fails with the {@link UserError} `cluster-credential`.
 */
export function limitPlugins(
  config: KubeConfig,
  { context, seconds = 30 }: { context: string; seconds?: number },
): void {
  // Private to the client, which asks those that can be added only for what its own don't know.
  const { authenticators } = config as unknown as { authenticators: { execFn?: Start }[] };
  const [plugins] = authenticators.filter((each) => each.execFn !== undefined);
  if (!plugins) throw new Error("the Kubernetes client runs credential plugins in another way");
  plugins.execFn = (command, args, { env }) => {
    const limits = { timeout: seconds * 1000, maxBuffer: 1024 * 1024, killSignal: "SIGKILL" } as const;
    const child = execFile(
      command,
      args ?? [],
      { env: childEnvironment(env), ...limits },
      (error, stdout) => {
        const seen = error
          ? failureOf(error, seconds)
          : isCredential(stdout)
            ? undefined
            : "prints no credential";
        // The client takes the last error before the end for the reason; where the plugin wasn't started, it has one.
        if (seen !== undefined && child.pid !== undefined)
          child.emit("error", failed(context, command, seen));
      },
    );
    child.stdin?.end();
    return child;
  };
}

function failureOf({ killed, code }: ExecFileException, seconds: number): string {
  if (code === "ERR_CHILD_PROCESS_STDIO_MAXBUFFER") return "prints without end";
  if (killed) return `does not end within ${seconds} s`;
  return typeof code === "number" ? `ends with code ${code}` : "is ended by a signal";
}

function isCredential(stdout: string): boolean {
  try {
    return credentialSchema.safeParse(JSON.parse(stdout)).success;
  } catch {
    return false;
  }
}

function failed(context: string, command: string, seen: string): UserError {
  return kubernetesProblem.error(
    "cluster-credential",
    { subject: `context ${context}`, seen: `its credential plugin "${printable(command, 100)}" ${seen}` },
    "plugin",
    context,
  );
}
