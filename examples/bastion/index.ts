import * as pulumi from "@pulumi/pulumi";
import * as tkc from "tkc-registry";

const config = new pulumi.Config();
const trust = new tkc.RegistryTrust("prod", {
  cluster: { namespace: config.require("namespace"), name: config.require("cluster") },
  registries: [
    {
      host: config.require("registry"),
      ca: { from: "harbor", sha256: config.require("caSha256") },
      credentials: { from: "none" }, // a public project: nodes trust it, and no pull secret is needed
    },
  ],
  access: "bastion",
  bastion: {
    host: config.require("bastion"),
    port: config.getNumber("bastionPort") ?? 22,
    user: config.require("bastionUser"),
    hostKey: config.require("bastionHostKey"), // ssh-keyscan BASTION | ssh-keygen -lf -
    sshKeyFile: config.require("bastionKeyFile"),
  },
  nodes: {
    // A node that is not here is accepted at its first contact, and must show the same key from then on.
    hostKeys: config.getObject<Record<string, string>>("hostKeys") ?? {},
    workersAtOnce: 4,
  },
  // One node that is down for repair does not stop the others; the next run does it.
  unreachableNodes: "skip",
});

export const { nodes } = trust;
