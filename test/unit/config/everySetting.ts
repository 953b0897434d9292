/** A fingerprint, and a host key. */
export const sha256 = "ab".repeat(32);
export const hostKey = `SHA256:${"A".repeat(43)}`;

/** Every setting there is, as it may be. */
export const everySetting = {
  namespace: "ns1",
  cluster: "tkc-cluster-1",
  supervisorContext: "ns1@supervisor",
  clusterContext: "tkc-cluster-1",
  access: "bastion",
  bastion: { host: "bastion.example.com", port: 2222, user: "me", hostKey, sshKeyFile: "~/.ssh/id" },
  unreachableNodes: "skip",
  trust: "auto",
  restartOnRemoval: false,
  jumpbox: {
    ...{ name: "box", image: `registry.example.com/tools/ubuntu@sha256:${sha256}` },
    ...{ pullSecret: "mirror", install: false },
  },
  nodes: {
    ...{ user: "root", sshKeyFile: "key", hostKeys: { "node-1": hostKey }, workersAtOnce: 2 },
    ...{ inspect: false, readyTimeoutSeconds: 60 },
    ...{ select: "pool in (a,b)", exclude: "kubernetes.io/os=windows" },
  },
  rollout: {
    waves: ["pool=a", { select: "pool=b", workersAtOnce: 1, pauseSeconds: 60 }],
    pauseSeconds: 10,
    canary: { image: "a.example.com/x/canary:1" },
  },
  registries: [
    { host: "a.example.com", ca: { from: "file", path: "ca.pem" }, credentials: { from: "dockerConfig" } },
    {
      host: "10.0.0.1:8443",
      kind: "generic",
      ca: { from: "chain", sha256 },
      credentials: { from: "password", username: "robot$a+b" },
    },
    {
      host: "[fd00::1]:5000",
      ca: { from: "inline", pem: "-----BEGIN", sha256 },
      credentials: { from: "none" },
      requireReachable: false,
    },
  ],
  passwords: { "10.0.0.1:8443": "hunter2-in-settings" },
  pullSecret: { name: "a.b", namespaces: ["web"], defaultServiceAccount: true },
  deployment: {
    ...{ enabled: true, name: "d", namespace: "web", app: "a", image: "a.example.com/x/y:1", replicas: 2 },
    pinDigest: true,
    ...{ command: ["/bin/sh"], args: ["-c", "exec x"], port: 8080, probe: "none", runAsUser: 1000 },
    ...{ writablePaths: ["/tmp"], env: { A: "b" }, timeoutSeconds: 60 },
    resources: { requests: { cpu: "1" }, limits: { memory: "1Gi" } },
  },
  adopt: true,
  deleteAdopted: true,
};
