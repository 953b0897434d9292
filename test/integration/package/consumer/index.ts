/** A program of somebody else's, who has only what was packed. The tests compile it, and bring it up on the lab. */
import * as pulumi from "@pulumi/pulumi";
import * as tkc from "tkc-registry";

const config = new pulumi.Config();
const host = config.require("host");

const trust = new tkc.RegistryTrust("consumer", {
  cluster: { namespace: "ns1", name: "tkc-cluster-1" },
  registries: [
    {
      host,
      ca: { from: "harbor", sha256: config.require("caSha256") },
      credentials: { username: config.require("user"), password: config.requireSecret("password") },
    },
  ],
});
const pullSecret = new tkc.PullSecret("consumer", { trust, namespaces: ["default"] });
const web = new tkc.RegistryDeployment("consumer", { trust, pullSecret, image: config.require("image") });

export const nodes: pulumi.Output<readonly tkc.NodeTrust[]> = trust.nodes;
export const secretName: pulumi.Output<string> = pullSecret.secretName;
export const image: pulumi.Output<string> = web.image;
