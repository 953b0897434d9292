/** Whether the nodes are as a client was to make them: judged by what is on them, never by what the client says. */
import type { Fleet, FleetEvent } from "../fleet";

/** The nodes that lack the CA's exact bytes, or a restart of containerd that read them. */
export async function untrustingNodes(fleet: Fleet, caFileSha256: string): Promise<string[]> {
  const [files, events] = await Promise.all([fleet.addedFiles(), fleet.events()]);
  return fleet.nodes
    .map(({ name }) => name)
    .filter((name) => {
      const own = events.filter(({ node }) => node === name);
      return !(files.get(name) ?? []).includes(caFileSha256) || !hasLoaded(own, caFileSha256);
    });
}

/** Whether the CA's file is in what containerd read when it was last started, judged by one node's events. */
export function hasLoaded(events: readonly FleetEvent[], caFileSha256: string): boolean {
  let inBundle = false;
  let loaded = false;
  for (const { kind, seen } of events) {
    inBundle = seen.includes(caFileSha256);
    if (kind === "restart") loaded = inBundle;
  }
  return inBundle && loaded;
}

/** The nodes that still hold a certificate file beside the image's. */
export async function nodesNotClean(fleet: Fleet): Promise<string[]> {
  return [...(await fleet.addedFiles()).keys()];
}
