import { exec, CommandError } from "../../exec";
import type { Properties } from "../rpc/values";

/** The settings of `kubernetes.Provider` that the stand-in honours. */
export interface Config {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly cluster?: string;
  readonly namespace?: string;
  readonly upsertExistingObjects: boolean;
  readonly enableSecretMutable: boolean;
  readonly enableConfigMapMutable: boolean;
  readonly enablePatchForce: boolean;
  readonly deleteUnreachable: boolean;
}

/** Which object: `resource` as kubectl names a kind without doubt, `pod` or `Deployment.v1.apps`. */
export interface ObjectReference {
  readonly resource: string;
  readonly name: string;
  readonly namespace?: string | undefined;
}

/** kubectl refused: the message is what the API server said. */
export class KubectlError extends Error {
  constructor(readonly stderr: string) {
    super(stderr.replace(/^Error from server[^:]*: |^error: /i, "").trim());
    this.name = "KubectlError";
  }
  get notFound(): boolean {
    return /\(NotFound\)/.test(this.stderr);
  }
  get unreachable(): boolean {
    return /connection refused|was refused|no such host|i\/o timeout|Unable to connect to the server|context .* does not exist/i.test(
      this.stderr,
    );
  }
  /** What the official provider takes for an unreachable cluster: one that it can't ask for its schema, whyever. */
  get clusterUnreachable(): boolean {
    return (
      this.unreachable || /\(Unauthorized\)|asked for the client to provide credentials/i.test(this.stderr)
    );
  }
}

/** Requests that don't wait for anything are answered within this time, or the server is taken for dead. */
const requestTimeout = "--request-timeout=60s";

/** kubectl for one provider configuration. Objects travel by stdin, never in arguments, which anyone may list. */
export class Kubectl {
  constructor(
    private readonly config: Config,
    private readonly warn: (urn: string, message: string) => void,
  ) {}

  private async run(args: readonly string[], urn?: string, input?: string): Promise<string> {
    const { context, cluster, kubeconfig } = this.config;
    const all = [
      ...(context ? [`--context=${context}`] : []),
      ...(cluster ? [`--cluster=${cluster}`] : []),
      ...args,
    ];
    try {
      const { stdout, stderr } = await exec("kubectl", all, {
        // The path may be a list of files, which only the environment variable takes.
        env: { ...process.env, ...(kubeconfig ? { KUBECONFIG: kubeconfig } : {}) },
        ...(input === undefined ? {} : { input }),
      });
      if (urn !== undefined) {
        for (const [, warning = ""] of stderr.matchAll(/^Warning: (.*)$/gm)) this.warn(urn, warning);
      }
      return stdout;
    } catch (error) {
      throw error instanceof CommandError
        ? new KubectlError(error.result.stderr || error.result.stdout)
        : error;
    }
  }

  private static address({ resource, name, namespace }: ObjectReference): string[] {
    return [resource, name, ...(namespace === undefined ? [] : [`--namespace=${namespace}`])];
  }

  /** The live object, or undefined when there is none. */
  async get(reference: ObjectReference): Promise<Properties | undefined> {
    const args = [
      "get",
      ...Kubectl.address(reference),
      "--ignore-not-found",
      "--output=json",
      requestTimeout,
    ];
    const output = await this.run(args);
    return output.trim() === "" ? undefined : (JSON.parse(output) as Properties);
  }

  /** Server-side apply; gives the live object back. */
  async apply(
    urn: string,
    object: Properties,
    options: { readonly fieldManager: string; readonly force: boolean; readonly dryRun: boolean },
  ): Promise<Properties> {
    const args = [
      "apply",
      "--server-side",
      `--field-manager=${options.fieldManager}`,
      ...(options.force ? ["--force-conflicts"] : []),
      ...(options.dryRun ? ["--dry-run=server"] : []),
      "--filename=-",
      "--output=json",
      requestTimeout,
    ];
    return JSON.parse(await this.run(args, urn, JSON.stringify(object))) as Properties;
  }

  /** Asks for deletion, which takes its time; one that is gone already is no error. */
  async delete(reference: ObjectReference, cascade: string): Promise<void> {
    await this.run([
      "delete",
      ...Kubectl.address(reference),
      "--ignore-not-found",
      `--cascade=${cascade}`,
      "--wait=false",
      requestTimeout,
    ]);
  }

  /** The objects of a kind with these labels. */
  async list(
    resource: string,
    namespace: string,
    labels: Readonly<Record<string, string>>,
  ): Promise<Properties[]> {
    const selector = Object.entries(labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(",");
    const args = ["get", resource, `--namespace=${namespace}`, `--selector=${selector}`, "--output=json"];
    return (JSON.parse(await this.run([...args, requestTimeout])) as { items: Properties[] }).items;
  }

  /** Messages of the warning events about an object, oldest first. */
  async warnings(name: string, namespace: string): Promise<string[]> {
    const selector = `--field-selector=involvedObject.name=${name},type=Warning`;
    const args = ["get", "events", `--namespace=${namespace}`, selector, "--output=json", requestTimeout];
    const { items } = JSON.parse(await this.run(args)) as { items: { reason?: string; message?: string }[] };
    return items.map(({ reason = "", message = "" }) => `${reason}: ${message}`);
  }

  /** The namespace that the context names, or `default`. */
  async contextNamespace(): Promise<string> {
    const namespace = await this.run(["config", "view", "--minify", "--output=jsonpath={..namespace}"]);
    return namespace.trim() || "default";
  }
}
