export type { ClusterNode } from "../cluster/types";
export type { Access, NodeTarget, SshKeySource, TrustedCertificate } from "../nodes/spec";
export type { CaCertificate, TrustedCa } from "../registry/types";
export * from "./jumpbox";
export * from "./podTemplate";
export * from "./pullSecret";
export * from "./registryDeployment";
export * from "./trustedNode";
export * from "./trustedNodes";
