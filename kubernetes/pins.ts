/**
 * Host keys on Node objects, one annotation for each stack: every path that lists nodes reads them, also where the state
 * has no report of the node.
 */
import type { KubeContext } from "./client";

const annotation = "tkc-registry/host-key.";
const fingerprint = /^SHA256:[A-Za-z0-9+/]{43}$/;

/** The host keys among a Node's annotations, by the stack's id. */
export function pinsOf(annotations: Readonly<Record<string, string>> = {}): Record<string, string> {
  return Object.fromEntries(
    Object.entries(annotations).flatMap(([name, value]) =>
      name.startsWith(annotation) && fingerprint.test(value) ? [[name.slice(annotation.length), value]] : [],
    ),
  );
}

/**
 * Notes the host key on the Node object, or takes it off. Nothing else of the object is sent, and a Node of another UID
 * is refused by the API server.
 *
 * @param stack - The stack's id.
 * @throws UserError as for any request.
 */
export async function writePin(
  cluster: KubeContext,
  { name, uid }: { readonly name: string; readonly uid: string },
  stack: string,
  hostKey: string | undefined,
): Promise<void> {
  const { setHeaderOptions } = await import("./kubernetesClient.js");
  const body = { metadata: { uid, annotations: { [`${annotation}${stack}`]: hostKey ?? null } } };
  const merge = setHeaderOptions("Content-Type", "application/merge-patch+json");
  await cluster.request({ verb: "patch", resource: "nodes", name }, () =>
    cluster.core.patchNode({ name, body }, merge),
  );
}
