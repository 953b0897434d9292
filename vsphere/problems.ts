/** What can go wrong with a login, and with telling clusters apart. */
import { defineProblems } from "../support/errors";
import { waiting } from "../kubernetes/problems";

export const vsphereProblem = defineProblems("Login to the Supervisor", {
  "login-refused": {
    cause:
      "vCenter does not know the user by this name and password, or the user has no role on the namespace.",
    remedy: {
      password:
        "Give the user in full (`name@vsphere.local`) and the right password; too many attempts lock the account",
      permission: "Have the permission given on the namespace in vCenter",
    },
    examples: [
      [
        "Supervisor ‹address›",
        'it does not accept the user "‹user›" with this password (401) for the Supervisor',
        "password",
      ],
      [
        "Supervisor ‹address›",
        'the user "‹user›" has no access to the workload cluster ‹name› (403)',
        "permission",
      ],
    ],
  },
  "supervisor-fingerprint-mismatch": {
    cause:
      "The Supervisor's certificate was renewed, the fingerprint is of another one, or somebody is in between.",
    remedy:
      "The password was not sent. Ask the vSphere administrator for the fingerprint, by another way than this connection, and give it with --fingerprint",
    examples: [
      ["Supervisor ‹address›", "no certificate that it serves has the SHA-256 ‹pin›; it serves ‹served›"],
    ],
  },
  "supervisor-certificate": {
    cause:
      "A password is only sent to a Supervisor whose certificate verifies; this one's CA is not the one that was given, or none was, and it is not public.",
    remedy:
      "Nothing was sent to it. Give the CA with --ca-file, or with --fingerprint the SHA-256 of a certificate that it serves, as the vSphere administrator tells it",
    examples: [["Supervisor ‹address›", "‹where› is not believed: ‹rejection›; it serves ‹served›"]],
  },
  "supervisor-unreachable": {
    cause: "Network, VPN or firewall between here and the Supervisor is down, or the Supervisor is.",
    remedy: waiting,
    examples: [
      ["Supervisor ‹address›", "‹address› port 443 is not reached: ‹message›", "waited"],
      ["Supervisor ‹address›", "‹address› port 443 is not reached: ‹message›", "atOnce"],
    ],
  },
  "supervisor-not-ready": {
    cause: "The Supervisor is starting or being upgraded, or does not know its own new token yet.",
    remedy: waiting,
    examples: [
      ["Supervisor ‹address›", "the Supervisor at ‹URL› is not ready (‹status›)", "waited"],
      ["Supervisor ‹address›", "the Supervisor at ‹URL› is not ready (‹status›)", "atOnce"],
    ],
  },
  "supervisor-answer": {
    cause: "What answers at the address is not the login of a Supervisor's control plane.",
    remedy: {
      login: "Check that --server is the Supervisor's control plane address, and not vCenter's",
      connection: "Check that --server is the Supervisor's control plane address",
    },
    examples: [
      ["Supervisor ‹address›", "it answers ‹status› to the login for the Supervisor", "login"],
      ["Supervisor ‹address›", "‹address› port 443: ‹message›", "connection"],
    ],
  },
  "cluster-not-found": {
    cause: "Namespace or cluster has another name, or the user has no role on the namespace.",
    remedy: (namespace: string) =>
      `Correct --namespace and --cluster (\`kubectl -n ${namespace} get tanzukubernetesclusters\` on the Supervisor shows the clusters of that namespace), or have the permission given`,
    examples: [
      [
        "Supervisor ‹address›",
        'there is no workload cluster "‹cluster›" in namespace "‹namespace›" for this user (‹status›‹said›)',
        "‹namespace›",
      ],
    ],
  },
  "cluster-not-ready": {
    cause: "The cluster is being created or upgraded, or does not know its own new token yet.",
    remedy: waiting,
    examples: [
      ["Supervisor ‹address›", "the workload cluster ‹name› at ‹URL› is not ready (‹status›)", "waited"],
      ["Supervisor ‹address›", "the workload cluster ‹name› at ‹URL› is not ready (‹status›)", "atOnce"],
    ],
  },
  "cluster-answer": {
    cause: "What answers at the address that the Supervisor names for the cluster is no Kubernetes API.",
    remedy: "Check that --server is the Supervisor's control plane address",
    examples: [["Supervisor ‹address›", "‹hostname› port ‹port›: ‹message›"]],
  },
  "wrong-cluster": {
    cause:
      "A context of this name may be of another cluster, or be left over from one that was deleted: trust is installed only in the cluster that the Supervisor knows by the name in the settings.",
    remedy: (login: string) => `Set a context of that cluster, or make one: \`${login}\``,
    examples: [
      [
        "clusterContext",
        "the context ‹name› is for ‹server›, and the cluster ‹namespace›/‹name› is at ‹endpoints› by ‹source›",
        "npm run login -- …",
      ],
    ],
  },
  "other-cluster": {
    cause:
      "A kubeconfig of this machine has a context of the right name that leads to another cluster. What another cluster says of nodes is not believed: the stack's own would keep the CA.",
    remedy: (login: string) =>
      `Nothing was touched. Set KUBECONFIG to the kubeconfig whose context is of that cluster, or log in to it: \`${login}\``,
    examples: [
      [
        "context ‹name›",
        "‹server› is not the cluster ‹namespace›/‹name› that the state knows, which still exists: the UID of its namespace kube-system is ‹UID›, and the state has ‹UID›",
        "npm run login -- …",
      ],
    ],
  },
  "other-supervisor": {
    cause:
      "The context of the Supervisor leads to another one, or the Supervisor's CA was renewed since the last run. Whether a cluster is gone is only believed of the Supervisor that the state knows.",
    remedy: (login: string) =>
      `Nothing was touched. Set KUBECONFIG to the kubeconfig whose context is of that Supervisor, or log in to it (\`${login}\`). If its CA was renewed, run \`pulumi up\`; where the cluster is gone, set TKC_REGISTRY_SUPERVISOR_CA for one run to the new CA's SHA-256, as the vSphere administrator tells it`,
    examples: [
      [
        "context ‹name›",
        "‹server› is not the Supervisor that the state knows: its CA is ‹SHA-256›, and the state has ‹SHA-256›",
        "npm run login -- …",
      ],
    ],
  },
  "cluster-gone": {
    cause: "The Supervisor has no such cluster any more, or another one of its name.",
    remedy: "Run `pulumi destroy`, or `pulumi up --refresh` where another cluster took its place",
    examples: [["cluster ‹namespace›/‹name›", "the Supervisor says that it is gone"]],
  },
});
