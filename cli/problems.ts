/** What the commands find wrong, from their arguments to what is true on nodes. */
import { commandLine } from "../support/build";
import { type RemedyOf, defineProblems } from "../support/errors";

export const cliProblem = defineProblems(
  "Commands: `npm run init`, `npm run ca`, `npm run login`, `npm run review`, `npm run verify`, `npm run forget`",
  {
    "bad-arguments": {
      cause: "A command was given options that it does not take, or not all that it needs.",
      remedy: {
        help: (command: string) => `See \`${commandLine(command, "--help")}\``,
        noRegistry: `Give the registry: \`${commandLine("ca", "HOST[:PORT]")}\``,
        oneRegistry: "Give one registry",
        noUser: "Give the vCenter user, such as administrator@vsphere.local",
        noPassword: "Give the vCenter user's password",
        passwordOption:
          "Set TKC_REGISTRY_VCENTER_PASSWORD, or leave it out to be asked; change a password that was typed this way",
        server: "Give the Supervisor's `host` or `host:port`, without https://",
        noTerminal: (variable: string) => `Set ${variable} in the environment`,
        noAnswer: "Log in again",
        name: 'Names are lower-case letters, digits and "-"',
        contextName: "Give the name of a kubeconfig context",
        sameContext: "Give the two contexts different names with --supervisor-context and --cluster-context",
        twoTrusts: "Give one of the two",
        noImage: "Give one with --image",
        otherImage: (hosts: readonly string[]) => `Give an image of ${hosts.join(" or ")}`,
        otherTrust: (names: readonly string[]) => `Give one of those that it has: ${names.join(", ")}`,
      },
      examples: [
        ["--cluster", "it is missing", "help", "login"],
        ["--cluster", '"‹value›" is not a Kubernetes name', "name"],
        ["--cluster-context", "it would be ‹name›, as the Supervisor's context is", "sameContext"],
        ["--supervisor-context", '"‹value›" is not a name of one line', "contextName"],
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
        ["--trust", 'the stack has no RegistryTrust "‹name›"', "otherTrust", ["‹name›", "‹name›"]],
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
      cause:
        "The stack's secrets are encrypted by a passphrase, without which Pulumi does not open its state.",
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
    "preview-failed": {
      cause:
        "Pulumi failed with words that stand for nothing better known, or it is of a release that prints its engine's events in another form.",
      remedy: {
        refused: "Run `pulumi preview` by hand to see more",
        notEvents: "Try it with another release of the Pulumi CLI",
      },
      examples: [
        ["stack ‹name›", "pulumi said: ‹message›", "refused"],
        ["stack ‹name›", "a line that `pulumi preview --json` printed is not JSON", "notEvents"],
      ],
    },
    "plan-unreadable": {
      cause: "The file is no plan of Pulumi's, or one of a release whose plans have another form.",
      remedy: "Save it anew: `pulumi preview --save-plan FILE`",
      examples: [["--plan", "‹file› is not a plan that `pulumi preview --save-plan` wrote"]],
    },
    "out-not-written": {
      cause: "The folder is missing, or the user who runs this may not write there.",
      remedy: "Correct the path, or the folder's permissions",
      examples: [["--out", "‹file› cannot be written (ENOENT)"]],
    },
    "stack-file-exists": {
      cause: "A settings file is only written where there is none.",
      remedy: "Choose another name, or edit the file that is there",
      examples: [["Pulumi.‹name›.yaml", "there is such a file"]],
    },
    "stack-file-malformed": {
      cause: "The file is not one that Pulumi writes, or was damaged by hand.",
      remedy: "Correct it",
      examples: [
        ["Pulumi.‹name›.yaml", "it is not as Pulumi writes it"],
        ["Pulumi.‹name›.yaml", "it is not YAML at line ‹line›"],
      ],
    },
    "stack-file-unwritable": {
      cause: "The working directory is not writable for the user who runs this, or its disk is full.",
      remedy: "Correct its permissions, or run it in another folder",
      examples: [["Pulumi.‹name›.yaml", "it cannot be written (‹error›)"]],
    },
    "init-incomplete": {
      cause: "A new environment needs a few settings that nothing else tells.",
      remedy: {
        option: (form: string) => `Give ${form}, or run it at a terminal`,
        unanswered: "Nothing was written. Run it again",
      },
      examples: [
        ["--cluster", "it is missing, and there is no terminal to ask at", "option", "--cluster CLUSTER"],
        ["Cluster", "the question was not answered", "unanswered"],
      ],
    },
    "ca-not-confirmed": {
      cause:
        "Over the network, anybody can pose as the registry. Its CA is pinned only by a fingerprint that came by another way.",
      remedy: (host: string) =>
        `Nothing was written. Ask the registry's administrator for the fingerprint, then give it with --ca-sha256 ${host}=SHA256`,
      examples: [["registry ‹host›", "the SHA-256 ‹sha256› of its CA was not confirmed", "‹host›"]],
    },
    "pulumi-failed": {
      cause: "Pulumi refused a command, and has said why.",
      remedy: "Put right what it says, then run this command and those after it",
      examples: [["pulumi stack init ‹name›", "it ended with code ‹number›"]],
    },
    interrupted: {
      cause: "It was told to end.",
      remedy: "Run it again",
      examples: [["verify", "it was ended by ‹signal›"]],
    },
    "registry-not-verified": {
      cause:
        "The registry's CA was changed after the last run, its certificate has expired or is for another name, or what answers here is not what answers the nodes.",
      remedy: (host: string) =>
        `See what it serves with \`${commandLine("ca", host)}\`. If its CA was changed, give the new one, then run \`pulumi up\`; if its certificate is at fault, have it renewed`,
      examples: [
        [
          "registry ‹host›",
          "the nodes' CAs do not verify what it serves: ‹why› (it serves ‹subject›, issued by ‹issuer›)",
          "‹host›",
        ],
      ],
    },
    "registry-not-told": {
      cause:
        "What a registry serves is asked from this machine, which need not reach it, and is held against the CAs that a node reports.",
      remedy: "Whether the nodes' CAs verify it is not told by this; `--pull` has the nodes try it",
      examples: [
        ["registry ‹host›", "this machine does not reach it: ‹message›"],
        ["registry ‹host›", "no node reported its CA, and it does not serve it"],
      ],
    },
    "ca-expires": {
      cause: "A CA is valid until a date that is near.",
      remedy: "Give the stack the registry's present CA, then run `pulumi up`",
      examples: [
        ["registry ‹host›", "its CA certificate ‹subject› expires in ‹number› days, at ‹not after›"],
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
      examples: [
        ["node ‹name›", "the CA of ‹host› is in place, but not in the folder that containerd reads"],
      ],
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
      cause:
        "The node was made anew under its old name, by an upgrade or a health check, after the last run.",
      remedy: "Run `pulumi up`",
      examples: [["node ‹name›", "the stack has an earlier node of this name"]],
    },
    "node-not-installed": {
      cause: "The last run failed on this node, skipped it, or was cut off.",
      remedy: "Run `pulumi up`",
      examples: [["node ‹name›", "its installation never came to its end"]],
    },
    "other-stack-on-node": {
      cause:
        "Another stack has made the node trust its CAs, or one did that was lost with its state, and cannot take them off any more.",
      remedy: (stack: string, of: string) =>
        `Nothing, where that stack is in use. Otherwise take it off: \`${commandLine("forget", `--stack ${stack} ${of}`)}\``,
      examples: [
        ["node ‹name›", "it also has what the stack ‹stack› (id ‹id›) installed", "‹name›", "--id ‹id›"],
      ],
    },
    "unclaimed-file": {
      cause: "A CA of ours came back that had been removed: with a restored `/etc`, or by hand.",
      remedy: (stack: string) => `Take it off: \`${commandLine("forget", `--stack ${stack} --unclaimed`)}\``,
      examples: [["node ‹name›", "no stack's record there claims ‹file›", "‹name›"]],
    },
    "object-not-in-state": {
      cause: "A run was cut off after it made the object, or somebody took the object out of the state.",
      remedy: "Run `pulumi up`, which takes it up where the settings want it; otherwise delete it",
      examples: [["Secret ‹namespace›/‹name›", "the state does not have it"]],
    },
    "other-stack-in-cluster": {
      cause: "Another stack made the object, or one that was lost with its state.",
      remedy: "Nothing, where that stack is in use. Otherwise delete it",
      examples: [["Secret ‹namespace›/‹name›", "it belongs to the stack ‹stack› (id ‹id›)"]],
    },
    "objects-not-listed": {
      cause: "The user may not list the objects, or the cluster could not be asked.",
      remedy: "Nothing, where nothing is missed; otherwise have the right to list them given",
      examples: [
        ["Secrets of context ‹context›", "not looked for: context ‹context›: the user may not list secrets"],
      ],
    },
    "forget-own": {
      cause: "What a deployed stack has on nodes goes with it.",
      remedy: "Run `pulumi destroy` to take it off",
      examples: [["--id", "it is the id of the stack ‹name› itself, which is deployed"]],
    },
    "forget-not-confirmed": {
      cause: "Taking CAs off nodes is confirmed before anything is changed.",
      remedy: {
        noTerminal: "Run it again with --yes, or at a terminal",
        declined: "Nothing was changed",
      },
      examples: [
        ["forget", "it is to be confirmed, and there is no terminal to ask at", "noTerminal"],
        ["forget", "it was not confirmed", "declined"],
      ],
    },
    "pull-failed": {
      cause: "The kubelet could not pull the image; its message says why.",
      remedy: {
        authority: (host: string) =>
          `Where the node has all its CAs, the registry's CA was changed: see it with \`${commandLine("ca", host)}\`, give it, then run \`pulumi up\``,
        other: "Look at what it says",
      },
      examples: [
        ["node ‹name›", "‹image› could not be pulled: ‹message›", "authority", "‹host›"],
        ["node ‹name›", "‹image› could not be pulled: ‹message›", "other"],
      ],
    },
  },
);

/** Which remedy a wrong argument has, and the values that go into it. */
export type BadArgument = RemedyOf<typeof cliProblem, "bad-arguments">;
