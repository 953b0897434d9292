/** What API servers refuse, and what is wrong with the kubeconfig. */
import { commandLine } from "../support/build";
import { type CodeOf, defineProblems } from "../support/errors";

/** Of a login that may wait. */
export const waiting = {
  waited: "Look after it in vCenter, and log in again when it is well",
  atOnce: "Check its address and state, or let the login wait for it with --wait SECONDS",
};

export const kubernetesProblem = defineProblems("Kubeconfig and clusters", {
  "kubeconfig-missing": {
    cause:
      "Neither `KUBECONFIG` nor the default place names a file that is there: nobody has logged in here.",
    remedy: (login: string) => `Log in: \`${login}\`; or set KUBECONFIG`,
    examples: [["clusterContext", "there is no kubeconfig (‹files›)", "npm run login -- …"]],
  },
  "kubeconfig-malformed": {
    cause: "The kubeconfig is damaged, or the user who runs this may not read it.",
    remedy: {
      file: "Correct the path in KUBECONFIG, or the file's permissions",
      content: "Correct the file, or set it aside and log in again",
    },
    examples: [
      ["kubeconfig ‹file›", "it cannot be read (‹error›)", "file"],
      ["kubeconfig ‹file›", "it is not YAML at line ‹line›", "content"],
    ],
  },
  "context-not-found": {
    cause:
      "Settings name contexts of the operator's own kubeconfig, and this one has no such context: nobody has logged in here, or under other names.",
    remedy: (login: string) => `Log in (\`${login}\`), or set one that is there`,
    examples: [
      ["clusterContext", 'the kubeconfig has no context "‹name›"; it has ‹names›', "npm run login -- …"],
    ],
  },
  "context-incomplete": {
    cause: "The kubeconfig was edited: the context is there, and an entry that it refers to is not.",
    remedy: (login: string) => `Log in again: \`${login}\``,
    examples: [
      [
        "clusterContext",
        'the context "‹name›" names a user that the kubeconfig does not have',
        "npm run login -- …",
      ],
    ],
  },
  "context-insecure": {
    cause: "The connection would not prove which server it is, and the login goes with each request.",
    remedy: (login: string) =>
      `Give the cluster's \`certificate-authority-data\` in the kubeconfig, or log in: \`${login}\``,
    examples: [
      [
        "context ‹name›",
        "its cluster has `insecure-skip-tls-verify: true`, so that its credential would go to whoever answers",
        "npm run login -- …",
      ],
    ],
  },
  "context-unsupported": {
    cause: "The kubeconfig has fields that the Kubernetes client of this program does not send.",
    remedy: "Set a context whose user needs none of them (`as` alone is sent)",
    examples: [
      [
        "context ‹name›",
        "its user has as-groups, which is not sent: requests would be made with other rights",
      ],
    ],
  },
  "kubeconfig-conflict": {
    cause:
      "An entry of the same name is for another server or user; to replace it could cut somebody off from another cluster.",
    remedy: {
      entry: "Replace the entry with --force, or write another file with --kubeconfig FILE",
      context:
        "Keep both: log in with --supervisor-context NAME and --cluster-context NAME, and name these contexts in the settings. Or replace it with --force, or write another file with --kubeconfig FILE",
    },
    examples: [
      ["kubeconfig ‹file›", 'the context "‹name›" there is for ‹server›, not ‹server›', "context"],
      ["kubeconfig ‹file›", 'the cluster "‹cluster›" there is for ‹server›, not ‹server›', "entry"],
    ],
  },
  "kubeconfig-locked": {
    cause: "`kubectl` or another login is writing the kubeconfig, or was killed while it did.",
    remedy: "Wait for it to end; if none is running, remove that file",
    examples: [["kubeconfig ‹file›", "another program holds ‹target›.lock"]],
  },
  "kubeconfig-unwritable": {
    cause: "The folder of the kubeconfig is not writable for the user who runs this, or its disk is full.",
    remedy: {
      folder: "Correct its folder's permissions, or write another file with --kubeconfig FILE",
      link: "Create that file, or remove the link",
    },
    examples: [
      ["kubeconfig ‹file›", "it cannot be written (‹error›)", "folder"],
      ["kubeconfig ‹file›", "it is a symbolic link to a file that does not exist", "link"],
    ],
  },
  "login-expired": {
    cause: "A token of a Supervisor ends after ten hours, and a login writes a new one.",
    remedy: {
      context: (login: string) => `Log in again: \`${login}\``,
      ssh: `Log in again (\`${commandLine("login")}\`): tokens of a Supervisor last ten hours`,
    },
    examples: [
      [
        "context ‹name›",
        "‹server› does not accept its login, which expired at ‹time›",
        "context",
        "npm run login -- …",
      ],
      ["node ‹name› (‹address› port 22)", 'SSH as "‹user›" ‹route› failed: ‹reason›', "ssh"],
    ],
  },
  "no-rights": {
    cause: "The user of the context may log in, but has not all the rights that the stack needs.",
    remedy: {
      listed: "Have these rights given, or use a context of a user who has them",
      refused: "Have the right given, or use a context of a user who has it",
      ssh: 'Have the user of this context given the right to "create" "pods/exec" in the namespace',
    },
    examples: [
      ["context ‹name›", "the user may not ‹rights›", "listed"],
      ["context ‹name›", "the user may not ‹action› (403)", "refused"],
      ["node ‹name› (‹address› port 22)", 'SSH as "‹user›" ‹route› failed: ‹reason›', "ssh"],
    ],
  },
  "object-not-found": {
    cause: "An object that is asked for does not exist, or no longer.",
    remedy: "Create it, or correct its name",
    examples: [["context ‹name›", "cannot ‹action› (‹status›[: ‹message›])"]],
  },
  "cluster-unreachable": {
    cause:
      "Network, VPN or firewall between here and the API server is down, or the API server is, or does not answer yet.",
    remedy: {
      request: "Check that this machine reaches it",
      ssh: "Check that the Supervisor's API server can be reached from here, then try again",
      ...waiting,
    },
    examples: [
      ["context ‹name›", "‹server› is not reached: ‹message›", "request"],
      ["node ‹name› (‹address› port 22)", 'SSH as "‹user›" ‹route› failed: ‹reason›', "ssh"],
      ["Supervisor ‹address›", "‹address› port 6443 is not reached: ‹message›", "atOnce"],
    ],
  },
  "cluster-certificate": {
    cause:
      "The API server's certificate is not of the CA that the kubeconfig, or the Supervisor, names for it.",
    remedy: {
      context: (login: string) =>
        `If the cluster's certificates were changed, log in again: \`${login}\`; otherwise somebody may be in between`,
      ssh: `If the Supervisor's certificates were changed, log in again (\`${commandLine("login")}\`); otherwise somebody may be in between`,
      login:
        "The Supervisor names another CA for this cluster than it has: look after the cluster's certificates",
    },
    examples: [
      [
        "context ‹name›",
        "the kubeconfig's CA does not verify ‹server›: ‹message›",
        "context",
        "npm run login -- …",
      ],
      ["node ‹name› (‹address› port 22)", 'SSH as "‹user›" ‹route› failed: ‹reason›', "ssh"],
      ["Supervisor ‹address›", "‹address› port 6443 is not believed: ‹message›", "login"],
    ],
  },
  "cluster-credential": {
    cause: "The kubeconfig has a program run or a file read for the credential, and that fails.",
    remedy: {
      unreadable: (login: string) => `Log in again: \`${login}\``,
      plugin: (context: string) =>
        `Run \`kubectl --context ${context} get --raw /version\` by hand to see what the plugin says`,
      token:
        "Write the token in the kubeconfig on one line, in quotes (a YAML block, `token: |`, ends in a line break), or log in again",
      terminal: "Use a user that needs no terminal: nobody can answer the plugin in a run",
    },
    examples: [
      ["context ‹name›", "its credential cannot be had: ‹message›", "unreadable", "npm run login -- …"],
      ["context ‹name›", 'its credential plugin "‹command›" ends with code 1', "plugin", "‹name›"],
      [
        "context ‹name›",
        "its token has a line break, a space or another character that no HTTP header takes",
        "token",
      ],
      ["context ‹name›", 'its credential plugin "‹command›" wants a terminal', "terminal"],
    ],
  },
  "cluster-failing": {
    cause: "The API server is overloaded, is starting, or has lost its etcd.",
    remedy: "Try again when the cluster is well",
    examples: [["context ‹name›", "cannot ‹action› (‹status›[: ‹message›])"]],
  },
  "cluster-refused": {
    cause: "The API server, or an admission webhook in it, does not take what was asked for.",
    remedy: "Correct what it names",
    examples: [["context ‹name›", "the API refuses to ‹action› (‹status›[: ‹message›])"]],
  },
  "no-nodes": {
    cause: "The cluster is being created, or the context is of another cluster.",
    remedy: {
      none: "Wait until the cluster is up, or check that the context is the workload cluster's",
      leftOut:
        "Correct `nodes.select` and `nodes.exclude`; `kubectl get nodes -l SELECTOR` shows which nodes one means",
    },
    examples: [
      ["context ‹name›", "the cluster has no nodes", "none"],
      ["context ‹name›", "its ‹number› nodes are all left out", "leftOut"],
    ],
  },
  "node-malformed": {
    cause:
      "A Node object's values become addresses and arguments of commands. Those that no kubelet writes are not used: somebody else wrote the object.",
    remedy: {
      listed: "Look at the object (`kubectl get nodes -o yaml`): no such node is touched",
      waited: "Look at the object (`kubectl get nodes -o yaml`)",
    },
    examples: [
      ["node ‹name›", "the Node object's ‹field› is missing or not as kubelets write it", "listed"],
      ["a Node object", "its ‹field› is missing or not as kubelets write it", "waited"],
    ],
  },
  "node-os": {
    cause:
      "The trust stores of Photon OS, of Debian and Ubuntu, and of RHEL and its likes are known. Which one a node has, and whether it has one of them, is seen on the node. Windows has none of them.",
    remedy: (leaveOut: string) => `To leave such nodes out, ${leaveOut}`,
    examples: [
      [
        "nodes ‹names›",
        'they run "‹os image›", and only Linux has a trust store that is known',
        'set `nodes.exclude: "kubernetes.io/os=windows"`',
      ],
    ],
  },
  "node-without-address": {
    cause: "The node is joining the cluster, or its cloud provider has not told its address.",
    remedy: "Wait until the node has joined, or have its kubelet report one",
    examples: [["node ‹name›", "it has no InternalIP"]],
  },
  "node-address": {
    cause:
      "The address that the Node object gives is not one of a machine in the cluster's network, or is another node's too: SSH to it would end elsewhere.",
    remedy: "Have the node's kubelet report its own address in the cluster's network",
    examples: [["node ‹name›", "it has the InternalIP ‹address›, as ‹name› has"]],
  },
  "control-plane-lease": {
    cause:
      "Runs restart containerd on control-plane nodes in turns, one node of the cluster at a time, and a Lease in the cluster's kube-system says whose turn it is. Another run keeps its turn, or the Lease is not as the API writes it.",
    remedy: {
      taken:
        "Wait until that run has ended, then run again; the turn of a run that was killed ends by itself a minute later",
      unknown: "Look at the object (`kubectl --namespace kube-system get leases -o yaml`)",
    },
    examples: [
      [
        "Lease kube-system/tkc-registry-control-plane",
        "after ‹number› s ‹stack› on ‹host› has had the control plane's turn since ‹time› (node ‹name›)",
        "taken",
      ],
      ["Lease kube-system/tkc-registry-control-plane", "what the API gives is no Lease", "unknown"],
    ],
  },
  "node-runtime": {
    cause:
      "The registries' CAs are loaded by a restart of containerd. A node with another container runtime would be changed and never use them.",
    remedy: "Use a Tanzu Kubernetes release whose nodes run containerd",
    examples: [["node ‹name›", 'its container runtime is "‹runtime›", and only containerd is supported']],
  },
  "namespace-not-found": {
    cause:
      "Namespaces are not the stack's to make: the workload cluster's are its users', and the Supervisor's are vSphere's.",
    remedy: {
      workload: (namespace: string) =>
        `Create it (\`kubectl create namespace ${namespace}\`), or correct its name`,
      supervisor: "Correct its name, or have the vSphere administrator create it",
    },
    examples: [
      ["pullSecret.namespaces", "the cluster has no namespace ‹namespace›", "workload", "‹namespace›"],
      ["namespace", "the Supervisor has no namespace ‹namespace›", "supervisor"],
    ],
  },
  "pod-security": {
    cause:
      "The namespace enforces a level of Pod Security that the pod, as the settings have it, does not meet.",
    remedy: (namespace: string) =>
      `Set what it names, or, where the workload needs it, have the namespace's level lowered (\`kubectl label namespace ${namespace} pod-security.kubernetes.io/enforce=baseline\`)`,
    examples: [
      ["deployment", "namespace ‹namespace› would refuse the pod: it violates PodSecurity …", "‹namespace›"],
    ],
  },
  "pod-security-policy": {
    cause:
      "Clusters up to Kubernetes 1.24 let a pod in only by a PodSecurityPolicy that its ServiceAccount may use. The operator's own policies do not count for the pods of a Deployment.",
    remedy: (namespace: string) =>
      `Bind a policy: \`kubectl -n ${namespace} create rolebinding psp --clusterrole=psp:vmware-system-restricted --group=system:serviceaccounts\``,
    examples: [
      [
        "deployment",
        "the ServiceAccount default of namespace ‹namespace› may use no PodSecurityPolicy: the Deployment would have no pods",
        "‹namespace›",
      ],
    ],
  },
  "pod-refused": {
    cause: "A quota, a limit range or an admission webhook of the cluster does not take the pod.",
    remedy: "Correct what it names",
    examples: [["deployment", "namespace ‹namespace› would refuse the pod: ‹message›"]],
  },
  "service-account": {
    cause: "The API server did not let the pull secret be entered in the ServiceAccount, or taken out.",
    remedy: {
      unknown: "Check that the context is of a Kubernetes cluster",
      conflict: "See what else writes it, then run again",
    },
    examples: [
      ["ServiceAccount ‹namespace›/default", "what the API gives is no ServiceAccount", "unknown"],
      ["ServiceAccount ‹namespace›/default", "it can't be changed: ‹message›", "conflict"],
    ],
  },
  "service-account-missing": {
    cause:
      "A namespace's `default` ServiceAccount is made by the cluster a moment after the namespace; this one has none.",
    remedy: "Create the namespace or the ServiceAccount, or correct its name",
    examples: [
      [
        "ServiceAccount ‹namespace›/default",
        "it does not exist, nor came into being within ‹wait seconds› s",
      ],
    ],
  },
  "bad-environment": {
    cause:
      "The commands of the stack's resources find all that they need in their environment, which Pulumi gives them from the state; this one was run by hand, or by another release.",
    remedy: {
      variable:
        "Node commands are run by `pulumi`; to try one by hand, give it the environment that is in the stack's state",
      policy: (policies: readonly string[]) => `Set it to one of ${policies.join(", ")}, or not at all`,
      otherRun: "Run `pulumi up` again",
      serviceAccount: "It is for the stack's own resources; run `pulumi up` or `pulumi destroy`",
    },
    examples: [
      ["TKC_REGISTRY_NODE", "the variable is not set", "variable"],
      ["TKC_REGISTRY_UNREACHABLE", 'it is "‹value›"', "policy", ["fail", "skip"]],
      ["node ‹name›", "this run is not about it", "otherRun"],
      ["command service-account", '"‹verb›" is neither attach nor detach', "serviceAccount"],
    ],
  },
});

export type KubernetesCode = CodeOf<typeof kubernetesProblem>;

/** Failures of the API server after which the same request may succeed. */
export const transientCodes: ReadonlySet<string> = new Set<KubernetesCode>([
  "cluster-unreachable",
  "cluster-failing",
]);
