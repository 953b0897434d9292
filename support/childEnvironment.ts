/** Variables that hold secrets of ours, or of the engine's, and that none of the programs that we start has a use for. */
const secrets =
  /^(?:PULUMI_CONFIG(?:_SECRET_KEYS|_PASSPHRASE(?:_FILE)?)?|PULUMI_ACCESS_TOKEN|TKC_REGISTRY_VCENTER_PASSWORD)$/;

/**
 * The environment for a program that we start (a kubeconfig's credential plugin, docker's credential helper): ours,
 * without the stack's configuration, which holds `passwords` in clear, its passphrase, and what logs in elsewhere.
 */
export function childEnvironment(environment: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !secrets.test(name)));
}
