import * as pulumi from "@pulumi/pulumi";
import * as tkc from "tkc-registry";

const config = new pulumi.Config();
const host = config.require("registry"); // with its port, as image names have it: registry.example.com:8443
const trust = new tkc.RegistryTrust("prod", {
  cluster: { namespace: config.require("namespace"), name: config.require("cluster") },
  registries: [
    {
      host,
      kind: "generic",
      // While the CA is rotated, the file holds the old and the new certificate: nodes trust both.
      ca: { from: "file", path: config.require("caFile") },
      credentials: { username: config.require("user"), password: config.requireSecret("password") },
    },
  ],
  // Where nodes have containerd's folder for registries, no restart is needed.
  trust: "auto",
});

// Every pod of these namespaces pulls with it, without naming it.
const pullSecret = new tkc.PullSecret("pull", {
  trust,
  namespaces: config.requireObject<string[]>("namespaces"),
  defaultServiceAccount: true,
});

export const { nodes, registries } = trust;
export const { secretName } = pullSecret;
