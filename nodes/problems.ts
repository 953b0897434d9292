/** What can go wrong on nodes. */
import { type CodeOf, defineProblems } from "../support/errors";

const runAgain = "Run again; if it stays so, this is a defect of tkc-registry";

export const nodeProblem = defineProblems("Nodes", {
  "node-silent": {
    cause: "The node, or the way to it, is slow or dead.",
    remedy: "Check that the node is running and can be reached",
    examples: [["node ‹name›", "it did not answer within 30 s"]],
  },
  "node-gone": {
    cause: "The node was deleted or replaced, by an upgrade, a scaling or a health check.",
    remedy: {
      listed: "Run `pulumi up`",
      waiting: "Run `pulumi up` again, which takes the nodes that there are now",
    },
    examples: [
      ["node ‹name›", "the stack has it, and the cluster no longer", "listed"],
      ["node ‹name›", "while it was waited for, the node was removed", "waiting"],
    ],
  },
  "node-not-ready": {
    cause:
      "The kubelet or containerd of the node is not well, or takes longer than usual; after a restart of containerd that passes mostly.",
    remedy: {
      now: "Look at it with `kubectl describe node`",
      waited: "Look at the kubelet and containerd on the node; when it is Ready, run again",
    },
    examples: [
      ["node ‹name›", "it is not Ready at the moment", "now"],
      ["node ‹name›", "it was not Ready after ‹number› s: ‹message›", "waited"],
    ],
  },
  "control-plane-not-ready": {
    cause:
      "Control-plane nodes are restarted one at a time, and only while all others are Ready: etcd needs most of them.",
    remedy:
      "Nothing was touched on this node. Look at the other one with `kubectl describe node`; when it is Ready, run again. If its machine is gone for good, delete its Node object first",
    examples: [
      ["node ‹name›", "after ‹number› s other control-plane nodes are not Ready: ‹names›"],
      ["node ‹name›", "on ‹name› another run ended, and containerd does not run there"],
    ],
  },
  "node-not-trusted": {
    cause: "Somebody takes the CA out of the node's trust store while it is put there.",
    remedy: {
      script: "Find out what else manages the trust store of the node, then run again",
      report: "Look at the trust store on the node, then run again",
    },
    examples: [
      ["node ‹name›", "‹file› is in place, but ‹bundle› has not its certificate", "script"],
      ["node ‹name›", "after the installation ‹bundle› lacks ‹SHA-256›", "report"],
    ],
  },
  "node-not-removed": {
    cause: "Somebody puts the CA back into the node's trust store while it is taken out.",
    remedy: "Find out what else manages the trust store of the node, then run again",
    examples: [
      ["node ‹name›", "‹bundle› has the certificate of a file that is gone again: somebody puts it back"],
    ],
  },
  "node-not-loaded": {
    cause: "Somebody changes the trust store or stops containerd on the node at the same time.",
    remedy: "Somebody else may be changing the node; run again",
    examples: [["node ‹name›", "since the installation ‹bundle› has lost ‹missing›"]],
  },
  "node-sudo": {
    cause: "The user that logs in to nodes may not become root without a password and a terminal.",
    remedy: {
      tty: "Have `requiretty` taken out of the node's sudoers for the user that logs in",
      password: "The user that logs in must be allowed to use sudo without a password (NOPASSWD in sudoers)",
      rights:
        "The node's sudoers do not allow the user that logs in to run commands: have it allowed, without a password",
      missing:
        "The node has no sudo: install it, and allow the user that logs in to use it without a password",
      broken: "Log in to the node by hand, run `sudo -n true`, and put right what it names",
    },
    examples: [
      ["node ‹name›", "the script did not run to its end (code ‹code›): ‹stderr›", "tty"],
      ["node ‹name›", "the script did not run to its end (code ‹code›): ‹stderr›", "password"],
      ["node ‹name›", "the script did not run to its end (code ‹code›): ‹stderr›", "rights"],
      ["node ‹name›", "the script did not run to its end (code ‹code›): ‹stderr›", "missing"],
      ["node ‹name›", "the script did not run to its end (code ‹code›): ‹stderr›", "broken"],
    ],
  },
  "node-no-report": {
    cause:
      "What logs in got another shell than expected, or the node ended it: it is out of memory, disk or processes.",
    remedy: "Log in to the node by hand and see whether its shell works; then run again",
    examples: [["node ‹name›", "the script did not run to its end (code ‹code›): ‹stderr›"]],
  },
  "node-wrong-node": {
    cause:
      "The address is of another node by now. Each node proves who it is before anything is touched there.",
    remedy:
      "Nothing was touched. Run `pulumi up` again: nodes were replaced and their addresses changed hands",
    examples: [["node ‹name›", "the machine id here is ‹cleaned›, not ‹machine id›"]],
  },
  "node-busy": {
    cause:
      "One run at a time works on a node: another stack's, another operator's, or one that was cut off here and goes on there.",
    remedy: "Another run or another stack is at work on this node; run again when it has ended",
    examples: [
      ["node ‹name›", "another run of tkc-registry on this node did not end within ‹lock wait› seconds"],
    ],
  },
  "node-no-flock": {
    cause:
      "The node's image lacks the program `flock`, by which two runs on one node wait for each other. Without it they would write into each other's files.",
    remedy:
      "Nothing was touched. Install the package util-linux on the node, or use a node image that has it",
    examples: [["node ‹name›", "there is no program flock"]],
  },
  "node-unknown-os": {
    cause:
      "The node's trust store is kept in no way that is known here. What counts is what the node has, not how its system is called.",
    remedy:
      "Nothing was touched. Nodes with Photon OS, Debian or RHEL are supported, and those with systems made of them (Ubuntu, Rocky Linux, …)",
    examples: [
      [
        "node ‹name›",
        "none of rehash_ca_certificates.sh, update-ca-certificates with ‹debian store› and update-ca-trust with ‹rhel store› is here; os-release says ‹…›",
      ],
    ],
  },
  "node-bad-neighbour": {
    cause:
      "An earlier release was cut off while it rebuilt the node's trust store, which must be completed. A file that somebody else put there lacks its last line end: the rebuild would join it with the next one, and lose both.",
    remedy: "Nothing was touched. Add the missing final newline to that file on the node, then run again",
    examples: [
      [
        "node ‹name›",
        "‹file› does not end with a newline: rebuilding the bundle would lose its certificate and the next one",
      ],
    ],
  },
  "node-rehash-failed": {
    cause:
      "An earlier release was cut off while it rebuilt the node's trust store. The program of the node's distribution that must complete it failed.",
    remedy: "Look at the output, put it right on the node, then run again",
    examples: [["node ‹name›", "rehash_ca_certificates.sh failed"]],
  },
  "node-bundle-shrank": {
    cause:
      "The bundle of the node's trust store cannot be changed without a loss: the node's own tool writes it at the same time, or was cut off while it did.",
    remedy:
      "Rebuild the trust store on the node by its own tool (Photon: rehash_ca_certificates.sh, Debian and Ubuntu: update-ca-certificates, RHEL: update-ca-trust), then run again",
    examples: [
      [
        "node ‹name›",
        "‹bundle› holds no certificate, or ends inside one: the node's own tool was cut off while it wrote it",
      ],
      [
        "node ‹name›",
        "‹bundle› is being written by somebody else, again and again, or ends inside a certificate",
      ],
    ],
  },
  "node-write-failed": {
    cause: "The node's disk is full, read-only, or at fault.",
    remedy: "Make room on the node's disk, or repair it, then run again",
    examples: [["node ‹name›", "‹name› could not be written; is the disk full or read-only?"]],
  },
  "node-certs-d-missing": {
    cause:
      "`trust: certs.d` needs a containerd that reads folders for registries, and this one is not set up so.",
    remedy:
      "Nothing was touched. Set config_path for registries in the configuration of containerd on the node, or have the trust store used",
    examples: [["node ‹name›", "there is no program containerd"]],
  },
  "node-certs-d-taken": {
    cause:
      "The folder for the registry has been set up by somebody else, in a way that leaves our certificate unread. A mirror's table in a hosts.toml says nothing of the registry itself.",
    remedy:
      "Nothing was touched. Name our file as `ca` in that hosts.toml, at its top or under the table of the registry itself, or give the registry a folder of its own; or have the trust store used",
    examples: [["node ‹name›", "‹folder› is not a folder"]],
  },
  "node-containerd-failed": {
    cause:
      "containerd could not be restarted, mostly for a mistake in its configuration that had no effect until now.",
    remedy: "Look at `journalctl -u containerd` on the node, then run again",
    examples: [["node ‹name›", "systemctl show failed"]],
  },
  "node-containerd-missing": {
    cause: "The node runs containerd under another name, or another container runtime.",
    remedy:
      "Nothing was touched. Only nodes that run containerd as the unit containerd.service are supported",
    examples: [["node ‹name›", "systemd knows no unit containerd.service"]],
  },
  "node-script-damaged": {
    cause:
      "The connection, or something that the login shell of the node's user does, changed or cut off what was sent.",
    remedy: runAgain,
    examples: [["node ‹name›", "the script did not arrive as it was sent"]],
  },
  "node-bad-parameter": {
    cause:
      "What was sent to the node is not what its script expects: a defect of tkc-registry, or a changed state.",
    remedy: {
      script: runAgain,
      name: "Run `pulumi up` again; if it stays so, this is a defect of tkc-registry",
    },
    examples: [
      ["node ‹name›", "unknown parameter ‹name›", "script"],
      ["node ‹name›", "what is to be done there has a name with characters that none has", "name"],
    ],
  },
  "node-internal": {
    cause: "A step that should not fail failed on the node.",
    remedy: runAgain,
    examples: [["node ‹name›", "an unexpected step failed; last output: ‹output›"]],
  },
  "other-script": {
    cause:
      "The package was changed between the preview and the update; what runs on nodes must be what was shown.",
    remedy:
      "Install the release that the preview was made with (`npm ci`), or run `pulumi up` again and look at its preview",
    examples: [
      [
        "TKC_REGISTRY_SCRIPT_SHA256",
        "the preview showed the node script ‹planned›…, and ‹packaged›… is installed",
      ],
    ],
  },
  "bad-certificates": {
    cause: "The certificates that the program hands to a node are not those that the state has for it.",
    remedy: "Run `pulumi up` again; if it stays so, this is a defect of tkc-registry",
    examples: [["the CA certificates", "‹sha256›, to be trusted for ‹registry›, is missing"]],
  },
  "bad-node-report": {
    cause: "What the state holds of a node was written by another release of tkc-registry, or was edited.",
    remedy: "Use the release of tkc-registry that made it, or a newer one",
    examples: [["the report of `ca apply`", "it cannot be understood (‹wrong›)"]],
  },
  "unknown-command": {
    cause: "The state has a command of another release than the one that is installed here.",
    remedy: {
      installed: (known: readonly string[]) =>
        `Install the release that made the stack, or a newer one; known here: ${known.join(", ")}`,
      running: "Run `npm run build`, then `pulumi up` again",
    },
    examples: [
      ['command "‹name›"', "this release of tkc-registry does not know it", "installed", ["‹names›"]],
      ['command "‹name›"', "the running program does not know it", "running"],
    ],
  },
  "canary-skipped": {
    cause:
      "No other node is touched before the first one has pulled, and on one that was skipped nothing is proved.",
    remedy:
      "Run `pulumi up` again: another node goes first while this one can't be reached. Where nodes are not asked (`nodes.inspect: false`), leave it out with `nodes.exclude`",
    examples: [
      ["node ‹name›", "it is the node that goes first, and was skipped, as it could not be reached"],
    ],
  },
  "service-folder": {
    cause: "The program listens for the stack's commands in a folder that nobody else may reach.",
    remedy: {
      shared: "Set PULUMI_HOME to a folder of yours that others cannot write to, or put this one right",
      path: "Set PULUMI_HOME to a folder with a shorter path",
      unset: "Set one of them to a folder of yours",
    },
    examples: [
      ["‹folder›", "it belongs to another user", "shared"],
      ["‹folder›", "its path is too long for a socket (103 bytes)", "path"],
      ["HOME", "neither it nor PULUMI_HOME is set", "unset"],
    ],
  },
  "service-running": {
    cause:
      "Two runs of one stack would work on the same nodes. With a backend that does not lock, Pulumi does not notice.",
    remedy: "Wait until it has ended, then run again",
    examples: [["this stack", "another run of it is going on on this machine"]],
  },
  "service-gone": {
    cause: "The program ended, or was killed, while Pulumi still ran the stack's commands.",
    remedy: "Run `pulumi up` again",
    examples: [['command "‹name›"', "the program that runs the stack does not answer (‹message›)"]],
  },
});

export type NodeCode = CodeOf<typeof nodeProblem>;
