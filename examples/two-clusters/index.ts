import * as pulumi from "@pulumi/pulumi";
import * as tkc from "tkc-registry";

interface Cluster extends tkc.ClusterArgs {
  /** How its nodes are reached. */
  readonly access?: "jumpbox" | "direct";
}

const config = new pulumi.Config();
const registries: tkc.RegistryArgs[] = [
  {
    host: config.require("registry"),
    ca: { from: "file", path: config.require("caFile") },
    credentials: { from: "none" },
  },
];

// Both are checked and done at once. Each has an id of its own, by which its nodes and objects are known.
const clusters = config
  .requireObject<Cluster[]>("clusters")
  .map(
    ({ access = "jumpbox", ...cluster }) =>
      new tkc.RegistryTrust(cluster.name, { cluster, registries, access }),
  );

export const nodes = pulumi
  .all(clusters.map((trust) => trust.nodes))
  .apply((all) => all.flat().map(({ name, role, skipped }) => ({ name, role, skipped: skipped ?? false })));
