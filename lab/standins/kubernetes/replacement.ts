import type { Step } from "../rpc/diff";
import { plain, type Properties } from "../rpc/values";
import type { Config } from "./kubectl";

/** What of a running pod's spec may change. */
const mutableInPods = ["activeDeadlineSeconds", "tolerations"];

/** Tells the changes that the API server refuses on an existing object, so that it must be made anew. */
export function forcesReplacement(object: Properties, config: Config): (path: readonly Step[]) => boolean {
  const { kind, immutable } = plain(object) as { kind?: string; immutable?: boolean };
  return ([first, second]) => {
    if (first === "apiVersion" || first === "kind") return true;
    if (first === "metadata") return second === "name" || second === "namespace";
    switch (kind) {
      case "Pod":
        return first === "spec" && !mutableInPods.includes(String(second));
      case "Deployment":
      case "DaemonSet":
      case "StatefulSet":
        return first === "spec" && second === "selector";
      case "Secret":
        if (first === "type") return true;
        return (
          (first === "data" || first === "stringData") && (!config.enableSecretMutable || immutable === true)
        );
      case "ConfigMap":
        return (
          (first === "data" || first === "binaryData") &&
          (!config.enableConfigMapMutable || immutable === true)
        );
      case "RoleBinding":
      case "ClusterRoleBinding":
        return first === "roleRef";
      default:
        return false;
    }
  };
}
