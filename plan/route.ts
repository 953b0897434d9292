/** The route to the nodes: by which hop, as which user, with which key. */
import type { TrustSettings } from "../config/settings";
import { type Access, type NodeConnection, type SshKeySource, defaults } from "../nodes/protocol/spec";
import type { Transport } from "../nodes/routes/transport";
import { transportFor } from "../nodes/routes/transportFor";
import type { ClusterProof } from "../vsphere/cluster";

/** Where the SSH key is: in a file, or in the Supervisor's secret of the cluster. */
export function sshKeySource(settings: TrustSettings): SshKeySource {
  const { nodes, supervisorContext: context, namespace, cluster } = settings;
  return nodes.sshKeyFile === undefined
    ? { from: "supervisor", context, namespace, cluster }
    : { from: "file", path: nodes.sshKeyFile };
}

/** How nodes are reached. */
export function accessOf(settings: TrustSettings, container: string): Access {
  const { access, bastion, supervisorContext: context, namespace, jumpbox } = settings;
  switch (access) {
    case "direct":
      return { kind: "direct" };
    case "bastion": {
      const { host, port, user, hostKey, sshKeyFile } = bastion!;
      return { kind: "bastion", host, port, user, hostKey, ...(sshKeyFile ? { keyFile: sshKeyFile } : {}) };
    }
    case "jumpbox":
      return { kind: "jumpbox", context, namespace, pod: jumpbox.name, container };
  }
}

/** Opens the bastion, which exists before the stack does. */
export async function openBastion(settings: TrustSettings): Promise<Transport | undefined> {
  if (settings.access !== "bastion") return undefined;
  const transport = transportFor(accessOf(settings, ""));
  await transport.check?.();
  return transport;
}

/**
 * The connection to all nodes, as the state records it.
 *
 * @param proof - What proves the cluster to later commands.
 */
export function nodeConnection(settings: TrustSettings, access: Access, proof: ClusterProof): NodeConnection {
  const { supervisorContext: supervisor, namespace, cluster: name } = settings;
  return {
    ...{ port: defaults.port, user: settings.nodes.user, access, sshKey: sshKeySource(settings) },
    clusterContext: settings.clusterContext,
    cluster: { supervisor, namespace, name, ...proof },
  };
}
