import * as pulumi from "@pulumi/pulumi";
import * as tkc from "tkc-registry";

const config = new pulumi.Config();
const host = config.require("registry");

// Without `adopt`, an object that somebody else made is refused. What is adopted outlives the stack, unless
// `deleteAdopted` says otherwise.
const adopt = true;
const trust = new tkc.RegistryTrust("prod", {
  cluster: { namespace: config.require("namespace"), name: config.require("cluster") },
  registries: [{ host, ca: { from: "harbor", sha256: config.require("caSha256") } }], // login: docker's config
  jumpbox: { name: "jumpbox-ubuntu" }, // the pod that people log in to; it is used as it is
  adopt,
});
// Logins of other registries that the Secret has stay in it.
const pullSecret = new tkc.PullSecret("pull", { trust, name: "harbor-svc-pull-secret", adopt });
new tkc.RegistryDeployment("web", {
  ...{ trust, pullSecret, adopt },
  image: `${host}/${config.require("image")}`,
  name: "tkc-nginx-harbor-svc-deployment",
  app: "nginx-harbor-svc-app", // its selector and its container's name, which must be one
});
