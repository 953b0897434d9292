/** Settings of stacks on the lab, and files that they point to. */
import * as path from "node:path";
import { replaceFile } from "./wholeFiles";
import * as lab from "./lab";
import { runFolder } from "./paths";

/** Writes a file into the lab's own folder, gone with the lab. */
export function labFile(name: string, content: string): string {
  const file = path.join(runFolder, "files", name);
  replaceFile(file, content);
  return file;
}

/** docker's config.json as `docker login` leaves it, with another registry's entry beside Harbor's. */
export function dockerConfigFile(): string {
  const { harbor } = lab.registries();
  const auth = Buffer.from(`${harbor.user}:${harbor.password}`).toString("base64");
  const other = Buffer.from("somebody:something").toString("base64");
  return labFile(
    "docker-config.json",
    JSON.stringify({ auths: { [harbor.host]: { auth }, "registry.other.example": { auth: other } } }),
  );
}

/** The settings of the manual procedure's own example: Harbor, its CA by `getcert`, credentials from docker. */
export function harborSettings(more: Record<string, unknown> = {}): Record<string, unknown> {
  const { harbor } = lab.registries();
  return {
    namespace: "ns1",
    cluster: "tkc-cluster-1",
    registries: [
      {
        host: harbor.host,
        ca: { from: "harbor", sha256: harbor.caSha256 },
        credentials: { from: "dockerConfig", path: dockerConfigFile() },
      },
    ],
    ...more,
  };
}

/**
 * Settings with three mistakes of different kinds: a fingerprint that isn't that of Harbor's CA, a wrong password of the
 * other registry, and a namespace that isn't there.
 */
export function mistakenSettings(): Record<string, unknown> {
  const { harbor, custom } = lab.registries();
  const auth = Buffer.from(`${custom.user}:mistyped`).toString("base64");
  const path = labFile("mistyped-docker-config.json", JSON.stringify({ auths: { [custom.host]: { auth } } }));
  return harborSettings({
    registries: [
      {
        host: harbor.host,
        ca: { from: "harbor", sha256: custom.caSha256 },
        credentials: { from: "dockerConfig", path: dockerConfigFile() },
      },
      {
        host: custom.host,
        kind: "generic",
        ca: { from: "file", path: custom.caFile },
        credentials: { from: "dockerConfig", path },
      },
    ],
    pullSecret: { namespaces: ["default", "no-such-team"] },
  });
}

/** A manifest file of a pod that Pod Security `restricted` takes, with an image from the registry. */
export function podFromRegistry(name: string, image: string): string {
  return labFile(
    `${name}.json`,
    JSON.stringify({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name, namespace: "default" },
      spec: {
        securityContext: { runAsNonRoot: true, runAsUser: 101, seccompProfile: { type: "RuntimeDefault" } },
        containers: [
          {
            name: "c",
            image,
            securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
          },
        ],
      },
    }),
  );
}
