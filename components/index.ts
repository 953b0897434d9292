/** What other programs import: `import * as tkc from "tkc-registry"`. */
export type { TrustMode, UnreachablePolicy } from "../nodes/protocol/spec";
export { PullSecret, type PullSecretArgs } from "./pullSecret";
export { RegistryDeployment, type RegistryDeploymentArgs } from "./registryDeployment";
export {
  RegistryTrust,
  type BastionArgs,
  type CaArgs,
  type ClusterArgs,
  type CredentialsArgs,
  type NodesArgs,
  type RegistryArgs,
  type RegistryTrustArgs,
  type TrustedRegistry,
} from "./registryTrust";
export type { StackOutputs } from "./stackOutputs";
export type { NodeTrust } from "./trustedNode";
