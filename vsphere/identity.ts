/** Whether the workload cluster that a context leads to is the one that the settings name. */
import { X509Certificate } from "node:crypto";
import * as z from "zod";
import { fingerprintOf } from "../certificates/identity";
import { findSecret } from "../kubernetes/checks";
import type { KubeContext } from "../kubernetes/client";
import { parseKubeconfigYaml } from "../kubernetes/kubeconfig";
import { UserError } from "../support/errors";
import { printable } from "../support/text";
import { vsphereProblem } from "./problems";

/** What the Supervisor knows about a workload cluster's API. */
interface Known {
  /** The source, for messages. */
  readonly source: string;
  /** Of each endpoint, `host:port`. */
  readonly endpoints: readonly string[];
  /** PEM; empty where the source doesn't have it. */
  readonly ca: string;
}

/** The cluster as the settings name it. */
export interface NamedCluster {
  /** The Supervisor namespace that holds it. */
  readonly namespace: string;
  readonly name: string;
}

/**
 * Compares the workload cluster's context with what the Supervisor has of the cluster: its secret `<cluster>-kubeconfig`,
 * else the TanzuKubernetesCluster's `status.apiEndpoints`. An address of another name for the same cluster (a load
 * balancer, a tunnel) is recognized by the CA, which is different for each cluster.
 *
 * @param options.subject - The setting that names the context.
 * @param options.login - The command that makes the right context, for messages.
 * @returns A warning if the check was not possible.
 * @throws UserError (`wrong-cluster`).
 */
export async function checkIdentity(
  supervisor: KubeContext,
  cluster: KubeContext,
  { namespace, name }: NamedCluster,
  options: { subject: string; login: string },
): Promise<string | undefined> {
  const named = { namespace, name };
  const known = (await fromSecret(supervisor, named)) ?? (await fromObject(supervisor, named));
  if (!known) {
    return (
      `not checked that the context ${cluster.name} is of the cluster ${namespace}/${name}: the Supervisor shows ` +
      `${supervisor.name} neither the secret ${name}-kubeconfig nor the cluster's API endpoint`
    );
  }
  if (known.endpoints.includes(endpointOf(cluster.server) ?? "") || sameCa(known.ca, cluster.ca))
    return undefined;
  throw vsphereProblem.error(
    "wrong-cluster",
    {
      subject: options.subject,
      seen:
        `the context ${cluster.name} is for ${printable(cluster.server)}, and the cluster ${namespace}/${name} is at ` +
        `${known.endpoints.join(", ")} by ${known.source}${known.ca === "" ? "" : ", with another CA"}`,
    },
    options.login,
  );
}

/** `host:port` of a URL, 443 where it has none. */
function endpointOf(server: string): string | undefined {
  if (!URL.canParse(server)) return undefined;
  const { hostname, port } = new URL(server);
  return `${hostname}:${port || "443"}`;
}

/** SHA-256 of each certificate of a kubeconfig's CA. */
export const caFingerprints = (pem: string): string[] =>
  (pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).flatMap((text) => {
    try {
      return [fingerprintOf(new X509Certificate(text))];
    } catch {
      return [];
    }
  });

function sameCa(a: string, b: string): boolean {
  const theirs = caFingerprints(b);
  return caFingerprints(a).some((fingerprint) => theirs.includes(fingerprint));
}

const kubeconfigSchema = z.object({
  clusters: z
    .array(
      z.object({
        cluster: z.object({ server: z.string(), "certificate-authority-data": z.string().default("") }),
      }),
    )
    .min(1),
});

/** Reads only the cluster's entry of the administrator's kubeconfig. */
async function fromSecret(
  supervisor: KubeContext,
  { namespace, name }: NamedCluster,
): Promise<Known | undefined> {
  const secretName = `${name}-kubeconfig`;
  const secret = await permitted(findSecret(supervisor, namespace, secretName));
  const text = secret?.data["value"];
  if (text === undefined) return undefined;
  const source = `secret ${namespace}/${secretName}`;
  const parsed = kubeconfigSchema.safeParse(await parseKubeconfigYaml(text, source).catch(() => undefined));
  const cluster = parsed.data?.clusters[0]?.cluster;
  const endpoint = cluster && endpointOf(cluster.server);
  if (!endpoint) return undefined;
  const ca = Buffer.from(cluster["certificate-authority-data"], "base64").toString("utf8");
  return { source, endpoints: [endpoint], ca };
}

const objectSchema = z.object({
  status: z.object({
    apiEndpoints: z.array(z.object({ host: z.string().regex(/^[\w.:-]+$/), port: z.int() })).min(1),
  }),
});

async function fromObject(
  supervisor: KubeContext,
  { namespace, name }: NamedCluster,
): Promise<Known | undefined> {
  const kind = { group: "run.tanzu.vmware.com", plural: "tanzukubernetesclusters" };
  const action = { verb: "get", resource: `${kind.plural}.${kind.group}`, namespace, name };
  for (const version of ["v1alpha3", "v1alpha2"]) {
    const object: unknown = await permitted(
      supervisor.find(action, () =>
        supervisor.custom.getNamespacedCustomObject({ ...kind, version, namespace, name }),
      ),
    );
    const endpoints = objectSchema.safeParse(object).data?.status.apiEndpoints;
    if (!endpoints) continue;
    return {
      source: `TanzuKubernetesCluster ${namespace}/${name}`,
      endpoints: endpoints.map(({ host, port }) => `${host.includes(":") ? `[${host}]` : host}:${port}`),
      ca: "",
    };
  }
  return undefined;
}

/** Treats an object that the user may not read as absent. */
export async function permitted<T>(question: Promise<T>): Promise<T | undefined> {
  try {
    return await question;
  } catch (error) {
    if (error instanceof UserError && error.problems.every(({ code }) => code === "no-rights"))
      return undefined;
    throw error;
  }
}
