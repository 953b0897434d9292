/** The command behind the pull secret's entry in a ServiceAccount. */
import * as z from "zod";
import { namedContexts } from "../kubernetes/client";
import { kubernetesProblem } from "../kubernetes/problems";
import {
  type Attachment,
  accountsOf,
  attach,
  detach,
  formatState,
  parseState,
} from "../kubernetes/serviceAccount";
import { readRecordedCluster } from "../nodes/protocol/environment";
import { objectName } from "../support/names";
import { printable } from "../support/text";
import { proveCluster } from "../vsphere/cluster";
import { vsphereProblem } from "../vsphere/problems";

const environmentSchema = z.object({
  TKC_REGISTRY_CLUSTER_CONTEXT: z.string().min(1),
  TKC_REGISTRY_NAMESPACE: objectName,
  TKC_REGISTRY_SERVICE_ACCOUNT: objectName,
  TKC_REGISTRY_PULL_SECRET: objectName,
});

/**
 * `v1 service-account attach | detach`: what it is about comes by environment (`TKC_REGISTRY_CLUSTER_CONTEXT`, `_CLUSTER`,
 * `_NAMESPACE`, `_SERVICE_ACCOUNT`, `_PULL_SECRET`), the last run's stdout as `PULUMI_COMMAND_STDOUT`. The environment
 * is in state, where `detach` finds it with no program running: it is an interface.
 */
export async function serviceAccount(args: readonly string[]): Promise<void> {
  const [verb] = args;
  const parsed = environmentSchema.safeParse(process.env);
  if ((verb !== "attach" && verb !== "detach") || !parsed.success) {
    const seen = parsed.success
      ? `"${printable(verb ?? "", 40)}" is neither attach nor detach`
      : `${parsed.error.issues.map(({ path }) => path.join(".")).join(", ")} not set, or no name`;
    const what = { subject: "command service-account", seen };
    throw kubernetesProblem.error("bad-environment", what, "serviceAccount");
  }
  const environment = parsed.data;
  const target: Attachment = {
    namespace: environment.TKC_REGISTRY_NAMESPACE,
    serviceAccount: environment.TKC_REGISTRY_SERVICE_ACCOUNT,
    pullSecret: environment.TKC_REGISTRY_PULL_SECRET,
  };
  const previous = parseState(process.env.PULUMI_COMMAND_STDOUT);
  const open = namedContexts();
  const cluster = () => open(environment.TKC_REGISTRY_CLUSTER_CONTEXT);
  const recorded = readRecordedCluster(process.env);
  // States of releases that did not record the cluster go by the context's name.
  const standing = recorded && (await proveCluster(cluster, ({ supervisor }) => open(supervisor), recorded));
  if (standing === "gone") {
    if (verb === "detach") {
      process.stdout.write("the cluster is gone: nothing to remove\n");
      return;
    }
    throw vsphereProblem.error("cluster-gone", {
      subject: `cluster ${recorded!.namespace}/${recorded!.name}`,
      seen: "the Supervisor says that it is gone",
    });
  }
  const api = accountsOf(await cluster());
  if (verb === "attach") {
    process.stdout.write(formatState(await attach(target, previous, { api, waitSeconds: 60 })));
  } else {
    process.stdout.write(`${await detach(target, previous, api)}\n`);
  }
}
