/** A stack's settings as the file that Pulumi reads, with a comment to each. */
import { Document, isMap, isScalar, parseDocument, visit } from "yaml";
import { wrap } from "./layout";

const introduction = `A stack of the lab. docs/settings.md lists every setting; \`npm run lab -- pulumi config\` shows these.
What you change here stays until \`npm run lab\` runs the demonstration again, which writes it anew.`;

/** What each setting is for, by its path without the project's namespace. */
const explanations: Readonly<Record<string, string>> = {
  namespace: "The Supervisor namespace that holds the cluster.",
  cluster: "The Tanzu Kubernetes cluster whose nodes are to trust the registries.",
  supervisorContext:
    "The kubeconfig's context for the Supervisor, where it is not named as the namespace is.",
  clusterContext: "The kubeconfig's context for the cluster, where it is not named as the cluster is.",
  access: "How nodes are reached: jumpbox, bastion or direct.",
  bastion: "The Linux machine that forwards SSH to the nodes.",
  unreachableNodes: "What becomes of a node that can't be reached: fail, or skip it and name it.",
  trust:
    "How nodes trust a registry: system (the trust store), certs.d (containerd's folder for it) or auto.",
  restartOnRemoval: "Whether containerd is restarted once the CA is gone, so that it drops it too.",
  jumpbox: "The pod on the Supervisor by which the nodes are reached.",
  nodes: "Which nodes are meant, how they are logged in to, and how many at once.",
  rollout: "In which order nodes are done.",
  registries: "The private registries.",
  "registries[].host": "As in image names: host, or host:port where it is not 443.",
  "registries[].kind": "harbor, or generic for any other.",
  "registries[].ca":
    "Where its CA comes from: harbor (its getcert), chain (what it serves), file or inline. What comes over the network must have this SHA-256.",
  "registries[].credentials":
    "What the nodes pull with: dockerConfig (what `docker login` left in the file), password or none.",
  passwords: "By registry; secret: `pulumi config set --secret --path 'passwords[\"HOST\"]'`.",
  pullSecret: "The Secret with the registries' credentials, and where it is made.",
  deployment: "What runs from the registry.",
  adopt: "Whether a jumpbox, a pull secret and a Deployment that are there already are taken over.",
  deleteAdopted: "Whether `destroy` also deletes what was taken over.",
};

const comment = (text: string, depth: number): string =>
  wrap(text, " ".repeat(2 * depth + 2), "")
    .map((line) => ` ${line.trim()}`)
    .join("\n");

/**
 * A settings file with these settings in place of those that it has; what else is in it stays, such as the salt of the
 * stack's encryption. Names are without the project's namespace.
 */
export function settingsText(existing: string, settings: Readonly<Record<string, unknown>>): string {
  const { encryptionsalt } = (parseDocument(existing).toJS() ?? {}) as { encryptionsalt?: string };
  const config = Object.fromEntries(
    Object.entries(settings).map(([key, value]) => [`tkc-registry:${key}`, value]),
  );
  const content = { ...(encryptionsalt === undefined ? {} : { encryptionsalt }), config };
  // Pulumi's own reader takes YAML 1.1's words too, such as `yes`.
  const document = new Document(content, { compat: "yaml-1.1", aliasDuplicateObjects: false });
  document.commentBefore = comment(introduction, 0);
  const explained = new Set<string>(); // a second registry is like the first
  visit(document, {
    Pair(_, { key }, ancestors) {
      if (!isScalar<string>(key)) return;
      const keys = ancestors.flatMap((each) =>
        isMap(each) ? [] : "items" in each ? ["[]"] : "key" in each ? [String(each.key)] : [],
      );
      if (keys.length === 0) {
        if (key.value === "encryptionsalt")
          key.commentBefore = comment(
            "Pulumi's own: what the passphrase is combined with to encrypt secrets.",
            0,
          );
        return;
      }
      const place = [...keys.slice(1), key.value].join(".").replaceAll(".[]", "[]");
      const explanation = explanations[place.replace(/^tkc-registry:/, "")];
      if (explanation === undefined || explained.has(place)) return;
      explained.add(place);
      key.commentBefore = comment(explanation, keys.length);
    },
  });
  return document.toString({ lineWidth: 0 });
}
