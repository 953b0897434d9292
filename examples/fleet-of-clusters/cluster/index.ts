import * as pulumi from "@pulumi/pulumi";
import * as tkc from "tkc-registry";

const config = new pulumi.Config();
const trust = new tkc.RegistryTrust("fleet", {
  cluster: config.requireObject<tkc.ClusterArgs>("cluster"),
  registries: config.requireObject<tkc.RegistryArgs[]>("registries"),
  access: config.get("access") === "direct" ? "direct" : "jumpbox",
});

export const { nodes } = trust;
