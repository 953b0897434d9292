/** Pulls that are tried for real, on given nodes, by short-lived pods: nothing else shows what a node's containerd does. */
/* eslint-disable @typescript-eslint/no-unsafe-class-instance-assignment -- the client's models are shapes: it takes literals */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import pLimit from "p-limit";
import type { V1Pod } from "@kubernetes/client-node";
import { transientCodes } from "./problems";
import { UserError, allChecks, describeProblem } from "../support/errors";
import { printable } from "../support/text";
import { type PodManifest, type Right, checkRights, dryRunPod } from "./checks";
import type { KubeContext } from "./client";

/** A pull to be tried. */
export interface PullTrial {
  readonly node: string;
  readonly image: string;
}

/** The result of a trial. */
export interface PullResult extends PullTrial {
  readonly ok: boolean;
  /** What the kubelet said of a failed one. */
  readonly message: string | null;
}

export interface PullPlace {
  readonly namespace: string;
  /** What pods pull with: a pull secret that is there, or a docker config, in a Secret that is there as long as they are. */
  readonly login?: { readonly pullSecret: string } | { readonly dockerConfigJson: string } | undefined;
  /** Tell whose pods these are. Those that a killed run left are found by them. */
  readonly labels: Readonly<Record<string, string>>;
}

/** Pods at once: an API server and a registry have other work too. */
const atOnce = 16;
/** Seconds for one pod. */
const timeout = 120;
/** Milliseconds between two looks at a pod. */
const interval = 1000;
/** A registry's refusal of a missing or wrong login. */
const refusedLogin = /\b(401|403)\b|unauthorized|authorization failed|denied/i;
const purpose = { "tkc-registry/purpose": "verify-pull" };
const runLabel = "tkc-registry/run";

/** Why a pull failed, as far as its message tells. */
export type PullFault = "authority" | "certificate" | "login" | "absent" | "unreached" | "other";
const faults: readonly (readonly [PullFault, RegExp])[] = [
  ["authority", /unknown authority/i],
  ["certificate", /x509: |tls: /i],
  ["login", refusedLogin],
  ["absent", /not found|manifest unknown|does not exist|\b404\b/i],
  [
    "unreached",
    /no such host|dial tcp|timeout|timed out|connection (?:refused|reset)|no route|unreachable|deadline exceeded|proxyconnect|no end in/i,
  ],
];
export const pullFault = (message: string): PullFault =>
  faults.find(([, pattern]) => pattern.test(message))?.[0] ?? "other";

/** The rights that pulls take. */
export const pullRights = ({ namespace, login }: PullPlace): Right[] => [
  ...["create", "get", "list", "delete"].map((verb) => ({ verb, resource: "pods", namespace })),
  ...(login && "dockerConfigJson" in login
    ? ["create", "list", "delete"].map((verb) => ({ verb, resource: "secrets", namespace }))
    : []),
];

/**
 * Asks the API server whether it would admit the pod of a pull.
 *
 * @throws UserError as {@link dryRunPod}.
 */
export async function dryRunPull(
  cluster: KubeContext,
  trial: PullTrial,
  place: PullPlace,
  options?: { readonly subject: string },
): Promise<void> {
  await dryRunPod(cluster, place.namespace, podOf(trial, place, undefined), options);
}

/** A pod that Pod Security's `restricted` profile takes, and that does nothing. */
function podOf(
  { node, image }: PullTrial,
  { labels }: PullPlace,
  pullSecret: string | undefined,
): PodManifest {
  return {
    metadata: { labels: { ...labels, ...purpose } },
    spec: {
      nodeName: node, // by no scheduler: to be tried is the node, whatever room it has
      tolerations: [{ operator: "Exists" }],
      restartPolicy: "Never",
      activeDeadlineSeconds: timeout,
      terminationGracePeriodSeconds: 1,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: 65534,
        runAsGroup: 65534,
        seccompProfile: { type: "RuntimeDefault" },
      },
      imagePullSecrets: pullSecret === undefined ? [] : [{ name: pullSecret }],
      containers: [
        {
          name: "pull",
          image,
          imagePullPolicy: "Always",
          // Need not exist in the image: the image has been pulled by then.
          command: ["true"],
          // A namespace may insist on them.
          resources: {
            requests: { cpu: "1m", memory: "8Mi" },
            limits: { cpu: "100m", memory: "64Mi" },
          },
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ["ALL"] },
          },
        },
      ],
    },
  };
}

const pullFailed = new Set([
  "ErrImagePull",
  "ImagePullBackOff",
  "InvalidImageName",
  "ErrImageNeverPull",
  "ImageInspectError",
  "RegistryUnavailable",
  "SignatureValidationFailed",
]);
const pullDone = new Set([
  "CreateContainerError",
  "CreateContainerConfigError",
  "RunContainerError",
  "CrashLoopBackOff",
]);

/** What a pod's status says of its pull. */
export type PullState =
  | { readonly kind: "pulled" }
  | { readonly kind: "failed"; readonly message: string; readonly bare: boolean }
  | { readonly kind: "open"; readonly message: string };

/** Reads a pod's status. `bare`: it is only said that it failed, not why. */
export function readPull({ status }: Pick<V1Pod, "status">): PullState {
  const container = status?.containerStatuses?.[0];
  const { waiting, running, terminated } = container?.state ?? {};
  const reason = waiting?.reason ?? "";
  const said = printable(waiting?.message ?? "", 600);
  if (pullFailed.has(reason)) {
    const bare = said === "" || (reason === "ImagePullBackOff" && !said.includes("ErrImagePull"));
    return { kind: "failed", message: said === "" ? reason : said, bare };
  }
  if (running || pullDone.has(reason) || container?.imageID) return { kind: "pulled" };
  // The kubelet also reports a container that never started as terminated when its pod ends.
  if (terminated && terminated.reason !== "ContainerStatusUnknown") return { kind: "pulled" };
  if (status?.phase === "Failed") {
    const cause = [status.reason, status.message].filter((text) => text).join(": ");
    return { kind: "failed", message: printable(cause, 600) || "the pod was ended", bare: cause === "" };
  }
  return { kind: "open", message: said || reason || "the kubelet has not taken the pod up" };
}

/** The pods of one run. */
class Trials {
  readonly #run = randomBytes(8).toString("hex");
  #login: Promise<string | undefined> | undefined;

  constructor(
    private readonly cluster: KubeContext,
    private readonly place: PullPlace,
    private readonly signal: AbortSignal,
  ) {}

  get #action(): { resource: string; namespace: string } {
    return { resource: "pods", namespace: this.place.namespace };
  }

  /** The name of the Secret that pods pull with. */
  async #pullSecret(): Promise<string | undefined> {
    const { login } = this.place;
    return login && "dockerConfigJson" in login
      ? await (this.#login ??= this.#makeSecret(login.dockerConfigJson))
      : login?.pullSecret;
  }

  async #makeSecret(dockerConfigJson: string): Promise<string> {
    const { cluster } = this;
    const { namespace, labels } = this.place;
    const name = `tkc-registry-pull-${this.#run}`;
    const body = {
      metadata: { name, labels: { ...labels, ...purpose, [runLabel]: this.#run } },
      type: "kubernetes.io/dockerconfigjson",
      data: { ".dockerconfigjson": Buffer.from(dockerConfigJson).toString("base64") },
    };
    await cluster.request({ verb: "create", resource: "secrets", namespace, name }, () =>
      cluster.core.createNamespacedSecret({ namespace, body }),
    );
    return name;
  }

  async try(trial: PullTrial): Promise<PullResult> {
    try {
      // Retried once if the pod was deleted: another run of verify deletes leftover pods at its start.
      let state = (await this.#tryOnce(trial)) ?? (await this.#tryOnce(trial));
      // A kubelet pulls without a secret that it has not read yet, as it does for the first pod of a node that has it.
      if (state?.kind === "failed" && refusedLogin.test(state.message)) {
        await sleep(interval, undefined, { signal: this.signal });
        state = await this.#tryOnce(trial);
      }
      if (state?.kind === "pulled") return { ...trial, ok: true, message: null };
      return {
        ...trial,
        ok: false,
        message: state?.message ?? "somebody deleted the pod that was to pull it",
      };
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return {
        ...trial,
        ok: false,
        message: `it could not be tried: ${describeProblem(error.problems[0]!)}`,
      };
    }
  }

  /** @returns `undefined` where the pod went away. */
  async #tryOnce(trial: PullTrial): Promise<PullState | undefined> {
    const { cluster } = this;
    const { namespace } = this.place;
    this.signal.throwIfAborted();
    const { metadata, spec } = podOf(trial, this.place, await this.#pullSecret());
    const labels = { ...metadata?.labels, [runLabel]: this.#run };
    const body = { metadata: { generateName: "tkc-registry-verify-", labels }, spec } as V1Pod;
    let pod = await cluster.request({ verb: "create", ...this.#action }, () =>
      cluster.core.createNamespacedPod({ namespace, body }),
    );
    try {
      for (const end = performance.now() + timeout * 1000; ;) {
        const state = readPull(pod);
        if (state.kind === "pulled") return state;
        if (state.kind === "failed" && !state.bare) return state;
        if (state.kind === "failed" || performance.now() > end) {
          const message = (await this.#lastEvent(pod)) ?? state.message;
          const late = state.kind === "open" ? `no end in ${timeout} s: ` : "";
          return { kind: "failed", message: `${late}${message}`, bare: false };
        }
        await sleep(interval, undefined, { signal: this.signal });
        const now = await this.#look(pod);
        if (!now || now.metadata?.deletionTimestamp) return undefined;
        pod = now;
      }
    } finally {
      await this.#remove(pod).catch(() => undefined); // removeAll tries again at the end
    }
  }

  async #look(pod: V1Pod): Promise<V1Pod | undefined> {
    const { cluster } = this;
    const at = { namespace: this.place.namespace, name: pod.metadata!.name! };
    try {
      return await cluster.find({ verb: "get", ...this.#action, name: at.name }, () =>
        cluster.core.readNamespacedPod(at),
      );
    } catch (error) {
      if (error instanceof UserError && transientCodes.has(error.problems[0]!.code)) return pod;
      throw error;
    }
  }

  /** The last event of a pod; `undefined` for a user who may not read events. */
  async #lastEvent({ metadata }: V1Pod): Promise<string | undefined> {
    const { cluster } = this;
    const { namespace } = this.place;
    try {
      const fieldSelector = `involvedObject.name=${metadata!.name!}`;
      const { items } = await cluster.request({ verb: "list", resource: "events", namespace }, () =>
        cluster.core.listNamespacedEvent({ namespace, fieldSelector }),
      );
      const messages = items.flatMap(({ type, message }) => (type === "Warning" && message ? message : []));
      const last = messages.filter((message) => !/^Error: \w+$/.test(message)).at(-1) ?? messages.at(-1);
      return last === undefined ? undefined : printable(last, 600);
    } catch {
      return undefined;
    }
  }

  async #remove({ metadata, status }: V1Pod): Promise<void> {
    const { cluster } = this;
    const at = { namespace: this.place.namespace, name: metadata!.name! };
    // One that no kubelet took up has none to end it either.
    const grace = status?.startTime ? {} : { gracePeriodSeconds: 0 };
    await cluster.find({ verb: "delete", ...this.#action, name: at.name }, () =>
      cluster.core.deleteNamespacedPod({ ...at, ...grace }),
    );
  }

  /** Removes what this run made, or all runs for the stack, one that was killed among them. */
  async removeAll(whose: "this run's" | "all"): Promise<void> {
    const { cluster } = this;
    const { namespace, labels, login } = this.place;
    const wanted = { ...labels, ...purpose, ...(whose === "all" ? {} : { [runLabel]: this.#run }) };
    const labelSelector = Object.entries(wanted)
      .map((pair) => pair.join("="))
      .join(",");
    const pods = async (): Promise<void> => {
      const { items } = await cluster.request({ verb: "list", ...this.#action }, () =>
        cluster.core.listNamespacedPod({ namespace, labelSelector }),
      );
      const there = items.filter(({ metadata }) => !metadata?.deletionTimestamp);
      await allChecks(there.map((pod) => this.#remove(pod)));
    };
    const secrets = async (): Promise<void> => {
      const { items } = await cluster.request({ verb: "list", resource: "secrets", namespace }, () =>
        cluster.core.listNamespacedSecret({ namespace, labelSelector }),
      );
      const remove = async (name: string): Promise<unknown> =>
        cluster.find({ verb: "delete", resource: "secrets", namespace, name }, () =>
          cluster.core.deleteNamespacedSecret({ namespace, name }),
        );
      await allChecks(items.map(({ metadata }) => remove(metadata!.name!)));
    };
    await allChecks([pods(), ...(login && "dockerConfigJson" in login ? [secrets()] : [])]);
  }
}

/**
 * Tries pulls, several at once and each bounded in time; whatever happens, the pods, and a Secret that was made for them,
 * are deleted when it ends.
 *
 * @param signal - Ends it early.
 * @param onResult - Is called for each pull as it is known.
 * @returns in the order of the trials.
 * @throws UserError where the namespace would not take such pods, or pods could not be deleted; the signal's reason.
 */
export async function tryPulls(
  cluster: KubeContext,
  trials: readonly PullTrial[],
  place: PullPlace,
  { signal, onResult }: { readonly signal: AbortSignal; readonly onResult: () => void },
): Promise<PullResult[]> {
  await checkRights(cluster, pullRights(place));
  if (trials[0]) await dryRunPull(cluster, trials[0], place);
  const pods = new Trials(cluster, place, signal);
  await pods.removeAll("all");
  const limit = pLimit(atOnce);
  const results = await Promise.allSettled(
    trials.map((trial) =>
      limit(async () => {
        const result = await pods.try(trial);
        onResult();
        return result;
      }),
    ),
  );
  await pods.removeAll("this run's");
  signal.throwIfAborted();
  return results.map((result) => {
    if (result.status === "fulfilled") return result.value;
    throw result.reason;
  });
}
