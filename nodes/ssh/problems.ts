/** What can go wrong on the way to nodes: credentials, connections, relays. */
import { type CodeOf, defineProblems } from "../../support/errors";

/** The login that failed. */
export interface Login {
  readonly role: "node" | "bastion";
  readonly user: string;
  /** Of the credentials. */
  readonly source: string;
  readonly route: string;
}

const failed = 'SSH as "‹user›" ‹route› failed: ‹reason›';
const onNode = "node ‹name› (‹address› port 22)";
const onBastion = "bastion ‹host› port 22";
const nodeLogin: Login = { role: "node", user: "‹user›", source: "‹source›", route: "‹route›" };
const bastionLogin: Login = { ...nodeLogin, role: "bastion" };

const timedOut = {
  cause:
    "The machine is off, its address is of a machine that is gone, or something on the way drops packets to its SSH port without a word.",
  remedy: ({ role, route }: Login) =>
    `Check that the ${role} is running, and that a firewall or network policy lets SSH pass ${route}`,
};
const refused = {
  cause: "The machine is there, and nothing listens on its SSH port: sshd is not up yet, or not at all.",
  remedy: ({ role }: Login) => `Check that sshd runs on the ${role} and listens on this port`,
};
const unreachable = {
  cause: "There is no route to the address, or its name is not known.",
  remedy: ({ role, route }: Login) => `Check the ${role}'s address, and that there is a route to it ${route}`,
};
const lost = {
  cause:
    "A machine that restarts, sshd or a firewall ended the connection; a busy sshd drops those that are not logged in yet.",
  remedy: ({ role }: Login) =>
    `Check sshd's log on the ${role}; a busy sshd (MaxStartups) drops connections, then a later run succeeds`,
};
const refusedLogin =
  "sshd answers, shows the right host key, and does not accept this user with this key or password.";
const noHandshake = {
  cause:
    "Something listens that is no sshd, or an sshd with which no algorithm is common: it is older than OpenSSH 7, or restricted.",
  remedy: "Check that sshd listens on this port and is not older than OpenSSH 7",
};
const otherHostKey = {
  cause:
    "The machine shows another host key than before, or than the settings give. It was made anew under its old name, its address is another machine's by now, or somebody is in between.",
  remedy: ({ role }: Login) =>
    `If the ${role} was reinstalled in place, set its new fingerprint in the settings; otherwise somebody may be in between: do not go on`,
};

export const sshProblem = defineProblems("SSH to nodes", {
  "ssh-secret-missing": {
    cause:
      "The Supervisor keeps the SSH key of a cluster's nodes in a Secret of the cluster's namespace. It has none there: namespace or cluster has another name.",
    remedy: "Check the namespace and the cluster's name, or set a key file",
    examples: [
      [
        "secret ‹namespace›/‹cluster›-ssh",
        'neither it nor ‹cluster›-ssh-password exists, asked with context "‹context›"',
      ],
    ],
  },
  "ssh-secret-empty": {
    cause: "A Secret of the right name is there, and somebody else made it.",
    remedy: "Check that it is the secret which the Supervisor made for this cluster",
    examples: [["secret ‹namespace›/‹cluster›-ssh", 'it has no value "‹key›"']],
  },
  "ssh-key-file": {
    cause: "The file that the setting names is missing, or the user who runs this may not read it.",
    remedy: "Set the path of a private key that the user who runs pulumi can read",
    examples: [["SSH key file ‹path›", "it could not be read: ‹code›"]],
  },
  "ssh-key-invalid": {
    cause:
      "The file or Secret holds a public key, a damaged one, or one with a passphrase, for which nobody is there to ask.",
    remedy: { encrypted: "Give a key without a passphrase", other: "Give an OpenSSH or PEM private key" },
    examples: [
      ["SSH key file ‹path›", "the private key is encrypted with a passphrase", "encrypted"],
      ["SSH key file ‹path›", "this is not an SSH private key", "other"],
    ],
  },
  "ssh-password-unpinned": {
    cause:
      "A password is sent only to a node that shows the host key which is pinned: whatever answers at its address would learn the password of all nodes.",
    remedy: (node: string) =>
      `The password was not sent. Set the node's fingerprint in \`nodes.hostKeys\`, then run \`pulumi up\`. Read it by another way than SSH: \`kubectl debug node/${node} -it --image=busybox -- chroot /host ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub\`, or at the machine's console in vCenter`,
    examples: [
      ["node ‹name›", "the cluster's nodes take a password, and this one's host key is not known", "‹name›"],
    ],
  },
  "ssh-agent-missing": {
    cause:
      "Without a key file of its own the bastion is logged in to by the operator's SSH agent, and there is none.",
    remedy: "Start an SSH agent and add the bastion's key (`ssh-add`), or set `bastion.sshKeyFile`",
    examples: [["SSH_AUTH_SOCK", "it is not set, and no key file for the bastion is"]],
  },
  "ssh-timeout": { ...timedOut, examples: [[onNode, failed, nodeLogin]] },
  "bastion-ssh-timeout": { ...timedOut, examples: [[onBastion, failed, bastionLogin]] },
  "ssh-refused": { ...refused, examples: [[onNode, failed, nodeLogin]] },
  "bastion-ssh-refused": { ...refused, examples: [[onBastion, failed, bastionLogin]] },
  "ssh-unreachable": { ...unreachable, examples: [[onNode, failed, nodeLogin]] },
  "bastion-ssh-unreachable": { ...unreachable, examples: [[onBastion, failed, bastionLogin]] },
  "ssh-lost": {
    cause: lost.cause,
    remedy: { login: lost.remedy, command: "What began on the node is finished there; run again" },
    examples: [
      [onNode, failed, "login", nodeLogin],
      [onNode, "the connection ended while a command was running", "command"],
    ],
  },
  "bastion-ssh-lost": { ...lost, examples: [[onBastion, failed, bastionLogin]] },
  "ssh-auth": {
    cause: refusedLogin,
    remedy: ({ user, source }: Login) =>
      `Check that the node accepts user "${user}" with ${source}; the secret may be of another cluster, or renewed since the node was made`,
    examples: [[onNode, failed, nodeLogin]],
  },
  "ssh-account": {
    cause: "sshd or PAM on the node knows the user, and lets it do nothing there.",
    remedy: {
      expired: (user: string) =>
        `The account of "${user}" has expired: an administrator of the node extends it (\`chage --expiredate -1 ${user}\`)`,
      password: (user: string) =>
        `The password of "${user}" has expired: an administrator of the node ends that (\`chage --maxdays -1 ${user}\`), or sets another one`,
      locked: (user: string) =>
        `The account of "${user}" is locked: an administrator of the node unlocks it (\`passwd --unlock ${user}\`, after failed logins \`faillock --user ${user} --reset\`)`,
      shell: (user: string) =>
        `The user "${user}" has no login shell: an administrator of the node gives it one (\`usermod --shell /bin/bash ${user}\`)`,
      user: (user: string) => `The node does not let "${user}" in: set the user that it names`,
      sessions: (user: string) =>
        `The user "${user}" has too many sessions on the node: end some, or raise the limit (maxlogins in limits.conf)`,
      closed: (user: string) =>
        `The node is starting or going down, and lets "${user}" in when it is up (\`/run/nologin\` and \`/etc/nologin\` keep users out): run again then`,
    },
    examples: [
      [onNode, failed, "expired", "‹user›"],
      [onNode, "the script did not run to its end (code ‹code›): ‹words›", "password", "‹user›"],
      [onNode, failed, "locked", "‹user›"],
      [onNode, "the script did not run to its end (code ‹code›): ‹words›", "shell", "‹user›"],
      [onNode, "the script did not run to its end (code ‹code›): ‹words›", "user", "‹user›"],
      [onNode, "the script did not run to its end (code ‹code›): ‹words›", "sessions", "‹user›"],
      [onNode, failed, "closed", "‹user›"],
    ],
  },
  "bastion-ssh-auth": {
    cause: refusedLogin,
    remedy: ({ user, source }: Login) => `Check that the bastion accepts user "${user}" with ${source}`,
    examples: [[onBastion, failed, bastionLogin]],
  },
  "ssh-handshake": { ...noHandshake, examples: [[onNode, failed]] },
  "bastion-ssh-handshake": { ...noHandshake, examples: [[onBastion, failed]] },
  "host-key-changed": { ...otherHostKey, examples: [[onNode, failed, nodeLogin]] },
  "bastion-host-key-changed": { ...otherHostKey, examples: [[onBastion, failed, bastionLogin]] },
  "ssh-exec-timeout": {
    cause: "The node is overloaded, or its disk hangs.",
    remedy: "What began on the node goes on there; look at the node's load, then run again",
    examples: [[onNode, "the command did not end in ‹timeout› s"]],
  },
  "ssh-output": {
    cause: "The login shell of the node's user prints without end.",
    remedy: "Check what the login shell of this user prints on the node",
    examples: [[onNode, "the command printed more than it ever should"]],
  },
  "bastion-forwarding-refused": {
    cause: "The bastion's sshd is set up not to forward, or not for this user or to this address.",
    remedy: "Have the bastion's sshd forward for this user (AllowTcpForwarding, PermitOpen)",
    examples: [[onNode, failed]],
  },
  "relay-pod-missing": {
    cause: "The jumpbox pod was deleted after the run had begun, or since the last one.",
    remedy: "Run `pulumi up`, which sees that the jumpbox pod is gone and makes it anew",
    examples: [[onNode, failed]],
  },
  "relay-pod-not-running": {
    cause: "The jumpbox pod is not scheduled, pulls its image still, or has ended.",
    remedy: "Look at the jumpbox pod's events with `kubectl describe pod`",
    examples: [[onNode, failed]],
  },
  "relay-container-missing": {
    cause: "The jumpbox pod that is used was made by others, and its container has another name by now.",
    remedy: "Name a container of the jumpbox pod in the settings",
    examples: [[onNode, failed]],
  },
  "relay-no-tool": {
    cause: "The jumpbox pod's image has no program that can carry a connection.",
    remedy: "Use a jumpbox image (`jumpbox.image`) that has a shell, cat, and one of bash, nc or socat",
    examples: [[onNode, failed]],
  },
  "relay-failed": {
    cause: "The connection through the jumpbox pod ended with words that stand for nothing better known.",
    remedy: "Look at the jumpbox pod and its log, then try again",
    examples: [[onNode, failed]],
  },
});

export type SshCode = CodeOf<typeof sshProblem>;
