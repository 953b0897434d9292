import * as pulumi from "@pulumi/pulumi";
import * as tkc from "tkc-registry";

const config = new pulumi.Config();
const host = config.require("registry");
const trust = new tkc.RegistryTrust("prod", {
  cluster: { namespace: config.require("namespace"), name: config.require("cluster") },
  registries: [
    {
      host,
      ca: { from: "harbor", sha256: config.require("caSha256") },
      credentials: { username: config.require("user"), password: config.requireSecret("password") },
    },
  ],
});
const pullSecret = new tkc.PullSecret("pull", { trust });
const web = new tkc.RegistryDeployment("web", {
  trust,
  pullSecret,
  image: `${host}/${config.require("image")}`,
});

export const { nodes } = trust;
export const { image } = web;
