/** Runs a kubeconfig's credential plugin (`users[].user.exec`) with limits. No message repeats its output. */
import { type ChildProcess, type ExecFileException, execFile } from "node:child_process";
import type { Cluster, KubeConfig, User } from "@kubernetes/client-node";
import * as z from "zod";
import { childEnvironment } from "../support/childEnvironment";
import { UserError } from "../support/errors";
import { rememberSecret } from "../support/secrets";
import { printable } from "../support/text";
import { headerToken } from "./openKubeconfig";
import { kubernetesProblem } from "./problems";

/** How the client starts a plugin. */
type Start = (
  command: string,
  args: readonly string[] | null | undefined,
  options: { env?: NodeJS.ProcessEnv },
) => ChildProcess;

/** The part of an ExecCredential (`client.authentication.k8s.io`) that the client reads without looking. */
const credentialSchema = z.looseObject({
  status: z.looseObject({ token: z.string().optional(), clientKeyData: z.string().optional() }),
});

/** What of a user's `exec` goes into `KUBERNETES_EXEC_INFO`. */
const pluginSchema = z.looseObject({
  apiVersion: z.string().default("client.authentication.k8s.io/v1beta1"),
  interactiveMode: z.string().nullish(),
  provideClusterInfo: z.boolean().nullish(),
});

/**
 * The value of `KUBERNETES_EXEC_INFO`, by which a plugin is told what is asked of it, as client-go writes it
 * (`k8s.io/client-go/plugin/pkg/client/auth/exec`).
 */
export function execInfo(user: Pick<User, "exec">, cluster: Cluster): string {
  const { apiVersion, provideClusterInfo } = pluginSchema.parse(user.exec ?? {});
  const about = {
    server: cluster.server,
    ...(cluster.tlsServerName ? { "tls-server-name": cluster.tlsServerName } : {}),
    ...(cluster.caData ? { "certificate-authority-data": cluster.caData } : {}),
    ...(cluster.proxyUrl ? { "proxy-url": cluster.proxyUrl } : {}),
  };
  const spec = { ...(provideClusterInfo ? { cluster: about } : {}), interactive: false };
  return JSON.stringify({ kind: "ExecCredential", apiVersion, spec });
}

/**
 * The client runs a plugin without a time limit, with the whole environment, and quotes its output. Here a plugin gets
 * {@link childEnvironment}, `KUBERNETES_EXEC_INFO`, an empty stdin and `seconds`, and fails with the {@link UserError} `cluster-credential`.
 */
export function limitPlugins(
  config: KubeConfig,
  {
    context,
    user,
    cluster,
    seconds = 30,
  }: { context: string; user: User; cluster: Cluster; seconds?: number },
): void {
  // Private to the client, which asks those that can be added only for what its own don't know.
  const { authenticators } = config as unknown as { authenticators: { execFn?: Start }[] };
  const [plugins] = authenticators.filter((each) => each.execFn !== undefined);
  if (!plugins) throw new Error("the Kubernetes client runs credential plugins in another way");
  const info = execInfo(user, cluster);
  const wantsTerminal = pluginSchema.parse(user.exec ?? {}).interactiveMode === "Always";
  plugins.execFn = (command, args, { env }) => {
    if (wantsTerminal) {
      const seen = `its credential plugin "${printable(command, 100)}" wants a terminal (interactiveMode: Always)`;
      throw kubernetesProblem.error(
        "cluster-credential",
        { subject: `context ${context}`, seen },
        "terminal",
      );
    }
    const limits = { timeout: seconds * 1000, maxBuffer: 1024 * 1024, killSignal: "SIGKILL" } as const;
    const child = execFile(
      command,
      args ?? [],
      { env: { ...childEnvironment(env), KUBERNETES_EXEC_INFO: info }, ...limits },
      (error, stdout) => {
        const seen = error ? failureOf(error, seconds) : whyNoCredential(stdout);
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

function whyNoCredential(stdout: string): string | undefined {
  let json: unknown;
  try {
    json = JSON.parse(stdout);
  } catch {
    json = undefined;
  }
  const status = credentialSchema.safeParse(json).data?.status;
  if (!status) return "prints no credential";
  const token = rememberSecret(status.token);
  rememberSecret(status.clientKeyData);
  return token && !headerToken.test(token)
    ? "prints a token with a line break, a space or another character that no HTTP header takes"
    : undefined;
}

function failed(context: string, command: string, seen: string): UserError {
  return kubernetesProblem.error(
    "cluster-credential",
    { subject: `context ${context}`, seen: `its credential plugin "${printable(command, 100)}" ${seen}` },
    "plugin",
    context,
  );
}
