/**
 * Logs in to an sshd: attempts, retries, host key check, one method of authentication.
 * It never runs a command, and never decides which node or key is the right one.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type AnyAuthMethod, Client } from "ssh2";
import { UserError } from "../../support/errors";
import type { SshEndpoint } from "./endpoint";
import {
  AttemptError,
  asAttemptError,
  hostKeyChanged,
  needsPin,
  passwordUnpinned,
  sshError,
  transient,
} from "./failures";
import { HostKeyCheck, fingerprint } from "./hostKeys";
import { Session, destroyed } from "./session";

/** How long to try. */
export interface ConnectOptions {
  /** Milliseconds for one attempt, from dialling to being logged in. Default 15 s. */
  readonly attemptTimeout?: number;
  /** Attempts in all, where the failure is transient. Default 4. */
  readonly attempts?: number;
  /** Milliseconds for all attempts and pauses, without the wait for a free place on the route. Default 25 s. */
  readonly timeout?: number;
  /** Milliseconds before the second attempt; doubled for each further one, and varied by half. Default 1 s. */
  readonly delay?: number;
  /**
   * Milliseconds between two liveness probes while a command runs; a probe that is not answered until the next one
   * ends the session. Default 30 s.
   */
  readonly liveness?: number;
}

export const connectDefaults: Required<ConnectOptions> = {
  attemptTimeout: 15_000,
  attempts: 4,
  timeout: 25_000,
  delay: 1000,
  liveness: 30_000,
};

/** Characters of what sshd says before it lets a user in. */
const bannerLimit = 2000;

/** No attempt is started with fewer milliseconds left. */
const leastAttempt = 1000;

/** Milliseconds to wait after so many failures: doubled each time, with jitter so that many nodes don't retry at once. */
export function backoff(delay: number, failures: number): number {
  return delay * 2 ** (failures - 1) * (0.5 + Math.random());
}

function authentication({ user, credentials }: SshEndpoint): AnyAuthMethod[] {
  if (credentials.kind === "key") return [{ type: "publickey", username: user, key: credentials.privateKey }];
  if (credentials.kind === "agent") return [{ type: "agent", username: user, agent: credentials.socket }];
  const { password } = credentials;
  return [
    { type: "password", username: user, password },
    {
      // sshd asks for a password this way when PAM handles it.
      type: "keyboard-interactive",
      username: user,
      prompt: (_name, _instructions, _language, prompts, answer) =>
        answer(prompts.map(({ echo }) => (echo === true ? "" : password))),
    },
  ];
}

async function attempt(
  endpoint: SshEndpoint,
  timeout: number,
  hostKeys: HostKeyCheck,
  liveness: number,
): Promise<Session> {
  const shown: { key?: string; accepted: boolean } = { accepted: true };
  const stream = await endpoint.transport
    .connect(endpoint.address, endpoint.port, timeout)
    .catch((error: unknown) => {
      throw asAttemptError(error as Error);
    });
  const client = new Client();
  let banner = "";
  client.on("banner", (text) => (banner = (banner + text).slice(-bannerLimit)));
  try {
    await new Promise<void>((resolve, reject) => {
      client.once("ready", resolve);
      // ssh2 may emit several errors; the first one is the cause.
      client.on("error", reject);
      client.once("close", () => reject(new AttemptError("lost", "the connection was closed")));
      client.connect({
        sock: stream,
        username: endpoint.user,
        readyTimeout: timeout,
        algorithms: { serverHostKey: hostKeys.algorithms },
        hostVerifier: (key: Buffer) => {
          shown.key = fingerprint(key);
          shown.accepted = hostKeys.accepts(key);
          return shown.accepted;
        },
        authHandler: authentication(endpoint),
      });
    });
    if (shown.key === undefined) throw new AttemptError("handshake", "no host key was shown");
    return new Session(client, stream, endpoint, shown.key, liveness);
  } catch (error) {
    stream.on("error", () => undefined);
    client.destroy();
    await destroyed(stream);
    if (!shown.accepted) throw new AttemptError("host-key", shown.key ?? "");
    throw asAttemptError(error as Error, banner);
  }
}

/**
 * Logs in to a node. Transient failures are retried, with a longer pause each time. A refused key and a changed host key
 * are never retried. If the first host key has another type than the pinned one, the other types are requested.
 *
 * @throws UserError with one of the codes `ssh-timeout`, `ssh-refused`, `ssh-unreachable`, `ssh-lost`, `ssh-auth`,
 * `ssh-handshake`, `host-key-changed`, `ssh-password-unpinned`, `relay-…`, and of the API server `login-expired`, `no-rights`,
 * `cluster-certificate`, `cluster-unreachable`.
 */
export async function connect(endpoint: SshEndpoint, options: ConnectOptions = {}): Promise<Session> {
  const { attemptTimeout, attempts, timeout, delay, liveness } = { ...connectDefaults, ...options };
  // A key proves who we are and stays here; a password would be the machine's, whoever it is.
  if (needsPin(endpoint)) throw new UserError(passwordUnpinned(endpoint.node));
  let left = timeout;
  const hostKeys = new HostKeyCheck(endpoint.hostKey);
  for (let tried = 1; ;) {
    const offered = hostKeys.algorithms.length;
    try {
      return await endpoint.transport.dials(async () => {
        const begun = performance.now();
        try {
          return await attempt(endpoint, Math.min(attemptTimeout, left), hostKeys, liveness);
        } finally {
          left -= performance.now() - begun;
        }
      });
    } catch (error) {
      if (!(error instanceof AttemptError)) throw error;
      const remaining = hostKeys.algorithms.length;
      if (error.reason === "host-key" && remaining > 0 && remaining < offered) continue;
      // When all host keys are rejected, the handshake fails for want of a common algorithm.
      if (error.reason === "host-key" || (error.reason === "handshake" && hostKeys.rejected.length > 0)) {
        throw hostKeyChanged(endpoint, hostKeys.rejected);
      }
      const pause = backoff(delay, tried);
      left -= pause;
      if (!transient.has(error.reason) || tried >= attempts || left < leastAttempt) {
        throw sshError(endpoint, error, tried);
      }
      hostKeys.reset();
      await sleep(pause);
      tried += 1;
    }
  }
}
