/**
 * Every kind of problem that is told to an operator, by its code, and why it comes about. docs/errors.md is made of
 * it (`npm run docs`): areas and codes are in the page's order, and codes of one cause that follow one another share
 * an entry there.
 */

const sshTimeout =
  "The machine is off, its address is of a machine that is gone, or something on the way drops packets to its SSH port without a word.";
const sshRefused =
  "The machine is there, and nothing listens on its SSH port: sshd is not up yet, or not at all.";
const sshUnreachable = "There is no route to the address, or its name is not known.";
const sshLost =
  "A machine that restarts, sshd or a firewall ended the connection; a busy sshd drops those that are not logged in yet.";
const sshAuth =
  "sshd answers, shows the right host key, and does not accept this user with this key or password.";
const sshHandshake =
  "Something listens that is no sshd, or an sshd with which no algorithm is common: it is older than OpenSSH 7, or restricted.";
const hostKeyChanged =
  "The machine shows another host key than before, or than the settings give. It was made anew under its old name, its address is another machine's by now, or somebody is in between.";

/** By area, then by code: why it comes about, not what is seen or to be done, which the messages say. */
export const catalog = {
  "Settings and files": {
    "missing-setting": "The setting has no default, and the stack's settings file does not have it.",
    "bad-setting":
      "The setting has a value of the wrong shape, or one that does not go with another setting.",
    "unknown-setting":
      "Names that mean nothing are refused, as a misspelt setting would otherwise have no effect, in silence.",
    "secret-in-clear":
      "A password was set without `--secret`, so that it stands in a file that others read, and that version control keeps.",
    "registry-host":
      "Image names, the pull secret and containerd compare a registry's name as text: there is one spelling of it that all of them take.",
    "image-reference": "The image's name is none that containerd would take.",
    "fingerprint-shape":
      "Certificates are pinned by their SHA-256; this is another digest, a key's fingerprint, or not whole.",
    "too-many-certificates":
      "What a command reports of a node is kept in the state, and bounded: a CA file of many certificates exceeds it.",
    "file-unreadable":
      "A file that a setting or an option names is missing, or the user who runs this may not read it.",
    "file-too-large": "A file that a setting or an option names is much larger than one of its kind ever is.",
  },

  "Kubeconfig and clusters": {
    "kubeconfig-missing":
      "Neither `KUBECONFIG` nor the default place names a file that is there: nobody has logged in here.",
    "kubeconfig-malformed": "The kubeconfig is damaged, or the user who runs this may not read it.",
    "context-not-found":
      "Settings name contexts of the operator's own kubeconfig, and this one has no such context: nobody has logged in here, or under other names.",
    "wrong-cluster":
      "A context of this name may be of another cluster, or be left over from one that was deleted: trust is installed only in the cluster that the Supervisor knows by the name in the settings.",
    "context-incomplete":
      "The kubeconfig was edited: the context is there, and an entry that it refers to is not.",
    "login-expired": "A token of a Supervisor ends after ten hours, and a login writes a new one.",
    "no-rights": "The user of the context may log in, but has not all the rights that the stack needs.",
    "object-not-found": "An object that is asked for does not exist, or no longer.",
    "cluster-unreachable":
      "Network, VPN or firewall between here and the API server is down, or the API server is, or does not answer yet.",
    "cluster-certificate":
      "The API server's certificate is not of the CA that the kubeconfig, or the Supervisor, names for it.",
    "cluster-credential":
      "The kubeconfig has a program run or a file read for the credential, and that fails.",
    "cluster-failing": "The API server is overloaded, is starting, or has lost its etcd.",
    "cluster-refused": "The API server, or an admission webhook in it, does not take what was asked for.",
  },

  "Login (`npm run login`)": {
    "login-refused":
      "vCenter does not know the user by this name and password, or the user has no role on the namespace.",
    "supervisor-fingerprint-mismatch":
      "The Supervisor's certificate was renewed, the fingerprint is of another one, or somebody is in between.",
    "supervisor-certificate":
      "A password is only sent to a Supervisor whose certificate verifies; this one's CA is not the one that was given, or none was, and it is not public.",
    "supervisor-unreachable":
      "Network, VPN or firewall between here and the Supervisor is down, or the Supervisor is.",
    "supervisor-not-ready":
      "The Supervisor is starting or being upgraded, or does not know its own new token yet.",
    "supervisor-answer": "What answers at the address is not the login of a Supervisor's control plane.",
    "cluster-not-found": "Namespace or cluster has another name, or the user has no role on the namespace.",
    "cluster-not-ready": "The cluster is being created or upgraded, or does not know its own new token yet.",
    "cluster-answer":
      "What answers at the address that the Supervisor names for the cluster is no Kubernetes API.",
    "kubeconfig-conflict":
      "An entry of the same name is for another server or user; to replace it could cut somebody off from another cluster.",
    "kubeconfig-locked": "`kubectl` or another login is writing the kubeconfig, or was killed while it did.",
    "kubeconfig-unwritable":
      "The folder of the kubeconfig is not writable for the user who runs this, or its disk is full.",
  },

  "Registries and their CAs": {
    "registry-unreachable":
      "The CA is to come from the registry, and this machine does not reach it. (That nodes may reach it all the same counts only where the CA comes from a file.)",
    "ca-getcert-absent":
      "Harbor serves its CA only where its administrator has put it there; other registries never do.",
    "ca-getcert-failed": "The registry answers the question for its CA, but not with a certificate.",
    "ca-fingerprint-mismatch":
      "The registry's CA was changed, the fingerprint is of another certificate, or somebody is in between.",
    "ca-does-not-verify":
      "The CA is not the one that issued the registry's present certificate, or that certificate is expired or for another name.",
    "ca-expired": "A CA is valid until a date that is past; nodes would refuse the registry from then on.",
    "ca-not-yet-valid": "The CA is valid from a date that is still to come, by this machine's clock.",
    "ca-is-leaf": "A registry's own certificate was given in place of the one that issued it.",
    "ca-has-private-key":
      "A file with both certificate and key was given. The key is nobody's business but the CA's.",
    "ca-not-pem": "Nodes read certificates as PEM text only, and pass over all else in silence.",
    "ca-der":
      "Windows and Java tools write certificates as DER unless they are told otherwise; nodes read PEM text only.",
    "ca-pkcs7":
      "Windows and Java tools export chains as PKCS#7 (`.p7b`), which neither containerd nor the nodes' tools read.",
    "ca-weak-key":
      "The CA was made long ago, with a key that is short enough to be broken. Trusted by nodes, it would let whoever breaks it pose as any server.",
    "ca-unusable":
      "Go, which containerd is written in, reads certificates more strictly than OpenSSL does, and leaves out what it can't read without a word.",
    "ca-changed":
      "With `trustOnFirstUse` the first run's CA is held to. The registry's was changed since, or somebody is in between.",
    "ca-not-served":
      "A registry need not serve the root of its chain, and Harbor's administrator need not have put it where `getcert` finds it.",
    "registry-certificate":
      "The registry's certificate is of another CA than the one that was given, expired, or for another name.",
    "registry-login-failed":
      "The username or password is wrong, or the robot account has expired or is disabled.",
    "registry-forbidden":
      "The login is right, and the user has no right to this repository; or nobody may pull without one.",
    "registry-not-a-registry": "Something else answers at this host and port, or a proxy in between does.",
    "registry-failing": "The registry is overloaded, is starting, or cannot reach its storage.",
    "image-digest-unknown":
      "`pinDigest` deploys what the tag means now, which only the registry knows, and it is not reached from here or does not say.",
    "image-not-found":
      "The image was not pushed or was deleted, or its name is another; some registries say the same of one that the user may not see.",
  },

  "Registry credentials": {
    "docker-config-malformed":
      "Docker's configuration file, or the pull secret that is to be adopted, is damaged.",
    "docker-config-no-entry":
      "Nobody has logged in to the registry by the name, port included, that images have.",
    "docker-config-unusable-entry":
      "The entry is there, and holds no username and password of which a pull secret could be made.",
    "credential-helper-missing":
      "Docker's configuration leaves credentials to a program that is not installed here.",
    "credential-helper-failed":
      "Docker's configuration leaves credentials to a program that fails, often as its keyring is locked.",
    "robot-expired": "Robot accounts of Harbor end after 30 days unless they were given another time.",
    "robot-disabled": "Somebody has switched the robot account off in Harbor.",
    "pull-secret-identity-token":
      "Docker logged in by a browser or a token service. Kubernetes reads usernames and passwords only, and ignores such a token in silence.",
  },

  "SSH credentials and the way to nodes": {
    "ssh-secret-missing":
      "The Supervisor keeps the SSH key of a cluster's nodes in a Secret of the cluster's namespace. It has none there: namespace or cluster has another name.",
    "ssh-secret-empty": "A Secret of the right name is there, and somebody else made it.",
    "ssh-key-file": "The file that the setting names is missing, or the user who runs this may not read it.",
    "ssh-key-invalid":
      "The file or Secret holds a public key, a damaged one, or one with a passphrase, for which nobody is there to ask.",
    "ssh-agent-missing":
      "Without a key file of its own the bastion is logged in to by the operator's SSH agent, and there is none.",
    "ssh-timeout": sshTimeout,
    "bastion-ssh-timeout": sshTimeout,
    "ssh-refused": sshRefused,
    "bastion-ssh-refused": sshRefused,
    "ssh-unreachable": sshUnreachable,
    "bastion-ssh-unreachable": sshUnreachable,
    "ssh-lost": sshLost,
    "bastion-ssh-lost": sshLost,
    "ssh-auth": sshAuth,
    "bastion-ssh-auth": sshAuth,
    "ssh-handshake": sshHandshake,
    "bastion-ssh-handshake": sshHandshake,
    "host-key-changed": hostKeyChanged,
    "bastion-host-key-changed": hostKeyChanged,
    "ssh-exec-timeout": "The node is overloaded, or its disk hangs.",
    "ssh-output": "The login shell of the node's user prints without end.",
    "bastion-forwarding-refused":
      "The bastion's sshd is set up not to forward, or not for this user or to this address.",
    "relay-pod-missing": "The jumpbox pod was deleted after the run had begun, or since the last one.",
    "relay-pod-not-running": "The jumpbox pod is not scheduled, pulls its image still, or has ended.",
    "relay-container-missing":
      "The jumpbox pod that is used was made by others, and its container has another name by now.",
    "relay-no-tool": "The jumpbox pod's image has no program that can carry a connection.",
    "relay-failed":
      "The connection through the jumpbox pod ended with words that stand for nothing better known.",
  },

  Nodes: {
    "no-nodes": "The cluster is being created, or the context is of another cluster.",
    "node-malformed":
      "A Node object's values become addresses and arguments of commands. Those that no kubelet writes are not used: somebody else wrote the object.",
    "node-os":
      "Each system keeps its trust store in its own way, and the node script knows those of the systems that Tanzu Kubernetes releases have. It refuses all others on the node too.",
    "node-without-address":
      "The node is joining the cluster, or its cloud provider has not told its address.",
    "node-address":
      "The address that the Node object gives is not one of a machine in the cluster's network, or is another node's too: SSH to it would end elsewhere.",
    "node-silent": "The node, or the way to it, is slow or dead.",
    "node-gone": "The node was deleted or replaced, by an upgrade, a scaling or a health check.",
    "node-not-ready":
      "The kubelet or containerd of the node is not well, or takes longer than usual; after a restart of containerd that passes mostly.",
    "node-not-trusted":
      "The node's own tools left the CA out when they rebuilt its trust store, or somebody took it out at the same time.",
    "node-not-removed": "The node's trust store holds another copy of the certificate, which is not ours.",
    "node-not-loaded": "Somebody changes the trust store or stops containerd on the node at the same time.",
    "node-sudo": "The user that logs in to nodes may not become root without a password.",
    "node-no-report":
      "What logs in got another shell than expected, or the node ended it: it is out of memory, disk or processes.",
    "node-wrong-node":
      "The address is of another node by now. Each node proves who it is before anything is touched there.",
    "node-busy":
      "One run at a time works on a node: another stack's, another operator's, or one that was cut off here and goes on there.",
    "node-unknown-os": "The node's trust store is kept in no way that is known here.",
    "node-bad-neighbour":
      "A file that somebody else put into the node's trust store lacks its last line end. To rebuild the trust store would join it with the next one, and lose both.",
    "node-rehash-failed": "The program by which the node's distribution rebuilds its trust store failed.",
    "node-bundle-shrank":
      "After the trust store was rebuilt it held fewer certificates than before, and not for our doing: what was in the bundle is not in the folder that it is built from.",
    "node-write-failed": "The node's disk is full, read-only, or at fault.",
    "node-certs-d-missing":
      "`trust: certs.d` needs a containerd that reads folders for registries, and this one is not set up so.",
    "node-certs-d-taken":
      "The folder for the registry has been set up by somebody else, in a way that leaves our certificate unread.",
    "node-containerd-failed":
      "containerd could not be restarted, mostly for a mistake in its configuration that had no effect until now.",
    "node-containerd-missing": "The node runs containerd under another name, or another container runtime.",
    "node-script-damaged":
      "The connection, or something that the login shell of the node's user does, changed or cut off what was sent.",
    "node-bad-parameter":
      "What was sent to the node is not what its script expects: a defect of tkc-registry, or a changed state.",
    "node-internal": "A step that should not fail failed on the node.",
  },

  "Kubernetes objects": {
    "namespace-not-found": "Namespaces of the workload cluster are not the stack's to make.",
    "object-exists":
      "The name is taken, by the manual procedure or another tool; what is not the stack's own is not overwritten.",
    "object-of-another-stack": "Two stacks have the same name for an object, or this one was renamed.",
    "object-gone":
      "Somebody deleted it. Pulumi goes by its state, and makes nothing again whose settings have not changed.",
    "cluster-recreated": "A cluster of the same name was made in place of the one that the state knows.",
    "adopted-secret-type":
      "The Secret that is to be adopted is of a type whose content is no pull secret, and a Secret's type is fixed.",
    "adopted-deployment-differs":
      "A Deployment's selector is fixed, and a container of another name would stay beside ours.",
    "jumpbox-not-running": "The pod was evicted, its node went away, or its image cannot be pulled.",
    "jumpbox-replaced":
      "Pulumi deletes by name: left out of the stack, the pod that the state has would take the one along that somebody made under its name.",
    "pod-security":
      "The namespace enforces a level of Pod Security that the pod, as the settings have it, does not meet.",
    "pod-refused": "A quota, a limit range or an admission webhook of the cluster does not take the pod.",
    "service-account":
      "The API server did not let the pull secret be entered in the ServiceAccount, or taken out.",
    "service-account-missing":
      "A namespace's `default` ServiceAccount is made by the cluster a moment after the namespace; this one has none.",
  },

  "Verification (`npm run verify`)": {
    "stack-missing": "Pulumi knows no stack of this name in this folder, and where it is logged in to.",
    "passphrase-missing":
      "The stack's secrets are encrypted by a passphrase, without which Pulumi does not open its state.",
    "pulumi-login": "Pulumi has to be logged in to where the stack's state is kept.",
    "pulumi-missing": "The state is read by Pulumi's own program, which is not installed here.",
    "export-failed": "Pulumi failed with words that stand for nothing better known.",
    "state-unreadable": "The state was written by another release of tkc-registry, or was edited.",
    "stack-not-deployed": "The stack was never brought up, was destroyed, or is of another project.",
    "stack-mixed":
      "The cluster's context was changed, and the run that should have told all nodes did not come to its end.",
    "pending-operations": "A run was killed while it made something, or one is under way.",
    interrupted: "It was told to end.",
    "ca-expires": "A CA is valid until a date that is near.",
    "ca-expiry-unknown": "What the stack knows of its CAs is written at a run's end.",
    "ca-file-missing": "Somebody deleted or changed the file on the node, or a run did not come to its end.",
    "ca-not-read":
      "Somebody rebuilt the trust store without the file, or set up containerd's folders in another way.",
    "containerd-not-restarted":
      "containerd reads certificates once, at its start; a run was cut off before it restarted it, or containerd is down.",
    "node-not-in-stack": "The node joined the cluster after the last run.",
    "node-replaced":
      "The node was made anew under its old name, by an upgrade or a health check, after the last run.",
    "node-not-installed": "The last run failed on this node, skipped it, or was cut off.",
    "pull-failed": "The kubelet could not pull the image; its message says why.",
  },

  "Programs and commands": {
    "bad-arguments": "A command was given options that it does not take, or not all that it needs.",
    "bad-environment":
      "The commands of the stack's resources find all that they need in their environment, which Pulumi gives them from the state; this one was run by hand, or by another release.",
    "unknown-command": "The state has a command of another release than the one that is installed here.",
    "other-script":
      "The package was changed between the preview and the update; what runs on nodes must be what was shown.",
    "bad-certificates":
      "The certificates that the program hands to a node are not those that the state has for it.",
    "bad-node-report":
      "What the state holds of a node was written by another release of tkc-registry, or was edited.",
    "service-folder": "The program listens for the stack's commands in a folder that nobody else may reach.",
    "service-running":
      "Two runs of one stack would work on the same nodes. With a backend that does not lock, Pulumi does not notice.",
    "service-gone": "The program ended, or was killed, while Pulumi still ran the stack's commands.",
    "stale-build":
      "What runs is the compiled program; its sources were changed, by an update of the repository for one.",
  },
} as const satisfies Record<string, Record<string, string>>;

type Areas = typeof catalog;

/** A kind of problem: a new one is first of all an entry of {@link catalog}. */
export type ProblemCode = { [Area in keyof Areas]: keyof Areas[Area] }[keyof Areas];

/** The lab's own, which nobody looks up. */
export type LabCode = `lab-${string}` | `bench-${string}`;
