/**
 * The environment of child processes.
 * It never has a secret of this program or of the engine.
 */

/** Variables with secrets. No child process needs them. */
const secrets =
  /^(?:PULUMI_CONFIG(?:_SECRET_KEYS|_PASSPHRASE(?:_FILE)?)?|PULUMI_ACCESS_TOKEN|TKC_REGISTRY_VCENTER_PASSWORD)$/;

/**
 * The environment for a child process, such as a credential plugin or helper: this process's own without the stack's
 * configuration (`passwords` in clear), its passphrase and access tokens.
 */
export function childEnvironment(environment: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !secrets.test(name)));
}
