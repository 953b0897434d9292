/** What other programs import: `import * as tkc from "tkc-registry"`. */
export type { TrustMode, UnreachablePolicy } from "../nodes/protocol/spec";
export { PullSecret, type PullSecretArgs } from "./pullSecret";
export { RegistryDeployment, type RegistryDeploymentArgs, type ResourcesArgs } from "./registryDeployment";
export { RegistryTrust } from "./registryTrust";
export type * from "./registryTrustArgs";
export type { StackOutputs } from "./stackOutputs";
export type { NodeTrust } from "./trustedNode";
