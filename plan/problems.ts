/** What keeps a run from being planned. */
import { defineProblems } from "../support/errors";

const thenAgain =
  "Then run again: the same node goes first. No other node was touched; `destroy` takes out what this one has";

export const planProblem = defineProblems("Objects of the stack", {
  "object-exists": {
    cause:
      "The name is taken, by the manual procedure or another tool; what is not the stack's own is not overwritten.",
    remedy: (setting: string) => `Set \`adopt: true\` to take it over, or another name with ${setting}`,
    examples: [
      [
        "secret ‹namespace›/‹name›",
        "it is there already, and this stack did not make it",
        "`pullSecret.name`",
      ],
    ],
  },
  "object-of-another-stack": {
    cause:
      "Two stacks have the same name for an object: also two clones, backends or organizations with a stack of one name. Or the stack that made it has lost its state.",
    remedy: (setting: string, unlabel: string) =>
      `Set another name with ${setting}. Where no stack has that id any more, as its state is lost, delete the object, or take it over: run \`${unlabel}\`, and set \`adopt: true\``,
    examples: [
      [
        "secret ‹namespace›/‹name›",
        "it belongs to the stack ‹stack› (id ‹id›)",
        "`pullSecret.name`",
        "kubectl --context ‹context› -n ‹namespace› label secret ‹name› tkc-registry/stack- tkc-registry/id-",
      ],
    ],
  },
  "object-gone": {
    cause:
      "Somebody deleted it. Pulumi goes by its state, and makes nothing again whose settings have not changed.",
    remedy: "Run `pulumi up --refresh`, which sees what is gone and makes it again",
    examples: [["Secret ‹namespace›/‹name›", "the stack made it, and it is gone"]],
  },
  "cluster-recreated": {
    cause: "A cluster of the same name was made in place of the one that the state knows.",
    remedy: "Run `pulumi up --refresh`, which sees what is gone and makes it again",
    examples: [
      [
        "cluster ‹name›",
        "it was created anew since the last run: none of its nodes of then (‹number›) is there, nor is ‹missing›",
      ],
    ],
  },
  "adopted-secret-type": {
    cause:
      "A Secret's type never changes, nor does the content of an immutable one: no update makes a pull secret of it.",
    remedy: (setting: string) => `Set another name with ${setting}`,
    examples: [
      [
        "secret ‹namespace›/‹name›",
        "it is of the type Opaque, not kubernetes.io/dockerconfigjson",
        "`pullSecret.name`",
      ],
      [
        "secret ‹namespace›/‹name›",
        "it is immutable: true, so that nobody can put a login into it",
        "`pullSecret.name`",
      ],
    ],
  },
  "adopted-deployment-differs": {
    cause: "A Deployment's selector is fixed, and a container of another name would stay beside ours.",
    remedy: (app: string, name: string) =>
      `Set \`${app}\` to its label and container name if they are the same, or another \`${name}\``,
    examples: [
      [
        "deployment ‹namespace›/‹name›",
        "it is to be adopted, but selects ‹selector› and has the containers ‹containers›; ours selects app=‹app› and has the container ‹app›",
        "deployment.app",
        "deployment.name",
      ],
    ],
  },
  "object-being-deleted": {
    cause:
      "Somebody deleted the object, and a finalizer keeps it for now: what is changed in it would go with it.",
    remedy:
      "Wait until it is gone, or see which finalizer it waits for (`metadata.finalizers`), then run again",
    examples: [["secret ‹namespace›/‹name›", "it is being deleted"]],
  },
  "jumpbox-refused": {
    cause:
      "The Supervisor would not make the jumpbox pod. One with VDS networking runs no pods of users at all; there the way in is a Linux machine.",
    remedy:
      "Set `access: bastion` with a Linux machine that reaches the nodes (`bastion`), or `access: direct`; or have the namespace allow the pod",
    examples: [["access", "namespace ‹namespace› would refuse the pod: ‹message›"]],
  },
  "jumpbox-pull-secret": {
    cause:
      "The jumpbox pod's image cannot be pulled with the Secret that the settings name. The stack makes none on the Supervisor.",
    remedy: (command: string) => `Make one with the login (${command}), or name another`,
    examples: [
      [
        "jumpbox.pullSecret",
        "secret ‹namespace›/‹name› has no login for ‹host›",
        "kubectl --context ‹context› -n ‹namespace› create secret docker-registry ‹name› --docker-server=‹host› …",
      ],
    ],
  },
  "jumpbox-not-running": {
    cause: "The pod was evicted, its node went away, or its image cannot be pulled.",
    remedy: (command: string) => `Delete it, so that the stack makes another: ${command}, then run again`,
    examples: [
      [
        "pod ‹namespace›/‹name›",
        "it is in phase ‹phase›",
        "kubectl --context ‹context› -n ‹namespace› delete pod ‹name›",
      ],
    ],
  },
  "jumpbox-replaced": {
    cause:
      "Pulumi deletes by name: left out of the stack, the pod that the state has would take the one along that somebody made under its name.",
    remedy: (command: string) =>
      `Delete it, so that the stack makes its own again: ${command}, then run again`,
    examples: [
      [
        "pod ‹namespace›/‹name›",
        "somebody made it in place of the stack's own",
        "kubectl --context ‹context› -n ‹namespace› delete pod ‹name›",
      ],
    ],
  },
  "image-digest-unknown": {
    cause:
      "`pinDigest` deploys what the tag means now, which only the registry knows, and it is not reached from here or does not say.",
    remedy: (image: string) =>
      `Run where the registry is reached, or write the digest into \`deployment.image\` (${image}@sha256:…)`,
    examples: [["deployment.pinDigest", "the digest of ‹image› can't be found out from here", "‹image›"]],
  },
  "canary-failed": {
    cause:
      "The first node has the CA, and a containerd that has loaded it, and yet does not pull: nor would the others.",
    remedy: {
      authority: (host: string) =>
        `The certificate that the node is shown is of another CA than ${host} shows here: see whether a proxy is in between, or the name means another machine there. ${thenAgain}`,
      certificate: (host: string) => `Have the certificate of ${host} put right. ${thenAgain}`,
      login: (host: string) => `Give credentials for ${host} by which this image may be pulled. ${thenAgain}`,
      absent: (host: string) => `Push the image to ${host}, or correct its name. ${thenAgain}`,
      unreached: (host: string) =>
        `Give the nodes a way to ${host}: name, route, and the proxy of their containerd; in place of an image that only takes long, name a smaller one with \`rollout.canary.image\`. ${thenAgain}`,
      other: (host: string) => `Look at what it says of ${host}. ${thenAgain}`,
    },
    examples: (["authority", "certificate", "login", "absent", "unreached", "other"] as const).map(
      (fault) => ["node ‹name›", "the canary could not pull ‹image›: ‹message›", fault, "‹host›"] as const,
    ),
  },
  "canary-rights": {
    cause:
      "The first node is to prove that it pulls, by a pod that is deleted again, and a Secret with its login; the user of the context may not make these.",
    remedy: (setting: string) =>
      `Have these rights given, or use a context of a user who has them; or do without that proof: \`${setting}: false\``,
    examples: [["context ‹name›", "the user may not ‹rights›", "rollout.canary"]],
  },
  "too-many-certificates": {
    cause:
      "What a command reports of a node is kept in the state, and bounded: a CA file of many certificates exceeds it.",
    remedy: (limit: number) => `Give at most ${limit} in all; pin one of each file with \`ca.sha256\``,
    examples: [["registries", "their CAs are 30 certificates", 24]],
  },
});
