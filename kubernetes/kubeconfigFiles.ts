import { homedir } from "node:os";
import * as path from "node:path";

/** The files that kubectl reads, in its order of precedence: those of `KUBECONFIG`, or else `~/.kube/config`. */
export function kubeconfigFiles(
  environment: NodeJS.ProcessEnv = process.env,
): readonly [string, ...string[]] {
  const [first, ...rest] = (environment.KUBECONFIG ?? "").split(path.delimiter).filter((file) => file !== "");
  return first === undefined ? [path.join(homedir(), ".kube", "config")] : [first, ...rest];
}
