/** What the commands find wrong, from their arguments to what is true on nodes. */
import { type RemedyOf, defineProblems } from "../support/errors";

export const cliProblem = defineProblems("Commands: `npm run ca`, `npm run login`, `npm run verify`", {
  "bad-arguments": {
    cause: "A command was given options that it does not take, or not all that it needs.",
    remedy: {
      help: (command: string) => `See \`npm run ${command} -- --help\``,
      noRegistry: "Give the registry: `npm run ca -- HOST[:PORT]`",
      oneRegistry: "Give one registry",
      noUser: "Give the vCenter user, such as administrator@vsphere.local",
      noPassword: "Give the vCenter user's password",
      passwordOption:
        "Set TKC_REGISTRY_VCENTER_PASSWORD, or leave it out to be asked; change a password that was typed this way",
      server: "Give the Supervisor's `host` or `host:port`, without https://",
      noTerminal: (variable: string) => `Set ${variable} in the environment`,
      noAnswer: "Log in again",
      name: 'Names are lower-case letters, digits and "-"',
      namespaceName:
        "Log in to such a cluster by `kubectl vsphere login`, and name its contexts in the settings",
      twoTrusts: "Give one of the two",
      noImage: "Give one with --image",
      otherImage: (hosts: readonly string[]) => `Give an image of ${hosts.join(" or ")}`,
    },
    examples: [
      ["--cluster", "it is missing", "help", "login"],
      ["--cluster", '"‹value›" is not a Kubernetes name', "name"],
      [
        "--cluster",
        "it is the namespace's name too, so that both contexts would have one name",
        "namespaceName",
      ],
      ["HOST", "it is missing", "noRegistry"],
      [
        "--password",
        "passwords are not taken as arguments, where other users and the shell's history see them",
        "passwordOption",
      ],
      [
        "TKC_REGISTRY_VCENTER_PASSWORD",
        "it is not set, and there is no terminal to ask at",
        "noTerminal",
        "TKC_REGISTRY_VCENTER_PASSWORD",
      ],
      ["--image", '"‹image›" is of none of the stack\'s registries', "otherImage", ["‹registry›"]],
    ],
  },
  "ca-not-served": {
    cause:
      "A registry need not serve the root of its chain, and Harbor's administrator need not have put it where `getcert` finds it.",
    remedy: "Ask its administrator for that CA, and give it with `from: file` or `inline`",
    examples: [
      [
        "‹registry›",
        "it does not serve the CA that issued its certificate, and offers none that did: ‹issuer›",
      ],
    ],
  },
  "stack-missing": {
    cause: "Pulumi knows no stack of this name in this folder, and where it is logged in to.",
    remedy: "Name a stack that is there (`pulumi stack ls`)",
    examples: [["stack ‹name›", "pulumi said: ‹said›"]],
  },
  "passphrase-missing": {
    cause: "The stack's secrets are encrypted by a passphrase, without which Pulumi does not open its state.",
    remedy: "Set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE, as for `pulumi up`",
    examples: [["stack ‹name›", "pulumi said: ‹said›"]],
  },
  "pulumi-login": {
    cause: "Pulumi has to be logged in to where the stack's state is kept.",
    remedy: "Log in to where the stack's state is (`pulumi login`), as for `pulumi up`",
    examples: [["stack ‹name›", "pulumi said: ‹said›"]],
  },
  "pulumi-missing": {
    cause: "The state is read by Pulumi's own program, which is not installed here.",
    remedy: "Install the Pulumi CLI",
    examples: [["pulumi", "it is not on PATH"]],
  },
  "export-failed": {
    cause: "Pulumi failed with words that stand for nothing better known.",
    remedy: {
      refused: "Run `pulumi stack export` by hand to see more",
      notJson: "Run it by hand to see more",
    },
    examples: [
      ["stack ‹name›", "pulumi said: ‹message›", "refused"],
      ["stack ‹name›", "what `pulumi stack export` printed is not JSON", "notJson"],
    ],
  },
  interrupted: {
    cause: "It was told to end.",
    remedy: "Run it again",
    examples: [["verify", "it was ended by ‹signal›"]],
  },
  "ca-expires": {
    cause: "A CA is valid until a date that is near.",
    remedy: "Give the stack the registry's present CA, then run `pulumi up`",
    examples: [
      ["registry ‹host›", "its CA certificate ‹subject› expires in ‹days left› day(s), at ‹not after›"],
    ],
  },
  "ca-expiry-unknown": {
    cause: "What the stack knows of its CAs is written at a run's end.",
    remedy: "Run `pulumi up`",
    examples: [
      [
        "registry ‹host›",
        "the state does not know when the certificate ‹sha256›… expires: the last run did not come to its end",
      ],
    ],
  },
  "ca-file-missing": {
    cause: "Somebody deleted or changed the file on the node, or a run did not come to its end.",
    remedy: "Run `pulumi up`, which puts it right",
    examples: [["node ‹name›", "the CA file of ‹host› is missing, or not what it was"]],
  },
  "ca-not-read": {
    cause:
      "Somebody rebuilt the trust store without the file, or set up containerd's folders in another way.",
    remedy: "Run `pulumi up`, which puts it right",
    examples: [["node ‹name›", "the CA of ‹host› is in place, but not in the folder that containerd reads"]],
  },
  "containerd-not-restarted": {
    cause:
      "containerd reads certificates once, at its start; a run was cut off before it restarted it, or containerd is down.",
    remedy: "Run `pulumi up`, which restarts it",
    examples: [
      ["node ‹name›", "containerd has not been started since the CA was last changed, or does not run"],
    ],
  },
  "node-not-in-stack": {
    cause: "The node joined the cluster after the last run.",
    remedy: "Run `pulumi up`",
    examples: [["node ‹name›", "it is not in the stack"]],
  },
  "node-replaced": {
    cause: "The node was made anew under its old name, by an upgrade or a health check, after the last run.",
    remedy: "Run `pulumi up`",
    examples: [["node ‹name›", "the stack has an earlier node of this name"]],
  },
  "node-not-installed": {
    cause: "The last run failed on this node, skipped it, or was cut off.",
    remedy: "Run `pulumi up`",
    examples: [["node ‹name›", "its installation never came to its end"]],
  },
  "pull-failed": {
    cause: "The kubelet could not pull the image; its message says why.",
    remedy: "Look at what it says",
    examples: [["node ‹name›", "‹image› could not be pulled: ‹message›"]],
  },
});

/** Which remedy a wrong argument has, and the values that go into it. */
export type BadArgument = RemedyOf<typeof cliProblem, "bad-arguments">;
